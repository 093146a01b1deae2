// Files, directories, links, times, locks, descriptors and what watches them.
#include "probe.h"
#include <dirent.h>
#include <linux/fs.h>
#include <poll.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/file.h>
#include <sys/inotify.h>
#include <sys/ioctl.h>
#include <sys/select.h>
#include <sys/sendfile.h>
#include <sys/statfs.h>
#include <sys/statvfs.h>
#include <sys/timerfd.h>
#include <sys/xattr.h>
#include <termios.h>

static int created(const char *name) { return OK(open(name, O_RDWR | O_CREAT | O_TRUNC, 0600)); }

PROBE(flags_of_open) {
	int fd = created("f");
	FAILS(EEXIST, open("f", O_CREAT | O_EXCL, 0600));
	FAILS(ENOTDIR, open("f", O_DIRECTORY));
	OK(symlink("f", "l"));
	FAILS(ELOOP, open("l", O_NOFOLLOW));
	EQUAL(fcntl(fd, F_GETFL) & O_ACCMODE, O_RDWR);
	int path = OK(open("f", O_PATH));
	FAILS(EBADF, read(path, &fd, 1));
	int tmp = open(".", O_TMPFILE | O_RDWR, 0600);
	if (tmp < 0) WRONG("O_TMPFILE: %s", strerror(errno));
}
PROBE(append) {
	write_file("f", "abc");
	int fd = OK(open("f", O_WRONLY | O_APPEND));
	EQUAL(fcntl(fd, F_GETFL) & O_APPEND, O_APPEND);
	EQUAL(pwrite(fd, "d", 1, 0), 1);
	SAME(contents("f"), "abcd");
}
PROBE(flags_changed) {
	int fd = created("f");
	OK(fcntl(fd, F_SETFL, O_NONBLOCK | O_APPEND));
	EQUAL(fcntl(fd, F_GETFL) & (O_NONBLOCK | O_APPEND), O_NONBLOCK | O_APPEND);
	OK(fcntl(fd, F_SETFD, FD_CLOEXEC));
	EQUAL(fcntl(fd, F_GETFD), FD_CLOEXEC);
}
PROBE(offsets) {
	int fd = created("f");
	EQUAL(write(fd, "0123456789", 10), 10);
	EQUAL(lseek(fd, -3, SEEK_END), 7);
	EQUAL(lseek(fd, -3, SEEK_CUR), 4);
	FAILS(EINVAL, lseek(fd, -1, SEEK_SET));
	char c;
	EQUAL(pread(fd, &c, 1, 8), 1);
	EQUAL(c, '8');
	EQUAL(lseek(fd, 0, SEEK_CUR), 4);
	FAILS(ESPIPE, lseek(0 + ({ int e[2]; OK(pipe(e)); e[0]; }), 0, SEEK_CUR));
}
PROBE(holes) {
	int fd = created("f");
	EQUAL(pwrite(fd, "x", 1, 1 << 20), 1);
	EQUAL(OK(lseek(fd, 0, SEEK_DATA)), 1 << 20);
	EQUAL(OK(lseek(fd, 0, SEEK_HOLE)), 0);
	FAILS(ENXIO, lseek(fd, 2 << 20, SEEK_DATA));
}
PROBE(vectors) {
	int fd = created("f");
	struct iovec v[] = {{"abc", 3}, {"", 0}, {"defg", 4}};
	EQUAL(writev(fd, v, 3), 7);
	EQUAL(pwritev(fd, v, 1, 7), 3);
	char a[2], b[10];
	struct iovec w[] = {{a, 2}, {b, 10}};
	EQUAL(preadv(fd, w, 2, 1), 9);
	EQUAL(memcmp(a, "bc", 2) | memcmp(b, "defgabc", 7), 0);
}
PROBE(vectors_with_flags) {
	int fd = created("f");
	struct iovec v = {"abc", 3};
	EQUAL(OK(pwritev2(fd, &v, 1, 5, RWF_APPEND)), 3);
	char b[4];
	struct iovec w = {b, 4};
	EQUAL(OK(preadv2(fd, &w, 1, 0, 0)), 3);
}
PROBE(truncates) {
	int fd = created("f");
	OK(ftruncate(fd, 1000));
	struct stat s;
	OK(fstat(fd, &s));
	EQUAL(s.st_size, 1000);
	OK(truncate("f", 10));
	OK(stat("f", &s));
	EQUAL(s.st_size, 10);
}
PROBE(allocates) {
	int fd = created("f");
	OK(fallocate(fd, 0, 0, 100000));
	struct stat s;
	OK(fstat(fd, &s));
	EQUAL(s.st_size, 100000);
	CHECK(s.st_blocks >= 100000 / 512);
	OK(fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, 65536));
	ZERO(posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED));
}
PROBE(status) {
	OK(umask(0));
	int fd = OK(open("f", O_WRONLY | O_CREAT, 0751));
	EQUAL(write(fd, "hello", 5), 5);
	struct stat a, b, c;
	OK(fstat(fd, &a)), OK(stat("f", &b)), OK(fstatat(AT_FDCWD, "f", &c, AT_SYMLINK_NOFOLLOW));
	EQUAL(a.st_mode, S_IFREG | 0751);
	EQUAL(a.st_size, 5);
	EQUAL(a.st_nlink, 1);
	EQUAL(a.st_uid, geteuid());
	EQUAL(a.st_ino, b.st_ino);
	EQUAL(a.st_ino, c.st_ino);
	EQUAL(a.st_dev, c.st_dev);
	CHECK(llabs((long long)a.st_mtime - (long long)time(0)) < 100);
}
PROBE(status_of_device) {
	struct stat s;
	OK(stat("/dev/null", &s));
	CHECK(S_ISCHR(s.st_mode));
	EQUAL(s.st_rdev, (1 << 8) | 3);
}
// E14: fields that are claimed
PROBE(statx_fields) {
	write_file("f", "hello");
	struct statx x;
	memset(&x, 0xee, sizeof x);
	OK(statx(AT_FDCWD, "f", 0, STATX_BASIC_STATS | STATX_BTIME | 0x1000 /* STATX_MNT_ID */, &x));
	struct stat s;
	OK(stat("f", &s));
	EQUAL(x.stx_size, 5);
	EQUAL(x.stx_ino, s.st_ino);
	EQUAL(x.stx_mode, s.st_mode);
	EQUAL(x.stx_mtime.tv_sec, s.st_mtime);
	EQUAL(x.stx_mtime.tv_nsec, s.st_mtim.tv_nsec);
	if (x.stx_mask & STATX_BTIME) CHECK(x.stx_btime.tv_sec == s.st_ctime || x.stx_btime.tv_sec == s.st_ctime - 1);
	uint64_t mount_id;
	memcpy(&mount_id, (char *)&x + 0x90, sizeof mount_id);
	if (x.stx_mask & 0x1000) CHECK(mount_id != 0 && mount_id != 0xeeeeeeeeeeeeeeee);
	CHECK(x.stx_attributes_mask != 0xeeeeeeeeeeeeeeee);
}
PROBE(statx_empty_path) {
	int fd = created("f");
	struct statx x;
	OK(statx(fd, "", AT_EMPTY_PATH, STATX_SIZE, &x));
	EQUAL(x.stx_size, 0);
}
PROBE(times_set) {
	created("f");
	struct timespec t[2] = {{1000000000, 123456789}, {1100000000, 987654321}};
	OK(utimensat(AT_FDCWD, "f", t, 0));
	struct stat s;
	OK(stat("f", &s));
	EQUAL(s.st_atime, 1000000000);
	EQUAL(s.st_mtime, 1100000000);
	EQUAL(s.st_mtim.tv_nsec, 987654321);
	t[0].tv_nsec = UTIME_OMIT, t[1].tv_nsec = UTIME_NOW;
	OK(utimensat(AT_FDCWD, "f", t, 0));
	OK(stat("f", &s));
	EQUAL(s.st_atime, 1000000000);
	CHECK(s.st_mtime != 1100000000);
	OK(utimes("f", (struct timeval[]){{5, 0}, {6, 7}}));
	OK(stat("f", &s));
	EQUAL(s.st_mtim.tv_nsec, 7000);
}
PROBE(modes) {
	created("f");
	OK(chmod("f", 0640));
	EQUAL(access("f", R_OK | W_OK), 0);
	struct stat s;
	OK(stat("f", &s));
	EQUAL(s.st_mode & 07777, 0640);
	OK(chmod("f", 0));
	if (geteuid()) FAILS(EACCES, open("f", O_RDONLY));
	OK(fchmodat(AT_FDCWD, "f", 0600, 0));
	FAILS(EACCES, access("f", X_OK));
}
PROBE(access_variants) {
	created("f");
	OK(faccessat(AT_FDCWD, "f", R_OK, 0));
	OK(faccessat(AT_FDCWD, "f", R_OK, AT_EACCESS));
	OK(syscall(NEWER(439), AT_FDCWD, "f", R_OK, AT_EACCESS));
	FAILS(ENOENT, faccessat(AT_FDCWD, "g", F_OK, AT_SYMLINK_NOFOLLOW));
}
PROBE(links) {
	write_file("f", "x");
	OK(link("f", "g"));
	struct stat s;
	OK(stat("g", &s));
	EQUAL(s.st_nlink, 2);
	OK(symlink("f", "l"));
	char b[10] = "";
	EQUAL(readlink("l", b, sizeof b), 1);
	OK(lstat("l", &s));
	CHECK(S_ISLNK(s.st_mode));
	EQUAL(s.st_size, 1);
	OK(linkat(AT_FDCWD, "l", AT_FDCWD, "m", AT_SYMLINK_FOLLOW));
	OK(lstat("m", &s));
	CHECK(S_ISREG(s.st_mode));
}
PROBE(link_of_unnamed) {
	int fd = OK(open(".", O_TMPFILE | O_RDWR, 0600));
	char path[40];
	snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
	OK(linkat(AT_FDCWD, path, AT_FDCWD, "named", AT_SYMLINK_FOLLOW));
	OK(access("named", F_OK));
}
PROBE(renames) {
	write_file("a", "1");
	write_file("b", "2");
	FAILS(EEXIST, renameat2(AT_FDCWD, "a", AT_FDCWD, "b", RENAME_NOREPLACE));
	OK(renameat2(AT_FDCWD, "a", AT_FDCWD, "b", RENAME_EXCHANGE));
	SAME(contents("a"), "2");
	OK(rename("a", "b"));
	SAME(contents("b"), "2");
	FAILS(ENOENT, rename("a", "b"));
}
PROBE(directories) {
	OK(mkdir("d", 0755));
	FAILS(EEXIST, mkdir("d", 0755));
	int fd = OK(open("d", O_RDONLY | O_DIRECTORY));
	OK(mkdirat(fd, "e", 0700));
	FAILS(ENOTEMPTY, rmdir("d"));
	OK(unlinkat(fd, "e", AT_REMOVEDIR));
	OK(rmdir("d"));
	FAILS(ENOENT, mkdirat(fd, "e", 0700));
}
static int entries(const char *path) {
	DIR *d = opendir(path);
	CHECK(d);
	int n = 0;
	errno = 0;
	struct dirent *e;
	while ((e = readdir(d))) {
		if (*e->d_name != '.' && e->d_type != DT_UNKNOWN) EQUAL(e->d_type, DT_REG);
		n++;
	}
	if (errno) WRONG("readdir: %s", strerror(errno));
	closedir(d);
	return n;
}
static void fill(int n) {
	for (int i = 0; i < n; i++) {
		char name[40];
		snprintf(name, sizeof name, "a-file-with-a-name-%d", i);
		close(created(name));
	}
}
// E5
PROBE(reads_directory) {
	fill(500);
	EQUAL(entries("."), 502);
}
PROBE(directory_positions) {
	fill(100);
	DIR *d = opendir(".");
	CHECK(d);
	struct dirent *e;
	for (int i = 0; i < 50; i++) CHECK(readdir(d));
	long at = telldir(d);
	e = readdir(d);
	if (!e) WRONG("readdir: %s", strerror(errno));
	char name[256];
	strcpy(name, e->d_name);
	while (readdir(d)) {}
	seekdir(d, at);
	e = readdir(d);
	if (!e) WRONG("readdir after seekdir: %s", strerror(errno));
	SAME(e->d_name, name);
	rewinddir(d);
	int n = 0;
	while (readdir(d)) n++;
	EQUAL(n, 102);
}
PROBE(directory_sorted) {
	fill(30);
	struct dirent **list;
	int n = scandir(".", &list, 0, alphasort);
	if (n < 0) WRONG("scandir: %s", strerror(errno));
	EQUAL(n, 32);
	SAME(list[0]->d_name, ".");
}
PROBE(working_directory) {
	OK(mkdir("d", 0700));
	OK(chdir("d"));
	char b[PATH_MAX], c[PATH_MAX];
	CHECK(getcwd(b, sizeof b));
	SAME(strrchr(b, '/'), "/d");
	int up = OK(open("..", O_RDONLY));
	OK(fchdir(up));
	CHECK(getcwd(c, sizeof c));
	EQUAL(strlen(b) - strlen(c), 2);
	char tiny[2];
	CHECK(!getcwd(tiny, sizeof tiny));
	EQUAL(errno, ERANGE);
	CHECK(realpath("d/../d", c));
	SAME(c, b);
}
PROBE(duplicates) {
	int fd = created("f");
	EQUAL(dup2(fd, 50), 50);
	EQUAL(dup3(fd, 51, O_CLOEXEC), 51);
	EQUAL(fcntl(51, F_GETFD), FD_CLOEXEC);
	EQUAL(fcntl(fd, F_DUPFD_CLOEXEC, 60), 60);
	FAILS(EINVAL, dup3(fd, fd, 0));
	FAILS(EBADF, dup(999));
}
PROBE(close_range) {
	int fd = created("f");
	for (int i = 20; i < 30; i++) OK(dup2(fd, i));
	OK(syscall(NEWER(436), 22, 27, 0));
	OK(fcntl(21, F_GETFD)), OK(fcntl(28, F_GETFD));
	FAILS(EBADF, fcntl(25, F_GETFD));
	OK(syscall(NEWER(436), 28, 29, 4 /* CLOSE_RANGE_CLOEXEC */));
	EQUAL(fcntl(28, F_GETFD), FD_CLOEXEC);
}
PROBE(close_range_to_the_end) {
	int fd = created("f");
	for (int i = 20; i < 30; i++) OK(dup2(fd, i));
	int before[20];
	for (int i = 0; i < 20; i++) before[i] = fcntl(i, F_GETFD);
	OK(syscall(NEWER(436), 25, ~0U, 4 /* CLOSE_RANGE_CLOEXEC */));
	EQUAL(fcntl(24, F_GETFD), 0);
	EQUAL(fcntl(25, F_GETFD), FD_CLOEXEC);
	EQUAL(fcntl(29, F_GETFD), FD_CLOEXEC);
	OK(syscall(NEWER(436), 26, ~0U, 0));
	EQUAL(fcntl(25, F_GETFD), FD_CLOEXEC);
	FAILS(EBADF, fcntl(26, F_GETFD));
	FAILS(EBADF, fcntl(29, F_GETFD));
	for (int i = 0; i < 20; i++) EQUAL(fcntl(i, F_GETFD), before[i]);
}
PROBE(record_locks) {
	int fd = created("f");
	struct flock l = {.l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = 5, .l_len = 10};
	OK(fcntl(fd, F_SETLK, &l));
	pid_t me = getpid();
	IN_CHILD(struct flock m = {.l_type = F_RDLCK, .l_whence = SEEK_SET, .l_start = 0, .l_len = 100}; OK(fcntl(fd, F_GETLK, &m)); EQUAL(m.l_type, F_WRLCK); EQUAL(m.l_start, 5); EQUAL(m.l_len, 10); EQUAL(m.l_pid, me); m.l_type = F_RDLCK; FAILS(EAGAIN, fcntl(fd, F_SETLK, &m)));
}
PROBE(description_locks) {
	int fd = created("f"), other = OK(open("f", O_RDWR));
	struct flock l = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
	OK(fcntl(fd, F_OFD_SETLK, &l));
	FAILS(EAGAIN, fcntl(other, F_OFD_SETLK, &l));
	OK(fcntl(other, F_OFD_GETLK, &l));
	EQUAL(l.l_pid, -1);
}
PROBE(whole_file_locks) {
	int fd = created("f"), other = OK(open("f", O_RDWR));
	OK(flock(fd, LOCK_EX));
	FAILS(EWOULDBLOCK, flock(other, LOCK_EX | LOCK_NB));
	OK(flock(fd, LOCK_UN));
	OK(flock(other, LOCK_SH));
}
PROBE(leases) {
	int fd = created("f");
	OK(fcntl(fd, F_SETLEASE, F_WRLCK));
	EQUAL(fcntl(fd, F_GETLEASE), F_WRLCK);
}
PROBE(pipe_sizes) {
	int ends[2];
	OK(pipe2(ends, O_NONBLOCK | O_CLOEXEC));
	CHECK(OK(fcntl(ends[0], F_GETPIPE_SZ)) >= 4096);
	EQUAL(OK(fcntl(ends[0], F_SETPIPE_SZ, 65536)), 65536);
	FAILS(EAGAIN, read(ends[0], &(char){0}, 1));
	EQUAL(write(ends[1], "abc", 3), 3);
	int n = 0;
	OK(ioctl(ends[0], FIONREAD, &n));
	EQUAL(n, 3);
}
PROBE(splices) {
	int ends[2], fd = created("f");
	OK(pipe(ends));
	EQUAL(write(ends[1], "hello", 5), 5);
	loff_t at = 3;
	EQUAL(OK(splice(ends[0], 0, fd, &at, 5, 0)), 5);
	EQUAL(at, 8);
	int more[2];
	OK(pipe(more));
	EQUAL(write(ends[1], "xyz", 3), 3);
	EQUAL(OK(tee(ends[0], more[1], 3, 0)), 3);
	struct iovec v = {"vm", 2};
	EQUAL(OK(vmsplice(more[1], &v, 1, 0)), 2);
	char b[5];
	EQUAL(read(more[0], b, 5), 5);
	EQUAL(memcmp(b, "xyzvm", 5), 0);
}
PROBE(copies_in_kernel) {
	write_file("f", "0123456789");
	int in = OK(open("f", O_RDONLY)), out = created("g");
	off_t at = 2;
	EQUAL(OK(sendfile(out, in, &at, 3)), 3);
	EQUAL(at, 5);
	loff_t from = 5;
	EQUAL(OK(copy_file_range(in, &from, out, 0, 5, 0)), 5);
	EQUAL(from, 10);
	SAME(contents("g"), "23456789");
}
PROBE(attributes) {
	created("f");
	if (setxattr("f", "user.a", "value", 5, 0)) {
		if (errno == ENOTSUP) unsupported("the file system has no attributes");
		WRONG("setxattr: %s", strerror(errno));
	}
	char b[20];
	EQUAL(OK(getxattr("f", "user.a", b, sizeof b)), 5);
	EQUAL(memcmp(b, "value", 5), 0);
	EQUAL(OK(listxattr("f", b, sizeof b)), 7);
	FAILS(EEXIST, setxattr("f", "user.a", "x", 1, XATTR_CREATE));
	FAILS(ENODATA, getxattr("f", "user.b", b, sizeof b));
	OK(removexattr("f", "user.a"));
}
PROBE(watches) {
	int fd = OK(inotify_init1(IN_NONBLOCK)), w = OK(inotify_add_watch(fd, ".", IN_CREATE | IN_DELETE));
	created("abc");
	OK(unlink("abc"));
	char b[1000] __attribute__((aligned(8)));
	ssize_t n = OK(read(fd, b, sizeof b));
	struct inotify_event *e = (void *)b;
	EQUAL(e->wd, w);
	EQUAL(e->mask, IN_CREATE);
	SAME(e->name, "abc");
	e = (void *)(b + sizeof *e + e->len);
	CHECK((char *)e < b + n);
	EQUAL(e->mask, IN_DELETE);
}
PROBE(polls) {
	int ends[2];
	OK(pipe(ends));
	struct pollfd p[3] = {{ends[0], POLLIN, 0}, {ends[1], POLLOUT, 0}, {-1, POLLIN, 7}};
	EQUAL(poll(p, 3, 0), 1);
	EQUAL(p[0].revents, 0);
	EQUAL(p[1].revents, POLLOUT);
	EQUAL(p[2].revents, 0);
	close(ends[1]);
	EQUAL(poll(p, 1, 0), 1);
	EQUAL(p[0].revents, POLLHUP);
	p[0].fd = 999;
	EQUAL(ppoll(p, 1, &(struct timespec){0, 0}, 0), 1);
	EQUAL(p[0].revents, POLLNVAL);
}
PROBE(selects) {
	int ends[2];
	OK(pipe(ends));
	fd_set in, out;
	FD_ZERO(&in);
	FD_ZERO(&out);
	FD_SET(ends[0], &in);
	FD_SET(ends[1], &out);
	struct timeval t = {0, 1000};
	EQUAL(select(100, &in, &out, 0, &t), 1);
	CHECK(!FD_ISSET(ends[0], &in) && FD_ISSET(ends[1], &out));
	FD_ZERO(&in);
	FD_SET(ends[0], &in);
	t.tv_usec = 30000;
	EQUAL(select(100, &in, 0, 0, &t), 0);
	EQUAL(t.tv_sec + t.tv_usec, 0);
	EQUAL(pselect(0, 0, 0, 0, &(struct timespec){0, 1000}, 0), 0);
}
PROBE(events_polled) {
	int ep = OK(epoll_create1(EPOLL_CLOEXEC)), ev = OK(eventfd(0, EFD_NONBLOCK));
	struct epoll_event e = {EPOLLIN | EPOLLET, {.u64 = 0x123456789abcdef0}};
	OK(epoll_ctl(ep, EPOLL_CTL_ADD, ev, &e));
	FAILS(EEXIST, epoll_ctl(ep, EPOLL_CTL_ADD, ev, &e));
	EQUAL(epoll_wait(ep, &e, 1, 0), 0);
	uint64_t one = 1;
	EQUAL(write(ev, &one, 8), 8);
	memset(&e, 0, sizeof e);
	EQUAL(epoll_pwait(ep, &e, 1, 1000, 0), 1);
	EQUAL(e.events, EPOLLIN);
	EQUAL(e.data.u64, 0x123456789abcdef0);
	EQUAL(epoll_wait(ep, &e, 1, 0), 0); // the edge is over
	OK(epoll_ctl(ep, EPOLL_CTL_MOD, ev, &(struct epoll_event){EPOLLIN | EPOLLONESHOT, {.fd = ev}}));
	EQUAL(epoll_wait(ep, &e, 1, 1000), 1);
	EQUAL(e.data.fd, ev);
	OK(epoll_ctl(ep, EPOLL_CTL_DEL, ev, 0));
}
PROBE(counters) {
	int ev = OK(eventfd(3, EFD_SEMAPHORE | EFD_NONBLOCK));
	uint64_t v;
	for (int i = 0; i < 3; i++) {
		EQUAL(read(ev, &v, 8), 8);
		EQUAL(v, 1);
	}
	FAILS(EAGAIN, read(ev, &v, 8));
	FAILS(EINVAL, write(ev, &v, 4));
}
PROBE(file_system) {
	struct statfs s;
	OK(statfs("/proc", &s));
	EQUAL(s.f_type, 0x9fa0);
	OK(statfs(".", &s));
	CHECK(s.f_bsize > 0 && s.f_blocks > 0 && s.f_namelen >= 255);
	struct statvfs v;
	OK(statvfs(".", &v));
	EQUAL(v.f_namemax, s.f_namelen);
}
PROBE(open_beneath) {
	struct { uint64_t flags, mode, resolve; } how = {O_RDONLY, 0, 8 /* RESOLVE_BENEATH */};
	write_file("f", "x");
	OK(syscall(NEWER(437), AT_FDCWD, "f", &how, sizeof how));
	FAILS(EXDEV, syscall(NEWER(437), AT_FDCWD, "/etc/passwd", &how, sizeof how));
	how.resolve = 4; // RESOLVE_NO_SYMLINKS
	OK(symlink("f", "l"));
	FAILS(ELOOP, syscall(NEWER(437), AT_FDCWD, "l", &how, sizeof how));
}
PROBE(handles) {
	created("f");
	struct file_handle *h = calloc(1, sizeof *h + MAX_HANDLE_SZ);
	h->handle_bytes = MAX_HANDLE_SZ;
	int id = -1;
	OK(name_to_handle_at(AT_FDCWD, "f", h, &id, 0));
	CHECK(id > 0 && h->handle_bytes > 0 && h->handle_bytes < MAX_HANDLE_SZ);
}
PROBE(terminals) {
	int m = OK(posix_openpt(O_RDWR | O_NOCTTY));
	OK(grantpt(m)), OK(unlockpt(m));
	char *name = ptsname(m);
	CHECK(name);
	int s = OK(open(name, O_RDWR | O_NOCTTY));
	struct termios t;
	OK(tcgetattr(s, &t));
	CHECK(t.c_lflag & ICANON);
	cfmakeraw(&t);
	cfsetspeed(&t, B38400);
	OK(tcsetattr(s, TCSANOW, &t));
	memset(&t, 0, sizeof t);
	OK(tcgetattr(s, &t));
	CHECK(!(t.c_lflag & ICANON) && cfgetospeed(&t) == B38400);
	struct winsize w = {30, 100, 5, 6}, got;
	OK(ioctl(m, TIOCSWINSZ, &w));
	OK(ioctl(s, TIOCGWINSZ, &got));
	EQUAL(got.ws_col, 100);
	EQUAL(got.ws_ypixel, 6);
	EQUAL(write(m, "raw", 3), 3);
	char b[3];
	EQUAL(read(s, b, 3), 3);
	FAILS(ENOTTY, tcgetattr(created("f"), &t));
}
PROBE(direct_flags) {
	int fd = created("f"), version;
	long flags = 0;
	if (ioctl(fd, _IOR('f', 1, long), &flags) && errno == ENOTTY) unsupported("the file system has no flags");
	OK(ioctl(fd, _IOR('v', 1, long), &version));
}
PROBE(owner_of_events) {
	int ends[2];
	OK(socketpair(AF_UNIX, SOCK_STREAM, 0, ends));
	OK(fcntl(ends[0], F_SETOWN, getpid()));
	EQUAL(fcntl(ends[0], F_GETOWN), getpid());
	OK(fcntl(ends[0], F_SETSIG, SIGUSR1));
	EQUAL(fcntl(ends[0], F_GETSIG), SIGUSR1);
	struct f_owner_ex o = {F_OWNER_TID, 0}, got;
	o.pid = syscall(SYS_gettid);
	OK(fcntl(ends[0], F_SETOWN_EX, &o));
	OK(fcntl(ends[0], F_GETOWN_EX, &got));
	EQUAL(got.type, F_OWNER_TID);
}
PROBE(fifo) {
	OK(mkfifo("p", 0600));
	FAILS(ENXIO, open("p", O_WRONLY | O_NONBLOCK));
	int r = OK(open("p", O_RDONLY | O_NONBLOCK)), w = OK(open("p", O_WRONLY));
	EQUAL(write(w, "x", 1), 1);
	EQUAL(read(r, &(char){0}, 1), 1);
}
PROBE(times_of_file_timers) {
	int fd = OK(timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK));
	struct itimerspec t = {{0, 5000000}, {0, 5000000}}, got;
	OK(timerfd_settime(fd, 0, &t, 0));
	nap(40);
	uint64_t n;
	EQUAL(read(fd, &n, 8), 8);
	CHECK(n >= 7);
	OK(timerfd_gettime(fd, &got));
	EQUAL(got.it_interval.tv_nsec, 5000000);
}
// The file is read, or written, up to where memory ends.
PROBE(memory_ends) {
	char *p = mmap(0, 2 * 65536, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0), *end = p + 65536;
	CHECK(p != MAP_FAILED);
	OK(mprotect(end, 65536, PROT_NONE));
	int fd = OK(open("f", O_RDWR | O_CREAT, 0600));
	EQUAL(write(fd, "0123456789", 10), 10);
	EQUAL(OK(pread(fd, end - 3, 10, 0)), 3);
	CHECK(!memcmp(end - 3, "012", 3));
	EQUAL(OK(pwrite(fd, end - 3, 10, 5)), 3);
	OK(lseek(fd, 0, SEEK_SET));
	EQUAL(OK(read(fd, end - 4, 10)), 4);
	EQUAL(OK(write(fd, end - 4, 10)), 4);
	FAILS(EFAULT, read(fd, end, 10));
	int ends[2];
	OK(pipe(ends));
	FAILS(EFAULT, write(ends[1], end - 3, 10));
	EQUAL(OK(syscall(SYS_getrandom, end - 5, 10, 0)), 5);
	OK(symlink("abc", "link"));
	EQUAL(OK(readlink("link", end - 4, 4096)), 3);
	FAILS(EFAULT, readlink("link", end - 2, 4096));
	OK(chdir("/"));
	EQUAL(OK(syscall(SYS_getcwd, end - 2, 4096)), 2);
	FAILS(EFAULT, syscall(SYS_getcwd, end - 1, 4096));
}
PROBE(state_of_terminals) {
	int fd = OK(posix_openpt(O_RDWR | O_NOCTTY)), got = 9;
#ifdef TIOCGPTLCK
	OK(ioctl(fd, TIOCGPTLCK, &got));
	EQUAL(got, 1);
	OK(unlockpt(fd));
	OK(ioctl(fd, TIOCGPTLCK, &got));
	EQUAL(got, 0);
	OK(ioctl(fd, TIOCEXCL));
	OK(ioctl(fd, TIOCGEXCL, &got));
	EQUAL(got, 1);
	OK(ioctl(fd, TIOCGPKT, &got));
	EQUAL(got, 0);
#endif
	OK(ioctl(fd, TIOCSBRK));
	OK(ioctl(fd, TIOCCBRK));
}
PROBE(project_of_file) {
	struct fsxattr got;
	memset(&got, 0xee, sizeof got);
	if (ioctl(OK(open("f", O_RDWR | O_CREAT, 0600)), FS_IOC_FSGETXATTR, &got)) {
		if (errno == ENOTTY || errno == EOPNOTSUPP) unsupported("files have no project here");
		WRONG("FS_IOC_FSGETXATTR: %s", strerror(errno));
	}
	EQUAL(got.fsx_projid, 0);
}
PROBE(request_unknown) {
	FAILS(ENOTTY, ioctl(OK(open("/dev/null", O_RDONLY)), 0x1234, 0));
	FAILS(EBADF, ioctl(-1, 0x1234, 0));
}
// RocksDB; systemd
PROBE(hints_of_lifetime) {
	int fd = OK(open("f", O_RDWR | O_CREAT, 0600));
	static const uint64_t hint = 3 /* RWH_WRITE_LIFE_MEDIUM, which is only read */;
	uint64_t got = 77;
	OK(fcntl(fd, 1036 /* F_SET_RW_HINT */, &hint));
	OK(fcntl(fd, 1035 /* F_GET_RW_HINT */, &got));
	EQUAL(got, hint);
	errno = 0;
	int same = fcntl(fd, 1027 /* F_DUPFD_QUERY */, fd);
	if (same < 0 && errno == EINVAL) unsupported("no F_DUPFD_QUERY");
	EQUAL(same, 1);
	EQUAL(OK(fcntl(fd, 1027, OK(open("f", O_RDONLY)))), 0);
}
// E14: big-endian ones
PROBE(counter_by_vectors) {
	int fd = OK(eventfd(0, EFD_NONBLOCK));
	uint64_t n = 5;
	struct iovec whole = {&n, sizeof n}, halves[2] = {{&n, 4}, {(char *)&n + 4, 4}};
	EQUAL(writev(fd, &whole, 1), 8);
	n = 0;
	EQUAL(readv(fd, halves, 2), 8);
	EQUAL(n, 5);
	n = 7;
	EQUAL(write(fd, &n, 8), 8);
	n = 0;
	EQUAL(preadv2(fd, &whole, 1, -1, 0), 8);
	EQUAL(n, 7);
}
PROBE(timer_by_vectors) {
	int fd = OK(timerfd_create(CLOCK_MONOTONIC, 0));
	OK(timerfd_settime(fd, 0, &(struct itimerspec){.it_value.tv_nsec = 1}, 0));
	uint64_t n = 0;
	EQUAL(readv(fd, &(struct iovec){&n, sizeof n}, 1), 8);
	EQUAL(n, 1);
}
PROBE(watched_by_vectors) {
	int fd = OK(inotify_init1(0)), watch = OK(inotify_add_watch(fd, ".", IN_CREATE));
	created("new");
	char b[100] __attribute__((aligned(8))) = "";
	EQUAL(readv(fd, &(struct iovec){b, sizeof b}, 1), 32);
	struct inotify_event *e = (void *)b;
	EQUAL(e->wd, watch);
	EQUAL(e->mask, IN_CREATE);
	EQUAL(e->len, 16);
	SAME(e->name, "new");
}
PROBE(same_blocks) {
	struct { struct file_dedupe_range r; struct file_dedupe_range_info of; } d = {{.src_length = 4096, .dest_count = 1}, {.dest_offset = 4096}};
	char b[8192] = "";
	int fd = d.of.dest_fd = created("f");
	EQUAL(write(fd, b, sizeof b), sizeof b);
	if (!ioctl(fd, FIDEDUPERANGE, &d)) {
		CHECK(d.of.status == FILE_DEDUPE_RANGE_SAME || d.of.status == -EINVAL || d.of.status == -EOPNOTSUPP);
		return;
	}
	if (errno != EOPNOTSUPP && errno != EINVAL) WRONG("%s", strerror(errno));
}
PROBE(flags_unknown) {
	enum { NONE = 0x40000000 };
	int p[2];
	unsigned long set[16] = {0};
	FAILS(EINVAL, epoll_create1(NONE));
	FAILS(EINVAL, inotify_init1(NONE));
	FAILS(EINVAL, eventfd(0, NONE));
	FAILS(EINVAL, timerfd_create(CLOCK_MONOTONIC, NONE));
	FAILS(EINVAL, pipe2(p, NONE));
	FAILS(EINVAL, socket(AF_UNIX, SOCK_STREAM | 0x10000000, 0));
	FAILS(EINVAL, syscall(SYS_signalfd4, -1, set, 8L, NONE));
	FAILS(EINVAL, syscall(SYS_signalfd4, -1, set, 4L, 0));
}
PROBE(places_in_epolls) {
	int e = OK(epoll_create1(0)), f = OK(eventfd(0, 0)), other = OK(eventfd(0, 0));
	OK(epoll_ctl(e, EPOLL_CTL_ADD, f, &(struct epoll_event){.events = EPOLLIN}));
	uint32_t at[3] = {e, f, 0};
	long n = syscall(SYS_kcmp, getpid(), getpid(), 7 /* KCMP_EPOLL_TFD */, (long)f, at);
	if (n < 0 && (errno == ENOSYS || errno == EPERM || errno == EOPNOTSUPP)) unsupported("no kcmp");
	EQUAL(OK(n), 0);
	CHECK(OK(syscall(SYS_kcmp, getpid(), getpid(), 7, (long)other, at)) != 0);
}
// Whatever else is wrong.
PROBE(bad_descriptor_first) {
	void *bad = (void *)8;
	FAILS(EBADF, syscall(SYS_read, -1, bad, 8L));
	FAILS(EBADF, syscall(SYS_write, -1, bad, 8L));
	FAILS(EBADF, syscall(SYS_readv, -1, bad, 1L));
	FAILS(EBADF, syscall(SYS_writev, -1, bad, 1L));
	FAILS(EBADF, syscall(SYS_getdents64, -1, bad, 8L));
	FAILS(EBADF, ioctl(-1, TIOCGWINSZ, bad));
	FAILS(EBADF, pread(-1, bad, 8, 0));
	FAILS(EBADF, pwrite(-1, bad, 8, 0));
	FAILS(EBADF, fcntl(-1, F_GETLK, bad));
	FAILS(EBADF, flistxattr(-1, bad, 8));
	FAILS(EFAULT, syscall(SYS_write, created("f"), bad, 8L));
}
