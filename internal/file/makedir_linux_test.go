package file_test

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/projectcalico/go-build/internal/file"
)

func TestRootMakesNoDirectoryBelowAUsers(t *testing.T) {
	home := t.TempDir()
	own := filepath.Join(home, ".cache", "crossrun")
	require.NoError(t, file.MakeDir(own))
	require.NoError(t, file.MakeDir(own), "it is there already")
	info, err := os.Stat(own)
	require.NoError(t, err)
	assert.Equal(t, os.FileMode(0o700), info.Mode().Perm())
	if os.Geteuid() != 0 {
		t.Skip("the rest is for root")
	}
	users := filepath.Join(home, "user")
	require.NoError(t, os.Mkdir(users, 0o755))
	if err := os.Chown(users, 1000, 1000); err != nil {
		t.Skipf("no other user here: %v", err)
	}
	assert.EqualError(t, file.MakeDir(filepath.Join(users, ".cache", "crossrun")), users+" belongs to user 1000: root puts nothing there")
	assert.NoDirExists(t, filepath.Join(users, ".cache"))
}
