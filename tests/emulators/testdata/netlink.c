// Netlink: links with all their attributes, of which the last may be empty, generic
// families, sockets as ss sees them, and what nft and ipset talk to. Programs of another
// byte order than the host's have links only.
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <linux/genetlink.h>
#include <linux/inet_diag.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <linux/sock_diag.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static int status;
static char reply[65536];

static int failed(const char *name, const char *what, int err)
{
    printf("%s: %s: %s\n", name, what, strerror(err));
    return status = 1;
}

static int open_socket(const char *name, int protocol)
{
    struct timeval limit = { .tv_sec = 10 };
    struct sockaddr_nl self = { .nl_family = AF_NETLINK };
    int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, protocol);
    if (fd < 0) {
        failed(name, "socket", errno);
        return -1;
    }
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
    if (bind(fd, (struct sockaddr *)&self, sizeof(self)) != 0)
        failed(name, "bind", errno);
    return fd;
}

// ask sends a header and its message, which lie apart, and gets the first answer.
static ssize_t ask(const char *name, int fd, int type, int flags, const void *body, size_t len)
{
    struct nlmsghdr h = { NLMSG_LENGTH(len), type, NLM_F_REQUEST | flags, 7, 0 };
    struct iovec parts[] = { { &h, sizeof(h) }, { (void *)body, len } };
    struct sockaddr_nl kernel = { .nl_family = AF_NETLINK };
    struct msghdr m = { &kernel, sizeof(kernel), parts, 2, NULL, 0, 0 };
    if (sendmsg(fd, &m, 0) != (ssize_t)h.nlmsg_len) {
        failed(name, "sendmsg", errno);
        return -1;
    }
    ssize_t n = recv(fd, reply, sizeof(reply), 0);
    if (n < (ssize_t)sizeof(h) || ((struct nlmsghdr *)reply)->nlmsg_seq != 7) {
        failed(name, "recv", n < 0 ? errno : EBADMSG);
        return -1;
    }
    return n;
}

static void links(void)
{
    const char *name = "NETLINK_ROUTE";
    int fd = open_socket(name, NETLINK_ROUTE), found = 0;
    struct ifinfomsg m = { .ifi_family = AF_UNSPEC };
    ssize_t n = ask(name, fd, RTM_GETLINK, NLM_F_DUMP, &m, sizeof(m));
    for (struct nlmsghdr *h = (struct nlmsghdr *)reply; n > 0 && NLMSG_OK(h, n); h = NLMSG_NEXT(h, n)) {
        struct ifinfomsg *i = NLMSG_DATA(h);
        if (h->nlmsg_type != RTM_NEWLINK)
            continue;
        found |= i->ifi_index == 1;
        struct rtattr *a = IFLA_RTA(i);
        int left = IFLA_PAYLOAD(h);
        while (RTA_OK(a, left))
            a = RTA_NEXT(a, left);
        if (left > 0)
            failed(name, "an attribute is cut off", EBADMSG);
    }
    if (n >= 0 && !found)
        failed(name, "no link 1", ENOENT);
    close(fd);
}

#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
static void generic(void)
{
    const char *name = "NETLINK_GENERIC";
    int fd = open_socket(name, NETLINK_GENERIC);
    if (fd < 0)
        return;
    struct {
        struct genlmsghdr g;
        struct nlattr a;
        char family[8];
    } m = { { CTRL_CMD_GETFAMILY, 1, 0 }, { NLA_HDRLEN + 7, CTRL_ATTR_FAMILY_NAME }, "nlctrl" };
    ssize_t n = ask(name, fd, GENL_ID_CTRL, 0, &m, sizeof(m));
    struct nlmsghdr *h = (struct nlmsghdr *)reply;
    if (n >= 0 && h->nlmsg_type != GENL_ID_CTRL)
        failed(name, "family", h->nlmsg_type == NLMSG_ERROR ? -((struct nlmsgerr *)NLMSG_DATA(h))->error : EBADMSG);
    close(fd);
}

static void sockets(void)
{
    const char *name = "NETLINK_SOCK_DIAG";
    struct sockaddr_in at = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    socklen_t len = sizeof(at);
    int s = socket(AF_INET, SOCK_STREAM, 0), found = 0;
    int fd = open_socket(name, NETLINK_SOCK_DIAG);
    if (fd < 0)
        return;
    if (bind(s, (struct sockaddr *)&at, len) != 0 || listen(s, 1) != 0 || getsockname(s, (struct sockaddr *)&at, &len) != 0)
        failed(name, "listen", errno);
    struct inet_diag_req_v2 m = { .sdiag_family = AF_INET, .sdiag_protocol = IPPROTO_TCP, .idiag_states = 1 << 10 };
    ssize_t n = ask(name, fd, SOCK_DIAG_BY_FAMILY, NLM_F_DUMP, &m, sizeof(m));
    while (n > 0 && !found) {
        for (struct nlmsghdr *h = (struct nlmsghdr *)reply; NLMSG_OK(h, n); h = NLMSG_NEXT(h, n)) {
            struct inet_diag_msg *d = NLMSG_DATA(h);
            if (h->nlmsg_type == NLMSG_DONE || h->nlmsg_type == NLMSG_ERROR) {
                failed(name, "not listed", ENOENT);
                found = 1;
            } else
                found |= d->id.idiag_sport == at.sin_port;
        }
        if (!found)
            n = recv(fd, reply, sizeof(reply), 0);
    }
    close(fd);
    close(s);
}

// netfilter has no right to anything here, and is told so by the kernel.
static void netfilter(void)
{
    const char *name = "NETLINK_NETFILTER";
    int fd = open_socket(name, NETLINK_NETFILTER);
    if (fd < 0)
        return;
    struct nfgenmsg m = { AF_INET, NFNETLINK_V0, 0 };
    ssize_t n = ask(name, fd, 0xff << 8, NLM_F_ACK, &m, sizeof(m));
    struct nlmsghdr *h = (struct nlmsghdr *)reply;
    if (n >= 0 && (h->nlmsg_type != NLMSG_ERROR || ((struct nlmsgerr *)NLMSG_DATA(h))->error >= 0))
        failed(name, "no error", EBADMSG);
    close(fd);
}
#endif

int main(void)
{
    links();
#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
    generic();
    sockets();
    netfilter();
#endif
    return status;
}
