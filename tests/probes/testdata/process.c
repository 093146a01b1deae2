// Processes: what a parent sees of its children, and what they share.
#include "probe.h"
#include <poll.h>
#include <spawn.h>
#include <sys/ptrace.h>
#include <sys/eventfd.h>

PART(exit_with) { _exit(atoi(argv[1])); }
PART(wait_for_input) {
	char c;
	_exit(read(0, &c, 1) == 0 ? 0 : 1);
}
PART(print_ids) { printf("%d %d %d %d\n", getpid(), getppid(), getpgrp(), getsid(0)); }

PROBE(fork_exit_status) {
	for (int status = 0; status < 256; status += 51) {
		pid_t pid = OK(fork());
		if (pid == 0) _exit(status);
		reap(pid, status);
	}
}
PROBE(fork_copies_memory) {
	static volatile int v = 1;
	pid_t pid = OK(fork());
	if (pid == 0) {
		v = 2;
		_exit(v);
	}
	reap(pid, 2);
	EQUAL(v, 1);
}
PROBE(fork_ids) {
	pid_t parent = getpid();
	IN_CHILD(CHECK(getpid() != parent); EQUAL(getppid(), parent); EQUAL(syscall(SYS_gettid), getpid()));
}
PROBE(fork_shares_offsets) {
	write_file("f", "abcdef");
	int fd = OK(open("f", O_RDONLY));
	char c;
	IN_CHILD(EQUAL(read(fd, &c, 1), 1); EQUAL(c, 'a'));
	EQUAL(read(fd, &c, 1), 1);
	EQUAL(c, 'b');
}
static int order[4], ordered;
static void prepare(void) { order[ordered++] = 1; }
static void in_parent(void) { order[ordered++] = 2; }
static void in_child(void) { order[ordered++] = 3; }
PROBE(fork_handlers) {
	ZERO(pthread_atfork(prepare, in_parent, in_child));
	IN_CHILD(EQUAL(order[0], 1); EQUAL(order[1], 3); EQUAL(ordered, 2));
	EQUAL(order[1], 2);
}
static void *forker(void *arg) {
	(void)arg;
	for (int i = 0; i < 15; i++) {
		pid_t pid = OK(fork());
		if (pid == 0) _exit(7);
		reap(pid, 7);
	}
	return 0;
}
PROBE(fork_from_threads) {
	pthread_t a = thread(forker, 0), b = thread(forker, 0);
	join(a), join(b);
}
static void *allocator(void *arg) {
	while (!atomic_load((atomic_int *)arg)) free(malloc(1000));
	return 0;
}
PROBE(fork_while_allocating) {
	atomic_int stop = 0;
	pthread_t t = thread(allocator, &stop);
	for (int i = 0; i < 15; i++) IN_CHILD(void *p = malloc(100000); CHECK(p); free(p));
	stop = 1;
	join(t);
}
PROBE(child_of_thread_outlives_it) {
	int ends[2];
	OK(pipe(ends));
	IN_CHILD(close(ends[0]));
	close(ends[1]);
	char c;
	EQUAL(read(ends[0], &c, 1), 0);
}

