// Programs that become others: what is passed on, and how it fails.
#include "probe.h"
#include <elf.h>
#include <libgen.h>
#include <sys/auxv.h>

#ifndef MFD_CLOEXEC
#define MFD_CLOEXEC 1
#endif

PART(count) { _exit(argc - 1); }
PART(third) { _exit(argc < 4 || strcmp(argv[3], "a b\tc\n")); }
PART(length) { _exit(strlen(argv[1]) != (size_t)atoi(argv[2])); }
PART(environment) { _exit(!getenv("VAR") || strcmp(getenv("VAR"), "value") || environ[1] != 0); }
PART(no_environment) { _exit(environ[0] != 0); }
PART(is_open) { _exit(fcntl(atoi(argv[1]), F_GETFD) < 0); }
PART(is_ignored) {
	struct sigaction act;
	sigaction(atoi(argv[1]), 0, &act);
	_exit(act.sa_handler == SIG_IGN ? 1 : act.sa_handler == SIG_DFL ? 0 : 2);
}
PART(is_blocked) {
	sigset_t set;
	sigprocmask(0, 0, &set);
	_exit(sigismember(&set, atoi(argv[1])));
}
PART(is_pending) {
	sigset_t set;
	sigpending(&set);
	_exit(sigismember(&set, atoi(argv[1])));
}
PART(seconds_left) { _exit(alarm(0) != 0); }
PART(timer_left) {
	struct itimerspec t;
	(void)argv;
	_exit(timer_gettime((timer_t)0, &t) == 0);
}
PART(own_name) {
	char name[100];
	if (prctl(PR_GET_NAME, name)) _exit(2);
	if (strncmp(name, argv[1], 15)) WRONG("the name is %s, not %s", name, argv[1]);
}
PART(file_name) {
	const char *name = (const char *)getauxval(AT_EXECFN);
	if (!name || strcmp(name, argv[1])) WRONG("AT_EXECFN is %s, not %s", name, argv[1]);
}
PART(own_file) {
	char path[PATH_MAX] = "";
	if (readlink("/proc/self/exe", path, sizeof path) < 0 || strcmp(path, argv[1])) WRONG("/proc/self/exe is %s, not %s", path, argv[1]);
}
PART(own_ids) { _exit(getpid() != atoi(argv[1]) || syscall(SYS_gettid) != getpid()); }
PART(current_mask) { _exit(umask(0)); }
PART(files_limit) {
	struct rlimit l;
	getrlimit(RLIMIT_NOFILE, &l);
	_exit(l.rlim_cur);
}
PART(in_directory) {
	char path[PATH_MAX];
	_exit(!getcwd(path, sizeof path) || strcmp(path, argv[1]));
}
PART(again) {
	int n = atoi(argv[1]);
	if (n == 0) _exit(0);
	char left[10];
	snprintf(left, sizeof left, "%d", n - 1);
	become(":again", left, NULL);
}
PART(auxiliary) {
	if (getauxval(AT_PAGESZ) != (unsigned long)sysconf(_SC_PAGESIZE)) WRONG("AT_PAGESZ");
	if (!getauxval(AT_RANDOM) || !getauxval(AT_PHDR) || !getauxval(AT_PHNUM)) WRONG("AT_RANDOM, AT_PHDR or AT_PHNUM is missing");
	if (getauxval(AT_UID) != getuid() || getauxval(AT_EGID) != getegid()) WRONG("AT_UID or AT_EGID");
	if (getauxval(AT_SECURE)) WRONG("AT_SECURE");
	if (getauxval(AT_CLKTCK) != 100) WRONG("AT_CLKTCK");
}

