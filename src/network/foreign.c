/* SPDX-License-Identifier: Apache-2.0 */
/*
 * iptables comes in two forms that know nothing of each other: rules in nftables (tables named as
 * iptables' were) and the older kernel interface. docker uses whichever `iptables` is on its host.
 * The first is looked at over netlink, in microseconds; the second only through its program, which
 * is run only when the kernel says that it has tables. Rules are changed by the programs alone.
 */
#include "network/foreign.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/io.h"
#include "base/proc.h"
#include "base/str.h"
#include "network/netlink.h"
#include "network/network.h"

enum { OUR_RULES = 3, TAG_MAX = 32, POLICY_DROP = NF_DROP };

static const char user_chain[] = "DOCKER-USER";
static const char append_prefix[] = "-A DOCKER-USER ";

/* The programs of one form of iptables. */
struct form {
	const char *list, *restore;
};

static const struct form nft_form = {"iptables-nft", "iptables-nft-restore"};
static const struct form legacy_form = {"iptables-legacy", "iptables-legacy-restore"};

/* What the firewalls of the host look like. */
struct survey {
	bool docker_nft, docker_legacy; /* DOCKER-USER is there */
	bool firewalld;
	char dropper[96]; /* a chain that drops what is forwarded, "" when there is none */
	struct buf legacy_rules; /* owned; as `iptables -S` writes them */
};

static void survey_done(struct survey *s)
{
	buf_done(&s->legacy_rules);
}

/* How our rules are known, in any form: as their comment. */
static void tag_of(const struct network *net, char tag[TAG_MAX])
{
	(void)snprintf(tag, TAG_MAX, "hull(%s)", net->bridge);
}

static const char *family_name(uint8_t family)
{
	return family == NFPROTO_IPV4 ? "ip" : family == NFPROTO_INET ? "inet" : "other";
}

static uint32_t hook_of(const struct nlattr *nest)
{
	const struct nlattr *attr;
	uint32_t hook = UINT32_MAX;

	attr_each_in (attr, nest) {
		if (mnl_attr_get_type(attr) == NFTA_HOOK_HOOKNUM)
			hook = ntohl(mnl_attr_get_u32(attr));
	}
	return hook;
}

static int survey_chain(const struct nlmsghdr *nlh, void *ctx, struct err *err)
{
	struct survey *s = ctx;
	const struct nfgenmsg *g = nlh ? mnl_nlmsg_get_payload(nlh) : NULL;
	const struct nlattr *attr;
	const char *table = "";
	const char *chain = "";
	uint32_t hook = UINT32_MAX;
	uint32_t policy = NF_ACCEPT;

	(void)err;
	if (!g) /* seeing a chain twice does no harm */
		return 0;
	attr_each (attr, nlh, sizeof(*g)) {
		uint16_t type = mnl_attr_get_type(attr);
		if (type == NFTA_CHAIN_TABLE)
			table = mnl_attr_get_str(attr);
		else if (type == NFTA_CHAIN_NAME)
			chain = mnl_attr_get_str(attr);
		else if (type == NFTA_CHAIN_HOOK)
			hook = hook_of(attr);
		else if (type == NFTA_CHAIN_POLICY)
			policy = ntohl(mnl_attr_get_u32(attr));
	}
	if (g->nfgen_family != NFPROTO_IPV4 && g->nfgen_family != NFPROTO_INET)
		return 0;
	s->firewalld |= strcmp(table, "firewalld") == 0;
	if (g->nfgen_family == NFPROTO_IPV4 && strcmp(table, "filter") == 0 &&
	    strcmp(chain, user_chain) == 0)
		s->docker_nft = true;
	if (hook == NF_INET_FORWARD && policy == POLICY_DROP && !s->dropper[0])
		(void)snprintf(s->dropper, sizeof(s->dropper), "%s %.32s %.32s",
			       family_name(g->nfgen_family), table, chain);
	return 0;
}

static int run_list(const struct form *form, struct buf *out, struct err *err)
{
	const char *const argv[] = {form->list, "-w", "5", "-S", NULL};

	return proc_run(argv, NULL, out, err);
}

