package watch

import (
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// A notification is the kernel's question about one call: struct seccomp_notif and
// seccomp_data in include/uapi/linux/seccomp.h.
type notification struct {
	id          uint64
	pid, flags  uint32 // the task's, a thread's
	number      int32
	arch        uint32
	instruction uint64 // after the one that calls
	args        [6]uint64
}

// A response is the answer: struct seccomp_notif_resp.
type response struct {
	id    uint64
	value int64
	error int32 // negative
	flags uint32
}

// goOn lets the kernel do what it was asked to.
func goOn(n *notification) response {
	return response{id: n.id, flags: unix.SECCOMP_USER_NOTIF_FLAG_CONTINUE}
}

// refuse has the call fail.
func refuse(n *notification, errno syscall.Errno) response {
	return response{id: n.id, error: -int32(errno)}
}

// restart is the kernel's ERESTARTNOINTR (include/linux/errno.h). No program sees it:
// the task is about to stop, and its registers are changed before it goes on.
const restart syscall.Errno = 513

func ioctl(fd int, request uintptr, arg unsafe.Pointer) (int, syscall.Errno) {
	result, _, errno := syscall.Syscall(syscall.SYS_IOCTL, uintptr(fd), request, uintptr(arg))
	return int(result), errno
}

// valid reports whether the call still waits for its answer: its process ID is not
// that of another task by now.
func (s *supervisor) valid(n *notification) bool {
	_, errno := ioctl(s.listener, unix.SECCOMP_IOCTL_NOTIF_ID_VALID, unsafe.Pointer(&n.id))
	return errno == 0
}

// send gives the answer. Its error is that the task is gone, or interrupted.
func (s *supervisor) send(r response) syscall.Errno {
	_, errno := ioctl(s.listener, unix.SECCOMP_IOCTL_NOTIF_SEND, unsafe.Pointer(&r))
	return errno
}

// addDescriptor opens a file that this process has open in the waiting task, too, and
// returns the number that it has there (Linux 5.9, 7cf97b125455).
func (s *supervisor) addDescriptor(n *notification, fd uintptr, flags uint32) (int, error) {
	add := struct {
		id                            uint64
		flags, source, number, flags2 uint32
	}{id: n.id, source: uint32(fd), flags2: flags}
	number, errno := ioctl(s.listener, unix.SECCOMP_IOCTL_NOTIF_ADDFD, unsafe.Pointer(&add))
	if errno != 0 {
		return 0, errno
	}
	return number, nil
}

// wakeHere has the kernel run who asks and who answers on the same processor, one
// after the other (Linux 6.6, 48a1084a8b74). Older ones wake another.
func (s *supervisor) wakeHere() {
	flags := uint64(unix.SECCOMP_USER_NOTIF_FD_SYNC_WAKE_UP)
	// The argument is the value itself.
	_, _, _ = syscall.Syscall(syscall.SYS_IOCTL, uintptr(s.listener), unix.SECCOMP_IOCTL_NOTIF_SET_FLAGS, uintptr(flags))
}
