// Two threads, x = 1; r = y and y = 1; r = x, with each pair of a store that
// releases and a load that acquires. Not both may see 0, if what the language
// promises of sequentially consistent accesses is to hold. What it promises of those that
// only acquire and release is tried with a message, and with loads before stores.
//
// usage: order ROUNDS
#include <pthread.h>
#include <sched.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { batch = 1024 };

typedef struct {
    _Alignas(8) uint32_t value;
    char apart[124];
} cell;

static cell cells[2][batch];
static uint32_t seen[2][batch];
static int arrived, phase;

// Both threads come here before either goes on.
static void meet(void)
{
    int was = __atomic_load_n(&phase, __ATOMIC_SEQ_CST);

    if (__atomic_add_fetch(&arrived, 1, __ATOMIC_SEQ_CST) == 2) {
        __atomic_store_n(&arrived, 0, __ATOMIC_SEQ_CST);
        __atomic_store_n(&phase, was + 1, __ATOMIC_SEQ_CST);
        return;
    }
    for (int spun = 0; __atomic_load_n(&phase, __ATOMIC_SEQ_CST) == was; spun++) {
        if (spun > 100) {
            sched_yield();
        }
    }
}

// How far each thread is in its batch.
static struct {
    int rounds;
    char apart[124];
} at[2];

// Both threads leave at the same time, nearly.
static inline __attribute__((always_inline)) void step(int self, int i)
{
    __atomic_store_n(&at[self].rounds, i, __ATOMIC_RELAXED);
    for (int spun = 0; __atomic_load_n(&at[!self].rounds, __ATOMIC_RELAXED) < i; spun++) {
        if (spun > 1000) {
            sched_yield();
        }
    }
}

#define inline_store static inline __attribute__((always_inline)) void
#define inline_load static inline __attribute__((always_inline)) uint32_t

inline_store store_c11(uint32_t *p) { __atomic_store_n(p, 1, __ATOMIC_SEQ_CST); }
inline_load load_c11(uint32_t *p) { return __atomic_load_n(p, __ATOMIC_SEQ_CST); }
inline_store store_byte(uint32_t *p) { __atomic_store_n((uint8_t *)p, 1, __ATOMIC_SEQ_CST); }
inline_load load_byte(uint32_t *p) { return __atomic_load_n((uint8_t *)p, __ATOMIC_SEQ_CST); }
inline_store store_half(uint32_t *p) { __atomic_store_n((uint16_t *)p, 1, __ATOMIC_SEQ_CST); }
inline_load load_half(uint32_t *p) { return __atomic_load_n((uint16_t *)p, __ATOMIC_SEQ_CST); }
inline_store store_fence(uint32_t *p)
{
    __atomic_store_n(p, 1, __ATOMIC_RELAXED);
    __atomic_thread_fence(__ATOMIC_SEQ_CST);
}
inline_load load_relaxed(uint32_t *p) { return __atomic_load_n(p, __ATOMIC_RELAXED); }
inline_store store_exchange(uint32_t *p) { __atomic_exchange_n(p, 1, __ATOMIC_SEQ_CST); }
inline_load load_add(uint32_t *p) { return __atomic_fetch_add(p, 0, __ATOMIC_SEQ_CST); }
inline_store store_compare(uint32_t *p)
{
    uint32_t old = 0;
    __atomic_compare_exchange_n(p, &old, 1, 0, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST);
}
// It fails, and stores nothing.
inline_load load_compare(uint32_t *p)
{
    uint32_t old = 2;
    __atomic_compare_exchange_n(p, &old, 3, 0, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST);
    return old;
}
#if __SIZEOF_POINTER__ == 8
inline_store store_long(uint32_t *p) { __atomic_store_n((uint64_t *)p, 1, __ATOMIC_SEQ_CST); }
inline_load load_long(uint32_t *p) { return !!__atomic_load_n((uint64_t *)p, __ATOMIC_SEQ_CST); }
#define LONG PAIR(long, long)
#else
#define LONG
#endif
#define LANGUAGE PAIR(c11, c11) PAIR(byte, byte) PAIR(half, half) LONG PAIR(fence, relaxed) PAIR(exchange, c11) \
    PAIR(exchange, add) PAIR(c11, add) PAIR(compare, c11) PAIR(c11, compare)

#if defined(__aarch64__)
#define STORE(name, ...) \
    inline_store store_##name(uint32_t *p) \
    { uint32_t t, u; __asm__ volatile(__VA_ARGS__ : "=&r"(t), "=&r"(u) : "r"(p), "r"(1) : "memory"); }
#define LOAD(name, ...) \
    inline_load load_##name(uint32_t *p) \
    { uint32_t r; __asm__ volatile(__VA_ARGS__ : "=&r"(r) : "r"(p) : "memory"); return r; }
