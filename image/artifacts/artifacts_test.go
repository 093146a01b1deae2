package artifacts

import (
	"archive/tar"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/projectcalico/go-build/elfmagic"
	"github.com/projectcalico/go-build/image/debian"
	"github.com/projectcalico/go-build/image/rootfs"
	"github.com/projectcalico/go-build/image/toolchain"
	"github.com/projectcalico/go-build/image/versions"
	"github.com/projectcalico/go-build/internal/cli"
	"github.com/projectcalico/go-build/internal/file"
	"github.com/projectcalico/go-build/tests/spdx"
)

const repository = "../.."

func lookup(t *testing.T, name string) *elfmagic.Arch {
	t.Helper()
	arch, err := elfmagic.Lookup(name)
	require.NoError(t, err)
	return arch
}

func pinned(t *testing.T) *versions.Versions {
	t.Helper()
	v, err := versions.Load(filepath.Join(repository, versions.File))
	require.NoError(t, err)
	return v
}

// newBuilder returns a builder for an architecture in an empty directory, and
// what it prints.
func newBuilder(t *testing.T, arch string) (*Builder, *strings.Builder) {
	t.Helper()
	said := new(strings.Builder)
	return &Builder{
		Versions: pinned(t), File: filepath.Join(repository, versions.File), Arch: lookup(t, arch),
		Root: repository, Dir: t.TempDir(), Say: func(format string, args ...any) { fmt.Fprintf(said, format+"\n", args...) },
	}, said
}

// needToolchain skips a test where the pinned Go is not to be had.
func needToolchain(t *testing.T) *toolchain.Toolchain {
	t.Helper()
	tc, err := toolchain.Find(t.Context(), pinned(t).Go)
	if err != nil {
		t.Skipf("no pinned toolchain: %v", err)
	}
	return tc
}

func write(t *testing.T, file, content string) {
	t.Helper()
	require.NoError(t, os.MkdirAll(filepath.Dir(file), 0o755))
	require.NoError(t, os.WriteFile(file, []byte(content), 0o644))
}

// headers returns what is in an archive, by name.
func headers(t *testing.T, archive string) map[string]*tar.Header {
	t.Helper()
	f, err := os.Open(archive)
	require.NoError(t, err)
	defer f.Close()
	all := make(map[string]*tar.Header)
	for r := tar.NewReader(f); ; {
		h, err := r.Next()
		if err == io.EOF {
			return all
		}
		require.NoError(t, err)
		all[h.Name] = h
	}
}

func TestArchivesAreWrittenAgainOnlyFromOtherFiles(t *testing.T) {
	b, said := newBuilder(t, "arm64")
	b.toolchain = &toolchain.Toolchain{Released: time.Unix(1, 0)}
	archive := filepath.Join(b.Dir, "fake.tar")
	// build builds a part of one file, and says what its archive is then, and whether it was written.
	build := func(content string, fails error) (sum string, written bool, err error) {
		source := filepath.Join(t.TempDir(), "file")
		write(t, source, content)
		said.Reset()
		err = b.part(t.Context(), part{"fake", func(*Builder, context.Context) (contents, error) {
			return contents{[]rootfs.File{{Name: "usr/file", Source: source, Mode: 0o644}}, []Program{{Path: "usr/file"}}}, fails
		}})
		sum, sumErr := file.SHA256(archive)
		require.NoError(t, sumErr)
		return sum, said.String() != "fake.tar is up to date\n", err
	}
	first, written, err := build("a", nil)
	require.NoError(t, err)
	assert.True(t, written)
	before, err := os.Stat(archive)
	require.NoError(t, err)
	_, written, err = build("a", nil)
	require.NoError(t, err)
	assert.False(t, written)
	after, err := os.Stat(archive)
	require.NoError(t, err)
	assert.True(t, os.SameFile(before, after), "it is left as it is")

	second, written, err := build("b", nil)
	require.NoError(t, err)
	assert.True(t, written)
	assert.NotEqual(t, first, second)

	failed, _, err := build("a", errors.New("no"))
	require.EqualError(t, err, "no")
	assert.Equal(t, second, failed, "what was there stays")
	_, written, err = build("b", nil)
	require.NoError(t, err)
	assert.False(t, written)
	third, _, err := build("a", nil)
	require.NoError(t, err)
	assert.Equal(t, first, third, "the same files give the same archive")

	for _, name := range []string{"fake.tar", "fake.json", "fake.stamp"} {
		require.NoError(t, os.Remove(filepath.Join(b.Dir, name)))
		third, written, err = build("a", nil)
		require.NoError(t, err)
		assert.True(t, written, "without %s it may be half of it", name)
		assert.Equal(t, first, third)
	}
	assert.Equal(t, time.Unix(1, 0), headers(t, archive)["usr/file"].ModTime)
}

