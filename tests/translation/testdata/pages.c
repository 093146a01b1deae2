// Code on one page jumps to code on another, which is rewritten, unmapped,
// protected, and mapped anew in between. An emulator that links the two must
// forget the link each time.
#define _GNU_SOURCE
#include <setjmp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "code.h"

static sigjmp_buf back;

static void caught(int sig)
{
	siglongjmp(back, sig);
}

// call says what the function returns, or which signal it ends with.
static void call(const char *what, unsigned char *at)
{
	int sig = sigsetjmp(back, 1);
	if (sig == 0)
		printf("%s: %d\n", what, ((function *)at)());
	else
		printf("%s: %s\n", what, sig == SIGSEGV ? "SIGSEGV" : sig == SIGILL ? "SIGILL" : "another signal");
}

static unsigned char *map(void *at, size_t size)
{
	void *p = mmap(at, size, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS | (at ? MAP_FIXED : 0), -1, 0);
	if (p == MAP_FAILED) {
		perror("mmap");
		exit(2);
	}
	return p;
}

int main(void)
{
	size_t page = (size_t)sysconf(_SC_PAGESIZE);
	unsigned char *near = map(0, 4 * page), *far = near + 2 * page;
	struct sigaction action = {.sa_handler = caught};

	sigaction(SIGSEGV, &action, 0);
	sigaction(SIGILL, &action, 0);
	setvbuf(stdout, 0, _IOLBF, 0);

	put_jump(near, far);
	for (int n = 1; n <= 5; n++) {
		put_return(far, n);
		call("rewritten", near);
		call("again", near);
	}

	mprotect(far, page, PROT_READ | PROT_EXEC);
	call("not writable", near);
	mprotect(far, page, PROT_READ);
	call("not executable", near);
	call("again", near);
	mprotect(far, page, PROT_READ | PROT_WRITE | PROT_EXEC);
	call("executable", near);

	munmap(far, page);
	call("unmapped", near);
	map(far, page);
	put_return(far, 6);
	call("mapped anew", near);

	unsigned char *other = map(0, page);
	put_return(other, 7);
	if (mremap(other, page, page, MREMAP_MAYMOVE | MREMAP_FIXED, far) == MAP_FAILED)
		perror("mremap");
	call("moved there", near);
	mremap(far, page, page, MREMAP_MAYMOVE | MREMAP_FIXED, near + page);
	call("moved away", near);
	put_jump(near, near + page);
	call("followed", near);

	// A jump that lies across the end of a page.
	map(far, page);
	put_return(far, 8);
	put_jump(near + page - 4, far);
	call("from the end of a page", near + page - 4);
	return 0;
}
