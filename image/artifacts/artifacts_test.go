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
	"github.com/projectcalico/go-build/image/rootfs"
	"github.com/projectcalico/go-build/image/toolchain"
	"github.com/projectcalico/go-build/image/versions"
	"github.com/projectcalico/go-build/internal/cli"
	"github.com/projectcalico/go-build/internal/file"
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
		return b.step(dir, "thing 1", in, func() error {
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
	assert.Equal(t, "there are own, emulators, go, tools, kubernetes", cli.Hint(err))
}

func TestTwoRunsWaitForOneAnother(t *testing.T) {
	b, said := newBuilder(t, "arm64")
	unlock, err := file.Lock(t.Context(), filepath.Join(b.Dir, "lock"), func() {})
	require.NoError(t, err)
	defer unlock()
	ctx, cancel := context.WithCancel(t.Context())
	b.Say = func(format string, args ...any) {
		fmt.Fprintf(said, format, args...)
		cancel()
	}
	require.ErrorIs(t, b.Build(ctx, "own"), context.Canceled)
	assert.Equal(t, "waiting for another run in "+b.Dir+" …", said.String())
}

// The real thing, for an architecture that is nobody's own here.
func TestOwnCommandsAreBuiltOnce(t *testing.T) {
	needToolchain(t)
	b, said := newBuilder(t, "s390x")
	require.NoError(t, b.Build(t.Context(), "own"), said)
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
	if _, _, err := FindEmulators(host, "/usr/bin"); err != nil {
		t.Skipf("no static emulators here: %v", err)
	}
	b, said := newBuilder(t, host.GOARCH)
	b.Emulators = "/usr/bin"
	require.NoError(t, b.Build(t.Context(), "emulators"), said)
	all := headers(t, filepath.Join(b.Dir, "emulators.tar"))
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
	b, _ := newBuilder(t, "arm64")
	tool := b.Versions.Tools[3]
	in := b.toolInputs(tool)
	assert.Equal(t, in, b.toolInputs(tool))
	tool.Version = "v9.9.9"
	assert.NotEqual(t, in, b.toolInputs(tool))
	tool = b.Versions.Tools[3]
	b.Versions.Go = "1.26.7"
	assert.NotEqual(t, in, b.toolInputs(tool))
	b, _ = newBuilder(t, "amd64")
	assert.NotEqual(t, in, b.toolInputs(tool))
}

// spdx is what tests read of a document.
type spdx struct {
	CreationInfo struct{ Created string }
	Packages     []struct {
		Name, SPDXID, SourceInfo string
		ExternalRefs             []struct{ ReferenceLocator string }
	}
	Relationships []struct{ SPDXElementID, RelationshipType, RelatedSPDXElement string }
}

func TestManifestSaysWhatAllPartsHold(t *testing.T) {
	b, said := newBuilder(t, "arm64")
	b.toolchain = &toolchain.Toolchain{Version: "1.26.8", Released: time.Unix(1700000000, 0)}
	programs := map[string][]Program{
		"own":        {{Path: "usr/bin/register", Package: "github.com/x/register", Version: "v1", SHA256: "aa", Modules: []Module{{"stdlib", "1.26.8"}, {"golang.org/x/sys", "v1.0.0"}}}},
		"emulators":  {{Path: "usr/bin/qemu-arm-static", Package: "qemu-user", Version: "1:11.1+a", SHA256: "bb", PURL: "pkg:deb/debian/qemu-user@1%3A11.1%2Ba?arch=arm64"}},
		"go":         {},
		"tools":      {{Path: "usr/local/bin/yq", Package: "github.com/Y/yq", Version: "v4.0.0", SHA256: "cc", Modules: []Module{{"stdlib", "1.26.8"}, {"github.com/Y/yq", "v4.0.0+incompatible"}, {"golang.org/x/sys", "v1.0.0"}}}},
		"kubernetes": {},
	}
	require.NoError(t, b.manifest(t.Context()))
	assert.Equal(t, "no manifest.tar before there are own, emulators, go, tools, kubernetes\n", said.String())
	for _, name := range Parts() {
		data, err := json.Marshal(programs[name])
		require.NoError(t, err)
		write(t, filepath.Join(b.Dir, name+".json"), string(data))
		write(t, filepath.Join(b.Dir, name+".stamp"), "")
	}
	require.NoError(t, b.manifest(t.Context()))
	all := headers(t, filepath.Join(b.Dir, "manifest.tar"))
	for _, name := range []string{"versions.yaml", "programs.txt", "programs.spdx.json"} {
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
	var d spdx
	require.NoError(t, json.Unmarshal(data, &d))
	assert.Equal(t, "2023-11-14T22:13:20Z", d.CreationInfo.Created)
	ids := map[string]string{"SPDXRef-DOCUMENT": "document"}
	purls := make(map[string]string)
	for _, p := range d.Packages {
		assert.NotContains(t, ids, p.SPDXID)
		ids[p.SPDXID] = p.Name
		for _, ref := range p.ExternalRefs {
			purls[p.Name] = ref.ReferenceLocator
		}
	}
	assert.Equal(t, map[string]string{
		"qemu-arm-static": "pkg:deb/debian/qemu-user@1%3A11.1%2Ba?arch=arm64",
		"stdlib":          "pkg:golang/stdlib@1.26.8", "golang.org/x/sys": "pkg:golang/golang.org/x/sys@v1.0.0",
		"github.com/Y/yq": "pkg:golang/github.com/y/yq@v4.0.0%2Bincompatible",
	}, purls)
	var related []string
	for _, r := range d.Relationships {
		require.Contains(t, ids, r.SPDXElementID)
		require.Contains(t, ids, r.RelatedSPDXElement)
		related = append(related, ids[r.SPDXElementID]+" "+r.RelationshipType+" "+ids[r.RelatedSPDXElement])
	}
	assert.ElementsMatch(t, []string{
		"document DESCRIBES go-build",
		"go-build CONTAINS qemu-arm-static", "go-build CONTAINS register", "go-build CONTAINS yq",
		"register STATIC_LINK stdlib", "register STATIC_LINK golang.org/x/sys",
		"yq STATIC_LINK stdlib", "yq STATIC_LINK github.com/Y/yq", "yq STATIC_LINK golang.org/x/sys",
	}, related)

	said.Reset()
	require.NoError(t, b.manifest(t.Context()))
	assert.Equal(t, "manifest.tar is up to date\n", said.String())

	// A part that is being built again has no manifest.
	require.NoError(t, os.Remove(filepath.Join(b.Dir, "tools.stamp")))
	require.NoError(t, b.manifest(t.Context()))
	assert.NoFileExists(t, filepath.Join(b.Dir, "manifest.tar"))
}
