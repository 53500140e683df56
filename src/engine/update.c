/* SPDX-License-Identifier: Apache-2.0 */
/* Changing a workload that exists: its limits and restart policy, running or not, and the disks and
 * interfaces of one that runs. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

#include "base/db.h"
#include "base/err.h"
#include "base/fd.h"
#include "base/store.h"
#include "base/str.h"
#include "engine/address.h"
#include "engine/build.h"
#include "engine/control_client.h"
#include "engine/internal.h"
#include "network/network.h"

enum { INTERFACE_TEXT = 8 };

static void take_text(char **to, char **from)
{
	if (!*from)
		return;
	free(*to);
	*to = TAKE_PTR(*from);
}

/* The limit of the same kind for the same device, NULL when there is none. */
static struct plan_blkio *find_blkio(const struct list *in, const struct plan_blkio *like)
{
	struct plan_blkio *b = in->items;

	for (size_t i = 0; i < in->n; i++, b++) {
		if (b->kind == like->kind && b->major == like->major && b->minor == like->minor)
			return b;
	}
	return NULL;
}

static int merge_blkio(struct list *to, const struct list *from, struct err *err)
{
	const struct plan_blkio *b = from->items;

	for (size_t i = 0; i < from->n; i++, b++) {
		struct plan_blkio *at = find_blkio(to, b);
		if (!at)
			at = list_add(to, &plan_blkio_record);
		if (!at)
			return err_set(err, ENOMEM, "out of memory");
		*at = *b;
	}
	return 0;
}

/* What is not zero in `from` goes over `to`; takes its strings. */
static int merge(struct plan_limits *to, struct plan_limits *from, struct err *err)
{
	uint64_t *const numbers[][2] = {
		{&to->memory, &from->memory},
		{&to->memory_swap, &from->memory_swap},
		{&to->memory_reservation, &from->memory_reservation},
		{&to->cpu_quota_us, &from->cpu_quota_us},
		{&to->cpu_period_us, &from->cpu_period_us},
		{&to->cpu_shares, &from->cpu_shares},
		{&to->pids, &from->pids},
		{&to->blkio_weight, &from->blkio_weight},
		{&to->net_ingress, &from->net_ingress},
		{&to->net_egress, &from->net_egress},
	};

	for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++) {
		if (*numbers[i][1])
			*numbers[i][0] = *numbers[i][1];
	}
	take_text(&to->cpuset_cpus, &from->cpuset_cpus);
	take_text(&to->cpuset_mems, &from->cpuset_mems);
	return merge_blkio(&to->blkio, &from->blkio, err);
}

static int check_network(struct engine *e, const struct workload *w,
			 const struct plan_limits *limits, struct err *err)
{
	struct plan plan;

	if (!limits->net_ingress && !limits->net_egress)
		return 0;
	int r = workload_read_plan(e, w->id, &plan, err);
	if (r < 0)
		return r;
	r = limits_check_network(&plan, w->vm, limits, err);
	record_done(&plan_record, &plan);
	return r;
}

static int update_running(struct engine *e, struct workload *w, const struct plan_limits *limits,
			  struct err *err)
{
	struct control_reply reply;
	const struct control_request q = {.verb = CONTROL_UPDATE,
					  .number = 1,
					  .limits = *limits}; /* borrowed strings */

	if (!workload_is_running(w))
		return 0;
	AUTO_CLOSE int ctl = keeper_connect(e, w, err);
	if (ctl < 0)
		return ctl;
	int r = control_ask(ctl, &q, NULL, 0, &reply, err);
	if (r == 0)
		record_done(&control_reply_record, &reply);
	return r;
}

static int write_plan(struct engine *e, const struct workload *w, int folder,
		      struct plan_limits *limits, struct err *err)
{
	struct plan plan;

	int r = workload_read_plan(e, w->id, &plan, err);
	if (r < 0)
		return r;
	uint32_t cpus = plan_limits_cpus(limits);
	if (w->vm && cpus) {
		plan.machine.cpus = cpus;
		if (plan.machine.max_cpus < cpus) /* when it starts next */
			plan.machine.max_cpus = cpus;
	}
	if (w->vm && limits->memory && plan.machine.memory_own) {
		plan.machine.memory = plan_machine_memory(plan.machine.memory_own, limits->memory);
		if (plan.machine.max_memory && plan.machine.max_memory < plan.machine.memory)
			plan.machine.max_memory = plan.machine.memory;
	}
	r = merge(&plan.limits, limits, err);
	if (r == 0)
		r = record_write(folder, "plan", &plan_record, &plan, err);
	record_done(&plan_record, &plan);
	return r;
}

