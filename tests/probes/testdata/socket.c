// Sockets: addresses, options, messages.
#include "probe.h"
#include <arpa/inet.h>
#include <ifaddrs.h>
#include <linux/errqueue.h>
#include <linux/ethtool.h>
#include <linux/filter.h>
#include <linux/net_tstamp.h>
#include <linux/sockios.h>
#include <net/if.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/ioctl.h>
#include <sys/un.h>

static int made(int family, int type) { return OK(socket(family, type | SOCK_CLOEXEC, 0)); }
// set_get sets an integer option and finds it again.
static void set_get(int fd, int level, int option, int value) {
	if (setsockopt(fd, level, option, &value, sizeof value)) {
		if (errno == EPERM) unsupported("the option is for root");
		WRONG("setsockopt %d, %d: %s", level, option, strerror(errno));
	}
	int got = -77;
	socklen_t n = sizeof got;
	if (getsockopt(fd, level, option, &got, &n)) WRONG("getsockopt %d, %d: %s", level, option, strerror(errno));
	EQUAL(n, sizeof got);
	EQUAL(got, value);
}
static int get(int fd, int level, int option) {
	int got = -77;
	socklen_t n = sizeof got;
	if (getsockopt(fd, level, option, &got, &n)) WRONG("getsockopt %d, %d: %s", level, option, strerror(errno));
	EQUAL(n, sizeof got);
	return got;
}
static struct sockaddr_in local(int port) {
	struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	return a;
}
static struct sockaddr_in bound(int fd) {
	struct sockaddr_in a = local(0);
	socklen_t n = sizeof a;
	OK(bind(fd, (void *)&a, sizeof a));
	OK(getsockname(fd, (void *)&a, &n));
	EQUAL(n, sizeof a);
	CHECK(a.sin_port);
	return a;
}
static void connected(int ends[2]) {
	int l = made(AF_INET, SOCK_STREAM);
	struct sockaddr_in a = bound(l);
	OK(listen(l, 5));
	ends[0] = made(AF_INET, SOCK_STREAM);
	OK(connect(ends[0], (void *)&a, sizeof a));
	ends[1] = OK(accept4(l, 0, 0, SOCK_CLOEXEC));
	close(l);
}
static void datagrams(int ends[2]) {
	for (int i = 0; i < 2; i++) ends[i] = made(AF_INET, SOCK_DGRAM);
	struct sockaddr_in a = bound(ends[0]), b = bound(ends[1]);
	OK(connect(ends[0], (void *)&b, sizeof b));
	OK(connect(ends[1], (void *)&a, sizeof a));
}

