// Signals: who gets them, what they say, and what they leave as it was.
#include "probe.h"
#include <poll.h>
#include <setjmp.h>
#include <sys/signalfd.h>
#include <ucontext.h>
#include <unwind.h>

static volatile sig_atomic_t count;
static siginfo_t last;
static int seen[64];
static void counting(int n) { seen[count++ & 63] = n; }
static void noting(int n, siginfo_t *info, void *context) {
	last = *info;
	seen[count++ & 63] = n;
}
static void on(int n, void *handler, int flags) {
	struct sigaction act = {.sa_flags = flags};
	sigemptyset(&act.sa_mask);
	if (flags & SA_SIGINFO) act.sa_sigaction = handler;
	else act.sa_handler = handler;
	OK(sigaction(n, &act, 0));
}
static sigset_t only(int n) {
	sigset_t set;
	sigemptyset(&set);
	sigaddset(&set, n);
	return set;
}
static void block(int n) {
	sigset_t set = only(n);
	ZERO(pthread_sigmask(SIG_BLOCK, &set, 0));
}
static void unblock(int n) {
	sigset_t set = only(n);
	ZERO(pthread_sigmask(SIG_UNBLOCK, &set, 0));
}

PROBE(handler_runs) {
	on(SIGUSR1, counting, 0);
	OK(raise(SIGUSR1));
	EQUAL(count, 1);
}
PROBE(old_action) {
	on(SIGUSR1, noting, SA_SIGINFO | SA_RESTART | SA_NODEFER);
	struct sigaction act;
	OK(sigaction(SIGUSR1, 0, &act));
	CHECK(act.sa_sigaction == noting);
	EQUAL(act.sa_flags & (SA_SIGINFO | SA_RESTART | SA_NODEFER | SA_RESETHAND), SA_SIGINFO | SA_RESTART | SA_NODEFER);
}
PROBE(info_of_kill) {
	on(SIGUSR1, noting, SA_SIGINFO);
	OK(kill(getpid(), SIGUSR1));
	EQUAL(last.si_signo, SIGUSR1);
	EQUAL(last.si_code, SI_USER);
	EQUAL(last.si_pid, getpid());
	EQUAL(last.si_uid, getuid());
}
PROBE(info_of_tgkill) {
	on(SIGUSR1, noting, SA_SIGINFO);
	OK(syscall(SYS_tgkill, getpid(), syscall(SYS_gettid), SIGUSR1));
	EQUAL(last.si_code, SI_TKILL);
	EQUAL(last.si_pid, getpid());
}
PROBE(info_of_queue) {
	on(SIGUSR1, noting, SA_SIGINFO);
	OK(sigqueue(getpid(), SIGUSR1, (union sigval){.sival_int = 1234567}));
	EQUAL(last.si_code, SI_QUEUE);
	EQUAL(last.si_value.sival_int, 1234567);
	EQUAL(last.si_pid, getpid());
}
PROBE(info_has_error_number) {
	on(SIGUSR1, noting, SA_SIGINFO);
	siginfo_t i = {.si_signo = SIGUSR1, .si_code = SI_QUEUE, .si_errno = EAGAIN};
	i.si_pid = getpid();
	OK(syscall(SYS_rt_sigqueueinfo, getpid(), SIGUSR1, &i));
	EQUAL(last.si_errno, EAGAIN);
	sigset_t set;
	sigemptyset(&set);
	sigaddset(&set, SIGUSR2);
	OK(sigprocmask(SIG_BLOCK, &set, 0));
	i.si_signo = SIGUSR2;
	OK(syscall(SYS_rt_sigqueueinfo, getpid(), SIGUSR2, &i));
	siginfo_t got = {0};
	EQUAL(OK(sigtimedwait(&set, &got, &(struct timespec){1, 0})), SIGUSR2);
	EQUAL(got.si_errno, EAGAIN);
}
PROBE(queued_pointer) {
	on(SIGRTMIN, noting, SA_SIGINFO);
	OK(sigqueue(getpid(), SIGRTMIN, (union sigval){.sival_ptr = &last}));
	CHECK(last.si_value.sival_ptr == &last);
}
PROBE(info_of_child) {
	on(SIGCHLD, noting, SA_SIGINFO);
	block(SIGCHLD);
	pid_t pid = OK(fork());
	if (pid == 0) _exit(13);
	sigset_t none;
	sigemptyset(&none);
	sigsuspend(&none);
	EQUAL(last.si_code, CLD_EXITED);
	EQUAL(last.si_pid, pid);
	EQUAL(last.si_status, 13);
}
PROBE(realtime_in_order) {
	int first = SIGRTMIN + 1;
	for (int i = 0; i < 3; i++) on(first + i, counting, 0), block(first + i);
	OK(kill(getpid(), first + 2));
	OK(kill(getpid(), first));
	OK(kill(getpid(), first + 1));
	OK(kill(getpid(), first));
	sigset_t none, all;
	sigfillset(&all);
	for (int i = 0; i < 3; i++) {
		struct sigaction act = {.sa_handler = counting, .sa_mask = all};
		OK(sigaction(first + i, &act, 0));
	}
	sigemptyset(&none);
	ZERO(pthread_sigmask(SIG_SETMASK, &none, 0));
	EQUAL(count, 4);
	EQUAL(seen[0], first);
	EQUAL(seen[1], first);
	EQUAL(seen[2], first + 1);
	EQUAL(seen[3], first + 2);
}
PROBE(realtime_queued_each) {
	on(SIGRTMIN + 3, noting, SA_SIGINFO);
	block(SIGRTMIN + 3);
	for (int i = 0; i < 10; i++) OK(sigqueue(getpid(), SIGRTMIN + 3, (union sigval){.sival_int = i}));
	unblock(SIGRTMIN + 3);
	EQUAL(count, 10);
	EQUAL(last.si_value.sival_int, 9);
}
PROBE(plain_merged) {
	on(SIGUSR1, counting, 0);
	block(SIGUSR1);
	for (int i = 0; i < 10; i++) OK(kill(getpid(), SIGUSR1));
	unblock(SIGUSR1);
	EQUAL(count, 1);
}
// Not the kernel, but the program says who sent it, and from where.
static volatile int aborted;
static void on_queued_abort(int sig, siginfo_t *i, void *c) {
	(void)c;
	if (sig == SIGABRT && i->si_pid == getpid()) aborted++;
}
PROBE(queued_abort) {
	struct sigaction a = {.sa_sigaction = on_queued_abort, .sa_flags = SA_SIGINFO};
	OK(sigaction(SIGABRT, &a, 0));
	siginfo_t i = {.si_signo = SIGABRT, .si_code = SI_TKILL};
	i.si_pid = getpid();
	i.si_uid = getuid();
	OK(syscall(SYS_rt_tgsigqueueinfo, getpid(), getpid(), SIGABRT, &i));
	EQUAL(aborted, 1);
	OK(syscall(SYS_rt_sigqueueinfo, getpid(), SIGABRT, &i));
	EQUAL(aborted, 2);
	FAILS(EPERM, syscall(SYS_rt_tgsigqueueinfo, getpid(), INT_MAX, SIGABRT, &i));
	raise(SIGABRT);
	EQUAL(aborted, 3);
	int fd = syscall(NEWER(434), getpid(), 0);
	if (fd < 0 && errno == ENOSYS) unsupported("no pidfd_open");
	OK(fd);
	OK(syscall(NEWER(424), fd, SIGABRT, &i, 0));
	EQUAL(aborted, 4);
}
// E14: the last ones are the emulator's since QEMU 10
PROBE(all_realtime) {
	int want = 0;
	for (int n = SIGRTMIN; n <= SIGRTMAX; n++, want++) {
		on(n, counting, 0);
		if (kill(getpid(), n)) WRONG("signal %d of %d: %s", n, SIGRTMAX, strerror(errno));
	}
	EQUAL(count, want);
}
PROBE(last_realtime) {
	on(SIGRTMAX, counting, 0);
	OK(kill(getpid(), SIGRTMAX));
	EQUAL(count, 1);

}
PROBE(unknown_number) {
	FAILS(EINVAL, kill(getpid(), 200));
	FAILS(EINVAL, sigaction(SIGKILL, &(struct sigaction){.sa_handler = counting}, 0));
}
static void pends(int sig) {
	block(sig);
	OK(raise(sig));
	sigset_t set;
	OK(sigpending(&set));
	CHECK(sigismember(&set, sig));
	CHECK(!sigismember(&set, SIGUSR2));
}
PROBE(pending) { pends(SIGUSR1); }
PROBE(fault_signals_pending) {
	pends(SIGSEGV);
	pends(SIGBUS);
}
static void waits_for_info(int sig) {
	sigset_t set = only(sig);
	block(sig);
	OK(sigqueue(getpid(), sig, (union sigval){.sival_int = 5}));
	siginfo_t info;
	EQUAL(OK(sigwaitinfo(&set, &info)), sig);
	EQUAL(info.si_value.sival_int, 5);
	FAILS(EAGAIN, sigtimedwait(&set, 0, &(struct timespec){0, 1000}));
}
PROBE(wait_for_info) { waits_for_info(SIGUSR1); }
PROBE(wait_for_fault_signals) {
	waits_for_info(SIGSEGV);
	waits_for_info(SIGBUS);
}
PROBE(wait_times_out) {
	sigset_t set = only(SIGUSR1);
	block(SIGUSR1);
	struct timespec t = {0, 20000000};
	FAILS(EAGAIN, sigtimedwait(&set, 0, &t));
}
static int polls(const sigset_t *mask) { return ppoll(0, 0, &(struct timespec){5, 0}, mask); }
static void interrupts(int sig, int (*waits)(const sigset_t *)) {
	count = 0;
	on(sig, counting, 0);
	block(sig);
	OK(raise(sig));
	EQUAL(count, 0);
	sigset_t none;
	sigemptyset(&none);
	FAILS(EINTR, waits(&none));
	EQUAL(count, 1);
	sigset_t now_;
	ZERO(pthread_sigmask(0, 0, &now_));
	CHECK(sigismember(&now_, sig));
}
PROBE(suspend) { interrupts(SIGUSR1, sigsuspend); }
PROBE(suspend_for_fault_signals) {
	interrupts(SIGSEGV, sigsuspend);
	interrupts(SIGBUS, sigsuspend);
}
PROBE(poll_for_fault_signals) {
	interrupts(SIGSEGV, polls);
	interrupts(SIGBUS, polls);
}
PROBE(descriptor) {
	sigset_t set = only(SIGUSR1);
	block(SIGUSR1);
	int fd = OK(signalfd(-1, &set, SFD_CLOEXEC));
	OK(sigqueue(getpid(), SIGUSR1, (union sigval){.sival_int = -5}));
	struct pollfd p = {fd, POLLIN, 0};
	EQUAL(poll(&p, 1, 10000), 1);
	struct signalfd_siginfo info;
	EQUAL(read(fd, &info, sizeof info), sizeof info);
	EQUAL(info.ssi_signo, SIGUSR1);
	EQUAL(info.ssi_code, SI_QUEUE);
	EQUAL(info.ssi_int, -5);
	EQUAL(info.ssi_pid, getpid());
}
PROBE(descriptor_by_vectors) {
	sigset_t set = only(SIGUSR1);
	block(SIGUSR1);
	int fd = OK(signalfd(-1, &set, SFD_CLOEXEC));
	OK(kill(getpid(), SIGUSR1));
	struct signalfd_siginfo info;
	struct iovec v[2] = {{&info, 6}, {(char *)&info + 6, sizeof info - 6}};
	EQUAL(readv(fd, v, 2), sizeof info);
	EQUAL(info.ssi_signo, SIGUSR1);
	EQUAL(info.ssi_pid, getpid());
}
PROBE(descriptor_in_signal) {
	int fd[2];
	OK(pipe(fd));
	sigset_t set = only(SIGRTMIN + 3);
	block(SIGRTMIN + 3);
	OK(fcntl(fd[0], F_SETOWN, getpid()));
	OK(fcntl(fd[0], F_SETSIG, SIGRTMIN + 3));
	OK(fcntl(fd[0], F_SETFL, O_ASYNC));
	EQUAL(write(fd[1], "x", 1), 1);
	siginfo_t info;
	EQUAL(OK(sigtimedwait(&set, &info, &(struct timespec){5, 0})), SIGRTMIN + 3);
	EQUAL(info.si_code, POLL_IN);
	EQUAL(info.si_fd, fd[0]);
	CHECK(info.si_band & POLLIN);
}
static void *kicks(void *arg) {
	for (int i = 0; i < 50 && !count; i++) {
		nap(20);
		pthread_kill(*(pthread_t *)arg, SIGUSR1);
	}
	return 0;
}
PROBE(interrupts_read) {
	on(SIGUSR1, counting, 0);
	int ends[2];
	OK(pipe(ends));
	pthread_t me = pthread_self(), t = thread(kicks, &me);
	char c;
	FAILS(EINTR, read(ends[0], &c, 1));
	join(t);
}
static int feed;
static void *kicks_then_writes(void *arg) {
	kicks(arg);
	nap(20);
	EQUAL(write(feed, "x", 1), 1);
	return 0;
}
PROBE(restarts_read) {
	on(SIGUSR1, counting, SA_RESTART);
	int ends[2];
	OK(pipe(ends));
	feed = ends[1];
	pthread_t me = pthread_self(), t = thread(kicks_then_writes, &me);
	char c;
	EQUAL(OK(read(ends[0], &c, 1)), 1);
	CHECK(count > 0);
	join(t);
}
PROBE(interrupts_poll_always) {
	on(SIGUSR1, counting, SA_RESTART);
	pthread_t me = pthread_self(), t = thread(kicks, &me);
	FAILS(EINTR, poll(0, 0, 30000));
	join(t);
}
PROBE(interrupts_sleep) {
	on(SIGUSR1, counting, SA_RESTART);
	pthread_t me = pthread_self(), t = thread(kicks, &me);
	struct timespec long_ = {1000, 0}, left = {0, 0};
	FAILS(EINTR, nanosleep(&long_, &left));
	CHECK(left.tv_sec > 900);
	join(t);
}
PROBE(interrupts_busy_loop) {
	on(SIGALRM, counting, 0);
	struct itimerval v = {{0, 0}, {0, 20000}};
	OK(setitimer(ITIMER_REAL, &v, 0));
	while (!count) {}
}
PROBE(many_timers_in_loop) {
	on(SIGALRM, counting, 0);
	struct itimerval v = {{0, 2000}, {0, 2000}}, off = {{0, 0}, {0, 0}};
	OK(setitimer(ITIMER_REAL, &v, 0));
	volatile double d = 1;
	while (count < 50) d = d * 1.0000001 + 1;
	OK(setitimer(ITIMER_REAL, &off, 0));
}

