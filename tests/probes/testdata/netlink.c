// Netlink: routes, diagnosis, generic families, packet filters' own, events.
#include "probe.h"
#include <ifaddrs.h>
#include <linux/genetlink.h>
#include <linux/inet_diag.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <linux/sock_diag.h>
#include <net/if.h>
#include <netinet/in.h>
#include <netinet/tcp.h>

static char buffer[65536] __attribute__((aligned(8)));

static int opened(int protocol) {
	int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, protocol);
	if (fd < 0 && errno == EPROTONOSUPPORT) unsupported("the kernel has no such protocol");
	return OK(fd);
}
// ask sends a request and returns how many bytes came in answer.
static ssize_t ask(int fd, int type, int flags, const void *body, size_t size) {
	struct { struct nlmsghdr h; char body[512]; } m;
	memset(&m, 0, sizeof m);
	m.h.nlmsg_len = NLMSG_LENGTH(size), m.h.nlmsg_type = type, m.h.nlmsg_flags = NLM_F_REQUEST | flags, m.h.nlmsg_seq = 7;
	memcpy(NLMSG_DATA(&m.h), body, size);
	struct sockaddr_nl kernel = {.nl_family = AF_NETLINK};
	EQUAL(OK(sendto(fd, &m, m.h.nlmsg_len, 0, (void *)&kernel, sizeof kernel)), m.h.nlmsg_len);
	struct timeval t = {5, 0};
	OK(setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &t, sizeof t));
	return OK(recv(fd, buffer, sizeof buffer, 0));
}
// attribute finds one after a message's fixed part.
static void *attribute(struct nlmsghdr *h, size_t fixed, int type) {
	struct nlattr *a = (void *)((char *)NLMSG_DATA(h) + NLMSG_ALIGN(fixed));
	char *end = (char *)h + h->nlmsg_len;
	for (; (char *)a + sizeof *a <= end && a->nla_len >= sizeof *a; a = (void *)((char *)a + NLA_ALIGN(a->nla_len)))
		if ((a->nla_type & NLA_TYPE_MASK) == type) return a + 1;
	return 0;
}
static struct nlmsghdr *answer(ssize_t n, int type) {
	struct nlmsghdr *h = (void *)buffer;
	if (!NLMSG_OK(h, n)) WRONG("a message of %u bytes in %zd", h->nlmsg_len, n);
	EQUAL(h->nlmsg_seq, 7);
	if (h->nlmsg_type == NLMSG_ERROR && type != NLMSG_ERROR) WRONG("the kernel's answer: %s", strerror(-((struct nlmsgerr *)NLMSG_DATA(h))->error));
	EQUAL(h->nlmsg_type, type);
	return h;
}
// error is what the kernel answers.
static int error(ssize_t n) { return -((struct nlmsgerr *)NLMSG_DATA(answer(n, NLMSG_ERROR)))->error; }

