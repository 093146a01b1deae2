// Code that is made while a program runs, as by a compiler of Java's, JavaScript's, or .NET's, and by libffi.
#include "probe.h"
#include <sys/auxv.h>

// Two functions whose code is copied: they return constants, and need nothing but registers.
__attribute__((noinline, noclone, aligned(64))) static int returns_17(void) { return 17; }
__attribute__((noinline, noclone, aligned(64))) static int returns_42(void) { return 42; }
enum { SIZE = 64 };

#if defined __hppa__
#define SKIP elsewhere("functions' addresses are descriptors in the linkage table")
#else
#define SKIP (void)0
#endif

// A function's code, and a call of code.
static void *code_of(int (*f)(void)) {
#if defined __powerpc64__ && _CALL_ELF != 2
	void *volatile descriptor = f; // the compiler takes a function's address for its code's
	return *(void **)descriptor;
#elif defined __arm__
	return (void *)((uintptr_t)f & ~(uintptr_t)1);
#else
	return (void *)f;
#endif
}
static int call(void *code) {
#if defined __powerpc64__ && _CALL_ELF != 2
	void *volatile one = returns_17, *volatile descriptor[3] = {code, ((void **)one)[1], 0}, *volatile at = (void *)descriptor;
#elif defined __arm__
	void *volatile at = (void *)((uintptr_t)code | ((uintptr_t)returns_17 & 1));
#else
	void *volatile at = code;
#endif
	int (*f)(void) = (int (*)(void))(uintptr_t)at;
	return f();
}
static void flush(void *at) { __builtin___clear_cache((char *)at, (char *)at + SIZE); }
static void put(void *at, int (*f)(void), void *run_at) {
	memcpy(at, code_of(f), SIZE);
	flush(run_at);
}
static void *map(int protection) {
	void *p = mmap(0, 65536, protection, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (p == MAP_FAILED) WRONG("mmap: %s", strerror(errno));
	return p;
}
enum { RWX = PROT_READ | PROT_WRITE | PROT_EXEC, RX = PROT_READ | PROT_EXEC, RW = PROT_READ | PROT_WRITE };

PROBE(written_and_run) {
	SKIP;
	void *p = map(RWX);
	put(p, returns_17, p);
	EQUAL(call(p), 17);
}
PROBE(rewritten) {
	SKIP;
	void *p = map(RWX);
	for (int i = 0; i < 200; i++) {
		put(p, i & 1 ? returns_17 : returns_42, p);
		EQUAL(call(p), i & 1 ? 17 : 42);
	}
}
PROBE(protected_in_turn) {
	SKIP;
	void *p = map(RW);
	for (int i = 0; i < 100; i++) {
		OK(mprotect(p, 65536, RW));
		put(p, i & 1 ? returns_17 : returns_42, p);
		OK(mprotect(p, 65536, RX));
		flush(p);
		EQUAL(call(p), i & 1 ? 17 : 42);
	}
}
PROBE(rewritten_while_threads_end) {
	SKIP;
	void *p = map(RWX);
	bool done = false;
	pthread_t t = thread(begins_and_ends, &done);
	for (int64_t end = now() + 500000000; now() < end;) {
		put(p, returns_17, p);
		EQUAL(call(p), 17);
		put(p, returns_42, p);
		EQUAL(call(p), 42);
	}
	done = true;
	join(t);
}
static void two_mappings(void **write_at, void **run_at, int fd) {
	OK(ftruncate(fd, 65536));
	*write_at = mmap(0, 65536, RW, MAP_SHARED, fd, 0);
	*run_at = mmap(0, 65536, RX, MAP_SHARED, fd, 0);
	if (*write_at == MAP_FAILED || *run_at == MAP_FAILED) WRONG("mmap: %s", strerror(errno));
}
// E6
static void by_two_mappings(int fd, bool flush_both) {
	SKIP;
	void *w, *x;
	two_mappings(&w, &x, fd);
	int stale = 0;
	for (int i = 0; i < 100; i++) {
		put(w, i & 1 ? returns_17 : returns_42, x);
		if (flush_both) flush(w);
		stale += call(x) != (i & 1 ? 17 : 42);
	}
	if (stale) WRONG("%d of 100 calls ran old code", stale);
}
PROBE(two_mappings_of_memory) { by_two_mappings(OK(memfd_create("code", 0)), false); }
PROBE(two_mappings_both_flushed) { by_two_mappings(OK(memfd_create("code", 0)), true); }
PROBE(two_mappings_of_file) { by_two_mappings(OK(open("code", O_RDWR | O_CREAT, 0700)), true); }
PROBE(two_mappings_other_order) {
	SKIP;
	int fd = OK(memfd_create("code", 0));
	OK(ftruncate(fd, 65536));
	void *x = mmap(0, 65536, RX, MAP_SHARED, fd, 0), *w = mmap(0, 65536, RW, MAP_SHARED, fd, 0);
	CHECK(x != MAP_FAILED && w != MAP_FAILED);
	put(w, returns_17, x);
	EQUAL(call(x), 17);
	put(w, returns_42, x);
	EQUAL(call(x), 42);
}
PROBE(mapping_moved) {
	SKIP;
	void *w, *x;
	two_mappings(&w, &x, OK(memfd_create("code", 0)));
	put(w, returns_17, x);
	EQUAL(call(x), 17);
	void *moved = mremap(w, 65536, 65536, MREMAP_MAYMOVE | MREMAP_FIXED, map(RW));
	CHECK(moved != MAP_FAILED);
	put(moved, returns_42, x);
	EQUAL(call(x), 42);
}
PROBE(written_by_system_call) {
	SKIP;
	void *p = map(RWX);
	put(p, returns_17, p);
	EQUAL(call(p), 17);
	int ends[2];
	OK(pipe(ends));
	EQUAL(write(ends[1], code_of(returns_42), SIZE), SIZE);
	EQUAL(read(ends[0], p, SIZE), SIZE);
	flush(p);
	EQUAL(call(p), 42);
}
PROBE(written_by_file) {
	SKIP;
	int fd = OK(open("code", O_RDWR | O_CREAT, 0700));
	EQUAL(write(fd, code_of(returns_17), SIZE), SIZE);
	void *x = mmap(0, SIZE, RX, MAP_SHARED, fd, 0);
	CHECK(x != MAP_FAILED);
	flush(x);
	EQUAL(call(x), 17);
	EQUAL(pwrite(fd, code_of(returns_42), SIZE, 0), SIZE);
	flush(x);
	EQUAL(call(x), 42);
}
PROBE(mapped_again_at_same_place) {
	SKIP;
	void *p = map(RWX);
	put(p, returns_17, p);
	EQUAL(call(p), 17);
	OK(munmap(p, 65536));
	void *q = mmap(p, 65536, RWX, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
	CHECK(q == p);
	put(p, returns_42, p);
	EQUAL(call(p), 42);
}
PROBE(replaced_by_file) {
	SKIP;
	void *p = map(RWX);
	put(p, returns_17, p);
	EQUAL(call(p), 17);
	int fd = OK(open("code", O_RDWR | O_CREAT, 0700));
	EQUAL(write(fd, code_of(returns_42), SIZE), SIZE);
	CHECK(mmap(p, 65536, RX, MAP_PRIVATE | MAP_FIXED, fd, 0) == p);
	flush(p);
	EQUAL(call(p), 42);
}
PROBE(dropped_by_advice) {
	SKIP;
	int fd = OK(open("code", O_RDWR | O_CREAT, 0700));
	EQUAL(write(fd, code_of(returns_42), SIZE), SIZE);
	void *p = mmap(0, 65536, RWX, MAP_PRIVATE, fd, 0);
	CHECK(p != MAP_FAILED);
	put(p, returns_17, p);
	EQUAL(call(p), 17);
	OK(madvise(p, 65536, MADV_DONTNEED));
	flush(p);
	EQUAL(call(p), 42);
}
static void *code;
static atomic_int version;
static void *calls(void *arg) {
	int seen = 0;
	while (seen < 50) {
		int v = atomic_load(&version);
		if (v == seen) {
			sched_yield();
			continue;
		}
		flush(code); // this processor's own
		int got = call(code);
		if (got != (v & 1 ? 17 : 42)) WRONG("version %d returns %d", v, got);
		seen = v;
		atomic_store((atomic_int *)arg, v);
	}
	return 0;
}
static void other_thread_writes(void *w, void *x) {
	static atomic_int done;
	code = x;
	pthread_t t = thread(calls, &done);
	for (int i = 1; i <= 50; i++) {
		put(w, i & 1 ? returns_17 : returns_42, x);
		atomic_store(&version, i);
		while (atomic_load(&done) != i) sched_yield();
	}
	join(t);
}
PROBE(other_thread_writes) {
	SKIP;
	void *p = map(RWX);
	other_thread_writes(p, p);
}
PROBE(other_thread_writes_elsewhere) {
	SKIP;
	void *w, *x;
	two_mappings(&w, &x, OK(memfd_create("code", 0)));
	other_thread_writes(w, x);
}
PROBE(other_process_writes) {
	SKIP;
	void *w, *x;
	two_mappings(&w, &x, OK(memfd_create("code", 0)));
	put(w, returns_17, x);
	EQUAL(call(x), 17);
	IN_CHILD(put(w, returns_42, w));
	flush(x);
	EQUAL(call(x), 42);
}
PROBE(child_has_its_own) {
	SKIP;
	void *p = map(RWX);
	put(p, returns_17, p);
	EQUAL(call(p), 17);
	IN_CHILD(EQUAL(call(p), 17); put(p, returns_42, p); EQUAL(call(p), 42));
	EQUAL(call(p), 17);
}
PROBE(many_functions) {
	SKIP;
	char *p = mmap(0, 1 << 20, RWX, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	CHECK(p != (void *)-1);
	for (int i = 0; i < (1 << 20) / SIZE; i += 7) put(p + i * SIZE, i & 1 ? returns_17 : returns_42, p + i * SIZE);
	for (int i = 0; i < (1 << 20) / SIZE; i += 7) EQUAL(call(p + i * SIZE), i & 1 ? 17 : 42);
}
PROBE(across_pages) {
	SKIP;
	char *p = map(RWX);
	for (int i = 0; i < 20; i++) {
		put(p + 4096 - 4, i & 1 ? returns_17 : returns_42, p + 4096 - 4);
		flush(p + 4096);
		EQUAL(call(p + 4096 - 4), i & 1 ? 17 : 42);
	}
}
// A function within a function has a trampoline on the stack.
static int apply(int (*f)(int), int v) { return f(v); }
PROBE(trampoline) {
	int sum = 0;
	int adds(int v) { return sum += v; }
	for (int i = 1; i <= 10; i++) apply(adds, i);
	EQUAL(sum, 55);
}

#ifdef __aarch64__
// E10: signatures of pointers by QARMA5, as the architecture defines them, take an emulator six to eight times as long
// as those of an algorithm of its own.
PROBE(pointers_signed_cheaply) {
	if (!(getauxval(AT_HWCAP) & 1 << 11)) elsewhere("the identification registers are not readable");
	uint64_t features;
	__asm__("mrs %0, s3_0_c0_c6_1" : "=r"(features)); // ID_AA64ISAR1_EL1
	CHECK((features >> 4 & 15) == 0); // APA
}
#endif
