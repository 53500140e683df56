/* SPDX-License-Identifier: Apache-2.0 */
#include "machine/plug.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/err.h"
#include "base/path.h"
#include "base/str.h"
#include "machine/agent.h"
#include "machine/ask.h"
#include "machine/machine_impl.h"
#include "machine/rates.h"
#include "proto/message.h"
#include "proto/plan.h"

enum { SLOTS_MAX = 32, REQUEST_MAX = 128 };

/* A disk that came, from the first question about it to the last. */
struct plugged {
	struct plugged *next;
	struct isolation *m;
	char serial[16];
	uint32_t slot;
	char *target;
	bool readonly;
	bool busy; /* it comes or goes, and this is whom to tell */
	isolation_reply *reply;
	void *ctx;
	struct err why; /* it goes since it could not be shown */
};

static void plugged_free(struct plugged *p)
{
	free(p->target);
	free(p);
}

/* The disk is gone, or never came. */
static void forget(struct plugged *p)
{
	for (struct plugged **at = &p->m->plugged; *at; at = &(*at)->next) {
		if (*at != p)
			continue;
		*at = p->next;
		break;
	}
	plugged_free(p);
}

static void tell(struct plugged *p, const struct err *failure)
{
	isolation_reply *reply = p->reply;

	p->busy = false;
	p->reply = NULL;
	reply(p->ctx, failure, NULL);
}

static struct machine_order order_of(struct plugged *p)
{
	return (struct machine_order){.slot = p->slot,
				      .serial = p->serial,
				      .target = p->target,
				      .readonly = p->readonly};
}

/* --- away --- */

static void unplugged(void *ctx, const struct err *failure, const char *answer)
{
	struct plugged *p = ctx;
	struct err why = p->why;
	isolation_reply *reply = p->reply;
	void *reply_ctx = p->ctx;

	(void)answer;
	if (failure && !why.code) { /* it stays; another try may be made */
		tell(p, failure);
		return;
	}
	forget(p);
	reply(reply_ctx, why.code ? &why : NULL, NULL);
}

static void ask_unplug(struct plugged *p)
{
	char request[REQUEST_MAX];

	(void)snprintf(request, sizeof(request), "unplug %s", p->serial);
	asker_ask(p->m->asker, &(struct ask_request){.text = request, .patience_ms = ASK_MS},
		  unplugged, p);
}

static void hidden(void *ctx, const struct err *failure, const void *answer)
{
	struct plugged *p = ctx;

	(void)answer;
	if (failure)
		tell(p, failure);
	else
		ask_unplug(p);
}

/* --- here --- */

static void shown(void *ctx, const struct err *failure, const void *answer)
{
	struct plugged *p = ctx;

	(void)answer;
	if (failure) {
		p->why = *failure;
		ask_unplug(p);
		return;
	}
	tell(p, NULL);
}

static void came(void *ctx, const struct err *failure, const char *answer)
{
	struct plugged *p = ctx;
	struct err err = ERR_INIT;
	int64_t slot = 0;

	if (!failure && parse_int(answer, 0, SLOTS_MAX, "the monitor's answer", &slot, &err) < 0)
		failure = &err;
	if (failure) {
		struct err why = *failure;
		isolation_reply *reply = p->reply;
		void *reply_ctx = p->ctx;
		forget(p);
		reply(reply_ctx, &why, NULL);
		return;
	}
	p->slot = (uint32_t)slot;
	struct machine_order order = order_of(p);
	agent_show_disk(p->m->agent, &order, shown, p);
}

static struct plugged *find(struct isolation *m, const char *target)
{
	for (struct plugged *p = m->plugged; p; p = p->next) {
		if (strcmp(p->target, target) == 0)
			return p;
	}
	return NULL;
}

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

static struct plugged *plugged_new(struct isolation *m, const struct isolation_disk *disk,
				   struct err *err)
{
	if (find(m, disk->target)) {
		(void)err_set(err, EEXIST, "there is a disk at '%s'", disk->target);
		return NULL;
	}
	struct plugged *p = calloc(1, sizeof(*p));
	if (p)
		p->target = strdup(disk->target);
	if (!p || !p->target) {
		free(p);
		(void)err_set(err, ENOMEM, "out of memory");
		return NULL;
	}
	p->m = m;
	p->readonly = disk->readonly;
	(void)snprintf(p->serial, sizeof(p->serial), "plugged-%u", m->n_plugged++ % 1000000);
	p->next = m->plugged;
	m->plugged = p;
	return p;
}