static int update_restart(struct engine *e, struct workload *w, int folder, const char *text,
			  struct err *err)
{
	struct keeper_orders orders;

	int r = workload_read_orders(e, w->id, &orders, err);
	if (r < 0)
		return r;
	r = restart_parse(text, &orders.restart, &orders.restart_max, err);
	if (r == 0 && orders.restart != RESTART_NO && w->auto_remove)
		r = err_set(err, EINVAL, "--restart: it has --rm");
	if (r == 0)
		r = record_write(folder, "orders", &keeper_orders_record, &orders, err);
	if (r == 0)
		r = db_run(e->store->db, "UPDATE workload SET restart = ? WHERE id = ?",
			   DB_VALUES(DB_INT(orders.restart), DB_TEXT(w->id)), err);
	record_done(&keeper_orders_record, &orders);
	return r < 0 ? r : 0;
}

/* fd -1: nothing goes with it */
static int ask_plain(struct engine *e, struct workload *w, const struct control_request *q, int fd,
		     struct err *err)
{
	struct control_reply reply;

	AUTO_CLOSE int ctl = keeper_connect(e, w, err);
	if (ctl < 0)
		return ctl;
	int r = control_ask(ctl, q, &fd, fd >= 0, &reply, err);
	if (r == 0)
		record_done(&control_reply_record, &reply);
	return r;
}

/* The file is locked as long as a machine has it: two that write to it would ruin it. */
static int open_disk(const char *path, bool readonly, struct err *err)
{
	AUTO_CLOSE int fd = open(path, (readonly ? O_RDONLY : O_RDWR) | O_CLOEXEC | O_NONBLOCK);
	if (fd < 0)
		return err_sys(err, "open '%s'", path);
	if (flock(fd, (readonly ? LOCK_SH : LOCK_EX) | LOCK_NB) < 0)
		return errno == EWOULDBLOCK
			       ? err_set(err, EBUSY, "'%s' is another machine's disk", path)
			       : err_sys(err, "lock '%s'", path);
	return TAKE_FD(fd);
}

/* "FILE:PATH[:ro]" */
static int add_disk(struct engine *e, struct workload *w, const char *text, struct err *err)
{
	AUTO_FREE char *copy = strdup(text);
	char *rest = copy;

	if (!copy)
		return err_set(err, ENOMEM, "out of memory");
	const char *file = strsep(&rest, ":");
	char *target = rest ? strsep(&rest, ":") : copy;
	bool readonly = rest && strcmp(rest, "ro") == 0;
	if (!*file || target[0] != '/' || (rest && !readonly))
		return err_set(err, EINVAL, "--disk-add: '%s' is not FILE:PATH[:ro]", text);
	AUTO_CLOSE int fd = open_disk(file, readonly, err);
	if (fd < 0)
		return err_wrap(err, "--disk-add");
	const struct control_request q = {.verb = CONTROL_DISK,
					  .number = 1,
					  .streams = STREAM_IN,
					  .target = target,
					  .readonly = readonly};
	return ask_plain(e, w, &q, fd, err) < 0 ? err_wrap(err, "--disk-add") : 0;
}

/* NOLINTNEXTLINE(readability-non-const-parameter): a record's strings are not const */
static int remove_disk(struct engine *e, struct workload *w, char *target, struct err *err)
{
	const struct control_request q = {.verb = CONTROL_DISK, .number = 1, .target = target};

	return ask_plain(e, w, &q, -1, err) < 0 ? err_wrap(err, "--disk-rm") : 0;
}

static int update_disks(struct engine *e, struct workload *w, const struct update_options *o,
			struct err *err)
{
	int r = 0;

	if (o->disk_add.n + o->disk_rm.n > 0 && !workload_is_running(w))
		return err_set(err, ESRCH, "disks come and go while it runs, and it does not");
	for (size_t i = 0; r == 0 && i < o->disk_rm.n; i++)
		r = remove_disk(e, w, o->disk_rm.v[i], err);
	for (size_t i = 0; r == 0 && i < o->disk_add.n; i++)
		r = add_disk(e, w, o->disk_add.v[i], err);
	return r;
}

/* --- networks --- */

/* address NULL: the interface goes */
/* NOLINTNEXTLINE(readability-non-const-parameter): a record's strings are not const */
static int ask_network(struct engine *e, struct workload *w, char *interface, char *address,
		       struct err *err)
{
	const struct control_request q = {.verb = CONTROL_NETWORK,
					  .number = 1,
					  .target = interface,
					  .address = address};