#ifdef __hppa__
#define NO_VFORK elsewhere("the C library's vfork(3) is fork(3)")
#else
#define NO_VFORK (void)0
#endif
// E2
PROBE(vfork_shares_memory) {
	NO_VFORK;
	static volatile int v;
	v = 1;
	pid_t pid = vfork();
	if (pid == 0) {
		v = 2;
		_exit(0);
	}
	CHECK(pid > 0);
	EQUAL(v, 2);
	reap(pid, 0);
}
PROBE(vfork_parent_waits) {
	NO_VFORK;
	int64_t start = now();
	pid_t pid = vfork();
	if (pid == 0) {
		struct timespec t = {0, 200000000};
		nanosleep(&t, 0);
		_exit(0);
	}
	int64_t took = now() - start;
	reap(pid, 0);
	if (took < 190000000) WRONG("the parent went on after %d ms", (int)(took / 1000000));
}
PROBE(vfork_exec) {
	pid_t pid = vfork();
	if (pid == 0) {
		execl(program, program, ":exit_with", "5", NULL);
		_exit(1);
	}
	reap(pid, 5);
}
PROBE(vfork_failed_exec) {
	NO_VFORK;
	static volatile int error;
	error = 0;
	pid_t pid = vfork();
	if (pid == 0) {
		execl("/nonexistent", "nonexistent", NULL);
		error = errno;
		_exit(3);
	}
	EQUAL(error, ENOENT);
	reap(pid, 3);
}
PROBE(vfork_many) {
	NO_VFORK;
	static volatile int n;
	n = 0;
	for (int i = 0; i < 50; i++) {
		pid_t pid = vfork();
		if (pid == 0) {
			n++;
			_exit(0);
		}
		reap(pid, 0);
	}
	EQUAL(n, 50);
}
PROBE(spawn_missing) {
	pid_t pid;
	char *args[] = {"x", 0};
	EQUAL(posix_spawn(&pid, "/nonexistent", 0, 0, args, environ), ENOENT);
	FAILS(ECHILD, waitpid(-1, 0, WNOHANG));
}
PROBE(spawn_not_executable) {
	write_file("data", "x");
	pid_t pid;
	char *args[] = {"x", 0};
	EQUAL(posix_spawn(&pid, "./data", 0, 0, args, environ), EACCES);
}
PROBE(spawn_path_missing) {
	OK(setenv("PATH", "/usr/bin:/bin", 1)); // no directory that may not be looked into
	pid_t pid;
	char *args[] = {"no-such-program", 0};
	EQUAL(posix_spawnp(&pid, args[0], 0, 0, args, environ), ENOENT);
}
static pid_t spawn(posix_spawn_file_actions_t *actions, posix_spawnattr_t *attributes, char *part, char *argument) {
	pid_t pid;
	char *args[] = {program, part, argument, 0};
	ZERO(posix_spawn(&pid, program, actions, attributes, args, environ));
	return pid;
}
PROBE(spawn_status) { reap(spawn(0, 0, ":exit_with", "9"), 9); }
static void *spawner(void *arg) {
	(void)arg;
	for (int i = 0; i < 5; i++) {
		reap(spawn(0, 0, ":exit_with", "4"), 4);
		pid_t pid;
		char *args[] = {"x", 0};
		EQUAL(posix_spawn(&pid, "/nonexistent", 0, 0, args, environ), ENOENT);
	}
	return 0;
}
PROBE(spawn_from_threads) {
	pthread_t a = thread(spawner, 0), b = thread(spawner, 0);
	join(a), join(b);
}
PROBE(spawn_file_actions) {
	posix_spawn_file_actions_t actions;
	ZERO(posix_spawn_file_actions_init(&actions));
	ZERO(posix_spawn_file_actions_addopen(&actions, 1, "out", O_WRONLY | O_CREAT, 0600));
	reap(spawn(&actions, 0, ":print_ids", 0), 0);
	int ids[4];
	EQUAL(sscanf(contents("out"), "%d %d %d %d", &ids[0], &ids[1], &ids[2], &ids[3]), 4);
	EQUAL(ids[1], getpid());
}
PROBE(spawn_bad_file_action) {
	posix_spawn_file_actions_t actions;
	ZERO(posix_spawn_file_actions_init(&actions));
	ZERO(posix_spawn_file_actions_addopen(&actions, 1, "/nonexistent/file", O_WRONLY, 0));
	pid_t pid;
	char *args[] = {program, ":exit_with", "0", 0};
	EQUAL(posix_spawn(&pid, program, &actions, 0, args, environ), ENOENT);
}
PROBE(spawn_process_group) {
	posix_spawnattr_t a;
	ZERO(posix_spawnattr_init(&a));
	ZERO(posix_spawnattr_setflags(&a, POSIX_SPAWN_SETPGROUP));
	ZERO(posix_spawnattr_setpgroup(&a, 0));
	int ends[2];
	OK(pipe2(ends, O_CLOEXEC));
	posix_spawn_file_actions_t actions;
	ZERO(posix_spawn_file_actions_init(&actions));
	ZERO(posix_spawn_file_actions_adddup2(&actions, ends[0], 0));
	pid_t pid = spawn(&actions, &a, ":wait_for_input", 0);
	EQUAL(getpgid(pid), pid);
	close(ends[1]);
	reap(pid, 0);
}
PROBE(spawn_large_process) {
	size_t size = (size_t)256 << 20;
	char *p = mmap(0, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (p == MAP_FAILED) WRONG("mmap: %s", strerror(errno));
	for (size_t i = 0; i < size; i += 1 << 20) p[i] = 1;
	reap(spawn(0, 0, ":exit_with", "3"), 3);
	pid_t pid;
	char *args[] = {"x", 0};
	EQUAL(posix_spawn(&pid, "/nonexistent", 0, 0, args, environ), ENOENT);
}
PROBE(spawn_keeps_handlers) {
	struct sigaction set = {.sa_handler = SIG_IGN}, got;
	OK(sigaction(SIGUSR1, &set, 0));
	set.sa_handler = (void (*)(int))abort;
	OK(sigaction(SIGUSR2, &set, 0));
	reap(spawn(0, 0, ":exit_with", "0"), 0);
	OK(sigaction(SIGUSR1, 0, &got));
	CHECK(got.sa_handler == SIG_IGN);
	OK(sigaction(SIGUSR2, 0, &got));
	CHECK(got.sa_handler == (void (*)(int))abort);
}
PROBE(system_missing) { EQUAL(WEXITSTATUS(OK(system("exec /nonexistent 2>/dev/null"))), 127); }
PROBE(system_status) { EQUAL(WEXITSTATUS(OK(system("exit 6"))), 6); }
PROBE(popen_reads) {
	FILE *f = popen("echo hello", "r");
	CHECK(f);
	char line[20];
	CHECK(fgets(line, sizeof line, f));
	SAME(line, "hello\n");
	EQUAL(pclose(f), 0);
}

PROBE(waitid_fields) {
	pid_t pid = OK(fork());
	if (pid == 0) _exit(11);
	siginfo_t info;
	memset(&info, 0, sizeof info);
	OK(waitid(P_PID, pid, &info, WEXITED));
	EQUAL(info.si_signo, SIGCHLD);
	EQUAL(info.si_code, CLD_EXITED);
	EQUAL(info.si_pid, pid);
	EQUAL(info.si_uid, getuid());
	EQUAL(info.si_status, 11);
}
PROBE(waitid_killed) {
	pid_t pid = OK(fork());
	if (pid == 0) for (;;) pause();
	OK(kill(pid, SIGTERM));
	siginfo_t info;
	OK(waitid(P_PID, pid, &info, WEXITED));
	EQUAL(info.si_code, CLD_KILLED);
	EQUAL(info.si_status, SIGTERM);
}
PROBE(waitid_nowait) {
	pid_t pid = OK(fork());
	if (pid == 0) _exit(1);
	siginfo_t info;
	OK(waitid(P_PID, pid, &info, WEXITED | WNOWAIT));
	EQUAL(info.si_pid, pid);
	reap(pid, 1);
}
PROBE(waitid_group) {
	pid_t pid = OK(fork());
	if (pid == 0) _exit(1);
	siginfo_t info;
	OK(waitid(P_PGID, getpgrp(), &info, WEXITED));
	EQUAL(info.si_pid, pid);
}
PROBE(waitid_nohang) {
	pid_t pid = OK(fork());
	if (pid == 0) for (;;) pause();
	siginfo_t info;
	memset(&info, 0xff, sizeof info);
	OK(waitid(P_PID, pid, &info, WEXITED | WNOHANG));
	EQUAL(info.si_pid, 0);
	OK(kill(pid, SIGKILL));
	OK(waitpid(pid, 0, 0));
}
PROBE(wait_stopped_continued) {
	pid_t pid = OK(fork());
	if (pid == 0) for (;;) pause();
	int status;
	OK(kill(pid, SIGSTOP));
	EQUAL(waitpid(pid, &status, WUNTRACED), pid);
	CHECK(WIFSTOPPED(status));
	EQUAL(WSTOPSIG(status), SIGSTOP);
	OK(kill(pid, SIGCONT));
	EQUAL(waitpid(pid, &status, WCONTINUED), pid);
	CHECK(WIFCONTINUED(status));
	OK(kill(pid, SIGKILL));
	EQUAL(waitpid(pid, &status, 0), pid);
	EQUAL(WTERMSIG(status), SIGKILL);
}
PROBE(wait4_usage) {
	pid_t pid = OK(fork());
	if (pid == 0) {
		works();
		_exit(0);
	}
	struct rusage used;
	memset(&used, 0, sizeof used);
	EQUAL(wait4(pid, 0, 0, &used), pid);
	CHECK(used.ru_utime.tv_sec || used.ru_utime.tv_usec);
	CHECK(used.ru_maxrss > 0);
}
PROBE(wait_no_child) { FAILS(ECHILD, waitpid(-1, 0, 0)); }
PROBE(children_ignored) {
	signal(SIGCHLD, SIG_IGN);
	pid_t pid = OK(fork());
	if (pid == 0) _exit(0);
	FAILS(ECHILD, waitpid(pid, 0, 0));
}
PROBE(children_not_waited_for) {
	struct sigaction act = {.sa_handler = SIG_DFL, .sa_flags = SA_NOCLDWAIT};
	OK(sigaction(SIGCHLD, &act, 0));
	pid_t pid = OK(fork());
	if (pid == 0) _exit(0);
	FAILS(ECHILD, waitpid(pid, 0, 0));
}
PROBE(killed_by_each_signal) {
	int signals[] = {SIGHUP, SIGINT, SIGKILL, SIGUSR1, SIGPIPE, SIGALRM, SIGTERM, SIGVTALRM, SIGPROF, SIGXCPU};
	struct rlimit none = {0, 0};
	OK(setrlimit(RLIMIT_CORE, &none));
	for (size_t i = 0; i < COUNT(signals); i++) {
		pid_t pid = OK(fork());
		if (pid == 0) {
			signal(signals[i], SIG_DFL);
			raise(signals[i]);
			_exit(99);
		}
		int status;
		OK(waitpid(pid, &status, 0));
		if (!WIFSIGNALED(status) || WTERMSIG(status) != signals[i]) WRONG("signal %d: status %#x", signals[i], status);
	}
}
PROBE(killed_silently) {
	struct rlimit none = {0, 0};
	OK(setrlimit(RLIMIT_CORE, &none));
	int ends[2];
	OK(pipe(ends));
	pid_t pid = OK(fork());
	if (pid == 0) {
		OK(dup2(ends[1], 2));
		close(ends[1]);
		signal(SIGSEGV, SIG_DFL);
		raise(SIGSEGV);
		_exit(1);
	}
	close(ends[1]);
	reap_killed(pid, SIGSEGV);
	char said[100] = "";
	if (read(ends[0], said, sizeof said - 1) > 0) WRONG("standard error has: %.60s", said);
}
PROBE(abort_is_sigabrt) {
	struct rlimit none = {0, 0};
	OK(setrlimit(RLIMIT_CORE, &none));
	pid_t pid = OK(fork());
	if (pid == 0) abort();
	reap_killed(pid, SIGABRT);
}

static char stack[65536] __attribute__((aligned(64)));
static int cloned(void *arg) { return *(int *)arg = 42; }
PROBE(clone_vm_vfork) {
	static int v;
	pid_t pid = OK(clone(cloned, stack + sizeof stack, CLONE_VM | CLONE_VFORK | SIGCHLD, &v));
	EQUAL(v, 42);
	reap(pid, 42);
}
PROBE(clone_plain) {
	static int v;
	pid_t pid = OK(clone(cloned, stack + sizeof stack, SIGCHLD, &v));
	reap(pid, 42);
	EQUAL(v, 0);
}
static int closes(void *arg) {
	close(*(int *)arg);
	return 0;
}
PROBE(clone_files) {
	int fd = OK(dup(1));
	pid_t pid = OK(clone(closes, stack + sizeof stack, CLONE_FILES | SIGCHLD, &fd));
	reap(pid, 0);
	FAILS(EBADF, fcntl(fd, F_GETFD));
}
#ifdef __hppa__ // its stack grows upwards
#define START stack
#else
#define START (stack + sizeof stack)
#endif
static int goes_away(void *arg) {
	return close(*(int *)arg) || chdir("/");
}
// A thread may have its own descriptors and directory.
PROBE(clone_thread_shares_less) {
	int fd = OK(dup(1));
	static volatile pid_t there = 1;
	char was[PATH_MAX], is[PATH_MAX];
	CHECK(getcwd(was, sizeof was));
	OK(clone(goes_away, START, CLONE_VM | CLONE_SIGHAND | CLONE_THREAD | CLONE_CHILD_CLEARTID, &fd, (void *)0, (void *)0, (void *)&there));
	while (there) nap(1);
	OK(fcntl(fd, F_GETFD));
	CHECK(getcwd(is, sizeof is));
	SAME(is, was);
}
PROBE(clone_thread_shares_more) {
	FAILS(EINVAL, clone(goes_away, START, CLONE_VM | CLONE_THREAD, &(int){-1}));
	FAILS(EINVAL, clone(goes_away, START, CLONE_SIGHAND | CLONE_THREAD, &(int){-1}));
}
PROBE(clone_parent_settid) {
	pid_t tid = 0, pid = OK(clone(cloned, stack + sizeof stack, CLONE_PARENT_SETTID | SIGCHLD, &(int){0}, &tid));
	EQUAL(tid, pid);
	reap(pid, 42);
}
PROBE(clone_parent_settid_nowhere) {
	reap(OK(clone(cloned, stack + sizeof stack, CLONE_PARENT_SETTID | SIGCHLD, &(int){0}, (pid_t *)8)), 42);
}
PROBE(clone3_pidfd_nowhere) {
	NO_CLONE3;
	uint64_t args[8] = {0x1000 /* CLONE_PIDFD */, 0, 0, 0, SIGCHLD};
	FAILS(EFAULT, syscall(NEWER(435), args, sizeof args));
	FAILS(ECHILD, waitpid(-1, 0, 0));
}
static pid_t child_tid;
static int is_own_tid(void *arg) { return arg || child_tid != syscall(SYS_gettid); }
PROBE(clone_child_settid) {
	pid_t pid = OK(clone(is_own_tid, stack + sizeof stack, CLONE_CHILD_SETTID | SIGCHLD, (void *)0, (void *)0, (void *)0, &child_tid));
	reap(pid, 0);
}
// E14: LeakSanitizer
PROBE(clone_untraced) {
	static int v;
	pid_t pid = OK(clone(cloned, stack + sizeof stack, CLONE_VM | CLONE_FS | CLONE_FILES | CLONE_UNTRACED | SIGCHLD, &v));
	reap(pid, 42);
	EQUAL(v, 42);
}
PROBE(clone_other_signal) {
	pid_t pid = OK(clone(cloned, stack + sizeof stack, 0, &(int){0}));
	FAILS(ECHILD, waitpid(pid, 0, 0));
	int status;
	EQUAL(waitpid(pid, &status, __WCLONE), pid);
	EQUAL(WEXITSTATUS(status), 42);
}
PROBE(clone_parent_is_sibling) {
	int ends[2];
	OK(pipe(ends));
	pid_t pid = OK(fork());
	if (pid == 0) {
		pid_t other = clone(cloned, stack + sizeof stack, CLONE_PARENT | SIGCHLD, &(int){0});
		_exit(write(ends[1], &other, sizeof other) != sizeof other);
	}
	pid_t other;
	EQUAL(read(ends[0], &other, sizeof other), sizeof other);
	CHECK(other > 0);
	reap(pid, 0);
	reap(other, 42);
}
PROBE(clone3_fork) {
	NO_CLONE3;
	struct { uint64_t flags, pidfd, child_tid, parent_tid, exit_signal, stack, stack_size, tls; } a = {.exit_signal = SIGCHLD};
	long pid = OK(syscall(NEWER(435), &a, sizeof a));
	if (pid == 0) _exit(21);
	reap(pid, 21);
}

PROBE(pidfd_polls) {
	int ends[2];
	OK(pipe(ends));
	pid_t pid = OK(fork());
	char c;
	if (pid == 0) {
		close(ends[1]);
		_exit(read(ends[0], &c, 1) != 0);
	}
	int fd = OK(syscall(NEWER(434), pid, 0));
	struct pollfd p = {fd, POLLIN, 0};
	EQUAL(poll(&p, 1, 0), 0);
	close(ends[1]);
	EQUAL(poll(&p, 1, 10000), 1);
	reap(pid, 0);
}
PROBE(pidfd_signal) {
	pid_t pid = OK(fork());
	if (pid == 0) for (;;) pause();
	int fd = OK(syscall(NEWER(434), pid, 0));
	OK(syscall(NEWER(424), fd, SIGTERM, 0, 0));
	siginfo_t info;
	OK(waitid(3 /* P_PIDFD */, fd, &info, WEXITED));
	EQUAL(info.si_pid, pid);
	EQUAL(info.si_status, SIGTERM);
}
PROBE(pidfd_getfd) {
	int fd = OK(syscall(NEWER(434), getpid(), 0)), event = OK(eventfd(3, 0));
	int copy = OK(syscall(NEWER(438), fd, event, 0));
	uint64_t v;
	EQUAL(read(copy, &v, sizeof v), sizeof v);
	EQUAL(v, 3);
}
PROBE(session) {
	IN_CHILD(EQUAL(OK(setsid()), getpid()); EQUAL(getsid(0), getpid()); EQUAL(getpgrp(), getpid()); FAILS(EPERM, setsid()));
}
PROBE(process_group) {
	IN_CHILD(OK(setpgid(0, 0)); EQUAL(getpgid(0), getpid()); FAILS(ESRCH, setpgid(999999999, 0)));
}
PROBE(group_killed) {
	pid_t pid = OK(fork());
	if (pid == 0) {
		setpgid(0, 0);
		for (;;) pause();
	}
	setpgid(pid, pid);
	OK(kill(-pid, SIGTERM));
	reap_killed(pid, SIGTERM);
}
static void *leaves(void *arg) {
	(void)arg;
	nap(20);
	exit(31);
}
PROBE(exit_from_thread) {
	pid_t pid = OK(fork());
	if (pid == 0) {
		thread(leaves, 0);
		for (;;) pause();
	}
	reap(pid, 31);
}
PROBE(main_thread_leaves_first) {
	pid_t pid = OK(fork());
	if (pid == 0) {
		thread(leaves, 0);
		pthread_exit(0);
	}
	reap(pid, 31);
}
PROBE(signal_zero) {
	pid_t pid = OK(fork());
	if (pid == 0) _exit(0);
	siginfo_t info;
	OK(waitid(P_PID, pid, &info, WEXITED | WNOWAIT));
	OK(kill(pid, 0)); // a zombie is still there
	reap(pid, 0);
	FAILS(ESRCH, kill(pid, 0));
}
// E12
PROBE(process_vm_readv) {
	static int v;
	v = 1;
	int ends[2];
	OK(pipe(ends));
	pid_t pid = OK(fork());
	if (pid == 0) {
		v = 77;
		close(ends[0]);
		EQUAL(write(ends[1], "x", 1), 1);
		for (;;) pause();
	}
	char c;
	EQUAL(read(ends[0], &c, 1), 1);
	int got = 0;
	struct iovec local = {&got, sizeof got}, remote = {&v, sizeof v};
	EQUAL(OK(process_vm_readv(pid, &local, 1, &remote, 1, 0)), sizeof got);
	EQUAL(got, 77);
	got = 78;
	EQUAL(OK(process_vm_writev(pid, &local, 1, &remote, 1, 0)), sizeof got);
	got = 0;
	EQUAL(OK(process_vm_readv(pid, &local, 1, &remote, 1, 0)), sizeof got);
	EQUAL(got, 78);
	kill(pid, SIGKILL);
	waitpid(pid, 0, 0);
}
PROBE(kcmp_files) {
#ifdef SYS_kcmp
	int fd = OK(dup(1)), r = syscall(SYS_kcmp, getpid(), getpid(), 0, 1, fd);
	if (r < 0 && errno == ENOSYS) unsupported("no kcmp");
	EQUAL(OK(r), 0);
#else
	elsewhere("no kcmp");
#endif
}
PROBE(usage_of_children) {
	IN_CHILD(works());
	struct rusage used;
	OK(getrusage(RUSAGE_CHILDREN, &used));
	CHECK(used.ru_utime.tv_sec || used.ru_utime.tv_usec);
}
PROBE(priority) {
	OK(setpriority(PRIO_PROCESS, 0, 7));
	EQUAL(OK(getpriority(PRIO_PROCESS, 0)), 7);
	IN_CHILD(EQUAL(OK(getpriority(PRIO_PROCESS, 0)), 7));
}
// E15
PROBE(ptrace_traceme) {
	pid_t pid = OK(fork());
	if (pid == 0) {
		OK(ptrace(PTRACE_TRACEME, 0, 0, 0));
		raise(SIGSTOP);
		_exit(5);
	}
	int status;
	OK(waitpid(pid, &status, 0));
	if (WIFEXITED(status)) WRONG("the child was not traced");
	CHECK(WIFSTOPPED(status));
	OK(ptrace(PTRACE_CONT, pid, 0, 0));
	reap(pid, 5);
}