static void survey_legacy(struct survey *s)
{
	AUTO_BUF struct buf tables = BUF_INIT;
	struct err none = ERR_INIT; /* no file: no such interface; no program: nobody uses it */

	if (file_read(AT_FDCWD, "/proc/net/ip_tables_names", 4096, &tables, &none) < 0 ||
	    !tables.len || !strstr(tables.data, "filter"))
		return;
	if (run_list(&legacy_form, &s->legacy_rules, &none) < 0)
		return;
	const char *rules = s->legacy_rules.len ? s->legacy_rules.data : "";
	s->docker_legacy = strstr(rules, "-N DOCKER-USER\n");
	if (strstr(rules, "-P FORWARD DROP\n") && !s->dropper[0])
		(void)snprintf(s->dropper, sizeof(s->dropper), "iptables-legacy FORWARD");
}

static void put_family(struct nlmsghdr *nlh, uint8_t family)
{
	struct nfgenmsg *g = mnl_nlmsg_put_extra_header(nlh, sizeof(*g));

	g->nfgen_family = family;
	g->version = NFNETLINK_V0;
}

static int survey(struct netlink *nl, struct survey *ret, struct err *err)
{
	struct nlmsghdr *nlh = netlink_begin(nl, NFNL_SUBSYS_NFTABLES << 8 | NFT_MSG_GETCHAIN,
					     NLM_F_DUMP);

	put_family(nlh, NFPROTO_UNSPEC);
	int r = netlink_get(nl, nlh, survey_chain, ret, "list firewall chains", err);
	if (r >= 0)
		survey_legacy(ret);
	return r < 0 ? r : 0;
}

struct tag_count {
	char tag[TAG_MAX];
	unsigned n;
};

static int count_tag(const struct nlmsghdr *nlh, void *ctx, struct err *err)
{
	struct tag_count *c = ctx;

	(void)err;
	if (!nlh)
		c->n = 0;
	c->n += nlh && memmem(nlh, nlh->nlmsg_len, c->tag, strlen(c->tag));
	return 0;
}

/* How many of our rules stand in the nftables form of DOCKER-USER. */
static int count_nft(struct netlink *nl, const struct network *net, struct err *err)
{
	struct nlmsghdr *nlh = netlink_begin(nl, NFNL_SUBSYS_NFTABLES << 8 | NFT_MSG_GETRULE,
					     NLM_F_DUMP);
	struct tag_count count = {.n = 0};

	tag_of(net, count.tag);
	put_family(nlh, NFPROTO_IPV4);
	mnl_attr_put_strz(nlh, NFTA_RULE_TABLE, "filter");
	mnl_attr_put_strz(nlh, NFTA_RULE_CHAIN, user_chain);
	int r = netlink_get(nl, nlh, count_tag, &count, "list firewall rules", err);
	return r < 0 ? r : (int)count.n;
}

/* Goes through the rules of DOCKER-USER as listed: writes a deletion for each of ours to *to (may
 * be NULL), and answers where new ones go: at the end, but before a last RETURN, so that the user's
 * own rules there hold for us too. *ours is how many there were. */
static unsigned walk_rules(const char *rules, const char *tag, struct buf *to, unsigned *ours)
{
	unsigned place = 1;
	bool ends = false;

	*ours = 0;
	for (const char *line = rules; *line;) {
		size_t n = strcspn(line, "\n");
		const char *rest;
		if (str_prefix(line, append_prefix, &rest)) {
			if (memmem(line, n, tag, strlen(tag))) {
				++*ours;
				if (to)
					buf_printf(to, "-D DOCKER-USER %.*s\n",
						   (int)(line + n - rest), rest);
			} else {
				place++;
				ends = str_prefix(rest, "-j RETURN", NULL);
			}
		}
		line += n + (line[n] == '\n');
	}
	return ends ? place - 1 : place;
}

/*
 * Into the network and out of it; but what docker's own bridges hold back from strangers, they hold
 * back from our workloads (docker0 and br-*: there docker's rules decide).
 */
