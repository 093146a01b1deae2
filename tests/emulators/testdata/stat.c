// The times of files have nanoseconds by each system call that tells them.
#define _GNU_SOURCE
// The kernel's structures, which are not glibc's everywhere.
#define stat kernel_stat
#define stat64 kernel_stat64
#include <asm/stat.h>
#undef stat
#undef stat64
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

static int status;

static void check(const char *call, long result, long accessed, long modified)
{
    if (result != 0)
        printf("%s: %s\n", call, strerror(errno));
    else if (accessed != 123456789 || modified != 987654321)
        printf("%s: %ld and %ld nanoseconds\n", call, accessed, modified);
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
    int result = fstat(fd, &s);
    check("fstat(3)", result, s.st_atim.tv_nsec, s.st_mtim.tv_nsec);
#define CHECK(call, of, structure)                                             \
    do {                                                                       \
        struct structure k;                                                    \
        long got = syscall(SYS_##call, of, &k);                                \
        check(#call "(2)", got, (long)k.st_atime_nsec, (long)k.st_mtime_nsec); \
    } while (0)
// Alpha's and SPARC's have no nanoseconds. Those of 32 bits have none for all numbers of files.
#if defined(__LP64__) && !defined(__alpha__) && !defined(__sparc__)
#ifdef SYS_stat
    CHECK(stat, name, kernel_stat);
#endif
#ifdef SYS_lstat
    CHECK(lstat, name, kernel_stat);
#endif
#ifdef SYS_fstat
    CHECK(fstat, fd, kernel_stat);
#endif
#endif
#ifdef SYS_stat64
    CHECK(stat64, name, kernel_stat64);
    CHECK(lstat64, name, kernel_stat64);
    CHECK(fstat64, fd, kernel_stat64);
#endif
    unlink(name);
    return status;
}
