// Filters of system calls: their actions, what they see, and who has them.
#define _GNU_SOURCE
#include <errno.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <pthread.h>
#include <signal.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#if defined __x86_64__
#define ARCH AUDIT_ARCH_X86_64
#elif defined __i386__
#define ARCH AUDIT_ARCH_I386
#elif defined __aarch64__
#define ARCH AUDIT_ARCH_AARCH64
#elif defined __arm__
#define ARCH AUDIT_ARCH_ARM
#elif defined __s390x__
#define ARCH AUDIT_ARCH_S390X
#elif defined __powerpc64__ && __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
#define ARCH AUDIT_ARCH_PPC64LE
#elif defined __powerpc64__
#define ARCH AUDIT_ARCH_PPC64
#elif defined __powerpc__
#define ARCH AUDIT_ARCH_PPC
#elif defined __riscv
#define ARCH AUDIT_ARCH_RISCV64
#elif defined __mips__ && __SIZEOF_POINTER__ == 4 && __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
#define ARCH AUDIT_ARCH_MIPSEL
#elif defined __mips__ && __SIZEOF_POINTER__ == 4
#define ARCH AUDIT_ARCH_MIPS
#elif defined __mips__ && __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
#define ARCH AUDIT_ARCH_MIPSEL64
#elif defined __mips__
#define ARCH AUDIT_ARCH_MIPS64
#endif

#if !defined ARCH || !defined SYS_seccomp
// Linux has no filters there.
int main(void) { return 0; }
#else

#define LOAD(field) BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, field))
#define RETURN(what) BPF_STMT(BPF_RET | BPF_K, what)
#define EQUAL(k, jt, jf) BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, k, jt, jf)
#define LENGTH(code) (sizeof(code) / sizeof(code[0]))
// on_call does something at one system call.
#define ON_CALL(number, action) { LOAD(nr), EQUAL(number, 0, 1), RETURN(action), RETURN(SECCOMP_RET_ALLOW) }
#define SET(code, flags) filter(code, LENGTH(code), flags)

static int status;

static void want(const char *what, long got, long expected)
{
    if (got != expected) {
        printf("%s: %ld, not %ld\n", what, got, expected);
        status = 1;
    }
}

// filter returns an error, or 0.
static int filter(struct sock_filter *code, size_t len, unsigned flags)
{
    struct sock_fprog p = { len, code };
    errno = 0;
    long ret = syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, flags, &p);
    return ret < 0 ? errno : ret;
}

// in_child runs a part in a process of its own, as filters stay.
static void in_child(const char *what, int (*part)(void), int expected)
{
    int st;
    fflush(stdout);
    pid_t pid = fork();
    if (pid == 0) {
        struct rlimit none = { 0, 0 };
        setrlimit(RLIMIT_CORE, &none);
        _exit(part());
    }
    waitpid(pid, &st, 0);
    st &= ~0x80; // whether there is a core file
    want(what, st, expected);
}

static int without_rights(void)
{
    struct sock_filter code[] = { RETURN(SECCOMP_RET_ALLOW) };
    if (geteuid() == 0)
        return 0;
    return SET(code, 0) != EACCES;
}

static int invalid(void)
{
    struct sock_filter no_return[] = { LOAD(nr) }, far[] = { EQUAL(1, 1, 0), RETURN(0) }, outside[] = { BPF_STMT(BPF_LD | BPF_W | BPF_ABS, 64), RETURN(0) },
        byte[] = { BPF_STMT(BPF_LD | BPF_B | BPF_ABS, 0), RETURN(0) }, unaligned[] = { BPF_STMT(BPF_LD | BPF_W | BPF_ABS, 2), RETURN(0) },
        zero[] = { BPF_STMT(BPF_ALU | BPF_DIV | BPF_K, 0), RETURN(0) }, memory[] = { BPF_STMT(BPF_ST, 16), RETURN(0) }, allow[] = { RETURN(SECCOMP_RET_ALLOW) };
    want("no return", SET(no_return, 0), EINVAL);
    want("a jump too far", SET(far, 0), EINVAL);
    want("a load outside", SET(outside, 0), EINVAL);
    want("a byte", SET(byte, 0), EINVAL);
    want("unaligned", SET(unaligned, 0), EINVAL);
    want("division by zero", SET(zero, 0), EINVAL);
    want("memory", SET(memory, 0), EINVAL);
    want("unknown flag", SET(allow, 1 << 20), EINVAL);
    want("none", filter(allow, 0, 0), EINVAL);
    want("bad address", filter((void *)8, 1, 0), EFAULT);
    want("mode", prctl(PR_GET_SECCOMP), 0);
    return status;
}

