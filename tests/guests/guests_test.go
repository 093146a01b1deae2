package guests

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/projectcalico/go-build/elfmagic"
	"github.com/projectcalico/go-build/internal/emulator"
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

func TestOldEmulatorsOfI386CrashThreads(t *testing.T) {
	for _, test := range []struct {
		arch, version string
		crashes       bool
	}{{"i386", "7.2.22 (Debian 1:7.2+dfsg-7)", true}, {"i386", "8.0.0", false}, {"i386", "10.0.2", false}, {"i386", "", false}, {"arm", "7.2.22", false}} {
		arch, err := elfmagic.Lookup(test.arch)
		require.NoError(t, err)
		assert.Equal(t, test.crashes, CrashesThreads(arch, &emulator.Emulator{Version: test.version}) != "", "%+v", test)
	}
}
