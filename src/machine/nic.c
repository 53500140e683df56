/* SPDX-License-Identifier: Apache-2.0 */
#include "machine/nic.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "base/fd.h"
#include "base/str.h"
#include "machine/agent.h"
#include "machine/ask.h"
#include "machine/disk.h"
#include "machine/machine_impl.h"
#include "proto/message.h"

enum { SLOTS_MAX = 32, REQUEST_MAX = 128, NAME_MAX_LEN = 15, TEXT_MAX = 40 };

/* An interface that came, from the first question about it to the last. */
struct nic {
	struct nic *next;
	struct isolation *m;
	char name[NAME_MAX_LEN + 1];
	char address[TEXT_MAX], mac[TEXT_MAX];
	uint32_t mtu, slot;
	bool busy; /* it comes or goes, and this is whom to tell */
	isolation_reply *reply;
	void *ctx;
	struct err why; /* it goes since it could not be set up */
};

static struct nic *find(struct isolation *m, const char *name)
{
	for (struct nic *n = m->nics; n; n = n->next) {
		if (strcmp(n->name, name) == 0)
			return n;
	}
	return NULL;
}

/* What was asked for is done, or failed. */
static void tell(struct nic *n, const struct err *failure)
{
	isolation_reply *reply = n->reply;

	n->busy = false;
	n->reply = NULL;
	reply(n->ctx, failure, NULL);
}

/* The same, and the interface is gone, or never came. */
static void tell_and_forget(struct nic *n, const struct err *failure)
{
	for (struct nic **at = &n->m->nics; *at; at = &(*at)->next) {
		if (*at != n)
			continue;
		*at = n->next;
		break;
	}
	tell(n, failure);
	free(n);
}

static struct machine_order order_of(struct nic *n)
{
	return (struct machine_order){.slot = n->slot,
				      .target = n->name,
				      .mac = n->mac,
				      .address = n->address,
				      .mtu = n->mtu};
}

/* --- away --- */

static void unplugged(void *ctx, const struct err *failure, const char *answer)
{
	struct nic *n = ctx;
	struct err why = n->why;

	(void)answer;
	if (failure && !why.code) /* it stays; another try may be made */
		tell(n, failure);
	else
		tell_and_forget(n, why.code ? &why : NULL);
}

static void ask_unplug(struct nic *n)
{
	char request[REQUEST_MAX];

	(void)snprintf(request, sizeof(request), "unplug %u", n->slot);
	asker_ask(n->m->asker, &(struct ask_request){.text = request, .patience_ms = ASK_MS},
		  unplugged, n);
}

static void hidden(void *ctx, const struct err *failure, const void *answer)
{
	(void)answer;
	if (failure)
		tell(ctx, failure);
	else
		ask_unplug(ctx);
}

/* --- here --- */

static void shown(void *ctx, const struct err *failure, const void *answer)
{
	struct nic *n = ctx;

	(void)answer;
	if (!failure) {
		tell(n, NULL);
		return;
	}
	n->why = *failure;
	ask_unplug(n);
}

static void came(void *ctx, const struct err *failure, const char *answer)
{
	struct nic *n = ctx;
	struct err err = ERR_INIT;
	int64_t slot = 0;

	if (!failure && parse_int(answer, 0, SLOTS_MAX, "the monitor's answer", &slot, &err) < 0)
		failure = &err;
	if (failure) {
		struct err why = *failure; /* what it lies in may not outlive the asking */
		tell_and_forget(n, &why);
		return;
	}
	n->slot = (uint32_t)slot;
	struct machine_order order = order_of(n);
	agent_show_interface(n->m->agent, &order, shown, n);
}

static int copy_texts(struct nic *n, const struct isolation_interface *what, struct err *err)
{
	if (strlen(what->name) > NAME_MAX_LEN || strlen(what->address) >= TEXT_MAX ||
	    strlen(what->mac) >= TEXT_MAX)
		return err_set(err, EINVAL, "'%.32s' is no interface's name", what->name);
	memcpy(n->name, what->name, strlen(what->name));
	memcpy(n->address, what->address, strlen(what->address));
	memcpy(n->mac, what->mac, strlen(what->mac));
	n->mtu = what->mtu;
	return 0;
}

static int add(struct isolation *m, const struct isolation_interface *what, isolation_reply *reply,
	       void *ctx, struct err *err)
{
	char request[REQUEST_MAX];

	if (find(m, what->name))
		return err_set(err, EEXIST, "there is an interface '%s'", what->name);
	AUTO_CLOSE int tap = disk_tap(what->tap, false, err);
	if (tap < 0)
		return tap;
	AUTO_FREE struct nic *n = calloc(1, sizeof(*n));
	if (!n)
		return err_set(err, ENOMEM, "out of memory");
	int r = copy_texts(n, what, err);
	if (r < 0)
		return r;
	(void)snprintf(request, sizeof(request), "net %s", n->mac);
	n->m = m;
	n->busy = true;
	n->reply = reply;
	n->ctx = ctx;
	n->next = m->nics;
	m->nics = n;
	asker_ask(m->asker,
		  &(struct ask_request){
			  .text = request, .fds = &tap, .n_fds = 1, .patience_ms = ASK_MS},
		  came, TAKE_PTR(n));
	return 0;
}

static int take_away(struct isolation *m, const char *name, isolation_reply *reply, void *ctx,
		     struct err *err)
{
	struct nic *n = find(m, name);

	if (!n || n->busy)
		return err_set(err, n ? EBUSY : ENOENT, "%s '%s'",
			       n ? "on its way is interface" : "nobody added an interface", name);
	n->busy = true;
	n->reply = reply;
	n->ctx = ctx;
	struct machine_order order = order_of(n);
	agent_hide_interface(m->agent, &order, hidden, n);
	return 0;
}

void nic_change(struct isolation *m, const struct isolation_interface *what, isolation_reply *reply,
		void *ctx)
{
	struct err err = ERR_INIT;
	int r = 0;

	if (!m->asker)
		r = err_set(&err, ENOTSUP, "interfaces are added by hull-monitor, which needs KVM");
	else if (!m->set_up || m->over)
		r = err_set(&err, ESRCH, "the machine does not run");
	else if (what->tap)
		r = add(m, what, reply, ctx, &err);
	else
		r = take_away(m, what->name, reply, ctx, &err);
	if (r < 0)
		reply(ctx, &err, NULL);
}

void nic_done(struct isolation *m)
{
	while (m->nics) {
		struct nic *n = m->nics;
		m->nics = n->next;
		free(n);
	}
}
