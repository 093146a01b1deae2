// System calls that Linux handed out from 5.0 to 6.13, and older ones that few make:
// what the kernel does is done, and what it refuses is refused.
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <sys/xattr.h>
#include <time.h>
#include <unistd.h>

#if defined __alpha__
#define NEW(number) ((number) + 110)
#elif defined __mips__ && __SIZEOF_POINTER__ == 8
#define NEW(number) ((number) + 5000)
#elif defined __mips__
#define NEW(number) ((number) + 4000)
#else
#define NEW(number) (number)
#endif

static int status;
static char name[] = "callsXXXXXX";


// there says whether a call did what it was asked for. What the kernel does not have
// natively, it does not have here: the environment says which calls it lacks.
static int there(const char *what, long ret)
{
    const char *lacking = getenv("LACKING");
    if (ret < 0 && (lacking == NULL || strstr(lacking, what) == NULL)) {
        printf("%s: %s\n", what, strerror(errno));
        status = 1;
    }
    return ret >= 0;
}

static void wrong(const char *what, long got, long want)
{
    if (got != want) {
        printf("%s: %ld, not %ld\n", what, got, want);
        status = 1;
    }
}

static void epoll(void)
{
    struct { int64_t sec, nsec; } limit = { 5, 0 };
    struct epoll_event e = { EPOLLIN, { .u64 = 0x123456789 } };
    int p[2], fd = epoll_create1(0);
    if (pipe(p) != 0 || epoll_ctl(fd, EPOLL_CTL_ADD, p[0], &e) != 0 || write(p[1], "x", 1) != 1)
        perror("epoll");
    memset(&e, 0, sizeof(e));
    long n = syscall(NEW(441), fd, &e, 1, &limit, NULL, 8);
    if (there("epoll_pwait2", n)) {
        wrong("epoll_pwait2", n, 1);
        wrong("epoll_pwait2: data", e.data.u64 == 0x123456789, 1);
    }
    close(fd), close(p[0]), close(p[1]);
}

static void vectors(int fd)
{
    char a[4] = "", b[4] = "";
    struct iovec v[2] = { { a, 3 }, { b, 3 } };
    struct iovec out = { "abcdef", 6 };
    wrong("pwritev2", pwritev2(fd, &out, 1, 5, 0), 6);
    wrong("preadv2", preadv2(fd, v, 2, 5, RWF_NOWAIT) >= 0 || errno == EAGAIN || errno == EOPNOTSUPP, 1);
    wrong("preadv2", preadv2(fd, v, 2, 5, RWF_HIPRI), 6);
    wrong("preadv2: bytes", strcmp(a, "abc") == 0 && strcmp(b, "def") == 0, 1);
    if (preadv2(fd, v, 2, 5, 0x40000000) >= 0 || errno != EOPNOTSUPP)
        wrong("preadv2: unknown flag", errno, EOPNOTSUPP);
}

static void cache(int fd)
{
    struct { uint64_t off, len; } range = { 0, 1 << 20 };
    struct { uint64_t cache, dirty, writeback, evicted, recently; } got = { ~0ull };
    if (there("cachestat", syscall(NEW(451), fd, &range, &got, 0)))
        wrong("cachestat", got.cache, 1);
}

static void secret(void)
{
    int fd = syscall(NEW(447), 0);
    if (there("memfd_secret", fd)) {
        wrong("memfd_secret: size", ftruncate(fd, 4096), 0);
        close(fd);
    }
}

