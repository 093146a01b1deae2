/* Says what the frames of three signals hold: of a read, a write and a jump to
   where nothing is mapped. */
#include <setjmp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <ucontext.h>
#include <unistd.h>

/* Of struct pt_regs (arch/powerpc/include/uapi/asm/ptrace.h). */
enum { DAR = 41, DSISR = 42 };

static sigjmp_buf back;
static unsigned long expected;
static const char *what;

static void handler(int sig, siginfo_t *info, void *context)
{
	ucontext_t *uc = context;
#ifdef __powerpc64__
	unsigned long *regs = uc->uc_mcontext.gp_regs;
#else
	unsigned long *regs = uc->uc_mcontext.uc_regs->gregs;
#endif
	printf("%s: si_addr %s, DAR %s, DSISR %lx\n", what, (unsigned long)info->si_addr == expected ? "right" : "wrong",
	       regs[DAR] == expected ? "right" : "wrong", regs[DSISR]);
	siglongjmp(back, 1);
}

/* What the frame will be laid over is neither 0 nor what is expected. */
static void __attribute__((noinline)) dirty(void)
{
	char stack[65536];
	memset(stack, 0xa5, sizeof stack);
	__asm__ volatile("" : : "r"(stack) : "memory");
}

int main(void)
{
	struct sigaction action = {.sa_sigaction = handler, .sa_flags = SA_SIGINFO};
	size_t page = sysconf(_SC_PAGESIZE);
	char *p = mmap(NULL, page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (p == MAP_FAILED || munmap(p, page) || sigaction(SIGSEGV, &action, NULL))
		return 1;
	dirty();
	what = "read", expected = (unsigned long)p + 8;
	if (!sigsetjmp(back, 1))
		(void)*(volatile int *)expected;
	dirty();
	what = "write", expected = (unsigned long)p + 16;
	if (!sigsetjmp(back, 1))
		*(volatile int *)expected = 1;
	dirty();
	what = "jump", expected = (unsigned long)p + 32;
	if (!sigsetjmp(back, 1))
		__asm__ volatile("mtctr %0\n\tbctrl" : : "r"(expected) : "ctr", "lr", "memory");
	return 0;
}
