/* SPDX-License-Identifier: Apache-2.0 */
/* Records of workloads in the database. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/db.h"
#include "base/err.h"
#include "base/fd.h"
#include "engine/internal.h"
#include "engine/names.h"

/* The columns of a struct workload, in the order read_row() takes them. */
#define COLUMNS                                                                                    \
	"id, name, image, manifest, isolation = 'vm', command, labels, ports, auto_remove, "       \
	"stopped_by_user, restart, state, pid, exit_status, restarts, oom, error, created_ns, "    \
	"started_ns, finished_ns"

void workload_free(struct workload *w)
{
	if (!w)
		return;
	auto_close(&w->lock);
	free(w->id);
	free(w->name);
	free(w->image);
	free(w->manifest);
	free(w->command);
	free(w->labels);
	free(w->ports);
	strv_done(&w->interfaces);
	free(w->error);
	free(w->notice);
	free(w);
}

void workloads_done(struct workloads *list)
{
	for (size_t i = 0; i < list->n; i++)
		workload_free(list->v[i]);
	free(list->v);
	*list = (struct workloads){0};
}

static int read_row(struct rows *rows, struct workload **ret, struct err *err)
{
	AUTO(auto_workload_free) struct workload *w = calloc(1, sizeof(*w));
	if (!w)
		return err_set(err, ENOMEM, "out of memory");
	w->lock = -1;
	char **const texts[] = {&w->id, &w->name, &w->image, &w->manifest};
	int at = 0;
	int r = 0;

	for (size_t i = 0; r == 0 && i < sizeof(texts) / sizeof(texts[0]); i++)
		r = rows_text_copy(rows, at++, texts[i], err);
	w->vm = rows_int(rows, at++) != 0;
	char **const more[] = {&w->command, &w->labels, &w->ports};
	for (size_t i = 0; r == 0 && i < sizeof(more) / sizeof(more[0]); i++)
		r = rows_text_copy(rows, at++, more[i], err);
	w->auto_remove = rows_int(rows, at++) != 0;
	w->stopped_by_user = rows_int(rows, at++) != 0;
	uint32_t *const numbers[] = {&w->restart, &w->state, &w->pid, &w->exit_status,
				     &w->restarts};
	for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++)
		*numbers[i] = (uint32_t)rows_int(rows, at++);
	w->oom = rows_int(rows, at++) != 0;
	if (r == 0)
		r = rows_text_copy(rows, at++, &w->error, err);
	uint64_t *const times[] = {&w->created_ns, &w->started_ns, &w->finished_ns};
	for (size_t i = 0; i < sizeof(times) / sizeof(times[0]); i++)
		*times[i] = (uint64_t)rows_int(rows, at++);
	if (r == 0)
		*ret = TAKE_PTR(w);
	return r;
}

/* Reads at most two rows; answers how many there are. */
static int query_two(struct engine *e, const char *sql, const struct db_value *values,
		     struct workload **ret, struct err *err)
{
	AUTO(auto_rows_free) struct rows *rows = NULL;
	AUTO(auto_workload_free) struct workload *w = NULL;
	int n = 0;

	int r = db_query(e->store->db, sql, values, &rows, err);
	while (r >= 0 && n < 2 && (r = rows_next(rows, err)) == 1) {
		if (n++ == 0)
			r = read_row(rows, &w, err);
	}
	if (r < 0)
		return r;
	if (n == 1)
		*ret = TAKE_PTR(w);
	return n;
}

static int find_record(struct engine *e, const char *ref, struct workload **ret, struct err *err)
{
	char past[ID_TEXT + 1];

	int n = query_two(e, "SELECT " COLUMNS " FROM workload WHERE name = ? OR id = ?",
			  DB_VALUES(DB_TEXT(ref), DB_TEXT(ref)), ret, err);
	if (n != 0)
		return n < 0 ? n : 0;
	if (id_is_prefix(ref)) {
		(void)snprintf(past, sizeof(past), "%sg",
			       ref); /* behind every id that ref begins */
		n = query_two(e, "SELECT " COLUMNS " FROM workload WHERE id > ? AND id < ?",
			      DB_VALUES(DB_TEXT(ref), DB_TEXT(past)), ret, err);
		if (n < 0 || n == 1)
			return n < 0 ? n : 0;
		if (n > 1)
			return err_set(err, EINVAL,
				       "'%s': several workloads have ids that begin so", ref);
	}
	return err_set(err, ENOENT, "'%.140s': no such workload (see hull ps -a)", ref);
}

int workload_find(struct engine *e, const char *ref, struct workload **ret, struct err *err)
{
	AUTO(auto_workload_free) struct workload *w = NULL;

	int r = find_record(e, ref, &w, err);
	if (r == 0)
		r = workload_fold(e, w, err);
	if (r == 1)
		return err_set(err, ENOENT, "'%s': no such workload: it ended and had --rm", ref);
	if (r == 0)
		*ret = TAKE_PTR(w);
	return r;
}

