/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/repair.h"

#include "base/err.h"
#include "base/fd.h"
#include "container/container.h"
#include "engine/internal.h"
#include "machine/machine.h"
#include "network/network.h"

static int repair_network(const struct keeper_orders *orders, const char *id, struct err *err)
{
	struct network net = {.bridge = orders->network.bridge};

	if (!orders->network.name)
		return 0;
	int r = subnet_parse(orders->network.subnet, &net.subnet, err);
	return r < 0 ? r : network_detach(&net, id, err);
}

int workload_repair(struct engine *e, const struct workload *w, struct err *err)
{
	const struct isolation_ops *ops = w->vm ? &machine_isolation : &container_isolation;
	struct keeper_orders orders;

	AUTO_CLOSE int run_fd = workload_run_folder(e, w->id, true, err);
	if (run_fd < 0)
		return run_fd;
	int r = ops->repair(w->id, run_fd, err);
	if (r < 0)
		return r;
	r = workload_read_orders(e, w->id, &orders, err);
	if (r == 0)
		r = repair_network(&orders, w->id, err);
	record_done(&keeper_orders_record, &orders);
	return r;
}

bool workload_restart_wanted(struct engine *e, const struct workload *w)
{
	struct err ignored = ERR_INIT; /* unreadable orders: it could not be started either */
	struct keeper_orders orders;
	bool wanted = false;

	if (w->stopped_by_user || workload_read_orders(e, w->id, &orders, &ignored) < 0)
		return false;
	switch ((enum restart_policy)orders.restart) {
	case RESTART_NO:
		break;
	case RESTART_ON_FAILURE:
		wanted = w->exit_status != 0 &&
			 (orders.restart_max == 0 || w->restarts < orders.restart_max);
		break;
	case RESTART_ALWAYS:
	case RESTART_UNLESS_STOPPED:
		wanted = true;
		break;
	}
	record_done(&keeper_orders_record, &orders);
	return wanted;
}
