#include "textflag.h"

// handler(signal, information, context) in C: write(pipe, information, 128).
TEXT handler<>(SB), NOSPLIT|NOFRAME|TOPFRAME, $0
	MOVW ·signalPipe(SB), R3
	MOVD $128, R5
	MOVD $4, R0
	SYSCALL
	RET

// func handlers() (handler, restorer uintptr)
TEXT ·handlers(SB), NOSPLIT, $0-16
	MOVD $handler<>(SB), R3
	MOVD R3, handler+0(FP)
	MOVD R0, restorer+8(FP) // the vDSO has one
	RET
