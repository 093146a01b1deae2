package emulator

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"

	"golang.org/x/sys/unix"
)

// A trust says whose files root may as well execute.
type trust struct{ users, groups []uint32 }

// trusted are root, and who could have put another command into the place of the
// running one.
var trusted = sync.OnceValue(func() trust {
	t := trust{users: []uint32{0}, groups: []uint32{0}}
	if self, err := os.Executable(); err == nil {
		eachOnTheWay(self, func(st *unix.Stat_t) bool {
			t.users, t.groups = append(t.users, st.Uid), append(t.groups, st.Gid)
			return true
		})
	}
	return t
})

// overflow is the owner that stands, in a user namespace, for all who are not of it,
// the host's root among them (/proc/sys/kernel/overflowuid).
const overflow = 65534

// inUserNamespace reports whether this is another than the host's.
var inUserNamespace = sync.OnceValue(func() bool {
	all, err := os.ReadFile("/proc/self/uid_map")
	return err == nil && !slices.Equal(strings.Fields(string(all)), []string{"0", "0", "4294967295"})
})

// eachOnTheWay calls f for the file at an absolute path and each directory above it,
// until it returns false.
func eachOnTheWay(path string, f func(*unix.Stat_t) bool) bool {
	for {
		var st unix.Stat_t
		if err := unix.Lstat(path, &st); err != nil || !f(&st) {
			return false
		}
		if path == "/" {
			return true
		}
		path = filepath.Dir(path)
	}
}

// guards reports whether nobody else may change a file, or, in a directory, put
// another file into the place of one.
func (t trust) guards(st *unix.Stat_t) bool {
	kind := st.Mode & unix.S_IFMT
	switch {
	case !slices.Contains(t.users, st.Uid) && (st.Uid != overflow || !inUserNamespace()):
		return false
	case kind == unix.S_IFLNK: // its mode means nothing
		return true
	case kind == unix.S_IFDIR && st.Mode&unix.S_ISVTX != 0: // as /tmp
		return true
	case st.Mode&0o002 != 0:
		return false
	}
	// A group with the number of its user has no one else in it, by the convention of
	// most distributions.
	return st.Mode&0o020 == 0 || st.Gid == st.Uid || slices.Contains(t.groups, st.Gid)
}

// guardedDirs has which directories are guarded, with all that are above them.
var guardedDirs sync.Map

// othersMayChange reports whether somebody who is not trusted could have put the
// file there, which fstat(2) says this of.
func othersMayChange(path string, st *unix.Stat_t) bool {
	t, dir := trusted(), filepath.Dir(path)
	guarded, known := guardedDirs.Load(dir)
	if !known {
		real, err := filepath.EvalSymlinks(dir)
		guarded = err == nil && eachOnTheWay(real, t.guards) && (dir == real || eachOnTheWay(dir, t.guards))
		guardedDirs.Store(dir, guarded)
	}
	return !guarded.(bool) || !t.guards(st)
}

// OwnDirectory returns the path without symbolic links of a directory that is the
// caller's, and into which nobody else but root can put a file.
func OwnDirectory(dir string) (string, error) {
	real, err := filepath.EvalSymlinks(dir)
	if err != nil {
		return "", err
	}
	var st unix.Stat_t
	if err := unix.Lstat(real, &st); err != nil {
		return "", &os.PathError{Op: "lstat", Path: real, Err: err}
	}
	user := uint32(os.Geteuid())
	switch {
	case st.Mode&unix.S_IFMT != unix.S_IFDIR:
		return "", fmt.Errorf("%s: not a directory", real)
	case st.Uid != user:
		return "", fmt.Errorf("%s: belongs to user %d, not to %d", real, st.Uid, user)
	case st.Mode&0o022 != 0:
		return "", fmt.Errorf("%s: others may write to it (mode %04o)", real, st.Mode&0o7777)
	case !eachOnTheWay(real, trust{users: []uint32{0, user}, groups: []uint32{0}}.guards):
		return "", fmt.Errorf("%s: others may put another directory into its place", real)
	}
	return real, nil
}
