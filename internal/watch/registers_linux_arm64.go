package watch

import (
	"unsafe"

	"golang.org/x/sys/unix"
)

// Numbers are from include/uapi/asm-generic/unistd.h and arch/arm/tools/syscall.tbl in Linux.
// Thumb's instruction that calls has 2 bytes: see instruction.
var abis = [...]abi{
	{unix.AUDIT_ARCH_AARCH64, 221, 281, 4},
	{unix.AUDIT_ARCH_ARM, 11, 387, 4},
}

// registers are struct user_pt_regs: x0 to x30, the stack pointer, the program
// counter and pstate. Of 32-bit tasks they are r0 to r15, the program status and the first
// argument as it was, of 32 bits each (user_aarch32_ptrace_view in arch/arm64/kernel/ptrace.c).
type registers [34]uint64

const number, pc = 8, 32

// Of 32-bit tasks.
const (
	number32, pc32, status32 = 7, 15, 16
	thumb                    = 1 << 5 // of the status
)

func (r *registers) narrow() *[2 * len(registers{})]uint32 {
	return (*[2 * len(registers{})]uint32)(unsafe.Pointer(r))
}

// instruction returns the length of the one that calls.
func (r *registers) instruction(n *notification, a *abi) uint64 {
	if n.arch == unix.AUDIT_ARCH_ARM && r.narrow()[status32]&thumb != 0 {
		return 2
	}
	return a.instruction
}

// waits reports whether the registers are those of a call that will be made again: the
// kernel prepares that before the task stops (do_signal in arch/arm64/kernel/signal.c).
func (r *registers) waits(n *notification, a *abi) bool {
	at := n.instruction - r.instruction(n, a)
	if n.arch == unix.AUDIT_ARCH_ARM {
		narrow := r.narrow()
		return narrow[pc32] == uint32(at) && int32(narrow[number32]) == n.number
	}
	return r[pc] == at && int32(r[number]) == n.number
}

// call has the task make an execveat.
func (r *registers) call(n *notification, a *abi, args [5]uint64) {
	at := n.instruction - r.instruction(n, a)
	if n.arch == unix.AUDIT_ARCH_ARM {
		narrow := r.narrow()
		for i, arg := range args {
			narrow[i] = uint32(arg)
		}
		narrow[number32], narrow[pc32] = uint32(a.execveat), uint32(at)
		return
	}
	copy(r[:], args[:])
	r[number] = uint64(a.execveat)
	r[pc] = at
}
