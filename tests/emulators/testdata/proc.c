// What /proc says of the program, by all its names, to itself and to others.
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static int status;
static const char *program;
static char path[4096];

static void wrong(const char *name, const char *what, long got, long want)
{
    if (got != want) {
        printf("%s: %s: %ld, not %ld\n", name, what, got, want);
        status = 1;
    }
}

static void text(const char *name, const char *got, const char *want)
{
    if (strcmp(got, want) != 0) {
        printf("%s: %s, not %s\n", name, got, want);
        status = 1;
    }
}

// contents reads the beginning of a file.
static char *contents(const char *name)
{
    static char buf[4096];
    int fd = open(name, O_RDONLY);
    ssize_t n = fd < 0 ? -1 : read(fd, buf, sizeof(buf) - 1);
    if (n < 0) {
        printf("%s: %s\n", name, strerror(errno));
        status = 1;
        n = 0;
    }
    buf[n] = 0;
    close(fd);
    return buf;
}

static void link_is(const char *name)
{
    char to[4096] = "";
    if (readlink(name, to, sizeof(to) - 1) < 0)
        printf("%s: %s\n", name, strerror(errno)), status = 1;
    text(name, to, path);
}

static void exe(const char *dir)
{
    char name[64];
    struct stat want, got, at;
    snprintf(name, sizeof(name), "/proc/%s/exe", dir);
    stat(path, &want);
    link_is(name);
    if (stat(name, &got) != 0)
        printf("%s: stat: %s\n", name, strerror(errno)), status = 1;
    wrong(name, "stat", got.st_ino, want.st_ino);
    lstat(name, &got);
    wrong(name, "lstat", S_ISLNK(got.st_mode), 1);
    int fd = open(name, O_RDONLY);
    fstat(fd, &got);
    wrong(name, "open", got.st_ino, want.st_ino);
    close(fd);
    wrong(name, "access", access(name, X_OK), 0);
    name[strlen(name) - 3] = 0;
    int d = open(name, O_RDONLY | O_DIRECTORY);
    wrong(name, "fstatat", fstatat(d, "exe", &at, 0), 0);
    wrong(name, "fstatat", at.st_ino, want.st_ino);
    fd = openat(d, "exe", O_RDONLY);
    fstat(fd, &got);
    wrong(name, "openat", got.st_ino, want.st_ino);
    char to[4096] = "";
    if (readlinkat(d, "exe", to, sizeof(to) - 1) < 0)
        printf("%s: readlinkat: %s\n", name, strerror(errno)), status = 1;
    text(name, to, path);
    close(fd), close(d);
}

// names are those by which /proc has a process or thread.
static void all_names(void (*test)(const char *))
{
    char name[64];
    test("self");
    test("thread-self");
    snprintf(name, sizeof(name), "%d", getpid());
    test(name);
    snprintf(name, sizeof(name), "self/task/%ld", (long)syscall(SYS_gettid));
    test(name);
    snprintf(name, sizeof(name), "%d/task/%ld", getpid(), (long)syscall(SYS_gettid));
    test(name);
}

static void command_line(const char *dir)
{
    char name[64];
    snprintf(name, sizeof(name), "/proc/%s/cmdline", dir);
    text(name, contents(name), program);
}

static void comm_is(const char *want)
{
    char name[32], *end;
    text("comm", strtok(contents("/proc/self/comm"), "\n"), want);
    strcpy(name, "(");
    strcat(name, want);
    strcat(name, ")");
    char *s = strchr(contents("/proc/self/stat"), '(');
    if (s != NULL && (end = strrchr(s, ')')) != NULL)
        end[1] = 0;
    text("stat: name", s == NULL ? "" : s, name);
}

static void numbers(void)
{
    long field[53] = { 0 };
    struct timespec now;
    for (int i = 0; clock() < CLOCKS_PER_SEC / 10 && i < 1 << 30; i++)
        ;
    char *s = strrchr(contents("/proc/self/stat"), ')'), *next, *save;
    int i = 3;
    for (next = s == NULL ? NULL : strtok_r(s + 1, " ", &save); next != NULL && i < 53; next = strtok_r(NULL, " ", &save), i++)
        field[i] = i == 3 ? next[0] : strtoll(next, NULL, 10);
    clock_gettime(CLOCK_BOOTTIME, &now);
    long started = field[22] / sysconf(_SC_CLK_TCK);
    wrong("stat", "fields", i, 53);
    wrong("stat", "state", field[3], 'R');
    wrong("stat", "parent", field[4], getppid());
    wrong("stat", "session", field[6], getsid(0));
    wrong("stat", "user and system time", field[14] + field[15] > 0, 1);
    wrong("stat", "threads", field[20], 1);
    wrong("stat", "start", started > now.tv_sec - 60 && started <= now.tv_sec, 1);
    wrong("stat", "size", field[23] > 0, 1);
    wrong("stat", "pages", field[24] > 0, 1);
#ifdef __hppa__ // where the stack grows upwards
    wrong("stat", "stack", (unsigned long)&field - (unsigned long)field[28] < 1 << 20, 1);
#else
    wrong("stat", "stack", (unsigned long)field[28] - (unsigned long)&field < 1 << 20, 1);
#endif
}

static void *thread(void *arg)
{
    all_names(exe);
    all_names(command_line);
    return NULL;
}

int main(int argc, char **argv)
{
    char comm[16], name[32];
    pthread_t t;
    program = argv[0];
    if (realpath(program, path) == NULL) {
        perror(program);
        return 1;
    }
    snprintf(comm, sizeof(comm), "%.15s", strrchr(path, '/') + 1);
    comm_is(comm);
    numbers();
    all_names(exe);
    all_names(command_line);
    pthread_create(&t, NULL, thread, NULL);
    pthread_join(t, NULL);
    // a child sees its parent
    fflush(stdout);
    pid_t pid = fork();
    if (pid == 0) {
        status = 0;
        snprintf(name, sizeof(name), "%d", getppid());
        command_line(name);
        snprintf(name, sizeof(name), "/proc/%d/exe", getppid());
        link_is(name);
        fflush(stdout);
        _exit(status);
    }
    int st;
    waitpid(pid, &st, 0);
    status |= st != 0;
    prctl(PR_SET_NAME, "another name");
    comm_is("another name");
    return status;
}
