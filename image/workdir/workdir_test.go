package workdir_test

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/projectcalico/go-build/image/workdir"
	"github.com/projectcalico/go-build/internal/cli"
)

func TestOnlyWhatIsNobodyElsesIsClaimed(t *testing.T) {
	dir := t.TempDir()
	for _, fresh := range []string{dir, filepath.Join(dir, "a", "b")} {
		require.NoError(t, workdir.Claim(fresh))
		require.NoError(t, os.WriteFile(filepath.Join(fresh, "made"), nil, 0o644))
		require.NoError(t, workdir.Claim(fresh), "it was claimed before")
	}
	others := t.TempDir()
	require.NoError(t, os.Mkdir(filepath.Join(others, "work"), 0o755))
	err := workdir.Claim(others)
	assert.EqualError(t, err, others+" holds files that were not made here, and might be replaced or removed")
	assert.Contains(t, cli.Hint(err), "touch "+others+"/.go-build")
	assert.NoFileExists(t, filepath.Join(others, ".go-build"))
	require.NoError(t, os.WriteFile(filepath.Join(others, ".go-build"), nil, 0o644))
	assert.NoError(t, workdir.Claim(others), "somebody said so")

	file := filepath.Join(others, "file")
	require.NoError(t, os.WriteFile(file, nil, 0o644))
	assert.Error(t, workdir.Claim(file))
}

func TestACacheThatCannotBeHadHasAHint(t *testing.T) {
	cache := t.TempDir()
	t.Setenv("XDG_CACHE_HOME", cache)
	dir, err := workdir.Cache("a", "b")
	require.NoError(t, err)
	assert.Equal(t, filepath.Join(cache, "calico-go-build/a/b"), dir)
	assert.DirExists(t, dir)
	t.Setenv("HOME", "")
	file := filepath.Join(cache, "file")
	require.NoError(t, os.WriteFile(file, nil, 0o644))
	cannot := []string{"", "relative", file}
	if _, err := os.Stat("/sys/kernel"); err == nil {
		cannot = append(cannot, "/sys/kernel") // whoever one is
	}
	for _, cache := range cannot {
		t.Setenv("XDG_CACHE_HOME", cache)
		_, err := workdir.Cache("a")
		require.Error(t, err, cache)
		assert.Contains(t, cli.Hint(err), "XDG_CACHE_HOME", cache)
	}
	if os.Geteuid() == 0 {
		t.Skip("root may write to every directory")
	}
	require.NoError(t, os.Chmod(dir, 0o555))
	t.Setenv("XDG_CACHE_HOME", cache)
	_, err = workdir.Cache("a", "b")
	assert.ErrorContains(t, err, "write "+dir+": permission denied")
	assert.Contains(t, cli.Hint(err), "XDG_CACHE_HOME")
}
