/* SPDX-License-Identifier: Apache-2.0 */
/* What an interface is limited to, as the kernel tells it. Beside lab.h. */
#pragma once

#include <linux/pkt_sched.h>

#include "lab.h"

struct lab_rate {
	uint32_t index;
	int64_t rate;
};

static inline int lab_got_queue(const struct nlmsghdr *nlh, void *ctx, struct err *err)
{
	struct lab_rate *r = ctx;
	const struct tcmsg *tcm = nlh ? mnl_nlmsg_get_payload(nlh) : NULL;
	const struct nlattr *attr, *option;
	bool bucket = false;

	(void)err;
	if (!nlh || nlh->nlmsg_type != RTM_NEWQDISC || (uint32_t)tcm->tcm_ifindex != r->index)
		return 0;
	attr_each (attr, nlh, sizeof(*tcm)) {
		if (mnl_attr_get_type(attr) == TCA_KIND)
			bucket = strcmp(mnl_attr_get_str(attr), "tbf") == 0;
		if (!bucket || mnl_attr_get_type(attr) != TCA_OPTIONS)
			continue;
		attr_each_in (option, attr) {
			const struct tc_tbf_qopt *q = mnl_attr_get_payload(option);
			if (mnl_attr_get_type(option) == TCA_TBF_PARMS)
				r->rate = q->rate.rate;
		}
	}
	return 0;
}

/* The rate of hull's limit of an interface (netns -1: here): 0 when it has none, -1 when it cannot
 * be seen. */
static inline int64_t lab_rate(int netns, const char *name)
{
	AUTO(auto_netlink_close) struct netlink *nl = NULL;
	struct err err = ERR_INIT;
	struct link link;

	int r = netns < 0 ? netlink_open(NETLINK_ROUTE, &nl, &err)
			  : netlink_open_in(netns, NETLINK_ROUTE, &nl, &err);
	if (r < 0 || link_get(nl, name, &link, &err) != 0)
		return -1;
	struct nlmsghdr *nlh = netlink_begin(nl, RTM_GETQDISC, NLM_F_DUMP);
	(void)mnl_nlmsg_put_extra_header(nlh, sizeof(struct tcmsg));
	struct lab_rate rate = {.index = (uint32_t)link.index};
	return netlink_get(nl, nlh, lab_got_queue, &rate, "list queues", &err) == 0 ? rate.rate
										    : -1;
}
