/*
 * Something of all that a program does, with the same output each time. Words say
 * what to do: "work", "fork", "exec" and an emulator, which the kernel executes,
 * "on" (until it is killed), "hole".
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <math.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#ifndef ANSWER
#define ANSWER 42
#endif

static volatile int seed = 7;
static atomic_uint counter;
static volatile sig_atomic_t signals;

__attribute__((noinline)) static int answer(void) { return ANSWER; }

static void handler(int sig) { signals += sig == SIGUSR1; }

static int compare(const void *a, const void *b) {
	const unsigned x = *(const unsigned *)a, y = *(const unsigned *)b;
	return (x > y) - (x < y);
}

static void *count(void *arg) {
	for (int i = 0; i < 1000; i++)
		atomic_fetch_add(&counter, (unsigned)i % *(unsigned *)arg);
	return NULL;
}

static void work(void) {
	enum { N = 300 };
	unsigned list[N], sum = 0, three = 3;
	double d = 0;
	char text[N];
	pthread_t threads[3];

	for (int i = 0; i < N; i++) {
		list[i] = (unsigned)seed * 2654435761u * (unsigned)(i + 1);
		text[i] = "abcdefgh"[list[i] >> 29];
		d += sqrt(i * 1.5) / (seed + i) - floor(i / 7.0);
	}
	text[N - 1] = 0;
	qsort(list, N, sizeof(*list), compare);
	for (int i = 0; i < N; i++)
		sum = sum * 31 + list[i] / (unsigned)(seed + i) + (list[i] << i % 32);
	for (int i = 0; i < 3; i++)
		pthread_create(&threads[i], NULL, count, &three);
	for (int i = 0; i < 3; i++)
		pthread_join(threads[i], NULL);
	signal(SIGUSR1, handler);
	raise(SIGUSR1);
	printf("%08x %.6f %s %u %d %d\n", sum, d, strstr(text, "ab") ? "ab" : "none", counter, (int)signals, answer());
	fflush(stdout);
}

extern const char __executable_start[];

/* What was unmapped is free, also when code of another mapping is executed then. */
static int hole(void) {
	size_t page = sysconf(_SC_PAGESIZE), at = (size_t)answer - (size_t)__executable_start;
	char *code = mmap(NULL, (at | (page - 1)) + 1 + page, PROT_READ | PROT_EXEC, MAP_PRIVATE, open("/proc/self/exe", O_RDONLY), 0);
	char *p = mmap(NULL, 4 * page, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (code == MAP_FAILED || p == MAP_FAILED || munmap(p, 4 * page))
		return 1;
	if (((int (*)(void))(code + at))() != ANSWER)
		return 2;
	return mmap(p, 4 * page, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0) == p ? 0 : 3;
}

int main(int argc, char **argv) {
	for (int i = 1; i < argc; i++) {
		if (!strcmp(argv[i], "work")) {
			work();
		} else if (!strcmp(argv[i], "fork")) {
			for (int n = 0; n < 3; n++) {
				pid_t child = fork();
				if (child == 0) {
					work();
					_exit(n);
				}
				int status;
				if (waitpid(child, &status, 0) != child || status != n << 8)
					return 1;
			}
		} else if (!strcmp(argv[i], "hole")) {
			return hole();
		} else if (!strcmp(argv[i], "exec")) {
			char *words[] = { argv[i + 1], argv[0], "work", NULL };
			execv(words[0], words);
			return 1;
		} else {
			while (1)
				work();
		}
	}
	return 0;
}
