package artifacts

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/projectcalico/go-build/elfmagic"
	"github.com/projectcalico/go-build/image/debian"
	"github.com/projectcalico/go-build/image/jsonfile"
	"github.com/projectcalico/go-build/image/qemu"
	"github.com/projectcalico/go-build/internal/cli"
	"github.com/projectcalico/go-build/internal/emulator"
	"github.com/projectcalico/go-build/internal/file"
	"github.com/projectcalico/go-build/tests/spdx"
)

// built writes a manifest of emulators for some targets.
func built(t *testing.T, dir string, targets ...*elfmagic.Arch) *qemu.Manifest {
	t.Helper()
	m := &qemu.Manifest{
		Debian: "1:10.2.2+ds-1", Source: []qemu.SourceArchive{{Name: "qemu.orig.tar.xz", SHA256: "aa"}},
		Patches: []qemu.Patch{{Name: "00-profile.patch", SHA256: "bb"}}, Sources: []debian.Package{{Name: "glibc", Version: "2.41-12"}},
	}
	for _, a := range targets {
		m.Emulators = append(m.Emulators, qemu.Built{Target: a.Name, SHA256: "cc-" + a.Name})
	}
	write(t, filepath.Join(dir, qemu.LicenseDir, "COPYING"), "the GPL")
	write(t, filepath.Join(dir, qemu.LicenseDir, "00-profile.patch"), "a patch")
	require.NoError(t, jsonfile.Write(filepath.Join(dir, qemu.ManifestFile), m))
	return m
}

func TestBuiltEmulatorsAreUsedWhereAllAreThere(t *testing.T) {
	root, host := t.TempDir(), lookup(t, "arm64")
	dir := filepath.Join(root, "bin/emulators/arm64")
	choose := func(word string) (string, error) { return Choice{Word: word, Root: root, Host: host}.Dir() }

	got, err := choose("")
	require.NoError(t, err)
	assert.Empty(t, got, "Debian's")
	_, err = choose("built")
	assert.ErrorContains(t, err, "no built emulators in "+dir)
	assert.Equal(t, "make emulators ARCH=arm64 builds them", cli.Hint(err))

	archs := elfmagic.Archs()
	built(t, dir, archs[1:]...)
	got, err = choose("")
	require.NoError(t, err)
	assert.Empty(t, got, "one is missing: Debian's")
	_, err = choose("built")
	assert.EqualError(t, err, dir+" has no emulators of "+archs[0].Name)
	got, err = Choice{Word: "built", Root: root, Host: host, Some: true}.Dir()
	require.NoError(t, err)
	assert.Equal(t, dir, got, "some are enough")
	got, err = Choice{Root: root, Host: host, Some: true}.Dir()
	require.NoError(t, err)
	assert.Empty(t, got, "but only if they are asked for")

	built(t, dir, archs...)
	for word, want := range map[string]string{"": dir, "built": dir, "debian": "", root: root} {
		got, err := choose(word)
		require.NoError(t, err, word)
		assert.Equal(t, want, got, word)
	}
	got, err = choose("debian:trixie")
	require.NoError(t, err)
	assert.Empty(t, got, "to be fetched, even where Debian's are installed")
	for _, word := range []string{"debian:", "debian:../x", "debian:a b"} {
		_, err = choose(word)
		assert.ErrorContains(t, err, "is not the name of a suite of Debian's", word)
	}
	_, err = choose("ours")
	assert.EqualError(t, err, `emulators "ours" are neither debian nor built, nor a directory`)
	assert.NotEmpty(t, cli.Hint(err))
}

func TestADirectoryMayHaveEmulatorsOfSeveralHosts(t *testing.T) {
	native := lookup(t, runtime.GOARCH)
	if !has(Installed, native) {
		t.Skip("no static emulators in ", Installed)
	}
	dir := t.TempDir()
	require.NoError(t, os.Symlink(Installed, filepath.Join(dir, native.GOARCH)))
	for _, host := range []*elfmagic.Arch{native, lookup(t, "riscv64")} {
		got, err := Choice{Word: dir, Host: host}.Dir()
		require.NoError(t, err)
		if host == native {
			assert.Equal(t, filepath.Join(dir, native.GOARCH), got)
		} else {
			assert.Equal(t, dir, got, "it has none of this host's own")
		}
	}
}

