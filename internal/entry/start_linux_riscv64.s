#include "textflag.h"

// See start_linux_amd64.s.
TEXT crossrun_start(SB), NOSPLIT|NOFRAME|TOPFRAME, $0
	MOV  $0, S2
	MOV  $64, S3
next:
	MOV  S3, A0
	MOV  $0, A1
	MOV  $·oldAction(SB), A2
	MOV  $8, A3
	MOV  $134, A7 // rt_sigaction
	ECALL
	SLL  $1, S2
	MOV  ·oldAction(SB), T0
	MOV  $1, T1 // SIG_IGN
	BNE  T0, T1, caught
	OR   $1, S2
caught:
	ADD  $-1, S3
	BNE  S3, ZERO, next
	MOV  S2, ·ignored(SB)
	MOV  $0, A0
	MOV  $0, A1
	MOV  $·blocked(SB), A2
	MOV  $8, A3
	MOV  $135, A7 // rt_sigprocmask
	ECALL
	JMP  _rt0_riscv64_linux(SB)
