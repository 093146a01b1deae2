// Machine code for a page: "return n", and "jump to another page".
#include <stdint.h>
#include <string.h>

typedef int function(void);

static inline void emit(unsigned char *at, const uint32_t *words, int n)
{
	memcpy(at, words, 4 * n);
	__builtin___clear_cache((char *)at, (char *)at + 4 * n);
}

#if defined(__aarch64__)

static inline void put_return(unsigned char *at, int n)
{
	uint32_t code[] = {0x52800000 | (uint32_t)n << 5, 0xd65f03c0}; // mov w0, #n; ret
	emit(at, code, 2);
}

static inline void put_jump(unsigned char *at, const unsigned char *to)
{
	uint32_t code[] = {0x14000000 | ((uint32_t)((to - at) / 4) & 0x3ffffff)}; // b
	emit(at, code, 1);
}

#elif defined(__riscv)

static inline void put_return(unsigned char *at, int n)
{
	uint32_t code[] = {0x00000513 | (uint32_t)n << 20, 0x00008067}; // li a0, n; ret
	emit(at, code, 2);
}

static inline void put_jump(unsigned char *at, const unsigned char *to)
{
	uint32_t d = (uint32_t)(to - at);
	uint32_t code[] = {0x6f | (d >> 20 & 1) << 31 | (d >> 1 & 0x3ff) << 21 | (d >> 11 & 1) << 20 | (d >> 12 & 0xff) << 12}; // j
	emit(at, code, 1);
}

#elif defined(__powerpc64__) && defined(__LITTLE_ENDIAN__)

static inline void put_return(unsigned char *at, int n)
{
	uint32_t code[] = {0x38600000 | (uint32_t)n, 0x4e800020}; // li r3, n; blr
	emit(at, code, 2);
}

static inline void put_jump(unsigned char *at, const unsigned char *to)
{
	uint32_t code[] = {0x48000000 | ((uint32_t)(to - at) & 0x3fffffc)}; // b
	emit(at, code, 1);
}

#elif defined(__s390x__)

static inline void put_return(unsigned char *at, int n)
{
	uint32_t code[] = {0xa7290000 | (uint32_t)n, 0x07fe0700}; // lghi %r2, n; br %r14; nop
	emit(at, code, 2);
}

static inline void put_jump(unsigned char *at, const unsigned char *to)
{
	uint32_t d = (uint32_t)((to - at) / 2);
	uint32_t code[] = {0xc0f40000 | d >> 16, d << 16 | 0x0700}; // jg; nop
	emit(at, code, 2);
}

#elif defined(__x86_64__) || defined(__i386__)

static inline void put_return(unsigned char *at, int n)
{
	unsigned char code[] = {0xb8, (unsigned char)n, (unsigned char)(n >> 8), 0, 0, 0xc3}; // mov $n, %eax; ret
	memcpy(at, code, sizeof code);
}

static inline void put_jump(unsigned char *at, const unsigned char *to)
{
	int32_t d = (int32_t)(to - at - 5);
	at[0] = 0xe9; // jmp
	memcpy(at + 1, &d, 4);
}

#elif defined(__arm__)

static inline void put_return(unsigned char *at, int n)
{
	uint32_t code[] = {0xe3000000 | ((uint32_t)n & 0xf000) << 4 | ((uint32_t)n & 0xfff), 0xe12fff1e}; // movw r0, #n; bx lr
	emit(at, code, 2);
}

static inline void put_jump(unsigned char *at, const unsigned char *to)
{
	uint32_t code[] = {0xea000000 | ((uint32_t)((to - at - 8) / 4) & 0xffffff)}; // b
	emit(at, code, 1);
}

#else
#error "no machine code for this architecture yet"
#endif
