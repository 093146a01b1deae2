// Limits: what is set is kept, and holds.
#include "probe.h"

static struct rlimit get(int what) {
	struct rlimit l;
	OK(getrlimit(what, &l));
	return l;
}
static void set(int what, rlim_t soft) {
	struct rlimit l = get(what);
	l.rlim_cur = soft;
	OK(setrlimit(what, &l));
	EQUAL(get(what).rlim_cur, soft);
}
PART(limit_is) {
	struct rlimit l;
	OK(getrlimit(atoi(argv[1]), &l));
	if (l.rlim_cur != strtoull(argv[2], 0, 10)) WRONG("the limit is %llu, not %s", (unsigned long long)l.rlim_cur, argv[2]);
}
static void kept_by_exec(int what, rlim_t soft) {
	char a[20], b[30];
	set(what, soft);
	snprintf(a, sizeof a, "%d", what), snprintf(b, sizeof b, "%llu", (unsigned long long)soft);
	EQUAL(spawned(":limit_is", a, b, NULL), 0);
}

PROBE(files) {
	set(RLIMIT_NOFILE, 40);
	int n = 0;
	while (dup(1) >= 0) n++;
	EQUAL(errno, EMFILE);
	CHECK(n > 10 && n < 40);
	FAILS(EBADF, dup2(1, 40));
}
PROBE(files_kept_by_exec) { kept_by_exec(RLIMIT_NOFILE, 99); }
PROBE(file_size) {
	signal(SIGXFSZ, SIG_IGN);
	set(RLIMIT_FSIZE, 1000);
	int fd = OK(open("f", O_WRONLY | O_CREAT, 0600));
	static char b[2000];
	EQUAL(write(fd, b, 2000), 1000);
	FAILS(EFBIG, write(fd, b, 1));
}
PROBE(file_size_signal) {
	pid_t pid = OK(fork());
	if (pid == 0) {
		struct rlimit none = {0, 0};
		setrlimit(RLIMIT_CORE, &none);
		close(2);
		set(RLIMIT_FSIZE, 0);
		int fd = open("f", O_WRONLY | O_CREAT, 0600);
		_exit(write(fd, "x", 1) != -1);
	}
	reap_killed(pid, SIGXFSZ);
}
PROBE(cpu_time) {
	pid_t pid = OK(fork());
	if (pid == 0) {
		struct rlimit none = {0, 0}, one = {1, 10};
		setrlimit(RLIMIT_CORE, &none);
		setrlimit(RLIMIT_CPU, &one);
		close(2);
		for (volatile int i = 0;; i++) {}
	}
	reap_killed(pid, SIGXCPU);
}
PROBE(core) { kept_by_exec(RLIMIT_CORE, 0); }
// E14
PROBE(address_space) {
	set(RLIMIT_AS, 400 << 20);
	void *p = mmap(0, 500 << 20, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	CHECK(p == MAP_FAILED);
	EQUAL(errno, ENOMEM);
}
PROBE(address_space_kept_by_exec) { kept_by_exec(RLIMIT_AS, 1 << 30); }
PROBE(address_space_told) {
	set(RLIMIT_AS, (rlim_t)1234 << 20);
	EQUAL(get(RLIMIT_AS).rlim_cur, (rlim_t)1234 << 20);
}
PROBE(data) {
	set(RLIMIT_DATA, 64 << 20);
	void *p = mmap(0, 100 << 20, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	CHECK(p == MAP_FAILED);
}
PROBE(data_break) {
	set(RLIMIT_DATA, 16 << 20);
	FAILS(ENOMEM, (long)sbrk(32 << 20));
}
PROBE(data_kept_by_exec) { kept_by_exec(RLIMIT_DATA, 1 << 28); }
static int deep(int n) {
	volatile char space[4096];
	space[0] = n;
	return n == 0 ? 0 : deep(n - 1) + space[0];
}
PART(needs_stack) { _exit(deep(atoi(argv[1]) / 4) == 12345678); }
PROBE(stack_kept_by_exec) { kept_by_exec(RLIMIT_STACK, 3 << 20); }
PROBE(stack_larger) {
	struct rlimit l = get(RLIMIT_STACK);
	if (l.rlim_max != RLIM_INFINITY && l.rlim_max < (64 << 20)) unsupported("the hard limit is less");
	set(RLIMIT_STACK, 64 << 20);
	EQUAL(spawned(":needs_stack", "40000", NULL), 0); // kilobytes
}
PROBE(stack_unlimited) {
	if (get(RLIMIT_STACK).rlim_max != RLIM_INFINITY) unsupported("the hard limit is less");
	set(RLIMIT_STACK, RLIM_INFINITY);
	EQUAL(spawned(":needs_stack", "40000", NULL), 0);
}
PROBE(stack_smaller) {
	set(RLIMIT_STACK, 1 << 20);
	struct rlimit none = {0, 0};
	OK(setrlimit(RLIMIT_CORE, &none));
	OK(dup2(OK(open("/dev/null", O_WRONLY)), 2));
	EQUAL(spawned(":needs_stack", "3000", NULL), 128 + SIGSEGV);
}
PROBE(all_are_told) {
	for (int i = 0; i < 16; i++) {
		struct rlimit l;
		if (getrlimit(i, &l)) WRONG("getrlimit(%d): %s", i, strerror(errno));
		CHECK(l.rlim_cur <= l.rlim_max);
	}
	FAILS(EINVAL, getrlimit(99, &(struct rlimit){0, 0}));
}
PROBE(all_are_set) {
	int own[] = {RLIMIT_NPROC, RLIMIT_MEMLOCK, RLIMIT_SIGPENDING, RLIMIT_MSGQUEUE, RLIMIT_NICE, RLIMIT_RTPRIO, RLIMIT_RTTIME, RLIMIT_LOCKS, RLIMIT_RSS};
	for (size_t i = 0; i < COUNT(own); i++) {
		struct rlimit l = get(own[i]);
		if (l.rlim_max != RLIM_INFINITY && l.rlim_max < 7) l.rlim_cur = l.rlim_max;
		else l.rlim_cur = 7;
		rlim_t want = l.rlim_cur;
		if (setrlimit(own[i], &l)) WRONG("setrlimit(%d): %s", own[i], strerror(errno));
		EQUAL(get(own[i]).rlim_cur, want);
	}
}
PROBE(hard_limit_holds) {
	struct rlimit l = {20, 30};
	OK(setrlimit(RLIMIT_NOFILE, &l));
	l.rlim_max = 31;
	if (geteuid()) FAILS(EPERM, setrlimit(RLIMIT_NOFILE, &l));
	l.rlim_cur = 32;
	FAILS(EINVAL, setrlimit(RLIMIT_NOFILE, &l));
}
PROBE(of_other_process) {
	int ends[2];
	OK(pipe(ends));
	pid_t pid = OK(fork());
	if (pid == 0) {
		close(ends[1]);
		char c;
		if (read(ends[0], &c, 1)) _exit(1);
		_exit(get(RLIMIT_NOFILE).rlim_cur != 55);
	}
	struct rlimit l = get(RLIMIT_NOFILE), old;
	l.rlim_cur = 55;
	OK(prlimit(pid, RLIMIT_NOFILE, &l, &old));
	EQUAL(old.rlim_max, l.rlim_max);
	close(ends[1]);
	reap(pid, 0);
}
PROBE(pending_signals) {
	set(RLIMIT_SIGPENDING, 2);
	sigset_t s;
	sigemptyset(&s);
	sigaddset(&s, SIGRTMIN + 2);
	OK(sigprocmask(SIG_BLOCK, &s, 0));
	int n = 0;
	while (n < 100 && sigqueue(getpid(), SIGRTMIN + 2, (union sigval){0}) == 0) n++;
	EQUAL(errno, EAGAIN);
	CHECK(n <= 2);
}
// Of a user's processes and threads: there is one, or more.
static void no_thread_more(void) {
	pthread_t t;
	for (int i = 0; i < 3; i++) {
		int error = pthread_create(&t, 0, ends_at_once, 0);
		if (error == 0) unsupported("root's processes have no such limit");
		EQUAL(error, EAGAIN);
	}
}
PROBE(threads) {
	struct rlimit all = get(RLIMIT_NPROC);
	set(RLIMIT_NPROC, 1);
	no_thread_more();
	SAME(field(contents("/proc/self/status"), "Threads"), "1");
	OK(setrlimit(RLIMIT_NPROC, &all));
	join(thread(ends_at_once, 0));
}
PROBE(ends_without_thread) {
	pid_t pid = OK(fork());
	if (pid == 0) {
		set(RLIMIT_NPROC, 1);
		no_thread_more();
		syscall(SYS_exit, 7); // the only thread's is the process's
	}
	reap(pid, 7);
}
PROBE(used) {
	struct rusage u;
	works();
	OK(getrusage(RUSAGE_SELF, &u));
	CHECK(u.ru_utime.tv_sec || u.ru_utime.tv_usec);
	CHECK(u.ru_maxrss > 0 && u.ru_minflt > 0);
	OK(getrusage(RUSAGE_THREAD, &u));
}
