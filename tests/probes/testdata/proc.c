// /proc: what a program finds there about itself and others.
#include "probe.h"
#include <ctype.h>
#include <dirent.h>
#include <elf.h>
#include <netinet/in.h>
#include <sys/auxv.h>
#include <sys/sysinfo.h>
#include <sys/utsname.h>
#if defined __x86_64__ || defined __i386__
#include <cpuid.h>
#endif

static char *link_of(const char *path) {
	char *b = calloc(1, PATH_MAX);
	if (readlink(path, b, PATH_MAX - 1) < 0) WRONG("readlink %s: %s", path, strerror(errno));
	return b;
}
static char *path_of(const char *format, int n) {
	char *p;
	CHECK(asprintf(&p, format, n) > 0);
	return p;
}
// is_program says that a path is this very file.
static void is_program(const char *path) {
	struct stat a, b;
	OK(stat(program, &a));
	if (stat(path, &b)) WRONG("stat %s: %s", path, strerror(errno));
	if (a.st_ino != b.st_ino || a.st_dev != b.st_dev) WRONG("%s is another file, of %lld bytes, not %lld", path, (long long)b.st_size, (long long)a.st_size);
}
static bool has_head_of_program(int fd) {
	char a[1000], b[1000];
	int own = OK(open(program, O_RDONLY));
	EQUAL(read(own, a, sizeof a), sizeof a);
	EQUAL(pread(fd, b, sizeof b, 0), sizeof b);
	return !memcmp(a, b, sizeof a);
}
// count_arguments has the words of a command line.
static void is_command_line(const char *path, const char *part) {
	int fd = open(path, O_RDONLY);
	if (fd < 0) WRONG("open %s: %s", path, strerror(errno));
	char b[PATH_MAX + 100];
	ssize_t n = OK(read(fd, b, sizeof b - 1));
	b[n] = 0;
	size_t first = strlen(b) + 1;
	if ((ssize_t)first >= n || strcmp(b + first, part)) WRONG("%s has \"%s\", \"%s\", not \"%s\" second", path, b, (ssize_t)first < n ? b + first : "", part);
}
PART(stays) {
	char c;
	EQUAL(write(1, "x", 1), 1);
	_exit(read(0, &c, 1) != 0);
}
static int hold; // ends the other process when it is closed
// another starts another process of this program and waits until it runs.
static pid_t another(void) {
	int in[2], out[2];
	OK(pipe2(in, O_CLOEXEC)), OK(pipe2(out, O_CLOEXEC));
	pid_t pid = OK(fork());
	if (pid == 0) {
		dup2(in[0], 0), dup2(out[1], 1);
		become(":stays", NULL);
	}
	char c;
	EQUAL(read(out[0], &c, 1), 1);
	hold = in[1];
	return pid;
}

