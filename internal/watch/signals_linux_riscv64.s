#include "textflag.h"

// handler(signal, information, context) in C: write(pipe, information, 128).
TEXT handler<>(SB), NOSPLIT|NOFRAME|TOPFRAME, $0
	MOVW ·signalPipe(SB), A0
	MOV $128, A2
	MOV $64, A7
	ECALL
	RET

// func handlers() (handler, restorer uintptr)
TEXT ·handlers(SB), NOSPLIT, $0-16
	MOV $handler<>(SB), A0
	MOV A0, handler+0(FP)
	MOV ZERO, restorer+8(FP) // the vDSO has one
	RET
