// New namespaces of every kind that an ordinary user can have: by unshare(2), by
// clone(2) and by a child that shares the memory. Prints what is not as Linux does it.
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/syscall.h>
#include <sys/utsname.h>
#include <sys/wait.h>
#include <unistd.h>

static int bad;

#define CHECK(what) \
    do { \
        if (!(what)) { \
            printf("%s:%d: not %s: %s\n", __func__, __LINE__, #what, strerror(errno)); \
            bad = 1; \
        } \
    } while (0)

static int ended(pid_t pid)
{
    int status = -1;

    return waitpid(pid, &status, __WALL) == pid && WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

// Root in a user namespace of its own; new memory is allocated, and a child forked.
static int as_root(void)
{
    struct utsname name;
    char *p = malloc(1 << 20);
    pid_t pid;

    memset(p, 1, 1 << 20);
    free(p);
    if (sethostname("inside", 6) || uname(&name) || strcmp(name.nodename, "inside")) {
        perror("sethostname");
        return 1;
    }
    if (mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) || mount("none", "/tmp", "tmpfs", 0, NULL)) {
        perror("mount");
        return 2;
    }
    if ((pid = fork()) == 0) {
        _exit(9);
    }
    return ended(pid) == 9 ? 0 : 3;
}

enum { all = CLONE_NEWUSER | CLONE_NEWNS | CLONE_NEWUTS | CLONE_NEWIPC | CLONE_NEWNET };

static pid_t raw_clone(unsigned long flags)
{
#if defined(__s390x__)
    return syscall(SYS_clone, NULL, flags, NULL, NULL, NULL);
#else
    return syscall(SYS_clone, flags, NULL, NULL, NULL, NULL);
#endif
}

static void unshared(void)
{
    pid_t pid;

    fflush(stdout);
    if ((pid = fork()) == 0) {
        CHECK(unshare(all) == 0);
        int status = as_root();
        fflush(stdout);
        _exit(status | bad);
    }
    CHECK(ended(pid) == 0);
}

static void cloned(void)
{
    pid_t pid;

    fflush(stdout);
    if ((pid = raw_clone(all | CLONE_NEWPID | SIGCHLD)) == 0) {
        CHECK(getpid() == 1);
        int status = as_root();
        fflush(stdout);
        _exit(status | bad);
    }
    CHECK(pid > 0 && ended(pid) == 0);
    // Without a signal at its end.
    if ((pid = raw_clone(0)) == 0) {
        _exit(6);
    }
    CHECK(pid > 0 && ended(pid) == 6);
}

static char stack[65536] __attribute__((aligned(16)));
static int status;

static int child(void *arg)
{
    status = getpid() == 1 ? 0 : 10;
    return arg != stack;
}

static void shared(void)
{
    status = -1;
#if defined(__hppa__)
    char *top = stack;
#else
    char *top = stack + sizeof(stack);
#endif
    pid_t pid = clone(child, top, CLONE_VM | CLONE_VFORK | CLONE_NEWUSER | CLONE_NEWPID | SIGCHLD, stack);
    CHECK(pid > 0 && ended(pid) == 0);
    CHECK(status == 0);
}

static void *nothing(void *arg) { return arg; }

static void entered(void)
{
    pid_t pid;

    fflush(stdout);
    if ((pid = fork()) == 0) {
        CHECK(unshare(CLONE_NEWUSER | CLONE_NEWNS) == 0);
        int fd = open("/proc/self/ns/mnt", O_RDONLY);
        CHECK(unshare(CLONE_NEWNS) == 0);
        CHECK(setns(fd, CLONE_NEWNS) == 0);
        fflush(stdout);
        _exit(bad);
    }
    CHECK(ended(pid) == 0);
}

static void after_threads(void)
{
    for (int i = 0; i < 5; i++) {
        pthread_t t;
        CHECK(pthread_create(&t, NULL, nothing, NULL) == 0);
        CHECK(pthread_join(t, NULL) == 0);
    }
    usleep(100000);
    unshared();
    cloned();
}

static volatile int stop;
static void *wait_for_stop(void *arg)
{
    while (!stop) {
        usleep(1000);
    }
    return arg;
}

static void with_threads(void)
{
    pthread_t t;

    CHECK(pthread_create(&t, NULL, wait_for_stop, NULL) == 0);
    CHECK(unshare(CLONE_NEWUSER) == -1 && errno == EINVAL);
    cloned();
    shared();
    stop = 1;
    pthread_join(t, NULL);
}

int main(void)
{
    unshared();
    cloned();
    shared();
    entered();
    after_threads();
    with_threads();
    return bad;
}
