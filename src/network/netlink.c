/* SPDX-License-Identifier: Apache-2.0 */
#include "network/netlink.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/netlink.h>
#include <sched.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>

#include "base/err.h"
#include "base/fd.h"

enum {
	SEND_MAX = 32 * 1024,
	RECV_MAX = 32 * 1024,
	ANSWER_TIMEOUT_S =
		10, /* the kernel answers at once; a lost answer is an error, not a hang */
};

struct netlink {
	struct mnl_socket *socket;
	uint32_t seq;
	char out[SEND_MAX];
	char in[RECV_MAX];
};

int netlink_open(int protocol, struct netlink **ret, struct err *err)
{
	AUTO(auto_netlink_close) struct netlink *nl = calloc(1, sizeof(*nl));
	if (!nl)
		return err_set(err, ENOMEM, "out of memory");
	nl->socket = mnl_socket_open2(protocol, SOCK_CLOEXEC);
	if (!nl->socket)
		return err_sys(err, "open netlink socket");
	if (mnl_socket_bind(nl->socket, 0, MNL_SOCKET_AUTOPID) < 0)
		return err_sys(err, "bind netlink socket");

	int fd = mnl_socket_get_fd(nl->socket);
	int on = 1;
	struct timeval limit = {.tv_sec = ANSWER_TIMEOUT_S};
	if (setsockopt(fd, SOL_NETLINK, NETLINK_EXT_ACK, &on, sizeof(on)) < 0 ||
	    setsockopt(fd, SOL_NETLINK, NETLINK_CAP_ACK, &on, sizeof(on)) < 0 ||
	    setsockopt(fd, SOL_NETLINK, NETLINK_GET_STRICT_CHK, &on, sizeof(on)) < 0 ||
	    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit)) < 0)
		return err_sys(err, "set up netlink socket");
	*ret = TAKE_PTR(nl);
	return 0;
}

int netlink_open_in(int netns_fd, int protocol, struct netlink **ret, struct err *err)
{
	AUTO_CLOSE int home = open("/proc/thread-self/ns/net", O_RDONLY | O_CLOEXEC);
	if (home < 0)
		return err_sys(err, "open own network namespace");
	if (setns(netns_fd, CLONE_NEWNET) < 0)
		return err_sys(err, "enter network namespace");
	AUTO(auto_netlink_close) struct netlink *nl = NULL;
	int r = netlink_open(protocol, &nl, err);
	if (setns(home, CLONE_NEWNET) < 0)
		return err_sys(err, "come back from the workload's network namespace");
	if (r == 0)
		*ret = TAKE_PTR(nl);
	return r;
}

void netlink_close(struct netlink *nl)
{
	if (!nl)
		return;
	if (nl->socket)
		(void)mnl_socket_close(nl->socket);
	free(nl);
}

static struct nlmsghdr *put_header(struct netlink *nl, void *at, uint16_t type, uint16_t flags)
{
	struct nlmsghdr *nlh = mnl_nlmsg_put_header(at);

	nlh->nlmsg_type = type;
	nlh->nlmsg_flags = (uint16_t)(NLM_F_REQUEST | flags);
	nlh->nlmsg_seq = ++nl->seq;
	return nlh;
}

struct nlmsghdr *netlink_begin(struct netlink *nl, uint16_t type, uint16_t flags)
{
	return put_header(nl, nl->out, type, flags);
}

struct nlmsghdr *netlink_next(struct netlink *nl, struct nlmsghdr *before, uint16_t type,
			      uint16_t flags)
{
	return put_header(nl, mnl_nlmsg_get_payload_tail(before), type, flags);
}

size_t netlink_room(const struct netlink *nl, const struct nlmsghdr *nlh)
{
	const char *end = mnl_nlmsg_get_payload_tail(nlh);

	return (size_t)(nl->out + SEND_MAX - end);
}

static int send_bytes(struct netlink *nl, const void *bytes, size_t n, const char *what,
		      struct err *err)
{
	if (mnl_socket_sendto(nl->socket, bytes, n) < 0)
		return err_sys(err, "%s", what);
	return 0;
}

static bool is_absence(int code)
{
	return code == ENOENT || code == ENODEV || code == EADDRNOTAVAIL;
}

/* The kernel's own explanation behind a refusal (NLMSGERR_ATTR_MSG), or NULL. */
static const char *explanation(const struct nlmsghdr *nlh)
{
	if (!(nlh->nlmsg_flags & NLM_F_ACK_TLVS))
		return NULL;
	const struct nlattr *attr;
	size_t skip = sizeof(struct nlmsgerr); /* the request itself is capped away */
	attr_each (attr, nlh, skip) {
		if (mnl_attr_get_type(attr) == NLMSGERR_ATTR_MSG &&
		    mnl_attr_validate(attr, MNL_TYPE_NUL_STRING) >= 0)
			return mnl_attr_get_str(attr);
	}
	return NULL;
}

