/* SPDX-License-Identifier: Apache-2.0 */
#include "machine/plug.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/err.h"
#include "base/fd.h"
#include "base/path.h"
#include "base/str.h"
#include "machine/agent.h"
#include "machine/ask.h"
#include "machine/disk.h"
#include "machine/machine_impl.h"
#include "machine/rates.h"
#include "proto/message.h"
#include "proto/plan.h"

enum { SLOTS_MAX = 32, REQUEST_MAX = 128, NAME_MAX_LEN = 15, TEXT_MAX = 40 };

typedef void agent_fn(struct agent *agent, struct machine_order *order, isolation_reply *reply,
		      void *ctx);

/* What can come, as the agent and whoever asked are told of it. */
struct kind {
	agent_fn *show, *hide;
	const char *many, *there, *on_its_way, *missing; /* the last three before its name */
};

static const struct kind disk_kind = {
	agent_show_disk,      agent_hide_disk,           "disks",
	"there is a disk at", "a disk is on its way at", "no disk was added at"};
static const struct kind interface_kind = {
	agent_show_interface,    agent_hide_interface,      "interfaces",
	"there is an interface", "on its way is interface", "nobody added an interface"};

/* One that came, from the first question about it to the last. */
struct plugged {
	struct plugged *next;
	struct isolation *m;
	const struct kind *kind;
	struct machine_order order; /* what the agent is told of it; target is its name */
	bool placed; /* the monitor has it, at order.slot */
	unsigned limited; /* ways of an interface whose limit was asked for while it comes */
	bool busy; /* it comes or goes, and this is whom to tell */
	isolation_reply *reply;
	void *ctx;
	struct err why; /* it goes, or did not come, though it should be there */
};

static void plugged_free(struct plugged *p)
{
	if (!p)
		return;
	record_done(&machine_order_record, &p->order);
	free(p);
}

DEFINE_AUTO(struct plugged, plugged_free)

static struct plugged *find(struct isolation *m, const struct kind *kind, const char *name)
{
	for (struct plugged *p = m->plugged; p; p = p->next) {
		if (p->kind == kind && strcmp(p->order.target, name) == 0)
			return p;
	}
	return NULL;
}

/* What was asked for is done, or failed. */
static void tell(struct plugged *p, const struct err *failure)
{
	isolation_reply *reply = p->reply;

	p->busy = false;
	p->reply = NULL;
	reply(p->ctx, failure, NULL);
}

/* The same, and it is gone, or never came. */
static void tell_and_forget(struct plugged *p)
{
	struct plugged **at = &p->m->plugged;

	while (*at != p)
		at = &(*at)->next;
	*at = p->next;
	tell(p, p->why.code ? &p->why : NULL);
	plugged_free(p);
}

static void set_busy(struct plugged *p, isolation_reply *reply, void *ctx)
{
	p->busy = true;
	p->reply = reply;
	p->ctx = ctx;
}

/* --- away --- */

static void unplugged(void *ctx, const struct err *failure, const char *answer)
{
	struct plugged *p = ctx;

	(void)answer;
	if (failure && !p->why.code) /* it stays; another try may be made */
		tell(p, failure);
	else
		tell_and_forget(p);
}

static void ask_unplug(struct plugged *p)
{
	char request[REQUEST_MAX];

	if (p->order.serial)
		(void)snprintf(request, sizeof(request), "unplug %s", p->order.serial);
	else
		(void)snprintf(request, sizeof(request), "unplug %u", p->order.slot);
	asker_ask(p->m->asker, &(struct ask_request){.text = request}, unplugged, p);
}

static void hidden(void *ctx, const struct err *failure, const void *answer)
{
	(void)answer;
	if (failure)
		tell(ctx, failure);
	else
		ask_unplug(ctx);
}

static int take_away(struct isolation *m, const struct kind *kind, const char *name,
		     isolation_reply *reply, void *ctx, struct err *err)
{
	struct plugged *p = find(m, kind, name);

	if (!p || p->busy)
		return err_set(err, p ? EBUSY : ENOENT, "%s '%s'",
			       p ? kind->on_its_way : kind->missing, name);
	set_busy(p, reply, ctx);
	kind->hide(m->agent, &p->order, hidden, p);
	return 0;
}

/* --- here --- */

static void shown(void *ctx, const struct err *failure, const void *answer)
{
	struct plugged *p = ctx;

	(void)answer;
	if (!failure) {
		tell(p, NULL);
		return;
	}
	p->why = *failure;
	ask_unplug(p);
}

static const char *const ways[RATES_WAYS] = {"read", "write"};