// Those that are installed here are Debian's for this host, and no other.
func TestDebiansEmulatorsMayBeInstalled(t *testing.T) {
	native := lookup(t, runtime.GOARCH)
	if !has(Installed, native) {
		t.Skip("no static emulators in ", Installed)
	}
	for _, test := range []struct {
		host      string
		installed bool
		want      string
	}{{native.Name, true, Installed}, {native.Name, false, ""}, {"riscv64", true, ""}} {
		for _, word := range []string{"debian", ""} {
			got, err := Choice{Word: word, Root: t.TempDir(), Host: lookup(t, test.host), Installed: test.installed}.Dir()
			require.NoError(t, err)
			assert.Equal(t, test.want, got, test)
		}
	}
}

func TestBuiltEmulatorsSayWhatTheyAreMadeOf(t *testing.T) {
	arm := lookup(t, "arm")
	dir := t.TempDir()
	m := built(t, dir, arm)
	path := filepath.Join(dir, "qemu-arm-static")
	require.NoError(t, os.WriteFile(path, []byte("an emulator"), 0o755))
	e := &emulator.Emulator{Arch: arm, Host: lookup(t, "amd64"), Path: path, Version: "10.2.2 (Debian 1:10.2.2+ds-1, go-build 1 patch 01)"}
	o, err := readOrigin(t.Context(), path, t.Logf)
	require.NoError(t, err)
	assert.Equal(t, "qemu 1:10.2.2+ds-1 (source)", o.String())
	programs := func() ([]Program, error) {
		return Emulators{[]*emulator.Emulator{e}, o}.Programs(func(*emulator.Emulator) string { return "it" })
	}
	_, err = programs()
	assert.EqualError(t, err, path+" is not what manifest.json beside it says")

	sum, err := file.SHA256(path)
	require.NoError(t, err)
	o.manifest.Emulators[0].SHA256 = sum
	got, err := programs()
	require.NoError(t, err)
	source := "built from Debian's source qemu 1:10.2.2+ds-1: qemu.orig.tar.xz (sha256 aa); patches: 00-profile.patch (sha256 bb)"
	want := Program{
		Path: "it", Package: "qemu", Version: e.Version, SHA256: sum,
		PURL: "pkg:deb/debian/qemu@1%3A10.2.2%2Bds-1?arch=source", Source: source, License: "GPL-2.0-only",
		Location: "https://snapshot.debian.org/package/qemu/1:10.2.2+ds-1/", Libraries: []Library{{m.Sources[0], "LGPL-2.1-or-later"}},
	}
	assert.Equal(t, []Program{want}, got, "it is none of Debian's packages")

	document, license, err := Whole{Name: "x", Tool: "t"}.document(got, nil)
	require.NoError(t, err)
	assert.Equal(t, "GPL-2.0-only AND LGPL-2.1-or-later", license)
	d := spdx.Parse(t, document)
	p := d.Package(t, "it")
	assert.Equal(t, source, p.SourceInfo)
	assert.Equal(t, want.PURL, p.ExternalRefs[0].ReferenceLocator)
	assert.Equal(t, want.Location, p.DownloadLocation)
	assert.Contains(t, d.Related(), "it STATIC_LINK glibc")
}

// given returns what is distributed with emulators, by name.
func given(t *testing.T, o Origin) map[string]string {
	t.Helper()
	files, err := o.Files(t.TempDir())
	require.NoError(t, err)
	all := make(map[string]string)
	for _, f := range files {
		text, err := os.ReadFile(f.Source)
		require.NoError(t, err)
		all[strings.TrimPrefix(f.Name, "usr/share/go-build/")] = string(text)
	}
	assert.Contains(t, all["licenses/SOURCE"], "For three years from the day")
	assert.Contains(t, all["licenses/SOURCE"], "https://github.com/projectcalico/go-build/issues")
	return all
}

func TestBuiltEmulatorsAreGivenWithTheirLicencesAndPatches(t *testing.T) {
	dir := t.TempDir()
	built(t, dir, lookup(t, "arm"))
	o, err := readOrigin(t.Context(), filepath.Join(dir, "qemu-arm-static"), t.Logf)
	require.NoError(t, err)
	all := given(t, o)
	assert.Equal(t, "the GPL", all["licenses/qemu/COPYING"])
	assert.Equal(t, "a patch", all["licenses/qemu/00-profile.patch"])
	assert.Contains(t, all["emulators.json"], `"00-profile.patch"`)
	for _, want := range []string{
		"  qemu 1:10.2.2+ds-1, GPL-2.0-only\n    https://snapshot.debian.org/package/qemu/1:10.2.2+ds-1/\n",
		"  glibc 2.41-12, LGPL-2.1-or-later\n    https://snapshot.debian.org/package/glibc/2.41-12/\n",
		"with the patches in the directory qemu",
	} {
		assert.Contains(t, all["licenses/SOURCE"], want)
	}

	require.NoError(t, os.RemoveAll(filepath.Join(dir, qemu.LicenseDir)))
	_, err = readOrigin(t.Context(), filepath.Join(dir, "qemu-arm-static"), t.Logf)
	assert.EqualError(t, err, dir+" has no licences of what is linked into the emulators")
	assert.Equal(t, "make emulators puts them there", cli.Hint(err))
}