static struct { char low[65536]; } other_stack __attribute__((aligned(64)));
static volatile uintptr_t where;
static void placing(int n) {
	char c;
	where = (uintptr_t)&c;
	counting(n);
}
PROBE(alternate_stack) {
	stack_t s = {.ss_sp = &other_stack, .ss_size = sizeof other_stack}, old;
	OK(sigaltstack(&s, 0));
	on(SIGUSR1, placing, SA_ONSTACK);
	OK(raise(SIGUSR1));
	CHECK(where >= (uintptr_t)&other_stack && where < (uintptr_t)(&other_stack + 1));
	OK(sigaltstack(0, &old));
	CHECK(old.ss_sp == &other_stack && old.ss_size == sizeof other_stack);
	EQUAL(old.ss_flags, 0);
}
static void asks_stack(int n) {
	stack_t s;
	OK(sigaltstack(0, &s));
	EQUAL(s.ss_flags & SS_ONSTACK, SS_ONSTACK);
	FAILS(EPERM, sigaltstack(&(stack_t){.ss_flags = SS_DISABLE}, 0));
	counting(n);
}
PROBE(alternate_stack_in_use) {
	stack_t s = {.ss_sp = &other_stack, .ss_size = sizeof other_stack};
	OK(sigaltstack(&s, 0));
	on(SIGUSR1, asks_stack, SA_ONSTACK);
	OK(raise(SIGUSR1));
	EQUAL(count, 1);
}
#ifndef SS_AUTODISARM
#define SS_AUTODISARM (1U << 31)
#endif
static void disarmed(int n) {
	stack_t s;
	OK(sigaltstack(0, &s));
	EQUAL(s.ss_flags, SS_DISABLE);
	counting(n);
}
PROBE(alternate_stack_disarmed) {
	stack_t s = {.ss_sp = &other_stack, .ss_size = sizeof other_stack, .ss_flags = SS_AUTODISARM};
	OK(sigaltstack(&s, 0));
	on(SIGUSR1, disarmed, SA_ONSTACK);
	OK(raise(SIGUSR1));
	EQUAL(count, 1);
}
static int deep(int n) {
	volatile char space[1000];
	space[0] = n;
	return n > 1000000000 ? 0 : deep(n + 1) + space[0];
}
static sigjmp_buf back;
static void jumps(int n) { siglongjmp(back, n); }
PROBE(stack_overflow_caught) {
	stack_t s = {.ss_sp = &other_stack, .ss_size = sizeof other_stack};
	OK(sigaltstack(&s, 0));
	on(SIGSEGV, jumps, SA_ONSTACK);
	if (sigsetjmp(back, 1) == 0) {
		deep(0);
		WRONG("there is no end to the stack");
	}
}
static void nests(int n) {
	if (count++ < 3) raise(n);
	seen[0]++;
}
PROBE(not_deferred) {
	on(SIGUSR1, nests, SA_NODEFER);
	OK(raise(SIGUSR1));
	EQUAL(seen[0], 4);
}
static void not_nested(int n) {
	count++;
	if (count == 1) {
		raise(n);
		EQUAL(count, 1);
	}
}
PROBE(deferred) {
	on(SIGUSR1, not_nested, 0);
	OK(raise(SIGUSR1));
	EQUAL(count, 2);
}
PROBE(reset_handler) {
	on(SIGUSR1, counting, SA_RESETHAND);
	OK(raise(SIGUSR1));
	struct sigaction act;
	OK(sigaction(SIGUSR1, 0, &act));
	CHECK(act.sa_handler == SIG_DFL);
}
static void reads_mask(int n) {
	sigset_t set;
	ZERO(pthread_sigmask(0, 0, &set));
	if (!sigismember(&set, n) || !sigismember(&set, SIGUSR2) || sigismember(&set, SIGALRM)) WRONG("the handler's mask is wrong");
	counting(n);
}
PROBE(mask_in_handler) {
	struct sigaction act = {.sa_handler = reads_mask, .sa_mask = only(SIGUSR2)};
	OK(sigaction(SIGUSR1, &act, 0));
	OK(raise(SIGUSR1));
	EQUAL(count, 1);
	sigset_t set;
	ZERO(pthread_sigmask(0, 0, &set));
	CHECK(!sigismember(&set, SIGUSR1) && !sigismember(&set, SIGUSR2));
}
static void changes_mask(int n, siginfo_t *info, void *context) { sigaddset(&((ucontext_t *)context)->uc_sigmask, SIGUSR2); }
PROBE(mask_by_context) {
#ifdef __sparc__
	elsewhere("a handler's third argument is no context: setup_rt_frame() of arch/sparc/kernel/signal_64.c");
#endif
	on(SIGUSR1, changes_mask, SA_SIGINFO);
	OK(raise(SIGUSR1));
	sigset_t set;
	ZERO(pthread_sigmask(0, 0, &set));
	CHECK(sigismember(&set, SIGUSR2));
}
PROBE(jump_restores_mask) {
	on(SIGUSR1, jumps, 0);
	if (sigsetjmp(back, 1) == 0) raise(SIGUSR1);
	sigset_t set;
	ZERO(pthread_sigmask(0, 0, &set));
	CHECK(!sigismember(&set, SIGUSR1));
}

