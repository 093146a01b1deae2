// Robust mutexes: who waits for one is told that its owner died, however that was.
#define _GNU_SOURCE
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

struct shared {
    pthread_mutex_t mutex;
    int ready;
};

static int status;

static void want(const char *name, const char *what, int got, int expected)
{
    if (got != expected) {
        printf("%s: %s: %s, not %s\n", name, what, strerror(got), strerror(expected));
        status = 1;
    }
}

static struct shared *make(const char *name, int protocol)
{
    struct shared *s = mmap(NULL, sizeof(*s), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    pthread_mutexattr_t attr;
    pthread_mutexattr_init(&attr);
    pthread_mutexattr_setpshared(&attr, PTHREAD_PROCESS_SHARED);
    pthread_mutexattr_setprotocol(&attr, protocol);
    want(name, "setrobust", pthread_mutexattr_setrobust(&attr, PTHREAD_MUTEX_ROBUST), 0);
    want(name, "init", pthread_mutex_init(&s->mutex, &attr), 0);
    return s;
}

static void ready(struct shared *s) { __atomic_store_n(&s->ready, 1, __ATOMIC_SEQ_CST); }

static void await(struct shared *s)
{
    while (!__atomic_load_n(&s->ready, __ATOMIC_SEQ_CST))
        usleep(1000);
}

// died sees that the owner died, and makes the mutex consistent.
static void died(const char *name, struct shared *s)
{
    struct timespec end;
    clock_gettime(CLOCK_REALTIME, &end);
    end.tv_sec += 5;
    int err = pthread_mutex_timedlock(&s->mutex, &end);
    want(name, "lock", err, EOWNERDEAD);
    if (err == EOWNERDEAD) {
        want(name, "consistent", pthread_mutex_consistent(&s->mutex), 0);
        want(name, "unlock", pthread_mutex_unlock(&s->mutex), 0);
        want(name, "lock again", pthread_mutex_trylock(&s->mutex), 0);
    }
}

static void *hold(void *arg)
{
    struct shared *s = arg;
    pthread_mutex_lock(&s->mutex);
    ready(s);
    usleep(50000); // somebody waits
    return NULL;
}

static void thread(const char *name, int protocol, int wait)
{
    struct shared *s = make(name, protocol);
    pthread_t t;
    pthread_create(&t, NULL, hold, s);
    await(s);
    if (!wait)
        pthread_join(t, NULL);
    died(name, s);
    if (wait)
        pthread_join(t, NULL);
}

static void leave(int how)
{
    switch (how) {
    case 0:
        _exit(0);
    case -1:
        for (;;)
            pause();
    default:
        raise(how);
    }
}

static void process(const char *name, int how)
{
    struct shared *s = make(name, PTHREAD_PRIO_NONE);
    pid_t pid = fork();
    if (pid == 0) {
        pthread_mutex_lock(&s->mutex);
        ready(s);
        usleep(20000);
        leave(how);
        _exit(1);
    }
    await(s);
    if (how == -1)
        kill(pid, SIGKILL);
    died(name, s);
    waitpid(pid, NULL, 0);
}

// forked has nothing of its parent's.
static void forked(const char *name)
{
    struct shared *s = make(name, PTHREAD_PRIO_NONE);
    pthread_mutex_lock(&s->mutex);
    pid_t pid = fork();
    if (pid == 0)
        _exit(pthread_mutex_trylock(&s->mutex) != EBUSY);
    int st;
    waitpid(pid, &st, 0);
    want(name, "status", st, 0);
    want(name, "unlock", pthread_mutex_unlock(&s->mutex), 0);
}

int main(void)
{
    void *head = NULL;
    size_t len = 0;
    long err = syscall(SYS_get_robust_list, 0, &head, &len);
    want("get_robust_list", "call", err == 0 ? 0 : errno, 0);
    if (head == NULL || len != 3 * sizeof(long)) {
        printf("get_robust_list: %s, %zu\n", head == NULL ? "nothing" : "something", len);
        status = 1;
    }
    if (status != 0)
        return status;
    thread("a thread that ended", PTHREAD_PRIO_NONE, 0);
    thread("a thread that ends", PTHREAD_PRIO_NONE, 1);
    process("exit", 0);
    process("SIGSEGV", SIGSEGV);
    forked("forked");
#ifdef KILLED
    // Only the kernel is there to see it, which must find pointers of its own kind.
    process("SIGTERM", SIGTERM);
    process("SIGKILL by itself", SIGKILL);
    process("SIGKILL", -1);
#endif
    return status;
}