PROBE(route_link) {
	struct { struct ifinfomsg i; struct nlattr a; char name[4]; } m = {{.ifi_index = OK(if_nametoindex("lo"))}, {0, 0}, ""};
	struct nlmsghdr *h = answer(ask(opened(NETLINK_ROUTE), RTM_GETLINK, 0, &m, sizeof m.i), RTM_NEWLINK);
	struct ifinfomsg *i = NLMSG_DATA(h);
	EQUAL(i->ifi_index, if_nametoindex("lo"));
	EQUAL(i->ifi_type, 772); // ARPHRD_LOOPBACK
	CHECK(i->ifi_flags & IFF_LOOPBACK);
	char *name = attribute(h, sizeof *i, IFLA_IFNAME);
	CHECK(name);
	SAME(name, "lo");
	uint32_t *mtu = attribute(h, sizeof *i, IFLA_MTU);
	CHECK(mtu && *mtu >= 1500 && *mtu <= 65536);
}
PROBE(route_links_dumped) {
	struct ifinfomsg i = {.ifi_family = AF_UNSPEC};
	int fd = opened(NETLINK_ROUTE);
	ssize_t n = ask(fd, RTM_GETLINK, NLM_F_DUMP, &i, sizeof i);
	struct nlmsghdr *h = answer(n, RTM_NEWLINK);
	CHECK(h->nlmsg_flags & NLM_F_MULTI);
	for (int rounds = 0; rounds < 100; rounds++) {
		for (h = (void *)buffer; NLMSG_OK(h, n); h = NLMSG_NEXT(h, n))
			if (h->nlmsg_type == NLMSG_DONE) return;
		n = OK(recv(fd, buffer, sizeof buffer, 0));
	}
	WRONG("there is no end");
}
PROBE(route_addresses_dumped) {
	struct ifaddrmsg a = {.ifa_family = AF_INET};
	struct nlmsghdr *h = answer(ask(opened(NETLINK_ROUTE), RTM_GETADDR, NLM_F_DUMP, &a, sizeof a), RTM_NEWADDR);
	CHECK(attribute(h, sizeof a, IFA_ADDRESS));
	EQUAL(((struct ifaddrmsg *)NLMSG_DATA(h))->ifa_family, AF_INET);
}
PROBE(route_rules_dumped) {
	struct rtmsg r = {.rtm_family = AF_INET};
	ssize_t n = ask(opened(NETLINK_ROUTE), RTM_GETRULE, NLM_F_DUMP, &r, sizeof r);
	struct nlmsghdr *h = (void *)buffer;
	CHECK(NLMSG_OK(h, n));
	if (h->nlmsg_type == NLMSG_ERROR) unsupported("no rules");
	EQUAL(h->nlmsg_type, RTM_NEWRULE);
}
PROBE(route_unknown) {
	struct ifinfomsg i = {.ifi_index = 123456};
	EQUAL(error(ask(opened(NETLINK_ROUTE), RTM_GETLINK, 0, &i, sizeof i)), ENODEV);
}
PROBE(route_refused) {
	struct ifinfomsg i = {.ifi_index = OK(if_nametoindex("lo")), .ifi_change = IFF_UP};
	EQUAL(error(ask(opened(NETLINK_ROUTE), RTM_NEWLINK, NLM_F_ACK, &i, sizeof i)), EPERM);
}
PROBE(interface_addresses) {
	struct ifaddrs *list;
	OK(getifaddrs(&list));
	bool lo = false;
	for (struct ifaddrs *i = list; i; i = i->ifa_next)
		if (!strcmp(i->ifa_name, "lo") && i->ifa_addr && i->ifa_addr->sa_family == AF_INET)
			lo = ((struct sockaddr_in *)i->ifa_addr)->sin_addr.s_addr == htonl(INADDR_LOOPBACK);
	CHECK(lo);
}
PROBE(interface_names) {
	struct if_nameindex *list = if_nameindex();
	CHECK(list);
	bool lo = false;
	for (; list->if_name; list++) lo |= !strcmp(list->if_name, "lo");
	CHECK(lo);
}
PROBE(own_address) {
	int fd = opened(NETLINK_ROUTE);
	struct sockaddr_nl a = {.nl_family = AF_NETLINK}, got;
	OK(bind(fd, (void *)&a, sizeof a));
	socklen_t n = sizeof got;
	OK(getsockname(fd, (void *)&got, &n));
	EQUAL(n, sizeof got);
	EQUAL(got.nl_family, AF_NETLINK);
	EQUAL(got.nl_pid, getpid());
}
PROBE(groups) {
	int fd = opened(NETLINK_ROUTE);
	struct sockaddr_nl a = {.nl_family = AF_NETLINK, .nl_groups = RTMGRP_LINK | RTMGRP_IPV4_IFADDR}, got;
	OK(bind(fd, (void *)&a, sizeof a));
	socklen_t n = sizeof got;
	OK(getsockname(fd, (void *)&got, &n));
	EQUAL(got.nl_groups, RTMGRP_LINK | RTMGRP_IPV4_IFADDR);
	int group = RTNLGRP_IPV6_IFADDR;
	OK(setsockopt(fd, 270 /* SOL_NETLINK */, NETLINK_ADD_MEMBERSHIP, &group, sizeof group));
}
static void option(int option) {
	int fd = opened(NETLINK_ROUTE), on = 1, got = 0;
	OK(setsockopt(fd, 270, option, &on, sizeof on));
	socklen_t n = sizeof got;
	OK(getsockopt(fd, 270, option, &got, &n));
	EQUAL(n, sizeof got);
	EQUAL(got, 1);
}
PROBE(option_packet_info) { option(NETLINK_PKTINFO); }
PROBE(option_capped) { option(NETLINK_CAP_ACK); }
PROBE(option_extended) { option(NETLINK_EXT_ACK); }
PROBE(option_strict) { option(12 /* NETLINK_GET_STRICT_CHK */); }
PROBE(extended_error) {
	int fd = opened(NETLINK_ROUTE), on = 1;
	OK(setsockopt(fd, 270, NETLINK_EXT_ACK, &on, sizeof on));
	OK(setsockopt(fd, 270, 12, &on, sizeof on));
	struct { struct ifaddrmsg a; struct nlattr t; uint32_t v; } m = {{.ifa_family = AF_INET, .ifa_prefixlen = 3}, {8, 99}, 1};
	ssize_t n = ask(fd, RTM_GETADDR, NLM_F_DUMP, &m, sizeof m);
	struct nlmsghdr *h = (void *)buffer;
	CHECK(NLMSG_OK(h, n));
	CHECK(h->nlmsg_flags & NLM_F_ACK_TLVS);
}
// E8
PROBE(generic_controller) {
	struct { struct genlmsghdr g; struct nlattr a; char name[8]; } m = {{CTRL_CMD_GETFAMILY, 1, 0}, {sizeof m.a + 7, CTRL_ATTR_FAMILY_NAME}, "nlctrl"};
	struct nlmsghdr *h = answer(ask(opened(NETLINK_GENERIC), GENL_ID_CTRL, 0, &m, sizeof m), GENL_ID_CTRL);
	uint16_t *id = attribute(h, GENL_HDRLEN, CTRL_ATTR_FAMILY_ID);
	CHECK(id);
	EQUAL(*id, GENL_ID_CTRL);
	SAME(attribute(h, GENL_HDRLEN, CTRL_ATTR_FAMILY_NAME), "nlctrl");
}
PROBE(generic_unknown) {
	struct { struct genlmsghdr g; struct nlattr a; char name[8]; } m = {{CTRL_CMD_GETFAMILY, 1, 0}, {sizeof m.a + 5, CTRL_ATTR_FAMILY_NAME}, "none"};
	EQUAL(error(ask(opened(NETLINK_GENERIC), GENL_ID_CTRL, 0, &m, sizeof m)), ENOENT);
}
PROBE(generic_dumped) {
	struct genlmsghdr g = {CTRL_CMD_GETFAMILY, 1, 0};
	struct nlmsghdr *h = answer(ask(opened(NETLINK_GENERIC), GENL_ID_CTRL, NLM_F_DUMP, &g, sizeof g), GENL_ID_CTRL);
	CHECK(attribute(h, GENL_HDRLEN, CTRL_ATTR_FAMILY_NAME));
}
PROBE(sockets_diagnosed) {
	int l = OK(socket(AF_INET, SOCK_STREAM, 0));
	struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	OK(bind(l, (void *)&a, sizeof a));
	OK(listen(l, 3));
	socklen_t n = sizeof a;
	OK(getsockname(l, (void *)&a, &n));
	struct inet_diag_req_v2 r = {.sdiag_family = AF_INET, .sdiag_protocol = IPPROTO_TCP, .idiag_states = 1 << TCP_LISTEN};
	int fd = opened(NETLINK_SOCK_DIAG);
	ssize_t size = ask(fd, SOCK_DIAG_BY_FAMILY, NLM_F_DUMP, &r, sizeof r);
	struct nlmsghdr *h = (void *)buffer;
	if (NLMSG_OK(h, size) && h->nlmsg_type == NLMSG_ERROR) unsupported("no inet_diag");
	for (int rounds = 0; rounds < 100; rounds++) {
		for (h = (void *)buffer; NLMSG_OK(h, size); h = NLMSG_NEXT(h, size)) {
			if (h->nlmsg_type == NLMSG_DONE) WRONG("the socket is not there");
			struct inet_diag_msg *m = NLMSG_DATA(h);
			if (m->id.idiag_sport == a.sin_port) {
				EQUAL(m->idiag_state, TCP_LISTEN);
				return;
			}
		}
		size = OK(recv(fd, buffer, sizeof buffer, 0));
	}
}
PROBE(netfilter_opens) { close(opened(NETLINK_NETFILTER)); }
PROBE(netfilter_refuses) {
	struct { uint8_t family, version; uint16_t id; } g = {AF_INET, 0, 0};
	int e = error(ask(opened(NETLINK_NETFILTER), (10 << 8) | 1 /* nftables: NFT_MSG_GETTABLE */, 0, &g, sizeof g));
	CHECK(e == EPERM || e == EINVAL || e == EOPNOTSUPP || e == ENOENT);
}
PROBE(netfilter_generation) {
	struct { uint8_t family, version; uint16_t id; } g = {AF_UNSPEC, 0, 0};
	IN_CHILD(
		if (syscall(SYS_unshare, 0x10000000 | 0x40000000)) WRONG("unshare: %s", strerror(errno));
		int fd = opened(NETLINK_NETFILTER);
		ssize_t n = ask(fd, (10 << 8) | 16 /* NFT_MSG_GETGEN */, 0, &g, sizeof g);
		struct nlmsghdr *h = (void *)buffer;
		CHECK(NLMSG_OK(h, n));
		if (h->nlmsg_type == NLMSG_ERROR) unsupported("no nftables");
		EQUAL(h->nlmsg_type, (10 << 8) | 15 /* NFT_MSG_NEWGEN */);
		uint32_t *generation = attribute(h, sizeof g, 1);
		CHECK(generation);
	);
}
PROBE(transforms_open) { close(opened(NETLINK_XFRM)); }
PROBE(connector_opens) { close(opened(NETLINK_CONNECTOR)); }
PROBE(events_open) {
	int fd = opened(NETLINK_KOBJECT_UEVENT);
	struct sockaddr_nl a = {.nl_family = AF_NETLINK, .nl_groups = 1};
	OK(bind(fd, (void *)&a, sizeof a));
}
PROBE(unknown_protocol) { FAILS(EPROTONOSUPPORT, socket(AF_NETLINK, SOCK_RAW, 31)); }
PROBE(two_messages_at_once) {
	int fd = opened(NETLINK_ROUTE);
	struct { struct nlmsghdr h; struct ifinfomsg i; } m[2];
	memset(m, 0, sizeof m);
	for (int k = 0; k < 2; k++) {
		m[k].h = (struct nlmsghdr){sizeof m[0], RTM_GETLINK, NLM_F_REQUEST, 20 + k, 0};
		m[k].i.ifi_index = OK(if_nametoindex("lo"));
	}
	EQUAL(OK(send(fd, m, sizeof m, 0)), sizeof m);
	for (int k = 0; k < 2; k++) {
		OK(recv(fd, buffer, sizeof buffer, 0));
		EQUAL(((struct nlmsghdr *)buffer)->nlmsg_seq, 20 + k);
	}
}