PROBE(stream) {
	int ends[2];
	connected(ends);
	EQUAL(send(ends[0], "hello", 5, MSG_NOSIGNAL), 5);
	char b[10];
	EQUAL(recv(ends[1], b, 3, MSG_PEEK), 3);
	EQUAL(recv(ends[1], b, 5, MSG_WAITALL), 5);
	OK(shutdown(ends[0], SHUT_WR));
	EQUAL(recv(ends[1], b, 5, 0), 0);
	FAILS(EPIPE, send(ends[0], "x", 1, MSG_NOSIGNAL));
}
PROBE(refused) {
	int l = made(AF_INET, SOCK_STREAM);
	struct sockaddr_in a = bound(l);
	FAILS(ECONNREFUSED, connect(made(AF_INET, SOCK_STREAM), (void *)&a, sizeof a));
}
PROBE(connects_without_waiting) {
	int l = made(AF_INET, SOCK_STREAM), c = made(AF_INET, SOCK_STREAM | SOCK_NONBLOCK);
	struct sockaddr_in a = bound(l);
	OK(listen(l, 1));
	if (connect(c, (void *)&a, sizeof a)) EQUAL(errno, EINPROGRESS);
	struct pollfd p = {c, POLLOUT, 0};
	EQUAL(poll(&p, 1, 5000), 1);
	EQUAL(get(c, SOL_SOCKET, SO_ERROR), 0);
	EQUAL(get(l, SOL_SOCKET, SO_ACCEPTCONN), 1);
}
PROBE(address_of_peer) {
	int ends[2];
	connected(ends);
	struct sockaddr_in a, b;
	socklen_t n = sizeof a;
	OK(getsockname(ends[0], (void *)&a, &n));
	OK(getpeername(ends[1], (void *)&b, &n));
	EQUAL(a.sin_port, b.sin_port);
	EQUAL(b.sin_family, AF_INET);
}
// Addresses that mean something on one link only have its number, which is 1 for lo.
PROBE(scope_of_address) {
	int fd = OK(socket(AF_INET6, SOCK_DGRAM, 0));
	struct sockaddr_in6 a = {.sin6_family = AF_INET6, .sin6_scope_id = 1}, got;
	CHECK(inet_pton(AF_INET6, "ff02::123", &a.sin6_addr) == 1);
	socklen_t size = sizeof got;
	OK(bind(fd, (struct sockaddr *)&a, sizeof a));
	OK(getsockname(fd, (struct sockaddr *)&got, &size));
	EQUAL(got.sin6_scope_id, 1);
}
PROBE(short_address) {
	int ends[2];
	connected(ends);
	struct sockaddr_in a;
	memset(&a, 0xee, sizeof a);
	socklen_t n = 4;
	OK(getsockname(ends[0], (void *)&a, &n));
	EQUAL(n, sizeof a);
	EQUAL(a.sin_addr.s_addr, 0xeeeeeeee);
}
PROBE(datagram) {
	int ends[2];
	datagrams(ends);
	EQUAL(send(ends[0], "datagram", 8, 0), 8);
	char b[4];
	EQUAL(recv(ends[1], b, 4, MSG_TRUNC), 8);
	EQUAL(send(ends[0], "", 0, 0), 0);
	EQUAL(recv(ends[1], b, 4, 0), 0);
	FAILS(EAGAIN, recv(ends[1], b, 4, MSG_DONTWAIT));
}
PROBE(sent_to) {
	int a = made(AF_INET, SOCK_DGRAM), b = made(AF_INET, SOCK_DGRAM);
	struct sockaddr_in at = bound(a), from = bound(b), got;
	EQUAL(sendto(b, "x", 1, 0, (void *)&at, sizeof at), 1);
	socklen_t n = sizeof got;
	char c;
	EQUAL(recvfrom(a, &c, 1, 0, (void *)&got, &n), 1);
	EQUAL(got.sin_port, from.sin_port);
	EQUAL(n, sizeof got);
}
PROBE(many_messages) {
	int ends[2];
	datagrams(ends);
	struct iovec v[] = {{"abc", 3}, {"defg", 4}};
	struct mmsghdr m[2] = {{{.msg_iov = &v[0], .msg_iovlen = 1}, 0}, {{.msg_iov = &v[1], .msg_iovlen = 1}, 0}};
	EQUAL(OK(sendmmsg(ends[0], m, 2, 0)), 2);
	EQUAL(m[1].msg_len, 4);
	char b[2][10];
	struct iovec w[] = {{b[0], 10}, {b[1], 10}};
	struct mmsghdr r[2] = {{{.msg_iov = &w[0], .msg_iovlen = 1}, 0}, {{.msg_iov = &w[1], .msg_iovlen = 1}, 0}};
	struct timespec t = {5, 0};
	EQUAL(OK(recvmmsg(ends[1], r, 2, MSG_WAITFORONE, &t)), 2);
	EQUAL(r[0].msg_len, 3);
	EQUAL(memcmp(b[1], "defg", 4), 0);
}
// The time is looked at after each datagram.
PROBE(messages_until_late) {
	int ends[2];
	datagrams(ends);
	char b[2];
	struct iovec w[] = {{b, 1}, {b + 1, 1}};
	struct mmsghdr r[2] = {{{.msg_iov = &w[0], .msg_iovlen = 1}, 0}, {{.msg_iov = &w[1], .msg_iovlen = 1}, 0}};
	struct timespec late = {0, 0}, bad = {0, 1000000000};
	EQUAL(write(ends[0], "a", 1), 1);
	FAILS(EINVAL, recvmmsg(ends[1], r, 2, 0, &bad));
	EQUAL(OK(recvmmsg(ends[1], r, 2, 0, &late)), 1);
	EQUAL(write(ends[0], "bc", 2), 2);
	EQUAL(write(ends[0], "d", 1), 1);
	struct timespec left = {100, 0};
	EQUAL(OK(recvmmsg(ends[1], r, 2, 0, &left)), 2);
	CHECK(left.tv_sec == 99 && left.tv_nsec > 0);
}
PROBE(filter_is_told) {
	int fd = made(AF_INET, SOCK_DGRAM);
	struct sock_filter f[2] = {{BPF_LD | BPF_W | BPF_LEN, 0, 0, 0}, {BPF_RET | BPF_A, 1, 2, 0x12345}}, got[3] = {0};
	OK(setsockopt(fd, SOL_SOCKET, SO_ATTACH_FILTER, &(struct sock_fprog){2, f}, sizeof(struct sock_fprog)));
	socklen_t n = 0;
	OK(getsockopt(fd, SOL_SOCKET, SO_GET_FILTER, 0, &n));
	EQUAL(n, 2);
	n = 3;
	OK(getsockopt(fd, SOL_SOCKET, SO_GET_FILTER, got, &n));
	EQUAL(n, 2);
	EQUAL(memcmp(got, f, sizeof f), 0);
	n = 1;
	FAILS(EINVAL, getsockopt(fd, SOL_SOCKET, SO_GET_FILTER, got, &n));
}
PROBE(mtu_of_path) {
	int fd = made(AF_INET6, SOCK_DGRAM);
	struct sockaddr_in6 to = {.sin6_family = AF_INET6, .sin6_port = htons(9), .sin6_addr = IN6ADDR_LOOPBACK_INIT};
	if (connect(fd, (void *)&to, sizeof to)) unsupported("no ::1");
	struct { struct sockaddr_in6 to; uint32_t mtu; } m = {0};
	socklen_t n = sizeof m;
	OK(getsockopt(fd, IPPROTO_IPV6, 61 /* IPV6_PATHMTU */, &m, &n));
	EQUAL(n, sizeof m);
	CHECK(m.mtu >= 1280 && m.mtu <= 65536);
}
// control sends a byte with a control message and returns what comes.
static struct msghdr *received(int fd, char *control, size_t size) {
	static char c;
	static struct iovec v = {&c, 1};
	static struct msghdr m;
	m = (struct msghdr){.msg_iov = &v, .msg_iovlen = 1, .msg_control = control, .msg_controllen = size};
	EQUAL(OK(recvmsg(fd, &m, MSG_CMSG_CLOEXEC)), 1);
	return &m;
}
static struct cmsghdr *control(struct msghdr *m, int level, int type) {
	for (struct cmsghdr *c = CMSG_FIRSTHDR(m); c; c = CMSG_NXTHDR(m, c))
		if (c->cmsg_level == level && c->cmsg_type == type) return c;
	WRONG("there is no control message %d, %d (%zu bytes of them)", level, type, (size_t)m->msg_controllen);
}
static char space[1000] __attribute__((aligned(16)));
static void send_descriptors(int fd, const int *what, int n) {
	union { struct cmsghdr h; char b[CMSG_SPACE(4 * sizeof(int))]; } u;
	memset(&u, 0, sizeof u);
	struct iovec v = {"x", 1};
	struct msghdr m = {.msg_iov = &v, .msg_iovlen = 1, .msg_control = &u, .msg_controllen = CMSG_SPACE(n * sizeof(int))};
	u.h.cmsg_level = SOL_SOCKET, u.h.cmsg_type = SCM_RIGHTS, u.h.cmsg_len = CMSG_LEN(n * sizeof(int));
	memcpy(CMSG_DATA(&u.h), what, n * sizeof(int));
	EQUAL(OK(sendmsg(fd, &m, 0)), 1);
}
PROBE(passes_descriptors) {
	int ends[2], pipes[2];
	OK(socketpair(AF_UNIX, SOCK_STREAM, 0, ends));
	OK(pipe(pipes));
	send_descriptors(ends[0], pipes, 2);
	struct cmsghdr *c = control(received(ends[1], space, sizeof space), SOL_SOCKET, SCM_RIGHTS);
	EQUAL(c->cmsg_len, CMSG_LEN(2 * sizeof(int)));
	int got[2];
	memcpy(got, CMSG_DATA(c), sizeof got);
	EQUAL(fcntl(got[0], F_GETFD), FD_CLOEXEC);
	EQUAL(write(got[1], "y", 1), 1);
	char b;
	EQUAL(read(pipes[0], &b, 1), 1);
}
static int lowest_free(void) {
	int fd = OK(dup(0));
	close(fd);
	return fd;
}
PROBE(descriptors_cut) {
	int ends[2], in[3] = {0, 1, 2};
	OK(socketpair(AF_UNIX, SOCK_STREAM, 0, ends));
	send_descriptors(ends[0], in, 3);
	int before = lowest_free();
	struct msghdr *m = received(ends[1], space, CMSG_LEN(2 * sizeof(int)));
	EQUAL(m->msg_flags & MSG_CTRUNC, MSG_CTRUNC);
	EQUAL(control(m, SOL_SOCKET, SCM_RIGHTS)->cmsg_len, CMSG_LEN(2 * sizeof(int)));
	EQUAL(lowest_free(), before + 2);
}
PROBE(descriptors_do_not_fit) {
	int ends[2], in[2] = {0, 1};
	OK(socketpair(AF_UNIX, SOCK_STREAM, 0, ends));
	for (size_t n = 0; n < CMSG_LEN(sizeof(int)); n++) {
		send_descriptors(ends[0], in, 2);
		int before = lowest_free();
		struct msghdr *m = received(ends[1], space, n);
		EQUAL(m->msg_flags & MSG_CTRUNC, MSG_CTRUNC);
		EQUAL(m->msg_controllen, 0);
		EQUAL(lowest_free(), before);
	}
}
PROBE(passes_credentials) {
	int ends[2];
	OK(socketpair(AF_UNIX, SOCK_STREAM, 0, ends));
	set_get(ends[1], SOL_SOCKET, SO_PASSCRED, 1);
	EQUAL(write(ends[0], "x", 1), 1);
	struct ucred who;
	memcpy(&who, CMSG_DATA(control(received(ends[1], space, sizeof space), SOL_SOCKET, SCM_CREDENTIALS)), sizeof who);
	EQUAL(who.pid, getpid());
	EQUAL(who.uid, getuid());
}
PROBE(credentials_of_peer) {
	int ends[2];
	OK(socketpair(AF_UNIX, SOCK_STREAM, 0, ends));
	struct ucred who = {0, 0, 0};
	socklen_t n = sizeof who;
	OK(getsockopt(ends[0], SOL_SOCKET, SO_PEERCRED, &who, &n));
	EQUAL(who.pid, getpid());
	EQUAL(who.gid, getgid());
}
PROBE(unix_names) {
	int a = made(AF_UNIX, SOCK_STREAM), b = made(AF_UNIX, SOCK_STREAM);
	struct sockaddr_un n = {AF_UNIX, "socket"}, got;
	OK(bind(a, (void *)&n, sizeof n));
	OK(listen(a, 1));
	OK(connect(b, (void *)&n, sizeof n));
	socklen_t l = sizeof got;
	OK(getpeername(b, (void *)&got, &l));
	SAME(got.sun_path, "socket");
	EQUAL(l, offsetof(struct sockaddr_un, sun_path) + 7);
	FAILS(EADDRINUSE, bind(made(AF_UNIX, SOCK_STREAM), (void *)&n, sizeof n));
}
PROBE(unix_abstract) {
	int a = made(AF_UNIX, SOCK_DGRAM), b = made(AF_UNIX, SOCK_DGRAM);
	struct sockaddr_un n = {AF_UNIX, ""}, got;
	snprintf(n.sun_path + 1, 50, "probe-%d", getpid());
	socklen_t l = offsetof(struct sockaddr_un, sun_path) + 1 + strlen(n.sun_path + 1);
	OK(bind(a, (void *)&n, l));
	EQUAL(OK(sendto(b, "x", 1, 0, (void *)&n, l)), 1);
	socklen_t got_length = sizeof got;
	OK(getsockname(a, (void *)&got, &got_length));
	EQUAL(got_length, l);
}
PROBE(unix_autobind) {
	int a = made(AF_UNIX, SOCK_DGRAM);
	struct sockaddr_un n = {AF_UNIX, ""};
	OK(bind(a, (void *)&n, sizeof(sa_family_t)));
	socklen_t l = sizeof n;
	OK(getsockname(a, (void *)&n, &l));
	EQUAL(l, sizeof(sa_family_t) + 6);
}
PROBE(sequenced_packets) {
	int ends[2];
	OK(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, ends));
	EQUAL(send(ends[0], "abc", 3, MSG_EOR), 3);
	EQUAL(send(ends[0], "de", 2, MSG_EOR), 2);
	char b[10];
	EQUAL(recv(ends[1], b, 10, 0), 3);
}
PROBE(ipv6) {
	int l = socket(AF_INET6, SOCK_STREAM, 0);
	if (l < 0) unsupported("no IPv6");
	set_get(l, IPPROTO_IPV6, IPV6_V6ONLY, 1);
	struct sockaddr_in6 a = {.sin6_family = AF_INET6, .sin6_addr = IN6ADDR_LOOPBACK_INIT}, b;
	if (bind(l, (void *)&a, sizeof a)) unsupported("no IPv6 address");
	socklen_t n = sizeof b;
	OK(getsockname(l, (void *)&b, &n));
	CHECK(b.sin6_port && !memcmp(&b.sin6_addr, &a.sin6_addr, 16));
}
PROBE(options_plain) {
	int fd = made(AF_INET, SOCK_STREAM);
	set_get(fd, SOL_SOCKET, SO_REUSEADDR, 1);
	set_get(fd, SOL_SOCKET, SO_REUSEPORT, 1);
	set_get(fd, SOL_SOCKET, SO_KEEPALIVE, 1);
	set_get(fd, SOL_SOCKET, SO_OOBINLINE, 1);
	EQUAL(get(fd, SOL_SOCKET, SO_TYPE), SOCK_STREAM);
	EQUAL(get(fd, SOL_SOCKET, SO_DOMAIN), AF_INET);
	EQUAL(get(fd, SOL_SOCKET, SO_PROTOCOL), IPPROTO_TCP);
	int size = 10000;
	OK(setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &size, sizeof size));
	CHECK(get(fd, SOL_SOCKET, SO_SNDBUF) >= 10000);
}
PROBE(options_of_tcp) {
	int fd = made(AF_INET, SOCK_STREAM);
	set_get(fd, IPPROTO_TCP, TCP_NODELAY, 1);
	set_get(fd, IPPROTO_TCP, TCP_KEEPIDLE, 33);
	set_get(fd, IPPROTO_TCP, TCP_KEEPINTVL, 5);
	set_get(fd, IPPROTO_TCP, TCP_KEEPCNT, 3);
	set_get(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, 3000);
	set_get(fd, IPPROTO_TCP, TCP_DEFER_ACCEPT, 1);
	set_get(fd, IPPROTO_TCP, TCP_QUICKACK, 1);
	set_get(fd, IPPROTO_TCP, TCP_CORK, 1);
}
PROBE(linger) {
	int fd = made(AF_INET, SOCK_STREAM);
	struct linger l = {1, 9}, got = {0, 0};
	socklen_t n = sizeof got;
	OK(setsockopt(fd, SOL_SOCKET, SO_LINGER, &l, sizeof l));
	OK(getsockopt(fd, SOL_SOCKET, SO_LINGER, &got, &n));
	EQUAL(got.l_onoff, 1);
	EQUAL(got.l_linger, 9);
}
PROBE(receive_times_out) {
	int ends[2];
	datagrams(ends);
	struct timeval t = {0, 50000}, got = {9, 9};
	OK(setsockopt(ends[0], SOL_SOCKET, SO_RCVTIMEO, &t, sizeof t));
	socklen_t n = sizeof got;
	OK(getsockopt(ends[0], SOL_SOCKET, SO_RCVTIMEO, &got, &n));
	EQUAL(n, sizeof got);
	EQUAL(got.tv_sec, 0);
	CHECK(got.tv_usec >= 40000 && got.tv_usec <= 70000);
	char c;
	FAILS(EAGAIN, recv(ends[0], &c, 1, 0));
}
// E11
#define OPTION(NAME, FAMILY, TYPE, LEVEL, OPTION, VALUE) \
	PROBE(NAME) { set_get(made(FAMILY, TYPE), LEVEL, OPTION, VALUE); }
