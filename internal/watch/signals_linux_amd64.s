#include "textflag.h"

// handler(signal, information, context) in C: write(pipe, information, 128).
TEXT handler<>(SB), NOSPLIT|NOFRAME|TOPFRAME, $0
	MOVL ·signalPipe(SB), DI
	MOVL $128, DX
	MOVL $1, AX
	SYSCALL
	RET

TEXT restorer<>(SB), NOSPLIT|NOFRAME|TOPFRAME, $0
	MOVL $15, AX // rt_sigreturn
	SYSCALL
	INT $3

// func handlers() (handler, restorer uintptr)
TEXT ·handlers(SB), NOSPLIT, $0-16
	LEAQ handler<>(SB), AX
	MOVQ AX, handler+0(FP)
	LEAQ restorer<>(SB), AX
	MOVQ AX, restorer+8(FP)
	RET