static int list_records(struct engine *e, struct workloads *ret, struct err *err)
{
	AUTO(auto_rows_free) struct rows *rows = NULL;
	size_t room = 0;

	int r = db_query(e->store->db, "SELECT " COLUMNS " FROM workload ORDER BY created_ns DESC",
			 DB_NO_VALUES, &rows, err);
	while (r >= 0 && (r = rows_next(rows, err)) == 1) {
		if (ret->n == room) {
			room = room ? room * 2 : 16;
			struct workload **v = reallocarray(ret->v, room, sizeof(struct workload *));
			if (!v)
				return err_set(err, ENOMEM, "out of memory");
			ret->v = v;
		}
		r = read_row(rows, &ret->v[ret->n], err);
		if (r == 0)
			ret->n++;
	}
	return r;
}

int workload_list(struct engine *e, struct workloads *ret, struct err *err)
{
	size_t kept = 0;

	int r = list_records(e, ret, err);
	if (r < 0) {
		workloads_done(ret);
		return r;
	}
	for (size_t i = 0; i < ret->n; i++) {
		struct err trouble = ERR_INIT; /* one that cannot be repaired is listed with why */
		struct workload *w = ret->v[i];
		r = workload_fold(e, w, &trouble);
		if (r == 1) {
			workload_free(w);
			continue;
		}
		if (r < 0) {
			free(w->error);
			w->error = strdup(trouble.msg);
		}
		ret->v[kept++] = w;
	}
	ret->n = kept;
	return 0;
}

int workload_reload(struct engine *e, struct workload *w, struct err *err)
{
	struct workload *fresh = NULL;

	int n = query_two(e, "SELECT " COLUMNS " FROM workload WHERE id = ?",
			  DB_VALUES(DB_TEXT(w->id)), &fresh, err);
	if (n < 0)
		return n;
	if (n != 1) /* ids are unique */
		return err_set(err, ENOENT, "'%s': no such workload any more", w->name);
	struct workload old = *w;
	*w = *fresh;
	*fresh = old;
	w->lock = TAKE_FD(fresh->lock);
	w->notice = TAKE_PTR(fresh->notice);
	workload_free(fresh);
	return 0;
}

int workload_config(struct engine *e, const struct workload *w, char **ret, struct err *err)
{
	int r = db_text(e->store->db, "SELECT config FROM workload WHERE id = ?",
			DB_VALUES(DB_TEXT(w->id)), ret, err);

	if (r == 0)
		return err_set(err, ENOENT, "'%s': no such workload any more", w->name);
	return r < 0 ? r : 0;
}

int workload_insert(struct db *txn, const struct workload *w, const char *config, struct err *err)
{
	int r = db_run(
		txn,
		"INSERT INTO workload(id, name, manifest, image, isolation, created_ns, config, "
		"command, labels, ports, auto_remove, restart, state) "
		"VALUES(?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
		DB_VALUES(DB_TEXT(w->id), DB_TEXT(w->name), DB_TEXT(w->manifest), DB_TEXT(w->image),
			  DB_TEXT(w->vm ? "vm" : "container"), DB_INT(w->created_ns),
			  DB_TEXT(config), DB_TEXT(w->command), DB_TEXT(w->labels),
			  DB_TEXT(w->ports), DB_INT(w->auto_remove), DB_INT(w->restart),
			  DB_INT(w->state)),
		err);

	return r < 0 ? r : 0;
}

int workload_save_state(struct engine *e, const struct workload *w, struct err *err)
{
	int r = db_run(
		e->store->db,
		"UPDATE workload SET state = ?, pid = ?, exit_status = ?, oom = ?, error = ?, "
		"started_ns = ?, finished_ns = ?, restarts = ?, stopped_by_user = ?, ports = ? "
		"WHERE id = ?",
		DB_VALUES(DB_INT(w->state), DB_INT(w->pid), DB_INT(w->exit_status), DB_INT(w->oom),
			  DB_TEXT(w->error), DB_INT(w->started_ns), DB_INT(w->finished_ns),
			  DB_INT(w->restarts), DB_INT(w->stopped_by_user), DB_TEXT(w->ports),
			  DB_TEXT(w->id)),
		err);

	return r < 0 ? r : 0;
}

int workload_rename(struct engine *e, struct workload *w, const char *name, struct err *err)
{
	int r = name_check(name, err);

	if (r == 0)
		r = db_run(e->store->db, "UPDATE workload SET name = ? WHERE id = ?",
			   DB_VALUES(DB_TEXT(name), DB_TEXT(w->id)), err);
	if (r == -EEXIST) {
		*err = ERR_INIT;
		return err_set(err, EEXIST, "name '%s' is in use", name);
	}
	return r < 0 ? r : 0;
}

int workload_delete_row(struct engine *e, const char *id, struct err *err)
{
	int r = db_run(e->store->db, "DELETE FROM workload WHERE id = ?", DB_VALUES(DB_TEXT(id)),
		       err);

	return r < 0 ? r : 0;
}

const char *workload_state_name(const struct workload *w)
{
	switch (w->state) {
	case KEEPER_STARTING:
	case KEEPER_RUNNING:
		return "running";
	case KEEPER_PAUSED:
		return "paused";
	case KEEPER_RESTARTING:
		return "restarting";
	case KEEPER_EXITED:
	case KEEPER_FAILED:
		return "exited";
	default: /* 0 and KEEPER_CREATED; the number is a stored one */
		return "created";
	}
}

bool workload_is_running(const struct workload *w)
{
	return w->state == KEEPER_STARTING || w->state == KEEPER_RUNNING ||
	       w->state == KEEPER_PAUSED;
}
