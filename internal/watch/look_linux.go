package watch

import (
	"bytes"
	"os"
	"path"
	"strconv"
	"strings"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// before is the room for what is put before a path that a task gave.
const before = 64

// A glance is what a worker sees of a call. It is kept from one to the next: nothing
// is allocated.
type glance struct {
	path    uint64 // where it is in the task's memory
	length  int
	dirfd   int32
	flags   uint64
	argv    uint64
	envp    uint64
	buffer  [before + 2*page]byte // the path is at before, and ends with a NUL byte
	root    [32]byte
	own     [before + page + 1]byte // a path that was changed
	st      unix.Statx_t
	another bool // the task has another root directory than this process
}

// read takes the call's arguments, and reads the path.
func (g *glance) read(n *notification, a *abi) bool {
	if n.number == a.execve {
		g.path, g.argv, g.envp, g.dirfd, g.flags = n.args[0], n.args[1], n.args[2], unix.AT_FDCWD, 0
	} else {
		g.dirfd, g.path, g.argv, g.envp, g.flags = int32(n.args[0]), n.args[1], n.args[2], n.args[3], n.args[4]
	}
	got, errno := readMemory(n.pid, g.path, g.buffer[before:before+unix.PathMax])
	if errno != 0 || got <= 0 {
		return false
	}
	g.length = bytes.IndexByte(g.buffer[before:before+got], 0)
	return g.length >= 0
}

// given returns the path that the task gave.
func (g *glance) given() string { return string(g.buffer[before : before+g.length]) }

// appendProcess returns a path below /proc/PID.
func appendProcess(b []byte, pid uint32, name string) []byte {
	return append(strconv.AppendUint(append(b, "/proc/"...), uint64(pid), 10), name...)
}

// own are the names by which a process finds what is its own. This one would find
// what is the supervisor's. A NUL byte is the end of a path.
var own = [...]struct{ name, below string }{
	{"/proc/self/", "/"}, {"/proc/thread-self/", "/"}, {"/dev/fd/", "/fd/"},
	{"/dev/stdin\x00", "/fd/0\x00"}, {"/dev/stdout\x00", "/fd/1\x00"}, {"/dev/stderr\x00", "/fd/2\x00"},
}

// appendOwn appends the path for this process of what is the task's own, or returns nil if
// the path that was given leads to nothing of its own. Both end with a NUL byte.
func appendOwn(b []byte, pid uint32, given []byte) []byte {
	for i := range own {
		if o := &own[i]; bytes.HasPrefix(given, unsafeBytes(o.name)) {
			return append(appendProcess(b, pid, o.below), given[len(o.name):]...)
		}
	}
	return nil
}

// name returns the file's path for this process, with a NUL byte, in the buffer. It is
// wrong for a task with another root directory if the path is absolute: see open.
func (g *glance) name(pid uint32) []byte {
	given := g.buffer[before : before+g.length+1]
	var prefix [before]byte
	p := prefix[:0]
	switch {
	case g.length == 0 && g.flags&unix.AT_EMPTY_PATH == 0:
		return given // nothing has an empty name
	case given[0] == '/':
		if name := appendOwn(g.own[:0], pid, given); name != nil {
			return name
		}
		return given
	case g.dirfd == unix.AT_FDCWD:
		p = appendProcess(p, pid, "/cwd/")
	default:
		p = strconv.AppendInt(appendProcess(p, pid, "/fd/"), int64(g.dirfd), 10)
		if g.length > 0 {
			p = append(p, '/')
		}
	}
	// What comes before the path has room before it.
	start := before - len(p)
	copy(g.buffer[start:], p)
	return g.buffer[start : before+g.length+1]
}

func unsafeBytes(s string) []byte { return unsafe.Slice(unsafe.StringData(s), len(s)) }

func statx(name []byte, flags int, mask int, st *unix.Statx_t) syscall.Errno {
	dirfd := unix.AT_FDCWD
	_, _, errno := syscall.Syscall6(unix.SYS_STATX, uintptr(dirfd), uintptr(unsafe.Pointer(&name[0])), uintptr(flags), uintptr(mask), uintptr(unsafe.Pointer(st)), 0)
	return errno
}

// rootMask has what tells root directories apart: mounts have one number in all
// namespaces (STATX_MNT_ID, Linux 5.8).
const rootMask = unix.STATX_INO | unix.STATX_MNT_ID

// lookAround finds out whether the task has another root directory. The kernel takes its
// time to make what is in /proc for a process that is new: it is asked only if
// there was a call that changes the view.
func (g *glance) lookAround(s *supervisor, pid uint32) bool {
	if g.another = false; !s.views.Load() {
		return true
	}
	root := append(appendProcess(g.root[:0], pid, "/root"), 0)
	if statx(root, 0, rootMask, &g.st) != 0 {
		return false
	}
	g.another = g.st.Ino != s.root.Ino || g.st.Mnt_id != s.root.Mnt_id
	return true
}

// looksKnown reports whether the kernel is to do with the file as it likes: it is
// known, or no regular file.
func (g *glance) looksKnown(s *supervisor, name []byte) bool {
	if statx(name, int(g.flags&unix.AT_SYMLINK_NOFOLLOW), identityMask, &g.st) != 0 {
		return true // execve says the same
	}
	return g.st.Mode&unix.S_IFMT != unix.S_IFREG || g.st.Mode&0o111 == 0 || s.known.has(identify(&g.st))
}

// A place is a task's view of the files.
type place struct {
	pid     uint32
	another bool // it has another root directory
}

// root returns a directory as which this process sees the task's root.
func (p place) root() string { return "/proc/" + strconv.Itoa(int(p.pid)) + "/root" }

// open opens what a path leads to for the task, without an effect on devices and
// pipes. It returns nil for what is no regular file that may be executed.
func (p place) open(name string, flags int) *os.File {
	fd := p.lookUp(name, flags)
	if fd < 0 {
		return nil
	}
	defer unix.Close(fd)
	var st unix.Stat_t
	link := "/proc/self/fd/" + strconv.Itoa(fd)
	if unix.Fstat(fd, &st) != nil || st.Mode&unix.S_IFMT != unix.S_IFREG || unix.Access(link, unix.X_OK) != nil {
		return nil
	}
	opened, err := unix.Open(link, unix.O_RDONLY|unix.O_NONBLOCK|unix.O_NOCTTY|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil
	}
	return os.NewFile(uintptr(opened), name)
}

// lookUp returns a descriptor that only names the file, or a negative number.
func (p place) lookUp(name string, flags int) int {
	how := unix.OpenHow{Flags: unix.O_PATH | unix.O_CLOEXEC}
	if flags&unix.AT_SYMLINK_NOFOLLOW != 0 {
		how.Flags |= unix.O_NOFOLLOW
	}
	if !p.another || strings.HasPrefix(name, "/proc/") {
		fd, err := unix.Open(name, int(how.Flags), 0)
		if err != nil {
			return -1
		}
		return fd
	}
	root, err := unix.Open(p.root(), unix.O_PATH|unix.O_CLOEXEC, 0)
	if err != nil {
		return -1
	}
	defer unix.Close(root)
	how.Resolve = unix.RESOLVE_IN_ROOT
	fd, err := unix.Openat2(root, name, &how)
	if err != nil {
		return -1
	}
	return fd
}

// path returns a path that the task gave as open takes it.
func (p place) path(given string) string {
	switch {
	case strings.HasPrefix(given, "/"):
		if name := appendOwn(nil, p.pid, append([]byte(given), 0)); name != nil {
			return string(name[:len(name)-1])
		}
		return given
	case !p.another:
		return string(appendProcess(nil, p.pid, "/cwd/")) + given
	}
	// Symbolic links on the way are to stay below the root: the directory's name
	// there is needed.
	root, _ := os.Readlink(p.root())
	dir, _ := os.Readlink(string(appendProcess(nil, p.pid, "/cwd")))
	if below, ok := strings.CutPrefix(dir, strings.TrimSuffix(root, "/")); ok {
		dir = below
	}
	return path.Join("/", dir) + "/" + given
}