func TestStepsThatWereTakenAreNotTakenAgain(t *testing.T) {
	b, said := newBuilder(t, "arm64")
	dir := b.work("step")
	count := 0
	step := func(in inputs, err error) error {
		return b.step(t.Context(), dir, "thing 1", in, func() error {
			count++
			entries, _ := os.ReadDir(dir)
			assert.Empty(t, entries, "nothing is left of the last time")
			write(t, filepath.Join(dir, "thing"), "x")
			return err
		})
	}
	require.ErrorContains(t, step(inputs{"1"}, errors.New("no")), "thing 1: no")
	require.NoError(t, step(inputs{"1"}, nil))
	require.NoError(t, step(inputs{"1"}, nil))
	assert.Equal(t, 2, count)
	require.NoError(t, step(inputs{"2"}, nil))
	assert.Equal(t, 3, count)
	assert.Equal(t, strings.Repeat("building thing 1 for linux/arm64 …\n", 3), said.String())
}

func TestPartsAreKnown(t *testing.T) {
	assert.NoError(t, CheckParts(Parts()))
	err := CheckParts([]string{"own", "mine"})
	require.EqualError(t, err, `no part "mine"`)
	assert.Equal(t, "there are own, emulators, sysroots, go, tools, kubernetes", cli.Hint(err))
}

func TestTwoRunsWaitForOneAnother(t *testing.T) {
	b, said := newBuilder(t, "arm64")
	unlock, err := file.Lock(t.Context(), filepath.Join(b.Dir, "lock"), func() {})
	require.NoError(t, err)
	defer unlock()
	waits(t, b, said)
}

// waits sees that a run waits for another one in its directory.
func waits(t *testing.T, b *Builder, said *strings.Builder) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	b.Say = func(format string, args ...any) {
		fmt.Fprintf(said, format, args...)
		cancel()
	}
	require.ErrorIs(t, b.Build(ctx, "own"), context.Canceled)
	assert.Equal(t, "waiting for another run in "+b.Dir+" …", said.String())
}

// An image is made of what one run built, and not of parts that another has replaced
// since: those of another branch's versions have the same names.
func TestWhatIsUsedIsNotReplaced(t *testing.T) {
	needToolchain(t)
	b, said := newBuilder(t, "s390x")
	used := false
	require.NoError(t, b.Use(t.Context(), func() error {
		used = true
		assert.FileExists(t, filepath.Join(b.Dir, "own.tar"))
		other, said := newBuilder(t, "s390x")
		other.Dir = b.Dir
		waits(t, other, said)
		return nil
	}, "own"), said)
	assert.True(t, used)
	require.EqualError(t, b.Use(t.Context(), func() error { return errors.New("no") }, "own"), "no")
}