static void limited_first(void *ctx, const struct err *failure, const char *answer);

/* An interface has its limits before anybody inside can use it. */
static void limit_or_show(struct plugged *p)
{
	const uint64_t *rates = p->m->net_rates;
	char request[REQUEST_MAX];

	while (p->kind == &interface_kind && p->limited < RATES_WAYS) {
		unsigned way = p->limited++;
		if (rates[way] == 0)
			continue;
		(void)snprintf(request, sizeof(request), "limit %u %s %" PRIu64 " -", p->order.slot,
			       ways[way], rates[way]);
		asker_ask(p->m->asker, &(struct ask_request){.text = request}, limited_first, p);
		return;
	}
	p->kind->show(p->m->agent, &p->order, shown, p);
}

static void limited_first(void *ctx, const struct err *failure, const char *answer)
{
	struct plugged *p = ctx;

	(void)answer;
	if (!failure) {
		limit_or_show(p);
		return;
	}
	p->why = *failure;
	ask_unplug(p);
}

static void came(void *ctx, const struct err *failure, const char *answer)
{
	struct plugged *p = ctx;
	int64_t slot = 0;

	if (failure)
		p->why = *failure;
	else
		(void)!parse_int(answer, 0, SLOTS_MAX, "the monitor's answer", &slot, &p->why);
	if (p->why.code) {
		tell_and_forget(p);
		return;
	}
	p->order.slot = (uint32_t)slot;
	p->placed = true;
	limit_or_show(p);
}

static int plugged_new(struct isolation *m, const struct kind *kind, const char *name,
		       struct plugged **ret, struct err *err)
{
	if (find(m, kind, name))
		return err_set(err, EEXIST, "%s '%s'", kind->there, name);
	AUTO(auto_plugged_free) struct plugged *p = calloc(1, sizeof(*p));
	if (p)
		p->order.target = strdup(name);
	if (!p || !p->order.target)
		return err_set(err, ENOMEM, "out of memory");
	p->m = m;
	p->kind = kind;
	*ret = TAKE_PTR(p);
	return 0;
}

/* Asks the monitor to put the file (borrowed) behind a spare device. Takes p. */
static void bring(struct plugged *p, const char *request, int file, isolation_reply *reply,
		  void *ctx)
{
	set_busy(p, reply, ctx);
	p->next = p->m->plugged;
	p->m->plugged = p;
	asker_ask(p->m->asker, &(struct ask_request){.text = request, .fds = &file, .n_fds = 1},
		  came, p);
}

static int may_change(const struct isolation *m, const struct kind *kind, struct err *err)
{
	if (!m->asker)
		return err_set(err, ENOTSUP, "%s are added by hull-monitor, which needs KVM",
			       kind->many);
	if (!m->set_up || m->over)
		return err_set(err, ESRCH, "the machine does not run");
	return 0;
}

/* --- disks --- */

/* The size of the file that is to be a disk. */
static int size_of(int fd, uint64_t *ret, struct err *err)
{
	struct stat st;

	if (fstat(fd, &st) < 0)
		return err_sys(err, "disk");
	if (!S_ISREG(st.st_mode) || st.st_size <= 0 || st.st_size % 512 != 0)
		return err_set(err, EINVAL, "a disk is a regular file of whole sectors");
	*ret = (uint64_t)st.st_size;
	return 0;
}

static int add_disk(struct isolation *m, const struct isolation_disk *disk, isolation_reply *reply,
		    void *ctx, struct err *err)
{
	AUTO(auto_plugged_free) struct plugged *p = NULL;
	char request[REQUEST_MAX];
	uint64_t size;

	int r = size_of(disk->fd, &size, err);
	if (r == 0)
		r = plugged_new(m, &disk_kind, disk->target, &p, err);
	if (r < 0)
		return r;
	if (asprintf(&p->order.serial, "plugged-%u", m->n_plugged++ % 1000000) < 0) {
		p->order.serial = NULL;
		return err_set(err, ENOMEM, "out of memory");
	}
	p->order.readonly = disk->readonly;
	(void)snprintf(request, sizeof(request), "disk %s %s %" PRIu64, p->order.serial,
		       disk->readonly ? "ro" : "rw", size);
	bring(TAKE_PTR(p), request, disk->fd, reply, ctx);
	return 0;
}

