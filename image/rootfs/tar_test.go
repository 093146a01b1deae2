package rootfs_test

import (
	"archive/tar"
	"bytes"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/projectcalico/go-build/image/rootfs"
)

var when = time.Unix(1700000000, 0).UTC()

func source(t *testing.T, content string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "file")
	require.NoError(t, os.WriteFile(path, []byte(content), 0o600))
	return path
}

func TestArchivesHoldFilesAndTheirDirectories(t *testing.T) {
	var archive bytes.Buffer
	require.NoError(t, rootfs.Write(&archive, []rootfs.File{
		{Name: "usr/bin/link", Target: "tool"},
		{Name: "usr/bin/tool", Source: source(t, "content"), Mode: 0o755},
		{Name: "etc/conf", Source: source(t, ""), Mode: 0o644},
		{Name: "top", Source: source(t, "x"), Mode: 0o600},
	}, when))
	var got []string
	for r := tar.NewReader(&archive); ; {
		h, err := r.Next()
		if err == io.EOF {
			break
		}
		require.NoError(t, err)
		content, err := io.ReadAll(r)
		require.NoError(t, err)
		assert.Zero(t, h.Uid+h.Gid)
		assert.True(t, h.ModTime.Equal(when), h.Name)
		got = append(got, fmt.Sprintf("%c %o %s %s%s", h.Typeflag, h.Mode, h.Name, h.Linkname, content))
	}
	assert.Equal(t, []string{
		"5 755 etc/ ", "0 644 etc/conf ", "0 600 top x", "5 755 usr/ ", "5 755 usr/bin/ ", "2 777 usr/bin/link tool", "0 755 usr/bin/tool content",
	}, got)
}

// Neither the order in which files are named, nor their times, modes and owners
// on the machine that makes the archive, are in it.
func TestTheSameFilesMakeTheSameArchive(t *testing.T) {
	a, b := source(t, "a"), source(t, "b")
	var first, second bytes.Buffer
	files := []rootfs.File{{Name: "d/a", Source: a, Mode: 0o644}, {Name: "d/b", Source: b, Mode: 0o644}}
	require.NoError(t, rootfs.Write(&first, files, when))
	require.NoError(t, os.Chtimes(a, when, when))
	require.NoError(t, os.Chmod(b, 0o777))
	require.NoError(t, rootfs.Write(&second, []rootfs.File{files[1], files[0]}, when))
	assert.Equal(t, first.Bytes(), second.Bytes())

	require.NoError(t, os.WriteFile(a, []byte("c"), 0o600))
	second.Reset()
	require.NoError(t, rootfs.Write(&second, files, when))
	assert.NotEqual(t, first.Bytes(), second.Bytes())
}

func TestAMissingFileIsAnError(t *testing.T) {
	err := rootfs.Write(io.Discard, []rootfs.File{{Name: "d/a", Source: "/no/such/file"}}, when)
	assert.ErrorIs(t, err, os.ErrNotExist)
	assert.ErrorContains(t, err, "d/a: ")
}