// The real thing, for an architecture that is nobody's own here.
func TestOwnCommandsAreBuiltOnce(t *testing.T) {
	needToolchain(t)
	b, said := newBuilder(t, "s390x")
	require.NoError(t, b.Build(t.Context(), "own"), said)
	assert.Contains(t, said.String(), "part 1 of 1: own\n")
	assert.Contains(t, said.String(), "own.tar: 2 programs")
	all := headers(t, filepath.Join(b.Dir, "own.tar"))
	for _, name := range []string{"usr/bin/register", "usr/bin/crossrun"} {
		require.Contains(t, all, name)
		assert.EqualValues(t, 0o755, all[name].Mode)
		assert.Equal(t, b.toolchain.Released, all[name].ModTime.UTC())
	}
	assert.Equal(t, "register", all["usr/bin/binfmt"].Linkname)
	for _, name := range []string{"amd64", "arm64", "ppc64le", "s390x", "riscv64", "loong64", "mips64le", "386"} {
		require.Contains(t, all, "usr/bin/go_linux_"+name+"_exec")
		assert.Equal(t, "crossrun", all["usr/bin/go_linux_"+name+"_exec"].Linkname)
	}
	assert.NoFileExists(t, filepath.Join(b.Dir, "manifest.tar"))

	first, err := file.SHA256(filepath.Join(b.Dir, "own.tar"))
	require.NoError(t, err)
	said.Reset()
	require.NoError(t, b.Build(t.Context(), "own"), said)
	assert.Contains(t, said.String(), "own.tar is up to date\n")
	assert.NotContains(t, said.String(), "building")

	elsewhere, said := newBuilder(t, "s390x")
	require.NoError(t, elsewhere.Build(t.Context(), "own"), said)
	second, err := file.SHA256(filepath.Join(elsewhere.Dir, "own.tar"))
	require.NoError(t, err)
	assert.Equal(t, first, second, "the same source gives the same archive, in any directory")
}

func TestArchivesDependOnFilesWhereverTheyAre(t *testing.T) {
	b, _ := newBuilder(t, "arm64")
	made := func(content string, mode int64, target, version string) inputs {
		source := filepath.Join(t.TempDir(), "file")
		write(t, source, content)
		c := contents{programs: []Program{{Path: "usr/file", Version: version}}}
		c.add("usr/file", source, mode)
		c.files = append(c.files, rootfs.File{Name: "usr/link", Target: target})
		in, err := b.archived(c)
		require.NoError(t, err)
		return in
	}
	in := made("a", 0o755, "file", "v1")
	assert.Equal(t, in, made("a", 0o755, "file", "v1"), "stamps are the same everywhere")
	assert.NotEqual(t, in, made("b", 0o755, "file", "v1"))
	assert.NotEqual(t, in, made("a", 0o644, "file", "v1"))
	assert.NotEqual(t, in, made("a", 0o755, "other", "v1"))
	assert.NotEqual(t, in, made("a", 0o755, "file", "v2"))
	_, err := b.archived(contents{files: []rootfs.File{{Name: "usr/file", Source: filepath.Join(t.TempDir(), "none")}}})
	assert.ErrorIs(t, err, os.ErrNotExist)
}

func TestEmulatorsOfTheHostAreAllButItsOwn(t *testing.T) {
	host := needToolchain(t).Host
	if _, _, err := findEmulators(host, "/usr/bin"); err != nil {
		t.Skipf("no static emulators here: %v", err)
	}
	b, said := newBuilder(t, host.GOARCH)
	b.Emulators = "/usr/bin"
	require.NoError(t, b.Build(t.Context(), "emulators"), said)
	all := headers(t, filepath.Join(b.Dir, "emulators.tar"))
	assert.Contains(t, all, "usr/share/go-build/licenses/SOURCE")
	assert.Contains(t, all, "usr/share/go-build/licenses/qemu/GPL-2")
	assert.NotContains(t, all, "usr/bin/qemu-"+host.Name+"-static")
	count := 0
	for _, arch := range elfmagic.Archs() {
		if h := all["usr/bin/qemu-"+arch.Name+"-static"]; h != nil {
			assert.EqualValues(t, 0o755, h.Mode)
			count++
		}
	}
	assert.Greater(t, count, 1)

	other := "arm64"
	if host.GOARCH == other {
		other = "amd64"
	}
	b, _ = newBuilder(t, other)
	b.Emulators = "/usr/bin"
	assert.Error(t, b.Build(t.Context(), "emulators"), "these run on this host, not on that")
	b.Emulators = t.TempDir()
	assert.ErrorContains(t, b.Build(t.Context(), "emulators"), "no static emulator for linux/"+other)
}

