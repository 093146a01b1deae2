// What every family of probes uses. A program is one family: without arguments it lists its probes, one a
// line; with the name of one it runs that, in a directory that is empty and its own, as an ordinary user.
// It exits with PASS, FAIL and a line that says why, UNSUPPORTED if this kernel lacks what is probed, or
// ELSEWHERE if this architecture has no such thing.
#ifndef PROBE_H
#define PROBE_H
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { PASS = 0, FAIL = 1, UNSUPPORTED = 77, ELSEWHERE = 78 };

struct probe {
	const char *name;
	void (*run)(int argc, char **argv);
	struct probe *next;
};

extern char *program; // the absolute path of this file
extern char **environ;

void probe_add(struct probe *p);
// fail ends the process (also one that a probe forked) and says why.
void fail(const char *file, int line, const char *format, ...) __attribute__((noreturn, format(printf, 3, 4)));
void unsupported(const char *why) __attribute__((noreturn));
void elsewhere(const char *why) __attribute__((noreturn));

// PROBE defines and lists a probe. PART is what a probe has another process of this file run, by its name.
#define PROBE(NAME) LISTED(NAME, "", int argc __attribute__((unused)), char **argv __attribute__((unused)))
#define PART(NAME) LISTED(NAME, ":", int argc __attribute__((unused)), char **argv __attribute__((unused)))
#define LISTED(NAME, PREFIX, ...)                                                                     \
	static void run_##NAME(__VA_ARGS__);                                                          \
	static struct probe listed_##NAME = {PREFIX #NAME, run_##NAME, 0};                            \
	__attribute__((constructor)) static void list_##NAME(void) { probe_add(&listed_##NAME); }     \
	static void run_##NAME(__VA_ARGS__)

#define WRONG(...) fail(__FILE__, __LINE__, __VA_ARGS__)
#define CHECK(CONDITION)                                    \
	do {                                                \
		if (!(CONDITION)) WRONG("%s", #CONDITION);  \
	} while (0)
#define EQUAL(GOT, WANT)                                                                            \
	do {                                                                                        \
		long long got_ = (long long)(GOT), want_ = (long long)(WANT);                       \
		if (got_ != want_) WRONG("%s is %lld (%#llx), not %lld", #GOT, got_, got_, want_);  \
	} while (0)
#define SAME(GOT, WANT)                                                           \
	do {                                                                      \
		const char *got_ = (GOT), *want_ = (WANT);                        \
		if (strcmp(got_, want_)) WRONG("%s is \"%s\", not \"%s\"", #GOT, got_, want_); \
	} while (0)
// OK is the value of a call that must not fail; FAILS is one that must, with that error.
#define OK(...)                                                                                 \
	({                                                                                      \
		errno = 0;                                                                      \
		__auto_type ok_ = (__VA_ARGS__);                                                \
		if (ok_ == (__typeof__(ok_))-1) WRONG("%s: %s", #__VA_ARGS__, strerror(errno)); \
		ok_;                                                                            \
	})
#define FAILS(ERROR, ...)                                                                                          \
	do {                                                                                                       \
		errno = 0;                                                                                         \
		if ((__VA_ARGS__) != (__typeof__(__VA_ARGS__))-1)                                                  \
			WRONG("%s does not fail, it should: %s", #__VA_ARGS__, strerror(ERROR));                   \
		if (errno != (ERROR)) WRONG("%s: %s, not: %s", #__VA_ARGS__, strerror(errno), strerror(ERROR));    \
	} while (0)
// ZERO is for pthread functions and the like, whose value is the error.
#define ZERO(CALL)                                                        \
	do {                                                              \
		int zero_ = (CALL);                                       \
		if (zero_) WRONG("%s: %s", #CALL, strerror(zero_));       \
	} while (0)

#define COUNT(ARRAY) (sizeof(ARRAY) / sizeof *(ARRAY))

// NEWER is the number of a system call since Linux 5.1, which all architectures count alike.
#if defined __alpha__
#define NEWER(N) ((N) + 110)
#elif defined __mips__ && _MIPS_SIM == _ABIO32
#define NEWER(N) ((N) + 4000)
#elif defined __mips__ && _MIPS_SIM == _ABI64
#define NEWER(N) ((N) + 5000)
#else
#define NEWER(N) (N)
#endif

// Its number is reserved, and nothing behind it.
#if defined __sparc__ || defined __sh__
#define NO_CLONE3 elsewhere("Linux has no clone3 here")
#else
#define NO_CLONE3 (void)0
#endif

// reap waits for a child and fails unless it exited with that status.
void reap_(const char *file, int line, pid_t pid, int status);
#define reap(PID, STATUS) reap_(__FILE__, __LINE__, PID, STATUS)
// reap_killed waits for a child and fails unless it died of that signal.
void reap_killed_(const char *file, int line, pid_t pid, int signal);
#define reap_killed(PID, SIGNAL) reap_killed_(__FILE__, __LINE__, PID, SIGNAL)
// in_child runs a block in a child, and waits for it to end well.
#define IN_CHILD(...)                           \
	do {                                    \
		pid_t child_ = OK(fork());      \
		if (child_ == 0) {              \
			__VA_ARGS__;            \
			_exit(0);               \
		}                               \
		reap(child_, 0);                \
	} while (0)

// spawned runs a part of this program with arguments (the last one is NULL) and waits: its exit status.
int spawned(const char *part, ...);
// become replaces this process by a part of this program.
void become(const char *part, ...);
// contents returns a file's text, of at most a megabyte, ended by a zero.
char *contents(const char *path);
// write_file makes a file.
void write_file(const char *path, const char *text);
// field finds the value of "Name:" in a text such as /proc/self/status, or fails.
char *field(char *text, const char *name);
// works uses processor time until the kernel has counted two hundredths of a second as the program's own: by
// where ticks find a program it may take what was used for the system's.
void works(void);
// now is the monotonic clock in nanoseconds; nap sleeps for milliseconds.
int64_t now(void);
void nap(int milliseconds);
// A thread that must be made, what one runs that only returns its argument, and what one runs that makes
// others that end, until *(bool *)done.
pthread_t thread(void *(*run)(void *), void *argument);
void *ends_at_once(void *argument);
void *begins_and_ends(void *done);
void *join(pthread_t t);
#endif
