package kerneltest

import (
	"errors"
	"flag"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

var update = flag.Bool("update", false, "write the files in testdata instead of comparing with them")

// Updating reports whether golden files are written instead of compared with.
func Updating() bool { return *update }

// Golden compares text with the file of that name in testdata.
func Golden(t *testing.T, name, text string) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if *update {
		// Where tests run once more as an ordinary user, that may not write.
		if err := os.WriteFile(path, []byte(text), 0o644); !errors.Is(err, os.ErrPermission) {
			require.NoError(t, err)
		}
	}
	want, err := os.ReadFile(path)
	require.NoError(t, err)
	assert.Equal(t, string(want), text, "go test -update writes it")
}
