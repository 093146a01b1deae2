package file_test

import (
	"errors"
	"io"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/projectcalico/go-build/internal/file"
)

func TestAFileIsReplacedWholeOrNotAtAll(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "file")
	for _, content := range []string{"one", "another"} {
		require.NoError(t, file.ReplaceWith(path, 0o751, []byte(content)))
		got, err := os.ReadFile(path)
		require.NoError(t, err)
		assert.Equal(t, content, string(got))
		info, err := os.Stat(path)
		require.NoError(t, err)
		assert.EqualValues(t, 0o751, info.Mode().Perm())
	}
	err := file.Replace(path, 0o644, func(w io.Writer) error {
		_, err := w.Write([]byte("half of"))
		return errors.Join(err, io.ErrUnexpectedEOF)
	})
	require.ErrorIs(t, err, io.ErrUnexpectedEOF)
	got, err := os.ReadFile(path)
	require.NoError(t, err)
	assert.Equal(t, "another", string(got))
	require.ErrorIs(t, file.ReplaceWith(filepath.Join(dir, "no", "file"), 0o644, nil), os.ErrNotExist)
	entries, err := os.ReadDir(dir)
	require.NoError(t, err)
	assert.Len(t, entries, 1, "nothing else is left")
}

func TestSHA256IsTheDigestOfAPath(t *testing.T) {
	path := write(t, filepath.Join(t.TempDir(), "file"), []byte("abc"))
	sum, err := file.SHA256(path)
	require.NoError(t, err)
	assert.Equal(t, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad", sum)
	_, err = file.SHA256(path + "-missing")
	assert.ErrorIs(t, err, os.ErrNotExist)
}