func TestToolsDependOnTheirVersions(t *testing.T) {
	inputsOf := func(b *Builder, tool versions.Tool) inputs {
		in, err := b.toolInputs(tool)
		require.NoError(t, err)
		return in
	}
	b, _ := newBuilder(t, "arm64")
	tool := b.Versions.Tools[3]
	in := inputsOf(b, tool)
	assert.Equal(t, in, inputsOf(b, tool))
	tool.Version = "v9.9.9"
	assert.NotEqual(t, in, inputsOf(b, tool))
	tool = b.Versions.Tools[3]
	tool.With = []string{"example.org/x@v1.0.0"}
	assert.NotEqual(t, in, inputsOf(b, tool))
	tool = b.Versions.Tools[3]
	b.Versions.Go = "1.26.7"
	assert.NotEqual(t, in, inputsOf(b, tool))
	b, _ = newBuilder(t, "amd64")
	assert.NotEqual(t, in, inputsOf(b, tool))

	b.File = filepath.Join(t.TempDir(), "versions.yaml")
	tool.Patch = "x.patch"
	_, err := b.toolInputs(tool)
	require.ErrorIs(t, err, os.ErrNotExist)
	write(t, b.patch(tool), "1")
	in = inputsOf(b, tool)
	write(t, b.patch(tool), "2")
	assert.NotEqual(t, in, inputsOf(b, tool), "its patch's content counts")
}

// fakeModules has the licences of some modules where those of a toolchain are kept.
func fakeModules(t *testing.T, licenses map[string]string) *toolchain.Toolchain {
	t.Helper()
	dir := t.TempDir()
	for path, text := range licenses {
		write(t, filepath.Join(dir, path, "LICENSE"), text)
	}
	write(t, filepath.Join(dir, "root/LICENSE"), bsd)
	return &toolchain.Toolchain{
		Version: "1.26.8", Released: time.Unix(1700000000, 0), Root: filepath.Join(dir, "root"),
		Env: []string{"GOMODCACHE=/nonexistent", "GOMODCACHE=" + dir},
	}
}

const (
	mit = "Copyright X\n\nPermission is hereby granted, free of charge, to any person obtaining a copy"
	bsd = "Redistributions in binary form must reproduce the above copyright notice. The name must not be used to endorse or promote products derived from this software without permission."
)