static void lock(void)
{
    char *p = mmap(NULL, 65536, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    there("mlock2", mlock2(p, 65536, MLOCK_ONFAULT));
    munmap(p, 65536);
}

static void futexes(void)
{
    uint32_t words[2] = { 7, 8 };
    struct { uint64_t val, addr; uint32_t flags, reserved; } w[2] = { { 7, (uintptr_t)&words[0], 2 | 128 }, { 9, (uintptr_t)&words[1], 2 | 128 } };
    struct { int64_t sec, nsec; } past = { 1, 0 };
    long ret = syscall(NEW(449), w, 2, 0, &past, CLOCK_MONOTONIC);
    int err = errno;
    wrong("futex_waitv", ret < 0 ? err : 0, EAGAIN);
    w[1].val = 8;
    ret = syscall(NEW(449), w, 2, 0, &past, CLOCK_MONOTONIC);
    wrong("futex_waitv: timeout", ret < 0 ? errno : 0, ETIMEDOUT);
}

static void vm(void)
{
    char from[] = "here and there", to[sizeof(from)] = "";
    int p[2];
    struct iovec l[2] = { { to, 4 }, { to + 4, sizeof(to) - 4 } }, r = { from, sizeof(from) };
    if (there("process_vm_readv", process_vm_readv(getpid(), l, 2, &r, 1, 0)))
        wrong("process_vm_readv: bytes", strcmp(from, to), 0);
    if (pipe(p) != 0)
        perror("pipe");
    pid_t pid = fork();
    if (pid == 0) {
        char byte;
        close(p[1]);
        while (read(p[0], &byte, 1) == 1)
            ;
        _exit(from[0] == 'H' ? 0 : 1);
    }
    close(p[0]);
    struct iovec own = { "H", 1 };
    wrong("process_vm_writev", process_vm_writev(pid, &own, 1, &r, 1, 0), 1);
    close(p[1]);
    int st;
    waitpid(pid, &st, 0);
    wrong("process_vm_writev: child", st, 0);
    wrong("process_vm_writev: own", from[0], 'h');
}

static void landlock(void)
{
    struct { uint64_t fs, net; } attr = { 1 << 2 /* reading files */, 0 };
    long version = syscall(NEW(444), NULL, 0, 1);
    if (!there("landlock_create_ruleset", version) || version < 1)
        return;
    pid_t pid = fork();
    if (pid == 0) {
        struct __attribute__((packed)) { uint64_t allowed; int32_t fd; } rule = { 1 << 2, open("/usr", O_PATH) };
        int fd = syscall(NEW(444), &attr, version < 4 ? 8 : 16, 0);
        if (fd < 0)
            _exit(1);
        if (syscall(NEW(445), fd, 1, &rule, 0) != 0)
            _exit(2);
        if (syscall(SYS_prctl, 38, 1, 0, 0, 0) != 0 || syscall(NEW(446), fd, 0) != 0)
            _exit(3);
        if (open("/etc/passwd", O_RDONLY) >= 0 || errno != EACCES)
            _exit(4);
        _exit(open("/usr/bin/env", O_RDONLY) < 0 ? 5 : 0);
    }
    int st;
    waitpid(pid, &st, 0);
    wrong("landlock", WEXITSTATUS(st), 0);
}

static void mounts(void)
{
    struct { uint64_t set, clear, propagation, userns; } attr = { 1 };
    // Not with a user's rights: the kernel says so, or does it.
    wrong("fsopen", syscall(NEW(430), "tmpfs", 0) >= 0 || errno == EPERM, 1);
    wrong("fspick", syscall(NEW(433), AT_FDCWD, "/", 0) >= 0 || errno == EPERM, 1);
    wrong("fsconfig", syscall(NEW(431), 1, 0, "ro", NULL, 0) < 0 && errno == EINVAL, 1);
    wrong("fsmount", syscall(NEW(432), -1, 0, 0) < 0 && (errno == EBADF || errno == EPERM), 1);
    wrong("mount_setattr", syscall(NEW(442), AT_FDCWD, "/nonexistent", 0, &attr, sizeof(attr)) < 0 && (errno == EPERM || errno == ENOENT), 1);
}

static void keys(void)
{
#ifdef SYS_add_key
    char got[16] = "";
    long key = syscall(SYS_add_key, "user", "a key of calls.c", "secret", 6, -2 /* of the process */);
    if (!there("add_key", key))
        return;
    wrong("keyctl: read", syscall(SYS_keyctl, 11, key, got, sizeof(got)), 6);
    wrong("keyctl: bytes", strcmp(got, "secret"), 0);
    int32_t held[4] = { 0 };
    wrong("keyctl: read keyring", syscall(SYS_keyctl, 11, -2, held, sizeof(held)), 4);
    wrong("keyctl: keyring", held[0], key);
    wrong("keyctl: search", syscall(SYS_keyctl, 10, -2, "user", "a key of calls.c", 0), key);
    wrong("request_key", syscall(SYS_request_key, "user", "a key of calls.c", NULL, 0), key);
    wrong("keyctl: unlink", syscall(SYS_keyctl, 9, key, -2), 0);
#endif
}

static void nodes(void)
{
    int policy = -1;
    unsigned long mask[16] = { 0 };
    char *p = mmap(NULL, 65536, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (!there("get_mempolicy", syscall(SYS_get_mempolicy, &policy, mask, sizeof(mask) * 8, NULL, 0)))
        return;
    wrong("get_mempolicy", policy, 0);
    wrong("get_mempolicy: nodes", mask[0], 0);
    mask[0] = 1;
    wrong("mbind", syscall(SYS_mbind, p, 65536L, 2, mask, sizeof(mask) * 8, 0), 0);
    memset(mask, 0, sizeof(mask));
    wrong("get_mempolicy of an address", syscall(SYS_get_mempolicy, &policy, mask, sizeof(mask) * 8, p, 2), 0);
    wrong("get_mempolicy of an address", policy, 2);
    wrong("get_mempolicy of an address: nodes", mask[0], 1);
    wrong("set_mempolicy", syscall(SYS_set_mempolicy, 1, mask, sizeof(mask) * 8), 0);
    wrong("set_mempolicy", syscall(SYS_set_mempolicy, 0, NULL, 0L), 0);
    munmap(p, 65536);
}

static void attributes(int fd)
{
    char got[8] = "";
    struct { uint64_t value; uint32_t size, flags; } set = { (uintptr_t) "abc", 3, 0 }, get = { (uintptr_t)got, 8, 0 };
    if (fsetxattr(fd, "user.calls", "x", 1, 0) != 0)
        return; // not on this file system
    if (!there("setxattrat", syscall(NEW(463), AT_FDCWD, name, 0, "user.calls", &set, sizeof(set))))
        return;
    wrong("getxattrat", syscall(NEW(464), AT_FDCWD, name, 0, "user.calls", &get, sizeof(get)), 3);
    wrong("getxattrat: bytes", strcmp(got, "abc"), 0);
    wrong("listxattrat", syscall(NEW(465), AT_FDCWD, name, 0, NULL, 0L) >= 11, 1);
    wrong("removexattrat", syscall(NEW(466), AT_FDCWD, name, 0, "user.calls"), 0);
}

static void notify(void)
{
#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
    int fd = syscall(SYS_fanotify_init, 0x200 /* FAN_REPORT_FID */, O_RDONLY);
    if (there("fanotify_init", fd)) {
#if __SIZEOF_POINTER__ == 8
        wrong("fanotify_mark", syscall(SYS_fanotify_mark, fd, 1, 0x100L /* created */, AT_FDCWD, "."), 0);
        close(open("calls.created", O_CREAT, 0600));
        unlink("calls.created");
        struct { uint32_t len; uint8_t version, reserved; uint16_t metadata; uint64_t mask; } e[64];
        wrong("fanotify", read(fd, e, sizeof(e)) >= 24 && (e[0].mask & 0x100), 1);
#endif
        close(fd);
    }
#endif
}

int main(void)
{
    int fd = mkstemp(name);
    epoll();
    vectors(fd);
    cache(fd);
    secret();
    lock();
    futexes();
    vm();
    landlock();
    mounts();
    keys();
    nodes();
    attributes(fd);
    notify();
    unlink(name);
    return status;
}
