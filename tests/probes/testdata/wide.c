// What 32-bit programs have two of: offsets, inode numbers and times of 32 and of 64 bits. This family is compiled
// without _FILE_OFFSET_BITS: off_t and time_t are as wide as long.
#include "probe.h"
#include <dirent.h>
#include <poll.h>
#include <sys/sendfile.h>
#include <sys/statvfs.h>
#include <sys/timerfd.h>

#ifndef SO_RCVTIMEO_NEW
#define SO_RCVTIMEO_NEW 66
#endif
static const bool narrow = sizeof(off_t) == 4;

static void fill(int n) {
	for (int i = 0; i < n; i++) {
		char name[60];
		snprintf(name, sizeof name, "entry-%d-%x", i, i * 2654435761u);
		close(OK(open(name, O_CREAT | O_WRONLY, 0600)));
	}
}
// E5
PROBE(readdir_narrow) {
	fill(300);
	DIR *d = opendir(".");
	CHECK(d);
	int n = 0;
	errno = 0;
	while (readdir(d)) n++;
	if (errno) WRONG("readdir after %d entries: %s", n, strerror(errno));
	EQUAL(n, 302);
}
PROBE(readdir_wide) {
	fill(300);
	DIR *d = opendir(".");
	CHECK(d);
	int n = 0;
	while (readdir64(d)) n++;
	EQUAL(n, 302);
}
PROBE(seekdir_narrow) {
	fill(200);
	DIR *d = opendir(".");
	CHECK(d);
	long at[202];
	char names[202][64];
	for (int i = 0; i < 202; i++) {
		at[i] = telldir(d);
		struct dirent *e = readdir(d);
		if (!e) WRONG("readdir: %s", strerror(errno));
		snprintf(names[i], sizeof names[i], "%.63s", e->d_name);
	}
	for (int i = 201; i >= 0; i -= 13) {
		seekdir(d, at[i]);
		struct dirent *e = readdir(d);
		if (!e) WRONG("readdir at entry %d: %s", i, strerror(errno));
		SAME(e->d_name, names[i]);
	}
}
PROBE(seekdir_wide) {
	fill(200);
	DIR *d = opendir(".");
	CHECK(d);
	off64_t at = 0;
	char name[64] = "";
	for (int i = 0; i < 100; i++) {
		struct dirent64 *e = readdir64(d);
		CHECK(e);
		if (i == 50) at = e->d_off;
		if (i == 51) snprintf(name, sizeof name, "%.63s", e->d_name);
	}
	CHECK(lseek64(dirfd(d), at, SEEK_SET) == at);
	char b[4096] __attribute__((aligned(8)));
	long n = OK(syscall(SYS_getdents64, dirfd(d), b, sizeof b));
	CHECK(n > 0);
	SAME(((struct dirent64 *)b)->d_name, name);
}
PROBE(raw_getdents) {
#ifdef SYS_getdents
	fill(50);
	int fd = OK(open(".", O_RDONLY | O_DIRECTORY)), all = 0;
	struct entry { unsigned long ino, off; unsigned short length; char name[]; };
	char b[1000] __attribute__((aligned(8)));
	long n;
	while ((n = OK(syscall(SYS_getdents, fd, b, sizeof b))) > 0)
		for (long at = 0; at < n; at += ((struct entry *)(b + at))->length, all++) CHECK(((struct entry *)(b + at))->length > 0);
	EQUAL(all, 52);
#else
	elsewhere("no getdents");
#endif
}
PROBE(scandir_wide) {
	fill(100);
	struct dirent64 **list;
	EQUAL(scandir64(".", &list, 0, alphasort64), 102);
}
PROBE(large_file_wide) {
	int fd = OK(open64("f", O_RDWR | O_CREAT, 0600));
	off64_t far = 5LL << 30;
	OK(ftruncate64(fd, far));
	EQUAL(lseek64(fd, 0, SEEK_END), far);
	EQUAL(pwrite64(fd, "x", 1, far - 1), 1);
	char c = 0;
	EQUAL(pread64(fd, &c, 1, far - 1), 1);
	EQUAL(c, 'x');
	struct stat64 s;
	OK(fstat64(fd, &s));
	EQUAL(s.st_size, far);
	OK(truncate64("f", 0));
}
PROBE(large_file_narrow) {
	int fd = OK(open64("f", O_RDWR | O_CREAT, 0600));
	OK(ftruncate64(fd, 5LL << 30));
	if (!narrow) elsewhere("off_t is wide");
	FAILS(EOVERFLOW, lseek(fd, 0, SEEK_END));
	struct stat s;
	FAILS(EOVERFLOW, fstat(fd, &s));
	FAILS(EOVERFLOW, open("f", O_RDONLY));
}
PROBE(vectors_far) {
	int fd = OK(open64("f", O_RDWR | O_CREAT, 0600));
	struct iovec v = {"far", 3};
	off64_t at = (3LL << 31) + 5;
	EQUAL(OK(pwritev64(fd, &v, 1, at)), 3);
	char b[3];
	struct iovec w = {b, 3};
	EQUAL(OK(preadv64(fd, &w, 1, at)), 3);
	EQUAL(memcmp(b, "far", 3), 0);
	EQUAL(lseek64(fd, 0, SEEK_DATA) > (3LL << 30), 1);
}
PROBE(mapped_far) {
	int fd = OK(open64("f", O_RDWR | O_CREAT, 0600));
	off64_t at = 6LL << 30;
	EQUAL(pwrite64(fd, "far", 4, at), 4);
	char *p = mmap64(0, 4, PROT_READ, MAP_SHARED, fd, at);
	if (p == MAP_FAILED) WRONG("mmap64: %s", strerror(errno));
	SAME(p, "far");
}
PROBE(locks_far) {
	int fd = OK(open64("f", O_RDWR | O_CREAT, 0600));
	struct flock64 l = {.l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = 5LL << 30, .l_len = 1LL << 33};
	OK(fcntl(fd, F_SETLK64, &l));
	IN_CHILD(struct flock64 m = {.l_type = F_RDLCK, .l_whence = SEEK_SET, .l_start = 6LL << 30, .l_len = 1}; OK(fcntl(fd, F_GETLK64, &m)); EQUAL(m.l_type, F_WRLCK); EQUAL(m.l_start, 5LL << 30); EQUAL(m.l_len, 1LL << 33));
}
PROBE(allocates_far) {
	int fd = OK(open64("f", O_RDWR | O_CREAT, 0600));
	OK(fallocate64(fd, 0, 5LL << 30, 4096));
	struct stat64 s;
	OK(fstat64(fd, &s));
	EQUAL(s.st_size, (5LL << 30) + 4096);
	ZERO(posix_fadvise64(fd, 5LL << 30, 4096, POSIX_FADV_WILLNEED));
	OK(sync_file_range(fd, 5LL << 30, 4096, SYNC_FILE_RANGE_WRITE));
}
PROBE(copies_far) {
	int in = OK(open64("f", O_RDWR | O_CREAT, 0600)), out = OK(open64("g", O_RDWR | O_CREAT, 0600));
	off64_t at = 5LL << 30;
	EQUAL(pwrite64(in, "abc", 3, at), 3);
	EQUAL(OK(sendfile64(out, in, &at, 3)), 3);
	EQUAL(at, (5LL << 30) + 3);
	at -= 3;
	off64_t to = 7LL << 30;
	EQUAL(OK(copy_file_range(in, &at, out, &to, 3, 0)), 3);
	EQUAL(to, (7LL << 30) + 3);
}
PROBE(readahead_far) {
	int fd = OK(open64("f", O_RDWR | O_CREAT, 0600));
	OK(ftruncate64(fd, 6LL << 30));
	OK(readahead(fd, 5LL << 30, 4096));
}
PROBE(status_wide) {
	write_file("f", "abc");
	struct stat64 a;
	struct statx x;
	OK(stat64("f", &a));
	OK(statx(AT_FDCWD, "f", 0, STATX_BASIC_STATS, &x));
	EQUAL(a.st_ino, x.stx_ino);
	EQUAL(a.st_mtim.tv_nsec, x.stx_mtime.tv_nsec);
	EQUAL(a.st_blocks, x.stx_blocks);
	EQUAL(a.st_mode, x.stx_mode);
	EQUAL(a.st_uid, x.stx_uid);
}
PROBE(file_system_wide) {
	struct statvfs64 s;
	OK(statvfs64(".", &s));
	CHECK(s.f_blocks > 0 && s.f_bfree <= s.f_blocks);
}

