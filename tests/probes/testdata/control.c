// prctl(2) and others by which a process says what it is.
#include "probe.h"
#include <sys/auxv.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <grp.h>
#include <sys/fsuid.h>
#include <sys/personality.h>
#include <linux/capability.h>
#include <linux/audit.h>

PROBE(name) {
	char b[16] = "";
	OK(prctl(PR_SET_NAME, "a-very-long-name-indeed"));
	OK(prctl(PR_GET_NAME, b));
	SAME(b, "a-very-long-nam");
}
PROBE(death_signal) {
	int s = 0;
	OK(prctl(PR_SET_PDEATHSIG, SIGUSR1));
	OK(prctl(PR_GET_PDEATHSIG, &s));
	EQUAL(s, SIGUSR1);
	IN_CHILD(OK(prctl(PR_GET_PDEATHSIG, &s)); EQUAL(s, 0));
}
PROBE(death_signal_comes) {
	int ends[2];
	OK(pipe(ends));
	pid_t pid = OK(fork());
	if (pid == 0) {
		pid_t inner = fork();
		if (inner == 0) {
			prctl(PR_SET_PDEATHSIG, SIGKILL);
			if (write(ends[1], "x", 1) != 1) _exit(1);
			for (;;) pause();
		}
		char c;
		_exit(read(ends[0], &c, 1) != 1);
	}
	reap(pid, 0);
	close(ends[1]);
	char c;
	EQUAL(read(ends[0], &c, 1), 0); // the grandchild is gone
}
PROBE(dumpable) {
	OK(prctl(PR_SET_DUMPABLE, 0));
	EQUAL(prctl(PR_GET_DUMPABLE), 0);
	OK(prctl(PR_SET_DUMPABLE, 1));
	EQUAL(prctl(PR_GET_DUMPABLE), 1);
	FAILS(EINVAL, prctl(PR_SET_DUMPABLE, 7));
}
PROBE(keep_capabilities) {
	OK(prctl(PR_SET_KEEPCAPS, 1));
	EQUAL(prctl(PR_GET_KEEPCAPS), 1);
}
PROBE(no_new_privileges) {
	EQUAL(prctl(PR_GET_NO_NEW_PRIVS, 0L, 0L, 0L, 0L), 0);
	OK(prctl(PR_SET_NO_NEW_PRIVS, 1L, 0L, 0L, 0L));
	EQUAL(prctl(PR_GET_NO_NEW_PRIVS, 0L, 0L, 0L, 0L), 1);
	IN_CHILD(EQUAL(prctl(PR_GET_NO_NEW_PRIVS, 0L, 0L, 0L, 0L), 1));
}
PROBE(subreaper) {
	OK(prctl(PR_SET_CHILD_SUBREAPER, 1L, 0L, 0L, 0L));
	int is = 0;
	OK(prctl(PR_GET_CHILD_SUBREAPER, &is, 0L, 0L, 0L));
	EQUAL(is, 1);
	pid_t pid = OK(fork());
	if (pid == 0) {
		if (fork() == 0) {
			nap(50);
			_exit(44);
		}
		_exit(0);
	}
	reap(pid, 0);
	int status;
	CHECK(waitpid(-1, &status, 0) > 0);
	EQUAL(WEXITSTATUS(status), 44);
}
PROBE(timer_slack) {
	OK(prctl(PR_SET_TIMERSLACK, 123456L, 0L, 0L, 0L));
	EQUAL(OK(prctl(PR_GET_TIMERSLACK, 0L, 0L, 0L, 0L)), 123456);
}
PROBE(bounding_set) {
	CHECK(prctl(PR_CAPBSET_READ, 0L, 0L, 0L, 0L) >= 0);
	FAILS(EINVAL, prctl(PR_CAPBSET_READ, 200L, 0L, 0L, 0L));
}
PROBE(ambient_set) {
	EQUAL(prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_IS_SET, 0L, 0L, 0L), 0);
	OK(prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0L, 0L, 0L));
}
PROBE(secure_bits) { CHECK(OK(prctl(PR_GET_SECUREBITS, 0L, 0L, 0L, 0L)) >= 0); }
// E12
PROBE(no_huge_pages) {
	OK(prctl(PR_SET_THP_DISABLE, 1L, 0L, 0L, 0L));
	EQUAL(OK(prctl(PR_GET_THP_DISABLE, 0L, 0L, 0L, 0L)), 1);
}
// What PR_SET_MDWE is given; 65 and 66 are its numbers.
enum { REFUSE_EXECUTABLE = 1, NOT_INHERITED = 2 };
static void never_both(long flags) {
#ifdef __hppa__
	elsewhere("its stack is executable: Linux has no PR_SET_MDWE there");
#endif
	if (prctl(65, flags, 0L, 0L, 0L)) {
		if (errno == EINVAL) unsupported("no PR_SET_MDWE");
		WRONG("PR_SET_MDWE: %s", strerror(errno));
	}
	EQUAL(OK(prctl(66, 0L, 0L, 0L, 0L)), flags);
}
static long mapped(int protection) {
	return (long)mmap(0, 65536, protection, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
}
static void is_never_both(void) {
	FAILS(EACCES, mapped(PROT_READ | PROT_WRITE | PROT_EXEC));
	FAILS(EACCES, mapped(PROT_WRITE | PROT_EXEC));
}
PROBE(no_write_and_execute) {
	never_both(REFUSE_EXECUTABLE);
	is_never_both();
	void *data = (void *)OK(mapped(PROT_READ | PROT_WRITE)), *code = (void *)OK(mapped(PROT_READ | PROT_EXEC));
	FAILS(EACCES, mprotect(data, 65536, PROT_READ | PROT_EXEC));
	OK(mprotect(data, 65536, PROT_READ));
	FAILS(EACCES, mprotect(data, 65536, PROT_READ | PROT_EXEC));
	FAILS(EACCES, mprotect(code, 65536, PROT_READ | PROT_WRITE | PROT_EXEC));
	OK(mprotect(code, 65536, PROT_READ | PROT_EXEC));
	OK(mprotect(code, 65536, PROT_READ | PROT_WRITE));
	FAILS(EACCES, mprotect(code, 65536, PROT_READ | PROT_EXEC));
}
PROBE(no_write_and_execute_is_for_good) {
	never_both(REFUSE_EXECUTABLE);
	OK(prctl(65, (long)REFUSE_EXECUTABLE, 0L, 0L, 0L));
	FAILS(EPERM, prctl(65, (long)(REFUSE_EXECUTABLE | NOT_INHERITED), 0L, 0L, 0L));
	FAILS(EPERM, prctl(65, 0L, 0L, 0L, 0L));
	FAILS(EINVAL, prctl(65, (long)NOT_INHERITED, 0L, 0L, 0L));
	FAILS(EINVAL, prctl(65, (long)REFUSE_EXECUTABLE, 1L, 0L, 0L));
	FAILS(EINVAL, prctl(66, 1L, 0L, 0L, 0L));
	EQUAL(OK(prctl(66, 0L, 0L, 0L, 0L)), REFUSE_EXECUTABLE);
}
PART(never_both) {
	EQUAL(OK(prctl(66, 0L, 0L, 0L, 0L)), REFUSE_EXECUTABLE);
	is_never_both();
	IN_CHILD(is_never_both());
}
PART(both) {
	EQUAL(OK(prctl(66, 0L, 0L, 0L, 0L)), 0);
	OK(mapped(PROT_READ | PROT_WRITE | PROT_EXEC));
}
PROBE(no_write_and_execute_inherited) {
	never_both(REFUSE_EXECUTABLE);
	IN_CHILD(is_never_both());
	EQUAL(spawned(":never_both", NULL), 0);
}
PROBE(no_write_and_execute_not_inherited) {
	never_both(REFUSE_EXECUTABLE | NOT_INHERITED);
	IN_CHILD(OK(mapped(PROT_READ | PROT_WRITE | PROT_EXEC)));
	is_never_both();
	EQUAL(spawned(":both", NULL), 0);
	become(":both", NULL);
}
PROBE(memory_named) {
	char *p = mmap(0, 65536, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (prctl(0x53564d41 /* PR_SET_VMA */, 0L, p, 65536L, "named")) {
		if (errno == EINVAL) unsupported("memory has no names");
		WRONG("PR_SET_VMA: %s", strerror(errno));
	}
}
PROBE(machine_check) {
	OK(prctl(PR_MCE_KILL, PR_MCE_KILL_SET, PR_MCE_KILL_EARLY, 0L, 0L));
	EQUAL(OK(prctl(PR_MCE_KILL_GET, 0L, 0L, 0L, 0L)), PR_MCE_KILL_EARLY);
}
PROBE(tracer_allowed) {
	if (prctl(PR_SET_PTRACER, PR_SET_PTRACER_ANY, 0L, 0L, 0L) && errno == EINVAL) unsupported("no Yama");
}
PROBE(address_of_tid) {
	int *at = 0;
	if (prctl(PR_GET_TID_ADDRESS, &at, 0L, 0L, 0L)) {
		if (errno == EINVAL) unsupported("no PR_GET_TID_ADDRESS");
		WRONG("PR_GET_TID_ADDRESS: %s", strerror(errno));
	}
	CHECK(at && *at == getpid());
}
PROBE(unknown) { FAILS(EINVAL, prctl(12345, 0L, 0L, 0L, 0L)); }

#if defined __x86_64__
#define ARCHITECTURE AUDIT_ARCH_X86_64
#elif defined __i386__
#define ARCHITECTURE AUDIT_ARCH_I386
#elif defined __aarch64__
#define ARCHITECTURE AUDIT_ARCH_AARCH64
#elif defined __arm__
#define ARCHITECTURE AUDIT_ARCH_ARM
#elif defined __s390x__
#define ARCHITECTURE AUDIT_ARCH_S390X
#elif defined __powerpc64__ && defined __LITTLE_ENDIAN__
#define ARCHITECTURE AUDIT_ARCH_PPC64LE
#elif defined __riscv
#define ARCHITECTURE AUDIT_ARCH_RISCV64
#else
#define ARCHITECTURE 0
#endif
#define ALLOW BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW)
#define LOAD(FIELD) BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, FIELD))
static void filtered(struct sock_filter *f, size_t n, bool by_call) {
	OK(prctl(PR_SET_NO_NEW_PRIVS, 1L, 0L, 0L, 0L));
	struct sock_fprog p = {n, f};
	if (by_call) OK(syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &p));
	else OK(prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &p));
}
#define REFUSES(NUMBER, ACTION) {LOAD(nr), BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, NUMBER, 0, 1), BPF_STMT(BPF_RET | BPF_K, ACTION), ALLOW}
PROBE(filter_refuses) {
	struct sock_filter f[] = REFUSES(SYS_umask, SECCOMP_RET_ERRNO | EDOM);
	filtered(f, COUNT(f), true);
	FAILS(EDOM, syscall(SYS_umask, 0));
	OK(getppid());
}
PROBE(filter_by_prctl) {
	struct sock_filter f[] = REFUSES(SYS_umask, SECCOMP_RET_ERRNO | EDOM);
	filtered(f, COUNT(f), false);
	FAILS(EDOM, syscall(SYS_umask, 0));
	EQUAL(OK(prctl(PR_GET_SECCOMP)), SECCOMP_MODE_FILTER);
}
PROBE(filter_reads_arguments) {
	struct sock_filter f[] = {
		LOAD(nr), BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_umask, 0, 3),
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, args[0]) + (__BYTE_ORDER__ == __ORDER_BIG_ENDIAN__ ? 4 : 0)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, 0123, 0, 1), BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EDOM), ALLOW};
	filtered(f, COUNT(f), true);
	OK(syscall(SYS_umask, 0022));
	FAILS(EDOM, syscall(SYS_umask, 0123));
}
PROBE(filter_sees_architecture) {
	if (!ARCHITECTURE) elsewhere("its number is not known here");
	struct sock_filter f[] = {LOAD(arch), BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, ARCHITECTURE, 1, 0), BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EDOM), ALLOW};
	filtered(f, COUNT(f), true);
	OK(syscall(SYS_umask, 0));
}
PROBE(filter_kills) {
	pid_t pid = OK(fork());
	if (pid == 0) {
		struct rlimit none = {0, 0};
		setrlimit(RLIMIT_CORE, &none);
		struct sock_filter f[] = REFUSES(SYS_umask, SECCOMP_RET_KILL_PROCESS);
		filtered(f, COUNT(f), true);
		close(2);
		syscall(SYS_umask, 0);
		_exit(0);
	}
	reap_killed(pid, SIGSYS);
}
static volatile int trapped, trapped_call, trapped_errno;
static void on_trap(int n, siginfo_t *info, void *context) {
	trapped = info->si_code;
	trapped_call = info->si_syscall;
	trapped_errno = info->si_errno;
}
PROBE(filter_traps) {
	struct sigaction act = {.sa_sigaction = on_trap, .sa_flags = SA_SIGINFO};
	OK(sigaction(SIGSYS, &act, 0));
	struct sock_filter f[] = REFUSES(SYS_umask, SECCOMP_RET_TRAP | 9);
	filtered(f, COUNT(f), true);
	syscall(SYS_umask, 0);
	EQUAL(trapped, 1 /* SYS_SECCOMP */);
	EQUAL(trapped_call, SYS_umask);
	EQUAL(trapped_errno, 9);
}
PROBE(filter_inherited) {
	struct sock_filter f[] = REFUSES(SYS_umask, SECCOMP_RET_ERRNO | EDOM);
	filtered(f, COUNT(f), true);
	IN_CHILD(FAILS(EDOM, syscall(SYS_umask, 0)));
}
PART(umask_refused) {
	FAILS(EDOM, syscall(SYS_umask, 0));
}
PROBE(filter_kept_by_exec) {
	struct sock_filter f[] = REFUSES(SYS_umask, SECCOMP_RET_ERRNO | EDOM);
	filtered(f, COUNT(f), true);
	EQUAL(spawned(":umask_refused", NULL), 0);
}
PART(two_refused) {
	FAILS(EDOM, syscall(SYS_umask, 0));
	FAILS(ERANGE, syscall(SYS_setpgid, 0, 0));
	EQUAL(OK(prctl(PR_GET_SECCOMP)), SECCOMP_MODE_FILTER);
}
PART(one_more) {
	struct sock_filter f[] = REFUSES(SYS_setpgid, SECCOMP_RET_ERRNO | ERANGE);
	filtered(f, COUNT(f), true);
	FAILS(EDOM, syscall(SYS_umask, 0));
	// Whoever executes a program chooses all of its environment, and no filter less.
	char *args[] = {program, ":two_refused", 0}, *none[] = {"QEMU_GUEST_SECCOMP_x86_64=", "QEMU_GUEST_SECCOMP_aarch64=", 0};
	execve(program, args, none);
	WRONG("execve: %s", strerror(errno));
}
PROBE(filters_kept_by_exec) {
	struct sock_filter f[] = REFUSES(SYS_umask, SECCOMP_RET_ERRNO | EDOM);
	filtered(f, COUNT(f), true);
	become(":one_more", NULL);
}
PROBE(filter_of_vfork_kept_by_exec) {
	struct sock_filter f[] = REFUSES(SYS_umask, SECCOMP_RET_ERRNO | EDOM);
	struct sock_fprog p = {COUNT(f), f};
	char *args[] = {program, ":umask_refused", 0};
	pid_t pid = OK(vfork());
	if (pid == 0) {
		if (prctl(PR_SET_NO_NEW_PRIVS, 1L, 0L, 0L, 0L) || prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &p)) _exit(100);
		execv(program, args);
		_exit(101);
	}
	reap(pid, 0);
	OK(syscall(SYS_umask, 0));
	EQUAL(OK(prctl(PR_GET_SECCOMP)), 0);
}
static void *refused_in_thread(void *arg) {
	FAILS(EDOM, syscall(SYS_umask, 0));
	return 0;
}
PROBE(filter_in_thread) {
	struct sock_filter f[] = REFUSES(SYS_umask, SECCOMP_RET_ERRNO | EDOM);
	filtered(f, COUNT(f), true);
	join(thread(refused_in_thread, 0));
}
PROBE(filters_add_up) {
	struct sock_filter f[] = REFUSES(SYS_umask, SECCOMP_RET_ERRNO | EDOM), g[] = REFUSES(SYS_setpgid, SECCOMP_RET_ERRNO | ERANGE);
	filtered(f, COUNT(f), true);
	filtered(g, COUNT(g), true);
	FAILS(EDOM, syscall(SYS_umask, 0));
	FAILS(ERANGE, syscall(SYS_setpgid, 0, 0));
}
PROBE(filters_in_status) {
	char *before = contents("/proc/self/status"), *after; // with those of the container
	struct sock_filter f[] = REFUSES(SYS_umask, SECCOMP_RET_ERRNO | EDOM);
	filtered(f, COUNT(f), true);
	filtered(f, COUNT(f), true);
	after = contents("/proc/thread-self/status");
	EQUAL(atoi(field(after, "Seccomp")), SECCOMP_MODE_FILTER);
	if (strstr(after, "Seccomp_filters:")) EQUAL(atoi(field(after, "Seccomp_filters")) - atoi(field(before, "Seccomp_filters")), 2); // 5.9
}
PROBE(filter_for_all_while_threads_begin) {
	bool done = false;
	pthread_t t = thread(begins_and_ends, &done);
	struct sock_filter f[] = REFUSES(SYS_umask, SECCOMP_RET_ERRNO | EDOM);
	struct sock_fprog p = {COUNT(f), f};
	OK(prctl(PR_SET_NO_NEW_PRIVS, 1L, 0L, 0L, 0L));
	for (int i = 0; i < 100; i++) EQUAL(OK(syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_TSYNC, &p)), 0);
	__atomic_store_n(&done, true, __ATOMIC_RELEASE);
	join(t);
	FAILS(EDOM, syscall(SYS_umask, 0));
}
// refuses_for_all gives all threads a filter that refuses the system call of that number, if another thread does so meanwhile, too.
static void *refuses_for_all(void *number) {
	struct sock_filter f[] = REFUSES((uintptr_t)number, SECCOMP_RET_ERRNO | EDOM);
	struct sock_fprog p = {COUNT(f), f};
	for (int i = 0; i < 50; i++) {
		while (OK(syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_TSYNC, &p))) sched_yield();
	}
	return 0;
}
PROBE(filters_for_all_by_two_threads) {
	OK(prctl(PR_SET_NO_NEW_PRIVS, 1L, 0L, 0L, 0L));
	pthread_t t = thread(refuses_for_all, (void *)(uintptr_t)SYS_umask);
	refuses_for_all((void *)(uintptr_t)SYS_setpgid);
	join(t);
	FAILS(EDOM, syscall(SYS_umask, 0));
	FAILS(EDOM, syscall(SYS_setpgid, 0, 0));
	char *status = contents("/proc/self/status");
	if (strstr(status, "Seccomp_filters:") && atoi(field(status, "Seccomp_filters")) < 100) WRONG("%s filters, of 100", field(status, "Seccomp_filters"));
}
PROBE(filter_needs_no_new_privileges) {
	struct sock_filter f[] = {ALLOW};
	struct sock_fprog p = {1, f};
	if (geteuid() == 0) unsupported("root may");
	FAILS(EACCES, syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &p));
}
PROBE(filter_is_checked) {
	OK(prctl(PR_SET_NO_NEW_PRIVS, 1L, 0L, 0L, 0L));
	struct sock_filter f[] = {LOAD(nr)}; // does not return
	struct sock_fprog p = {1, f};
	FAILS(EINVAL, syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &p));
	FAILS(EFAULT, syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, 0));
}
PROBE(filter_action_available) {
	uint32_t a = SECCOMP_RET_ERRNO;
	OK(syscall(SYS_seccomp, SECCOMP_GET_ACTION_AVAIL, 0, &a));
	a = 0x12340000;
	FAILS(EOPNOTSUPP, syscall(SYS_seccomp, SECCOMP_GET_ACTION_AVAIL, 0, &a));
}
PROBE(strict_mode) {
	pid_t pid = OK(fork());
	if (pid == 0) {
		close(2);
		if (prctl(PR_SET_SECCOMP, SECCOMP_MODE_STRICT)) WRONG("prctl: %s", strerror(errno));
		syscall(SYS_getpid);
		syscall(SYS_exit, 3);
	}
	reap_killed(pid, SIGKILL);
}
PROBE(filter_tells_supervisor) {
	OK(prctl(PR_SET_NO_NEW_PRIVS, 1L, 0L, 0L, 0L));
	struct sock_filter f[] = {ALLOW};
	struct sock_fprog p = {1, f};
	int fd = OK(syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 8 /* NEW_LISTENER */, &p));
	CHECK(fd > 2);
}
PROBE(personality_kept) {
	int before = OK(personality(0xffffffff));
	OK(personality(before | ADDR_NO_RANDOMIZE));
	EQUAL(OK(personality(0xffffffff)), before | ADDR_NO_RANDOMIZE);
}
PROBE(personality_like_an_error) {
	int before = OK(personality(0xffffffff));
	if (sizeof(long) == 4) elsewhere("there it is told as an error");
	CHECK(syscall(SYS_personality, 0xffffffeaL) == before);
	CHECK(syscall(SYS_personality, 0xffffffffL) == 0xffffffeaL);
	CHECK(syscall(SYS_personality, (long)before) == 0xffffffeaL);
	EQUAL(OK(personality(0xffffffff)), before);
}
PROBE(capabilities) {
	struct __user_cap_header_struct h = {_LINUX_CAPABILITY_VERSION_3, 0};
	struct __user_cap_data_struct d[2];
	memset(d, 0xff, sizeof d);
	OK(syscall(SYS_capget, &h, d));
	if (geteuid()) EQUAL(d[0].effective, 0);
	d[0].inheritable = 0;
	OK(syscall(SYS_capset, &h, d));
	h.version = 7;
	FAILS(EINVAL, syscall(SYS_capget, &h, d));
	EQUAL(h.version, _LINUX_CAPABILITY_VERSION_3);
}
PROBE(user_ids) {
	uid_t r, e, s;
	OK(getresuid(&r, &e, &s));
	EQUAL(r, getuid());
	EQUAL(e, geteuid());
	OK(setresuid(-1, -1, -1));
	OK(setuid(getuid()));
	if (geteuid()) FAILS(EPERM, setuid(0));
	EQUAL(setfsuid(-1), geteuid());
}
PROBE(groups) {
	gid_t list[100];
	int n = OK(getgroups(100, list));
	EQUAL(OK(getgroups(0, 0)), n);
	if (geteuid()) FAILS(EPERM, setgroups(0, 0));
}
// key_read adds a key, whose payload it reads into a buffer of ten.
static long key_read(char *b) {
	long key = syscall(SYS_add_key, "user", "probe", "payload", 7, -2 /* the process's keyring */);
	if (key < 0 && errno == EDQUOT) unsupported("no quota for keys");
	OK(key);
	EQUAL(OK(syscall(SYS_keyctl, 11 /* KEYCTL_READ */, key, b, 10)), 7);
	return key;
}
// E12: keys
PROBE(keys_added) {
	char b[10] = "";
	long key = key_read(b);
	SAME(b, "payload");
	EQUAL(OK(syscall(SYS_request_key, "user", "probe", 0, 0)), key);
}
PROBE(keyring_joined) {
	CHECK(OK(syscall(SYS_keyctl, 1 /* KEYCTL_JOIN_SESSION_KEYRING */, "probe")) > 0);
	CHECK(OK(syscall(SYS_keyctl, 0 /* KEYCTL_GET_KEYRING_ID */, -3, 0)) > 0);
}
PROBE(auxiliary_vector) {
	unsigned long v[100] = {0};
	long n = prctl(0x41555856 /* PR_GET_AUXV, 6.4 */, v, sizeof v, 0, 0);
	if (n < 0 && errno == EINVAL) unsupported("no PR_GET_AUXV");
	CHECK(n > 0 && n % (2 * sizeof *v) == 0);
	for (size_t i = 0; i + 1 < COUNT(v); i += 2)
		if (v[i] == AT_PAGESZ) {
			EQUAL(v[i + 1], sysconf(_SC_PAGESIZE));
			return;
		}
	WRONG("no AT_PAGESZ");
}
PROBE(buffer_beyond_key) {
	char b[10] = "xxxxxxxxx";
	key_read(b);
	SAME(b, "payloadxx");
}
