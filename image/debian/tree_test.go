package debian

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestLinksStayInATree(t *testing.T) {
	dir := t.TempDir()
	require.NoError(t, os.MkdirAll(filepath.Join(dir, "usr/lib64"), 0o755))
	require.NoError(t, os.Symlink("usr/lib64", filepath.Join(dir, "lib64")))
	require.NoError(t, os.Symlink("/usr/lib/ld.so.1", filepath.Join(dir, "usr/lib64/ld.so.1")))
	require.NoError(t, relative(dir))
	target, err := os.Readlink(filepath.Join(dir, "usr/lib64/ld.so.1"))
	require.NoError(t, err)
	assert.Equal(t, "../lib/ld.so.1", target)
	target, err = os.Readlink(filepath.Join(dir, "lib64"))
	require.NoError(t, err)
	assert.Equal(t, "usr/lib64", target)
}

func TestLinksPointBelowTheRoot(t *testing.T) {
	root := t.TempDir()
	require.NoError(t, os.MkdirAll(filepath.Join(root, "usr/lib"), 0o755))
	require.NoError(t, os.MkdirAll(filepath.Join(root, "lib64"), 0o755))
	require.NoError(t, os.WriteFile(filepath.Join(root, "usr/lib/ld.so"), []byte("loader"), 0o644))
	require.NoError(t, os.Symlink("/usr/lib/ld.so", filepath.Join(root, "lib64/ld.so.1")))
	require.NoError(t, os.Symlink("ld.so", filepath.Join(root, "usr/lib/ld.so.1")))
	for range 2 {
		require.NoError(t, relative(root))
		text, err := os.ReadFile(filepath.Join(root, "lib64/ld.so.1"))
		require.NoError(t, err)
		assert.Equal(t, "loader", string(text))
		to, err := os.Readlink(filepath.Join(root, "usr/lib/ld.so.1"))
		require.NoError(t, err)
		assert.Equal(t, "ld.so", to)
	}
}

// With -L an emulator opens the machine's file where the tree has none.
func TestATreeHasNoLibrariesOfTheMachines(t *testing.T) {
	dir := t.TempDir()
	require.NoError(t, UnpackTree(t.Context(), dir))
	text, err := os.ReadFile(filepath.Join(dir, "etc/ld.so.cache"))
	require.NoError(t, err)
	assert.Empty(t, text)
}
