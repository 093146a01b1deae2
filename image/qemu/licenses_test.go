package qemu

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/projectcalico/go-build/image/debian"
)

func TestLicencesAndPatchesAreBesideTheEmulators(t *testing.T) {
	if _, err := os.Stat("/usr/share/common-licenses/GPL-2"); err != nil {
		t.Skip("this is not Debian: ", err)
	}
	write := func(text string, elements ...string) {
		path := filepath.Join(elements...)
		require.NoError(t, os.MkdirAll(filepath.Dir(path), 0o755))
		require.NoError(t, os.WriteFile(path, []byte(text), 0o644))
	}
	patch, err := parsePatch("00-a.patch", []byte(aPatch))
	require.NoError(t, err)
	b := Builder{
		Root: t.TempDir(), Host: arch(t, "x86_64"), Out: t.TempDir(), cache: t.TempDir(), source: aSource, patches: []Patch{patch},
		libs:     []debian.File{{Name: "zlib1g-dev_1%3a1_amd64.deb"}, {Name: "libgcc-14-dev_14_amd64.deb"}, {Name: "libc6-dev_2_amd64.deb"}},
		sysroots: map[string]string{"x86_64": t.TempDir()},
	}
	write(aPatch, b.Root, "image/qemu/patches/00-a.patch")
	for _, name := range []string{"COPYING", "COPYING.LIB", "LICENSE", "debian/copyright"} {
		write("QEMU's "+name, b.sourceDir(), name)
	}
	docs := filepath.Join(b.sysroots["x86_64"], "usr/share/doc")
	write("see /usr/share/common-licenses/LGPL-3.", docs, "libc6-dev/copyright")
	write("", b.Out, LicenseDir, "old")
	assert.ErrorIs(t, b.installLicenses(), os.ErrNotExist, "zlib's is not there")
	write("zlib's", docs, "zlib1g-dev/copyright")
	require.NoError(t, b.installLicenses())
	for name, want := range map[string]string{
		"COPYING": "QEMU's COPYING", "COPYING.LIB": "QEMU's COPYING.LIB", "LICENSE": "QEMU's LICENSE", "copyright": "QEMU's debian/copyright",
		"00-a.patch": aPatch, "libc6-dev.copyright": "common-licenses/LGPL-3.", "zlib1g-dev.copyright": "zlib's",
		"GPL-2": "Version 2, June 1991", "LGPL-2.1": "Version 2.1", "LGPL-3": "Version 3",
	} {
		text, err := os.ReadFile(filepath.Join(b.Out, LicenseDir, name))
		require.NoError(t, err)
		assert.Contains(t, string(text), want)
	}
	names, err := os.ReadDir(filepath.Join(b.Out, LicenseDir))
	require.NoError(t, err)
	assert.Len(t, names, 10, "and nothing else")
}
