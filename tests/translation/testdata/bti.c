// A page that ran unguarded becomes guarded, and the other way round. An
// indirect call (BLR) to an instruction that is no landing pad ends with SIGILL
// exactly while it is.
#include <setjmp.h>
#include <signal.h>
#include <stdio.h>
#include <sys/mman.h>
#include <unistd.h>

#include "code.h"

#ifndef PROT_BTI
#define PROT_BTI 0x10
#endif

static sigjmp_buf back;

static void caught(int sig) { siglongjmp(back, sig); }

static void call(const char *what, unsigned char *at)
{
	int sig = sigsetjmp(back, 1);
	if (sig == 0)
		printf("%s: %d\n", what, ((function *)at)());
	else
		printf("%s: %s\n", what, sig == SIGILL ? "SIGILL" : "another signal");
}

int main(void)
{
	size_t page = (size_t)sysconf(_SC_PAGESIZE);
	unsigned char *p = mmap(0, page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	struct sigaction action = {.sa_handler = caught};
	uint32_t pad = 0xd503245f; // bti c

	sigaction(SIGILL, &action, 0);
	setvbuf(stdout, 0, _IOLBF, 0);
	put_return(p, 1);
	emit(p + 64, &pad, 1);
	put_return(p + 68, 2);
	for (int round = 0; round < 3; round++) {
		mprotect(p, page, PROT_READ | PROT_EXEC);
		call("unguarded", p);
		call("unguarded, landing pad", p + 64);
		mprotect(p, page, PROT_READ | PROT_EXEC | PROT_BTI);
		call("guarded", p);
		call("guarded, landing pad", p + 64);
	}
	return 0;
}
