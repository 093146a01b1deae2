package emulator

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/projectcalico/go-build/elfmagic"
)

func TestWhomFilesAreGuardedFrom(t *testing.T) {
	own := trust{users: []uint32{0, 1000}, groups: []uint32{0, 50}}
	const dir, file, link = unix.S_IFDIR, unix.S_IFREG, unix.S_IFLNK
	for _, test := range []struct {
		what           string
		mode, uid, gid uint32
		want           bool
	}{
		{"root's", file | 0o755, 0, 0, true},
		{"root's of another group", file | 0o755, 0, 77, true},
		{"the command's owner's", file | 0o755, 1000, 1000, true},
		{"another user's", file | 0o755, 1001, 0, false},
		{"another user's directory", dir | 0o755, 1001, 0, false},
		{"of mode 777", file | 0o777, 0, 0, false},
		{"a directory of mode 777", dir | 0o777, 0, 0, false},
		{"a directory as /tmp", dir | unix.S_ISVTX | 0o777, 0, 0, true},
		{"another's directory as /tmp", dir | unix.S_ISVTX | 0o777, 1001, 0, false},
		{"a file with that bit", file | unix.S_ISVTX | 0o777, 0, 0, false},
		{"a link", link | 0o777, 0, 0, true},
		{"another user's link", link | 0o777, 1001, 0, false},
		{"for root's group", file | 0o775, 1000, 0, true},
		{"for the user's own group", dir | 0o775, 1000, 1000, true},
		{"for a group that could replace the command", dir | 0o2775, 0, 50, true},
		{"for another group", dir | 0o775, 0, 100, false},
	} {
		assert.Equal(t, test.want, own.guards(&unix.Stat_t{Mode: test.mode, Uid: test.uid, Gid: test.gid}), test.what)
	}
}

// Root passes over emulators that somebody else may have put there, unless it names
// the directory.
func TestRootRunsNoEmulatorThatOthersMayChange(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("requires root: other users find what they may run as their shells do")
	}
	arch, err := elfmagic.Lookup("aarch64")
	require.NoError(t, err)
	self, err := os.ReadFile("/proc/self/exe")
	require.NoError(t, err)
	for name, change := range map[string]func(dir, path string) error{
		"the directory's mode": func(dir, _ string) error { return os.Chmod(dir, 0o777) },
		"the file's mode":      func(_, path string) error { return os.Chmod(path, 0o777) },
		"the mode above":       func(dir, _ string) error { return os.Chmod(filepath.Dir(dir), 0o777) },
		"the directory's user": func(dir, _ string) error { return os.Chown(dir, 12345, 0) },
		"the file's user":      func(_, path string) error { return os.Chown(path, 12345, 0) },
		"behind a link": func(dir, _ string) error {
			return errors.Join(os.Rename(dir, dir+"2"), os.Symlink(dir+"2", dir), os.Chmod(dir+"2", 0o777))
		},
	} {
		t.Run(name, func(t *testing.T) {
			dir := filepath.Join(t.TempDir(), "above", "emulators")
			path := filepath.Join(dir, "qemu-aarch64-static")
			require.NoError(t, os.MkdirAll(dir, 0o755))
			require.NoError(t, os.WriteFile(path, self, 0o755))
			search := Search{Dirs: []string{dir}, Unnamed: true}
			_, err := search.Locate(arch)
			require.NoError(t, err)

			guardedDirs.Clear()
			if err := change(dir, path); errors.Is(err, unix.EINVAL) {
				t.Skip("this user namespace has one user: ", err)
			} else {
				require.NoError(t, err)
			}
			_, err = search.Locate(arch)
			var failed *Error
			require.ErrorAs(t, err, &failed)
			assert.ErrorIs(t, err, ErrUnsafe)
			assert.Equal(t, path, failed.Path)
			assert.Contains(t, failed.Hint(), Option)

			next := t.TempDir()
			require.NoError(t, os.WriteFile(filepath.Join(next, "qemu-aarch64"), self, 0o755))
			both := Search{Dirs: []string{dir, next}, Unnamed: true}
			e, err := both.Locate(arch)
			require.NoError(t, err)
			assert.Equal(t, next, filepath.Dir(e.Path))

			search.Unnamed = false
			_, err = search.Locate(arch)
			assert.NoError(t, err, "whoever names it means it")
		})
	}
}

func TestADirectoryOfOnesOwn(t *testing.T) {
	above, err := filepath.EvalSymlinks(t.TempDir())
	require.NoError(t, err)
	dir := filepath.Join(above, "own")
	require.NoError(t, os.MkdirAll(dir, 0o700))
	real, err := OwnDirectory(dir)
	require.NoError(t, err)
	assert.Equal(t, dir, real)
	link := filepath.Join(t.TempDir(), "link")
	require.NoError(t, os.Symlink(dir, link))
	real, err = OwnDirectory(link)
	require.NoError(t, err)
	assert.Equal(t, dir, real, "it cannot lead elsewhere later")

	_, err = OwnDirectory(filepath.Join(dir, "none"))
	assert.ErrorIs(t, err, os.ErrNotExist)
	require.NoError(t, os.WriteFile(filepath.Join(dir, "file"), nil, 0o600))
	_, err = OwnDirectory(filepath.Join(dir, "file"))
	assert.EqualError(t, err, dir+"/file: not a directory")
	for mode, fails := range map[os.FileMode]bool{0o755: false, 0o770: true, 0o702: true, 0o777 | os.ModeSticky: true} {
		require.NoError(t, os.Chmod(dir, mode))
		_, err = OwnDirectory(dir)
		assert.Equal(t, fails, err != nil, "%v", mode)
	}
	require.NoError(t, os.Chmod(dir, 0o700))
	require.NoError(t, os.Chmod(above, 0o777))
	_, err = OwnDirectory(dir)
	assert.EqualError(t, err, dir+": others may put another directory into its place")
	require.NoError(t, os.Chmod(above, 0o777|os.ModeSticky)) // as /tmp
	_, err = OwnDirectory(dir)
	assert.NoError(t, err)
	if err := os.Chown(dir, 12345, 0); err != nil {
		t.Skip("the rest requires root and another user: ", err)
	}
	_, err = OwnDirectory(dir)
	assert.EqualError(t, err, fmt.Sprintf("%s: belongs to user 12345, not to %d", dir, os.Geteuid()))
}