static int add(struct isolation *m, const struct isolation_disk *disk, isolation_reply *reply,
	       void *ctx, struct err *err)
{
	char request[REQUEST_MAX];
	uint64_t size;

	int r = size_of(disk->fd, &size, err);
	if (r < 0)
		return r;
	struct plugged *p = plugged_new(m, disk, err);
	if (!p)
		return -err->code;
	p->busy = true;
	p->reply = reply;
	p->ctx = ctx;
	(void)snprintf(request, sizeof(request), "disk %s %s %" PRIu64, p->serial,
		       p->readonly ? "ro" : "rw", size);
	asker_ask(m->asker,
		  &(struct ask_request){
			  .text = request, .fds = &disk->fd, .n_fds = 1, .patience_ms = ASK_MS},
		  came, p);
	return 0;
}

static int take_away(struct isolation *m, const char *target, isolation_reply *reply, void *ctx,
		     struct err *err)
{
	struct plugged *p = find(m, target);

	if (!p || p->busy)
		return err_set(err, p ? EBUSY : ENOENT, "%s at '%s'",
			       p ? "a disk is on its way" : "no disk was added", target);
	p->busy = true;
	p->reply = reply;
	p->ctx = ctx;
	struct machine_order order = order_of(p);
	agent_hide_disk(m->agent, &order, hidden, p);
	return 0;
}

void plug_disk(struct isolation *m, const struct isolation_disk *disk, isolation_reply *reply,
	       void *ctx)
{
	struct err err = ERR_INIT;
	int r = 0;

	if (!m->asker)
		r = err_set(&err, ENOTSUP, "disks are added by hull-monitor, which needs KVM");
	else if (!m->set_up || m->over)
		r = err_set(&err, ESRCH, "the machine does not run");
	else if (!disk->target || !path_is_clean(disk->target, false))
		r = err_set(&err, EINVAL, "where a disk is shown is an absolute path");
	else if (disk->fd >= 0)
		r = add(m, disk, reply, ctx, &err);
	else
		r = take_away(m, disk->target, reply, ctx, &err);
	if (r < 0)
		reply(ctx, &err, NULL);
}

/* --- limits --- */

/* A change of limits under way: what the monitor is still to be asked, one after the other. */
struct change {
	struct change *next;
	struct isolation *m;
	struct list blkio; /* struct plan_blkio */
	size_t at; /* the next question is of blkio's entry at / DISKS, and of disk at % DISKS */
	isolation_reply *reply;
	void *ctx;
};

enum { DISKS = 3 };

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

static void next_limit(struct change *c)
{
	char text[REQUEST_MAX];

	for (; c->at < c->blkio.n * DISKS; c->at++) {
		const struct plan_blkio *b = c->blkio.items;
		if (!limit_request(c->m->plan, (unsigned)(c->at % DISKS), &b[c->at / DISKS], text))
			continue;
		c->at++;
		asker_ask(c->m->asker, &(struct ask_request){.text = text, .patience_ms = ASK_MS},
			  limited, c);
		return;
	}
	change_over(c, NULL);
}

static void limited(void *ctx, const struct err *failure, const char *answer)
{
	struct change *c = ctx;

	(void)answer;
	if (failure)
		change_over(c, failure);
	else
		next_limit(c);
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

static struct change *change_new(struct isolation *m, const struct list *blkio, struct err *err)
{
	struct change *c = calloc(1, sizeof(*c));
	struct plan_blkio *items = c ? calloc(blkio->n, sizeof(*items)) : NULL;

	if (!c || !items) {
		free(c);
		(void)err_set(err, ENOMEM, "out of memory");
		return NULL;
	}
	memcpy(items, blkio->items, blkio->n * sizeof(*items));
	*c = (struct change){.next = m->changes, .m = m, .blkio = {items, blkio->n}};
	m->changes = c;
	return c;
}

void plug_update(struct isolation *m, const struct plan_limits *limits, uint32_t cpus,
		 isolation_reply *reply, void *ctx)
{
	struct err err = ERR_INIT;

	if (limits->blkio.n == 0) {
		agent_update(m->agent, limits, cpus, reply, ctx);
		return;
	}
	struct change *c = NULL;
	if (!m->asker)
		(void)err_set(&err, ENOTSUP, "disks are limited by hull-monitor, which needs KVM");
	else
		c = change_new(m, &limits->blkio, &err);
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