func TestDebiansEmulatorsAreGivenWithTheirLicences(t *testing.T) {
	if _, err := os.Stat("/usr/share/common-licenses/GPL-2"); err != nil {
		t.Skip("this is not Debian: ", err)
	}
	root := t.TempDir()
	write(t, filepath.Join(root, "usr/share/doc/qemu-user/copyright"), "see /usr/share/common-licenses/LGPL-2.")
	write(t, filepath.Join(root, "usr/bin", originFile), `{"Package": {"name": "qemu-user", "version": "1:11+b1"},
		"Source": {"name": "qemu", "version": "1:11"}, "Using": [{"name": "zlib", "version": "1:1.3"}]}`)
	o, err := readOrigin(t.Context(), filepath.Join(root, "usr/bin/qemu-arm"), t.Logf)
	require.NoError(t, err)
	assert.Equal(t, "qemu-user 1:11+b1", o.String())
	all := given(t, o)
	for _, want := range []string{
		"of Debian's package qemu-user 1:11+b1", "  qemu 1:11, GPL-2.0-only\n    https://snapshot.debian.org/package/qemu/1:11/\n",
		"  zlib 1:1.3, Zlib\n    https://snapshot.debian.org/package/zlib/1:1.3/\n",
	} {
		assert.Contains(t, all["licenses/SOURCE"], want)
	}
	for name, want := range map[string]string{
		"copyright": "see ", "GPL-2": "GNU GENERAL PUBLIC LICENSE", "LGPL-2": "GNU LIBRARY GENERAL PUBLIC LICENSE", "LGPL-2.1": "GNU LESSER GENERAL PUBLIC LICENSE",
	} {
		assert.Contains(t, all["licenses/qemu/"+name], want)
	}

	p := Program{Version: "11"}
	o.describe(&p, "arm64")
	assert.Equal(t, Program{
		Package: "qemu-user", Version: "1:11+b1", PURL: "pkg:deb/debian/qemu-user@1%3A11%2Bb1?arch=arm64", License: "GPL-2.0-only",
		Location: "https://snapshot.debian.org/package/qemu/1:11/", Libraries: []Library{{debian.Package{Name: "zlib", Version: "1:1.3"}, "Zlib"}},
	}, p)
}

func TestInstalledEmulatorsAreOfAPackage(t *testing.T) {
	found, _, err := findEmulators(lookup(t, runtime.GOARCH), Installed)
	if err != nil {
		t.Skip("no static emulators in ", Installed)
	}
	o, err := readOrigin(t.Context(), found[0].Path, t.Logf)
	require.NoError(t, err)
	if o.Package.Name == "" {
		t.Skip("they are of no package of Debian's")
	}
	assert.Equal(t, "qemu", o.Source.Name)
	assert.Contains(t, given(t, o)["licenses/SOURCE"], "  glibc ")
}

func TestEmulatorsOfUnknownOriginAreSaidToBe(t *testing.T) {
	path := filepath.Join(t.TempDir(), "qemu-arm-static")
	write(t, path, "an emulator")
	said := ""
	o, err := readOrigin(t.Context(), path, func(format string, args ...any) { said += fmt.Sprintf(format, args...) })
	if errors.Is(err, os.ErrNotExist) {
		t.Skip("this is not Debian: ", err)
	}
	require.NoError(t, err)
	assert.Contains(t, said, "warning: it is not known where the emulators in "+filepath.Dir(path)+" are from")
	all := given(t, o)
	assert.Contains(t, all["licenses/SOURCE"], "do not distribute them")
	assert.NotContains(t, all["licenses/SOURCE"], filepath.Dir(path), "the same everywhere")
	assert.Contains(t, all, "licenses/qemu/GPL-2")
	p := Program{Path: "it"}
	o.describe(&p, "arm64")
	assert.Equal(t, Program{Path: "it", Package: "qemu", License: "GPL-2.0-only"}, p)
}
