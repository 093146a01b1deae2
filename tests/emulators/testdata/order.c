// Two threads, x = 1; r = y and y = 1; r = x, with each pair of a store that
// releases and a load that acquires. Not both may see 0, if what the language
// promises of sequentially consistent accesses is to hold.
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
    uint32_t value;
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
inline_store store_exchange(uint32_t *p) { __atomic_exchange_n(p, 1, __ATOMIC_SEQ_CST); }

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
PAIR(c11, c11)
PAIR(exchange, c11)
#undef PAIR

#define PAIR(store, load) { #store " " #load, run_##store##_##load },
static const struct {
    const char *name;
    void (*run)(int self);
} pairs[] = { PAIRS PAIR(c11, c11) PAIR(exchange, c11) };

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
