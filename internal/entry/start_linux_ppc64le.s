#include "textflag.h"

// See start_linux_amd64.s.
TEXT crossrun_start(SB), NOSPLIT|NOFRAME|TOPFRAME, $0
	XOR  R0, R0 // as Go has it
	MOVD $0, R20
	MOVD $64, R19
next:
	MOVD R19, R3
	MOVD $0, R4
	MOVD $·oldAction(SB), R5
	MOVD $8, R6
	MOVD $173, R9 // rt_sigaction
	SYSCALL R9
	XOR  R0, R0
	SLD  $1, R20
	MOVD ·oldAction(SB), R21
	CMP  R21, $1 // SIG_IGN
	BNE  caught
	OR   $1, R20
caught:
	ADD  $-1, R19
	CMP  R19, $0
	BNE  next
	MOVD R20, ·ignored(SB)
	MOVD $0, R3
	MOVD $0, R4
	MOVD $·blocked(SB), R5
	MOVD $8, R6
	MOVD $174, R9 // rt_sigprocmask
	SYSCALL R9
	XOR  R0, R0
	BR   _rt0_ppc64le_linux(SB)
