// Instructions at the edges of what they do, and what translators make of several. A number that does not fit
// is the program's fault, not the emulator's.
#include "probe.h"
#include <setjmp.h>

// After a shift to the right the sign is not what it was.
PROBE(shift_right_of_what_was_signed) {
#if defined __i386__ || defined __x86_64__
	static volatile signed char byte = -3;
	static volatile short word = -0x6000;
	unsigned got;
	__asm__("movsbl %1, %0\n\tshrl %0\n\tmovswl %w0, %0" : "=r"(got) : "m"(byte) : "cc");
	EQUAL(got, 0xfffffffe);
	__asm__("movswl %1, %0\n\tshrl %0\n\tmovswl %w0, %0" : "=r"(got) : "m"(word) : "cc");
	EQUAL(got, 0xffffd000);
#else
	elsewhere("instructions of x86");
#endif
}

#if defined __i386__ || defined __x86_64__ || defined __s390x__
static sigjmp_buf after;
static volatile sig_atomic_t code;
static void divided(int sig, siginfo_t *info, void *context) {
	(void)sig, (void)context;
	code = info->si_code;
	siglongjmp(after, 1);
}
#endif
PROBE(division_whose_result_does_not_fit) {
#if defined __i386__ || defined __x86_64__ || defined __s390x__
	struct sigaction act = {.sa_sigaction = divided, .sa_flags = SA_SIGINFO};
	OK(sigaction(SIGFPE, &act, NULL));
	if (!sigsetjmp(after, 1)) {
#ifdef __s390x__
		register long high __asm__("2") = INT32_MIN, low __asm__("3") = 0;
		int minus = -1;
		__asm__ volatile("dr %0, %2" : "+d"(high), "+d"(low) : "d"(minus) : "cc");
#else
		int high = INT_MIN, low = 0, minus = -1;
		__asm__ volatile("idivl %2" : "+d"(high), "+a"(low) : "r"(minus) : "cc");
#endif
		WRONG("no signal: %ld, %ld", (long)high, (long)low);
	}
	EQUAL(code, FPE_INTDIV);
#elif defined __m68k__
	int value = INT_MIN, minus = -1;
	__asm__ volatile("divs.l %1, %0" : "+d"(value) : "d"(minus) : "cc");
	EQUAL(value, INT_MIN);
#else
	elsewhere("instructions that do not say so");
#endif
}

PROBE(short_division_whose_result_does_not_fit) {
#if defined __i386__ || defined __x86_64__
	struct sigaction act = {.sa_sigaction = divided, .sa_flags = SA_SIGINFO};
	OK(sigaction(SIGFPE, &act, NULL));
	if (!sigsetjmp(after, 1)) {
		short high = SHRT_MIN, low = 0, minus = -1;
		__asm__ volatile("idivw %2" : "+d"(high), "+a"(low) : "r"(minus) : "cc");
		WRONG("no signal: %d, %d", high, low);
	}
	EQUAL(code, FPE_INTDIV);
#elif defined __m68k__
	int value = INT_MIN;
	short minus = -1;
	__asm__ volatile("divs.w %1, %0" : "+d"(value) : "d"(minus) : "cc");
	EQUAL(value, INT_MIN);
#else
	elsewhere("instructions that do not say so");
#endif
}

PROBE(swap_of_bytes_with_both_prefixes) {
#ifdef __x86_64__
	if (!__builtin_cpu_supports("movbe")) unsupported("no MOVBE");
	uint64_t value = 0x0102030405060708, got = 0;
	__asm__(".byte 0x66, 0x48, 0x0f, 0x38, 0xf0, 0x06" : "=a"(got) : "S"(&value), "m"(value), "0"(got)); // movbe (%rsi), %rax
	CHECK(got == 0x0807060504030201);
#else
	elsewhere("instructions of x86-64");
#endif
}
