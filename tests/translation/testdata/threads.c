// Threads call code that another one rewrites: they may see the old and the
// new, and nothing else, and after they were told, only the new.
#define _GNU_SOURCE
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "code.h"

enum { threads = 3, rounds = 300, functions = 16 };

static unsigned char *near;
static size_t page;
static atomic_int written; // what was written last, and is seen by all from then on
static atomic_int wrong, seen[threads];
static atomic_int done;

static unsigned char *entry(int f) { return near + f * page; }

// Two slots by turns: the code of a slot is never changed while it may run.
static unsigned char *slot(int f, int n) { return near + (functions + 2 * f + n % 2) * page; }

static atomic_uintptr_t current[functions];

static void *caller(void *arg)
{
	int me = (int)(long)arg;

	while (!atomic_load(&done)) {
		int before = atomic_load(&written);
		for (int f = 0; f < functions; f++) {
			function *p = (function *)atomic_load(&current[f]);
			int got = p() - 1;
			if (got < before || got > atomic_load(&written) + 1)
				atomic_fetch_add(&wrong, 1);
		}
		atomic_store(&seen[me], before);
	}
	return 0;
}

int main(void)
{
	pthread_t t[threads];

	page = (size_t)sysconf(_SC_PAGESIZE);
	near = mmap(0, 3 * functions * page, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (near == MAP_FAILED) {
		perror("mmap");
		return 2;
	}
	for (int f = 0; f < functions; f++) {
		put_return(slot(f, 0), 1);
		put_jump(entry(f), slot(f, 0));
		atomic_store(&current[f], (uintptr_t)slot(f, 0));
	}
	for (long i = 0; i < threads; i++)
		if (pthread_create(&t[i], 0, caller, (void *)i)) {
			perror("pthread_create");
			return 2;
		}
	for (int n = 1; n <= rounds; n++) {
		for (int f = 0; f < functions; f++) {
			put_return(slot(f, n), n + 1);
			atomic_store(&current[f], (uintptr_t)slot(f, n));
		}
		atomic_store(&written, n);
		// The other slots are free when all have seen this round.
		for (int i = 0; i < threads; i++)
			while (atomic_load(&seen[i]) < n)
				usleep(0);
		if (n % 50 == 0) {
			for (int f = 0; f < functions; f++)
				munmap(slot(f, n + 1), page), mmap(slot(f, n + 1), page, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
		}
	}
	atomic_store(&done, 1);
	for (int i = 0; i < threads; i++)
		pthread_join(t[i], 0);
	printf("%d rounds, %d wrong\n", rounds, atomic_load(&wrong));
	return 0;
}
