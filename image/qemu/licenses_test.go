package qemu

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/projectcalico/go-build/image/debian"
)

// licensed puts the licences into the builder's source.
func licensed(t *testing.T, b *Builder) {
	t.Helper()
	for _, name := range []string{"COPYING", "COPYING.LIB", "LICENSE", "debian/copyright"} {
		path := filepath.Join(b.sourceDir(), name)
		require.NoError(t, os.MkdirAll(filepath.Dir(path), 0o755))
		require.NoError(t, os.WriteFile(path, []byte("QEMU's "+name), 0o644))
	}
}

func TestLicencesAndPatchesAreBesideTheEmulators(t *testing.T) {
	if _, err := os.Stat("/usr/share/common-licenses/GPL-2"); err != nil {
		t.Skip("this is not Debian: ", err)
	}
	write := func(text string, elements ...string) {
		path := filepath.Join(elements...)
		require.NoError(t, os.MkdirAll(filepath.Dir(path), 0o755))
		require.NoError(t, os.WriteFile(path, []byte(text), 0o644))
	}
	const aPatch = "Subject: a\n\n--- a/x\n+++ b/x\n"
	b := Builder{
		Root: t.TempDir(), Host: arch(t, "x86_64"), Out: t.TempDir(), cache: t.TempDir(), source: aSource, patches: []Patch{{Name: "00-a.patch"}},
		libs: tree{dir: t.TempDir(), Files: []debian.File{{Name: "zlib1g-dev_1%3a1_amd64.deb"}, {Name: "libgcc-14-dev_14_amd64.deb"}, {Name: "libc6-dev_2_amd64.deb"}}},
	}
	write(aPatch, b.Root, "image/qemu/patches/00-a.patch")
	licensed(t, &b)
	docs := filepath.Join(b.libs.dir, "usr/share/doc")
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
