//go:build !amd64

package watch

import (
	"unsafe"

	"golang.org/x/sys/unix"
)

// general is NT_PRSTATUS: the registers that core files have.
const general = 1

func getRegisters(pid int, r *registers) error { return transfer(unix.PTRACE_GETREGSET, pid, r) }
func setRegisters(pid int, r *registers) error { return transfer(unix.PTRACE_SETREGSET, pid, r) }

func transfer(request, pid int, r *registers) error {
	vector := unix.Iovec{Base: (*byte)(unsafe.Pointer(r))}
	vector.SetLen(int(unsafe.Sizeof(*r)))
	return ptrace(request, pid, general, unsafe.Pointer(&vector))
}
