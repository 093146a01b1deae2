package watch

import "golang.org/x/sys/unix"

var abis = [...]abi{{unix.AUDIT_ARCH_PPC64LE, 11, 362, 4}}

// registers are struct user_pt_regs, as ELF core files have it.
type registers [48]uint64

const (
	nip, conditions = 32, 38
	summaryOverflow = 0x10000000 // of the conditions: the call failed
)

// waits reports whether the registers are those of a call that was answered with
// restart, or interrupted (ERESTARTSYS). A failed scv has a negative result, and sc a
// positive one.
func (r *registers) waits(n *notification, _ *abi) bool {
	result := max(int64(r[3]), -int64(r[3]))
	return r[nip] == n.instruction && (result == int64(restart) || result == 512)
}

// call has the task make an execveat.
func (r *registers) call(n *notification, a *abi, args [5]uint64) {
	copy(r[3:], args[:])
	r[0] = uint64(a.execveat)
	r[conditions] &^= summaryOverflow // nothing failed that would be made again
	r[nip] = n.instruction - a.instruction
}
