// What the parent of a process sees: of a child that shares its memory, and of
// one that executes what is not there. Prints what is not as Linux does it.
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

static int bad;

#define CHECK(what) \
    do { \
        if (!(what)) { \
            printf("%s:%d: not %s\n", name, __LINE__, #what); \
            bad = 1; \
        } \
    } while (0)

// The C library's vfork(3) of hppa is fork(3).
#ifdef __hppa__
#define CHECK_SHARED(what) (void)(what)
#else
#define CHECK_SHARED(what) CHECK(what)
#endif

static const char *name, *self;
extern char **environ;
static volatile int shared;

static int ended(pid_t pid)
{
    int status = -1;

    return waitpid(pid, &status, 0) == pid && WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

static int spawn(const char *path, const char *arg, pid_t *pid)
{
    char *argv[] = { (char *)path, (char *)arg, NULL };

    return posix_spawn(pid, path, NULL, NULL, argv, environ);
}

static void errors(void)
{
    pid_t pid = -1;

    CHECK(spawn("/nonexistent", NULL, &pid) == ENOENT);
    CHECK(spawn("/nonexistent/below", NULL, &pid) == ENOENT);
    CHECK(spawn("/etc", NULL, &pid) == EACCES);
    CHECK(spawn("/dev/null", NULL, &pid) == EACCES);
    CHECK(waitpid(-1, NULL, WNOHANG) == -1 && errno == ECHILD);
    CHECK(spawn(self, "exit", &pid) == 0 && ended(pid) == 7);
}

static void vforks(void)
{
    pid_t pid;

    shared = 0;
    if ((pid = vfork()) == 0) {
        shared = 1;
        usleep(20000);
        shared = 2;
        _exit(3);
    }
    CHECK_SHARED(shared == 2);
    CHECK(pid > 0 && ended(pid) == 3);
    shared = 0;
    if ((pid = vfork()) == 0) {
        execl("/nonexistent", "x", NULL);
        shared = errno;
        syscall(SYS_exit, 4);
    }
    CHECK_SHARED(shared == ENOENT);
    CHECK(pid > 0 && ended(pid) == 4);
    if ((pid = vfork()) == 0) {
        raise(SIGKILL);
    }
    int status = 0;
    CHECK(waitpid(pid, &status, 0) == pid && WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
}

static volatile int handled;
static void handler(int sig) { handled = sig; }

// What the child does to itself is not the parent's.
static void apart(void)
{
    struct sigaction act = { .sa_handler = handler }, was;
    sigset_t set, mask;
    pid_t pid;
    int fd = open("/dev/null", O_RDONLY);

    sigaction(SIGUSR1, &act, NULL);
    sigemptyset(&mask);
    sigaddset(&mask, SIGUSR2);
    sigprocmask(SIG_SETMASK, &mask, NULL);
    pid_t parent = getpid();
    if ((pid = vfork()) == 0) {
        signal(SIGUSR1, SIG_IGN);
        sigemptyset(&set);
        sigaddset(&set, SIGUSR1);
        sigprocmask(SIG_SETMASK, &set, NULL);
        close(fd);
        shared = getppid() == parent && getpid() != parent;
        _exit(0);
    }
    CHECK(ended(pid) == 0);
    CHECK_SHARED(shared);
    CHECK(sigaction(SIGUSR1, NULL, &was) == 0 && was.sa_handler == handler);
    sigprocmask(SIG_SETMASK, NULL, &set);
    CHECK(sigismember(&set, SIGUSR2) && !sigismember(&set, SIGUSR1));
    CHECK(fcntl(fd, F_GETFD) == 0);
    handled = 0;
    raise(SIGUSR1);
    CHECK(handled == SIGUSR1);
    close(fd);

    // A handler runs in the child, with the parent's memory.
    handled = 0;
    if ((pid = vfork()) == 0) {
        kill(getpid(), SIGUSR1);
        _exit(handled == SIGUSR1 ? 0 : 1);
    }
    CHECK(ended(pid) == 0);
    CHECK_SHARED(handled == SIGUSR1);
    sigemptyset(&set);
    sigprocmask(SIG_SETMASK, &set, NULL);
}

// Within a child: another, a fork, threads' locks.
static void nested(void)
{
    pid_t pid, inner;

    shared = 0;
    if ((pid = vfork()) == 0) {
        if ((inner = fork()) == 0) {
            shared = 100;
            _exit(5);
        }
        if (ended(inner) != 5 || shared) {
            _exit(1);
        }
        if (spawn("/nonexistent", NULL, &inner) != ENOENT) {
            _exit(2);
        }
        if (spawn(self, "exit", &inner) != 0 || ended(inner) != 7) {
            _exit(3);
        }
        _exit(0);
    }
    CHECK(ended(pid) == 0);
    CHECK(shared == 0);
}

static volatile int stop;

static void *busy(void *arg)
{
    volatile long *n = arg;

    while (!stop) {
        void *p = mmap(NULL, 65536, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        *(volatile char *)p = 1;
        munmap(p, 65536);
        free(malloc(1000));
        __atomic_add_fetch((long *)n, 1, __ATOMIC_RELAXED);
    }
    return NULL;
}

static void *many(void *arg)
{
    for (int i = 0; i < 20; i++) {
        pid_t pid;
        char *argv[] = { (char *)self, "exit", NULL };
        CHECK(posix_spawn(&pid, "/nonexistent", NULL, NULL, argv, environ) == ENOENT);
        CHECK(posix_spawn(&pid, self, NULL, NULL, argv, environ) == 0 && ended(pid) == 7);
    }
    return arg;
}

static void threads(void)
{
    pthread_t other[4];
    long n = 0;

    stop = 0;
    pthread_create(&other[0], NULL, busy, &n);
    pthread_create(&other[1], NULL, many, NULL);
    pthread_create(&other[2], NULL, many, NULL);
    many(NULL);
    pthread_join(other[1], NULL);
    pthread_join(other[2], NULL);
    stop = 1;
    pthread_join(other[0], NULL);
    CHECK(n > 0);
}

int main(int argc, char **argv)
{
    static const struct {
        const char *name;
        void (*run)(void);
    } all[] = {
        { "errors", errors }, { "vforks", vforks }, { "apart", apart },
        { "nested", nested }, { "threads", threads },
    };

    self = argv[0];
    if (argc > 1 && !strcmp(argv[1], "exit")) {
        return 7;
    }
    for (size_t i = 0; i < sizeof(all) / sizeof(*all); i++) {
        name = all[i].name;
        if (argc == 1 || !strcmp(argv[1], name)) {
            all[i].run();
        }
        fflush(stdout);
    }
    return bad;
}
