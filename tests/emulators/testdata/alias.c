// Code that is written through one mapping and run through another: says for which
// ways of having two mappings what ran was not what was written.
#define _GNU_SOURCE
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ipc.h>
#include <sys/mman.h>
#include <sys/shm.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { ROUNDS = 100 };

static size_t page, size;

// code writes a function that returns n, of at most 127, and returns its size.
static size_t code(void *at, unsigned n)
{
#if defined __x86_64__ || defined __i386__
    uint8_t words[] = { 0xb8, n, 0, 0, 0, 0xc3 };
#elif defined __aarch64__
    uint32_t words[] = { 0x52800000 | n << 5, 0xd65f03c0 };
#elif defined __arm__
    uint32_t words[] = { 0xe3a00000 | n, 0xe12fff1e };
#elif defined __riscv
    uint32_t words[] = { 0x00000513 | n << 20, 0x00008067 };
#elif defined __s390x__
    uint16_t words[] = { 0xa729, n, 0x07fe };
#elif defined __powerpc__
    uint32_t words[] = { 0x38600000 | n, 0x4e800020 };
#elif defined __mips__
    uint32_t words[] = { 0x24020000 | n, 0x03e00008, 0 };
#elif defined __m68k__
    uint16_t words[] = { 0x7000 | n, 0x4e75 };
#elif defined __sh__
    uint16_t words[] = { 0xe000 | n, 0x000b, 0x0009 };
#elif defined __alpha__
    uint32_t words[] = { 0x201f0000 | n, 0x6bfa8001 };
#elif defined __sparc__
    uint32_t words[] = { 0x81c3e008, 0x90102000 | n };
#elif defined __hppa__
    uint32_t words[] = { 0xe840c000, 0x341c0000 | n << 1 };
#elif defined __loongarch__
    uint32_t words[] = { 0x02800004 | n << 10, 0x4c000020 };
#else
#error "which instructions return a number?"
#endif
    memcpy(at, words, sizeof(words));
    return sizeof(words);
}

static unsigned call(void *at)
{
#if defined __powerpc64__ && (!defined _CALL_ELF || _CALL_ELF < 2)
    void *volatile descriptor[3] = { at }; // the call reads it, which the compiler does not know
    return ((unsigned (*)(void))(uintptr_t)descriptor)();
#else
    return ((unsigned (*)(void))at)();
#endif
}

static void *need(const char *what, void *p)
{
    if (p == MAP_FAILED || p == NULL) {
        perror(what);
        exit(1);
    }
    return p;
}

static void *map(int fd, int prot, off_t offset)
{
    return need("mmap", mmap(NULL, size, prot, MAP_SHARED, fd, offset));
}

static int status;

static void report(const char *name, int stale)
{
    if (stale != 0) {
        printf("%s: %d of %d stale\n", name, stale, ROUNDS);
        status = 1;
    }
}

static int memory(void)
{
    int fd = syscall(SYS_memfd_create, "code", 0);
    if (fd < 0 || ftruncate(fd, 2 * size) != 0) {
        perror("memfd_create");
        exit(1);
    }
    return fd;
}

// run calls what was written, as everybody does who writes code.
static int run(char *x, size_t n, unsigned want)
{
    __builtin___clear_cache(x, x + n);
    return call(x) != want;
}

// both are there for good.
static void both(const char *name, char *w, char *x)
{
    int stale = 0;
    for (unsigned i = 0; i < ROUNDS; i++) {
        stale += run(x, code(w, i), i);
    }
    report(name, stale);
}

// again maps to write each time.
static void again(int fd)
{
    int stale = 0;
    char *x = map(fd, PROT_READ | PROT_EXEC, size);
    for (unsigned i = 0; i < ROUNDS; i++) {
        char *w = map(fd, PROT_READ | PROT_WRITE, size);
        size_t n = code(w + page, i);
        munmap(w, size);
        stale += run(x + page, n, i);
    }
    report("mapped each time", stale);
}

// protect makes it writable each time.
static void protect(int fd)
{
    int stale = 0;
    char *x = map(fd, PROT_READ | PROT_EXEC, 0);
    char *w = map(fd, PROT_READ, 0);
    for (unsigned i = 0; i < ROUNDS; i++) {
        mprotect(w, size, PROT_READ | PROT_WRITE);
        size_t n = code(w + page, i);
        mprotect(w, size, PROT_READ);
        stale += run(x + page, n, i);
    }
    report("writable each time", stale);
}

// kernel has the kernel write.
static void kernel(int fd)
{
    int stale = 0, p[2];
    char *x = map(fd, PROT_READ | PROT_EXEC, 0);
    char *w = map(fd, PROT_READ | PROT_WRITE, 0);
    if (pipe(p) != 0) {
        perror("pipe");
        exit(1);
    }
    for (unsigned i = 0; i < ROUNDS; i++) {
        char buf[32];
        size_t n = code(buf, i);
        if (write(p[1], buf, n) != (ssize_t)n || read(p[0], w + 64, n) != (ssize_t)n) {
            perror("read");
            exit(1);
        }
        stale += run(x + 64, n, i);
    }
    report("written by the kernel", stale);
}

// parts has the executable mapping in parts, of which some were mapped over.
static void parts(int fd)
{
    char *x = map(fd, PROT_READ | PROT_EXEC, 0);
    char *w = map(fd, PROT_READ | PROT_WRITE, 0);
    need("mmap", mmap(x, page, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0));
    munmap(x + 3 * page, page);
    both("in parts", w + 2 * page, x + 2 * page);
#if defined __x86_64__ || defined __i386__ || defined __s390x__ || defined __m68k__ // instructions may lie across pages
    both("in two pages", w + 2 * page - 2, x + 2 * page - 2);
#endif
}

// moved has the writable mapping moved.
static void moved(int fd)
{
    char *x = map(fd, PROT_READ | PROT_EXEC, 0);
    char *w = map(fd, PROT_READ | PROT_WRITE, 0);
    char *place = map(fd, PROT_READ, 0);
    w = need("mremap", mremap(w, size, size, MREMAP_MAYMOVE | MREMAP_FIXED, place));
    both("moved", w + page, x + page);
}

// late has the mapping moved when what it wrote has run.
static void late(int fd)
{
    char *x = map(fd, PROT_READ | PROT_EXEC, 0);
    char *w = map(fd, PROT_READ | PROT_WRITE, 0);
    both("before it is moved", w + page, x + page);
    w = need("mremap", mremap(w, size, size, MREMAP_MAYMOVE | MREMAP_FIXED, map(fd, PROT_READ, 0)));
    both("moved late", w + page, x + page);
}

// sysv has shared memory of System V.
static void sysv(void)
{
    int id = shmget(IPC_PRIVATE, size, IPC_CREAT | 0700);
    char *w = need("shmat", shmat(id, NULL, 0));
    char *x = need("shmat", shmat(id, NULL, SHM_EXEC));
    both("shmat", w, x);
    shmctl(id, IPC_RMID, NULL);
}

int main(void)
{
    page = sysconf(_SC_PAGESIZE);
    size = 4 * page;
    int fd = memory();
    both("both mapped", map(fd, PROT_READ | PROT_WRITE, 0), map(fd, PROT_READ | PROT_EXEC, 0));
    both("both mapped, all rights", map(fd, PROT_READ | PROT_WRITE | PROT_EXEC, 0), map(fd, PROT_READ | PROT_EXEC, 0));
    again(fd);
    protect(fd);
    kernel(fd);
    parts(memory());
    moved(memory());
    late(memory());
    sysv();
    return status;
}