static int error(void)
{
    struct sock_filter code[] = ON_CALL(SYS_getsid, SECCOMP_RET_ERRNO | 77), none[] = ON_CALL(SYS_getpgid, SECCOMP_RET_ERRNO);
    want("set", SET(code, 0), 0);
    want("set", SET(none, 0), 0);
    want("errno", syscall(SYS_getsid, 0) == -1 ? errno : 0, 77);
    want("no errno", syscall(SYS_getpgid, 0), 0);
    want("mode", prctl(PR_GET_SECCOMP), SECCOMP_MODE_FILTER);
    pid_t pid = fork();
    if (pid == 0)
        _exit(syscall(SYS_getsid, 0) == -1 ? errno : 0);
    int st;
    waitpid(pid, &st, 0);
    want("errno in a child", WEXITSTATUS(st), 77);
    return status;
}

// data has what a filter sees: the architecture, numbers, and computes with them.
static int data(void)
{
    struct sock_filter code[] = {
        LOAD(arch), EQUAL(ARCH, 1, 0), RETURN(SECCOMP_RET_ERRNO | 1),
        LOAD(nr), EQUAL(SYS_getsid, 1, 0), RETURN(SECCOMP_RET_ALLOW),
        BPF_STMT(BPF_LDX | BPF_W | BPF_LEN, 0), BPF_STMT(BPF_MISC | BPF_TXA, 0), EQUAL(64, 1, 0), RETURN(SECCOMP_RET_ERRNO | 2),
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, args[1]) + (__BYTE_ORDER__ == __ORDER_BIG_ENDIAN__ ? 4 : 0)),
        BPF_STMT(BPF_ST, 3), BPF_STMT(BPF_LDX | BPF_MEM, 3), BPF_STMT(BPF_ALU | BPF_ADD | BPF_X, 0), BPF_STMT(BPF_ALU | BPF_MUL | BPF_K, 3),
        BPF_STMT(BPF_ALU | BPF_RSH | BPF_K, 1), BPF_STMT(BPF_ALU | BPF_SUB | BPF_K, 5), BPF_STMT(BPF_ALU | BPF_XOR | BPF_K, 0x100),
        EQUAL((7 * 3 - 5) ^ 0x100, 1, 0), RETURN(SECCOMP_RET_ERRNO | 3),
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, args[2]) + (__BYTE_ORDER__ == __ORDER_BIG_ENDIAN__ ? 0 : 4)),
        EQUAL(sizeof(long) == 8 ? 0x1234 : 0, 1, 0), RETURN(SECCOMP_RET_ERRNO | 4),
        LOAD(instruction_pointer), BPF_JUMP(BPF_JMP | BPF_JA, 0, 0, 0),
        BPF_JUMP(BPF_JMP | BPF_JSET | BPF_K, 0xffffffff, 1, 0), BPF_JUMP(BPF_JMP | BPF_JGE | BPF_K, 0, 0, 1),
        RETURN(SECCOMP_RET_ERRNO | 99), RETURN(SECCOMP_RET_ERRNO | 5),
    };
    want("set", SET(code, 0), 0);
    want("what a filter sees", syscall(SYS_getsid, 0, 7, (long)0x123400000000ull) == -1 ? errno : 0, 99);
    return status;
}

static volatile int trapped, trap_number, trap_arch, trap_errno, trap_code;
static void *volatile trap_at;

static void on_trap(int signal, siginfo_t *info, void *context)
{
    trapped++;
    trap_number = info->si_syscall;
    trap_arch = info->si_arch;
    trap_errno = info->si_errno;
    trap_code = info->si_code;
    trap_at = info->si_call_addr;
}

