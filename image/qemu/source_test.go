package qemu

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/projectcalico/go-build/elfmagic"
	"github.com/projectcalico/go-build/image/debian"
	"github.com/projectcalico/go-build/image/jsonfile"
	"github.com/projectcalico/go-build/internal/cli"
)

var aSource = Source{Version: "1:10.2.2+ds-1", Files: []debian.File{
	{Name: "qemu_10.2.2+ds-1.dsc", SHA256: "d"}, {Name: "qemu_10.2.2+ds.orig.tar.xz", SHA256: "o"}, {Name: "qemu_10.2.2+ds-1.debian.tar.xz", SHA256: "p"},
}}

func TestTheNewestSourceThatCanBeHadIsChosen(t *testing.T) {
	notFound := errors.New("apt-get source: exit status 100: E: Failed to fetch http://mirror.example/pool/main/q/qemu/qemu_11.1.3.dsc  404  Not Found [IP: 192.0.2.1 80]\nE: Failed to fetch some archives.")
	var taken, said string
	err := choose([]string{"3", "2", "1"}, func(format string, args ...any) { said += fmt.Sprintf(format+"\n", args...) }, func(v string) error {
		if v == "3" {
			return notFound
		}
		taken = v
		return nil
	})
	require.NoError(t, err)
	assert.Equal(t, "2", taken)
	assert.Equal(t, "passed over QEMU 3: qemu_11.1.3.dsc: 404 Not Found\n"+
		"chosen: QEMU 2, the newest of Debian's whose source is whole and takes our patches\n", said)

	said = ""
	require.NoError(t, choose([]string{"3", "2"}, func(format string, args ...any) { said += fmt.Sprintf(format, args...) }, func(string) error { return nil }))
	assert.Equal(t, "chosen: QEMU 3, the newest of Debian's", said)
}

func TestIfNoSourceWillDoTheLastReasonIsTheError(t *testing.T) {
	tried := 0
	err := choose([]string{"2", "1"}, func(string, ...any) { tried++ }, func(v string) error {
		return cli.WithHint(errors.New("00-x.patch does not apply to "+v), "make it again")
	})
	assert.EqualError(t, err, "no version of Debian's qemu is usable, the last is 1: 00-x.patch does not apply to 1")
	assert.Equal(t, "make it again", cli.Hint(err))
	assert.Equal(t, 2, tried)
	assert.ErrorContains(t, choose(nil, nil, nil), "apt knows no source qemu of version 1:10.2 or newer")
}

func TestASourceSaysWhatItIs(t *testing.T) {
	assert.NoError(t, aSource.check())
	assert.Equal(t, "qemu_10.2.2+ds.orig.tar.xz", aSource.Orig().Name)
	assert.Equal(t, "qemu_10.2.2+ds-1.debian.tar.xz", aSource.Debian().Name)
	assert.Error(t, Source{Version: "1"}.check())
	for version, want := range map[string]string{"1:10.2.2+ds-1": "10.2.2", "1:11.1.3+ds-1~bpo13+1": "11.1.3", "1:11.2.0~rc1+ds-1": "11.2.0", "10.2.2": "10.2.2"} {
		assert.Equal(t, want, Source{Version: version}.Upstream(), version)
	}
}

func TestThePackageVersionNamesSourceAndPatches(t *testing.T) {
	p := Patch{Name: "00-a.patch", SHA256: "a"}
	one, two := pkgVersion(aSource, []Patch{p}), pkgVersion(aSource, []Patch{p, p})
	assert.Regexp(t, `^Debian 1:10\.2\.2\+ds-1, go-build 1 patch [0-9a-f]{10}$`, one)
	assert.Regexp(t, `^Debian 1:10\.2\.2\+ds-1, go-build 2 patches [0-9a-f]{10}$`, two)
	renamed := p
	renamed.Name = "01-a.patch"
	assert.NotEqual(t, one, pkgVersion(aSource, []Patch{renamed}), "their order counts")
}

