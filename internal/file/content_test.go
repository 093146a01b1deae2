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