// Faults
static void jumps_noting(int n, siginfo_t *info, void *context) {
	last = *info;
	siglongjmp(back, n);
}
static int fault(int n, void *(*cause)(void *), void *at) {
	on(n, jumps_noting, SA_SIGINFO);
	if (n != SIGSEGV) on(SIGSEGV, jumps_noting, SA_SIGINFO);
	int got = sigsetjmp(back, 1);
	if (got == 0) {
		cause(at);
		WRONG("nothing happened");
	}
	if (got != n) WRONG("the signal is %d, not %d (code %d)", got, n, last.si_code);
	return got;
}
// Addresses are not known to the compiler.
static void *hidden(void *p) {
	__asm__ volatile("" : "+r"(p));
	return p;
}
static void *load(void *at) { return (void *)(intptr_t)*(volatile char *)hidden(at); }
static void *store(void *at) { return (void *)(intptr_t)(*(volatile char *)at = 1); }
// at says whether a fault was there. s390x tells its page only (arch/s390/mm/fault.c, get_fault_address).
static bool at(const volatile void *address) {
#ifdef __s390x__
	return ((uintptr_t)last.si_addr ^ (uintptr_t)address) >> 12 == 0;
#else
	return last.si_addr == address;
#endif
}
static char *map(size_t size, int protection) {
	char *p = mmap(0, size, protection, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (p == MAP_FAILED) WRONG("mmap: %s", strerror(errno));
	return p;
}
// unmapped is an address where nothing is, away from where the kernel would put what an emulator maps for itself.
static char *unmapped(void) {
	void *far = (void *)(sizeof(long) == 8 ? (uintptr_t)(1ULL << 36) : 0);
	char *p = mmap(far, 65536 * 2, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (p == MAP_FAILED) WRONG("mmap: %s", strerror(errno));
	OK(munmap(p, 65536 * 2));
	return p;
}
PROBE(unmapped_load) {
	char *p = unmapped();
	fault(SIGSEGV, load, p + 65541);
	EQUAL(last.si_code, SEGV_MAPERR);
	CHECK(at(p + 65541));
}
PROBE(null_load) {
	fault(SIGSEGV, load, (void *)8);
	EQUAL(last.si_code, SEGV_MAPERR);
	CHECK(at((void *)8));
}
// E14: ppc64le
PROBE(protected_store) {
	char *p = map(65536, PROT_READ);
	fault(SIGSEGV, store, p + 123);
	EQUAL(last.si_code, SEGV_ACCERR);
	CHECK(at(p + 123));
}
PROBE(protected_load) {
	char *p = map(65536, PROT_NONE);
	fault(SIGSEGV, load, p + 7);
	EQUAL(last.si_code, SEGV_ACCERR);
	CHECK(at(p + 7));
}
// E9
PROBE(beyond_file) {
	int fd = OK(open("f", O_RDWR | O_CREAT, 0600));
	OK(ftruncate(fd, 65536));
	char *p = mmap(0, 2 * 65536, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	CHECK(p != MAP_FAILED);
	fault(SIGBUS, load, p + 65536 + 77);
	EQUAL(last.si_signo, SIGBUS);
	EQUAL(last.si_code, BUS_ADRERR);
	if (!at(p + 65536 + 77)) WRONG("si_addr is %p, not %p", last.si_addr, p + 65536 + 77);
}
PROBE(beyond_file_store) {
	int fd = OK(open("f", O_RDWR | O_CREAT, 0600));
	char *p = mmap(0, 65536, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	CHECK(p != MAP_FAILED);
	fault(SIGBUS, store, p + 5);
	EQUAL(last.si_code, BUS_ADRERR);
	CHECK(at(p + 5));
}
static void *jump_there(void *at) {
	void (*f)(void);
#if defined __powerpc64__ && _CALL_ELF != 2
	static struct { void *code, *toc, *environment; } descriptor;
	descriptor.code = at;
	at = &descriptor;
#endif
	memcpy(&f, &at, sizeof f);
	f();
	return 0;
}
PROBE(jump_to_data) {
#if defined __hppa__
	elsewhere("function pointers are descriptors in the linkage table");
#endif
#ifdef __i386__
	elsewhere("pages may be executable that are not said to be");
#endif
	char *p = map(65536, PROT_READ | PROT_WRITE);
	fault(SIGSEGV, jump_there, p);
	EQUAL(last.si_code, SEGV_ACCERR);
	CHECK(at(p));
}
PROBE(jump_to_nothing) {
#if defined __hppa__
	elsewhere("function pointers are descriptors in the linkage table");
#endif
	char *p = unmapped();
	fault(SIGSEGV, jump_there, p);
	EQUAL(last.si_code, SEGV_MAPERR);
	CHECK(at(p));
}
static void *illegal(void *at) {
#if defined __x86_64__ || defined __i386__
	__asm__ volatile("ud2");
#elif defined __aarch64__
	__asm__ volatile(".inst 0x00000000");
#elif defined __arm__
	__asm__ volatile("udf #66"); // others are Linux's breakpoints
#elif defined __s390x__
	__asm__ volatile(".short 0x0000");
#elif defined __powerpc__
	__asm__ volatile(".long 0");
#elif defined __riscv
	__asm__ volatile("unimp");
#elif defined __mips__
	__asm__ volatile(".word 0x00000039");
#elif defined __m68k__
	__asm__ volatile("illegal");
#elif defined __sparc__
	__asm__ volatile("unimp 0");
#else
	elsewhere("no such instruction is known here");
#endif
	return 0;
}
PROBE(illegal_instruction) {
	fault(SIGILL, illegal, 0);
	CHECK(last.si_code > 0);
#ifndef __mips__ // do_ri() (arch/mips/kernel/traps.c) does not say where
	CHECK(last.si_addr != 0);
#endif
}
static void *breaks(void *at) {
#if defined __x86_64__ || defined __i386__
	__asm__ volatile("int3");
#elif defined __aarch64__
	__asm__ volatile("brk #0");
#elif defined __s390x__
	elsewhere("without a tracer its breakpoint is SIGILL"); // arch/s390/kernel/traps.c, illegal_op
#elif defined __powerpc__
	__asm__ volatile("trap");
#elif defined __riscv
	__asm__ volatile("ebreak");
#elif defined __mips__
	__asm__ volatile("break");
#elif defined __m68k__
	__asm__ volatile("trap #15");
#elif defined __sparc__
	__asm__ volatile("ta 1");
#else
	elsewhere("no such instruction is known here");
#endif
	return 0;
}
PROBE(breakpoint) { fault(SIGTRAP, breaks, 0); }
static void *divides(void *at) {
#if defined __x86_64__ || defined __i386__ || defined __s390x__ || defined __m68k__
	volatile int zero = 0, one = 1;
	return (void *)(intptr_t)(one / zero);
#else
	elsewhere("a division by zero is no fault");
#endif
}
PROBE(division_by_zero) {
	fault(SIGFPE, divides, 0);
	EQUAL(last.si_code, FPE_INTDIV);
}
static volatile char *guarded;
static void unguards(int n, siginfo_t *info, void *context) {
	last = *info;
	count++;
	OK(mprotect((void *)guarded, 65536, PROT_READ | PROT_WRITE));
}
PROBE(fault_repaired) {
	guarded = map(65536, PROT_NONE);
	on(SIGSEGV, unguards, SA_SIGINFO);
	guarded[99] = 5;
	EQUAL(guarded[99], 5);
	EQUAL(count, 1);
	CHECK(at(guarded + 99));
}
PROBE(fault_repaired_often) {
	on(SIGSEGV, unguards, SA_SIGINFO);
	guarded = map(65536, PROT_NONE);
	for (int i = 0; i < 200; i++) {
		OK(mprotect((void *)guarded, 65536, PROT_READ));
		guarded[i]++;
	}
	EQUAL(count, 200);
}
PROBE(blocked_fault_kills) {
	struct rlimit none = {0, 0};
	OK(setrlimit(RLIMIT_CORE, &none));
	pid_t pid = OK(fork());
	if (pid == 0) {
		close(2);
		on(SIGSEGV, counting, 0);
		block(SIGSEGV);
		load((void *)8);
		_exit(1);
	}
	reap_killed(pid, SIGSEGV);
}
PROBE(ignored_fault_kills) {
	struct rlimit none = {0, 0};
	OK(setrlimit(RLIMIT_CORE, &none));
	pid_t pid = OK(fork());
	if (pid == 0) {
		close(2);
		signal(SIGSEGV, SIG_IGN);
		load((void *)8);
		_exit(1);
	}
	reap_killed(pid, SIGSEGV);
}
PROBE(broken_pipe) {
	int ends[2];
	OK(pipe(ends));
	close(ends[0]);
	on(SIGPIPE, counting, 0);
	FAILS(EPIPE, write(ends[1], "x", 1));
	EQUAL(count, 1);
}
static void *self_signal(void *arg) {
	on(SIGUSR1, counting, 0);
	sigset_t set = only(SIGUSR1);
	pthread_sigmask(SIG_UNBLOCK, &set, 0);
	kill(getpid(), SIGUSR1);
	while (!count) sched_yield();
	return 0;
}
PROBE(thread_that_does_not_block) {
	block(SIGUSR1);
	join(thread(self_signal, 0));
	EQUAL(count, 1);
}
static volatile pthread_t handled_by;
static void who(int n) {
	handled_by = pthread_self();
	count++;
}
static void *waits_for_signal(void *arg) {
	while (!count) nap(5);
	return 0;
}
PROBE(thread_directed) {
	on(SIGUSR1, who, 0);
	pthread_t t = thread(waits_for_signal, 0);
	ZERO(pthread_kill(t, SIGUSR1));
	join(t);
	CHECK(pthread_equal(handled_by, t));
}
static void aligned(int n) {
	double d[2] __attribute__((aligned(16)));
	volatile uintptr_t at = (uintptr_t)d;
	if (at % 16) WRONG("the stack is at %#lx", (long)at);
	count++;
}
PROBE(stack_is_aligned) {
	on(SIGUSR1, aligned, 0);
	for (int i = 0; i < 4; i++) {
		char space[i + 1];
		memset(space, 0, sizeof space);
		__asm__ volatile("" ::"r"(space) : "memory");
		OK(raise(SIGUSR1));
	}
	EQUAL(count, 4);
}
static void uses_floats(int n) {
	volatile double d = 1;
	for (int i = 0; i < 100; i++) d = d * 1.5 + n;
	count++;
}
PROBE(floats_survive) {
	on(SIGUSR1, uses_floats, 0);
	volatile double v = 0.5; // exact, also where registers are wider
	double a = v + 1, b = v + 2, c = v + 3, d = v + 4, e = v + 5;
	raise(SIGUSR1);
	CHECK(a == 1.5 && b == 2.5 && c == 3.5 && d == 4.5 && e == 5.5);
}
static ucontext_t main_context, other_context;
static void switched(void) {
	count++;
	swapcontext(&other_context, &main_context);
	count++;
}
PROBE(contexts) {
	OK(getcontext(&other_context));
	other_context.uc_stack.ss_sp = &other_stack;
	other_context.uc_stack.ss_size = sizeof other_stack;
	other_context.uc_link = &main_context;
	makecontext(&other_context, switched, 0);
	OK(swapcontext(&main_context, &other_context));
	EQUAL(count, 1);
	OK(swapcontext(&main_context, &other_context));
	EQUAL(count, 2);
}
PROBE(alarm_seconds) {
	on(SIGALRM, counting, 0);
	EQUAL(alarm(100), 0);
	unsigned left = alarm(1);
	CHECK(left >= 99 && left <= 100);
	pause();
	EQUAL(count, 1);
}
static atomic_int received;
static void receiving(int n) { received++; }
static void *sends(void *arg) {
	for (int i = 0; i < 200; i++) {
		int before = received;
		OK(kill(getpid(), SIGUSR1));
		while (received == before) sched_yield();
	}
	return 0;
}
PROBE(storm) {
	on(SIGUSR1, receiving, SA_RESTART);
	pthread_t t = thread(sends, 0);
	while (received < 200) free(malloc(100)), getppid();
	join(t);
}
PROBE(fault_in_handler) {
	on(SIGUSR1, (void *)load, 0);
	on(SIGSEGV, jumps, 0);
	if (sigsetjmp(back, 1) == 0) {
		raise(SIGUSR1); // its handler loads from address SIGUSR1
		WRONG("nothing happened");
	}
}
static void *blocks_all(void *arg) {
	sigset_t all, got;
	sigfillset(&all);
	ZERO(pthread_sigmask(SIG_SETMASK, &all, 0));
	ZERO(pthread_sigmask(0, 0, &got));
	CHECK(!sigismember(&got, SIGKILL) && !sigismember(&got, SIGSTOP));
	CHECK(sigismember(&got, SIGSEGV) && sigismember(&got, SIGRTMAX));
	return 0;
}
PROBE(mask_of_all) { join(thread(blocks_all, 0)); }
PROBE(mask_inherited) {
	block(SIGUSR2);
	IN_CHILD(sigset_t set; sigprocmask(0, 0, &set); CHECK(sigismember(&set, SIGUSR2)));
}
PROBE(pending_not_inherited) {
	block(SIGUSR2);
	raise(SIGUSR2);
	IN_CHILD(sigset_t set; sigpending(&set); CHECK(!sigismember(&set, SIGUSR2)));
}

// What a crash report does: behind the handler's frames is that of the function that was interrupted.
static uintptr_t frames[64];
static volatile uintptr_t here;
static _Unwind_Reason_Code frame(struct _Unwind_Context *c, void *arg) {
	if (count == COUNT(frames)) return _URC_END_OF_STACK;
	frames[count++] = _Unwind_GetIP(c);
	return _URC_NO_REASON;
}
static void unwinding(int n) {
	_Unwind_Backtrace(frame, 0);
	for (int i = 0; i < count; i++)
		if (frames[i] - here < 200) _exit(PASS);
	WRONG("%#jx is not among the %d frames", (uintmax_t)here, (int)count);
}
static void unwinding_too(int n, siginfo_t *info, void *context) { unwinding(n); }
static __attribute__((noinline)) uintptr_t place(void) { return (uintptr_t)__builtin_return_address(0); }
static __attribute__((noinline)) void interrupted(volatile char *nowhere) {
	here = place();
	*nowhere = 1;
}
static void unwind_by(void *handler, int flags) {
#if defined __arm__
	elsewhere("its tables for exceptions have no frames of signals");
#endif
	on(SIGSEGV, handler, flags);
	interrupted(OK(mmap(0, 4096, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0)));
	WRONG("no fault");
}
// E16
PROBE(unwound) { unwind_by(unwinding, 0); }
PROBE(unwound_with_information) { unwind_by(unwinding_too, SA_SIGINFO); }
PROBE(tgkill_of_no_group) { FAILS(EINVAL, syscall(SYS_tgkill, -1, syscall(SYS_gettid), SIGUSR1)); }
static void *copies(void *p) {
	static char to[200];
	memcpy(to, p, sizeof to);
	__asm__ volatile("" : : "r"(to) : "memory"); // it is used
	return to;
}
// E9: s390x: an instruction that copies
PROBE(beyond_file_copied) {
	int fd = OK(open("f", O_RDWR | O_CREAT, 0600));
	OK(ftruncate(fd, 65536));
	char *p = mmap(0, 65536, PROT_READ, MAP_SHARED, fd, 0);
	CHECK(p != MAP_FAILED);
	copies(p);
	OK(ftruncate(fd, 0));
	fault(SIGBUS, copies, p);
	EQUAL(last.si_code, BUS_ADRERR);
}
