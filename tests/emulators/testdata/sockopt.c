// Socket options: set and read again, those that are numbers, strings and structs,
// and what comes beside messages because of them.
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <linux/errqueue.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

static int status;

static void failed(const char *name, const char *what)
{
    printf("%s: %s: %s\n", name, what, strerror(errno));
    status = 1;
}

static void wrong(const char *name, long got, long want)
{
    printf("%s: %ld, not %ld\n", name, got, want);
    status = 1;
}

// number sets a number, and reads it.
static void number(int fd, const char *name, int level, int option, int value)
{
    int got = -2;
    socklen_t len = sizeof(got);
    if (setsockopt(fd, level, option, &value, sizeof(value)) != 0) {
        failed(name, "set");
        return;
    }
    if (getsockopt(fd, level, option, &got, &len) != 0)
        failed(name, "get");
    else if (got != value || len != sizeof(got))
        wrong(name, got, value);
}

static void string(int fd, const char *name, int level, int option, const char *value)
{
    char got[16] = "";
    socklen_t len = sizeof(got);
    if (setsockopt(fd, level, option, value, strlen(value)) != 0)
        failed(name, "set");
    if (getsockopt(fd, level, option, got, &len) != 0)
        failed(name, "get");
    else if (strcmp(got, value) != 0)
        printf("%s: %s, not %s\n", name, got, value), status = 1;
}

#define NUMBER(fd, level, option, value) number(fd, #option, level, option, value)

static void numbers(void)
{
    int tcp = socket(AF_INET, SOCK_STREAM, 0), udp = socket(AF_INET, SOCK_DGRAM, 0), local = socket(AF_UNIX, SOCK_STREAM, 0);
    int udp6 = socket(AF_INET6, SOCK_DGRAM, 0);
    NUMBER(tcp, SOL_SOCKET, SO_ZEROCOPY, 1);
    NUMBER(udp, SOL_SOCKET, SO_RXQ_OVFL, 1);
    NUMBER(udp, SOL_SOCKET, SO_BUSY_POLL, 0);
    NUMBER(local, SOL_SOCKET, SO_PEEK_OFF, 5);
    NUMBER(tcp, SOL_SOCKET, SO_LOCK_FILTER, 0);
    NUMBER(udp, SOL_SOCKET, SO_SELECT_ERR_QUEUE, 1);
    NUMBER(udp, SOL_SOCKET, SO_TIMESTAMPNS, 1);
    NUMBER(udp, IPPROTO_IP, IP_RECVORIGDSTADDR, 1);
    NUMBER(udp, IPPROTO_IP, IP_MINTTL, 3);
    NUMBER(udp, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, 1);
    NUMBER(udp, IPPROTO_IP, IP_MULTICAST_ALL, 0);
    NUMBER(udp, IPPROTO_IP, IP_UNICAST_IF, htonl(1));
    NUMBER(tcp, IPPROTO_TCP, TCP_KEEPIDLE, 4321);
    NUMBER(tcp, IPPROTO_TCP, TCP_USER_TIMEOUT, 12345);
    if (udp6 >= 0) {
        NUMBER(udp6, IPPROTO_IPV6, IPV6_DONTFRAG, 1);
        NUMBER(udp6, IPPROTO_IPV6, IPV6_UNICAST_IF, htonl(1));
        NUMBER(udp6, IPPROTO_IPV6, IPV6_MINHOPCOUNT, 3);
    }
    string(tcp, "TCP_CONGESTION", IPPROTO_TCP, TCP_CONGESTION, "reno");
    string(udp, "SO_BINDTODEVICE", SOL_SOCKET, SO_BINDTODEVICE, "lo");
    close(tcp), close(udp), close(udp6), close(local);
}

static void cookie(void)
{
    int fd = socket(AF_INET, SOCK_STREAM, 0), other = socket(AF_INET, SOCK_STREAM, 0);
    uint64_t got[2] = { 0 };
    socklen_t len = 8;
    if (getsockopt(fd, SOL_SOCKET, SO_COOKIE, &got[0], &len) != 0 || getsockopt(other, SOL_SOCKET, SO_COOKIE, &got[1], &len) != 0)
        failed("SO_COOKIE", "get");
    // They are counted, for each processor.
    else if (len != 8 || got[0] == 0 || got[0] >> 56 != 0 || got[0] == got[1])
        wrong("SO_COOKIE", got[0], got[1]);
    close(fd), close(other);
}

static void txtime(void)
{
    struct { int clock; unsigned flags; } set = { CLOCK_MONOTONIC, 2 }, got = { -1, 0 };
    int fd = socket(AF_INET, SOCK_DGRAM, 0);
    socklen_t len = sizeof(got);
    if (setsockopt(fd, SOL_SOCKET, SO_TXTIME, &set, sizeof(set)) != 0 || getsockopt(fd, SOL_SOCKET, SO_TXTIME, &got, &len) != 0)
        failed("SO_TXTIME", "set, get");
    else if (memcmp(&set, &got, sizeof(set)) != 0)
        wrong("SO_TXTIME", got.clock, set.clock);
    close(fd);
}

// connection has two ends on the loopback.
static void connection(int fd[2])
{
    struct sockaddr_in at = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    socklen_t len = sizeof(at);
    int s = socket(AF_INET, SOCK_STREAM, 0);
    fd[0] = socket(AF_INET, SOCK_STREAM, 0);
    fd[1] = -1;
    if (bind(s, (struct sockaddr *)&at, len) != 0 || listen(s, 1) != 0 || getsockname(s, (struct sockaddr *)&at, &len) != 0 ||
        connect(fd[0], (struct sockaddr *)&at, len) != 0 || (fd[1] = accept(s, NULL, NULL)) < 0)
        failed("connection", "");
    close(s);
}

