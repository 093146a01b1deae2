package guests

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestLinksPointBelowTheRoot(t *testing.T) {
	root := t.TempDir()
	require.NoError(t, os.MkdirAll(filepath.Join(root, "usr/lib"), 0o755))
	require.NoError(t, os.MkdirAll(filepath.Join(root, "lib64"), 0o755))
	require.NoError(t, os.WriteFile(filepath.Join(root, "usr/lib/ld.so"), []byte("loader"), 0o644))
	require.NoError(t, os.Symlink("/usr/lib/ld.so", filepath.Join(root, "lib64/ld.so.1")))
	require.NoError(t, os.Symlink("ld.so", filepath.Join(root, "usr/lib/ld.so.1")))
	for range 2 {
		require.NoError(t, relink(root))
		text, err := os.ReadFile(filepath.Join(root, "lib64/ld.so.1"))
		require.NoError(t, err)
		assert.Equal(t, "loader", string(text))
		to, err := os.Readlink(filepath.Join(root, "usr/lib/ld.so.1"))
		require.NoError(t, err)
		assert.Equal(t, "ld.so", to)
	}
}

func TestFunctionsAreNoneLikeAnother(t *testing.T) {
	text := Functions(3)
	assert.Equal(t, text, Functions(3))
	assert.Equal(t, 4, strings.Count(text, "\nlong walk(")+strings.Count(text, "\nstatic long walk"))
}
