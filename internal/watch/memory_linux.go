package watch

import (
	"fmt"
	"os"
	"sync/atomic"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// page is the size of the smallest pages: the end of each may be the end of what is
// mapped.
const page = 4096

// noVectors is set once process_vm_readv has been denied: some containers' seccomp
// profiles allow ptrace, and not that. /proc/PID/mem takes three calls in its place.
var noVectors atomic.Bool

// readMemory reads what a task has at an address, up to what is not mapped.
func readMemory(pid uint32, address uint64, to []byte) (int, syscall.Errno) {
	if !noVectors.Load() {
		n, errno := readVectors(pid, address, to)
		if errno != syscall.EPERM && errno != syscall.ENOSYS {
			return n, errno
		}
		// EPERM may also mean that this task may not be read: then the file says so.
		if deniedVectors() {
			noVectors.Store(true)
		}
	}
	var name [32]byte
	path := append(appendProcess(name[:0], pid, "/mem"), 0)
	directory := unix.AT_FDCWD
	fd, _, errno := syscall.Syscall6(unix.SYS_OPENAT, uintptr(directory), uintptr(unsafe.Pointer(&path[0])), unix.O_RDONLY|unix.O_CLOEXEC, 0, 0, 0)
	if errno != 0 {
		return 0, errno
	}
	n, _, errno := syscall.Syscall6(unix.SYS_PREAD64, fd, uintptr(unsafe.Pointer(&to[0])), uintptr(len(to)), uintptr(address), 0, 0)
	_, _, _ = syscall.RawSyscall(unix.SYS_CLOSE, fd, 0, 0)
	return int(n), errno
}

func readVectors(pid uint32, address uint64, to []byte) (int, syscall.Errno) {
	first := min(page-address%page, uint64(len(to)))
	local := unix.Iovec{Base: &to[0]}
	local.SetLen(len(to))
	remote := [2]unix.RemoteIovec{{Base: uintptr(address), Len: int(first)}, {Base: uintptr(address + first), Len: len(to) - int(first)}}
	n, _, errno := syscall.Syscall6(unix.SYS_PROCESS_VM_READV, uintptr(pid), uintptr(unsafe.Pointer(&local)), 1, uintptr(unsafe.Pointer(&remote[0])), 2, 0)
	return int(n), errno
}

// deniedVectors asks for this process's own memory, which the kernel does not deny.
func deniedVectors() bool {
	from, to := [1]byte{}, [1]byte{}
	_, errno := readVectors(uint32(os.Getpid()), uint64(uintptr(unsafe.Pointer(&from))), to[:])
	return errno != 0
}

// A piece is what is to be at an address.
type piece struct {
	address uint64
	content []byte
}

// writeMemory writes to a task's memory.
func writeMemory(pid uint32, pieces ...piece) error {
	memory, err := os.OpenFile(fmt.Sprintf("/proc/%d/mem", pid), os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	defer memory.Close()
	for _, p := range pieces {
		if n, err := unix.Pwrite(int(memory.Fd()), p.content, int64(p.address)); err != nil || n != len(p.content) {
			return fmt.Errorf("its stack cannot be written to: %d of %d bytes: %w", n, len(p.content), err)
		}
	}
	return nil
}
