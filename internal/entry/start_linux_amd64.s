#include "textflag.h"

// The first instruction: there are no stack of Go's, no thread-local storage, and
// nothing in registers but the stack pointer that counts. It asks for each signal's
// action, from the last to the first.
TEXT crossrun_start(SB), NOSPLIT|NOFRAME|TOPFRAME, $0
	XORL R12, R12
	MOVL $64, BX
next:
	MOVL BX, DI
	XORL SI, SI
	LEAQ ·oldAction(SB), DX
	MOVL $8, R10
	MOVL $13, AX // rt_sigaction
	SYSCALL
	ADDQ R12, R12
	CMPQ ·oldAction(SB), $1 // SIG_IGN
	JNE  caught
	ORQ  $1, R12
caught:
	DECL BX
	JNZ  next
	MOVQ R12, ·ignored(SB)
	XORL DI, DI
	XORL SI, SI
	LEAQ ·blocked(SB), DX
	MOVL $8, R10
	MOVL $14, AX // rt_sigprocmask
	SYSCALL
	JMP  _rt0_amd64_linux(SB)
