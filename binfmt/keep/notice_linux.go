package keep

import (
	"encoding/binary"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"

	"github.com/projectcalico/go-build/internal/file"
)

// What was noticed.
const (
	instanceChanged = 1 << iota // entries, or the file "status"
	watchEnded                  // of a directory that is no more, or of an instance without a mount
	emulatorsChanged
	emulatorsMoved // a directory of theirs, or what leads there, is another one now
	mountsChanged  // of this process's mount namespace
)

// Notices say that something was changed since they were last taken, whoever did it.
type notices struct {
	file   *os.File // inotify(7)
	mounts *os.File // nil: nothing tells of mounts
	came   chan struct{}
	bits   atomic.Uint32
	names  map[int32]func(name string) uint32 // of each watch: what a change of the name says
}

// Masks of inotify(7). The kernel says of an instance IN_MODIFY for what is written to
// "register", to "status" and to an entry, IN_DELETE for entries, no IN_CREATE, and IN_UNMOUNT
// when its last mount is gone (seen on 6.18, through another mount than the one that is
// watched).
const (
	maskInstance = unix.IN_CREATE | unix.IN_DELETE | unix.IN_MODIFY | unix.IN_ONLYDIR
	maskEmulator = maskLead | unix.IN_CLOSE_WRITE | unix.IN_ATTRIB | unix.IN_MOVE_SELF
	maskLead     = unix.IN_CREATE | unix.IN_DELETE | unix.IN_MOVED_TO | unix.IN_MOVED_FROM | unix.IN_ONLYDIR
)

// A watched is a directory and what is noticed there.
type watched struct {
	dir  string
	mask uint32
	says func(name string) uint32
}

// instance is to notice changes of what is mounted on a directory.
func instance(dir string) watched {
	return watched{dir, maskInstance, func(string) uint32 { return instanceChanged }}
}

// emulators is to notice changes of emulators in a directory: of all that have the
// usual names, or of one file.
func emulators(dir, only string) watched {
	return watched{dir, maskEmulator, func(name string) uint32 {
		if name == only || only == "" && strings.Contains(name, "qemu-") {
			return emulatorsChanged
		}
		return 0
	}}
}

// leads are to notice when a path leads elsewhere: when a symbolic link on its way is replaced,
// as /run/current-system and those of alternatives are, or when what is missing comes.
func leads(path string) (list []watched) {
	for _, step := range file.Way(path) {
		if step.Info == nil || step.IsLink() {
			list = append(list, watched{step.Dir, maskLead, func(changed string) uint32 {
				if changed == step.Name {
					return emulatorsMoved
				}
				return 0
			}})
		}
	}
	return list
}

// watch has a goroutine read what is noticed in the directories, until the notices are
// closed. The first one is essential; others are passed over if they are not there or may
// not be looked at.
func watch(list []watched) (*notices, error) {
	fd, err := unix.InotifyInit1(unix.IN_CLOEXEC | unix.IN_NONBLOCK)
	if err != nil {
		return nil, os.NewSyscallError("inotify_init1", err)
	}
	n := &notices{file: os.NewFile(uintptr(fd), "inotify"), came: make(chan struct{}, 1), names: map[int32]func(string) uint32{}}
	for i, w := range list {
		wd, err := unix.InotifyAddWatch(fd, w.dir, w.mask|unix.IN_MASK_ADD)
		if i > 0 && (err == unix.ENOENT || err == unix.ENOTDIR || err == unix.EACCES) {
			continue
		}
		if err != nil {
			n.close()
			return nil, &os.PathError{Op: "inotify_add_watch", Path: w.dir, Err: err}
		}
		says, before := w.says, n.names[int32(wd)]
		if before != nil { // the same directory by another name
			says = func(name string) uint32 { return before(name) | w.says(name) }
		}
		n.names[int32(wd)] = says
	}
	go n.read()
	n.watchMounts("/proc/self/mountinfo")
	return n, nil
}

// between is the time between two looks at mounts: a host that starts containers changes
// them all the time.
const between = 100 * time.Millisecond

// watchMounts has a goroutine wait for changes of mounts, if that can be. Poll and epoll say
// of that file, which is always to be read, that something has changed (Linux 2.6.15,
// proc_pid_mountinfo(5)); Go's run time asks for changes only (EPOLLET).
func (n *notices) watchMounts(path string) {
	fd, err := unix.Open(path, unix.O_RDONLY|unix.O_CLOEXEC|unix.O_NONBLOCK, 0)
	if err != nil {
		return
	}
	f := os.NewFile(uintptr(fd), path)
	raw, err := f.SyscallConn()
	if err != nil || f.SetReadDeadline(time.Time{}) != nil { // it cannot be waited for
		f.Close()
		return
	}
	n.mounts = f
	go func() {
		_ = raw.Read(func(uintptr) bool {
			n.note(mountsChanged)
			time.Sleep(between)
			return false // until it is closed
		})
	}()
}

func (n *notices) read() {
	buffer := make([]byte, 16<<10)
	for {
		size, err := n.file.Read(buffer)
		if err != nil {
			return // closed
		}
		var bits uint32
		for at := 0; at+unix.SizeofInotifyEvent <= size; {
			wd := int32(binary.NativeEndian.Uint32(buffer[at:]))
			mask := binary.NativeEndian.Uint32(buffer[at+4:])
			length := int(binary.NativeEndian.Uint32(buffer[at+12:]))
			name, _, _ := strings.Cut(string(buffer[at+unix.SizeofInotifyEvent:at+unix.SizeofInotifyEvent+length]), "\x00")
			bits |= n.said(wd, mask, name)
			at += unix.SizeofInotifyEvent + length
		}
		n.note(bits)
	}
}

func (n *notices) said(wd int32, mask uint32, name string) uint32 {
	switch {
	case mask&unix.IN_Q_OVERFLOW != 0:
		return instanceChanged | emulatorsChanged
	case mask&(unix.IN_UNMOUNT|unix.IN_IGNORED) != 0:
		return watchEnded
	case mask&unix.IN_MOVE_SELF != 0:
		return emulatorsMoved
	case n.names[wd] == nil:
		return 0
	}
	return n.names[wd](name)
}

// note wakes who waits for notices.
func (n *notices) note(bits uint32) {
	if bits == 0 {
		return
	}
	n.bits.Or(bits)
	select {
	case n.came <- struct{}{}:
	default:
	}
}

// take returns what was noticed since.
func (n *notices) take() uint32 { return n.bits.Swap(0) }

func (n *notices) close() {
	n.file.Close()
	if n.mounts != nil {
		n.mounts.Close()
	}
}

// real returns where a file is, behind symbolic links.
func real(path string) string {
	if where, err := filepath.EvalSymlinks(path); err == nil {
		return where
	}
	return path
}
