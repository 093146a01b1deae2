// Memory: mappings, their protection, and advice.
#include "probe.h"
#include <sys/ipc.h>
#include <sys/shm.h>

static size_t page;
__attribute__((constructor)) static void ask_page(void) { page = sysconf(_SC_PAGESIZE); }
static char *map_at(void *at, size_t size, int protection, int flags) {
	char *p = mmap(at, size, protection, MAP_PRIVATE | MAP_ANONYMOUS | flags, -1, 0);
	if (p == MAP_FAILED) WRONG("mmap: %s", strerror(errno));
	return p;
}
static char *map(size_t size) { return map_at(0, size, PROT_READ | PROT_WRITE, 0); }
// readable asks the kernel whether there is something at an address.
static bool readable(void *p) {
	int ends[2];
	OK(pipe(ends));
	bool can = write(ends[1], p, 1) == 1;
	if (!can) EQUAL(errno, EFAULT);
	close(ends[0]), close(ends[1]);
	return can;
}
// map_part maps so much of a file of that size, which stays open.
static char *map_part(int *fd, const char *name, off_t size, size_t length, int flags) {
	*fd = OK(open(name, O_RDWR | O_CREAT, 0600));
	OK(ftruncate(*fd, size));
	char *p = mmap(0, length, PROT_READ | PROT_WRITE, flags, *fd, 0);
	if (p == MAP_FAILED) WRONG("mmap: %s", strerror(errno));
	return p;
}
static char *map_file(const char *name, size_t size, int flags) {
	int fd;
	char *p = map_part(&fd, name, size, size, flags);
	close(fd);
	return p;
}

enum { PART = 65536 }; // no host has larger pages
// map_end maps three parts of a new file of so many bytes.
static char *map_end(int *fd, off_t size, int flags) { return map_part(fd, "short", size, 3 * PART, flags); }

