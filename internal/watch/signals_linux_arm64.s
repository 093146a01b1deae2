#include "textflag.h"

// handler(signal, information, context) in C: write(pipe, information, 128).
TEXT handler<>(SB), NOSPLIT|NOFRAME|TOPFRAME, $0
	MOVW ·signalPipe(SB), R0
	MOVD $128, R2
	MOVD $64, R8
	SVC
	RET

// func handlers() (handler, restorer uintptr)
TEXT ·handlers(SB), NOSPLIT, $0-16
	MOVD $handler<>(SB), R0
	MOVD R0, handler+0(FP)
	MOVD ZR, restorer+8(FP) // the vDSO has one
	RET
