// A directory with many files, whose positions are 64-bit hashes on ext4: read,
// and read again from each position. A 32-bit program keeps these in 32 bits.
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { FILES = 300 };

static char dir[] = "readdirXXXXXX";

static int failed(const char *what)
{
    printf("%s: %s\n", what, strerror(errno));
    return 1;
}

// again reads the directory from each position that there was.
static int again(DIR *d, long *at, char (*names)[256], int n)
{
    for (int i = n - 1; i >= 0; i--) {
        seekdir(d, at[i]);
        errno = 0;
        struct dirent *e = readdir(d);
        if (e == NULL)
            return failed("readdir after seekdir");
        if (strcmp(e->d_name, names[i]) != 0) {
            printf("position %d: %s, not %s\n", i, e->d_name, names[i]);
            return 1;
        }
    }
    return 0;
}

static int entries(DIR *d)
{
    int n = 0;
    while (readdir(d) != NULL)
        n++;
    return n;
}

#ifdef SYS_getdents
// old is the system call of programs that are older than Linux 2.4.
static int old(int fd)
{
    char buf[1024];
    int n = 0;
    long len;
    lseek(fd, 0, SEEK_SET);
    while ((len = syscall(SYS_getdents, fd, buf, sizeof(buf))) > 0) {
        long last = 0;
        for (long off = 0; off < len; n++) {
            memcpy(&last, buf + off + sizeof(long), sizeof(last));
            unsigned short reclen;
            memcpy(&reclen, buf + off + 2 * sizeof(long), sizeof(reclen));
            off += reclen;
        }
        if (lseek(fd, 0, SEEK_CUR) != last) {
            printf("getdents: at %ld, not %ld\n", (long)lseek(fd, 0, SEEK_CUR), last);
            return 1;
        }
        lseek(fd, 0, SEEK_SET);
        if (lseek(fd, last, SEEK_SET) != last)
            return failed("lseek");
    }
    if (n != FILES + 2) {
        printf("getdents: %d of %d entries\n", n, FILES + 2);
        return 1;
    }
    return 0;
}
#endif

static int try(DIR *d)
{
    long at[FILES + 2];
    char names[FILES + 2][256];
    struct dirent *e;
    int n = 0;

    for (;; n++) {
        long here = telldir(d);
        errno = 0;
        if ((e = readdir(d)) == NULL)
            break;
        if (n == FILES + 2)
            return failed("too many entries");
        at[n] = here;
        snprintf(names[n], sizeof(names[n]), "%s", e->d_name);
    }
    if (errno != 0)
        return failed("readdir");
    if (n != FILES + 2) {
        printf("%d of %d entries\n", n, FILES + 2);
        return 1;
    }
    if (again(d, at, names, n) != 0)
        return 1;
    rewinddir(d);
    seekdir(d, at[FILES / 2]);
    if ((n = entries(d)) != FILES + 2 - FILES / 2) {
        printf("%d of %d entries from the middle\n", n, FILES + 2 - FILES / 2);
        return 1;
    }
#ifdef SYS_getdents
    return old(dirfd(d));
#else
    return 0;
#endif
}

int main(void)
{
    char name[32];
    if (mkdtemp(dir) == NULL)
        return failed("mkdtemp");
    for (int i = 0; i < FILES; i++) {
        snprintf(name, sizeof(name), "%s/f%d", dir, i);
        close(open(name, O_CREAT | O_WRONLY, 0600));
    }
    DIR *d = opendir(dir);
    int status = d == NULL ? failed("opendir") : try(d);
    for (int i = 0; i < FILES; i++) {
        snprintf(name, sizeof(name), "%s/f%d", dir, i);
        unlink(name);
    }
    rmdir(dir);
    return status;
}
