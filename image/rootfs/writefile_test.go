package rootfs_test

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/projectcalico/go-build/image/rootfs"
)

func TestFilesAreWrittenWholeOrNotAtAll(t *testing.T) {
	dir := t.TempDir()
	archive := filepath.Join(dir, "x.tar")
	files := []rootfs.File{{Name: "a", Source: source(t, "content"), Mode: 0o644}}
	require.NoError(t, rootfs.WriteFile(archive, files, when))
	var want bytes.Buffer
	require.NoError(t, rootfs.Write(&want, files, when))
	got, err := os.ReadFile(archive)
	require.NoError(t, err)
	assert.Equal(t, want.Bytes(), got)

	missing := append(files, rootfs.File{Name: "b", Source: filepath.Join(dir, "nowhere")})
	require.ErrorIs(t, rootfs.WriteFile(archive, missing, when), os.ErrNotExist)
	again, err := os.ReadFile(archive)
	require.NoError(t, err)
	assert.Equal(t, got, again, "the archive that was there stays")
	entries, err := os.ReadDir(dir)
	require.NoError(t, err)
	assert.Len(t, entries, 1, "and nothing else is left")

	require.ErrorIs(t, rootfs.WriteFile(filepath.Join(dir, "no", "x.tar"), files, when), os.ErrNotExist)
}
