package crossenv

import (
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/projectcalico/go-build/internal/cli"
)

// foreignGOARCH is a port of Go's that is not the host's.
func foreignGOARCH() string {
	if runtime.GOARCH == "s390x" {
		return "arm64"
	}
	return "s390x"
}

// names returns all files below a directory.
func names(t *testing.T, dir string) []string {
	t.Helper()
	var list []string
	require.NoError(t, filepath.WalkDir(dir, func(path string, d os.DirEntry, err error) error {
		if path != dir {
			list = append(list, strings.TrimPrefix(path, dir+"/"))
		}
		return err
	}))
	return list
}

// newTestTarget returns the target of an architecture's usual name.
func newTestTarget(t *testing.T, name string, o Options) *target {
	t.Helper()
	o.Name = name
	target, err := newTarget(lookup(t, name), o)
	require.NoError(t, err)
	return target
}

func TestFilesAreWrittenIfTheyChange(t *testing.T) {
	name := foreignGOARCH()
	dir := filepath.Join(t.TempDir(), "a", "b")
	target := newTestTarget(t, name, Options{Runner: "/opt/bin/crossrun"})
	link := "bin/go_linux_" + name + "_exec"
	all := []string{"bin", link, "cross.ini", "toolchain.cmake"}
	files := all[1:]

	require.NoError(t, target.writeFiles(dir))
	assert.Equal(t, all, names(t, dir), "and nothing that was in the way to it")
	cmake := target.cmakeToolchain()
	meson, err := target.mesonCrossFile()
	require.NoError(t, err)
	check := func(cmake, meson []byte, runner string) {
		t.Helper()
		got, err := os.ReadFile(filepath.Join(dir, "toolchain.cmake"))
		require.NoError(t, err)
		assert.Equal(t, string(cmake), string(got))
		got, err = os.ReadFile(filepath.Join(dir, "cross.ini"))
		require.NoError(t, err)
		assert.Equal(t, string(meson), string(got))
		to, err := os.Readlink(filepath.Join(dir, link))
		require.NoError(t, err)
		assert.Equal(t, runner, to)
	}
	check(cmake, meson, target.Runner)
	info, err := os.Stat(filepath.Join(dir, "cross.ini"))
	require.NoError(t, err)
	assert.Equal(t, os.FileMode(0o644), info.Mode(), "others may read it")

	inodes := func() []os.FileInfo {
		var list []os.FileInfo
		for _, file := range files {
			info, err := os.Lstat(filepath.Join(dir, file))
			require.NoError(t, err)
			list = append(list, info)
		}
		return list
	}
	past := time.Now().Add(-time.Hour)
	require.NoError(t, os.Chtimes(filepath.Join(dir, "toolchain.cmake"), past, past))
	before := inodes()
	require.NoError(t, target.writeFiles(dir))
	for i, after := range inodes() {
		assert.True(t, os.SameFile(before[i], after), "%s was made again", files[i])
		assert.Equal(t, before[i].ModTime(), after.ModTime(), files[i])
	}

	target.Runner = "/usr/bin/crossrun"
	require.NoError(t, target.writeFiles(dir))
	for i, after := range inodes() {
		assert.False(t, os.SameFile(before[i], after), "%s was changed in place", files[i])
	}
	check([]byte(strings.ReplaceAll(string(cmake), "/opt/", "/usr/")), []byte(strings.ReplaceAll(string(meson), "/opt/", "/usr/")), target.Runner)
	assert.Equal(t, all, names(t, dir))
}

func TestTheHostsOwnFilesHaveNoLink(t *testing.T) {
	dir := t.TempDir()
	require.NoError(t, newTestTarget(t, runtime.GOARCH, Options{Runner: "/opt/bin/crossrun"}).writeFiles(dir))
	assert.Equal(t, []string{"cross.ini", "toolchain.cmake"}, names(t, dir))
}

func TestFilesThatCannotBeWritten(t *testing.T) {
	name := foreignGOARCH()
	target := newTestTarget(t, name, Options{Runner: "/opt/bin/crossrun"})

	dir := t.TempDir()
	assert.Error(t, newTestTarget(t, name, Options{Runner: "/crossrun'"}).writeFiles(dir))
	assert.Empty(t, names(t, dir), "a wrong option writes nothing")

	file := filepath.Join(dir, "file")
	require.NoError(t, os.WriteFile(file, nil, 0o644))
	assert.Error(t, target.writeFiles(file))
	assert.Error(t, target.writeFiles(filepath.Join(file, "x")))

	dir = t.TempDir()
	require.NoError(t, os.MkdirAll(filepath.Join(dir, "cross.ini", "x"), 0o755))
	assert.Error(t, target.writeFiles(dir))
	assert.Equal(t, []string{"cross.ini", "cross.ini/x", "toolchain.cmake"}, names(t, dir), "no temporary file stays")

	dir = t.TempDir()
	link := filepath.Join(dir, "bin", "go_linux_"+name+"_exec")
	require.NoError(t, os.Mkdir(filepath.Join(dir, "bin"), 0o755))
	require.NoError(t, os.WriteFile(link, []byte("mine"), 0o644))
	err := target.writeFiles(dir)
	assert.EqualError(t, err, link+": is there, and is no symbolic link")
	assert.Equal(t, "rm "+link, cli.Hint(err))
	content, err := os.ReadFile(link)
	require.NoError(t, err)
	assert.Equal(t, "mine", string(content))
}

func TestEveryTargetHasADirectoryOfItsOwn(t *testing.T) {
	t.Setenv("XDG_CACHE_HOME", "/cache")
	dir := func(name, sysroot string) string {
		dir, err := newTestTarget(t, name, Options{Sysroot: sysroot}).dir()
		require.NoError(t, err)
		return dir
	}
	assert.Equal(t, "/cache/crossrun/arm64", dir("arm64", ""))
	assert.Equal(t, "/cache/crossrun/arm64", dir("aarch64", ""))
	assert.Equal(t, "/cache/crossrun/armhf", dir("linux/arm/v7", ""))
	assert.Equal(t, "/cache/crossrun/armel", dir("linux/arm/v5", ""))
	assert.Equal(t, "/cache/crossrun/armel-v6", dir("linux/arm/v6", ""))
	assert.Regexp(t, "^/cache/crossrun/arm64-[0-9a-f]{16}$", dir("arm64", "/srv/a"))
	assert.Equal(t, dir("arm64", "/srv/a"), dir("arm64", "/srv/a/"))
	assert.NotEqual(t, dir("arm64", "/srv/a"), dir("arm64", "/srv/b"))

	t.Setenv("XDG_CACHE_HOME", "")
	t.Setenv("HOME", "")
	_, err := Prepare(lookup(t, "arm64"), Options{Runner: "/bin/crossrun"})
	assert.ErrorContains(t, err, "no directory for the toolchain files")
	assert.Equal(t, "set HOME or XDG_CACHE_HOME", cli.Hint(err))
	t.Chdir(t.TempDir())
	t.Setenv("HOME", "~") // which no shell has expanded
	_, err = Prepare(lookup(t, "arm64"), Options{Runner: "/bin/crossrun"})
	assert.EqualError(t, err, "no directory for the toolchain files: HOME=~ is not an absolute path")
	assert.Equal(t, "set HOME or XDG_CACHE_HOME", cli.Hint(err))
	_, err = Prepare(lookup(t, "hexagon"), Options{Runner: "/bin/crossrun"})
	assert.ErrorContains(t, err, "neither Go nor Debian has a compiler for it")
}
