package watch

import "golang.org/x/sys/unix"

var abis = [...]abi{{unix.AUDIT_ARCH_RISCV64, 221, 281, 4}}

// registers are struct user_regs_struct: the program counter, and x1 to x31.
type registers [32]uint64

const pc, a0, a7 = 0, 10, 17

// waits reports whether the registers are those of a call that will be made again: the
// kernel prepares that before the task stops (arch_do_signal_or_restart in
// arch/riscv/kernel/signal.c).
func (r *registers) waits(n *notification, a *abi) bool {
	return r[pc] == n.instruction-a.instruction && int32(r[a7]) == n.number
}

// call has the task make an execveat.
func (r *registers) call(n *notification, a *abi, args [5]uint64) {
	copy(r[a0:], args[:])
	r[a7] = uint64(a.execveat)
	r[pc] = n.instruction - a.instruction
}