// Each patch says what it does, and why.
func TestOurOwnPatchesAreInOrderAndHaveAHeader(t *testing.T) {
	patches, err := readPatches("../../" + patchesDir)
	require.NoError(t, err)
	assert.Equal(t, "00-profile.patch", patches[0].Name)
	for i, p := range patches {
		if i > 0 {
			assert.Less(t, patches[i-1].Name, p.Name)
		}
		content, err := os.ReadFile(filepath.Join("patches", p.Name))
		require.NoError(t, err)
		assert.Equal(t, digest(content), p.SHA256)
		header, _, found := strings.Cut("\n"+string(content), "\n--- ")
		assert.True(t, found, p.Name)
		for _, heading := range []string{"Subject", "Why", "Effect", "Proof"} {
			assert.Contains(t, header, "\n"+heading+": ", p.Name)
		}
		assert.Contains(t, header, "\nSubject: "+p.Subject+"\n")
		assert.NotEmpty(t, p.Subject, p.Name)
	}
	_, err = readPatches(t.TempDir())
	assert.ErrorContains(t, err, "no patches in")
}

func TestWhatIsMadeOfOtherThingsHasAnotherKey(t *testing.T) {
	made := func(change func(b *Builder)) string {
		b := &Builder{
			Host: arch(t, "amd64"), source: aSource, patches: []Patch{{Name: "00-a.patch", SHA256: "a"}}, compiler: Compiler{19, "clang 19.1.7"},
			libs: tree{Files: []debian.File{{Name: "libc6_1_amd64.deb", SHA256: "l"}}},
		}
		change(b)
		return b.inputs(b.mode(), b.Host, b.libs).key()
	}
	base := made(func(*Builder) {})
	assert.Equal(t, base, made(func(*Builder) {}))
	assert.Len(t, base, 16)
	for what, change := range map[string]func(*Builder){
		"source":   func(b *Builder) { b.source.Version = "1:10.2.3+ds-1" },
		"patch":    func(b *Builder) { b.patches[0].SHA256 = "x" },
		"compiler": func(b *Builder) { b.compiler.Version = "clang 19.1.8" },
		"host":     func(b *Builder) { b.Host = arch(t, "arm64") },
		"library":  func(b *Builder) { b.libs.Files[0].SHA256 = "m" },
		"recipe":   func(b *Builder) { b.Plain = true },
	} {
		assert.NotEqual(t, base, made(change), what)
	}
}

// What is finished is not built again; what would have another profile is.
func TestWhatIsMissingIsBuilt(t *testing.T) {
	aarch64, arm, s390x := arch(t, "aarch64"), arch(t, "arm"), arch(t, "s390x")
	b := &Builder{
		Host: arch(t, "amd64"), Targets: []*elfmagic.Arch{aarch64, arm, s390x}, Out: t.TempDir(), Say: func(string, ...any) {},
		cache: t.TempDir(), trained: map[string]training{"aarch64": {profile: "a"}, "arm": {profile: "b"}, "s390x": {profile: "c"}},
	}
	groups := b.groups()
	assert.Equal(t, groups, b.missing(groups))
	require.NoError(t, os.Mkdir(b.path("finished"), 0o755))
	require.NoError(t, os.WriteFile(b.finished(groups[0], aarch64), []byte("a"), 0o755))
	require.NoError(t, os.WriteFile(b.finished(groups[1], s390x), []byte("s"), 0o755))
	missing := []group{{[]*elfmagic.Arch{arm}, []string{"arm", "s390x"}}}
	assert.Equal(t, missing, b.missing(groups), "with the profile of all of its group")

	// One that failed is left out.
	licensed(t, b)
	built, err := b.install(groups)
	require.NoError(t, err)
	assert.Equal(t, []Built{
		{"aarch64", "qemu-aarch64-static", 1, digest([]byte("a")), []string{"aarch64"}}, {"s390x", "qemu-s390x-static", 1, digest([]byte("s")), []string{"arm", "s390x"}},
	}, built)
	content, err := os.ReadFile(filepath.Join(b.Out, "qemu-s390x-static"))
	require.NoError(t, err)
	assert.Equal(t, "s", string(content))

	b.trained["arm"] = training{profile: "d"}
	assert.Equal(t, groups[1:], b.missing(groups))
	b.Plain = true
	assert.Equal(t, []group{{targets: b.Targets}}, b.missing(b.groups()))
}

