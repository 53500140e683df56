/* SPDX-License-Identifier: Apache-2.0 */
/* The messages by which an interface gets its limit, in front of a kernel that answers as the test
 * wants. */
#include "../test.h"

#include <errno.h>
#include <linux/pkt_sched.h>
#include <linux/rtnetlink.h>

#include "base/err.h"
#include "network/netlink.h"

static char out[4096];
static struct nlmsghdr *asked; /* the last request */
static int answer; /* of the kernel: an errno, 0 */

struct nlmsghdr *netlink_begin(struct netlink *nl, uint16_t type, uint16_t flags)
{
	memset(out, 0, sizeof(out));
	asked = mnl_nlmsg_put_header(out);
	asked->nlmsg_type = type;
	asked->nlmsg_flags = flags;
	return asked;
}

int netlink_ask(struct netlink *nl, struct nlmsghdr *nlh, const char *what, struct err *err)
{
	if (answer == ENOENT || answer == ENODEV)
		return NETLINK_ABSENT;
	return answer ? err_set(err, answer, "%s", what) : 0;
}

int netlink_do(struct netlink *nl, struct nlmsghdr *nlh, const char *what, struct err *err)
{
	return netlink_ask(nl, nlh, what, err);
}

int netlink_get(struct netlink *nl, struct nlmsghdr *nlh, netlink_fn *fn, void *ctx,
		const char *what, struct err *err)
{
	return netlink_ask(nl, nlh, what, err);
}

/* What was asked for. */
struct bucket {
	int index;
	uint32_t parent;
	char kind[8];
	struct tc_tbf_qopt q;
	uint32_t burst;
	uint64_t rate64;
};

static struct bucket read_bucket(void)
{
	const struct tcmsg *tcm = mnl_nlmsg_get_payload(asked);
	struct bucket b = {.index = tcm->tcm_ifindex, .parent = tcm->tcm_parent};
	const struct nlattr *attr, *option;

	attr_each (attr, asked, sizeof(*tcm)) {
		if (mnl_attr_get_type(attr) == TCA_KIND)
			(void)snprintf(b.kind, sizeof(b.kind), "%s", mnl_attr_get_str(attr));
		if (mnl_attr_get_type(attr) != TCA_OPTIONS)
			continue;
		attr_each_in (option, attr) {
			if (mnl_attr_get_type(option) == TCA_TBF_PARMS)
				memcpy(&b.q, mnl_attr_get_payload(option), sizeof(b.q));
			if (mnl_attr_get_type(option) == TCA_TBF_BURST)
				b.burst = mnl_attr_get_u32(option);
			if (mnl_attr_get_type(option) == TCA_TBF_RATE64)
				b.rate64 = mnl_attr_get_u64(option);
		}
	}
	return b;
}

/* The limit that is asked for when it is to be `rate`; the kernel says `code`. */
static int limit(uint64_t rate, int code, struct bucket *ret, struct err *err)
{
	*err = ERR_INIT;
	answer = code;
	int r = link_limit(NULL, 7, rate, err);
	*ret = read_bucket();
	return r;
}

TEST(a_limit_is_the_root_queue_of_the_interface)
{
	struct err err;
	struct bucket b;

	EXPECT_EQ(limit(5000000, 0, &b, &err), 0);
	EXPECT_EQ(asked->nlmsg_type, RTM_NEWQDISC);
	EXPECT_EQ(b.index, 7);
	EXPECT_EQ(b.parent, TC_H_ROOT);
	EXPECT_STR(b.kind, "tbf");
	EXPECT_EQ(b.q.rate.rate, 5000000);
	EXPECT_EQ(b.rate64, 0);
}

TEST(a_tenth_of_a_second_may_pass_at_once_and_as_much_wait_and_never_less_than_a_large_packet)
{
	struct err err;
	struct bucket b;

	EXPECT_EQ(limit(5000000, 0, &b, &err), 0);
	EXPECT_EQ(b.burst, 500000);
	EXPECT_EQ(b.q.limit, 1000000);
	EXPECT_EQ(limit(1, 0, &b, &err), 0);
	EXPECT_EQ(b.q.rate.rate, 1);
	EXPECT(b.burst > 65536 + 45 * 66); /* 64 KiB in segments of 1448, with their headers */
	EXPECT(b.q.limit >= 2 * b.burst);
}

TEST(a_rate_beyond_32_bits_is_not_cut)
{
	struct err err;
	struct bucket b;

	EXPECT_EQ(limit(UINT32_MAX, 0, &b, &err), 0);
	EXPECT(b.rate64 == UINT32_MAX);
	EXPECT_EQ(limit(UINT64_C(40000000000), 0, &b, &err), 0);
	EXPECT(b.rate64 == UINT64_C(40000000000));
	EXPECT(b.q.rate.rate == UINT32_MAX);
	EXPECT(b.burst == UINT32_MAX / 2);
	EXPECT(b.q.limit >= b.burst);
	EXPECT_EQ(limit(INT64_MAX, 0, &b, &err), 0);
	EXPECT(b.rate64 == INT64_MAX);
}

TEST(a_kernel_without_such_queues_is_told_in_one_line)
{
	struct err err;
	struct bucket b;

	EXPECT_EQ(limit(1000, ENOENT, &b, &err), -ENOTSUP);
	EXPECT_STR(err.msg, "the host's kernel cannot limit an interface (it has no sch_tbf)");
	EXPECT_EQ(limit(1000, EPERM, &b, &err), -EPERM);
}

TEST(a_limit_is_taken_away_where_it_is_hulls_own)
{
	struct err err;
	struct bucket b;

	EXPECT_EQ(limit(0, 0, &b, &err), 0);
	EXPECT_EQ(asked->nlmsg_type, RTM_DELQDISC);
	EXPECT_EQ(b.index, 7);
	EXPECT_STR(b.kind, "tbf");
	EXPECT_EQ(limit(0, ENOENT, &b, &err), 0);
	EXPECT_EQ(limit(0, EINVAL, &b, &err), 0);
	EXPECT_EQ(limit(0, EPERM, &b, &err), -EPERM);
}