func TestManifestSaysWhatAllPartsHold(t *testing.T) {
	b, said := newBuilder(t, "arm64")
	b.toolchain = fakeModules(t, map[string]string{"golang.org/x/sys@v1.0.0": bsd, "github.com/!y/yq@v4.0.0+incompatible": mit})
	programs := map[string][]Program{
		"own":        {{Path: "usr/bin/register", Package: "github.com/x/register", Version: "v1", SHA256: "aa", License: "Apache-2.0", Modules: []Module{{"stdlib", "1.26.8"}, {"golang.org/x/sys", "v1.0.0"}}}},
		"emulators":  {{Path: "usr/bin/qemu-arm-static", Package: "qemu-user", Version: "1:11.1+a", SHA256: "bb", PURL: "pkg:deb/debian/qemu-user@1%3A11.1%2Ba?arch=arm64", License: "GPL-2.0-only", Libraries: []Library{{debian.Package{Name: "zlib", Version: "1:1"}, "Zlib"}}}},
		"go":         {},
		"tools":      {{Path: "usr/local/bin/yq", Package: "github.com/Y/yq", Version: "v4.0.0", SHA256: "cc", Modules: []Module{{"stdlib", "1.26.8"}, {"github.com/Y/yq", "v4.0.0+incompatible"}, {"golang.org/x/sys", "v1.0.0"}}}},
		"kubernetes": {},
	}
	require.NoError(t, b.manifest(t.Context()))
	assert.Equal(t, "no manifest.tar before there are own, emulators, sysroots, go, tools, kubernetes\n", said.String())
	for _, name := range Parts() {
		data, err := json.Marshal(programs[name])
		require.NoError(t, err)
		write(t, filepath.Join(b.Dir, name+".json"), string(data))
		write(t, filepath.Join(b.Dir, name+".stamp"), "")
	}
	require.NoError(t, b.manifest(t.Context()))
	all := headers(t, filepath.Join(b.Dir, "manifest.tar"))
	for _, name := range []string{"versions.yaml", "programs.txt", "programs.spdx.json", "licenses/LICENSE", "licenses/modules.txt"} {
		assert.Contains(t, all, "usr/share/go-build/"+name)
	}
	text, err := os.ReadFile(b.work("manifest", "programs.txt"))
	require.NoError(t, err)
	assert.Equal(t, `PATH                      PACKAGE                VERSION   SHA256
/usr/bin/qemu-arm-static  qemu-user              1:11.1+a  bb
/usr/bin/register         github.com/x/register  v1        aa
/usr/local/bin/yq         github.com/Y/yq        v4.0.0    cc
`, string(text))

	data, err := os.ReadFile(b.work("manifest", "programs.spdx.json"))
	require.NoError(t, err)
	d := spdx.Parse(t, data)
	assert.Equal(t, "2023-11-14T22:13:20Z", d.CreationInfo.Created)
	purls, licenses := make(map[string]string), make(map[string]string)
	for _, p := range d.Packages {
		licenses[p.Name] = p.LicenseDeclared
		for _, ref := range p.ExternalRefs {
			purls[p.Name] = ref.ReferenceLocator
		}
	}
	assert.Equal(t, map[string]string{
		"qemu-arm-static": "pkg:deb/debian/qemu-user@1%3A11.1%2Ba?arch=arm64", "zlib": "pkg:deb/debian/zlib@1%3A1?arch=source",
		"stdlib": "pkg:golang/stdlib@1.26.8", "golang.org/x/sys": "pkg:golang/golang.org/x/sys@v1.0.0",
		"github.com/Y/yq": "pkg:golang/github.com/y/yq@v4.0.0%2Bincompatible",
	}, purls)
	const everything = "Apache-2.0 AND BSD-3-Clause AND GPL-2.0-only AND MIT AND Zlib"
	assert.Equal(t, map[string]string{
		"go-build": everything, "qemu-arm-static": "GPL-2.0-only", "zlib": "Zlib", "register": "Apache-2.0", "yq": "MIT",
		"stdlib": "BSD-3-Clause", "golang.org/x/sys": "BSD-3-Clause", "github.com/Y/yq": "MIT",
	}, licenses)
	assert.Equal(t, everything, b.Licenses)
	assert.ElementsMatch(t, []string{
		"document DESCRIBES go-build",
		"go-build CONTAINS qemu-arm-static", "go-build CONTAINS register", "go-build CONTAINS yq", "qemu-arm-static STATIC_LINK zlib",
		"register STATIC_LINK stdlib", "register STATIC_LINK golang.org/x/sys",
		"yq STATIC_LINK stdlib", "yq STATIC_LINK github.com/Y/yq", "yq STATIC_LINK golang.org/x/sys",
	}, d.Related())
	notices, err := os.ReadFile(b.work("manifest", "modules.txt"))
	require.NoError(t, err)
	assert.Contains(t, string(notices), "\ngithub.com/Y/yq v4.0.0+incompatible\n\n"+mit)
	assert.Contains(t, string(notices), "\ngolang.org/x/sys v1.0.0\nstdlib 1.26.8\n\n"+bsd, "once")

	said.Reset()
	require.NoError(t, b.manifest(t.Context()))
	assert.Equal(t, "manifest.tar is up to date\n", said.String())

	// A part that is being built again has no manifest.
	require.NoError(t, os.Remove(filepath.Join(b.Dir, "tools.stamp")))
	require.NoError(t, b.manifest(t.Context()))
	assert.NoFileExists(t, filepath.Join(b.Dir, "manifest.tar"))
}