OPTION(option_priority, AF_INET, SOCK_STREAM, SOL_SOCKET, SO_PRIORITY, 3)
OPTION(option_rxq_overflow, AF_INET, SOCK_DGRAM, SOL_SOCKET, SO_RXQ_OVFL, 1)
OPTION(option_multicast_loop, AF_INET, SOCK_DGRAM, IPPROTO_IP, IP_MULTICAST_LOOP, 0)
OPTION(option_multicast_all, AF_INET, SOCK_DGRAM, IPPROTO_IP, IP_MULTICAST_ALL, 0)
OPTION(option_mtu_discover, AF_INET, SOCK_DGRAM, IPPROTO_IP, IP_MTU_DISCOVER, IP_PMTUDISC_DO)
OPTION(option_receive_address, AF_INET, SOCK_DGRAM, IPPROTO_IP, IP_PKTINFO, 1)
OPTION(option_receive_ttl, AF_INET, SOCK_DGRAM, IPPROTO_IP, IP_RECVTTL, 1)
OPTION(option_receive_tos, AF_INET, SOCK_DGRAM, IPPROTO_IP, IP_RECVTOS, 1)
OPTION(option_receive_errors, AF_INET, SOCK_DGRAM, IPPROTO_IP, IP_RECVERR, 1)
OPTION(option_original_destination, AF_INET, SOCK_DGRAM, IPPROTO_IP, 20 /* IP_RECVORIGDSTADDR */, 1)
OPTION(option_free_bind, AF_INET, SOCK_STREAM, IPPROTO_IP, IP_FREEBIND, 1)
OPTION(option_no_port_yet, AF_INET, SOCK_STREAM, IPPROTO_IP, 24 /* IP_BIND_ADDRESS_NO_PORT */, 1)
OPTION(option_type_of_service, AF_INET, SOCK_STREAM, IPPROTO_IP, IP_TOS, 0x10)
OPTION(option_ttl, AF_INET, SOCK_STREAM, IPPROTO_IP, IP_TTL, 44)
OPTION(option_least_ttl, AF_INET, SOCK_STREAM, IPPROTO_IP, IP_MINTTL, 4)
OPTION(option6_hops, AF_INET6, SOCK_DGRAM, IPPROTO_IPV6, IPV6_UNICAST_HOPS, 5)
OPTION(option6_receive_address, AF_INET6, SOCK_DGRAM, IPPROTO_IPV6, IPV6_RECVPKTINFO, 1)
OPTION(option6_no_fragments, AF_INET6, SOCK_DGRAM, IPPROTO_IPV6, 62 /* IPV6_DONTFRAG */, 1)
OPTION(option6_class, AF_INET6, SOCK_DGRAM, IPPROTO_IPV6, IPV6_TCLASS, 8)
OPTION(option6_receive_class, AF_INET6, SOCK_DGRAM, IPPROTO_IPV6, IPV6_RECVTCLASS, 1)
OPTION(option6_mtu_discover, AF_INET6, SOCK_DGRAM, IPPROTO_IPV6, IPV6_MTU_DISCOVER, 2)
OPTION(option_fast_open, AF_INET, SOCK_STREAM, IPPROTO_TCP, 30 /* TCP_FASTOPEN_CONNECT */, 1)
OPTION(option_not_sent_low, AF_INET, SOCK_STREAM, IPPROTO_TCP, 25 /* TCP_NOTSENT_LOWAT */, 16384)
OPTION(option_segment, AF_INET, SOCK_DGRAM, IPPROTO_UDP, 103 /* UDP_SEGMENT */, 1200)
OPTION(option_peek_offset, AF_UNIX, SOCK_STREAM, SOL_SOCKET, SO_PEEK_OFF, 2)
OPTION(option_zero_copy, AF_INET, SOCK_STREAM, SOL_SOCKET, SO_ZEROCOPY, 1)
OPTION(option_timestamp_ns, AF_INET, SOCK_DGRAM, SOL_SOCKET, SO_TIMESTAMPNS, 1)
OPTION(option_busy_poll, AF_INET, SOCK_DGRAM, SOL_SOCKET, SO_BUSY_POLL, 0)
OPTION(option_incoming_cpu, AF_INET, SOCK_STREAM, SOL_SOCKET, SO_INCOMING_CPU, 0)
OPTION(option_low_water, AF_INET, SOCK_STREAM, SOL_SOCKET, SO_RCVLOWAT, 10)
PROBE(option_mark) {
	int fd = made(AF_INET, SOCK_STREAM);
	EQUAL(get(fd, SOL_SOCKET, SO_MARK), 0);
}
PROBE(option_cookie) {
	uint64_t cookie = 0;
	socklen_t n = sizeof cookie;
	OK(getsockopt(made(AF_INET, SOCK_STREAM), SOL_SOCKET, SO_COOKIE, &cookie, &n));
	EQUAL(n, 8);
	CHECK(cookie);
}
PROBE(option_device) {
	char name[IFNAMSIZ] = "x";
	socklen_t n = sizeof name;
	OK(getsockopt(made(AF_INET, SOCK_STREAM), SOL_SOCKET, SO_BINDTODEVICE, name, &n));
	EQUAL(n, 0);
}
PROBE(option_group) {
	if (sizeof(struct group_req) < 132) elsewhere("the C library's addresses are smaller than the kernel's");
	struct group_req g = {.gr_interface = OK(if_nametoindex("lo"))};
	struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = inet_addr("239.1.2.3")};
	memcpy(&g.gr_group, &a, sizeof a);
	int fd = made(AF_INET, SOCK_DGRAM);
	if (setsockopt(fd, IPPROTO_IP, MCAST_JOIN_GROUP, &g, sizeof g)) {
		if (errno == ENODEV) unsupported("no device");
		WRONG("MCAST_JOIN_GROUP: %s", strerror(errno));
	}
	OK(setsockopt(fd, IPPROTO_IP, MCAST_LEAVE_GROUP, &g, sizeof g));
}
PROBE(option_membership) {
	struct ip_mreqn g = {.imr_multiaddr.s_addr = inet_addr("239.1.2.3"), .imr_ifindex = OK(if_nametoindex("lo"))};
	OK(setsockopt(made(AF_INET, SOCK_DGRAM), IPPROTO_IP, IP_ADD_MEMBERSHIP, &g, sizeof g));
}
PROBE(option_filter) {
	int ends[2];
	OK(socketpair(AF_UNIX, SOCK_DGRAM, 0, ends));
	struct sock_filter nothing[] = {BPF_STMT(BPF_RET | BPF_K, 0)};
	struct sock_fprog f = {1, nothing};
	OK(setsockopt(ends[1], SOL_SOCKET, SO_ATTACH_FILTER, &f, sizeof f));
	EQUAL(send(ends[0], "x", 1, MSG_DONTWAIT), 1);
	char c;
	FAILS(EAGAIN, recv(ends[1], &c, 1, MSG_DONTWAIT));
	int zero = 0;
	OK(setsockopt(ends[1], SOL_SOCKET, SO_DETACH_FILTER, &zero, sizeof zero));
	EQUAL(send(ends[0], "x", 1, 0), 1);
	EQUAL(recv(ends[1], &c, 1, MSG_DONTWAIT), 1);
}
PROBE(option_filter_locked) { set_get(made(AF_INET, SOCK_DGRAM), SOL_SOCKET, SO_LOCK_FILTER, 1); }
PROBE(tcp_numbers_of_any_length) {
	int fd = OK(socket(AF_INET, SOCK_STREAM, 0)), on[4] = {1, 0, 0, 0}, is[4] = {7, 7, 7, 7};
	OK(setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, on, 8));
	for (socklen_t length = 4; length <= 16; length += 4) {
		socklen_t n = length;
		OK(getsockopt(fd, IPPROTO_TCP, TCP_NODELAY, is, &n));
		EQUAL(n, 4);
		EQUAL(is[0], 1);
		EQUAL(is[1], 7);
	}
	FAILS(EINVAL, setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, on, 2));
	FAILS(EINVAL, setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, on, 0));
}
PROBE(tcp_information) {
	int ends[2];
	connected(ends);
	struct tcp_info i;
	memset(&i, 0, sizeof i);
	socklen_t n = sizeof i;
	OK(getsockopt(ends[0], IPPROTO_TCP, TCP_INFO, &i, &n));
	EQUAL(n, sizeof i);
	EQUAL(i.tcpi_state, TCP_ESTABLISHED);
	CHECK(i.tcpi_snd_mss > 0 && i.tcpi_snd_mss < 70000);
}
PROBE(congestion_name) {
	char name[16] = "";
	socklen_t n = sizeof name;
	int fd = made(AF_INET, SOCK_STREAM);
	OK(getsockopt(fd, IPPROTO_TCP, TCP_CONGESTION, name, &n));
	CHECK(strlen(name) >= 3);
	char *all = contents("/proc/sys/net/ipv4/tcp_available_congestion_control");
	char *found = strstr(all, name);
	if (!found || (found[strlen(name)] != ' ' && found[strlen(name)] != '\n')) WRONG("\"%s\" is none of %s", name, all);
	OK(setsockopt(fd, IPPROTO_TCP, TCP_CONGESTION, name, strlen(name)));
}
PROBE(multipath_tcp) {
	int fd = socket(AF_INET, SOCK_STREAM, 262 /* IPPROTO_MPTCP */);
	if (fd < 0) unsupported("no MPTCP");
	uint32_t i[40];
	socklen_t n = sizeof i;
	FAILS(EOPNOTSUPP, getsockopt(fd, 284 /* SOL_MPTCP */, 1 /* MPTCP_INFO */, i, &n) == 0 ? (errno = EOPNOTSUPP, -1) : -1);
}
PROBE(timestamps_of_messages) {
	int ends[2], on = 1;
	datagrams(ends);
	OK(setsockopt(ends[1], SOL_SOCKET, SO_TIMESTAMP, &on, sizeof on));
	EQUAL(send(ends[0], "x", 1, 0), 1);
	struct timeval t;
	struct cmsghdr *c = control(received(ends[1], space, sizeof space), SOL_SOCKET, SO_TIMESTAMP);
	EQUAL(c->cmsg_len, CMSG_LEN(sizeof t));
	memcpy(&t, CMSG_DATA(c), sizeof t);
	CHECK(llabs((long long)t.tv_sec - (long long)time(0)) < 100);
}
PROBE(address_of_message) {
	int ends[2], on = 1;
	datagrams(ends);
	OK(setsockopt(ends[1], IPPROTO_IP, IP_PKTINFO, &on, sizeof on));
	OK(setsockopt(ends[1], IPPROTO_IP, IP_RECVTTL, &on, sizeof on));
	EQUAL(send(ends[0], "x", 1, 0), 1);
	struct msghdr *m = received(ends[1], space, sizeof space);
	struct in_pktinfo p;
	memcpy(&p, CMSG_DATA(control(m, IPPROTO_IP, IP_PKTINFO)), sizeof p);
	EQUAL(p.ipi_addr.s_addr, htonl(INADDR_LOOPBACK));
	EQUAL(p.ipi_ifindex, if_nametoindex("lo"));
	int ttl;
	memcpy(&ttl, CMSG_DATA(control(m, IPPROTO_IP, IP_TTL)), sizeof ttl);
	CHECK(ttl > 0 && ttl < 256);
}
PROBE(error_queue) {
	int fd = made(AF_INET, SOCK_DGRAM), other = made(AF_INET, SOCK_DGRAM), on = 1;
	struct sockaddr_in a = bound(other);
	close(other);
	OK(setsockopt(fd, IPPROTO_IP, IP_RECVERR, &on, sizeof on));
	OK(connect(fd, (void *)&a, sizeof a));
	EQUAL(send(fd, "x", 1, 0), 1);
	struct pollfd p = {fd, 0, 0};
	EQUAL(poll(&p, 1, 5000), 1);
	EQUAL(p.revents, POLLERR);
	char c;
	struct iovec v = {&c, 1};
	struct msghdr m = {.msg_iov = &v, .msg_iovlen = 1, .msg_control = space, .msg_controllen = sizeof space};
	EQUAL(OK(recvmsg(fd, &m, MSG_ERRQUEUE)), 1);
	EQUAL(m.msg_flags & MSG_ERRQUEUE, MSG_ERRQUEUE);
	struct sock_extended_err e;
	memcpy(&e, CMSG_DATA(control(&m, IPPROTO_IP, IP_RECVERR)), sizeof e);
	EQUAL(e.ee_errno, ECONNREFUSED);
	EQUAL(e.ee_origin, SO_EE_ORIGIN_ICMP);
}
PROBE(control_cut) {
	int ends[2], on = 1;
	datagrams(ends);
	OK(setsockopt(ends[1], IPPROTO_IP, IP_PKTINFO, &on, sizeof on));
	EQUAL(send(ends[0], "x", 1, 0), 1);
	struct msghdr *m = received(ends[1], space, 4);
	EQUAL(m->msg_flags & MSG_CTRUNC, MSG_CTRUNC);
}
PROBE(control_cut_in_data) {
	int ends[2], on = 1;
	datagrams(ends);
	OK(setsockopt(ends[1], IPPROTO_IP, IP_PKTINFO, &on, sizeof on));
	for (size_t n = CMSG_LEN(0); n < CMSG_LEN(sizeof(struct in_pktinfo)); n++) {
		EQUAL(send(ends[0], "x", 1, 0), 1);
		struct msghdr *m = received(ends[1], space, n);
		EQUAL(m->msg_flags & MSG_CTRUNC, MSG_CTRUNC);
		EQUAL(m->msg_controllen, n);
		EQUAL(((struct cmsghdr *)space)->cmsg_len, n);
	}
}
PROBE(second_control_cut) {
	int ends[2], on = 1;
	datagrams(ends);
	OK(setsockopt(ends[1], IPPROTO_IP, IP_PKTINFO, &on, sizeof on));
	OK(setsockopt(ends[1], IPPROTO_IP, IP_RECVTTL, &on, sizeof on));
	for (size_t n = 0; n < CMSG_LEN(sizeof(int)); n++) {
		EQUAL(send(ends[0], "x", 1, 0), 1);
		struct msghdr *m = received(ends[1], space, CMSG_SPACE(sizeof(struct in_pktinfo)) + n);
		EQUAL(m->msg_flags & MSG_CTRUNC, MSG_CTRUNC);
		EQUAL(control(m, IPPROTO_IP, IP_PKTINFO)->cmsg_len, CMSG_LEN(sizeof(struct in_pktinfo)));
	}
}
PROBE(urgent) {
	int ends[2];
	connected(ends);
	EQUAL(send(ends[0], "a", 1, 0), 1);
	EQUAL(send(ends[0], "!", 1, MSG_OOB), 1);
	struct pollfd p = {ends[1], POLLPRI, 0};
	EQUAL(poll(&p, 1, 5000), 1);
	char c;
	EQUAL(recv(ends[1], &c, 1, MSG_OOB), 1);
	EQUAL(c, '!');
	EQUAL(recv(ends[1], &c, 1, 0), 1);
	EQUAL(OK(sockatmark(ends[1])), 1);
}
PROBE(interfaces) {
	struct ifconf c = {.ifc_len = sizeof space, .ifc_buf = space};
	int fd = made(AF_INET, SOCK_DGRAM);
	OK(ioctl(fd, SIOCGIFCONF, &c));
	CHECK(c.ifc_len > 0 && c.ifc_len % sizeof(struct ifreq) == 0);
	struct ifreq r;
	memset(&r, 0, sizeof r);
	strcpy(r.ifr_name, "lo");
	OK(ioctl(fd, SIOCGIFFLAGS, &r));
	CHECK(r.ifr_flags & IFF_LOOPBACK);
	OK(ioctl(fd, SIOCGIFINDEX, &r));
	EQUAL(r.ifr_ifindex, if_nametoindex("lo"));
	OK(ioctl(fd, SIOCGIFMTU, &r));
	CHECK(r.ifr_mtu >= 1500);
	char name[IF_NAMESIZE];
	CHECK(if_indextoname(if_nametoindex("lo"), name));
	SAME(name, "lo");
}
PROBE(wrong_arguments) {
	FAILS(EAFNOSUPPORT, socket(99, SOCK_STREAM, 0));
	FAILS(EPROTONOSUPPORT, socket(AF_INET, SOCK_STREAM, IPPROTO_UDP));
	FAILS(ENOPROTOOPT, getsockopt(made(AF_INET, SOCK_STREAM), IPPROTO_TCP, 9999, space, &(socklen_t){4}));
	FAILS(ENOTSOCK, getsockopt(OK(open("/dev/null", O_RDONLY)), SOL_SOCKET, SO_TYPE, space, &(socklen_t){4}));
	FAILS(EFAULT, setsockopt(made(AF_INET, SOCK_STREAM), SOL_SOCKET, SO_KEEPALIVE, (void *)8, 4));
	FAILS(EINVAL, setsockopt(made(AF_INET, SOCK_STREAM), SOL_SOCKET, SO_KEEPALIVE, space, 2));
	FAILS(EADDRNOTAVAIL, ({ struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = inet_addr("192.0.2.1")}; bind(made(AF_INET, SOCK_STREAM), (void *)&a, sizeof a); }));
}
// sends puts a message with two control messages (the second may have no length) on a socket.
static ssize_t sends(int fd, void *address, socklen_t length, size_t size, int level, int type, void *data, size_t n,
		     int second, int value) {
	static char text[4000];
	struct iovec v = {text, size};
	memset(space, 0, sizeof space);
	struct msghdr m = {.msg_name = address, .msg_namelen = length, .msg_iov = &v, .msg_iovlen = 1, .msg_control = space,
			   .msg_controllen = CMSG_SPACE(n) + (second ? CMSG_SPACE(sizeof value) : 0)};
	struct cmsghdr *c = CMSG_FIRSTHDR(&m);
	*c = (struct cmsghdr){.cmsg_level = level, .cmsg_type = type, .cmsg_len = CMSG_LEN(n)};
	memcpy(CMSG_DATA(c), data, n);
	if (second) {
		c = (void *)(space + CMSG_SPACE(n));
		*c = (struct cmsghdr){.cmsg_level = level, .cmsg_type = second, .cmsg_len = CMSG_LEN(sizeof value)};
		memcpy(CMSG_DATA(c), &value, sizeof value);
	}
	return sendmsg(fd, &m, 0);
}
static int number(struct msghdr *m, int level, int type) {
	int value;
	memcpy(&value, CMSG_DATA(control(m, level, type)), sizeof value);
	return value;
}
// E14: big-endian ones: quic-go, DNS servers
PROBE(control_sent) {
	int fd = made(AF_INET, SOCK_DGRAM), from = made(AF_INET, SOCK_DGRAM), on = 1;
	struct sockaddr_in a = bound(fd);
	OK(setsockopt(fd, IPPROTO_IP, IP_RECVTTL, &on, sizeof on));
	struct in_pktinfo p = {.ipi_ifindex = if_nametoindex("lo"), .ipi_spec_dst.s_addr = htonl(INADDR_LOOPBACK)};
	EQUAL(OK(sends(from, &a, sizeof a, 1, IPPROTO_IP, IP_PKTINFO, &p, sizeof p, IP_TTL, 33)), 1);
	EQUAL(number(received(fd, space, sizeof space), IPPROTO_IP, IP_TTL), 33);
}
PROBE(control_sent_6) {
	int fd = made(AF_INET6, SOCK_DGRAM), from = made(AF_INET6, SOCK_DGRAM), on = 1;
	struct sockaddr_in6 a = {.sin6_family = AF_INET6, .sin6_addr = IN6ADDR_LOOPBACK_INIT};
	socklen_t n = sizeof a;
	if (bind(fd, (void *)&a, n)) unsupported("no IPv6");
	OK(getsockname(fd, (void *)&a, &n));
	OK(setsockopt(fd, IPPROTO_IPV6, IPV6_RECVPKTINFO, &on, sizeof on));
	OK(setsockopt(fd, IPPROTO_IPV6, IPV6_RECVHOPLIMIT, &on, sizeof on));
	struct in6_pktinfo p = {.ipi6_addr = IN6ADDR_LOOPBACK_INIT, .ipi6_ifindex = if_nametoindex("lo")};
	EQUAL(OK(sends(from, &a, sizeof a, 1, IPPROTO_IPV6, IPV6_PKTINFO, &p, sizeof p, IPV6_HOPLIMIT, 33)), 1);
	struct msghdr *m = received(fd, space, sizeof space);
	EQUAL(number(m, IPPROTO_IPV6, IPV6_HOPLIMIT), 33);
	memcpy(&p, CMSG_DATA(control(m, IPPROTO_IPV6, IPV6_PKTINFO)), sizeof p);
	EQUAL(p.ipi6_ifindex, if_nametoindex("lo"));
}
PROBE(segments_sent) {
	int fd = made(AF_INET, SOCK_DGRAM), from = made(AF_INET, SOCK_DGRAM);
	struct sockaddr_in a = bound(fd);
	uint16_t segment = 1000;
	EQUAL(OK(sends(from, &a, sizeof a, 2500, IPPROTO_UDP, 103 /* UDP_SEGMENT */, &segment, sizeof segment, 0, 0)), 2500);
	char b[4000];
	EQUAL(recv(fd, b, sizeof b, 0), 1000);
	EQUAL(recv(fd, b, sizeof b, 0), 1000);
	EQUAL(recv(fd, b, sizeof b, 0), 500);
}
PROBE(timestamps_sixty_four) {
	int ends[2], on = 1;
	datagrams(ends);
	OK(setsockopt(ends[1], SOL_SOCKET, SO_TIMESTAMPNS_NEW, &on, sizeof on));
	EQUAL(send(ends[0], "x", 1, 0), 1);
	int64_t t[2];
	memcpy(t, CMSG_DATA(control(received(ends[1], space, sizeof space), SOL_SOCKET, SO_TIMESTAMPNS_NEW)), sizeof t);
	if (llabs(t[0] - time(0)) > 60 || t[1] < 0 || t[1] >= 1000000000) WRONG("%lld.%lld", (long long)t[0], (long long)t[1]);
}
PROBE(control_of_wrong_length) {
	int ends[2];
	datagrams(ends);
	memset(space, 0, sizeof space);
	char c = 'x';
	struct iovec v = {&c, 1};
	struct msghdr m = {.msg_iov = &v, .msg_iovlen = 1, .msg_control = space, .msg_controllen = CMSG_SPACE(sizeof(int))};
	*CMSG_FIRSTHDR(&m) = (struct cmsghdr){.cmsg_level = IPPROTO_IP, .cmsg_type = IP_TTL, .cmsg_len = CMSG_LEN(400)};
	FAILS(EINVAL, sendmsg(ends[0], &m, 0));
	CMSG_FIRSTHDR(&m)->cmsg_len = 3;
	FAILS(EINVAL, sendmsg(ends[0], &m, 0));
	CMSG_FIRSTHDR(&m)->cmsg_len = CMSG_LEN(sizeof(int));
	m.msg_controllen = 1 << 30; // crashed
	EQUAL(sendmsg(ends[0], &m, 0), -1);
}
PROBE(address_of_no_length) {
	char *p = mmap(0, 65536, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	CHECK(p != MAP_FAILED);
	FAILS(EINVAL, connect(made(AF_INET, SOCK_DGRAM), (void *)p, 0)); // crashed
	FAILS(EINVAL, bind(made(AF_INET, SOCK_DGRAM), (void *)p, 1 << 30));
}
PROBE(linger_of_short_length) {
	struct linger l = {.l_onoff = 7, .l_linger = 7};
	socklen_t n = sizeof l.l_onoff;
	OK(getsockopt(made(AF_INET, SOCK_STREAM), SOL_SOCKET, SO_LINGER, &l, &n));
	EQUAL(n, sizeof l.l_onoff);
	EQUAL(l.l_onoff, 0);
	EQUAL(l.l_linger, 7);
}
static void ethernet(void *data) {
	struct ifreq r = {.ifr_data = data};
	strcpy(r.ifr_name, "lo");
	OK(ioctl(made(AF_INET, SOCK_DGRAM), SIOCETHTOOL, &r));
}
// Felix, ethtool, systemd
PROBE(ethernet_settings) {
	struct ethtool_value link = {.cmd = ETHTOOL_GLINK, .data = 9};
	ethernet(&link);
	CHECK(link.data == 0 || link.data == 1);
	struct {
		struct ethtool_sset_info info;
		uint32_t count, behind;
	} sets = {.info = {.cmd = ETHTOOL_GSSET_INFO, .sset_mask = 1 << ETH_SS_FEATURES}, .behind = 9};
	ethernet(&sets);
	EQUAL(sets.info.sset_mask, 1 << ETH_SS_FEATURES);
	CHECK(sets.count > 20 && sets.count < 1000);
	EQUAL(sets.behind, 9);
	struct ethtool_gstrings *names = calloc(sets.count + 1, ETH_GSTRING_LEN);
	*names = (struct ethtool_gstrings){.cmd = ETHTOOL_GSTRINGS, .string_set = ETH_SS_FEATURES, .len = sets.count};
	ethernet(names);
	EQUAL(names->len, sets.count);
	CHECK(!strncmp((char *)names->data, "tx-scatter-gather", ETH_GSTRING_LEN));
}
// E14: big-endian ones
PROBE(queue_of_interface) {
	struct ifreq r = {.ifr_qlen = 0};
	strcpy(r.ifr_name, "lo");
	OK(ioctl(made(AF_INET, SOCK_DGRAM), SIOCGIFTXQLEN, &r));
	CHECK(r.ifr_qlen > 0 && r.ifr_qlen < 100000);
}
// E12
PROBE(label_of_flow) {
	struct { struct in6_addr to; uint32_t label; uint8_t action, share; uint16_t flags, expires, linger, pad[2]; } f =
		{.to = IN6ADDR_LOOPBACK_INIT, .action = 0 /* IPV6_FL_A_GET */, .share = 1, .flags = 1 /* IPV6_FL_F_CREATE */, .expires = 100};
	int fd = made(AF_INET6, SOCK_DGRAM);
	if (setsockopt(fd, IPPROTO_IPV6, 32 /* IPV6_FLOWLABEL_MGR */, &f, sizeof f)) {
		if (errno == EPERM) unsupported("labels are not everybody's");
		WRONG("%s", strerror(errno));
	}
	CHECK(f.label && !(f.label & ~htonl(0xfffff)));
}
PROBE(sources_filtered) {
	int fd = made(AF_INET, SOCK_DGRAM);
	struct ip_mreqn group = {.imr_multiaddr.s_addr = htonl(0xe0010203), .imr_address.s_addr = htonl(INADDR_LOOPBACK)};
	if (setsockopt(fd, IPPROTO_IP, IP_ADD_MEMBERSHIP, &group, sizeof group)) unsupported("no multicast");
	struct { struct in_addr group, interface; uint32_t mode, n; struct in_addr sources[2]; } f =
		{group.imr_multiaddr, group.imr_address, MCAST_INCLUDE, 1, {{htonl(0x7f000009)}}};
	OK(setsockopt(fd, IPPROTO_IP, IP_MSFILTER, &f, 20));
	f.mode = 9, f.n = 2, f.sources[0].s_addr = 0;
	socklen_t n = sizeof f;
	OK(getsockopt(fd, IPPROTO_IP, IP_MSFILTER, &f, &n));
	EQUAL(n, 20);
	EQUAL(f.mode, MCAST_INCLUDE);
	EQUAL(f.n, 1);
	EQUAL(f.sources[0].s_addr, htonl(0x7f000009));
}
PROBE(bad_descriptor_first) {
	void *bad = (void *)8;
	int file = OK(open("f", O_RDWR | O_CREAT, 0600)), fds[] = {-1, file};
	for (int i = 0; i < 2; i++) {
		int fd = fds[i], error = i ? ENOTSOCK : EBADF;
		FAILS(error, accept(fd, bad, bad));
		FAILS(error, getpeername(fd, bad, bad));
		FAILS(error, getsockname(fd, bad, &(socklen_t){-1}));
		FAILS(error, getsockopt(fd, SOL_SOCKET, SO_TYPE, bad, &(socklen_t){-1}));
		FAILS(error, setsockopt(fd, SOL_SOCKET, SO_RCVBUF, bad, 4));
		FAILS(error, getsockopt(fd, 0, 0, bad, &(socklen_t){4}));
		FAILS(error, setsockopt(fd, 0, 0, "four", 4));
		FAILS(error, bind(fd, bad, -1));
		FAILS(error, sendto(fd, "x", 1, 0, bad, -1));
		FAILS(error, recvfrom(fd, bad, 1, 0, bad, bad));
		FAILS(error, sendmsg(fd, bad, 0));
		FAILS(error, recvmsg(fd, 0, 0));
	}
	FAILS(EBADF, connect(-1, bad, 16));
	int fd = made(AF_INET, SOCK_DGRAM);
	FAILS(EFAULT, getsockname(fd, bad, bad));
	FAILS(EINVAL, getsockname(fd, bad, &(socklen_t){-1}));
	FAILS(EFAULT, sendmsg(fd, bad, 0));
}
