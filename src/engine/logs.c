/* SPDX-License-Identifier: Apache-2.0 */
#include "base/err.h"
#include "base/fd.h"
#include "engine/internal.h"

/* The reader's two callbacks share one context: the user's goes inside. */
struct follower {
	const struct log_query *query;
	int run_fd;
};

/* More may come while its keeper runs. */
static bool follower_alive(void *ctx)
{
	struct follower *f = ctx;

	return f->run_fd >= 0 && keeper_is_alive(f->run_fd);
}

static int follower_entry(void *ctx, const struct log_entry *entry, struct err *err)
{
	struct follower *f = ctx;

	return f->query->entry(f->query->ctx, entry, err);
}

int workload_logs(struct engine *e, const struct workload *w, const struct log_query *query,
		  struct err *err)
{
	struct err ignored = ERR_INIT; /* it does not run: nothing to follow */

	AUTO_CLOSE int dir = workload_folder(e, w->id, err);
	if (dir < 0)
		return dir;
	AUTO_CLOSE int run_fd = workload_run_folder(e, w->id, false, &ignored);
	struct follower f = {.query = query, .run_fd = run_fd};
	struct log_query q = *query;
	q.alive = follower_alive;
	q.entry = follower_entry;
	q.ctx = &f;
	int r = log_read(dir, &q, err);
	return r < 0 ? r : 0;
}
