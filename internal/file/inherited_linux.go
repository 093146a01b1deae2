package file

import (
	"os"
	"strconv"

	"golang.org/x/sys/unix"
)

// Inherited returns the descriptors that this process was given, and would pass on: not the
// standard streams, and not its own, which are closed by execve.
func Inherited() (list []int) {
	entries, _ := os.ReadDir("/proc/self/fd")
	for _, e := range entries {
		fd, err := strconv.Atoi(e.Name())
		if err != nil || fd <= unix.Stderr {
			continue
		}
		if flags, err := unix.FcntlInt(uintptr(fd), unix.F_GETFD, 0); err == nil && flags&unix.FD_CLOEXEC == 0 {
			list = append(list, fd)
		}
	}
	return list
}

// LetGo closes descriptors, and has the first standard streams lead to null, a descriptor of
// /dev/null, if there is one: who reads what another process has closed does not wait for this one.
func LetGo(list []int, null, streams int) {
	for _, fd := range list {
		unix.Close(fd)
	}
	for fd := 0; fd < streams && null > unix.Stderr; fd++ {
		_ = unix.Dup3(null, fd, 0)
	}
}