PROBE(anonymous_is_zero) {
	char *p = map(100 * page);
	for (size_t i = 0; i < 100 * page; i += 101) EQUAL(p[i], 0);
}
PROBE(unmapped_is_gone) {
	char *p = map(4 * page);
	CHECK(readable(p));
	OK(munmap(p + page, page));
	CHECK(readable(p) && !readable(p + page) && readable(p + 2 * page));
}
PROBE(fixed) {
	char *p = map(4 * page), *q = map_at(p + page, page, PROT_READ | PROT_WRITE, MAP_FIXED);
	CHECK(q == p + page);
}
PROBE(fixed_no_replace) {
	char *p = map(4 * page);
	FAILS(EEXIST, (long)mmap(p + page, page, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0));
}
PROBE(hint_is_taken) {
	char *p = map(4 * page);
	OK(munmap(p, 4 * page));
	char *q = map_at(p, page, PROT_READ, 0);
	CHECK(q == p);
}
PROBE(bad_arguments) {
	FAILS(EINVAL, (long)mmap(0, 0, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
	FAILS(EBADF, (long)mmap(0, page, PROT_READ, MAP_PRIVATE, -1, 0));
	FAILS(EBADF, (long)mmap(0, page, PROT_READ, 0, -1, 0));
	FAILS(EINVAL, (long)mmap(0, page, PROT_READ, MAP_ANONYMOUS, -1, 0));
	FAILS(EINVAL, munmap((void *)1, page));
	FAILS(EINVAL, (long)mmap((void *)1, page, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0));
	FAILS(ENOMEM, mprotect((void *)page, page, PROT_READ));
}
PROBE(shared_between_processes) {
	int *p = mmap(0, page, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	CHECK(p != MAP_FAILED);
	IN_CHILD(*p = 5);
	EQUAL(*p, 5);
}
PROBE(shared_file) {
	char *p = map_file("f", page, MAP_SHARED);
	strcpy(p, "hello");
	SAME(contents("f"), "hello");
}
PROBE(private_file) {
	write_file("f", "before");
	char *p = map_file("f", 6, MAP_PRIVATE);
	p[0] = 'X';
	SAME(contents("f"), "before");
	EQUAL(p[1], 'e');
}
PROBE(file_seen_by_mapping) {
	char *p = map_file("f", page, MAP_SHARED);
	int fd = OK(open("f", O_WRONLY));
	EQUAL(pwrite(fd, "new", 3, 10), 3);
	EQUAL(memcmp(p + 10, "new", 3), 0);
}
PROBE(file_offset) {
	int fd = OK(open("f", O_RDWR | O_CREAT, 0600));
	EQUAL(pwrite(fd, "x", 1, 3 * 65536), 1);
	char *p = mmap(0, 1, PROT_READ, MAP_SHARED, fd, 3 * 65536);
	CHECK(p != MAP_FAILED);
	EQUAL(*p, 'x');
}
PROBE(file_closed_stays) {
	write_file("f", "text");
	char *p = map_file("f", 4, MAP_SHARED);
	OK(unlink("f"));
	EQUAL(p[3], 't');
}
PROBE(end_of_last_page_is_zero) {
	write_file("f", "abc");
	char *p = map_file("f", 3, MAP_PRIVATE);
	for (size_t i = 3; i < page; i++) EQUAL(p[i], 0);
}
PROBE(two_mappings) {
	char *p = map_file("f", page, MAP_SHARED), *q = map_file("f", page, MAP_SHARED);
	CHECK(p != q);
	p[7] = 9;
	EQUAL(q[7], 9);
}
PROBE(writing_needs_it) {
	write_file("f", "x");
	int fd = OK(open("f", O_RDONLY));
	FAILS(EACCES, (long)mmap(0, page, PROT_WRITE, MAP_SHARED, fd, 0));
}
PROBE(protect_read_only) {
	char *p = map(2 * page);
	OK(mprotect(p, page, PROT_READ));
	write_file("f", "abc");
	int fd = OK(open("f", O_RDONLY));
	FAILS(EFAULT, read(fd, p, 3));
	EQUAL(read(fd, p + page, 3), 3);
}
PROBE(protect_none) {
	char *p = map(2 * page);
	OK(mprotect(p, page, PROT_NONE));
	CHECK(!readable(p) && readable(p + page));
	OK(mprotect(p, page, PROT_READ));
	CHECK(readable(p));
}
PROBE(buffer_across_pages) {
	char *p = map(3 * page);
	OK(munmap(p + 2 * page, page));
	write_file("f", "0123456789");
	int fd = OK(open("f", O_RDONLY));
	EQUAL(read(fd, p + 2 * page - 10, 10), 10);
	EQUAL(p[2 * page - 1], '9');
}
PROBE(grows) {
	char *p = map(page);
	*p = 5;
	char *q = mremap(p, page, 50 * page, MREMAP_MAYMOVE);
	CHECK(q != MAP_FAILED);
	EQUAL(*q, 5);
	q[50 * page - 1] = 1;
}
PROBE(shrinks) {
	char *p = map(4 * page);
	CHECK(mremap(p, 4 * page, 2 * page, 0) == p);
	CHECK(readable(p + page) && !readable(p + 2 * page));
}
PROBE(shrinks_in_place) {
	char *p = map(4 * page);
	CHECK(mremap(p, 4 * page, page, MREMAP_MAYMOVE) == p);
	CHECK(readable(p) && !readable(p + page));
	CHECK(mremap(p, page, page, MREMAP_MAYMOVE) == p);
}
PROBE(moves_rounded) {
	char *p = map(2 * page), *to = map(2 * page);
	p[2 * page - 1] = 8;
	CHECK(mremap(p, 2 * page - 1, page + 1, MREMAP_MAYMOVE | MREMAP_FIXED, to) == to);
	EQUAL(to[2 * page - 1], 8);
	CHECK(!readable(p + page));
	FAILS(EINVAL, (long)mremap(to, page, 0, MREMAP_MAYMOVE));
}
PROBE(moves_to) {
	char *p = map(page), *to = map(page);
	*p = 6;
	CHECK(mremap(p, page, page, MREMAP_MAYMOVE | MREMAP_FIXED, to) == to);
	EQUAL(*to, 6);
	CHECK(!readable(p));
}
// E14: lost on 32-bit guests
PROBE(moves_and_stays) {
	char *p = map(page);
	*p = 7;
	char *q = mremap(p, page, page, MREMAP_MAYMOVE | 4 /* MREMAP_DONTUNMAP */, (void *)0);
	if (q == MAP_FAILED && errno == EINVAL) unsupported("no MREMAP_DONTUNMAP");
	CHECK(q != MAP_FAILED && q != p);
	EQUAL(*q, 7);
	EQUAL(*(volatile char *)p, 0);
}
PROBE(moves_near_hint) {
	char *p = map(page), *hint = map(64 * page);
	OK(munmap(hint, 64 * page));
	char *q = (char *)syscall(SYS_mremap, p, page, page, (long)(MREMAP_MAYMOVE | 4 /* MREMAP_DONTUNMAP */), hint); // glibc 2.36 drops it
	if (q == MAP_FAILED && errno == EINVAL) unsupported("no MREMAP_DONTUNMAP");
	CHECK(q == hint);
}
PROBE(does_not_move) {
	char *p = map(2 * page);
	FAILS(ENOMEM, (long)mremap(p, page, 2 * page, 0)); // the second page is in the way
}
PROBE(break_grows) {
	char *p = sbrk(0);
	OK(brk(p + 10 * page));
	p[9 * page] = 1;
	CHECK(sbrk(0) == p + 10 * page);
	OK(brk(p));
	OK(brk(p + 10 * page));
	EQUAL(p[9 * page], 0);
}
PROBE(advice_dont_need) {
	char *p = map(4 * page);
	memset(p, 1, 4 * page);
	OK(madvise(p + page, page, MADV_DONTNEED));
	EQUAL(p[0], 1);
	EQUAL(p[page], 0);
	EQUAL(p[2 * page], 1);
}
PROBE(advice_dont_need_file) {
	write_file("f", "file");
	char *p = map_file("f", 4, MAP_PRIVATE);
	p[0] = 'X';
	OK(madvise(p, page, MADV_DONTNEED));
	EQUAL(p[0], 'f');
}
PROBE(advice_dont_fork) {
	char *p = map(2 * page);
	OK(madvise(p, page, MADV_DONTFORK));
	IN_CHILD(CHECK(!readable(p)); CHECK(readable(p + page)));
}
PROBE(advice_wipe_on_fork) {
	char *p = map(page);
	*p = 4;
	OK(madvise(p, page, 18 /* MADV_WIPEONFORK */));
	IN_CHILD(EQUAL(*p, 0));
	EQUAL(*p, 4);
}
// E14
PROBE(advice_unknown) {
	char *p = map(page);
	FAILS(EINVAL, madvise(p, page, 12345));
}
PROBE(advice_unmapped) {
	char *p = map(page);
	OK(munmap(p, page));
	FAILS(ENOMEM, madvise(p, page, MADV_DONTNEED));
}
PROBE(advice_populate) {
	char *p = map(4 * page);
	if (madvise(p, 4 * page, 23 /* MADV_POPULATE_WRITE */)) {
		if (errno == EINVAL) unsupported("no MADV_POPULATE_WRITE");
		WRONG("madvise: %s", strerror(errno));
	}
	unsigned char in[4];
	OK(mincore(p, 4 * page, in));
	for (int i = 0; i < 4; i++) EQUAL(in[i] & 1, 1);
}
PROBE(advice_free_huge_sequential) {
	char *p = map(4 * page);
	int advice[] = {MADV_FREE, MADV_SEQUENTIAL, MADV_RANDOM, MADV_NORMAL, MADV_WILLNEED, MADV_DODUMP, MADV_DONTDUMP};
	for (size_t i = 0; i < COUNT(advice); i++)
		if (madvise(p, 4 * page, advice[i])) WRONG("madvise(%d): %s", advice[i], strerror(errno));
}
PROBE(resident) {
	char *p = map(3 * page);
	p[page] = 1;
	unsigned char in[3];
	OK(mincore(p, 3 * page, in));
	EQUAL(in[1] & 1, 1);
	FAILS(ENOMEM, (munmap(p, 3 * page), mincore(p, 3 * page, in)));
}
PROBE(synchronised) {
	char *p = map_file("f", page, MAP_SHARED);
	*p = 1;
	OK(msync(p, page, MS_SYNC));
	OK(msync(p, page, MS_ASYNC));
	FAILS(EINVAL, msync(p, page, MS_SYNC | MS_ASYNC));
}
PROBE(locked) {
	char *p = map(page);
	OK(mlock(p, page));
	OK(munlock(p, page));
}
PROBE(locked_on_fault) {
	char *p = map(page);
	OK(mlock2(p, page, 1 /* MLOCK_ONFAULT */));
	OK(munlock(p, page));
}
PROBE(shared_segment) {
	int id = OK(shmget(IPC_PRIVATE, 3 * page, IPC_CREAT | 0600));
	char *p = shmat(id, 0, 0);
	OK(shmctl(id, IPC_RMID, 0));
	CHECK(p != (void *)-1);
	IN_CHILD(p[5] = 9);
	EQUAL(p[5], 9);
	OK(shmdt(p));
	CHECK(!readable(p));
}
PROBE(shared_segment_status) {
	int id = OK(shmget(IPC_PRIVATE, 12345, IPC_CREAT | 0640));
	char *p = shmat(id, 0, SHM_RDONLY);
	struct shmid_ds d;
	memset(&d, 0, sizeof d);
	int status = shmctl(id, IPC_STAT, &d);
	OK(shmctl(id, IPC_RMID, 0));
	OK(status);
	CHECK(p != (void *)-1);
	EQUAL(d.shm_segsz, 12345);
	EQUAL(d.shm_nattch, 1);
	EQUAL(d.shm_cpid, getpid());
	EQUAL(d.shm_perm.mode & 0777, 0640);
}
PROBE(posix_shared) {
	char name[50];
	snprintf(name, sizeof name, "/probe-%d", getpid());
	int fd = OK(shm_open(name, O_RDWR | O_CREAT | O_EXCL, 0600));
	OK(shm_unlink(name));
	OK(ftruncate(fd, page));
	char *p = mmap(0, page, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	CHECK(p != MAP_FAILED);
	p[0] = 1;
}
PROBE(memory_file_seals) {
	int fd = OK(memfd_create("x", MFD_ALLOW_SEALING));
	OK(ftruncate(fd, page));
	OK(fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_WRITE));
	EQUAL(OK(fcntl(fd, F_GET_SEALS)), F_SEAL_SHRINK | F_SEAL_WRITE);
	FAILS(EPERM, ftruncate(fd, 0));
	FAILS(EPERM, write(fd, "x", 1));
}
PROBE(grows_down) {
#if defined __hppa__
	elsewhere("its stack grows up");
#endif
	char *p = mmap(0, 64 * page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_GROWSDOWN, -1, 0);
	CHECK(p != MAP_FAILED);
	p[0] = 1;
}
// E14: MAP_32BIT
PROBE(low_mapping) {
#ifdef MAP_32BIT
	if (sizeof(long) == 4) elsewhere("all addresses are low");
	for (int i = 0; i < 20; i++) {
		char *p = map_at(0, 65536, PROT_READ, MAP_32BIT);
		if ((uintptr_t)p >> 31) WRONG("it is at %p", p);
	}
#else
	elsewhere("no MAP_32BIT");
#endif
}
PROBE(huge_reservation) {
	if (sizeof(long) == 4) elsewhere("addresses have 32 bits");
	size_t size = (size_t)(1ULL << 36);
	char *p = map_at(0, size, PROT_NONE, MAP_NORESERVE);
	OK(mprotect(p + size / 2, page, PROT_READ | PROT_WRITE));
	p[size / 2] = 1;
	OK(munmap(p, size));
}
PROBE(too_much) {
	if (sizeof(long) == 4) FAILS(ENOMEM, (long)mmap(0, 0xfff00000UL, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0));
	else FAILS(ENOMEM, (long)mmap(0, (size_t)1 << (sizeof(long) * 8 - 2), PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0));
}
PROBE(many_mappings) {
	char *p[500];
	for (size_t i = 0; i < COUNT(p); i++) p[i] = map_at(0, page, i % 2 ? PROT_READ : PROT_READ | PROT_WRITE, 0);
	for (size_t i = 0; i < COUNT(p); i++) CHECK(readable(p[i]));
	for (size_t i = 0; i < COUNT(p); i += 2) OK(munmap(p[i], page));
	for (size_t i = 0; i < COUNT(p); i++) CHECK(readable(p[i]) == (i % 2));
}
PROBE(pages_protected_singly) {
	char *p = map(200 * page);
	for (int i = 0; i < 200; i += 3) OK(mprotect(p + i * page, page, PROT_NONE));
	for (int i = 0; i < 200; i++) CHECK(readable(p + i * page) == (i % 3 != 0));
}
PROBE(wrong_pointer) {
	FAILS(EFAULT, syscall(SYS_write, 1, 1L, 10));
	FAILS(EFAULT, stat((void *)1, &(struct stat){0}));
	FAILS(EFAULT, syscall(SYS_uname, (void *)1));
}
PROBE(low_memory_is_not_mapped) { FAILS(EFAULT, syscall(SYS_write, 1, 16L, 4)); }
// As glibc has guards since 2.42, and before.
PROBE(guard_in_a_call) {
	long page = sysconf(_SC_PAGESIZE);
	char *p = map(2 * page);
	if (madvise(p + page, page, 102 /* MADV_GUARD_INSTALL, 6.13 */)) {
		EQUAL(errno, EINVAL);
		OK(mprotect(p + page, page, PROT_NONE));
	}
	FAILS(EFAULT, open(p + page, O_RDONLY));
	FAILS(EFAULT, syscall(SYS_uname, p + page));
}
PROBE(many_low_mappings) {
#ifdef __x86_64__
	for (int i = 0; i < 20000; i++) {
		char *p = mmap(0, 4096, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_32BIT, -1, 0);
		CHECK(p != MAP_FAILED && (uintptr_t)p < 1u << 31);
	}
#else
	elsewhere("only x86-64 has MAP_32BIT");
#endif
}
// E14
PROBE(not_for_children) {
	char *p = map(2 * page);
	p[0] = p[page] = 1;
	OK(madvise(p, page, MADV_DONTFORK));
	int status;
	pid_t child = OK(fork());
	if (!child) {
		FAILS(EFAULT, open(p, O_RDONLY));
		CHECK(!readable(p) && readable(p + page));
		EQUAL((uintptr_t)mmap(p, page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0), (uintptr_t)p);
		EQUAL(p[0], 0);
		_exit(PASS);
	}
	EQUAL(OK(waitpid(child, &status, 0)), child);
	EQUAL(status, 0);
	EQUAL(p[0], 1);
	OK(madvise(p, page, MADV_DOFORK));
	child = OK(fork());
	if (!child) _exit(p[0] == 1 ? PASS : FAIL);
	EQUAL(OK(waitpid(child, &status, 0)), child);
	EQUAL(status, 0);
}
PROBE(advice_where_nothing_is) {
	char *p = map(3 * page);
	OK(munmap(p + page, page));
	FAILS(ENOMEM, madvise(p, 3 * page, MADV_DONTDUMP));
	EQUAL((uintptr_t)mmap(p + page, page, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0), (uintptr_t)p + page);
}
PROBE(mapped_once_more) {
	char *p = OK((char *)mmap(0, 2 * page, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0));
	p[page] = 1;
	char *q = OK((char *)mremap(p, 0, 2 * page, MREMAP_MAYMOVE));
	CHECK(q != p);
	EQUAL(q[page], 1);
	q[0] = 2;
	EQUAL(p[0], 2);
	FAILS(EINVAL, (long)mremap(map(page), 0, page, MREMAP_MAYMOVE));
}
PROBE(pages_told) {
	char *p = map(2 * page);
	p[0] = 1;
	void *pages[] = {p, p + page};
	int status[] = {-99, -99};
	if (syscall(SYS_move_pages, 0, 2L, pages, 0L, status, 0)) {
		if (errno == ENOSYS) unsupported("no move_pages");
		WRONG("%s", strerror(errno));
	}
	CHECK(status[0] >= 0);
	EQUAL(status[1], -ENOENT);
}
// E14: to write is to read, but on HP's PA-RISC.
PROBE(written_only) {
#ifdef __hppa__
	elsewhere("there is memory that can be written only");
#endif
	char *p = map_at(0, page, PROT_WRITE, 0);
	memset(p, 'x', page);
	memmove(p + 100, p + 200, 300);
	int fd[2];
	OK(pipe(fd));
	EQUAL(write(fd[1], p, 10), 10);
	p[5] = 0;
	FAILS(ENOENT, open(p, O_RDONLY));
	OK(mprotect(p, page, PROT_READ));
	OK(mprotect(p, page, PROT_WRITE));
	EQUAL(write(fd[1], p, 10), 10);
}
PROBE(bits_unknown) {
	OK((char *)mmap(0, page, PROT_READ | 0x1000, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
	FAILS(EINVAL, mprotect(map(page), page, PROT_READ | 0x1000));
	FAILS(EINVAL, madvise(map(page), page, 0x7777));
	FAILS(EINVAL, madvise(0, 0, 0x7777));
}
PROBE(residence_of_nothing) {
	unsigned char c;
	OK(mincore(0, 0, &c));
	FAILS(EINVAL, mincore((void *)1, 1, &c));
	FAILS(EFAULT, mincore(map(page), page, (void *)1));
	c = 0xff;
	OK(mincore(map(page), page, &c));
	EQUAL(c & ~1, 0);
}
PROBE(file_grows_after_mmap) {
	int fd;
	char c, *p = map_end(&fd, 0, MAP_SHARED);
	OK(ftruncate(fd, 3 * PART));
	p[PART + 5] = 'x';
	EQUAL(pread(fd, &c, 1, PART + 5), 1);
	EQUAL(c, 'x');
	EQUAL(pwrite(fd, "y", 1, 2 * PART - 1), 1);
	EQUAL(p[2 * PART - 1], 'y');
}
PROBE(private_file_grows_after_mmap) {
	int fd;
	char *p = map_end(&fd, 100, MAP_PRIVATE);
	CHECK(readable(p) && !readable(p + PART));
	EQUAL(pwrite(fd, "y", 1, 2 * PART - 1), 1);
	CHECK(readable(p + PART) && !readable(p + 2 * PART));
	EQUAL(p[2 * PART - 1], 'y');
}
PROBE(rest_of_page_is_zero) {
	int fd;
	char *p = map_end(&fd, 100, MAP_PRIVATE);
	for (size_t i = 0; i < page; i++) EQUAL(p[i], 0);
	memset(p, 1, page);
	struct stat s;
	OK(fstat(fd, &s));
	EQUAL(s.st_size, 100);
}
PROBE(moves_whole_pages) {
	char *p = map(4 * page);
	FAILS(EINVAL, mremap(p + page / 2, page, 2 * page, MREMAP_MAYMOVE));
	FAILS(EINVAL, mremap(p, page, page, MREMAP_MAYMOVE | MREMAP_FIXED, p + 2 * page + page / 2));
	for (size_t i = 0; i < 4 * page; i += page / 2) CHECK(readable(p + i));
}