// Times of 64 bits have system calls of their own on 32-bit architectures (since Linux 5.1).
struct wide_time { int64_t seconds, nanoseconds; };
#ifdef __LP64__
#define TIME64(N) ({ elsewhere("times are wide"); 0; })
#else
#define TIME64(N) NEWER(N)
#endif
static const int64_t beyond = 1LL << 32; // in 2106
PROBE(clock_wide) {
	struct wide_time t = {-1, -1};
	OK(syscall(TIME64(403), CLOCK_REALTIME, &t));
	CHECK(llabs(t.seconds - (int64_t)time(0)) < 100);
	CHECK(t.nanoseconds >= 0 && t.nanoseconds < 1000000000);
	OK(syscall(TIME64(406), CLOCK_MONOTONIC, &t));
	EQUAL(t.seconds, 0);
}
PROBE(file_times_wide) {
	write_file("f", "");
	struct wide_time t[2] = {{beyond, 5}, {beyond + 1, 6}};
	OK(syscall(TIME64(412), AT_FDCWD, "f", t, 0));
	struct statx x;
	OK(statx(AT_FDCWD, "f", 0, STATX_BASIC_STATS, &x));
	EQUAL(x.stx_atime.tv_sec, beyond);
	EQUAL(x.stx_mtime.tv_sec, beyond + 1);
	EQUAL(x.stx_mtime.tv_nsec, 6);
}
PROBE(file_times_narrow) {
	write_file("f", "");
	struct wide_time t[2] = {{beyond, 5}, {beyond + 1, 6}};
	OK(syscall(TIME64(412), AT_FDCWD, "f", t, 0));
	struct stat64 s;
	FAILS(EOVERFLOW, stat64("f", &s));
}
PROBE(sleep_wide) {
	struct wide_time t = {0, 20000000};
	int64_t start = now();
	OK(syscall(TIME64(407), CLOCK_MONOTONIC, 0, &t, 0));
	CHECK(now() - start >= 20000000);
}
PROBE(futex_wide) {
	int word = 0;
	struct wide_time t = {0, 20000000};
	FAILS(ETIMEDOUT, syscall(TIME64(422), &word, 0, 0, &t, 0, 0));
}
PROBE(poll_wide) {
	struct wide_time t = {0, 10000000};
	EQUAL(OK(syscall(TIME64(414), 0, 0, &t, 0, 8)), 0);
	struct { const void *set; size_t size; } mask = {0, 8};
	t.nanoseconds = 10000000;
	EQUAL(OK(syscall(TIME64(413), 0, 0, 0, 0, &t, &mask)), 0);
}
PROBE(timers_wide) {
	struct { struct wide_time interval, value; } t = {{beyond, 7}, {beyond, 8}}, got;
	int fd = OK(timerfd_create(CLOCK_MONOTONIC, 0));
	OK(syscall(TIME64(411), fd, 0, &t, 0));
	OK(syscall(TIME64(410), fd, &got));
	EQUAL(got.interval.seconds, beyond);
	EQUAL(got.interval.nanoseconds, 7);
	CHECK(got.value.seconds >= beyond - 10 && got.value.seconds <= beyond);
}
PROBE(signal_wait_wide) {
	sigset_t set;
	sigemptyset(&set);
	sigaddset(&set, SIGUSR1);
	ZERO(pthread_sigmask(SIG_BLOCK, &set, 0));
	struct wide_time t = {0, 10000000};
	FAILS(EAGAIN, syscall(TIME64(421), &set, 0, &t, _NSIG / 8));
}
PROBE(receive_timeout_wide) {
#ifdef __LP64__
	elsewhere("times are wide");
#else
	int fd = OK(socket(AF_INET, SOCK_DGRAM, 0));
	struct wide_time t = {0, 20000}, got = {0, 0};
	OK(setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO_NEW, &t, sizeof t));
	socklen_t n = sizeof got;
	OK(getsockopt(fd, SOL_SOCKET, SO_RCVTIMEO_NEW, &got, &n));
	EQUAL(n, sizeof got);
	CHECK(got.nanoseconds >= 10000 && got.nanoseconds <= 40000);
	char c;
	FAILS(EAGAIN, recv(fd, &c, 1, 0));
#endif
}
PROBE(set_limits_wide) {
	struct rlimit64 l;
	OK(getrlimit64(RLIMIT_FSIZE, &l));
	struct rlimit n;
	OK(getrlimit(RLIMIT_FSIZE, &n));
	if (l.rlim_cur == RLIM64_INFINITY) CHECK(n.rlim_cur == RLIM_INFINITY);
	l.rlim_cur = 6ULL << 30;
	OK(setrlimit64(RLIMIT_FSIZE, &l));
	OK(getrlimit64(RLIMIT_FSIZE, &l));
	EQUAL(l.rlim_cur, 6ULL << 30);
}
PROBE(arguments_in_pairs) {
	// 64-bit arguments of system calls begin at an even register on some architectures.
	int fd = OK(open64("f", O_RDWR | O_CREAT, 0600));
	EQUAL(pwrite64(fd, "ab", 2, 0x123456789), 2);
	OK(ftruncate64(fd, 0x12345678a));
	struct stat64 s;
	OK(fstat64(fd, &s));
	EQUAL(s.st_size, 0x12345678aLL);
	char c;
	EQUAL(pread64(fd, &c, 1, 0x123456789), 1);
	EQUAL(c, 'a');
}
