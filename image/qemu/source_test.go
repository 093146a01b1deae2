package qemu

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/projectcalico/go-build/image/debian"
	"github.com/projectcalico/go-build/internal/cli"
)

var aSource = Source{Version: "1:10.2.2+ds-1", Files: []debian.File{
	{Name: "qemu_10.2.2+ds-1.dsc", SHA256: "d"}, {Name: "qemu_10.2.2+ds.orig.tar.xz", SHA256: "o"}, {Name: "qemu_10.2.2+ds-1.debian.tar.xz", SHA256: "p"},
}}

const aPatch = "Subject: linux-user: a name\n\nWhy: so\nEffect: none\nProof: a test\n\n--- a/f\n+++ b/f\n@@ -1 +1 @@\n-a\n+b\n"

func TestTheNewestSourceThatCanBeHadIsChosen(t *testing.T) {
	notFound := errors.New("apt-get source: exit status 100: E: Failed to fetch http://mirror.example/pool/main/q/qemu/qemu_11.1.3.dsc  404  Not Found [IP: 192.0.2.1 80]\nE: Failed to fetch some archives.")
	v, passed, err := choose([]string{"3", "2", "1", "0"}, func(v string) bool { return v != "0" }, func(v string) error {
		if v == "3" {
			return notFound
		}
		return nil
	})
	require.NoError(t, err)
	assert.Equal(t, "2", v)
	assert.Equal(t, []Passed{{"3", "qemu_11.1.3.dsc: 404 Not Found"}}, passed)
}

func TestIfNoSourceWillDoTheLastReasonIsTheError(t *testing.T) {
	_, passed, err := choose([]string{"2", "1"}, func(string) bool { return true }, func(v string) error {
		return cli.WithHint(errors.New("00-x.patch does not apply to "+v), "make it again")
	})
	assert.EqualError(t, err, "no version of Debian's qemu is usable, the last is 1: 00-x.patch does not apply to 1")
	assert.Equal(t, "make it again", cli.Hint(err))
	assert.Len(t, passed, 2)
	_, _, err = choose([]string{"1"}, func(string) bool { return false }, nil)
	assert.ErrorContains(t, err, "apt knows no source qemu of version 1:10.2 or newer")
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
	p, err := parsePatch("00-a.patch", []byte(aPatch))
	require.NoError(t, err)
	assert.Equal(t, "linux-user: a name", p.Subject)
	one, two := PkgVersion(aSource, []Patch{p}), PkgVersion(aSource, []Patch{p, p})
	assert.Regexp(t, `^Debian 1:10\.2\.2\+ds-1, go-build 1 patch [0-9a-f]{10}$`, one)
	assert.Regexp(t, `^Debian 1:10\.2\.2\+ds-1, go-build 2 patches [0-9a-f]{10}$`, two)
	renamed := p
	renamed.Name = "01-a.patch"
	assert.NotEqual(t, one, PkgVersion(aSource, []Patch{renamed}), "their order counts")
}

func TestAPatchHasAHeader(t *testing.T) {
	for _, heading := range []string{"Subject:", "Why:", "Effect:", "Proof:"} {
		_, err := parsePatch("x.patch", []byte(strings.Replace(aPatch, heading, "Other:", 1)))
		assert.EqualError(t, err, "x.patch: its header has no "+heading)
	}
	_, err := parsePatch("x.patch", []byte("nothing"))
	assert.EqualError(t, err, "x.patch: not a patch")
}

func TestOurOwnPatchesAreInOrder(t *testing.T) {
	patches, err := ReadPatches("../../image/qemu/patches")
	require.NoError(t, err)
	assert.Equal(t, "00-profile.patch", patches[0].Name)
	for i := range patches[1:] {
		assert.Less(t, patches[i].Name, patches[i+1].Name)
	}
	_, err = ReadPatches(t.TempDir())
	assert.ErrorContains(t, err, "no patches in")
}

func TestDebiansSeriesIsRead(t *testing.T) {
	assert.Equal(t, []string{"a.patch", "b.diff"}, series("# comment\na.patch\n\nb.diff -p1 # why\n"))
}

func TestWhatIsMadeOfOtherThingsHasAnotherKey(t *testing.T) {
	p, err := parsePatch("00-a.patch", []byte(aPatch))
	require.NoError(t, err)
	c, host := Compiler{19, "clang 19.1.7"}, arch(t, "amd64")
	libs := []debian.File{{Name: "libc6_1_amd64.deb", SHA256: "l"}}
	profile := trainingInputs(aSource, []Patch{p}, c, host, libs, inputs{"go 1"})
	base := emulatorInputs("arm", optimised, aSource, []Patch{p}, c, host, libs, profile).key()
	assert.Equal(t, base, emulatorInputs("arm", optimised, aSource, []Patch{p}, c, host, libs, profile).key())
	assert.Len(t, base, 16)

	otherPatch, otherSource := p, aSource
	otherPatch.SHA256 = "x"
	otherSource.Version = "1:10.2.3+ds-1"
	otherLibs := []debian.File{{Name: "libc6_1_amd64.deb", SHA256: "m"}}
	for what, in := range map[string]inputs{
		"target":   emulatorInputs("s390x", optimised, aSource, []Patch{p}, c, host, libs, profile),
		"source":   emulatorInputs("arm", optimised, otherSource, []Patch{p}, c, host, libs, profile),
		"patch":    emulatorInputs("arm", optimised, aSource, []Patch{otherPatch}, c, host, libs, profile),
		"compiler": emulatorInputs("arm", optimised, aSource, []Patch{p}, Compiler{19, "clang 19.1.8"}, host, libs, profile),
		"host":     emulatorInputs("arm", optimised, aSource, []Patch{p}, c, arch(t, "arm64"), libs, profile),
		"library":  emulatorInputs("arm", optimised, aSource, []Patch{p}, c, host, otherLibs, profile),
		"recipe":   emulatorInputs("arm", plain, aSource, []Patch{p}, c, host, libs, profile),
		"guests":   emulatorInputs("arm", optimised, aSource, []Patch{p}, c, host, libs, trainingInputs(aSource, []Patch{p}, c, host, libs, inputs{"go 2"})),
	} {
		assert.NotEqual(t, base, in.key(), what)
	}
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
	want := &Manifest{Host: "amd64", Version: "10.2.2 (x)", Debian: "1:10.2.2+ds-1", Source: []SourceArchive{{"a", "b"}}, Emulators: []Built{{Target: "arm", File: FileName("arm"), Size: 3, SHA256: "c", Profile: []string{"arm"}}}}
	require.NoError(t, want.write(dir))
	got, err := ReadManifest(dir)
	require.NoError(t, err)
	assert.Equal(t, want, got)
	require.NoError(t, os.WriteFile(filepath.Join(dir, ManifestFile), []byte("{"), 0o644))
	_, err = ReadManifest(dir)
	assert.Equal(t, "make emulators writes it again", cli.Hint(err))
}
