#include "textflag.h"

// See start_linux_amd64.s.
TEXT crossrun_start(SB), NOSPLIT|NOFRAME|TOPFRAME, $0
	MOVD $0, R20
	MOVD $64, R19
next:
	MOVD R19, R0
	MOVD $0, R1
	MOVD $·oldAction(SB), R2
	MOVD $8, R3
	MOVD $134, R8 // rt_sigaction
	SVC
	LSL  $1, R20
	MOVD ·oldAction(SB), R21
	CMP  $1, R21 // SIG_IGN
	BNE  caught
	ORR  $1, R20
caught:
	SUB  $1, R19
	CBNZ R19, next
	MOVD R20, ·ignored(SB)
	MOVD $0, R0
	MOVD $0, R1
	MOVD $·blocked(SB), R2
	MOVD $8, R3
	MOVD $135, R8 // rt_sigprocmask
	SVC
	JMP  _rt0_arm64_linux(SB)
