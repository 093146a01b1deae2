package qemu

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/projectcalico/go-build/image/debian"
)

func TestFixesAreBetweenTwoVersionsOfASeries(t *testing.T) {
	for _, c := range []struct{ versions, want string }{
		{"1:10.0.13+ds-0+deb13u1 1:10.0.6+ds-1 1:10.0.2+ds-2+deb13u1~bpo12+1", "1:10.0.2+ds-2+deb13u1~bpo12+1 1:10.0.13+ds-0+deb13u1"},
		{"1:11.1.3+ds-1 1:11.1.2+ds-3 1:10.0.13+ds-0", "1:11.1.2+ds-3 1:11.1.3+ds-1"},
		{"1:11.1.3+ds-1 1:10.0.2+ds-1", ""},
		{"1:10.0.13+ds-0", ""},
		{"", ""},
	} {
		assert.Equal(t, strings.Fields(c.want), append([]string{}, chooseFixes(strings.Fields(c.versions))...), c.versions)
	}
}

// tree makes a directory of files.
func aTree(t *testing.T, files map[string]string) string {
	dir := t.TempDir()
	for name, content := range files {
		path := filepath.Join(dir, name)
		require.NoError(t, os.MkdirAll(filepath.Dir(path), 0o755))
		require.NoError(t, os.WriteFile(path, []byte(content), 0o644))
	}
	return dir
}

func TestFixesAreMergedWhereTheyFit(t *testing.T) {
	const old = "a\nb\nc\nd\ne\nf\ng\n"
	from := aTree(t, map[string]string{
		"linux-user/fits.c": old, "linux-user/differs.c": old, "linux-user/has.c": old, "linux-user/same.c": old, "linux-user/gone.c": old,
		"linux-user/one\"name\\.c": old, "target/i386/kvm/kvm.c": old, "hw/net/nic.c": old, "util/meson.build": old,
	})
	fixed := strings.Replace(strings.Replace(old, "b\n", "B\n", 1), "f\n", "f1\nf2\n.\n1d\n", 1)
	to := aTree(t, map[string]string{
		"linux-user/fits.c": fixed, "linux-user/differs.c": fixed, "linux-user/has.c": fixed, "linux-user/same.c": old, "linux-user/gone.c": fixed,
		"linux-user/one\"name\\.c": fixed, "linux-user/new.c": "new\n", "target/i386/kvm/kvm.c": fixed, "hw/net/nic.c": fixed, "util/meson.build": fixed,
	})
	ours := map[string]string{
		"linux-user/fits.c": "0\n" + old, "linux-user/differs.c": strings.Replace(old, "b\n", "other\n", 1), "linux-user/has.c": fixed, "linux-user/same.c": "0\n" + old,
		"linux-user/one\"name\\.c": old, "target/i386/kvm/kvm.c": old, "hw/net/nic.c": old, "util/meson.build": old,
	}
	tree := aTree(t, ours)
	require.NoError(t, os.Chmod(filepath.Join(tree, "linux-user/fits.c"), 0o755))
	merged, left, err := merge(t.Context(), tree, from, to)
	require.NoError(t, err)
	assert.Equal(t, 2+1+2, merged)
	assert.Equal(t, 1, left)

	want := ours
	want["linux-user/fits.c"] = "0\n" + fixed
	want["linux-user/differs.c"] = strings.Replace(fixed, "B\n", "other\n", 1)
	want["linux-user/one\"name\\.c"] = fixed
	for name, content := range want {
		got, err := os.ReadFile(filepath.Join(tree, name))
		require.NoError(t, err)
		assert.Equal(t, content, string(got), name)
	}
	assert.NoFileExists(t, filepath.Join(tree, "linux-user/gone.c"))
	assert.NoFileExists(t, filepath.Join(tree, "linux-user/new.c"))
	st, err := os.Stat(filepath.Join(tree, "linux-user/fits.c"))
	require.NoError(t, err)
	assert.Equal(t, os.FileMode(0o755), st.Mode().Perm())
}

func TestFixesThatCannotBeReadAreAnError(t *testing.T) {
	from, to := aTree(t, map[string]string{"tcg/a.c": "a\n"}), aTree(t, map[string]string{"tcg/a.c": "b\n"})
	tree := t.TempDir()
	require.NoError(t, os.MkdirAll(filepath.Join(tree, "tcg/a.c"), 0o755))
	_, _, err := merge(t.Context(), tree, from, to)
	assert.ErrorContains(t, err, "diff3 ")
}

func TestFixesAreSaidAndCounted(t *testing.T) {
	with := aSource
	with.Fixes = []Source{
		{Version: "1:10.0.2+ds-2", Files: []debian.File{{Name: "qemu_10.0.2+ds.orig.tar.xz", SHA256: "2"}}},
		{Version: "1:10.0.13+ds-0", Files: []debian.File{{Name: "qemu_10.0.13+ds.orig.tar.xz", SHA256: "13"}}},
	}
	assert.Regexp(t, `^Debian 1:10\.2\.2\+ds-1 with fixes of 10\.0\.13, go-build 1 patch [0-9a-f]{10}$`, pkgVersion(with, []Patch{{Name: "00-a.patch"}}))

	key := func(source Source, rest ...Patch) string {
		return (&Builder{source: source, rest: rest}).sourceInputs().key()
	}
	assert.NotEqual(t, key(aSource), key(with))
	assert.NotEqual(t, key(with), key(with, Patch{"rest.patch", "", "1"}))
	assert.Equal(t, key(aSource), key(aSource, Patch{"rest.patch", "", "1"}), "is of fixes")
	other := with
	other.Fixes = []Source{with.Fixes[0], {Version: "1:10.0.14+ds-0"}}
	assert.NotEqual(t, key(with), key(other))
}

// A mirror that lacked them once is asked again only where that is wanted.
func TestWhatIsRememberedWithoutFixesSaysSo(t *testing.T) {
	said := func(source Source, plain bool) (text string) {
		b := &Builder{Plain: plain, source: source, Say: func(format string, args ...any) { text += fmt.Sprintf(format, args...) }}
		b.sayWithout(t.Context())
		return text
	}
	assert.Equal(t, "warning: QEMU 10.2.2 is without the fixes of Debian stable's QEMU: --update looks for them again", said(aSource, false))
	assert.Empty(t, said(aSource, true))
	with, newer := aSource, aSource
	with.Fixes = []Source{{Version: "1:10.0.2+ds-2"}, {Version: "1:10.0.13+ds-0"}}
	newer.Version = "1:11.1.3+ds-1"
	assert.Empty(t, said(with, false))
	assert.Empty(t, said(newer, false))
}