static void info(void)
{
    int fd[2] = { -1, -1 };
    struct tcp_info got;
    socklen_t len = sizeof(got);
    connection(fd);
    if (write(fd[0], "hello", 5) != 5)
        failed("TCP_INFO", "write");
    if (getsockopt(fd[0], IPPROTO_TCP, TCP_INFO, &got, &len) != 0)
        failed("TCP_INFO", "get");
    else if (len != sizeof(got) || got.tcpi_state != 1 || got.tcpi_snd_mss < 500 || got.tcpi_snd_mss > 65536 || got.tcpi_rcv_ssthresh > 1 << 30)
        printf("TCP_INFO: %u bytes, state %d, segments of %u\n", len, got.tcpi_state, got.tcpi_snd_mss), status = 1;
    close(fd[0]), close(fd[1]);
}

// An address, as the kernel has it: glibc's is two bytes shorter on m68k.
union address {
    struct sockaddr_in in;
    char room[128];
    long aligned;
};

static void groups(void)
{
    const char *name = "MCAST_JOIN_GROUP";
    struct {
        uint32_t interface;
        union address group;
    } r = { .interface = 1 };
    struct {
        uint32_t interface;
        union address group, source;
    } q = { .interface = 1 };
    int fd = socket(AF_INET, SOCK_DGRAM, 0);
    r.group.in.sin_family = AF_INET;
    r.group.in.sin_addr.s_addr = inet_addr("239.1.2.3");
    if (setsockopt(fd, IPPROTO_IP, MCAST_JOIN_GROUP, &r, sizeof(r)) != 0)
        failed(name, "set");
    if (setsockopt(fd, IPPROTO_IP, MCAST_JOIN_GROUP, &r, sizeof(r)) == 0 || errno != EADDRINUSE)
        failed(name, "set again");
    if (setsockopt(fd, IPPROTO_IP, MCAST_LEAVE_GROUP, &r, sizeof(r)) != 0)
        failed(name, "leave");
    q.group = q.source = r.group;
    q.source.in.sin_addr.s_addr = inet_addr("127.0.0.1");
    if (setsockopt(fd, IPPROTO_IP, MCAST_JOIN_SOURCE_GROUP, &q, sizeof(q)) != 0)
        failed("MCAST_JOIN_SOURCE_GROUP", "set");
    close(fd);
}

// times come with a message, and how many were lost.
static void times(void)
{
    const char *name = "SO_TIMESTAMPNS";
    struct sockaddr_in at = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    socklen_t len = sizeof(at);
    struct timeval limit = { .tv_sec = 10 };
    struct timespec now, got = { 0 };
    int fd = socket(AF_INET, SOCK_DGRAM, 0), one = 1, found = 0;
    char byte, control[256];
    struct iovec part = { &byte, 1 };
    struct msghdr m = { .msg_iov = &part, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof(control) };
    setsockopt(fd, SOL_SOCKET, SO_TIMESTAMPNS, &one, sizeof(one));
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
    if (bind(fd, (struct sockaddr *)&at, len) != 0 || getsockname(fd, (struct sockaddr *)&at, &len) != 0 ||
        sendto(fd, "x", 1, 0, (struct sockaddr *)&at, len) != 1 || recvmsg(fd, &m, 0) != 1) {
        failed(name, "message");
        return;
    }
    clock_gettime(CLOCK_REALTIME, &now);
    for (struct cmsghdr *c = CMSG_FIRSTHDR(&m); c != NULL; c = CMSG_NXTHDR(&m, c)) {
        if (c->cmsg_level == SOL_SOCKET && c->cmsg_type == SO_TIMESTAMPNS && c->cmsg_len == CMSG_LEN(sizeof(got))) {
            memcpy(&got, CMSG_DATA(c), sizeof(got));
            found = 1;
        }
    }
    if (!found || got.tv_sec > now.tv_sec || got.tv_sec < now.tv_sec - 60 || got.tv_nsec < 0 || got.tv_nsec > 999999999)
        wrong(name, got.tv_sec, now.tv_sec);
    close(fd);
}

// unreachable is said, with by whom.
static void unreachable(void)
{
    const char *name = "IP_RECVERR";
    struct sockaddr_in at = { .sin_family = AF_INET, .sin_port = htons(9), .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    int fd = socket(AF_INET, SOCK_DGRAM, 0), one = 1, found = 0;
    char byte, control[256];
    struct iovec part = { &byte, 1 };
    struct msghdr m = { .msg_iov = &part, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof(control) };
    setsockopt(fd, IPPROTO_IP, IP_RECVERR, &one, sizeof(one));
    if (connect(fd, (struct sockaddr *)&at, sizeof(at)) != 0 || send(fd, "x", 1, 0) != 1 || (usleep(10000), recvmsg(fd, &m, MSG_ERRQUEUE)) < 0) {
        failed(name, "message");
        return;
    }
    for (struct cmsghdr *c = CMSG_FIRSTHDR(&m); c != NULL; c = CMSG_NXTHDR(&m, c)) {
        struct sock_extended_err *e = (struct sock_extended_err *)CMSG_DATA(c);
        struct sockaddr_in *by = (struct sockaddr_in *)SO_EE_OFFENDER(e);
        found |= c->cmsg_level == IPPROTO_IP && c->cmsg_type == IP_RECVERR && e->ee_errno == ECONNREFUSED &&
            by->sin_family == AF_INET && by->sin_addr.s_addr == htonl(INADDR_LOOPBACK);
    }
    if (!found)
        wrong(name, found, 1);
    close(fd);
}

int main(void)
{
    numbers();
    cookie();
    txtime();
    info();
    groups();
    times();
    unreachable();
    return status;
}
