package watch

import "golang.org/x/sys/unix"

// x32 is in the numbers of that ABI's calls.
const x32 = 0x40000000

// Numbers are from arch/x86/entry/syscalls in Linux. A 32-bit program's call is int
// $0x80: that is also where the kernel has sysenter's returned to.
var abis = [...]abi{
	{unix.AUDIT_ARCH_X86_64, 59, 322, 2},
	{unix.AUDIT_ARCH_X86_64, x32 | 520, x32 | 545, 2},
	{unix.AUDIT_ARCH_I386, 11, 358, 2},
}

// registers are struct user_regs_struct, of 32-bit tasks, too.
type registers [27]uint64

const (
	rbp, rbx, r10, r8                    = 4, 5, 7, 9
	rax, rcx, rdx, rsi, rdi, origRAX, ip = 10, 11, 12, 13, 14, 15, 16
)

// waits reports whether the registers are those of a call that was answered with
// restart, or interrupted (ERESTARTSYS).
func (r *registers) waits(n *notification, _ *abi) bool {
	result := int64(r[rax])
	if n.arch == unix.AUDIT_ARCH_I386 {
		result = int64(int32(r[rax]))
	}
	return r[ip] == n.instruction && int32(r[origRAX]) == n.number && (result == -int64(restart) || result == -512)
}

// call has the task make an execveat.
func (r *registers) call(n *notification, a *abi, args [5]uint64) {
	places := [5]int{rdi, rsi, rdx, r10, r8}
	if n.arch == unix.AUDIT_ARCH_I386 {
		places = [5]int{rbx, rcx, rdx, rsi, rdi}
	}
	for i, place := range places {
		r[place] = args[i]
	}
	r[rax] = uint64(a.execveat)
	r[origRAX] = ^uint64(0) // no call is to be restarted: this one is made anew
	r[ip] = n.instruction - a.instruction
}