// exits has a child call a function of exec's kind with this program's path, and returns its status.
#define EXITS(CALL)                                                             \
	({                                                                      \
		pid_t pid_ = OK(fork());                                        \
		int status_;                                                    \
		if (pid_ == 0) {                                                \
			CALL;                                                   \
			WRONG("%s: %s", #CALL, strerror(errno));                \
		}                                                               \
		OK(waitpid(pid_, &status_, 0));                                 \
		if (!WIFEXITED(status_)) WRONG("%s: status %#x", #CALL, status_); \
		WEXITSTATUS(status_);                                           \
	})
static void copy_self(const char *to) {
	int in = OK(open(program, O_RDONLY)), out = OK(open(to, O_WRONLY | O_CREAT, 0755));
	static char buffer[65536];
	ssize_t n;
	while ((n = OK(read(in, buffer, sizeof buffer))) > 0) EQUAL(write(out, buffer, n), n);
	close(in), OK(close(out));
}
static char *absolute(const char *name) {
	char here[PATH_MAX - 100], *path;
	CHECK(getcwd(here, sizeof here));
	CHECK(asprintf(&path, "%s/%s", here, name) > 0);
	return path;
}

PROBE(arguments) {
	EQUAL(EXITS(execl(program, "name", ":count", "a", "", "b", NULL)), 3);
	EQUAL(EXITS(execl(program, "name", ":third", "", "", "a b\tc\n", NULL)), 0);
}
PROBE(long_argument) {
	char *a = malloc(100001);
	memset(a, 'x', 100000), a[100000] = 0;
	EQUAL(spawned(":length", a, "100000", NULL), 0);
}
PROBE(many_arguments) {
	enum { N = 5000 };
	static char *args[N + 3];
	args[0] = program, args[1] = ":count";
	for (int i = 0; i < N; i++) args[2 + i] = "abcdefghijklmnop";
	EQUAL(EXITS(execv(program, args)), N & 255);
}
PROBE(too_long_argument) {
	char *a = malloc(200001);
	memset(a, 'x', 200000), a[200000] = 0;
	FAILS(E2BIG, execl(program, program, ":count", a, NULL));
}
PROBE(environment_passed) {
	char *args[] = {program, ":environment", 0}, *env[] = {"VAR=value", 0};
	EQUAL(EXITS(execve(program, args, env)), 0);
}
PROBE(environment_empty) {
	char *args[] = {program, ":no_environment", 0}, *env[] = {0};
	EQUAL(EXITS(execve(program, args, env)), 0);
}
PROBE(missing) { FAILS(ENOENT, execl("/nonexistent", "x", NULL)); }
PROBE(not_executable) {
	write_file("f", "x");
	FAILS(EACCES, execl("./f", "x", NULL));
}
PROBE(directory) { FAILS(EACCES, execl("/tmp", "x", NULL)); }
PROBE(below_a_file) { FAILS(ENOTDIR, execl("/etc/passwd/x", "x", NULL)); }
PROBE(no_format) {
	write_file("f", "neither one nor the other");
	OK(chmod("f", 0755));
	FAILS(ENOEXEC, execl("./f", "x", NULL));
}
PROBE(empty_file) {
	write_file("f", "");
	OK(chmod("f", 0755));
	FAILS(ENOEXEC, execl("./f", "x", NULL));
}
PROBE(link_loop) {
	OK(symlink("loop", "loop"));
	FAILS(ELOOP, execl("./loop", "x", NULL));
}
PROBE(long_name) {
	char name[300];
	memset(name, 'x', 299), name[299] = 0;
	FAILS(ENAMETOOLONG, execl(name, "x", NULL));
}
PROBE(bad_pointer) { FAILS(EFAULT, syscall(SYS_execve, 1, 0, 0)); }
PROBE(script) {
	write_file("s", "#!/bin/sh\nexit 8\n");
	OK(chmod("s", 0755));
	EQUAL(EXITS(execl("./s", "s", NULL)), 8);
}
PROBE(script_of_own) {
	char *text;
	CHECK(asprintf(&text, "#!%s :count\n", program) > 0);
	write_file("s", text);
	OK(chmod("s", 0755));
	EQUAL(EXITS(execl("./s", "s", "a", "b", NULL)), 3); // its name, a, b
}
PROBE(script_of_script) {
	char *text;
	CHECK(asprintf(&text, "#!%s :count\n", program) > 0);
	write_file("s", text);
	CHECK(asprintf(&text, "#!%s x\n", absolute("s")) > 0);
	write_file("t", text);
	OK(chmod("s", 0755));
	OK(chmod("t", 0755));
	EQUAL(EXITS(execl("./t", "t", NULL)), 3); // s, x, t
}
PROBE(script_interpreter_missing) {
	write_file("s", "#!/nonexistent\n");
	OK(chmod("s", 0755));
	FAILS(ENOENT, execl("./s", "s", NULL));
}
PROBE(script_without_line) {
	write_file("s", "exit 4\n");
	OK(chmod("s", 0755));
	EQUAL(EXITS(execlp("./s", "s", NULL)), 4); // by /bin/sh
}
PROBE(path_search) {
	copy_self("program-on-path");
	OK(setenv("PATH", absolute("."), 1));
	EQUAL(EXITS(execlp("program-on-path", "x", ":count", "a", NULL)), 1);
}
PROBE(relative) {
	copy_self("copy");
	EQUAL(EXITS(execl("copy", "x", ":count", "a", NULL)), 1);
	EQUAL(EXITS(execl("./copy", "x", ":count", "a", NULL)), 1);
}
PROBE(close_on_exec) {
	int keep = OK(open("/dev/null", O_RDONLY)), gone = OK(open("/dev/null", O_RDONLY | O_CLOEXEC));
	char a[10], b[10];
	snprintf(a, sizeof a, "%d", keep), snprintf(b, sizeof b, "%d", gone);
	EQUAL(spawned(":is_open", a, NULL), 0);
	EQUAL(spawned(":is_open", b, NULL), 1);
}
PROBE(signals_reset) {
	signal(SIGUSR1, SIG_IGN);
	signal(SIGUSR2, (void (*)(int))abort);
	char a[10], b[10];
	snprintf(a, sizeof a, "%d", SIGUSR1), snprintf(b, sizeof b, "%d", SIGUSR2);
	EQUAL(spawned(":is_ignored", a, NULL), 1);
	EQUAL(spawned(":is_ignored", b, NULL), 0);
}
PROBE(mask_and_pending_kept) {
	sigset_t set;
	sigemptyset(&set);
	sigaddset(&set, SIGUSR1);
	OK(sigprocmask(SIG_BLOCK, &set, 0));
	char a[10];
	snprintf(a, sizeof a, "%d", SIGUSR1);
	EQUAL(spawned(":is_blocked", a, NULL), 1);
	pid_t pid = OK(fork());
	if (pid == 0) {
		raise(SIGUSR1);
		become(":is_pending", a, NULL);
	}
	reap(pid, 1);
}
PROBE(alarm_kept) {
	pid_t pid = OK(fork());
	if (pid == 0) {
		alarm(1000);
		become(":seconds_left", NULL);
	}
	reap(pid, 1);
}
PROBE(timers_gone) {
	pid_t pid = OK(fork());
	if (pid == 0) {
		timer_t t;
		struct sigevent e = {.sigev_notify = SIGEV_NONE};
		OK(timer_create(CLOCK_MONOTONIC, &e, &t));
		become(":timer_left", NULL);
	}
	reap(pid, 0);
}
PROBE(umask_kept) {
	umask(0027);
	EQUAL(spawned(":current_mask", NULL), 0027);
}
PROBE(limits_kept) {
	struct rlimit l;
	OK(getrlimit(RLIMIT_NOFILE, &l));
	l.rlim_cur = 123;
	OK(setrlimit(RLIMIT_NOFILE, &l));
	EQUAL(spawned(":files_limit", NULL), 123);
}
PROBE(directory_kept) { EQUAL(spawned(":in_directory", dirname(absolute("x")), NULL), 0); }
PROBE(same_process) {
	pid_t pid = OK(fork());
	if (pid == 0) {
		char me[20];
		snprintf(me, sizeof me, "%d", getpid());
		become(":own_ids", me, NULL);
	}
	reap(pid, 0);
}
static void *execs(void *arg) {
	become(":own_ids", (char *)arg, NULL);
	return 0;
}
PROBE(from_a_thread) {
	pid_t pid = OK(fork());
	if (pid == 0) {
		char me[20];
		snprintf(me, sizeof me, "%d", getpid());
		thread(execs, me);
		for (;;) pause();
	}
	reap(pid, 0);
}
static void *pauses(void *arg) {
	for (;;) pause();
	return arg;
}
PROBE(ends_other_threads) {
	pid_t pid = OK(fork());
	if (pid == 0) {
		for (int i = 0; i < 5; i++) thread(pauses, 0);
		char me[20];
		snprintf(me, sizeof me, "%d", getpid());
		become(":own_ids", me, NULL);
	}
	reap(pid, 0);
}
PROBE(many_times) { EQUAL(spawned(":again", "15", NULL), 0); }
PROBE(failed_exec_changes_nothing) {
	static volatile int v = 3;
	FAILS(ENOENT, execl("/nonexistent", "x", NULL));
	EQUAL(v, 3);
	void *p = malloc(100);
	CHECK(p);
	EQUAL(spawned(":count", NULL), 0);
}
PROBE(name_after_exec) {
	copy_self("a-name-of-its-own");
	EQUAL(EXITS(execl("./a-name-of-its-own", "x", ":own_name", "a-name-of-its-own", NULL)), 0);
}
PROBE(name_set_is_gone) {
	copy_self("plain-name");
	EQUAL(EXITS(prctl(PR_SET_NAME, "other"); execl("./plain-name", "x", ":own_name", "plain-name", NULL)), 0);
}
PROBE(file_name_vector) {
	copy_self("copy");
	EQUAL(EXITS(execl("./copy", "other", ":file_name", "./copy", NULL)), 0);
}
PROBE(file_name_of_link) {
	copy_self("copy");
	OK(symlink("copy", "link"));
	EQUAL(EXITS(execl("./link", "other", ":file_name", "./link", NULL)), 0);
}
PROBE(own_file_is_absolute) {
	copy_self("copy");
	EQUAL(EXITS(execl("./copy", "other", ":own_file", absolute("copy"), NULL)), 0);
}
PROBE(own_file_of_link) {
	copy_self("copy");
	OK(symlink("copy", "link"));
	EQUAL(EXITS(execl("./link", "other", ":own_file", absolute("copy"), NULL)), 0);
}
PROBE(argv0_is_free) {
	EQUAL(EXITS(execl(program, "/any/thing at all", ":count", "a", NULL)), 1);
	EQUAL(EXITS(execl(program, "", ":count", NULL)), 0);
}
PROBE(auxiliary_vector) { EQUAL(spawned(":auxiliary", NULL), 0); }
// E3
PROBE(execveat_empty_path) {
	int fd = OK(open(program, O_PATH));
	char *args[] = {program, ":count", "a", 0};
	EQUAL(EXITS(syscall(SYS_execveat, fd, "", args, environ, AT_EMPTY_PATH)), 1);
}
PROBE(execveat_close_on_exec) {
	int fd = OK(open(program, O_PATH | O_CLOEXEC));
	char *args[] = {program, ":count", "a", 0};
	EQUAL(EXITS(syscall(SYS_execveat, fd, "", args, environ, AT_EMPTY_PATH)), 1);
}
PROBE(execveat_directory) {
	copy_self("copy");
	int fd = OK(open(".", O_PATH | O_DIRECTORY | O_CLOEXEC));
	char *args[] = {program, ":count", "a", 0};
	OK(chdir("/"));
	EQUAL(EXITS(syscall(SYS_execveat, fd, "copy", args, environ, 0)), 1);
}
PROBE(execveat_no_follow) {
	OK(symlink(program, "link"));
	char *args[] = {program, ":count", "a", 0};
	FAILS(ELOOP, syscall(SYS_execveat, AT_FDCWD, "link", args, environ, AT_SYMLINK_NOFOLLOW));
}
PROBE(fexecve_file) {
	int fd = OK(open(program, O_RDONLY));
	char *args[] = {program, ":count", "a", 0};
	EQUAL(EXITS(fexecve(fd, args, environ)), 1);
}
PROBE(fexecve_close_on_exec) {
	int fd = OK(open(program, O_RDONLY | O_CLOEXEC));
	char *args[] = {program, ":count", "a", 0};
	EQUAL(EXITS(fexecve(fd, args, environ)), 1);
}
static int in_memory(unsigned flags) {
	int in = OK(open(program, O_RDONLY | O_CLOEXEC)), fd = OK(syscall(SYS_memfd_create, "program", flags));
	static char buffer[65536];
	ssize_t n;
	while ((n = OK(read(in, buffer, sizeof buffer))) > 0) EQUAL(write(fd, buffer, n), n);
	close(in);
	return fd;
}
PROBE(fexecve_memory) {
	int fd = in_memory(0);
	char *args[] = {program, ":count", "a", 0};
	EQUAL(EXITS(fexecve(fd, args, environ)), 1);
}
PROBE(fexecve_memory_close_on_exec) {
	int fd = in_memory(MFD_CLOEXEC);
	char *args[] = {program, ":count", "a", 0};
	EQUAL(EXITS(fexecve(fd, args, environ)), 1);
}
PROBE(exec_deleted_file) {
	copy_self("copy");
	int fd = OK(open("copy", O_RDONLY));
	OK(unlink("copy"));
	char *args[] = {program, ":count", "a", 0};
	EQUAL(EXITS(fexecve(fd, args, environ)), 1);
}
PROBE(exec_by_descriptor_path) {
	int fd = OK(open(program, O_RDONLY));
	char path[40];
	snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
	EQUAL(EXITS(execl(path, "x", ":count", "a", NULL)), 1);
}
PROBE(exec_self) { EQUAL(EXITS(execl("/proc/self/exe", "x", ":count", "a", NULL)), 1); }
PROBE(execute_only) {
	copy_self("copy");
	OK(chmod("copy", 0111));
	EQUAL(EXITS(execl("./copy", "x", ":count", "a", NULL)), 1);
}
PROBE(busy_text) {
	copy_self("copy");
	int fd = OK(open("copy", O_WRONLY));
	FAILS(ETXTBSY, execl("./copy", "x", ":count", NULL));
	close(fd);
}
PROBE(native_program) { EQUAL(WEXITSTATUS(OK(system("/bin/true && test -e /"))), 0); }