// A directory has one manifest: what an earlier run made of the same stays.
func TestEmulatorsOfAnEarlierRunStayIfTheyAreOfTheSame(t *testing.T) {
	b := &Builder{Host: arch(t, "amd64"), Out: t.TempDir(), Say: func(string, ...any) {}, cache: t.TempDir()}
	install := func(target string) []string {
		b.Targets, b.Plain = []*elfmagic.Arch{arch(t, target)}, true
		finished := b.finished(b.groups()[0], b.Targets[0])
		require.NoError(t, os.MkdirAll(filepath.Dir(finished), 0o755))
		require.NoError(t, os.WriteFile(finished, []byte(target), 0o755))
		licensed(t, b)
		_, err := b.install(b.groups())
		require.NoError(t, err)
		m, err := ReadManifest(b.Out)
		require.NoError(t, err)
		var there []string
		for _, e := range m.Emulators {
			there = append(there, e.Target)
			assert.FileExists(t, filepath.Join(b.Out, e.File))
		}
		return there
	}
	assert.Equal(t, []string{"s390x"}, install("s390x"))
	assert.Equal(t, []string{"arm", "s390x"}, install("arm"))
	b.source.Version = "1:10.2.3+ds-1"
	assert.Equal(t, []string{"arm"}, install("arm"))
	assert.NoFileExists(t, filepath.Join(b.Out, "qemu-s390x-static"))
}

func TestADirectoryIsThereWholeOrNotAtAll(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "a", "b")
	fill := func(err error) error {
		return whole(dir, func(temporary string) error {
			assert.NoFileExists(t, filepath.Join(temporary, "file"), "nothing is left of the last time")
			return errors.Join(os.WriteFile(filepath.Join(temporary, "file"), nil, 0o644), err)
		})
	}
	require.EqualError(t, fill(errors.New("no")), "no")
	assert.NoDirExists(t, dir)
	require.NoError(t, fill(nil))
	assert.FileExists(t, filepath.Join(dir, "file"))
	require.NoError(t, fill(errors.New("it is there")))
}

func TestTheFirstFailureIsShown(t *testing.T) {
	said := "[1/3] Compiling a\n[2/3] Compiling b\nFAILED: [code=1] b.o\n" + strings.Repeat("x", 500) + "\nb.c:1: error: no\n[3/3] Compiling c\nninja: build stopped\n"
	assert.Equal(t, "FAILED: [code=1] b.o\nb.c:1: error: no", strings.TrimSpace(failed(said)))
	assert.Equal(t, "all", failed("all"))
}

func TestNinjasStepsAreCounted(t *testing.T) {
	for line, want := range map[string]string{"[12/3456] Compiling C object x.o": "12 of 3456 steps", "x.c:1: [a/b] no": "", "FAILED: [code=1] b.o": "", "[1] x": ""} {
		at, ok := stepOf(line)
		assert.Equal(t, want != "", ok, line)
		if ok {
			assert.Equal(t, want, at)
		}
	}
}

func TestAManifestIsReadAsItWasWritten(t *testing.T) {
	dir := t.TempDir()
	_, err := ReadManifest(dir)
	assert.ErrorContains(t, err, "no built emulators in")
	want := &Manifest{Host: "amd64", Version: "10.2.2 (x)", Debian: "1:10.2.2+ds-1", Source: []SourceArchive{{"a", "b"}}, Emulators: []Built{{Target: "arm", File: fileName("arm"), Size: 3, SHA256: "c", Profile: []string{"arm"}}}}
	require.NoError(t, jsonfile.Write(filepath.Join(dir, ManifestFile), want))
	got, err := ReadManifest(dir)
	require.NoError(t, err)
	assert.Equal(t, want, got)
	require.NoError(t, os.WriteFile(filepath.Join(dir, ManifestFile), []byte("{"), 0o644))
	_, err = ReadManifest(dir)
	assert.Equal(t, "make emulators writes it again", cli.Hint(err))
}
