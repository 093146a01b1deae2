package artifacts

import (
	"encoding/json"
	"os"
	"path/filepath"
	"runtime"
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
)

// built writes a manifest of emulators for some targets.
func built(t *testing.T, dir string, targets ...*elfmagic.Arch) *qemu.Manifest {
	t.Helper()
	m := &qemu.Manifest{
		Debian: "1:10.2.2+ds-1", Source: []qemu.SourceArchive{{Name: "qemu.orig.tar.xz", SHA256: "aa"}},
		Patches: []qemu.Patch{{Name: "00-profile.patch", SHA256: "bb"}},
	}
	for _, a := range targets {
		m.Emulators = append(m.Emulators, qemu.Built{Target: a.Name, SHA256: "cc-" + a.Name})
	}
	require.NoError(t, os.MkdirAll(dir, 0o755))
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
	programs := func(dir string, pack debian.Package) ([]Program, error) {
		return EmulatorPrograms([]*emulator.Emulator{e}, dir, pack, func(*emulator.Emulator) string { return "it" })
	}
	_, err := programs(dir, debian.Package{})
	assert.EqualError(t, err, path+" is not what manifest.json beside it says")

	sum, err := file.SHA256(path)
	require.NoError(t, err)
	m.Emulators[0].SHA256 = sum
	require.NoError(t, jsonfile.Write(filepath.Join(dir, qemu.ManifestFile), m))
	got, err := programs(dir, debian.Package{})
	require.NoError(t, err)
	source := "built from Debian's source qemu 1:10.2.2+ds-1: qemu.orig.tar.xz (sha256 aa); patches: 00-profile.patch (sha256 bb)"
	assert.Equal(t, []Program{{
		Path: "it", Package: "qemu", Version: e.Version, SHA256: sum,
		PURL: "pkg:deb/debian/qemu@1%3A10.2.2%2Bds-1?arch=source", Source: source,
	}}, got, "it is none of Debian's packages")

	unknown, err := programs(t.TempDir(), debian.Package{})
	require.NoError(t, err)
	assert.Equal(t, []Program{{Path: "it", Package: "qemu", Version: e.Version, SHA256: sum}}, unknown)

	packaged, err := programs(t.TempDir(), debian.Package{Name: "qemu-user", Version: "1:11.1+a"})
	require.NoError(t, err)
	assert.Equal(t, []Program{{
		Path: "it", Package: "qemu-user", Version: "1:11.1+a", SHA256: sum, PURL: "pkg:deb/debian/qemu-user@1%3A11.1%2Ba?arch=amd64",
	}}, packaged)

	document, err := Whole{}.Document(got)
	require.NoError(t, err)
	var d spdx
	require.NoError(t, json.Unmarshal(document, &d))
	assert.Equal(t, source, d.Packages[1].SourceInfo)
	assert.Equal(t, got[0].PURL, d.Packages[1].ExternalRefs[0].ReferenceLocator)
}
