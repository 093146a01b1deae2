package watch

import "golang.org/x/sys/unix"

var abis = [...]abi{{unix.AUDIT_ARCH_S390X, 11, 354, 2}}

// registers are s390_regs: the PSW's mask and address, 16 registers, access
// registers, and the second as it was at the call.
type registers [27]uint64

const pswAddress, r1, r2 = 1, 2 + 1, 2 + 2

// waits reports whether the registers are those of a call that was answered with
// restart, or interrupted (ERESTARTSYS), and has its number in a register: that of svc
// 11 is in the instruction.
func (r *registers) waits(n *notification, a *abi) bool {
	var instruction [2]byte
	address := n.instruction - a.instruction
	if got, _ := readMemory(n.pid, address, instruction[:]); got != 2 || instruction != [2]byte{0x0a, 0} {
		return false
	}
	result := -int64(r[r2])
	return r[pswAddress] == n.instruction && (result == int64(restart) || result == 512)
}

// call has the task make an execveat.
func (r *registers) call(n *notification, a *abi, args [5]uint64) {
	copy(r[r2:], args[:])
	r[r1] = uint64(a.execveat)
	r[pswAddress] = n.instruction - a.instruction
}