#define LSE ".arch armv8.4-a\n\t"
STORE(stlr, "stlr %w3, [%2]")
STORE(stlrb, "stlrb %w3, [%2]")
STORE(stlur, LSE "stlur %w3, [%2, #0]")
STORE(stlxr, "1: ldxr %w0, [%2]\n\tstlxr %w1, %w3, [%2]\n\tcbnz %w1, 1b")
STORE(swpl, LSE "swpl %w3, %w0, [%2]")
STORE(ldaddal, LSE "ldaddal %w3, %w0, [%2]")
STORE(casl, LSE "mov %w0, #0\n\tcasl %w0, %w3, [%2]")
LOAD(ldar, "ldar %w0, [%1]")
LOAD(ldarb, "ldarb %w0, [%1]")
LOAD(ldapr, LSE "ldapr %w0, [%1]")
LOAD(ldapur, LSE "ldapur %w0, [%1, #0]")
LOAD(ldaxr, "ldaxr %w0, [%1]")
LOAD(ldadda, LSE "ldadda wzr, %w0, [%1]")
#define LOADS(store) PAIR(store, ldar) PAIR(store, ldarb) PAIR(store, ldapr) \
    PAIR(store, ldapur) PAIR(store, ldaxr) PAIR(store, ldadda)
#define PAIRS LOADS(stlr) LOADS(stlrb) LOADS(stlur) LOADS(stlxr) LOADS(swpl) LOADS(ldaddal) LOADS(casl)
#elif defined(__ARM_ARCH) && __ARM_ARCH >= 8
#define STORE(name, ...) \
    inline_store store_##name(uint32_t *p) \
    { uint32_t t, u; __asm__ volatile(__VA_ARGS__ : "=&r"(t), "=&r"(u) : "r"(p), "r"(1) : "memory"); }
#define LOAD(name, ...) \
    inline_load load_##name(uint32_t *p) \
    { uint32_t r; __asm__ volatile(__VA_ARGS__ : "=&r"(r) : "r"(p) : "memory"); return r; }
STORE(stl, "stl %3, [%2]")
STORE(stlb, "stlb %3, [%2]")
STORE(stlex, "1: ldrex %0, [%2]\n\tstlex %1, %3, [%2]\n\tcmp %1, #0\n\tbne 1b")
LOAD(lda, "lda %0, [%1]")
LOAD(ldab, "ldab %0, [%1]")
LOAD(ldaex, "ldaex %0, [%1]")
#define LOADS(store) PAIR(store, lda) PAIR(store, ldab) PAIR(store, ldaex)
#define PAIRS LOADS(stl) LOADS(stlb) LOADS(stlex)
#else
#define PAIRS
#endif

#define PAIR(store, load) \
    static void run_##store##_##load(int self) \
    { \
        for (int i = 0; i < batch; i++) { \
            step(self, i); \
            store_##store(&cells[self][i].value); \
            seen[self][i] = load_##load(&cells[!self][i].value); \
        } \
    }
PAIRS
LANGUAGE
#undef PAIR

// Who sees that there is a message sees the message. What is seen in the wrong order is 0.
static void run_message(int self)
{
    for (int i = 0; i < batch; i++) {
        step(self, i);
        if (!self) {
            __atomic_store_n(&cells[0][i].value, 1, __ATOMIC_RELAXED);
            __atomic_store_n(&cells[1][i].value, 1, __ATOMIC_RELEASE);
            seen[0][i] = 0;
        } else {
            uint32_t there = __atomic_load_n(&cells[1][i].value, __ATOMIC_ACQUIRE);
            seen[1][i] = !there || __atomic_load_n(&cells[0][i].value, __ATOMIC_RELAXED);
        }
    }
}

// Not both see what the other stores afterwards.
static void run_before(int self)
{
    for (int i = 0; i < batch; i++) {
        step(self, i);
        seen[self][i] = !__atomic_load_n(&cells[!self][i].value, __ATOMIC_ACQUIRE);
        __atomic_store_n(&cells[self][i].value, 1, __ATOMIC_RELEASE);
    }
}

#define PAIR(store, load) { #store " " #load, run_##store##_##load },
static const struct {
    const char *name;
    void (*run)(int self);
} pairs[] = { PAIRS LANGUAGE { "release acquire", run_message }, { "acquire release", run_before } };

static long rounds;

static long wrong(void)
{
    long n = 0;

    for (int i = 0; i < batch; i++) {
        n += !(seen[0][i] | seen[1][i]);
    }
    return n;
}

static void *thread(void *arg)
{
    int self = arg != NULL;

    for (size_t pair = 0; pair < sizeof(pairs) / sizeof(*pairs); pair++) {
        long both = 0, done = 0;
        while (done < rounds) {
            memset(cells[self], 0, sizeof(cells[self]));
            at[self].rounds = -1;
            meet();
            pairs[pair].run(self);
            meet();
            done += batch;
            if (!self) {
                both += wrong();
            }
        }
        if (!self) {
            printf("%s: %ld wrong\n", pairs[pair].name, both);
            fflush(stdout);
        }
    }
    return NULL;
}

int main(int argc, char **argv)
{
    pthread_t other;

    rounds = argc > 1 ? atol(argv[1]) : 100000;
    if (pthread_create(&other, NULL, thread, &rounds)) {
        return 1;
    }
    thread(NULL);
    return pthread_join(other, NULL);
}
