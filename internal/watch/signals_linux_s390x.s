#include "textflag.h"

// handler(signal, information, context) in C: write(pipe, information, 128).
TEXT handler<>(SB), NOSPLIT|NOFRAME|TOPFRAME, $0
	MOVW ·signalPipe(SB), R2
	MOVD $128, R4
	MOVD $4, R1
	SYSCALL
	RET

// func handlers() (handler, restorer uintptr)
TEXT ·handlers(SB), NOSPLIT, $0-16
	MOVD $handler<>(SB), R2
	MOVD R2, handler+0(FP)
	MOVD $0, restorer+8(FP) // the kernel or the vDSO has one
	RET
