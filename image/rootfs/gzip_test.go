package rootfs_test

import (
	"bytes"
	"compress/gzip"
	"io"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/projectcalico/go-build/image/rootfs"
)

func TestAnArchiveIsCompressedByItsName(t *testing.T) {
	dir := t.TempDir()
	files := []rootfs.File{{Name: "usr/file", Source: source(t, "content"), Mode: 0o644}}
	for _, name := range []string{"a.tar", "a.tar.gz", "b.tar.gz"} {
		require.NoError(t, rootfs.WriteFile(filepath.Join(dir, name), files, when))
	}
	read := func(name string) []byte {
		data, err := os.ReadFile(filepath.Join(dir, name))
		require.NoError(t, err)
		return data
	}
	assert.Equal(t, read("a.tar.gz"), read("b.tar.gz"), "neither its name nor the time is in it")
	zip, err := gzip.NewReader(bytes.NewReader(read("a.tar.gz")))
	require.NoError(t, err)
	plain, err := io.ReadAll(zip)
	require.NoError(t, err)
	assert.Equal(t, read("a.tar"), plain)
}
