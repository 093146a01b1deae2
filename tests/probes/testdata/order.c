// Memory order: what two threads see of each other's loads and stores.
#include "probe.h"

enum { ROUNDS = 20000 };

// Each round both (or all) threads leave a gate together. Variables are on cache lines of their own.
static struct { _Alignas(128) atomic_int v; } gate[4];
static struct { _Alignas(128) _Atomic uint8_t v; } x8, y8;
static struct { _Alignas(128) _Atomic uint16_t v; } x16, y16;
static struct { _Alignas(128) _Atomic uint32_t v; } x, y;
static struct { _Alignas(128) _Atomic uint64_t v; } x64, y64;
static int threads;
static atomic_int rounds = ROUNDS;
static void (*body)(int thread);
static void (*judge)(void);
static uint64_t r[4][2];
static atomic_int bad;

static void meet(int me, int turn) {
	atomic_store(&gate[me].v, turn);
	for (int i = 0; i < threads; i++)
		for (int spins = 0; atomic_load(&gate[i].v) < turn; spins++)
			if (spins > 200) sched_yield();
}

static void *player(void *arg) {
	int me = (int)(intptr_t)arg;
	int64_t end = now() + 1500000000;
	for (int i = 0; i < rounds; i++) {
		meet(me, 3 * i + 1);
		body(me);
		meet(me, 3 * i + 2);
		if (me == 0) {
			judge();
			if (i % 256 == 255 && now() > end) rounds = i + 1; // a busy machine
			atomic_store(&x8.v, 0), atomic_store(&y8.v, 0), atomic_store(&x16.v, 0), atomic_store(&y16.v, 0);
			atomic_store(&x.v, 0), atomic_store(&y.v, 0), atomic_store(&x64.v, 0), atomic_store(&y64.v, 0);
		}
		meet(me, 3 * i + 3);
	}
	return 0;
}

static void play(int n, void (*b)(int), void (*j)(void)) {
	threads = n, body = b, judge = j;
	pthread_t t[4];
	for (int i = 0; i < n; i++) t[i] = thread(player, (void *)(intptr_t)i);
	for (int i = 0; i < n; i++) join(t[i]);
	if (bad) WRONG("%d of %d rounds are wrong", (int)bad, (int)rounds);
}

