package watch

import (
	"errors"
	"os"
	"runtime"
	"slices"
	"unsafe"

	"golang.org/x/sys/unix"
)

// An abi is one of the ways in which programs call the host's kernel.
type abi struct {
	arch             uint32 // AUDIT_ARCH_…
	execve, execveat int32  // their numbers
	instruction      uint64 // length of the one that calls
}

// find returns the ABI of a call that the filter tells of.
func find(arch uint32, number int32) *abi {
	for i := range abis {
		if a := &abis[i]; a.arch == arch && (a.execve == number || a.execveat == number) {
			return a
		}
	}
	return nil
}

// views are the calls after which a path may lead to another file than in the
// supervisor: another root directory, or other mounts in a namespace of one's own. That
// is made by calls that are not among them, and is the same at first. The ABIs are those
// of the hosts and of their 32-bit programs, on the others no task has them.
var views = [...]struct {
	arch    uint32
	numbers []uint32 // chroot, pivot_root, setns, mount, umount2, move_mount, mount_setattr, umount
}{
	{abis[0].arch, []uint32{unix.SYS_CHROOT, unix.SYS_PIVOT_ROOT, unix.SYS_SETNS, unix.SYS_MOUNT, unix.SYS_UMOUNT2, unix.SYS_MOVE_MOUNT, unix.SYS_MOUNT_SETATTR}},
	// x32: arch/x86/entry/syscalls/syscall_64.tbl
	{unix.AUDIT_ARCH_X86_64, []uint32{1<<30 | 161, 1<<30 | 155, 1<<30 | 308, 1<<30 | 165, 1<<30 | 166, 1<<30 | 429, 1<<30 | 442}},
	{unix.AUDIT_ARCH_I386, []uint32{61, 217, 346, 21, 52, 429, 442, 22}},
	{unix.AUDIT_ARCH_ARM, []uint32{61, 218, 375, 21, 52, 429, 442, 22}},
	{unix.AUDIT_ARCH_S390, []uint32{61, 217, 339, 21, 52, 429, 442, 22}},
}

// isView reports whether a call is one of them.
func isView(arch uint32, number int32) bool {
	for i := range views {
		if views[i].arch == arch && slices.Contains(views[i].numbers, uint32(number)) {
			return true
		}
	}
	return false
}

// filter has the supervisor asked about the calls of the ABIs, and of those that change
// the view, and allows all others.
func filter() []unix.SockFilter {
	const number, arch = 0, 4 // struct seccomp_data
	load := func(offset uint32) unix.SockFilter {
		return unix.SockFilter{Code: unix.BPF_LD | unix.BPF_W | unix.BPF_ABS, K: offset}
	}
	unless := func(value uint32, skip int) unix.SockFilter {
		return unix.SockFilter{Code: unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K, K: value, Jf: uint8(skip)}
	}
	answer := func(value uint32) unix.SockFilter {
		return unix.SockFilter{Code: unix.BPF_RET | unix.BPF_K, K: value}
	}
	var code []unix.SockFilter
	for _, a := range abis {
		code = append(code, load(arch), unless(a.arch, 5),
			load(number), unless(uint32(a.execve), 1), answer(unix.SECCOMP_RET_USER_NOTIF),
			unless(uint32(a.execveat), 1), answer(unix.SECCOMP_RET_USER_NOTIF))
	}
	for _, v := range views {
		code = append(code, load(arch), unless(v.arch, 1+2*len(v.numbers)), load(number))
		for _, n := range v.numbers {
			code = append(code, unless(n, 1), answer(unix.SECCOMP_RET_USER_NOTIF))
		}
	}
	return append(code, answer(unix.SECCOMP_RET_ALLOW))
}

// listen sets the filter for the calling thread and returns the descriptor by which
// the kernel asks. Without CAP_SYS_ADMIN in the user namespace the thread must give up
// gaining privileges (no_new_privs): set-user-ID programs do not change the user then.
func listen() (int, error) {
	runtime.LockOSThread()
	code := filter()
	program := unix.SockFprog{Len: uint16(len(code)), Filter: &code[0]}
	set := func(flags uintptr) (uintptr, unix.Errno) {
		fd, _, errno := unix.Syscall(unix.SYS_SECCOMP, unix.SECCOMP_SET_MODE_FILTER, flags, uintptr(unsafe.Pointer(&program)))
		if errno == unix.EACCES {
			if err := unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0); err != nil {
				return 0, errno
			}
			fd, _, errno = unix.Syscall(unix.SYS_SECCOMP, unix.SECCOMP_SET_MODE_FILTER, flags, uintptr(unsafe.Pointer(&program)))
		}
		return fd, errno
	}
	// With the second flag (Linux 5.19, c2aa2dfef243) a signal that has a handler does
	// not call the execve off while the supervisor looks at it.
	fd, errno := set(unix.SECCOMP_FILTER_FLAG_NEW_LISTENER | unix.SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV)
	if errno == unix.EINVAL {
		fd, errno = set(unix.SECCOMP_FILTER_FLAG_NEW_LISTENER)
	}
	switch errno {
	case 0:
		return int(fd), nil
	case unix.EBUSY:
		return 0, errors.New("another supervisor watches this process's system calls already (seccomp)")
	}
	return 0, os.NewSyscallError("seccomp", errno)
}