	return ask_plain(e, w, &q, -1, err);
}

/* What it has by now, for the next one. */
static int look_again(struct engine *e, struct workload *w, struct err *err)
{
	int r = workload_fold_locked(e, w, err);

	return r == 1 ? err_set(err, ESRCH, "it has ended") : r;
}

static bool has_interface(const struct workload *w, const char *name)
{
	for (size_t i = 0; i < w->interfaces.n; i++) {
		const char *rest;
		if (str_prefix(w->interfaces.v[i], name, &rest) && *rest == ' ')
			return true;
	}
	return false;
}

static int free_interface(const struct workload *w, char name[INTERFACE_TEXT], struct err *err)
{
	for (unsigned i = 1; i <= NET_MORE_MAX; i++) {
		(void)snprintf(name, INTERFACE_TEXT, "eth%u", i);
		if (!has_interface(w, name))
			return 0;
	}
	return err_set(err, ENOSPC, "it has %d interfaces beside its first, which is all it can",
		       NET_MORE_MAX);
}

static int take_address(struct engine *e, const struct workload *w,
			const struct keeper_network *orders, const char *interface,
			char address[ADDRESS_TEXT], struct err *err)
{
	AUTO_TXN struct db *txn = NULL;

	int r = db_begin(e->store->db, &txn, err);
	if (r == 0)
		r = address_take_more(txn, w->id, orders, interface, address, err);
	return r == 0 ? db_commit(&txn, err) : r;
}

static int add_network(struct engine *e, struct workload *w, const struct keeper_network *orders,
		       const char *network, struct err *err)
{
	struct err ignored = ERR_INIT; /* the next of this name gives it back */
	char interface[INTERFACE_TEXT], address[ADDRESS_TEXT];

	if (strcmp(network, "bridge") != 0)
		return err_set(err, ENOENT, "'%.100s': no such network to join (bridge)", network);
	if (!orders->name)
		return err_set(err, EINVAL,
			       "it was made with --network none or host, and stays so");
	int r = free_interface(w, interface, err);
	if (r == 0)
		r = take_address(e, w, orders, interface, address, err);
	if (r < 0)
		return r;
	r = ask_network(e, w, interface, address, err);
	if (r < 0 && address_give_back(e->store->db, w->id, interface, &ignored) < 0)
		return r;
	return r < 0 ? r : look_again(e, w, err);
}

static int remove_network(struct engine *e, struct workload *w, char *interface, struct err *err)
{
	int r = ask_network(e, w, interface, NULL, err);
	if (r == 0)
		r = address_give_back(e->store->db, w->id, interface, err);
	return r < 0 ? r : look_again(e, w, err);
}

static int update_networks(struct engine *e, struct workload *w, const struct update_options *o,
			   struct err *err)
{
	struct keeper_orders orders = {0};
	int r = 0;

	if (o->network_add.n + o->network_rm.n == 0)
		return 0;
	if (!workload_is_running(w))
		return err_set(err, ESRCH, "interfaces come and go while it runs, and it does not");
	r = workload_read_orders(e, w->id, &orders, err);
	for (size_t i = 0; r == 0 && i < o->network_rm.n; i++) {
		r = remove_network(e, w, o->network_rm.v[i], err);
		if (r < 0)
			r = err_wrap(err, "--network-rm");
	}
	for (size_t i = 0; r == 0 && i < o->network_add.n; i++) {
		r = add_network(e, w, &orders.network, o->network_add.v[i], err);
		if (r < 0)
			r = err_wrap(err, "--network-add");
	}
	record_done(&keeper_orders_record, &orders);
	return r;
}

int workload_update(struct engine *e, struct workload *w, const struct update_options *o,
		    struct err *err)
{
	struct plan_limits limits = {0};

	AUTO_CLOSE int folder = workload_lock(e, w->id, true, err);
	if (folder < 0)
		return folder;
	int r = limits_parse(&o->limits, &limits, err);
	if (r == 0)
		r = check_network(e, w, &limits, err);
	if (r == 0)
		r = update_running(e, w, &limits, err);
	if (r == 0)
		r = write_plan(e, w, folder, &limits, err);
	if (r == 0 && o->restart)
		r = update_restart(e, w, folder, o->restart, err);
	if (r == 0)
		r = update_disks(e, w, o, err);
	if (r == 0)
		r = update_networks(e, w, o, err);
	record_done(&plan_limits_record, &limits);
	return r;
}