// E1. Both threads store, then load what the other stored: not both see nothing.
static void both_zero(void) { bad += r[0][0] == 0 && r[1][0] == 0; }
#define STORE_LOAD(NAME, X, Y, STORE, BETWEEN, LOAD)                               \
	static void NAME##_body(int me) {                                          \
		if (me == 0) { STORE(X, 1); BETWEEN; r[0][0] = LOAD(Y); }          \
		else { STORE(Y, 1); BETWEEN; r[1][0] = LOAD(X); }                  \
	}                                                                          \
	PROBE(NAME) { play(2, NAME##_body, both_zero); }
#define PUT(V, N) atomic_store(&V.v, N)
#define GET(V) atomic_load(&V.v)
#define PUT_RELAXED(V, N) atomic_store_explicit(&V.v, N, memory_order_relaxed)
#define GET_RELAXED(V) atomic_load_explicit(&V.v, memory_order_relaxed)
#define PUT_RELEASE(V, N) atomic_store_explicit(&V.v, N, memory_order_release)
#define GET_ACQUIRE(V) atomic_load_explicit(&V.v, memory_order_acquire)
#define SWAP(V, N) atomic_exchange(&V.v, N)
#define GET_ADD(V) atomic_fetch_add(&V.v, 0)
#define CAS(V, N) ({ __typeof__(+V.v) old_ = 0; atomic_compare_exchange_strong(&V.v, &old_, N); })
#define GET_CAS(V) ({ __typeof__(+V.v) old_ = 0; atomic_compare_exchange_strong(&V.v, &old_, 0); old_; })
STORE_LOAD(store_load_8, x8, y8, PUT, , GET)
STORE_LOAD(store_load_16, x16, y16, PUT, , GET)
STORE_LOAD(store_load_32, x, y, PUT, , GET)
STORE_LOAD(store_load_64, x64, y64, PUT, , GET)
STORE_LOAD(store_load_mixed, x64, y8, PUT, , GET)
STORE_LOAD(store_load_fence, x, y, PUT_RELAXED, atomic_thread_fence(memory_order_seq_cst), GET_RELAXED)
STORE_LOAD(store_load_fence_64, x64, y64, PUT_RELAXED, __sync_synchronize(), GET_RELAXED)
STORE_LOAD(exchange_load, x, y, SWAP, , GET)
STORE_LOAD(exchange_load_64, x64, y64, SWAP, , GET)
STORE_LOAD(exchange_load_8, x8, y8, SWAP, , GET)
STORE_LOAD(compare_load, x, y, CAS, , GET)
STORE_LOAD(store_add, x, y, PUT, , GET_ADD)
STORE_LOAD(store_compare, x, y, PUT, , GET_CAS)
STORE_LOAD(store_compare_64, x64, y64, PUT, , GET_CAS)
STORE_LOAD(exchange_add, x, y, SWAP, , GET_ADD)

#ifdef __aarch64__
#define A64(NAME, STORE, LOAD, TYPE, W)                                                                  \
	static inline void NAME##_put(_Atomic TYPE *p) { STORE }                                         \
	static inline TYPE NAME##_get(_Atomic TYPE *p) { TYPE v; LOAD return v; }                        \
	static void NAME##_body(int me) {                                                                \
		if (me == 0) { NAME##_put(&x##W.v); r[0][0] = NAME##_get(&y##W.v); }                     \
		else { NAME##_put(&y##W.v); r[1][0] = NAME##_get(&x##W.v); }                             \
	}                                                                                                \
	PROBE(NAME) { play(2, NAME##_body, both_zero); }
#define ASM(...) __asm__ volatile(".arch armv8.3-a+lse\n" __VA_ARGS__)
A64(a64_stlr_ldar, ASM("stlr %w1, [%0]" :: "r"(p), "r"(1) : "memory");, ASM("ldar %w0, [%1]" : "=&r"(v) : "r"(p) : "memory");, uint32_t, )
A64(a64_stlr_ldar_x, ASM("stlr %1, [%0]" :: "r"(p), "r"(1L) : "memory");, ASM("ldar %0, [%1]" : "=&r"(v) : "r"(p) : "memory");, uint64_t, 64)
A64(a64_stlrb_ldarb, ASM("stlrb %w1, [%0]" :: "r"(p), "r"(1) : "memory");, ASM("ldarb %w0, [%1]" : "=&r"(v) : "r"(p) : "memory");, uint8_t, 8)
A64(a64_stlrh_ldarh, ASM("stlrh %w1, [%0]" :: "r"(p), "r"(1) : "memory");, ASM("ldarh %w0, [%1]" : "=&r"(v) : "r"(p) : "memory");, uint16_t, 16)
A64(a64_swpal_ldar, ASM("swpal %w1, wzr, [%0]" :: "r"(p), "r"(1) : "memory");, ASM("ldar %w0, [%1]" : "=&r"(v) : "r"(p) : "memory");, uint32_t, )
A64(a64_swpal_ldapr, ASM("swpal %w1, wzr, [%0]\ndmb ish" :: "r"(p), "r"(1) : "memory");, ASM("ldapr %w0, [%1]" : "=&r"(v) : "r"(p) : "memory");, uint32_t, )
A64(a64_stlr_ldaddal, ASM("stlr %w1, [%0]" :: "r"(p), "r"(1) : "memory");, ASM("ldaddal wzr, %w0, [%1]" : "=&r"(v) : "r"(p) : "memory");, uint32_t, )
A64(a64_stlr_ldaxr, ASM("stlr %w1, [%0]" :: "r"(p), "r"(1) : "memory");, ASM("ldaxr %w0, [%1]\nclrex" : "=&r"(v) : "r"(p) : "memory");, uint32_t, )
A64(a64_str_dmb_ldr, ASM("str %w1, [%0]\ndmb ish" :: "r"(p), "r"(1) : "memory");, ASM("ldr %w0, [%1]" : "=&r"(v) : "r"(p) : "memory");, uint32_t, )
#endif
#if defined __arm__ && __ARM_ARCH >= 7
#define A32(NAME, STORE, LOAD)                                                                           \
	static void NAME##_body(int me) {                                                                \
		_Atomic uint32_t *mine = me ? &y.v : &x.v, *other = me ? &x.v : &y.v;                    \
		uint32_t v;                                                                              \
		__asm__ volatile(".arch armv8-a\n" STORE "\n" LOAD : "=&r"(v) : "r"(mine), "r"(1), "r"(other) : "memory"); \
		r[me][0] = v;                                                                            \
	}                                                                                                \
	PROBE(NAME) { play(2, NAME##_body, both_zero); }
A32(a32_stl_lda, "stl %2, [%1]", "lda %0, [%3]")
A32(a32_stl_ldaex, "stl %2, [%1]", "ldaex %0, [%3]\nclrex")
A32(a32_str_dmb_ldr, "str %2, [%1]\ndmb ish", "ldr %0, [%3]")
#endif

// One thread writes a message and a flag; who sees the flag sees the message.
static void message_lost(void) { bad += r[1][0] == 1 && r[1][1] != 42; }
#define MESSAGE(NAME, DATA, FLAG, STORE, BETWEEN, LOAD, BETWEEN2)                                          \
	static void NAME##_body(int me) {                                                                 \
		if (me == 0) { PUT_RELAXED(DATA, 42); BETWEEN; STORE(FLAG, 1); }                          \
		else { r[1][0] = LOAD(FLAG); BETWEEN2; r[1][1] = GET_RELAXED(DATA); }                     \
	}                                                                                                 \
	PROBE(NAME) { play(2, NAME##_body, message_lost); }
MESSAGE(message_release_acquire, x, y, PUT_RELEASE, , GET_ACQUIRE, )
MESSAGE(message_release_acquire_64, x64, y, PUT_RELEASE, , GET_ACQUIRE, )
MESSAGE(message_release_acquire_8, x, y8, PUT_RELEASE, , GET_ACQUIRE, )
MESSAGE(message_fences, x, y, PUT_RELAXED, atomic_thread_fence(memory_order_release), GET_RELAXED, atomic_thread_fence(memory_order_acquire))
MESSAGE(message_exchange, x, y, SWAP, , GET_ADD, )

// Each loads what the other stores afterwards: not both see it.
static void from_nowhere(void) { bad += r[0][0] == 1 && r[1][0] == 1; }
static void load_store_body(int me) {
	if (me == 0) { r[0][0] = GET_ACQUIRE(x); PUT_RELEASE(y, 1); }
	else { r[1][0] = GET_ACQUIRE(y); PUT_RELEASE(x, 1); }
}
PROBE(load_store) { play(2, load_store_body, from_nowhere); }

// Two write, two read in different orders: they agree which was first.
static void disagree(void) { bad += r[2][0] == 1 && r[2][1] == 0 && r[3][0] == 1 && r[3][1] == 0; }
static void independent_body(int me) {
	switch (me) {
	case 0: PUT(x, 1); break;
	case 1: PUT(y, 1); break;
	case 2: r[2][0] = GET(x); r[2][1] = GET(y); break;
	case 3: r[3][0] = GET(y); r[3][1] = GET(x); break;
	}
}
PROBE(independent_reads) { rounds = 3000; play(4, independent_body, disagree); }

// A place is never seen to go back.
static void went_back(void) { bad += r[1][0] > r[1][1]; }
static void coherent_body(int me) {
	if (me == 0) { PUT_RELAXED(x, 1); PUT_RELAXED(x, 2); }
	else { r[1][0] = GET_RELAXED(x); r[1][1] = GET_RELAXED(x); }
}
PROBE(coherent) { play(2, coherent_body, went_back); }

// Two threads add, each in its way.
enum { ADDS = 100000 };
static void add(void) {
	for (int i = 0; i < ADDS; i++) body(0);
}
static void *adder(void *arg) {
	(void)arg;
	add();
	return 0;
}
static void add_together(void (*b)(int)) {
	body = b;
	pthread_t a = thread(adder, 0), c = thread(adder, 0);
	join(a), join(c);
}
static void add_8(int me) { (void)me; atomic_fetch_add(&x8.v, 1); }
static void add_16(int me) { (void)me; atomic_fetch_add(&x16.v, 1); }
static void add_32(int me) { (void)me; atomic_fetch_add(&x.v, 1); }
static void add_64(int me) { (void)me; atomic_fetch_add(&x64.v, 0x100000001); }
static void add_compare(int me) {
	(void)me;
	uint32_t old = atomic_load(&x.v);
	while (!atomic_compare_exchange_weak(&x.v, &old, old + 1)) {}
}
static void add_compare_64(int me) {
	(void)me;
	uint64_t old = atomic_load(&x64.v);
	while (!atomic_compare_exchange_weak(&x64.v, &old, old + 0x100000001)) {}
}
PROBE(adds_8) { add_together(add_8); EQUAL(x8.v, (uint8_t)(2 * ADDS)); }
PROBE(adds_16) { add_together(add_16); EQUAL(x16.v, (uint16_t)(2 * ADDS)); }
PROBE(adds_32) { add_together(add_32); EQUAL(x.v, 2 * ADDS); }
PROBE(adds_64) { add_together(add_64); EQUAL(x64.v, 2LL * ADDS * 0x100000001); }
PROBE(adds_compare) { add_together(add_compare); EQUAL(x.v, 2 * ADDS); }
PROBE(adds_compare_64) { add_together(add_compare_64); EQUAL(x64.v, 2LL * ADDS * 0x100000001); }

static int plain; // what locks guard
static atomic_flag flag = ATOMIC_FLAG_INIT;
static void add_spinning(int me) {
	(void)me;
	for (int spins = 0; atomic_flag_test_and_set_explicit(&flag, memory_order_acquire); spins++)
		if (spins > 200) sched_yield();
	plain++;
	atomic_flag_clear_explicit(&flag, memory_order_release);
}
static atomic_uint next, serving;
static void add_by_ticket(int me) {
	(void)me;
	unsigned mine = atomic_fetch_add_explicit(&next, 1, memory_order_relaxed);
	for (int spins = 0; atomic_load_explicit(&serving, memory_order_acquire) != mine; spins++)
		if (spins > 200) sched_yield();
	plain++;
	atomic_store_explicit(&serving, mine + 1, memory_order_release);
}
PROBE(spin_lock) { add_together(add_spinning); EQUAL(plain, 2 * ADDS); }
PROBE(ticket_lock) {
	add_together(add_by_ticket);
	EQUAL(plain, 2 * ADDS);
}

// Peterson's lock stands and falls with sequential consistency.
static atomic_int wants[2], turn;
static void *peterson_thread(void *arg) {
	int me = (int)(intptr_t)arg;
	for (int i = 0; i < ADDS / 4; i++) {
		atomic_store(&wants[me], 1);
		atomic_store(&turn, !me);
		for (int spins = 0; atomic_load(&wants[!me]) && atomic_load(&turn) == !me; spins++)
			if (spins > 200) sched_yield();
		plain++;
		atomic_store(&wants[me], 0);
	}
	return 0;
}
PROBE(peterson_lock) {
	pthread_t a = thread(peterson_thread, 0), b = thread(peterson_thread, (void *)1);
	join(a), join(b);
	EQUAL(plain, ADDS / 4 * 2);
}

// A 64-bit atomic is written and read in one.
static atomic_bool done;
static void *tearer(void *arg) {
	(void)arg;
	for (int i = 0; i < ADDS; i++) atomic_store_explicit(&x64.v, i & 1 ? ~0ULL : 0, memory_order_relaxed);
	atomic_store(&done, true);
	return 0;
}
PROBE(no_tearing_64) {
	pthread_t t = thread(tearer, 0);
	while (!atomic_load(&done)) {
		uint64_t v = atomic_load_explicit(&x64.v, memory_order_relaxed);
		if (v && v != ~0ULL) WRONG("half of a store: %#" PRIx64, v);
	}
	join(t);
}

// A writer's sequence number: odd while it writes.
static atomic_uint sequence;
static _Atomic uint32_t parts[4];
static void *sequence_writer(void *arg) {
	(void)arg;
	for (unsigned i = 0; i < ADDS / 2; i++) {
		atomic_store_explicit(&sequence, 2 * i + 1, memory_order_relaxed);
		atomic_thread_fence(memory_order_release);
		for (size_t k = 0; k < COUNT(parts); k++) atomic_store_explicit(&parts[k], i, memory_order_relaxed);
		atomic_store_explicit(&sequence, 2 * i + 2, memory_order_release);
	}
	atomic_store(&done, true);
	return 0;
}
PROBE(sequence_lock) {
	pthread_t t = thread(sequence_writer, 0);
	while (!atomic_load(&done)) {
		unsigned before = atomic_load_explicit(&sequence, memory_order_acquire);
		uint32_t seen[COUNT(parts)];
		for (size_t k = 0; k < COUNT(parts); k++) seen[k] = atomic_load_explicit(&parts[k], memory_order_relaxed);
		atomic_thread_fence(memory_order_acquire);
		unsigned after = atomic_load_explicit(&sequence, memory_order_relaxed);
		if (before != after || before & 1) continue;
		for (size_t k = 1; k < COUNT(parts); k++) EQUAL(seen[k], seen[0]);
	}
	join(t);
}

// A list that two threads push to and one empties at once.
struct node { struct node *next; };
static _Atomic(struct node *) head;
static void *pusher(void *arg) {
	struct node *nodes = arg;
	for (int i = 0; i < ADDS / 10; i++) {
		nodes[i].next = atomic_load_explicit(&head, memory_order_relaxed);
		while (!atomic_compare_exchange_weak_explicit(&head, &nodes[i].next, &nodes[i], memory_order_release, memory_order_relaxed)) {}
	}
	return 0;
}
PROBE(lock_free_list) {
	static struct node nodes[2][ADDS / 10];
	pthread_t a = thread(pusher, nodes[0]), b = thread(pusher, nodes[1]);
	int n = 0;
	while (n < ADDS / 10 * 2)
		for (struct node *p = atomic_exchange_explicit(&head, 0, memory_order_acquire); p; p = p->next) n++;
	join(a), join(b);
	EQUAL(n, ADDS / 10 * 2);
}

// membarrier(2) has the other threads' barrier for them.
static void membarrier_body(int me) {
	if (me == 0) { PUT_RELAXED(x, 1); atomic_signal_fence(memory_order_seq_cst); r[0][0] = GET_RELAXED(y); }
	else { PUT_RELAXED(y, 1); syscall(SYS_membarrier, 1 << 3, 0, 0); r[1][0] = GET_RELAXED(x); }
}
PROBE(membarrier_private) {
	if (syscall(SYS_membarrier, 1 << 4, 0, 0)) {
		if (errno == ENOSYS) unsupported("no membarrier");
		WRONG("membarrier: %s", strerror(errno));
	}
	rounds = 3000;
	play(2, membarrier_body, both_zero);
}
