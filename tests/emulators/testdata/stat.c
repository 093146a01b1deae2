// The times of files have nanoseconds by each system call that tells them.
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

static int status;

static void check(const char *call, long result, const struct stat *s)
{
    if (result != 0)
        printf("%s: %s\n", call, strerror(errno));
    else if (s->st_atim.tv_nsec != 123456789 || s->st_mtim.tv_nsec != 987654321)
        printf("%s: %ld and %ld nanoseconds\n", call, (long)s->st_atim.tv_nsec, (long)s->st_mtim.tv_nsec);
    else
        return;
    status = 1;
}

int main(void)
{
    const struct timespec times[2] = { { 1000000, 123456789 }, { 2000000, 987654321 } };
    const char *name = "stat-times";
    struct stat s;
    int fd = open(name, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    if (fd < 0 || futimens(fd, times) != 0) {
        printf("open: %s\n", strerror(errno));
        return 1;
    }
    check("fstat(3)", fstat(fd, &s), &s);
// glibc's structure is the kernel's in these.
#if defined(__LP64__) && !defined(__mips__)
#ifdef SYS_stat
    check("stat(2)", syscall(SYS_stat, name, &s), &s);
#endif
#ifdef SYS_lstat
    check("lstat(2)", syscall(SYS_lstat, name, &s), &s);
#endif
#ifdef SYS_fstat
    check("fstat(2)", syscall(SYS_fstat, fd, &s), &s);
#endif
#endif
    unlink(name);
    return status;
}
