// System calls that Linux 5.0 to 6.18 brought, and older ones that emulators lack: each does its least.
#include "probe.h"
#include <linux/aio_abi.h>
#include <linux/futex.h>
#include <mqueue.h>
#include <poll.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/fanotify.h>
#include <sys/file.h>
#include <sys/ipc.h>
#include <sys/msg.h>
#include <sys/random.h>
#include <sys/sem.h>
#include <sys/shm.h>
#include <sys/xattr.h>

// has is the call's value, where the kernel knows it: running natively decides what is asked of emulators.
static long has(long value) {
	if (value == -1 && errno == ENOSYS) unsupported("ENOSYS");
	if (value == -1) WRONG("%s", strerror(errno));
	return value;
}
static size_t page(void) { return sysconf(_SC_PAGESIZE); }
static void *map(void) {
	void *p = mmap(0, 65536, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	CHECK(p != MAP_FAILED);
	return p;
}

PROBE(epoll_pwait2) {
	int ep = OK(epoll_create1(0)), ev = OK(eventfd(1, 0));
	struct epoll_event e = {EPOLLIN, {.u64 = 77}};
	OK(epoll_ctl(ep, EPOLL_CTL_ADD, ev, &e));
	struct { int64_t seconds, nanoseconds; } t = {0, 1000000};
	EQUAL(has(syscall(NEWER(441), ep, &e, 1, &t, 0, 8)), 1);
	EQUAL(e.data.u64, 77);
}
PROBE(landlock) {
	CHECK(has(syscall(NEWER(444), 0, 0, 1)) >= 1);
	uint64_t handled = 1 << 1 /* write a file */;
	int rules = has(syscall(NEWER(444), &handled, sizeof handled, 0));
	struct { uint64_t allowed; int32_t parent; } __attribute__((packed)) rule = {1 << 1, OK(open(".", O_PATH | O_DIRECTORY))};
	OK(syscall(NEWER(445), rules, 1, &rule, 0));
	OK(prctl(PR_SET_NO_NEW_PRIVS, 1L, 0L, 0L, 0L));
	OK(syscall(NEWER(446), rules, 0));
	OK(open("f", O_CREAT | O_WRONLY, 0600));
	FAILS(EACCES, open("/dev/null", O_WRONLY));
}
PROBE(cachestat) {
	write_file("f", "hello");
	uint64_t range[2] = {0, 0}, got[5] = {0};
	has(syscall(NEWER(451), OK(open("f", O_RDONLY)), range, got, 0));
	EQUAL(got[0], 1);
}
PROBE(memfd_secret) {
	int fd = has(syscall(NEWER(447), 0));
	OK(ftruncate(fd, page()));
	char *p = mmap(0, page(), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	CHECK(p != MAP_FAILED);
	*p = 1;
}
PROBE(process_mrelease) {
	pid_t pid = OK(fork());
	if (pid == 0) for (;;) pause();
	int fd = OK(syscall(NEWER(434), pid, 0));
	OK(kill(pid, SIGKILL));
	long r = syscall(NEWER(448), fd, 0);
	int error = errno;
	waitpid(pid, 0, 0);
	errno = error;
	if (r && errno == ESRCH) return; // it is gone already
	has(r);
}
PROBE(mseal) {
	void *p = map();
	has(syscall(NEWER(462), p, 65536, 0));
	FAILS(EPERM, munmap(p, 65536));
	FAILS(EPERM, mprotect(p, 65536, PROT_READ));
}
PROBE(futex_waitv) {
	uint32_t words[2] = {1, 2};
	struct { uint64_t value, address; uint32_t flags, reserved; } w[2] = {{1, (uintptr_t)&words[0], 2, 0}, {3, (uintptr_t)&words[1], 2, 0}};
	long r = syscall(NEWER(449), w, 2, 0, 0, CLOCK_MONOTONIC);
	if (r == -1 && errno == ENOSYS) unsupported("ENOSYS");
	EQUAL(r, -1);
	EQUAL(errno, EAGAIN);
}
static uint32_t waited;
static void *wakes_newly(void *arg) {
	for (int i = 0; i < 1000; i++) {
		if (syscall(NEWER(454), &waited, 0xffffffffUL, 1, 2 | 128) > 0) return 0;
		nap(5);
	}
	return 0;
}
PROBE(futex_wait_and_wake) {
	if (syscall(NEWER(454), &waited, 0xffffffffUL, 1, 2 | 128) < 0 && errno == ENOSYS) unsupported("ENOSYS");
	pthread_t t = thread(wakes_newly, 0);
	has(syscall(NEWER(455), &waited, 0UL, 0xffffffffUL, 2 | 128, 0, CLOCK_MONOTONIC));
	join(t);
}
PROBE(process_madvise) {
	char *p = map();
	*p = 1;
	struct iovec v = {p, 65536};
	int fd = OK(syscall(NEWER(434), getpid(), 0));
	EQUAL(has(syscall(NEWER(440), fd, &v, 1, 20 /* MADV_COLD */, 0)), 65536);
}
PROBE(io_uring) {
	uint32_t p[30] = {0};
	long fd = syscall(NEWER(425), 4, p);
	if (fd < 0 && (errno == ENOSYS || errno == EPERM)) unsupported("no io_uring");
	OK(fd);
	CHECK(p[0] >= 4);
}
PROBE(clone3) {
	NO_CLONE3;
	struct { uint64_t flags, pidfd, child_tid, parent_tid, exit_signal, rest[6]; } a = {.exit_signal = SIGCHLD};
	long pid = has(syscall(NEWER(435), &a, 64));
	if (pid == 0) _exit(21);
	reap(pid, 21);
}
PROBE(clone3_pidfd) {
	NO_CLONE3;
	int fd = -1;
	struct { uint64_t flags, pidfd, child_tid, parent_tid, exit_signal, rest[6]; } a = {.flags = 0x1000, .pidfd = (uintptr_t)&fd, .exit_signal = SIGCHLD};
	long pid = has(syscall(NEWER(435), &a, 64));
	if (pid == 0) _exit(22);
	CHECK(fd > 2);
	reap(pid, 22);
}
PROBE(statmount) {
	struct statx x;
	OK(statx(AT_FDCWD, "/", 0, 0x4000 /* STATX_MNT_ID_UNIQUE */, &x));
	uint64_t id, buffer[200] = {0};
	memcpy(&id, (char *)&x + 0x90, sizeof id);
	struct { uint32_t size, spare; uint64_t id, what, namespace; } r = {24, 0, id, 1, 0};
	has(syscall(NEWER(457), &r, buffer, sizeof buffer, 0));
}
PROBE(listmount) {
	struct { uint32_t size, spare; uint64_t id, after, namespace; } r = {24, 0, -1ULL, 0, 0};
	uint64_t list[100];
	CHECK(has(syscall(NEWER(458), &r, list, COUNT(list), 0)) > 0);
}
PROBE(lsm_list) {
	uint64_t list[20];
	uint32_t size = sizeof list;
	CHECK(has(syscall(NEWER(461), list, &size, 0)) >= 0);
}
PROBE(lsm_get_self_attr) {
	uint32_t size = 0;
	long r = syscall(NEWER(459), 100 /* current */, 0, &size, 0);
	if (r < 0 && (errno == ENOSYS || errno == EOPNOTSUPP)) unsupported("no modules");
	if (r < 0) EQUAL(errno, E2BIG);
}
PROBE(set_mempolicy_home_node) {
	void *p = map();
	long r = syscall(NEWER(450), p, 65536L, 0L, 0L);
	if (r < 0 && errno == ENOSYS) unsupported("ENOSYS");
	if (r < 0) CHECK(errno == ENOENT || errno == EOPNOTSUPP || errno == EINVAL);
}
PROBE(getxattrat) {
	write_file("f", "");
	if (setxattr("f", "user.a", "value", 5, 0)) unsupported("the file system has no attributes");
	char b[10];
	struct { uint64_t value; uint32_t size, flags; } a = {(uintptr_t)b, sizeof b, 0};
	EQUAL(has(syscall(NEWER(464), AT_FDCWD, "f", 0, "user.a", &a, sizeof a)), 5);
	EQUAL(memcmp(b, "value", 5), 0);
}
// What is longer than an attribute can be counts as that when it is read, and is refused when it is set.
PROBE(getxattrat_of_any_length) {
	static char b[100000];
	write_file("f", "");
	if (setxattr("f", "user.a", "value", 5, 0)) unsupported("the file system has no attributes");
	struct { uint64_t value; uint32_t size, flags; } a = {(uintptr_t)b, sizeof b, 0};
	EQUAL(has(syscall(NEWER(464), AT_FDCWD, "f", 0, "user.a", &a, sizeof a)), 5);
	EQUAL(memcmp(b, "value", 5), 0);
	FAILS(E2BIG, syscall(NEWER(463), AT_FDCWD, "f", 0, "user.a", &a, sizeof a));
}
PROBE(fchmodat2) {
	write_file("f", "");
	has(syscall(NEWER(452), AT_FDCWD, "f", 0640, 0));
	struct stat s;
	OK(stat("f", &s));
	EQUAL(s.st_mode & 0777, 0640);
}
PROBE(openat2) {
	uint64_t how[3] = {O_RDONLY, 0, 0};
	OK(has(syscall(NEWER(437), AT_FDCWD, "/", how, sizeof how)));
	uint64_t more[4] = {O_RDONLY, 0, 0, 0};
	OK(syscall(NEWER(437), AT_FDCWD, "/", more, sizeof more));
	more[3] = 1;
	FAILS(E2BIG, syscall(NEWER(437), AT_FDCWD, "/", more, sizeof more));
}
PROBE(quotactl_fd) {
	long r = syscall(NEWER(443), OK(open("/", O_RDONLY)), 0x800004 << 8, 0, 0);
	if (r < 0 && errno == ENOSYS) unsupported("ENOSYS");
}
PROBE(file_getattr) {
	write_file("f", "");
	uint64_t a[3] = {0};
	long r = syscall(NEWER(468), AT_FDCWD, "f", a, sizeof a, 0);
	if (r < 0 && errno == EOPNOTSUPP) unsupported("the file system has none");
	has(r);
}
PROBE(mlock2) {
	void *p = map();
	has(syscall(SYS_mlock2, p, page(), 1));
}
PROBE(rseq) {
#ifdef SYS_rseq
	static struct { uint32_t cpu_start, cpu; uint64_t cs; uint32_t flags, rest[3]; } __attribute__((aligned(32))) area;
	long r = syscall(SYS_rseq, &area, 32, 0, 0x53053053);
	if (r < 0 && errno == EINVAL) return; // the library has registered its own: the call is there
	if (r < 0 && errno == EBUSY) return;
	if (r < 0 && errno == EPERM) return;
	has(r);
#else
	elsewhere("its number is not known");
#endif
}
PROBE(membarrier) { CHECK(has(syscall(SYS_membarrier, 0, 0, 0)) > 0); }
PROBE(pkeys) {
#ifdef SYS_pkey_alloc
	long k = syscall(SYS_pkey_alloc, 0, 0);
	if (k < 0) CHECK(errno == ENOSPC || errno == EINVAL || errno == ENOSYS);
#endif
	OK(syscall(SYS_pkey_mprotect, map(), 65536, PROT_READ, -1));
}
// What the kernel does with a request says the next event, or what io_submit(2) itself says.
static aio_context_t aio(void) {
	aio_context_t c = 0;
	has(syscall(SYS_io_setup, 16, &c));
	return c;
}
static struct iocb request(int fd, int what, const void *memory, size_t n, uint64_t data) {
	struct iocb b;
	memset(&b, 0, sizeof b);
	b.aio_fildes = fd, b.aio_lio_opcode = what, b.aio_buf = (uintptr_t)memory, b.aio_nbytes = n, b.aio_data = data;
	return b;
}
static long submit(aio_context_t c, struct iocb *b) { return syscall(SYS_io_submit, c, 1L, &b); }
static struct io_event next_event(aio_context_t c) {
	struct io_event e;
	EQUAL(OK(syscall(SYS_io_getevents, c, 1L, 1L, &e, 0L)), 1);
	return e;
}
static struct io_event done(aio_context_t c, struct iocb b) {
	EQUAL(OK(submit(c, &b)), 1);
	struct io_event e = next_event(c);
	CHECK(e.obj == (uintptr_t)&b);
	EQUAL(e.data, b.aio_data);
	return e;
}
static int file_with(const char *text) {
	write_file("f", text);
	return OK(open("f", O_RDWR));
}
// E12
PROBE(asynchronous_io) {
	aio_context_t c = aio();
	EQUAL(done(c, request(file_with(""), IOCB_CMD_PWRITE, "written", 7, 99)).res, 7);
	SAME(contents("f"), "written");
	OK(syscall(SYS_io_destroy, c));
}
// E12
PROBE(asynchronous_vectors) {
	aio_context_t c = aio();
	int fd = file_with("abcdef"), ev = OK(eventfd(0, 0));
	char one[3] = "", two[4] = "";
	struct iovec in[] = {{one, 2}, {0, 0}, {two, 3}}, out[] = {{"xy", 2}, {"z", 1}};
	struct iocb b = request(fd, IOCB_CMD_PREADV, in, 3, UINT64_C(0x123456789abcdef0));
	b.aio_offset = 1, b.aio_flags = IOCB_FLAG_RESFD, b.aio_resfd = ev;
	EQUAL(done(c, b).res, 5);
	SAME(one, "bc");
	SAME(two, "def");
	uint64_t count = 0;
	EQUAL(read(ev, &count, sizeof count), sizeof count);
	EQUAL(count, 1);
	b = request(fd, IOCB_CMD_PWRITEV, out, 2, 1);
	b.aio_offset = 4;
	EQUAL(done(c, b).res, 3);
	SAME(contents("f"), "abcdxyz");
	EQUAL(done(c, request(fd, IOCB_CMD_FSYNC, 0, 0, 2)).res, 0);
	EQUAL(done(c, request(ev, IOCB_CMD_POLL, (void *)POLLOUT, 0, 3)).res, POLLOUT);
}
// E12
PROBE(asynchronous_missing) {
	aio_context_t c = aio();
	int fd = file_with("abcdef");
	char *p = map();
	size_t end = 65536;
	OK(munmap(p + end / 2, end / 2));
	EQUAL(done(c, request(fd, IOCB_CMD_PREAD, p + end / 2, 6, 1)).res, -EFAULT);
	EQUAL(done(c, request(fd, IOCB_CMD_PREAD, p + end / 2 - 4, 6, 1)).res, 4);
	SAME(strndup(p + end / 2 - 4, 4), "abcd");
	struct iovec in[] = {{p, 3}, {p + end / 2, 3}};
	EQUAL(done(c, request(fd, IOCB_CMD_PREADV, in, 2, 1)).res, 3);
	OK(mprotect(p, page(), PROT_READ));
	EQUAL(done(c, request(fd, IOCB_CMD_PREAD, p, 6, 1)).res, -EFAULT);
	int closed = OK(dup(fd));
	OK(close(closed));
	struct iocb b = request(closed, IOCB_CMD_PREAD, p, 6, 1);
	FAILS(EBADF, submit(c, &b));
	EQUAL(done(c, request(OK(open("f", O_WRONLY)), IOCB_CMD_PWRITE, p + end / 2, 6, 1)).res, -EFAULT);
}
// E12
PROBE(asynchronous_refused) {
	aio_context_t c = aio(), other = 0, none = (uintptr_t)map();
	struct io_event e;
	struct iocb b = request(file_with(""), IOCB_CMD_PWRITE, "text", 4, 1), *list[] = {&b, 0};
	FAILS(EINVAL, syscall(SYS_io_setup, 16, &c));
	FAILS(EINVAL, syscall(SYS_io_setup, 0, &other));
	FAILS(EFAULT, syscall(SYS_io_setup, 16, 0L));
	FAILS(EINVAL, syscall(SYS_io_destroy, none));
	FAILS(EINVAL, syscall(SYS_io_submit, none, 1L, list));
	FAILS(EINVAL, syscall(SYS_io_submit, c, -1L, list));
	FAILS(EFAULT, syscall(SYS_io_submit, c, 1L, 0L));
	FAILS(EFAULT, syscall(SYS_io_submit, c, 1L, list + 1));
	FAILS(EINVAL, syscall(SYS_io_getevents, none, 1L, 1L, &e, 0L));
	FAILS(EINVAL, syscall(SYS_io_getevents, c, 2L, 1L, &e, 0L));
	FAILS(EINVAL, syscall(SYS_io_cancel, c, &b, &e));
	FAILS(EFAULT, syscall(SYS_io_cancel, c, 0L, &e));
	EQUAL(OK(syscall(SYS_io_submit, c, 0L, list)), 0);
	EQUAL(OK(syscall(SYS_io_submit, c, 2L, list)), 1);
	EQUAL(next_event(c).res, 4);
	b.aio_lio_opcode = 77;
	FAILS(EINVAL, submit(c, &b));
	b = request(b.aio_fildes, IOCB_CMD_PWRITE, "text", 0, 1);
	b.aio_nbytes = -1;
	FAILS(EINVAL, submit(c, &b));
	OK(syscall(SYS_io_destroy, c));
	FAILS(EINVAL, syscall(SYS_io_destroy, c));
}
static void *waits(void *c) { return (void *)(uintptr_t)next_event((uintptr_t)c).data; }
// E12: others wait, time runs out, a signal comes, and a child has none of it
PROBE(asynchronous_waiting) {
	aio_context_t c = aio();
	int ends[2];
	OK(pipe(ends));
	struct io_event e;
	struct { long seconds, nanoseconds; } t = {0, 1000000};
	EQUAL(OK(syscall(SYS_io_getevents, c, 1L, 1L, &e, &t)), 0);
	pthread_t waiting = thread(waits, (void *)(uintptr_t)c);
	struct iocb b = request(ends[0], IOCB_CMD_POLL, (void *)POLLIN, 0, 55);
	EQUAL(OK(submit(c, &b)), 1);
	EQUAL(write(ends[1], "x", 1), 1);
	EQUAL((uintptr_t)join(waiting), 55);
	IN_CHILD(FAILS(EINVAL, syscall(SYS_io_getevents, c, 0L, 1L, &e, &t)));
	char byte;
	EQUAL(read(ends[0], &byte, 1), 1);
	EQUAL(OK(submit(c, &b)), 1);
	FAILS(EINPROGRESS, syscall(SYS_io_cancel, c, &b, &e));
	EQUAL(next_event(c).data, 55);
	EQUAL(OK(submit(c, &b)), 1);
	OK(syscall(SYS_io_destroy, c)); // and does not wait for what will never be
}
static volatile sig_atomic_t rung;
static void ring(int s __attribute__((unused))) { rung = 1; }
// E12
PROBE(asynchronous_mask) {
#ifdef SYS_io_pgetevents
	aio_context_t c = aio();
	struct io_event e;
	sigset_t blocked, open;
	sigemptyset(&open), sigemptyset(&blocked), sigaddset(&blocked, SIGUSR1);
	OK(sigprocmask(SIG_BLOCK, &blocked, 0));
	signal(SIGUSR1, ring);
	OK(kill(getpid(), SIGUSR1));
	CHECK(!rung);
	struct { sigset_t *mask; size_t size; } m = {&open, _NSIG / 8};
	FAILS(EINTR, syscall(SYS_io_pgetevents, c, 1L, 1L, &e, 0L, &m));
	CHECK(rung);
#else
	elsewhere("its number is not known");
#endif
}
PROBE(memory_policy) {
	int mode = -1;
	unsigned long nodes[64] = {0};
	has(syscall(SYS_get_mempolicy, &mode, nodes, sizeof nodes * 8, 0L, 0L));
	EQUAL(mode, 0);
	OK(syscall(SYS_mbind, map(), 65536L, 0L, 0L, 0L, 0L));
	OK(syscall(SYS_set_mempolicy, 0L, 0L, 0L));
}
PROBE(user_faults) {
	long fd = syscall(SYS_userfaultfd, O_CLOEXEC | 1 /* user mode only */);
	if (fd < 0 && errno == EPERM) unsupported("not for users");
	has(fd);
}
PROBE(watches_all_files) {
	long fd = syscall(SYS_fanotify_init, 0x200 /* FAN_REPORT_FID */, O_RDONLY);
	if (fd < 0 && errno == EPERM) unsupported("not for users");
	has(fd);
}
PROBE(keys) {
	long k = syscall(SYS_add_key, "user", "probe-calls", "x", 1, -2);
	has(k);
}
PROBE(secure_computing) { has(syscall(SYS_seccomp, 2 /* GET_ACTION_AVAIL */, 0, &(uint32_t){0x7fff0000})); }
PROBE(reads_other_memory) {
	char a[4] = "abc", b[4] = "";
	struct iovec l = {b, 4}, r = {a, 4};
	EQUAL(has(syscall(SYS_process_vm_readv, getpid(), &l, 1, &r, 1, 0)), 4);
	SAME(b, "abc");
}
// Reads end where one of the caller's places cannot be written.
PROBE(reads_other_memory_in_part) {
	char from[8] = "abcdefg", to[4] = "";
	const size_t page = 65536;
	char *end = OK(mmap(0, 2 * page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
	OK(munmap(end + page, page));
	struct iovec l[2] = {{to, 4}, {0, 4}}, r = {from, 8};
	EQUAL(has(syscall(SYS_process_vm_readv, getpid(), l, 2, &r, 1, 0)), 4);
	EQUAL(memcmp(to, "abcd", 4), 0);
	l[1].iov_base = end + page - 2;
	EQUAL(OK(syscall(SYS_process_vm_readv, getpid(), l, 2, &r, 1, 0)), 6);
	EQUAL(memcmp(end + page - 2, "ef", 2), 0);
	FAILS(EFAULT, syscall(SYS_process_vm_readv, getpid(), &(struct iovec){0, 4}, 1, &r, 1, 0));
	l[1].iov_len = -1;
	FAILS(EINVAL, syscall(SYS_process_vm_readv, getpid(), l, 2, &r, 1, 0));
	FAILS(EINVAL, syscall(SYS_process_vm_readv, getpid(), l, 1, &(struct iovec){from, -1}, 1, 0));
}
PROBE(robust_list) {
	static struct { void *next; long offset; void *pending; } head;
	head.next = &head;
	has(syscall(SYS_set_robust_list, &head, sizeof head));
}
PROBE(random_bytes) {
	char a[32] = "", b[32] = "";
	EQUAL(OK(getrandom(a, 32, 0)), 32);
	EQUAL(OK(getrandom(b, 32, GRND_NONBLOCK)), 32);
	CHECK(memcmp(a, b, 32));
}
PROBE(message_queues) {
	char name[40];
	snprintf(name, sizeof name, "/probe-%d", getpid());
	struct mq_attr a = {.mq_maxmsg = 3, .mq_msgsize = 50}, got;
	mqd_t q = mq_open(name, O_RDWR | O_CREAT | O_EXCL | O_NONBLOCK, 0600, &a);
	if (q < 0) WRONG("mq_open: %s", strerror(errno));
	OK(mq_unlink(name));
	OK(mq_send(q, "low", 3, 1));
	OK(mq_send(q, "high", 4, 9));
	OK(mq_getattr(q, &got));
	EQUAL(got.mq_curmsgs, 2);
	EQUAL(got.mq_msgsize, 50);
	char b[50];
	unsigned priority;
	EQUAL(OK(mq_receive(q, b, sizeof b, &priority)), 4);
	EQUAL(priority, 9);
}
PROBE(system_v_messages) {
	int id = OK(msgget(IPC_PRIVATE, IPC_CREAT | 0600));
	struct { long type; char text[10]; } m = {5, "text"}, got = {0, ""};
	int sent = msgsnd(id, &m, 5, 0);
	ssize_t n = msgrcv(id, &got, 10, 5, IPC_NOWAIT);
	struct msqid_ds d;
	memset(&d, 0xcc, sizeof d);
	int status = msgctl(id, IPC_STAT, &d);
	OK(msgctl(id, IPC_RMID, 0));
	struct msqid_ds untouched;
	memset(&untouched, 0xcc, sizeof untouched);
	FAILS(EINVAL, msgctl(id, IPC_STAT, &untouched));
	for (size_t i = 0; i < sizeof untouched; i++) EQUAL(((unsigned char *)&untouched)[i], 0xcc);
	OK(sent);
	EQUAL(n, 5);
	SAME(got.text, "text");
	OK(status);
	EQUAL(d.msg_lspid, getpid());
	EQUAL(d.msg_perm.mode, 0600);
}
PROBE(system_v_semaphores) {
	int id = OK(semget(IPC_PRIVATE, 3, IPC_CREAT | 0600));
	unsigned short v[3] = {1, 2, 3};
	union { int value; unsigned short *array; struct semid_ds *about; } all = {.array = v}, of; // some hand over the union's address
	int a = semctl(id, 0, SETALL, all), b = semctl(id, 2, GETVAL);
	struct sembuf o[2] = {{1, -2, 0}, {2, 4, 0}};
	int c = semop(id, o, 2), d = semctl(id, 2, GETVAL);
	struct sembuf w = {1, -1, 0};
	int e = semtimedop(id, &w, 1, &(struct timespec){0, 10000000}), error = errno;
	struct semid_ds about;
	memset(&about, 0xcc, sizeof about);
	of.about = &about;
	int status = semctl(id, 0, IPC_STAT, of);
	OK(semctl(id, 0, IPC_RMID));
	OK(status);
	EQUAL(about.sem_perm.mode, 0600);
	EQUAL(about.sem_nsems, 3);
	OK(a);
	EQUAL(b, 3);
	OK(c);
	EQUAL(d, 7);
	EQUAL(e, -1);
	EQUAL(error, EAGAIN);
}
PROBE(scheduling) {
	struct sched_param p = {0};
	EQUAL(OK(sched_getscheduler(0)), SCHED_OTHER);
	OK(sched_setscheduler(0, SCHED_BATCH, &p));
	EQUAL(OK(sched_getscheduler(0)), SCHED_BATCH);
	OK(sched_getparam(0, &p));
	EQUAL(sched_get_priority_max(SCHED_FIFO), 99);
	struct timespec t;
	OK(sched_rr_get_interval(0, &t));
	struct { uint32_t size, policy; uint64_t flags; int32_t nice; uint32_t priority; uint64_t rest[3]; uint32_t clamp[2]; } a = {0};
	OK(syscall(SYS_sched_getattr, 0, &a, sizeof a, 0));
	EQUAL(a.policy, SCHED_BATCH);
	OK(syscall(SYS_sched_setattr, 0, &a, 0));
}
PROBE(io_priority) {
	OK(syscall(SYS_ioprio_set, 1, 0, (2 << 13) | 5));
	EQUAL(OK(syscall(SYS_ioprio_get, 1, 0)), (2 << 13) | 5);
}
PROBE(processor) {
	unsigned cpu = 999, node = 999;
	OK(syscall(SYS_getcpu, &cpu, &node, 0));
	CHECK(cpu < 999 && node < 999);
}
PROBE(unknown) { FAILS(ENOSYS, syscall(NEWER(999))); }
PROBE(file_syncs) {
	int fd = OK(open("f", O_RDWR | O_CREAT, 0600));
	OK(fsync(fd));
	OK(fdatasync(fd));
	OK(syncfs(fd));
}
PROBE(events_of_kernel) {
	// perf_event_open, bpf: refused or not, they are there
	static uint32_t attr[32];
	attr[1] = sizeof attr;
	long r = syscall(SYS_perf_event_open, attr, 0, -1, -1, 0L);
	if (r < 0 && errno == ENOSYS) WRONG("perf_event_open: %s", strerror(errno));
	r = syscall(SYS_bpf, 999, attr, sizeof attr);
	EQUAL(r, -1);
	CHECK(errno == EPERM || errno == EINVAL);
}
static volatile int told;
static void *volatile told_value;
static void is_told(int s __attribute__((unused)), siginfo_t *i, void *u __attribute__((unused))) {
	told = i->si_code == SI_MESGQ ? 1 : -1;
	told_value = i->si_value.sival_ptr;
}
static void is_told_by_thread(union sigval v) {
	told_value = v.sival_ptr;
	told = 1;
}
static void told_of_message(struct sigevent *e) {
	char name[40];
	snprintf(name, sizeof name, "/probe-%d", getpid());
	struct mq_attr a = {.mq_maxmsg = 3, .mq_msgsize = 50};
	mqd_t q = OK(mq_open(name, O_RDWR | O_CREAT | O_EXCL, 0600, &a));
	OK(mq_unlink(name));
	e->sigev_value.sival_ptr = &a;
	OK(mq_notify(q, e));
	FAILS(EBUSY, mq_notify(q, e));
	OK(mq_notify(q, 0));
	OK(mq_notify(q, e));
	OK(mq_send(q, "x", 1, 0));
	for (int i = 0; i < 500 && !told; i++) nap(10);
	EQUAL(told, 1);
	CHECK(told_value == &a);
}
PROBE(message_tells_by_signal) {
	struct sigaction s = {.sa_sigaction = is_told, .sa_flags = SA_SIGINFO};
	OK(sigaction(SIGUSR1, &s, 0));
	told_of_message(&(struct sigevent){.sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGUSR1});
}
PROBE(message_tells_by_thread) {
	told_of_message(&(struct sigevent){.sigev_notify = SIGEV_THREAD, .sigev_notify_function = is_told_by_thread});
}
// ipcs(1)
PROBE(system_v_listed) {
	struct shmid_ds d;
	int id = OK(shmget(IPC_PRIVATE, 100, 0600)), last = OK(shmctl(0, SHM_INFO, (void *)&d)), found = 0;
	for (int i = 0; i <= last; i++) found |= shmctl(i, 15 /* SHM_STAT_ANY */, &d) == id;
	OK(shmctl(id, IPC_RMID, 0));
	EQUAL(found, 1);
}