static int trap(void)
{
    struct sock_filter code[] = ON_CALL(SYS_getsid, SECCOMP_RET_TRAP | 55);
    struct sigaction a = { .sa_sigaction = on_trap, .sa_flags = SA_SIGINFO };
    sigaction(SIGSYS, &a, NULL);
    want("set", SET(code, 0), 0);
    syscall(SYS_getsid, 0);
    want("trapped", trapped, 1);
    want("si_syscall", trap_number, SYS_getsid);
    want("si_arch", trap_arch, (int)ARCH);
    want("si_errno", trap_errno, 55);
    want("si_code", trap_code, 1);
    want("si_call_addr", trap_at != NULL, 1);
    return status;
}

static int kill_process(void)
{
    struct sock_filter code[] = ON_CALL(SYS_getsid, SECCOMP_RET_KILL_PROCESS);
    signal(SIGSYS, SIG_IGN);
    SET(code, 0);
    syscall(SYS_getsid, 0);
    return 9;
}

static void *calls_once(void *arg)
{
    syscall(SYS_getsid, 0);
    *(int *)arg = 1;
    return NULL;
}

static int kill_thread(void)
{
    struct sock_filter code[] = ON_CALL(SYS_getsid, SECCOMP_RET_KILL_THREAD);
    int went_on = 0;
    pthread_t t;
    want("set", SET(code, 0), 0);
    pthread_create(&t, NULL, calls_once, &went_on);
    pthread_join(t, NULL);
    want("a killed thread went on", went_on, 0);
    if (status == 0)
        syscall(SYS_getsid, 0); // the last one is the process
    return 9;
}

static pthread_barrier_t barrier;

static void *waits(void *arg)
{
    pthread_barrier_wait(&barrier);
    pthread_barrier_wait(&barrier);
    *(int *)arg = syscall(SYS_getsid, 0) == -1 ? errno : 0;
    return NULL;
}

static int threads(void)
{
    struct sock_filter code[] = ON_CALL(SYS_getsid, SECCOMP_RET_ERRNO | 66);
    int seen = -1;
    pthread_t t;
    pthread_barrier_init(&barrier, NULL, 2);
    pthread_create(&t, NULL, waits, &seen);
    pthread_barrier_wait(&barrier);
    want("set", SET(code, SECCOMP_FILTER_FLAG_TSYNC), 0);
    pthread_barrier_wait(&barrier);
    pthread_join(t, NULL);
    want("another thread", seen, 66);
    return status;
}

static int strictest(void)
{
    struct sock_filter first[] = ON_CALL(SYS_getsid, SECCOMP_RET_ERRNO | 11), second[] = ON_CALL(SYS_getsid, SECCOMP_RET_ALLOW), third[] = ON_CALL(SYS_getsid, SECCOMP_RET_ERRNO | 12);
    SET(first, 0), SET(second, 0);
    want("the stricter one", syscall(SYS_getsid, 0) == -1 ? errno : 0, 11);
    SET(third, 0);
    want("the newer one", syscall(SYS_getsid, 0) == -1 ? errno : 0, 12);
    return status;
}

static int strict(void)
{
    if (prctl(PR_SET_SECCOMP, SECCOMP_MODE_STRICT) != 0)
        return 8;
    if (write(-1, "", 1) != -1)
        return 7;
    syscall(SYS_getsid, 0);
    return 9;
}

int main(void)
{
    uint32_t action = SECCOMP_RET_ERRNO, unknown = 0x12340000;
    want("mode", prctl(PR_GET_SECCOMP), 0);
    want("available", syscall(SYS_seccomp, SECCOMP_GET_ACTION_AVAIL, 0, &action), 0);
    want("not available", syscall(SYS_seccomp, SECCOMP_GET_ACTION_AVAIL, 0, &unknown) == -1 ? errno : 0, EOPNOTSUPP);
    in_child("without rights", without_rights, 0);
    prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
    in_child("invalid", invalid, 0);
    in_child("errors", error, 0);
    in_child("data", data, 0);
    in_child("trap", trap, 0);
    in_child("kill a process", kill_process, SIGSYS);
    in_child("kill a thread", kill_thread, SIGSYS);
    in_child("threads", threads, 0);
    in_child("several", strictest, 0);
    in_child("strict", strict, SIGKILL);
    return status;
}
#endif
