/*
 * Does what programs do before and when they execute others: each word is
 * something to do, and the last one of them takes the rest of the words.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/utsname.h>
#include <sys/wait.h>
#include <unistd.h>

#ifndef SYS_close_range
#define SYS_close_range 436
#endif

#define HIGHEST 1100

extern char **environ;

static void fail(const char *what)
{
    printf("%s: %s\n", what, strerror(errno));
    exit(99);
}

/* Who this is. */
static void say(char **argv)
{
    char comm[17] = "", exe[4096] = "";
    struct utsname name;

    uname(&name);
    prctl(PR_GET_NAME, comm);
    if (readlink("/proc/self/exe", exe, sizeof(exe) - 1) < 0) {
        strcpy(exe, strerror(errno));
    }
    printf("%s %s %s %s\n", name.machine, argv[0], comm, exe);
}

/* Descriptors that are open besides the streams, and signals that are ignored. */
static void inherited(void)
{
    printf("open:");
    for (int fd = 3; fd < HIGHEST; fd++) {
        struct stat st;

        if (fcntl(fd, F_GETFD) >= 0 || fstat(fd, &st) == 0) {
            printf(" %d", fd);
        }
    }
    printf("\nignored:");
    for (int sig = 1; sig <= 31; sig++) {
        struct sigaction act;

        if (sigaction(sig, NULL, &act) == 0 && act.sa_handler == SIG_IGN) {
            printf(" %d", sig);
        }
    }
    printf("\n");
}

/* Close, replace and duplicate all descriptors that there may be. */
static void closing(void)
{
    for (int fd = 3; fd < HIGHEST; fd++) {
        if (close(fd) == 0 || fcntl(fd, F_GETFD) >= 0 || dup(fd) >= 0 || dup2(fd, 0) >= 0) {
            printf("%d is open\n", fd);
        }
    }
    for (int fd = 3; fd < 1020; fd++) {
        if (dup2(1, fd) != fd) {
            printf("dup2 to %d: %s\n", fd, strerror(errno));
        }
    }
    if (syscall(SYS_close_range, 3, ~0u, 0)) {
        printf("close_range: %s\n", strerror(errno));
    }
}

/* How files that are no programs are refused. */
static void errors(void)
{
    static const char *const files[] = {
        "missing", "directory", "text", "unexecutable", "object", "script-of-missing", "text/x", "fifo", NULL
    };
    char *argv[] = { "x", NULL };

    for (int i = 0; files[i]; i++) {
        execve(files[i], argv, environ);
        printf("%s: %s\n", files[i], strerror(errno));
    }
}

/* Execute a copy in memory, which is closed then. */
static void memory(char **argv)
{
    char buf[1 << 16];
    ssize_t n;
    int in = open(argv[0], O_RDONLY | O_CLOEXEC);
    int out = memfd_create("copy", MFD_CLOEXEC);

    if (in < 0 || out < 0) {
        fail(argv[0]);
    }
    while ((n = read(in, buf, sizeof(buf))) > 0) {
        if (write(out, buf, n) != n) {
            fail("write");
        }
    }
    syscall(SYS_execveat, out, "", argv, environ, AT_EMPTY_PATH);
    fail("execveat");
}

/* Execute what a descriptor is of, with flags to open it, or what is below it. */
static void by_descriptor(int flags, const char *path, const char *below, char **argv)
{
    int fd = open(path, O_RDONLY | flags);

    if (fd < 0) {
        fail(path);
    }
    syscall(SYS_execveat, fd, below, argv, environ, *below ? 0 : AT_EMPTY_PATH);
    fail("execveat");
}

/* Execute with megabytes of arguments. */
static void big(char **argv, int megabytes)
{
    static char *list[4096];
    int n = 0;

    for (; *argv; argv++) {
        list[n++] = *argv;
    }
    for (int i = 0; i < megabytes * 10; i++) {
        char *arg = malloc(100001);

        memset(arg, 'x', 100000);
        arg[100000] = 0;
        list[n++] = arg;
    }
    execve(list[0], list, environ);
    fail("execve");
}

static void execute(char **argv)
{
    fflush(stdout);
    execvp(argv[0], argv);
    fail(argv[0]);
}

