package watch

import (
	"unsafe"

	"golang.org/x/sys/unix"
)

// PTRACE_GETREGSET has 32-bit tasks' registers in another form.

func getRegisters(pid int, r *registers) error {
	return ptrace(unix.PTRACE_GETREGS, pid, 0, unsafe.Pointer(r))
}

func setRegisters(pid int, r *registers) error {
	return ptrace(unix.PTRACE_SETREGS, pid, 0, unsafe.Pointer(r))
}