static void add_rules(const struct network *net, const char *tag, unsigned place, struct buf *to)
{
	const char *b = net->bridge;

	buf_printf(to, "-I DOCKER-USER %u -o %s -m comment --comment \"%s\" -j ACCEPT\n", place, b,
		   tag);
	buf_printf(to, "-I DOCKER-USER %u -i %s -o docker0 -m comment --comment \"%s\" -j RETURN\n",
		   place + 1, b, tag);
	buf_printf(to, "-I DOCKER-USER %u -i %s ! -o br-+ -m comment --comment \"%s\" -j ACCEPT\n",
		   place + 2, b, tag);
}

/* Makes the rules of ours in one form all there or all gone, whatever there was. */
static int change(const struct form *form, const struct network *net, int lock, bool allow,
		  struct err *err)
{
	const char *const argv[] = {form->restore, "-w", "5", "--noflush", NULL};
	AUTO_BUF struct buf rules = BUF_INIT;
	AUTO_BUF struct buf input = BUF_INIT;
	char tag[TAG_MAX];
	unsigned ours;

	int r = run_list(form, &rules, err);
	if (r < 0)
		return r;
	tag_of(net, tag);
	buf_str(&input, "*filter\n");
	unsigned place = walk_rules(rules.len ? rules.data : "", tag, &input, &ours);
	if (ours == (allow ? OUR_RULES : 0U))
		return 0;
	if (allow)
		add_rules(net, tag, place, &input);
	buf_str(&input, "COMMIT\n");
	r = buf_check(&input, err);
	return r < 0 ? r : proc_run_holding(argv, input.data, lock, err);
}

static int allow_all(struct netlink *nl, const struct network *net, int lock,
		     const struct survey *s, struct err *err)
{
	unsigned ours;
	char tag[TAG_MAX];
	int r = 0;

	if (s->docker_nft) {
		r = count_nft(nl, net, err);
		if (r >= 0 && r != OUR_RULES)
			r = change(&nft_form, net, lock, true, err);
	}
	if (s->docker_legacy && r >= 0) {
		tag_of(net, tag);
		(void)walk_rules(s->legacy_rules.data, tag, NULL, &ours);
		r = ours == OUR_RULES ? 0 : change(&legacy_form, net, lock, true, err);
	}
	return r < 0 ? r : 0;
}

int foreign_allow(struct netlink *nl, const struct network *net, int lock, char *notice,
		  size_t size, struct err *err)
{
	AUTO(survey_done) struct survey s = {.docker_nft = false};
	struct err failure = ERR_INIT;

	int r = survey(nl, &s, err);
	if (r < 0)
		return r;
	if (s.docker_nft || s.docker_legacy) {
		if (allow_all(nl, net, lock, &s, &failure) < 0)
			(void)snprintf(notice, size,
				       "docker's firewall stops what bridge '%s' forwards, and "
				       "cannot be told otherwise: %.120s",
				       net->bridge, failure.msg);
	} else if (s.firewalld) {
		(void)snprintf(notice, size,
			       "firewalld may stop what bridge '%s' forwards: firewall-cmd "
			       "--zone=trusted --add-interface=%s",
			       net->bridge, net->bridge);
	} else if (s.dropper[0]) {
		(void)snprintf(notice, size,
			       "firewall chain '%s' drops what is forwarded: bridge '%s' needs an "
			       "accept there, both ways",
			       s.dropper, net->bridge);
	}
	return 0;
}

int foreign_forget(struct netlink *nl, const struct network *net, int lock, struct err *err)
{
	AUTO(survey_done) struct survey s = {.docker_nft = false};

	int r = survey(nl, &s, err);
	if (r >= 0 && s.docker_nft) {
		r = count_nft(nl, net, err);
		if (r > 0)
			r = change(&nft_form, net, lock, false, err);
	}
	if (r >= 0 && s.docker_legacy)
		r = change(&legacy_form, net, lock, false, err);
	return r < 0 ? r : 0;
}
