package file_test

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/projectcalico/go-build/internal/file"
)

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

	pipe := filepath.Join(dir, "pipe")
	require.NoError(t, unix.Mkfifo(pipe, 0o600))
	_, err = file.Same(f, pipe)
	assert.ErrorIs(t, err, file.ErrNotRegular, "it does not wait for the pipe's other end")

	require.NoError(t, os.Remove(path))
	assert.False(t, same(write(t, path, large[:5])), "it is the open file that counts, not its name")
}