/* The verdict in an NLMSG_ERROR or NLMSG_DONE: 0, NETLINK_ABSENT, or a failure. */
static int verdict(const struct nlmsghdr *nlh, const char *what, struct err *err)
{
	if (mnl_nlmsg_get_payload_len(nlh) < sizeof(int))
		return 0;
	int code = -*(const int *)mnl_nlmsg_get_payload(nlh);
	if (code <= 0)
		return 0;
	const char *why = nlh->nlmsg_type == NLMSG_ERROR ? explanation(nlh) : NULL;
	if (is_absence(code))
		return NETLINK_ABSENT;
	if (why)
		return err_set(err, code, "%s: %s (%s)", what, strerrordesc_np(code), why);
	return err_set(err, code, "%s: %s", what, strerrordesc_np(code));
}

/* An answer that was disturbed while it was given. */
enum { INTERRUPTED = 2, TRIES = 20 };

/* One reading of an answer. */
struct answer {
	uint32_t seq; /* of the request */
	netlink_fn *fn;
	void *ctx;
	const char *what;
	int r; /* fn's, from its first failure on */
	bool interrupted, ended;
	int verdict; /* when ended */
};

static void take_message(struct answer *a, const struct nlmsghdr *m, struct err *err)
{
	if (m->nlmsg_seq != a->seq || a->ended)
		return;
	a->interrupted |= m->nlmsg_flags & NLM_F_DUMP_INTR;
	if (m->nlmsg_type == NLMSG_ERROR || m->nlmsg_type == NLMSG_DONE) {
		a->ended = true;
		a->verdict = verdict(m, a->what, err);
	} else if (a->fn && a->r >= 0) {
		a->r = a->fn(m, a->ctx, err);
	}
}

/* Hands every message of the request to a->fn until the verdict. */
static int receive(struct netlink *nl, struct answer *a, struct err *err)
{
	while (!a->ended) {
		ssize_t n = mnl_socket_recvfrom(nl->socket, nl->in, RECV_MAX);
		if (n < 0)
			return err_sys(err, "%s", a->what);
		int left = (int)n;
		for (const struct nlmsghdr *m = (const void *)nl->in; mnl_nlmsg_ok(m, left);
		     m = mnl_nlmsg_next(m, &left))
			take_message(a, m, err);
	}
	if (a->r < 0)
		return a->r;
	return a->interrupted && a->verdict == 0 ? INTERRUPTED : a->verdict;
}

int netlink_get(struct netlink *nl, struct nlmsghdr *nlh, netlink_fn *fn, void *ctx,
		const char *what, struct err *err)
{
	bool dump = (nlh->nlmsg_flags & NLM_F_DUMP) == NLM_F_DUMP;

	if (!dump)
		nlh->nlmsg_flags |= NLM_F_ACK; /* so that one answer too ends with a verdict */
	for (int i = 0; i < TRIES; i++) {
		nlh->nlmsg_seq = ++nl->seq;
		struct answer answer = {.seq = nlh->nlmsg_seq, .fn = fn, .ctx = ctx, .what = what};
		int r = send_bytes(nl, nlh, nlh->nlmsg_len, what, err);
		if (r == 0)
			r = receive(nl, &answer, err);
		if (!dump || r != INTERRUPTED)
			return r == INTERRUPTED ? 0 : r;
		r = fn ? fn(NULL, ctx, err) : 0;
		if (r < 0)
			return r;
	}
	return err_set(err, EAGAIN, "%s: it changes all the time", what);
}

int netlink_ask(struct netlink *nl, struct nlmsghdr *nlh, const char *what, struct err *err)
{
	return netlink_get(nl, nlh, NULL, NULL, what, err);
}

int netlink_do(struct netlink *nl, struct nlmsghdr *nlh, const char *what, struct err *err)
{
	int r = netlink_ask(nl, nlh, what, err);

	return r > 0 ? err_set(err, ENOENT, "%s: what it builds on is gone", what) : r;
}

int netlink_batch(struct netlink *nl, const struct nlmsghdr *first, const struct nlmsghdr *acked,
		  const struct nlmsghdr *last, const char *what, struct err *err)
{
	const char *end = mnl_nlmsg_get_payload_tail(last);
	uint32_t first_seq = first->nlmsg_seq;
	uint32_t acked_seq = acked->nlmsg_seq;

	int worst = send_bytes(nl, first, (size_t)(end - (const char *)first), what, err);
	while (worst >= 0) {
		ssize_t got = mnl_socket_recvfrom(nl->socket, nl->in, RECV_MAX);
		if (got < 0)
			return err_sys(err, "%s", what);
		int left = (int)got;
		for (const struct nlmsghdr *m = (const void *)nl->in; mnl_nlmsg_ok(m, left);
		     m = mnl_nlmsg_next(m, &left)) {
			if (m->nlmsg_seq < first_seq || m->nlmsg_seq > acked_seq ||
			    m->nlmsg_type != NLMSG_ERROR)
				continue;
			int v = verdict(m, what, err);
			worst = worst == 0 ? v : worst;
			/* An answer to the first is about the transaction as a whole. */
			if (m->nlmsg_seq == acked_seq || m->nlmsg_seq == first_seq)
				return worst;
		}
	}
	return worst;
}