/* The limits that a process has. */
static void limits(void)
{
    static const int kinds[] = { RLIMIT_CORE, RLIMIT_NOFILE, RLIMIT_CPU, RLIMIT_FSIZE };

    for (size_t i = 0; i < sizeof(kinds) / sizeof(*kinds); i++) {
        struct rlimit limit;

        if (getrlimit(kinds[i], &limit)) {
            fail("getrlimit");
        }
        printf("%lld %lld\n", (long long)limit.rlim_cur, (long long)limit.rlim_max);
    }
}

/* Copy what an open file has. */
static void copy(int fd)
{
    char buf[4096];
    ssize_t n;

    while ((n = read(fd, buf, sizeof(buf))) > 0) {
        fwrite(buf, 1, n, stdout);
    }
    if (n < 0) {
        fail("read");
    }
}

/* Run many at once: all wait for a byte that is there when all are. */
static int crowd(int count, char **argv)
{
    int statuses[256] = { 0 }, gate[2];

    fflush(stdout);
    if (pipe(gate)) {
        fail("pipe");
    }
    for (int i = 0; i < count; i++) {
        pid_t pid = fork();

        if (pid < 0) {
            fail("fork");
        }
        if (pid == 0) {
            char c;

            close(gate[1]);
            if (read(gate[0], &c, 1) != 0) {
                fail("gate");
            }
            close(gate[0]);
            execute(argv);
        }
    }
    close(gate[0]);
    close(gate[1]);
    for (int i = 0; i < count; i++) {
        int status;

        if (wait(&status) < 0) {
            fail("wait");
        }
        statuses[WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status)]++;
    }
    for (int i = 0; i < 256; i++) {
        if (statuses[i]) {
            printf("%d ended with %d\n", statuses[i], i);
        }
    }
    return 0;
}

int main(int argc, char **argv)
{
    for (char **word = argv + 1; *word; word++) {
        if (!strcmp(*word, "say")) {
            say(argv);
        } else if (!strcmp(*word, "inherited")) {
            inherited();
        } else if (!strcmp(*word, "close")) {
            closing();
        } else if (!strcmp(*word, "errors")) {
            errors();
        } else if (!strcmp(*word, "clear")) {
            clearenv();
        } else if (!strcmp(*word, "environment")) {
            for (char **v = environ; *v; v++) {
                puts(*v);
            }
        } else if (!strcmp(*word, "count")) {
            size_t bytes = 0;

            for (int i = 0; i < argc; i++) {
                bytes += strlen(argv[i]);
            }
            printf("%d words, %zu bytes\n", argc, bytes);
            return 0;
        } else if (!strcmp(*word, "ignore")) {
            signal(atoi(*++word), SIG_IGN);
        } else if (!strcmp(*word, "chroot")) {
            if (chroot(*++word) || chdir("/")) {
                fail("chroot");
            }
        } else if (!strcmp(*word, "limits")) {
            limits();
        } else if (!strcmp(*word, "copy")) {
            copy(atoi(*++word));
        } else if (!strcmp(*word, "crowd")) {
            return crowd(atoi(word[1]), word + 2);
        } else if (!strcmp(*word, "exit")) {
            return atoi(word[1]);
        } else if (!strcmp(*word, "kill")) {
            fflush(stdout);
            kill(getpid(), atoi(word[1]));
        } else if (!strcmp(*word, "memory")) {
            fflush(stdout);
            memory(word + 1);
        } else if (!strcmp(*word, "descriptor")) {
            by_descriptor(0, word[1], "", word + 1);
        } else if (!strcmp(*word, "descriptor-closed")) {
            by_descriptor(O_CLOEXEC, word[1], "", word + 1);
        } else if (!strcmp(*word, "below")) {
            by_descriptor(O_DIRECTORY, word[1], word[2], word + 2);
        } else if (!strcmp(*word, "big")) {
            int megabytes = atoi(word[1]);

            fflush(stdout);
            big(word + 2, megabytes);
        } else if (!strcmp(*word, "exec")) {
            execute(word + 1);
        } else if (!strcmp(*word, "run")) {
            int status;
            pid_t pid;
            int err = posix_spawnp(&pid, word[1], NULL, NULL, word + 1, environ);

            if (err) {
                printf("%s: %s\n", word[1], strerror(err));
                return 99;
            }
            waitpid(pid, &status, 0);
            fflush(stdout);
            if (WIFSIGNALED(status)) {
                signal(WTERMSIG(status), SIG_DFL);
                kill(getpid(), WTERMSIG(status));
            }
            return WEXITSTATUS(status);
        } else {
            printf("%s: unknown\n", *word);
            return 98;
        }
        fflush(stdout);
    }
    return 0;
}
