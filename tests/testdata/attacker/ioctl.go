package main

import (
	"unsafe"

	"golang.org/x/sys/unix"
)

func ioctl(fd int, request uint, argument *byte) error {
	if _, _, errno := unix.Syscall(unix.SYS_IOCTL, uintptr(fd), uintptr(request), uintptr(unsafe.Pointer(argument))); errno != 0 {
		return errno
	}
	return nil
}