void plug_disk(struct isolation *m, const struct isolation_disk *disk, isolation_reply *reply,
	       void *ctx)
{
	struct err err = ERR_INIT;

	int r = may_change(m, &disk_kind, &err);
	if (r == 0 && (!disk->target || !path_is_clean(disk->target, false)))
		r = err_set(&err, EINVAL, "where a disk is shown is an absolute path");
	if (r == 0)
		r = disk->fd >= 0 ? add_disk(m, disk, reply, ctx, &err)
				  : take_away(m, &disk_kind, disk->target, reply, ctx, &err);
	if (r < 0)
		reply(ctx, &err, NULL);
}

/* --- interfaces --- */

static int add_interface(struct isolation *m, const struct isolation_interface *what,
			 isolation_reply *reply, void *ctx, struct err *err)
{
	AUTO(auto_plugged_free) struct plugged *p = NULL;
	char request[REQUEST_MAX];

	if (strlen(what->name) > NAME_MAX_LEN || strlen(what->address) >= TEXT_MAX ||
	    strlen(what->mac) >= TEXT_MAX)
		return err_set(err, EINVAL, "'%.32s' is no interface's name", what->name);
	int r = plugged_new(m, &interface_kind, what->name, &p, err);
	if (r < 0)
		return r;
	AUTO_CLOSE int tap = disk_tap(what->tap, false, err);
	if (tap < 0)
		return tap;
	p->order.address = strdup(what->address);
	p->order.mac = strdup(what->mac);
	if (!p->order.address || !p->order.mac)
		return err_set(err, ENOMEM, "out of memory");
	p->order.mtu = what->mtu;
	(void)snprintf(request, sizeof(request), "net %s", what->mac);
	bring(TAKE_PTR(p), request, tap, reply, ctx);
	return 0;
}

void plug_interface(struct isolation *m, const struct isolation_interface *what,
		    isolation_reply *reply, void *ctx)
{
	struct err err = ERR_INIT;

	int r = may_change(m, &interface_kind, &err);
	if (r == 0)
		r = what->tap ? add_interface(m, what, reply, ctx, &err)
			      : take_away(m, &interface_kind, what->name, reply, ctx, &err);
	if (r < 0)
		reply(ctx, &err, NULL);
}

/* --- limits --- */

enum { DISKS = 3, NETS = 1 + SLOTS_MAX + 1 /* the first, and who may be in a slot */ };

/*
 * A change of limits under way: what the monitor is still to be asked, one after the other. First
 * come the disks, the next question being of blkio's entry at / DISKS and of disk at % DISKS; then
 * the interfaces, interface net / RATES_WAYS and its way net % RATES_WAYS.
 */
struct change {
	struct change *next;
	struct isolation *m;
	struct list blkio; /* struct plan_blkio */
	size_t at;
	bool asked[RATES_WAYS]; /* what interfaces may carry changes, to the machine's net_rates */
	uint64_t before[RATES_WAYS];
	unsigned net;
	isolation_reply *reply;
	void *ctx;
};

static void change_free(struct change *c)
{
	for (struct change **at = &c->m->changes; *at; at = &(*at)->next) {
		if (*at != c)
			continue;
		*at = c->next;
		break;
	}
	free(c->blkio.items);
	free(c);
}

static void change_over(struct change *c, const struct err *failure)
{
	isolation_reply *reply = c->reply;
	void *ctx = c->ctx;

	if (failure)
		memcpy(c->m->net_rates, c->before, sizeof(c->before));
	change_free(c);
	reply(ctx, failure, NULL);
}

/* The request that makes the disk heed the limit; false: it does not lie on that device. */
static bool limit_request(const struct plan *plan, unsigned disk, const struct plan_blkio *b,
			  char text[REQUEST_MAX])
{
	const struct {
		const char *serial, *path;
	} disks[DISKS] = {
		{MACHINE_DISK_LAYERS, plan->root.layers.n > 0 ? plan->root.layers.v[0] : NULL},
		{MACHINE_DISK_SCRATCH, plan->machine.disk},
		{MACHINE_DISK_MODULES, plan->machine.modules},
	};
	bool write = b->kind == BLKIO_WRITE_BPS || b->kind == BLKIO_WRITE_IOPS;
	bool bytes = b->kind == BLKIO_READ_BPS || b->kind == BLKIO_WRITE_BPS;
	const char *way = write ? "write" : "read";
	struct stat st;

	if (b->kind < BLKIO_READ_BPS || !disks[disk].path || stat(disks[disk].path, &st) < 0 ||
	    !rates_apply(b, st.st_dev))
		return false;
	(void)snprintf(text, REQUEST_MAX,
		       bytes ? "limit %s %s %" PRIu64 " -" : "limit %s %s - %" PRIu64,
		       disks[disk].serial, way, b->value);
	return true;
}

