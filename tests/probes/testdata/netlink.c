// Netlink: routes, diagnosis, generic families, packet filters' own, events.
#include "probe.h"
#include <ifaddrs.h>
#include <linux/genetlink.h>
#include <linux/inet_diag.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <linux/sock_diag.h>
#include <linux/xfrm.h>
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
// E14: big-endian ones
PROBE(answer_in_parts) {
	struct ifinfomsg i = {.ifi_index = OK(if_nametoindex("lo"))};
	struct { struct nlmsghdr h; struct ifinfomsg i; } m = {{.nlmsg_len = sizeof m, .nlmsg_type = RTM_GETLINK, .nlmsg_flags = NLM_F_REQUEST, .nlmsg_seq = 7}, i};
	int fd = opened(NETLINK_ROUTE);
	struct iovec out[2] = {{&m, 10}, {(char *)&m + 10, sizeof m - 10}}, in[2] = {{buffer, 20}, {buffer + 20, sizeof buffer - 20}};
	EQUAL(writev(fd, out, 2), sizeof m);
	struct nlmsghdr *h = answer(OK(readv(fd, in, 2)), RTM_NEWLINK);
	EQUAL(((struct ifinfomsg *)NLMSG_DATA(h))->ifi_type, 772); // ARPHRD_LOOPBACK
	EQUAL(writev(fd, out, 2), sizeof m);
	memset(buffer, 0, sizeof buffer);
	ssize_t n = OK(recvmsg(fd, &(struct msghdr){.msg_iov = in, .msg_iovlen = 2}, 0));
	CHECK(n > (ssize_t)sizeof m);
	h = answer(n, RTM_NEWLINK);
	EQUAL(h->nlmsg_len, n);
	EQUAL(((struct ifinfomsg *)NLMSG_DATA(h))->ifi_type, 772);
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
// A request is built from its parts: messages, attributes, attributes in attributes.
static struct { char bytes[2048] __attribute__((aligned(4))); size_t used; } built;

static void *grown(size_t size) {
	void *at = built.bytes + built.used;
	if (built.used + size > sizeof built.bytes) WRONG("the request is too long: %zu", built.used + size);
	memset(at, 0, NLMSG_ALIGN(size));
	built.used += NLMSG_ALIGN(size);
	return at;
}
static struct nlmsghdr *begun(int type, int flags, const void *body, size_t size) {
	struct nlmsghdr *h = grown(NLMSG_HDRLEN);
	h->nlmsg_type = type, h->nlmsg_flags = NLM_F_REQUEST | flags, h->nlmsg_seq = 7;
	memcpy(grown(size), body, size);
	return h;
}
static void ended(struct nlmsghdr *h) { h->nlmsg_len = built.bytes + built.used - (char *)h; }
static struct nlattr *put(int type, const void *value, size_t size) {
	struct nlattr *a = grown(NLA_HDRLEN + size);
	a->nla_type = type, a->nla_len = NLA_HDRLEN + size;
	memcpy(a + 1, value, size);
	return a;
}
static void put32(int type, uint32_t value) { put(type, &value, sizeof value); }
static void put_text(int type, const char *value) { put(type, value, strlen(value) + 1); }
static struct nlattr *nested(int type) { return put(NLA_F_NESTED | type, "", 0); }
static void closed(struct nlattr *a) { a->nla_len = built.bytes + built.used - (char *)a; }
static struct nlattr *expression(const char *name, struct nlattr **element) {
	*element = nested(1 /* NFTA_LIST_ELEM */);
	put_text(1 /* NFTA_EXPR_NAME */, name);
	return nested(2 /* NFTA_EXPR_DATA */);
}
// inside finds an attribute among those of another one.
static struct nlattr *inside(struct nlattr *of, int type) {
	char *end = (char *)of + of->nla_len;
	for (struct nlattr *a = of + 1; (char *)a + sizeof *a <= end && a->nla_len >= sizeof *a; a = (void *)((char *)a + NLA_ALIGN(a->nla_len)))
		if ((a->nla_type & NLA_TYPE_MASK) == type) return a;
	WRONG("no attribute %d", type);
}
static void sent(int fd) {
	EQUAL(OK(send(fd, built.bytes, built.used, 0)), built.used);
	struct timeval t = {5, 0};
	OK(setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &t, sizeof t));
	built.used = 0;
}
// A rule that drops what has a mark: the mark is a number in the kernel's byte order,
// that of all else in the message is the network's.
static void drop_marked(int fd, uint32_t mark, uint32_t xor) {
	struct { uint8_t family, version; uint16_t id; } batch = {AF_UNSPEC, 0, htons(10)}, g = {AF_INET, 0, 0};
	enum { CREATE = NLM_F_CREATE | NLM_F_ACK, TABLES = 10 << 8 };
	ended(begun(16 /* NFNL_MSG_BATCH_BEGIN */, 0, &batch, sizeof batch));
	struct nlmsghdr *h = begun(TABLES | 0 /* NFT_MSG_NEWTABLE */, CREATE, &g, sizeof g);
	put_text(1, "t"), put32(2, 0), ended(h);
	h = begun(TABLES | 3 /* NFT_MSG_NEWCHAIN */, CREATE, &g, sizeof g);
	put_text(1, "t"), put_text(3, "c");
	struct nlattr *hook = nested(4);
	put32(1, htonl(3 /* NF_INET_LOCAL_OUT */)), put32(2, 0), closed(hook);
	put_text(7, "filter"), ended(h);
	h = begun(TABLES | 6 /* NFT_MSG_NEWRULE */, CREATE | NLM_F_APPEND, &g, sizeof g);
	put_text(1, "t"), put_text(2, "c");
	struct nlattr *all = nested(4 /* NFTA_RULE_EXPRESSIONS */), *element, *e, *data;
	e = expression("meta", &element);
	put32(2, htonl(3 /* NFT_META_MARK */)), put32(1, htonl(1 /* NFT_REG_1 */)), closed(e), closed(element);
	if (xor) {
		e = expression("bitwise", &element);
		put32(1, htonl(1)), put32(2, htonl(1)), put32(3, htonl(4));
		data = nested(4), put32(1, 0xffffffff), closed(data);
		data = nested(5), put32(1, xor), closed(data);
		closed(e), closed(element);
	}
	e = expression("cmp", &element);
	put32(1, htonl(1)), put32(2, 0 /* NFT_CMP_EQ */);
	data = nested(3), put32(1, mark ^ xor), closed(data), closed(e), closed(element);
	e = expression("immediate", &element);
	put32(1, 0 /* NFT_REG_VERDICT */), data = nested(2);
	struct nlattr *verdict = nested(2);
	put32(1, 0 /* NF_DROP */), closed(verdict), closed(data), closed(e), closed(element), closed(all), ended(h);
	ended(begun(17 /* NFNL_MSG_BATCH_END */, 0, &batch, sizeof batch));
	sent(fd);
	for (int i = 0; i < 3; i++) {
		ssize_t n = OK(recv(fd, buffer, sizeof buffer, 0));
		int why = error(n);
		if (why == EOPNOTSUPP || why == EINVAL) unsupported("no nftables");
		EQUAL(why, 0);
	}
}
static int sends(uint32_t mark) {
	struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(9), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	int fd = OK(socket(AF_INET, SOCK_DGRAM, 0));
	OK(setsockopt(fd, SOL_SOCKET, SO_MARK, &mark, sizeof mark));
	int n = sendto(fd, "x", 1, 0, (void *)&to, sizeof to);
	return n == 1 ? 0 : errno;
}
static void own_network(void) {
	if (syscall(SYS_unshare, 0x10000000 | 0x40000000)) WRONG("unshare: %s", strerror(errno));
	struct ifinfomsg up = {.ifi_index = OK(if_nametoindex("lo")), .ifi_flags = IFF_UP, .ifi_change = IFF_UP};
	EQUAL(error(ask(opened(NETLINK_ROUTE), RTM_NEWLINK, NLM_F_ACK, &up, sizeof up)), 0);
}
PROBE(netfilter_rule_works) {
	IN_CHILD(
		own_network();
		drop_marked(opened(NETLINK_NETFILTER), 0x12345678, 0);
		EQUAL(sends(0x78563412), 0);
		EQUAL(sends(0x12345678), EPERM);
	);
}
PROBE(netfilter_rule_computes) {
	IN_CHILD(
		own_network();
		drop_marked(opened(NETLINK_NETFILTER), 0x12345678, 0xff);
		EQUAL(sends(0x12345687), 0);
		EQUAL(sends(0x12345678), EPERM);
	);
}
PROBE(netfilter_rule_reads_back) {
	IN_CHILD(
		own_network();
		int fd = opened(NETLINK_NETFILTER);
		drop_marked(fd, 0x12345678, 0);
		struct { uint8_t family, version; uint16_t id; } g = {AF_INET, 0, 0};
		struct nlmsghdr *h = answer(ask(fd, (10 << 8) | 7 /* NFT_MSG_GETRULE */, NLM_F_DUMP, &g, sizeof g), (10 << 8) | 6);
		char *table = attribute(h, sizeof g, 1);
		CHECK(table);
		SAME(table, "t");
		struct nlattr *list = attribute(h, sizeof g, 4);
		CHECK(list);
		struct nlattr *loads = inside(list - 1, 1);
		SAME((char *)(inside(loads, 1) + 1), "meta");
		struct nlattr *compares = (void *)((char *)loads + NLA_ALIGN(loads->nla_len));
		SAME((char *)(inside(compares, 1) + 1), "cmp");
		EQUAL(*(uint32_t *)(inside(inside(inside(compares, 2), 3), 1) + 1), 0x12345678);
	);
}
PROBE(transforms_policy) {
	struct { struct xfrm_userpolicy_info p; struct nlattr a; struct xfrm_user_tmpl t; } m;
	memset(&m, 0, sizeof m);
	m.p.sel.family = m.t.family = AF_INET, m.p.sel.prefixlen_d = 32, m.p.sel.daddr.a4 = htonl(0x0a000001);
	m.p.lft.soft_byte_limit = m.p.lft.hard_byte_limit = m.p.lft.soft_packet_limit = m.p.lft.hard_packet_limit = XFRM_INF;
	m.p.priority = 0x1234, m.p.dir = XFRM_POLICY_OUT;
	m.t.reqid = 0x5678, m.t.id.proto = IPPROTO_ESP, m.t.mode = XFRM_MODE_TUNNEL, m.t.id.daddr.a4 = m.t.saddr.a4 = htonl(0x0a000002);
	m.t.aalgos = m.t.ealgos = m.t.calgos = 0xffffffff;
	m.a = (struct nlattr){sizeof m.a + sizeof m.t, XFRMA_TMPL};
	struct xfrm_userpolicy_id id = {.sel = m.p.sel, .dir = m.p.dir};
	IN_CHILD(
		own_network();
		int fd = opened(NETLINK_XFRM);
		int why = error(ask(fd, XFRM_MSG_NEWPOLICY, NLM_F_ACK | NLM_F_CREATE, &m, sizeof m));
		if (why == EOPNOTSUPP) unsupported("the kernel has no XFRM for 32-bit programs (CONFIG_XFRM_USER_COMPAT)");
		EQUAL(why, 0);
		struct nlmsghdr *h = answer(ask(fd, XFRM_MSG_GETPOLICY, 0, &id, sizeof id), XFRM_MSG_NEWPOLICY);
		struct xfrm_userpolicy_info *p = NLMSG_DATA(h);
		EQUAL(p->priority, 0x1234);
		EQUAL(p->sel.family, AF_INET);
		CHECK(p->lft.hard_byte_limit == XFRM_INF && p->curlft.add_time > 1000000000);
		struct xfrm_user_tmpl *t = attribute(h, sizeof *p, XFRMA_TMPL);
		CHECK(t);
		EQUAL(t->reqid, 0x5678);
		EQUAL(t->family, AF_INET);
	);
}
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
// acked sends what was built, and returns the error that the kernel answers.
static int acked(int fd) {
	sent(fd);
	return error(OK(recv(fd, buffer, sizeof buffer, 0)));
}
// found sends what was built, and waits for the message of a dump that has a number among its attributes, after SIZE bytes.
static struct nlmsghdr *found(int type, size_t size, int attribute_, uint32_t number) {
	int fd = opened(NETLINK_ROUTE);
	sent(fd);
	for (int rounds = 0; rounds < 100; rounds++) {
		ssize_t n = OK(recv(fd, buffer, sizeof buffer, 0));
		for (struct nlmsghdr *h = (void *)buffer; NLMSG_OK(h, n); h = NLMSG_NEXT(h, n)) {
			if (h->nlmsg_type == NLMSG_ERROR) WRONG("the kernel's answer: %s", strerror(-((struct nlmsgerr *)NLMSG_DATA(h))->error));
			if (h->nlmsg_type == NLMSG_DONE) WRONG("there is none with %d of %u", attribute_, number);
			EQUAL(h->nlmsg_type, type);
			uint32_t *a = attribute(h, size, attribute_);
			if (a && *a == number) return h;
		}
	}
	WRONG("there is no end");
}
enum { MAKE = NLM_F_CREATE | NLM_F_EXCL | NLM_F_ACK };
// A network of the probe's own with two links, a and b, that are each other's ends.
static int network(void) {
	if (syscall(SYS_unshare, 0x10000000 | 0x40000000)) WRONG("unshare: %s", strerror(errno));
	int fd = opened(NETLINK_ROUTE);
	struct ifinfomsg none = {0};
	struct nlmsghdr *h = begun(RTM_NEWLINK, MAKE, &none, sizeof none);
	put_text(IFLA_IFNAME, "a"), put32(IFLA_MTU, 1400);
	struct nlattr *info = nested(IFLA_LINKINFO), *data, *peer;
	put_text(IFLA_INFO_KIND, "veth"), data = nested(IFLA_INFO_DATA);
	peer = put(1 /* VETH_INFO_PEER */, &none, sizeof none), put_text(IFLA_IFNAME, "b"), put32(IFLA_MTU, 1300);
	closed(peer), closed(data), closed(info), ended(h);
	int why = acked(fd);
	if (why == EOPNOTSUPP) unsupported("no veth");
	EQUAL(why, 0);
	for (int i = 0; i < 2; i++) {
		struct ifinfomsg up = {.ifi_index = OK(if_nametoindex(i ? "a" : "b")), .ifi_flags = IFF_UP, .ifi_change = IFF_UP};
		ended(begun(RTM_NEWLINK, NLM_F_ACK, &up, sizeof up));
		EQUAL(acked(fd), 0);
	}
	struct ifaddrmsg a = {AF_INET, 24, 0, 0, if_nametoindex("a")};
	uint32_t address = htonl(0x0a630001);
	h = begun(RTM_NEWADDR, MAKE, &a, sizeof a);
	put(IFA_LOCAL, &address, 4), put(IFA_ADDRESS, &address, 4), put32(9 /* IFA_RT_PRIORITY */, 4321), ended(h);
	EQUAL(acked(fd), 0);
	return fd;
}
// E19
PROBE(links_made) {
	IN_CHILD(
		int fd = network();
		struct ifinfomsg none = {0};
		struct nlmsghdr *h = begun(RTM_GETLINK, 0, &none, sizeof none);
		put_text(IFLA_IFNAME, "b"), ended(h), sent(fd);
		h = answer(OK(recv(fd, buffer, sizeof buffer, 0)), RTM_NEWLINK);
		struct ifinfomsg *i = NLMSG_DATA(h);
		EQUAL(i->ifi_index, if_nametoindex("b"));
		uint32_t *mtu = attribute(h, sizeof *i, IFLA_MTU), *peer = attribute(h, sizeof *i, IFLA_LINK);
		CHECK(mtu && peer);
		EQUAL(*mtu, 1300);
		EQUAL(*peer, if_nametoindex("a"));
		char *info = attribute(h, sizeof *i, IFLA_LINKINFO);
		CHECK(info);
		SAME((char *)(inside((struct nlattr *)info - 1, IFLA_INFO_KIND) + 1), "veth");
	);
}
PROBE(routes_made) {
	IN_CHILD(
		int fd = network();
		struct rtmsg r = {.rtm_family = AF_INET, .rtm_dst_len = 24, .rtm_table = RT_TABLE_MAIN, .rtm_protocol = RTPROT_STATIC, .rtm_type = RTN_UNICAST};
		uint32_t to = htonl(0x0a640000), by[2] = {htonl(0x0a630002), htonl(0x0a630003)};
		struct nlmsghdr *h = begun(RTM_NEWROUTE, MAKE, &r, sizeof r);
		put(RTA_DST, &to, 4), put32(RTA_PRIORITY, 1234);
		struct nlattr *metrics = nested(RTA_METRICS);
		put32(RTAX_MTU, 1111), closed(metrics);
		struct nlattr *paths = nested(RTA_MULTIPATH);
		for (int k = 0; k < 2; k++) {
			struct rtnexthop *p = grown(sizeof *p);
			p->rtnh_len = sizeof *p + 8, p->rtnh_hops = k + 1, p->rtnh_ifindex = if_nametoindex("a");
			put(RTA_GATEWAY, &by[k], 4);
		}
		closed(paths), ended(h);
		EQUAL(acked(fd), 0);
		ended(begun(RTM_GETROUTE, NLM_F_DUMP, &(struct rtmsg){.rtm_family = AF_INET}, sizeof r));
		h = found(RTM_NEWROUTE, sizeof r, RTA_PRIORITY, 1234);
		struct nlattr *m = attribute(h, sizeof r, RTA_METRICS);
		CHECK(m);
		EQUAL(*(uint32_t *)(inside(m - 1, RTAX_MTU) + 1), 1111);
		struct rtnexthop *p = attribute(h, sizeof r, RTA_MULTIPATH);
		CHECK(p);
		EQUAL(p->rtnh_len, sizeof *p + 8);
		p = RTNH_NEXT(p);
		EQUAL(p->rtnh_hops, 2);
		EQUAL(p->rtnh_ifindex, if_nametoindex("a"));
		EQUAL(*(uint32_t *)RTA_DATA(RTNH_DATA(p)), by[1]);
		ended(begun(RTM_GETROUTE, NLM_F_DUMP, &(struct rtmsg){.rtm_family = AF_INET}, sizeof r));
		found(RTM_NEWROUTE, sizeof r, RTA_PRIORITY, 4321);
	);
}
PROBE(queues_and_filters_made) {
	IN_CHILD(
		int fd = network();
		struct tcmsg q = {.tcm_family = AF_UNSPEC, .tcm_ifindex = if_nametoindex("a"), .tcm_handle = 0x10000, .tcm_parent = 0xffffffff /* TC_H_ROOT */};
		struct nlmsghdr *h = begun(RTM_NEWQDISC, MAKE, &q, sizeof q);
		put_text(TCA_KIND, "pfifo"), put32(TCA_OPTIONS, 77), ended(h);
		int why = acked(fd);
		if (why == EOPNOTSUPP || why == ENOENT) unsupported("no queues");
		EQUAL(why, 0);
		ended(begun(RTM_GETQDISC, NLM_F_DUMP, &q, sizeof q));
		h = found(RTM_NEWQDISC, sizeof q, TCA_OPTIONS, 77);
		EQUAL(((struct tcmsg *)NLMSG_DATA(h))->tcm_handle, 0x10000);
		SAME(attribute(h, sizeof q, TCA_KIND), "pfifo");
		q.tcm_handle = 0xffff0000, q.tcm_parent = 0xfffffff1 /* TC_H_INGRESS */;
		h = begun(RTM_NEWQDISC, MAKE, &q, sizeof q);
		put_text(TCA_KIND, "ingress"), ended(h);
		if ((why = acked(fd)) == EOPNOTSUPP || why == ENOENT) return;
		EQUAL(why, 0);
		q.tcm_handle = 0, q.tcm_parent = 0xffff0000, q.tcm_info = 9u << 16 | htons(0x0800);
		h = begun(RTM_NEWTFILTER, MAKE, &q, sizeof q);
		put_text(TCA_KIND, "u32");
		struct nlattr *options = nested(TCA_OPTIONS);
		put32(1 /* TCA_U32_CLASSID */, 0x10007);
		struct { uint8_t flags; uint8_t shift; uint8_t keys; uint16_t mask; uint16_t off; int16_t offoff; int16_t hoff; uint32_t hmask; struct { uint32_t mask; uint32_t val; int32_t off; int32_t offmask; } key; }
			all = {.flags = 1 /* TC_U32_TERMINAL */, .keys = 1, .key = {0xffffffff, htonl(0x0a630009), 16, 0}};
		put(5 /* TCA_U32_SEL */, &all, sizeof all), closed(options), ended(h);
		if ((why = acked(fd)) == EOPNOTSUPP || why == ENOENT) return;
		EQUAL(why, 0);
		fd = opened(NETLINK_ROUTE);
		ended(begun(RTM_GETTFILTER, NLM_F_DUMP, &q, sizeof q)), sent(fd);
		h = (void *)buffer;
		ssize_t n = OK(recv(fd, buffer, sizeof buffer, 0));
		CHECK(NLMSG_OK(h, n));
		EQUAL(h->nlmsg_type, RTM_NEWTFILTER);
		EQUAL(((struct tcmsg *)NLMSG_DATA(h))->tcm_info, 9u << 16 | htons(0x0800));
	);
}
PROBE(settings_of_networks) {
	struct { uint8_t family; } c = {AF_INET};
	ended(begun(82 /* RTM_GETNETCONF */, NLM_F_DUMP, &c, sizeof c));
	struct nlmsghdr *h = found(80 /* RTM_NEWNETCONF */, 1, 1 /* NETCONFA_IFINDEX */, OK(if_nametoindex("lo")));
	uint32_t *forwards = attribute(h, 1, 2 /* NETCONFA_FORWARDING */);
	CHECK(forwards && *forwards <= 1);
}
PROBE(tables_of_neighbours) {
	struct { uint8_t family; char padding[3]; } t = {AF_INET, ""};
	int fd = opened(NETLINK_ROUTE);
	ended(begun(RTM_GETNEIGHTBL, NLM_F_DUMP, &t, sizeof t)), sent(fd);
	ssize_t n = OK(recv(fd, buffer, sizeof buffer, 0));
	struct nlmsghdr *h = (void *)buffer;
	CHECK(NLMSG_OK(h, n));
	EQUAL(h->nlmsg_type, RTM_NEWNEIGHTBL);
	uint32_t *least = attribute(h, sizeof t, 2 /* NDTA_THRESH1 */);
	CHECK(least && *least < 1 << 20);
}
