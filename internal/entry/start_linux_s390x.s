#include "textflag.h"

// See start_linux_amd64.s.
TEXT crossrun_start(SB), NOSPLIT|NOFRAME|TOPFRAME, $0
	MOVD $0, R7
	MOVD $64, R8
next:
	MOVD R8, R2
	MOVD $0, R3
	MOVD $·oldAction(SB), R4
	MOVD $8, R5
	MOVD $174, R1 // rt_sigaction
	SYSCALL
	SLD  $1, R7
	MOVD ·oldAction(SB), R9
	CMPBNE R9, $1, caught // SIG_IGN
	OR   $1, R7
caught:
	ADD  $-1, R8
	CMPBNE R8, $0, next
	MOVD R7, ·ignored(SB)
	MOVD $0, R2
	MOVD $0, R3
	MOVD $·blocked(SB), R4
	MOVD $8, R5
	MOVD $175, R1 // rt_sigprocmask
	SYSCALL
	BR   _rt0_s390x_linux(SB)