static void limited(void *ctx, const struct err *failure, const char *answer);

static void ask_limit(struct change *c, const char *text)
{
	asker_ask(c->m->asker, &(struct ask_request){.text = text, .patience_ms = ASK_MS}, limited,
		  c);
}

/* The interface that was plugged in there, NULL when there is none. */
static const struct plugged *find_slot(const struct isolation *m, unsigned slot)
{
	for (const struct plugged *p = m->plugged; p; p = p->next) {
		if (p->kind == &interface_kind && p->placed && p->order.slot == slot)
			return p;
	}
	return NULL;
}

/* The request that limits one way of an interface: the first is number 0, one in a slot the slot's
 * and 1. False: there is none, or nothing changes. */
static bool net_request(const struct change *c, unsigned net, unsigned way, char text[REQUEST_MAX])
{
	const struct isolation *m = c->m;
	char name[16] = "net";

	if (!c->asked[way] || (net == 0 ? !m->plan->machine.tap : !find_slot(m, net - 1)))
		return false;
	if (net > 0)
		(void)snprintf(name, sizeof(name), "%u", net - 1);
	(void)snprintf(text, REQUEST_MAX, "limit %s %s %" PRIu64 " -", name, ways[way],
		       m->net_rates[way]);
	return true;
}

static void next_limit(struct change *c)
{
	char text[REQUEST_MAX];

	for (; c->at < c->blkio.n * DISKS; c->at++) {
		const struct plan_blkio *b = c->blkio.items;
		if (!limit_request(c->m->plan, (unsigned)(c->at % DISKS), &b[c->at / DISKS], text))
			continue;
		c->at++;
		ask_limit(c, text);
		return;
	}
	for (; c->net < NETS * RATES_WAYS; c->net++) {
		if (!net_request(c, c->net / RATES_WAYS, c->net % RATES_WAYS, text))
			continue;
		c->net++;
		ask_limit(c, text);
		return;
	}
	change_over(c, NULL);
}

static void updated(void *ctx, const struct err *failure, const void *answer)
{
	struct change *c = ctx;

	(void)answer;
	if (failure)
		change_over(c, failure);
	else
		next_limit(c);
}

static void limited(void *ctx, const struct err *failure, const char *answer)
{
	const struct change *c = ctx;
	unsigned net = c->net > 0 ? (c->net - 1) / RATES_WAYS : 0;

	if (net > 0 && !find_slot(c->m, net - 1)) /* it went meanwhile */
		failure = NULL;
	updated(ctx, failure, answer);
}

static struct change *change_new(struct isolation *m, const struct plan_limits *limits,
				 struct err *err)
{
	const struct list *blkio = &limits->blkio;
	const uint64_t asked[RATES_WAYS] = {limits->net_ingress, limits->net_egress};
	struct change *c = calloc(1, sizeof(*c));
	struct plan_blkio *items = c ? calloc(blkio->n + 1, sizeof(*items)) : NULL;

	if (!c || !items) {
		free(c);
		(void)err_set(err, ENOMEM, "out of memory");
		return NULL;
	}
	if (blkio->n > 0)
		memcpy(items, blkio->items, blkio->n * sizeof(*items));
	*c = (struct change){.next = m->changes, .m = m, .blkio = {items, blkio->n}};
	for (unsigned way = 0; way < RATES_WAYS; way++) {
		c->before[way] = m->net_rates[way];
		c->asked[way] = asked[way] != 0;
		if (asked[way])
			m->net_rates[way] = plan_rate(asked[way]);
	}
	m->changes = c;
	return c;
}

void plug_update(struct isolation *m, const struct plan_limits *limits, uint32_t cpus,
		 isolation_reply *reply, void *ctx)
{
	struct err err = ERR_INIT;
	bool net = m->asker && (limits->net_ingress || limits->net_egress);

	if (limits->blkio.n == 0 && !net) {
		agent_update(m->agent, limits, cpus, reply, ctx);
		return;
	}
	struct change *c = NULL;
	if (!m->asker)
		(void)err_set(&err, ENOTSUP, "disks are limited by hull-monitor, which needs KVM");
	else
		c = change_new(m, limits, &err);
	if (!c) {
		reply(ctx, &err, NULL);
		return;
	}
	c->reply = reply;
	c->ctx = ctx;
	agent_update(m->agent, limits, cpus, updated, c);
}

void plug_done(struct isolation *m)
{
	while (m->changes)
		change_free(m->changes);
	while (m->plugged) {
		struct plugged *p = m->plugged;
		m->plugged = p->next;
		plugged_free(p);
	}
}
