package file_test

import (
	"crypto/sha256"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/projectcalico/go-build/internal/file"
)

func write(t *testing.T, path string, data []byte) string {
	t.Helper()
	require.NoError(t, os.WriteFile(path, data, 0o600))
	return path
}

func TestContentIsCompared(t *testing.T) {
	dir := t.TempDir()
	large := make([]byte, 192<<10) // a multiple of the pieces in which it is read
	path := write(t, filepath.Join(dir, "a"), large)
	f, err := os.Open(path)
	require.NoError(t, err)
	defer f.Close()
	same := func(path string) bool {
		same, err := file.Same(f, path)
		require.NoError(t, err)
		return same
	}
	assert.True(t, same(path))
	assert.True(t, same(write(t, filepath.Join(dir, "copy"), large)))
	assert.False(t, same(write(t, filepath.Join(dir, "shorter"), large[1:])))
	assert.False(t, same(write(t, filepath.Join(dir, "longer"), append(large, 0))))
	for _, at := range []int{0, 64<<10 - 1, 64 << 10, 150 << 10, len(large) - 1} {
		large[at] = 1
		assert.False(t, same(write(t, filepath.Join(dir, "other"), large)), "they differ at %d", at)
		large[at] = 0
	}
	_, err = file.Same(f, filepath.Join(dir, "missing"))
	assert.ErrorIs(t, err, os.ErrNotExist)

	require.NoError(t, os.Remove(path))
	assert.False(t, same(write(t, path, large[:5])), "it is the open file that counts, not its name")
}

func TestDigestIsOfTheWholeFileWhereverItWasReadTo(t *testing.T) {
	data := []byte(strings.Repeat("content", 20000))
	f, err := os.Open(write(t, filepath.Join(t.TempDir(), "file"), data))
	require.NoError(t, err)
	defer f.Close()
	_, err = f.Seek(77, 0)
	require.NoError(t, err)
	digest, err := file.Digest(f)
	require.NoError(t, err)
	assert.Equal(t, fmt.Sprintf("sha256:%x", sha256.Sum256(data)), digest)
}
