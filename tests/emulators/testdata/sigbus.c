// Where a fault was that a mapping beyond the end of its file is.
#define _GNU_SOURCE
#include <setjmp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

static sigjmp_buf back;
static void *volatile at;
static volatile int code;

static void on_bus(int signal, siginfo_t *info, void *context)
{
    at = info->si_addr;
    code = info->si_code;
    siglongjmp(back, 1);
}

int main(void)
{
    char name[] = "sigbusXXXXXX";
    struct sigaction a = { .sa_sigaction = on_bus, .sa_flags = SA_SIGINFO };
    size_t page = 65536; // no host has larger ones
    int fd = mkstemp(name), status = 0;
    unlink(name);
    sigaction(SIGBUS, &a, NULL);
    char *p = mmap(NULL, 2 * page, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (p == MAP_FAILED || ftruncate(fd, page) != 0) {
        perror("mmap");
        return 1;
    }
    for (int write = 0; write < 2; write++) {
        volatile char *where = p + page + 0x123;
        if (sigsetjmp(back, 1) == 0) {
            if (write)
                *where = 1;
            else
                (void)*where;
        }
        if (at != where || code != BUS_ADRERR) {
            printf("%s at %p: %p, code %d\n", write ? "write" : "read", (void *)where, at, code);
            status = 1;
        }
        at = NULL;
    }
    return status;
}
