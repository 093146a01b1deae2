package watch

import "golang.org/x/sys/unix"

// The calls of 32-bit programs are not watched.
var abis = [...]abi{{unix.AUDIT_ARCH_AARCH64, 221, 281, 4}}

// registers are struct user_pt_regs: x0 to x30, the stack pointer, the program
// counter and pstate.
type registers [34]uint64

const number, pc = 8, 32

// waits reports whether the registers are those of a call that will be made again: the
// kernel prepares that before the task stops (do_signal in arch/arm64/kernel/signal.c).
func (r *registers) waits(n *notification, a *abi) bool {
	return r[pc] == n.instruction-a.instruction && int32(r[number]) == n.number
}

// call has the task make an execveat.
func (r *registers) call(n *notification, a *abi, args [5]uint64) {
	copy(r[:], args[:])
	r[number] = uint64(a.execveat)
	r[pc] = n.instruction - a.instruction
}