PROBE(exe_link) { SAME(link_of("/proc/self/exe"), program); }
PROBE(exe_link_by_id) { SAME(link_of(path_of("/proc/%d/exe", getpid())), program); }
PROBE(exe_open) { CHECK(has_head_of_program(OK(open("/proc/self/exe", O_RDONLY)))); }
// E13
PROBE(exe_stat) { is_program("/proc/self/exe"); }
PROBE(exe_stat_by_id) { is_program(path_of("/proc/%d/exe", getpid())); }
PROBE(exe_statx) {
	struct statx x;
	struct stat s;
	OK(statx(AT_FDCWD, "/proc/self/exe", 0, STATX_SIZE | STATX_INO, &x));
	OK(stat(program, &s));
	EQUAL(x.stx_size, s.st_size);
	EQUAL(x.stx_ino, s.st_ino);
}
PROBE(exe_access) {
	OK(access("/proc/self/exe", X_OK));
	OK(faccessat(AT_FDCWD, "/proc/self/exe", R_OK, 0));
}
PROBE(exe_openat) {
	int self = OK(open("/proc/self", O_RDONLY | O_DIRECTORY));
	CHECK(has_head_of_program(OK(openat(self, "exe", O_RDONLY))));
}
PROBE(exe_readlinkat) {
	int self = OK(open("/proc/self", O_RDONLY | O_DIRECTORY));
	char b[PATH_MAX] = "";
	OK(readlinkat(self, "exe", b, sizeof b - 1));
	SAME(b, program);
}
PROBE(exe_of_thread) {
	SAME(link_of("/proc/thread-self/exe"), program);
	is_program("/proc/thread-self/exe");
}
PROBE(exe_of_task) { SAME(link_of(path_of("/proc/self/task/%d/exe", getpid())), program); }
PROBE(exe_realpath) {
	char b[PATH_MAX];
	CHECK(realpath("/proc/self/exe", b));
	SAME(b, program);
}
PROBE(exe_of_other) {
	pid_t pid = another();
	char *got = link_of(path_of("/proc/%d/exe", pid));
	SAME(got, program);
	close(hold);
	reap(pid, 0);
}
PROBE(exe_after_chdir) {
	OK(chdir("/"));
	SAME(link_of("/proc/self/exe"), program);
}
PROBE(command_line) { is_command_line("/proc/self/cmdline", "command_line"); }
PROBE(command_line_by_id) { is_command_line(path_of("/proc/%d/cmdline", getpid()), "command_line_by_id"); }
PROBE(command_line_of_task) { is_command_line(path_of("/proc/self/task/%d/cmdline", getpid()), "command_line_of_task"); }
PROBE(command_line_of_thread) { is_command_line("/proc/thread-self/cmdline", "command_line_of_thread"); }
PROBE(command_line_of_other) {
	pid_t pid = another();
	is_command_line(path_of("/proc/%d/cmdline", pid), ":stays");
	close(hold);
	reap(pid, 0);
}
PROBE(name) {
	char *want = strrchr(program, '/') + 1, got[100];
	snprintf(got, sizeof got, "%.15s\n", want);
	SAME(contents("/proc/self/comm"), got);
}
PROBE(name_set) {
	OK(prctl(PR_SET_NAME, "other-name"));
	SAME(contents("/proc/self/comm"), "other-name\n");
	SAME(field(contents("/proc/self/status"), "Name"), "other-name");
}
PROBE(name_written) {
	int fd = OK(open("/proc/self/comm", O_WRONLY));
	EQUAL(write(fd, "written", 7), 7);
	char b[16];
	OK(prctl(PR_GET_NAME, b));
	SAME(b, "written");
}
PROBE(name_of_other) {
	pid_t pid = another();
	char *want = strrchr(program, '/') + 1, got[100];
	snprintf(got, sizeof got, "%.15s\n", want);
	SAME(contents(path_of("/proc/%d/comm", pid)), got);
	close(hold);
	reap(pid, 0);
}
static char *after_name(char *stat, int field_number) {
	char *p = strrchr(stat, ')') + 2;
	for (int i = 3; i < field_number; i++) p = strchr(p, ' ') + 1;
	return p;
}
PROBE(stat_ids) {
	char *s = contents("/proc/self/stat");
	EQUAL(atoi(s), getpid());
	EQUAL(*after_name(s, 3), 'R');
	EQUAL(atoi(after_name(s, 4)), getppid());
	EQUAL(atoi(after_name(s, 5)), getpgrp());
	EQUAL(atoi(after_name(s, 6)), getsid(0));
}
PROBE(stat_name) {
	char *s = contents("/proc/self/stat"), want[100];
	snprintf(want, sizeof want, "(%.15s) ", strrchr(program, '/') + 1);
	if (strncmp(strchr(s, '('), want, strlen(want))) WRONG("%.60s", s);
}
PROBE(stat_times) {
	works();
	char *s = contents("/proc/self/stat");
	CHECK(atol(after_name(s, 14)) > 0); // utime
	CHECK(atoll(after_name(s, 22)) > 0); // starttime
}
PROBE(stat_sizes) {
	char *s = contents("/proc/self/stat");
	CHECK(atoll(after_name(s, 23)) > 0); // vsize
	CHECK(atoll(after_name(s, 24)) > 0); // rss
	CHECK(atoi(after_name(s, 20)) >= 1); // threads
}
PROBE(stat_stack) {
	char here, *s = contents("/proc/self/stat");
	uintptr_t start = strtoull(after_name(s, 28), 0, 10);
#if defined __hppa__
	CHECK((uintptr_t)&here > start);
#else
	CHECK((uintptr_t)&here < start);
#endif
}
static void *until(void *arg) {
	while (!*(atomic_int *)arg) nap(5);
	return 0;
}
static int tasks(DIR *d) {
	int n = 0;
	rewinddir(d);
	while (readdir(d)) n++;
	return n - 2;
}
PROBE(threads_counted) {
	atomic_int end = 0;
	pthread_t t[3];
	for (int i = 0; i < 3; i++) t[i] = thread(until, &end);
	EQUAL(atoi(field(contents("/proc/self/status"), "Threads")), 4);
	EQUAL(tasks(OK(opendir("/proc/self/task"))), 4);
	end = 1;
	for (int i = 0; i < 3; i++) join(t[i]);
}
static void unmaps_something(void) {
	OK(munmap(mmap(0, 65536, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0), 65536));
}
PROBE(one_thread_left) {
	DIR *before = OK(opendir("/proc/self/task"));
	for (int i = 0; i < 3; i++) join(thread(ends_at_once, 0));
	unmaps_something();
	for (int i = 0; i < 100 && tasks(before) > 1; i++) nap(20); // the last one may be on its way out
	EQUAL(tasks(before), 1);
	unmaps_something();
	EQUAL(tasks(OK(opendir("/proc/self/task"))), 1);
	unmaps_something();
	EQUAL(atoi(field(contents("/proc/self/status"), "Threads")), 1);
}
// size is what a program has mapped, by /proc/self/stat, and pages_of a number in /proc/self/statm, in bytes.
static unsigned long long size(void) { return strtoull(after_name(contents("/proc/self/stat"), 23), 0, 10); }
static unsigned long long pages_of(int field) {
	unsigned long long n = 0;
	char *s = contents("/proc/self/statm");
	for (int i = 0; i <= field; i++) n = strtoull(s, &s, 10);
	return n * sysconf(_SC_PAGESIZE);
}
PROBE(size_grows) {
	const unsigned long long more = 64 << 20, a_little = 8 << 20; // what is read is mapped, too
	unsigned long long before = size(), after;
	CHECK(before > 0 && before < (1ULL << (sizeof(long) == 4 ? 31 : 40)));
	CHECK(mmap(0, more, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) != MAP_FAILED);
	after = size();
	if (after + a_little < before + more || after > before + more + a_little) WRONG("the size is %llu, and was %llu", after, before);
	unsigned long long status = 1024ULL * atoll(field(contents("/proc/self/status"), "VmSize"));
	if (status + a_little < after || status > after + a_little) WRONG("VmSize is %llu, and the size in stat %llu", status, after);
	unsigned long long pages = pages_of(0);
	if (pages + a_little < after || pages > after + a_little) WRONG("the size is %llu in statm, and %llu in stat", pages, after);
}
PROBE(resident_grows) {
	const unsigned long long more = 64 << 20, a_little = 8 << 20, page = sysconf(_SC_PAGESIZE);
	unsigned long long before, after, stat;
	char *p = mmap(0, more, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	CHECK(p != MAP_FAILED);
	madvise(p, more, MADV_NOHUGEPAGE);
	before = pages_of(1);
	memset(p, 1, more);
	after = pages_of(1);
	if (after + a_little < before + more || after > before + more + a_little) WRONG("%llu bytes are resident, and were %llu", after, before);
	stat = page * strtoull(after_name(contents("/proc/self/stat"), 24), 0, 10);
	if (stat + a_little < after || stat > after + a_little) WRONG("%llu bytes are resident by stat, %llu by statm", stat, after);
}
static const char *const own_files[] = {
	"/proc/self/stat", "/proc/self/statm", "/proc/self/status", "/proc/self/maps", "/proc/self/smaps", "/proc/self/cmdline", "/proc/self/auxv",
};
PROBE(own_files_closed_on_exec) {
	for (size_t i = 0; i < COUNT(own_files); i++) {
		const char *path = own_files[i];
		int fd = open(path, O_RDONLY);
		if (fd < 0 && errno == ENOENT) continue; // kernels may have no smaps
		CHECK(fd >= 0);
		if (fcntl(fd, F_GETFD) != 0) WRONG("%s is closed on exec", path);
		fd = OK(open(path, O_RDONLY | O_CLOEXEC));
		if (fcntl(fd, F_GETFD) != FD_CLOEXEC) WRONG("%s is not closed on exec", path);
	}
}
PROBE(own_files_not_written) {
	if (geteuid() == 0) unsupported("root may");
	for (size_t i = 0; i < COUNT(own_files); i++) {
		const char *path = own_files[i];
		if (access(path, F_OK)) continue;
		if (open(path, O_WRONLY) >= 0 || errno != EACCES) WRONG("open %s to write: %s", path, strerror(errno));
		if (open(path, O_RDWR) >= 0 || errno != EACCES) WRONG("open %s to read and write: %s", path, strerror(errno));
	}
	FAILS(ENOTDIR, open("/proc/self/status", O_RDONLY | O_DIRECTORY));
}
PROBE(size_is_largest) {
	char *s = contents("/proc/self/status");
	long long size = atoll(field(s, "VmSize")), peak = atoll(field(s, "VmPeak"));
	long long resident = atoll(field(s, "VmRSS")), data = atoll(field(s, "VmData"));
	if (peak < size || size < resident || size < data) WRONG("VmPeak is %lld kB, VmSize %lld, VmRSS %lld, VmData %lld", peak, size, resident, data);
	if (sizeof(long) == 4 && peak >= 4 << 20) WRONG("VmPeak is %lld kB", peak);
	unsigned long long pages[7];
	s = contents("/proc/self/statm");
	for (size_t i = 0; i < COUNT(pages); i++) pages[i] = strtoull(s, &s, 10);
	if (pages[0] < pages[1] || pages[1] < pages[2] || pages[0] < pages[5]) WRONG("the size is %llu pages, %llu resident, %llu shared, %llu data", pages[0], pages[1], pages[2], pages[5]);
}
PROBE(one_thread) { EQUAL(atoi(field(contents("/proc/self/status"), "Threads")), 1); }
PROBE(status_ids) {
	char *s = contents("/proc/self/status"), want[50];
	EQUAL(atoi(field(s, "Pid")), getpid());
	EQUAL(atoi(field(s, "PPid")), getppid());
	snprintf(want, sizeof want, "%d\t%d\t%d\t%d", getuid(), geteuid(), geteuid(), geteuid());
	SAME(field(s, "Uid"), want);
}
PROBE(status_signals) {
	signal(SIGUSR1, SIG_IGN);
	sigset_t set;
	sigemptyset(&set);
	sigaddset(&set, SIGUSR2);
	sigprocmask(SIG_BLOCK, &set, 0);
	char *s = contents("/proc/self/status");
	uint64_t ignored = strtoull(field(s, "SigIgn"), 0, 16), blocked = strtoull(field(s, "SigBlk"), 0, 16);
#if defined __mips__ || defined __alpha__ || defined __sparc__ || defined __hppa__
	elsewhere("signals have other numbers");
#endif
	CHECK(ignored >> (SIGUSR1 - 1) & 1);
	CHECK(blocked >> (SIGUSR2 - 1) & 1);
}
// Which signal it is outside: docker stop sends systemd SIGRTMIN+3.
static void ignored(int n) {}
PROBE(realtime_outside) {
	signal(SIGRTMIN + 3, ignored);
	unsigned long long caught = strtoull(field(contents("/proc/self/status"), "SigCgt"), 0, 16);
	CHECK(caught >> (SIGRTMIN + 3 - 1) & 1);
	CHECK(!(caught >> (SIGRTMIN + 5 - 1) & 1));
}
static bool listed(const char *maps, uintptr_t at, char *permissions, char *line) {
	char *text = contents(maps), *rest;
	for (char *l = strtok_r(text, "\n", &rest); l; l = strtok_r(0, "\n", &rest)) {
		unsigned long long low, high;
		char p[8];
		if (sscanf(l, "%llx-%llx %7s", &low, &high, p) != 3) continue;
		if (at >= low && at < high) {
			if (permissions) strcpy(permissions, p);
			if (line) strcpy(line, l);
			return true;
		}
	}
	return false;
}
PROBE(maps_of_code) {
	char line[PATH_MAX + 200], permissions[8];
	void *at = (void *)listed;
#if defined __powerpc64__ && _CALL_ELF != 2
	at = *(void **)at;
#endif
#if defined __hppa__
	elsewhere("a function's address is a descriptor's");
#endif
	CHECK(listed("/proc/self/maps", (uintptr_t)at, permissions, line));
	SAME(permissions, "r-xp");
	if (!strstr(line, program)) WRONG("%s", line);
}
PROBE(maps_of_mapping) {
	char *p = mmap(0, 4 * 65536, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0), permissions[8];
	OK(mprotect(p + 65536, 65536, PROT_READ));
	CHECK(listed("/proc/self/maps", (uintptr_t)p, permissions, 0));
	SAME(permissions, "rw-p");
	CHECK(listed("/proc/self/maps", (uintptr_t)p + 65536, permissions, 0));
	SAME(permissions, "r--p");
	OK(mprotect(p, 4 * 65536, PROT_NONE)); // unmapped, its place could be taken by what lists it
	CHECK(listed("/proc/self/maps", (uintptr_t)p, permissions, 0));
	SAME(permissions, "---p");
}
PROBE(maps_of_stack) {
	char line[PATH_MAX + 200], here;
	CHECK(listed("/proc/self/maps", (uintptr_t)&here, 0, line));
	CHECK(strstr(line, "[stack]"));
}
PROBE(maps_of_heap) {
	char *p = sbrk(65536);
	CHECK(p != (void *)-1);
	char line[PATH_MAX + 200];
	CHECK(listed("/proc/self/maps", (uintptr_t)p + 100, 0, line));
	if (!strstr(line, "[heap]")) WRONG("%s", line);
}
PROBE(maps_of_file) {
	write_file("mapped-file", "x");
	int fd = OK(open("mapped-file", O_RDONLY));
	char *p = mmap(0, 1, PROT_READ, MAP_SHARED, fd, 0), line[PATH_MAX + 200], permissions[8];
	CHECK(listed("/proc/self/maps", (uintptr_t)p, permissions, line));
	SAME(permissions, "r--s");
	CHECK(strstr(line, "/mapped-file"));
	struct stat s;
	OK(fstat(fd, &s));
	char inode[30];
	snprintf(inode, sizeof inode, " %lld ", (long long)s.st_ino);
	CHECK(strstr(line, inode));
}
PROBE(maps_by_other_names) {
	char here;
	CHECK(listed(path_of("/proc/%d/maps", getpid()), (uintptr_t)&here, 0, 0));
	CHECK(listed("/proc/thread-self/maps", (uintptr_t)&here, 0, 0));
	CHECK(listed(path_of("/proc/self/task/%d/maps", getpid()), (uintptr_t)&here, 0, 0));
}
PROBE(maps_are_all) {
	// Everything in the list is readable as it says.
	char *text = contents("/proc/self/maps"), *rest;
	int ends[2], n = 0;
	OK(pipe(ends));
	for (char *l = strtok_r(text, "\n", &rest); l; l = strtok_r(0, "\n", &rest), n++) {
		unsigned long long low, high;
		char p[8];
		EQUAL(sscanf(l, "%llx-%llx %7s", &low, &high, p), 3);
		if (p[0] != 'r' || strstr(l, "[v")) continue;
		if (write(ends[1], (void *)(uintptr_t)low, 1) != 1) WRONG("%.100s: %s", l, strerror(errno));
		char c;
		EQUAL(read(ends[0], &c, 1), 1);
	}
	CHECK(n >= 4);
}
PROBE(smaps) {
	char here;
	CHECK(listed("/proc/self/smaps", (uintptr_t)&here, 0, 0));
	CHECK(strstr(contents("/proc/self/smaps"), "\nRss:"));
}
PROBE(memory_file) {
	static volatile char text[] = "here it is";
	int fd = OK(open("/proc/self/mem", O_RDWR));
	char b[sizeof text];
	EQUAL(OK(pread64(fd, b, sizeof b, (off64_t)(uintptr_t)text)), sizeof b);
	SAME(b, "here it is");
	EQUAL(OK(pwrite64(fd, "HERE", 4, (off64_t)(uintptr_t)text)), 4);
	EQUAL(text[0], 'H');
}
PROBE(memory_file_by_vectors) {
	static volatile char text[] = "here it is";
	int fd = OK(open("/proc/self/mem", O_RDWR));
	char b[4], c[sizeof text - 4];
	struct iovec v[2] = {{b, sizeof b}, {c, sizeof c}};
	EQUAL(OK(preadv64(fd, v, 2, (off64_t)(uintptr_t)text)), sizeof text);
	EQUAL(memcmp(b, "here", 4), 0);
	SAME(c, " it is");
	memcpy(b, "HERE", 4);
	EQUAL(OK(pwritev64(fd, v, 1, (off64_t)(uintptr_t)text)), 4);
	EQUAL(text[3], 'E');
	OK(lseek64(fd, (off64_t)(uintptr_t)text, SEEK_SET));
	EQUAL(OK(readv(fd, v, 2)), sizeof text);
	EQUAL(memcmp(b, "HERE", 4), 0);
}
// As who looks at memory that may not be there does.
PROBE(memory_file_beyond) {
	const size_t page = 65536;
	char *p = OK(mmap(0, 3 * page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0)), b[8];
	memcpy(p + page - 4, "last", 4);
	OK(munmap(p + page, page));
	int fd = OK(open("/proc/self/mem", O_RDWR));
	off64_t end = (off64_t)(uintptr_t)p + page;
	struct iovec v = {b, sizeof b};
	FAILS(EIO, pread64(fd, b, sizeof b, end));
	FAILS(EIO, pwrite64(fd, b, sizeof b, end));
	FAILS(EIO, preadv64(fd, &v, 1, end));
	OK(lseek64(fd, end, SEEK_SET));
	FAILS(EIO, read(fd, b, sizeof b));
	FAILS(EIO, readv(fd, &v, 1));
	EQUAL(OK(pread64(fd, b, sizeof b, end - 4)), 4);
	EQUAL(memcmp(b, "last", 4), 0);
}
PROBE(auxiliary) {
	unsigned long b[100];
	int fd = OK(open("/proc/self/auxv", O_RDONLY));
	ssize_t n = OK(read(fd, b, sizeof b));
	CHECK(n > 0 && n % (2 * sizeof(long)) == 0);
	bool found = false;
	for (size_t i = 0; i + 1 < n / sizeof(long); i += 2)
		if (b[i] == AT_PAGESZ) found = b[i + 1] == (unsigned long)sysconf(_SC_PAGESIZE);
	CHECK(found);
}
PROBE(environment) {
	char *text = contents("/proc/self/environ");
	CHECK(*text && strchr(text, '='));
}
PROBE(descriptors) {
	write_file("f", "x");
	int fd = OK(open("f", O_RDONLY));
	char *l = link_of(path_of("/proc/self/fd/%d", fd));
	SAME(strrchr(l, '/'), "/f");
	CHECK(strstr(contents(path_of("/proc/self/fdinfo/%d", fd)), "pos:"));
	int again = OK(open(path_of("/proc/self/fd/%d", fd), O_RDONLY));
	CHECK(again != fd);
}
PROBE(only_own_descriptors) {
	DIR *d = opendir("/proc/self/fd");
	CHECK(d);
	struct dirent *e;
	while ((e = readdir(d)))
		if (isdigit((unsigned char)e->d_name[0])) {
			int fd = atoi(e->d_name);
			if (fd > 2 && fd != dirfd(d)) WRONG("descriptor %d is open: %s", fd, link_of(path_of("/proc/self/fd/%d", fd)));
		}
}
PROBE(directory_and_root) {
	char b[PATH_MAX];
	CHECK(getcwd(b, sizeof b));
	SAME(link_of("/proc/self/cwd"), b);
	SAME(link_of("/proc/self/root"), "/");
}
PROBE(self_link) {
	EQUAL(atoi(link_of("/proc/self")), getpid());
	char want[50];
	snprintf(want, sizeof want, "%d/task/%d", getpid(), getpid());
	SAME(link_of("/proc/thread-self"), want);
}
PROBE(limits) {
	struct rlimit l;
	OK(getrlimit(RLIMIT_NOFILE, &l));
	l.rlim_cur = 77;
	OK(setrlimit(RLIMIT_NOFILE, &l));
	char *p = strstr(contents("/proc/self/limits"), "Max open files");
	CHECK(p);
	EQUAL(atoi(p + strlen("Max open files")), 77);
}
#if defined __x86_64__ || defined __i386__
// shows says whether /proc/cpuinfo has a flag, which is not more than the processor has.
static bool shows(const char *flags, const char *flag, unsigned bits, int bit) {
	char word[32];
	snprintf(word, sizeof word, " %s ", flag);
	bool shown = strstr(flags, word);
	CHECK(!shown || bits >> bit & 1);
	return shown;
}
#endif
PROBE(processor) {
	char *text = contents("/proc/cpuinfo");
#if defined __x86_64__ || defined __i386__
	unsigned a, b, c, d;
	CHECK(__get_cpuid(0, &a, &b, &c, &d));
	const char *label = "vendor_id\t: ", *vendor = strstr(text, label);
	CHECK(vendor && !memcmp(vendor + strlen(label), (unsigned[]){b, d, c}, 12));
	int n = 0;
	for (const char *p = text; (p = strstr(p, "processor\t: ")); p++) n++;
	EQUAL(n, sysconf(_SC_NPROCESSORS_ONLN));
	char *flags = strstr(text, "flags\t");
	CHECK(flags);
	strcpy(strchrnul(flags, '\n'), " ");
	CHECK(__get_cpuid(1, &a, &b, &c, &d));
	CHECK(shows(flags, "sse2", d, 26) && shows(flags, "fxsr", d, 24));
	bool avx = shows(flags, "avx", c, 28);
	CHECK(!shows(flags, "sse4_2", c, 20) || shows(flags, "sse4_1", c, 19));
	shows(flags, "tsc_deadline_timer", c, 24);
	if (__get_cpuid_count(7, 0, &a, &b, &c, &d)) {
		CHECK(!shows(flags, "avx2", b, 5) || avx);
		shows(flags, "avx512f", b, 16);
		shows(flags, "sha_ni", b, 29);
	}
#elif defined __aarch64__
	CHECK(strstr(text, "Features") && strstr(text, "CPU implementer"));
#elif defined __arm__
	CHECK(strstr(text, "Features") || strstr(text, "CPU implementer"));
#elif defined __riscv
	CHECK(strstr(text, "isa"));
#elif defined __powerpc__
	CHECK(strstr(text, "cpu") && strstr(text, "revision") && !strstr(text, "flags"));
#elif defined __s390x__
	CHECK(strstr(text, "features") && strstr(text, "IBM/S390"));
#else
	CHECK(!strstr(text, "GenuineIntel") && !strstr(text, "AuthenticAMD"));
#endif
}
PROBE(machine_name) {
	struct utsname u;
	OK(uname(&u));
	SAME(u.sysname, "Linux");
	static const char *want[] = {
#if defined __x86_64__
		"x86_64"
#elif defined __i386__
		"i386", "i486", "i586", "i686", "x86_64"
#elif defined __aarch64__
		"aarch64"
#elif defined __arm__
		"armv5tel", "armv6l", "armv7l", "armv8l"
#elif defined __s390x__
		"s390x"
#elif defined __powerpc64__ && defined __LITTLE_ENDIAN__
		"ppc64le"
#elif defined __powerpc64__
		"ppc64"
#elif defined __powerpc__
		"ppc"
#elif defined __riscv
		"riscv64"
#elif defined __mips__
		"mips", "mips64"
#elif defined __m68k__
		"m68k"
#elif defined __sparc__
		"sparc64"
#elif defined __hppa__
		"parisc", "parisc64"
#elif defined __alpha__
		"alpha"
#else
		"sh4"
#endif
	};
	for (size_t i = 0; i < COUNT(want); i++)
		if (!strcmp(u.machine, want[i])) return;
	WRONG("uname says %s", u.machine);
}
PROBE(processors_agree) {
	long n = sysconf(_SC_NPROCESSORS_ONLN);
	CHECK(n >= 1);
	cpu_set_t set;
	OK(sched_getaffinity(0, sizeof set, &set));
	CHECK(CPU_COUNT(&set) <= sysconf(_SC_NPROCESSORS_CONF));
}
PROBE(system_information) {
	struct sysinfo s;
	OK(sysinfo(&s));
	CHECK(s.totalram > 0 && s.mem_unit > 0 && s.uptime > 0);
	unsigned long long total = (unsigned long long)s.totalram * s.mem_unit / 1024;
	unsigned long long said = strtoull(field(contents("/proc/meminfo"), "MemTotal"), 0, 10);
	CHECK(total / 64 == said / 64);
}
PROBE(children_listed) {
	pid_t pid = another();
	char want[30];
	snprintf(want, sizeof want, "%d ", pid);
	char *text = contents(path_of("/proc/self/task/%d/children", getpid()));
	close(hold);
	reap(pid, 0);
	SAME(text, want);
}
PROBE(hidden_by_path) {
	// A way round by ".." and links is the same file.
	is_program("/proc/self/../self/exe");
	OK(symlink("/proc/self", "here"));
	is_program("here/exe");
	SAME(link_of("here/exe"), program);
}
// has_in says that a file has a text.
static void has_in(const char *path, const char *text) {
	FILE *f = fopen(path, "re");
	if (!f) WRONG("%s: %s", path, strerror(errno));
	char *line = NULL;
	size_t n = 0;
	while (getline(&line, &n, f) > 0)
		if (strstr(line, text)) return;
	WRONG("%s does not have \"%s\"", path, text);
}
static void listens(struct sockaddr *a, socklen_t n) {
	int fd = OK(socket(a->sa_family, SOCK_STREAM, 0));
	if (bind(fd, a, n)) unsupported("there is no such address");
	OK(listen(fd, 1));
	OK(getsockname(fd, a, &n));
}
PROBE(addresses_of_sockets) {
	struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	listens((void *)&a, sizeof a);
	char text[100];
	snprintf(text, sizeof text, " %08X:%04X 00000000:0000 ", a.sin_addr.s_addr, ntohs(a.sin_port));
	has_in("/proc/net/tcp", text);
	has_in("/proc/self/net/tcp", text);
}
PROBE(addresses_of_sockets_6) {
	struct sockaddr_in6 a = {.sin6_family = AF_INET6, .sin6_addr = IN6ADDR_LOOPBACK_INIT};
	listens((void *)&a, sizeof a);
	uint32_t n[4];
	memcpy(n, &a.sin6_addr, sizeof n);
	char text[100];
	snprintf(text, sizeof text, " %08X%08X%08X%08X:%04X ", n[0], n[1], n[2], n[3], ntohs(a.sin6_port));
	has_in("/proc/net/tcp6", text);
}
PROBE(groups) {
	struct ip_mreq r = {.imr_multiaddr.s_addr = htonl(0xe00000c8), .imr_interface.s_addr = htonl(INADDR_LOOPBACK)};
	int fd = OK(socket(AF_INET, SOCK_DGRAM, 0));
	if (setsockopt(fd, IPPROTO_IP, IP_ADD_MEMBERSHIP, &r, sizeof r)) unsupported("no group on the loopback interface");
	char text[100];
	snprintf(text, sizeof text, "\t%08X ", r.imr_multiaddr.s_addr);
	has_in("/proc/net/igmp", text);
}
