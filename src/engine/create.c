/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Making a workload: everything is judged first, then its folder appears (locked), then its record,
 * address, plan and orders in one transaction. A command that is killed in between leaves at most a
 * folder without a record, which workload_sweep() removes.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/db.h"
#include "base/err.h"
#include "base/fd.h"
#include "base/io.h"
#include "base/path.h"
#include "engine/address.h"
#include "engine/build.h"
#include "engine/describe.h"
#include "engine/events.h"
#include "engine/internal.h"
#include "engine/names.h"
#include "image/image.h"

enum { NAME_ATTEMPTS = 32, COMMAND_MAX = 4096 };

/* What is being made. */
struct making {
	struct engine *e;
	const struct run_options *options;
	struct image image;
	struct plan plan;
	struct keeper_orders orders;
	struct workload *w;
	int folder; /* locked; -1: not made */
};

static void making_done(struct making *m)
{
	image_done(&m->image);
	record_done(&plan_record, &m->plan);
	record_done(&keeper_orders_record, &m->orders);
	workload_free(m->w);
	auto_close(&m->folder);
}

/* For a container. */
static int refuse_machine_options(const struct run_options *o, struct err *err)
{
	if (o->kernel || o->kernel_args)
		return err_set(err, EINVAL,
			       "--kernel: a container has no kernel of its own (--vm)");
	if (o->max_cpus)
		return err_set(err, EINVAL,
			       "--max-cpus: a container has the host's processors (--vm)");
	if (o->max_memory)
		return err_set(err, EINVAL,
			       "--max-memory: a container has the host's memory (--vm)");
	return 0;
}

static int choose_isolation(const struct run_options *o, bool *ret_vm, struct err *err)
{
	const char *name = o->isolation ? o->isolation : o->vm ? "vm" : getenv("HULL_ISOLATION");

	if (o->vm && o->isolation && strcmp(o->isolation, "vm") != 0)
		return err_set(err, EINVAL, "--vm and --isolation=%s contradict each other",
			       o->isolation);
	if (!name || !*name || strcmp(name, "container") == 0)
		*ret_vm = false;
	else if (strcmp(name, "vm") == 0)
		*ret_vm = true;
	else
		return err_set(err, EINVAL, "--isolation: '%s' is neither container nor vm", name);
	return *ret_vm ? 0 : refuse_machine_options(o, err);
}

static char *command_text(const struct strv *args)
{
	AUTO_BUF struct buf text = BUF_INIT;

	for (size_t i = 0; i < args->n && text.len < COMMAND_MAX; i++)
		buf_printf(&text, "%s%s", i ? " " : "", args->v[i]);
	return buf_take(&text);
}

static int new_workload(struct making *m, bool start, struct err *err)
{
	struct workload *w = calloc(1, sizeof(*w));
	char id[ID_TEXT];

	if (!w)
		return err_set(err, ENOMEM, "out of memory");
	m->w = w;
	w->lock = -1;
	int r = choose_isolation(m->options, &w->vm, err);
	if (r == 0)
		r = id_generate(id, err);
	if (r == 0)
		r = set_str(&w->id, id, err);
	if (r == 0)
		r = set_str(&w->image, m->options->image, err);
	if (r == 0)
		r = set_str(&w->manifest, m->image.id, err);
	if (r == 0 && m->options->name)
		r = name_check(m->options->name, err);
	w->auto_remove = m->options->auto_remove;
	w->state = start ? KEEPER_STARTING : 0;
	w->created_ns = now_ns();
	return r;
}

static int build_root(struct making *m, struct err *err)
{
	struct plan_root *root = &m->plan.root;
	const char *base = m->e->store->root;

	int r = strv_add_all(&root->layers, &m->image.layers, err);
	if (r < 0)
		return r;
	root->is_volatile = m->options->auto_remove;
	if ((!m->w->vm && (asprintf(&root->upper, "%s/workloads/%s/upper", base, m->w->id) < 0 ||
			   asprintf(&root->work, "%s/workloads/%s/work", base, m->w->id) < 0)) ||
	    asprintf(&m->plan.cgroup, "hull/%s/workload", m->w->id) < 0)
		return err_set(err, ENOMEM, "out of memory");
	return set_str(&m->plan.id, m->w->id, err);
}

static int build_all(struct making *m, const struct build *b, struct err *err)
{
	char notice[NOTICE_MAX] = "";

	int r = build_root(m, err);
	if (r == 0)
		r = build_process(b, err);
	if (r == 0)
		r = build_mounts(b, err);
	if (r == 0)
		r = limits_parse(&m->options->limits, &m->plan.limits, err);
	if (r == 0)
		r = build_security(b, err);
	if (r == 0)
		r = build_network(b, err);
	if (r == 0)
		r = build_orders(b, err);
	if (r == 0 && m->w->vm)
		r = build_machine(b, notice, err);
	if (r == 0)
		r = limits_check_network(&m->plan, m->w->vm, &m->plan.limits, err);
	if (r == 0 && notice[0])
		r = set_str(&m->w->notice, notice, err);
	m->orders.vm = m->w->vm;
	m->w->restart = m->orders.restart;
	m->w->command = command_text(&m->plan.process.args);
	return r < 0 || m->w->command ? r : err_set(err, ENOMEM, "out of memory");
}

static int make_folder(struct making *m, struct err *err)
{
	/* The first start gives `upper` the attributes of the image's root (container/root.c). */
	static const struct {
		const char *name;
		mode_t mode;
	} parts[] = {{"upper", 0}, {"work", 0755}};
	char path[128];

	(void)snprintf(path, sizeof(path), "workloads/%s", m->w->id);
	int r = path_mkdir_all(m->e->store->root_fd, path, 0700, err);
	if (r < 0)
		return r;
	m->folder = workload_lock(m->e, m->w->id, true, err);
	if (m->folder < 0)
		return m->folder;
	for (size_t i = 0; !m->w->vm && i < sizeof(parts) / sizeof(parts[0]); i++) {
		if (mkdirat(m->folder, parts[i].name, parts[i].mode) < 0)
			return err_sys(err, "make the workload's folder '%s'", parts[i].name);
	}
	return 0;
}

/* A given name, or generated ones until one is free. */
static int insert(struct making *m, struct db *txn, const char *config, struct err *err)
{
	for (unsigned i = 0; i < NAME_ATTEMPTS; i++) {
		struct err taken = ERR_INIT;
		char name[NAME_TEXT];
		name_generate(m->w->id, i, name);
		free(m->w->name);
		m->w->name = NULL;
		int r = set_str(&m->w->name, m->options->name ? m->options->name : name, err);
		if (r == 0)
			r = workload_insert(txn, m->w, config, &taken);
		if (r == 0)
			return 0;
		if (r != -EEXIST)
			return taken.code ? err_set(err, taken.code, "%s", taken.msg) : r;
		if (m->options->name)
			return err_set(err, EEXIST, "name '%s' is in use (hull rm %s frees it)",
				       m->options->name, m->options->name);
	}
	return err_set(err, EEXIST, "no generated name is free: give one with --name");
}

static int write_record(struct making *m, const struct build *b, struct err *err)
{
	AUTO_BUF struct buf config = BUF_INIT;
	AUTO_BUF struct buf labels = BUF_INIT;
	AUTO_TXN struct db *txn = NULL;

	describe_config(b, &config);
	describe_labels(b, &labels);
	int r = buf_check(&config, err);
	if (r == 0)
		r = buf_check(&labels, err);
	if (r == 0)
		r = set_str(&m->w->labels, labels.data, err);
	if (r == 0)
		r = db_begin(m->e->store->db, &txn, err);
	if (r == 0)
		r = image_pin(txn, m->image.id, err);
	if (r == 0)
		r = insert(m, txn, config.data, err);
	if (r == 0 && m->plan.net.kind == NET_BRIDGE)
		r = address_take(m->e->store, txn, m->w->id, &m->plan.net, &m->orders.network, err);
	if (r == 0)
		r = build_files(b, err);
	if (r == 0)
		r = record_write(m->folder, "plan", &plan_record, &m->plan, err);
	if (r == 0)
		r = record_write(m->folder, "orders", &keeper_orders_record, &m->orders, err);
	return r < 0 ? r : db_commit(&txn, err);
}

static int write_cidfile(const char *path, const char *id, struct err *err)
{
	AUTO_CLOSE int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
	if (fd < 0)
		return err_sys(err, "--cidfile: '%s'", path);
	return write_all(fd, id, strlen(id), path, err);
}

static int find_image(struct making *m, struct err *err)
{
	struct image_wanted wanted = {.name = m->options->image,
				      .platform = m->options->platform,
				      .policy = IMAGE_PULL_MISSING};
	int r = m->options->pull ? image_pull_policy(m->options->pull, &wanted.policy, err) : 0;

	if (r == 0)
		r = image_ensure(m->e->store, &wanted, &m->image, err);
	if (r == 0)
		r = image_policy_check(m->e->store, &m->image, m->image.name, err);
	return r < 0 ? r : image_check_platform(&m->image, err);
}

static int make(struct making *m, bool start, struct err *err)
{
	int r = find_image(m, err);

	if (r < 0)
		return r;
	r = new_workload(m, start, err);
	if (r < 0)
		return r;
	const struct build b = {.store = m->e->store,
				.options = m->options,
				.image = &m->image,
				.id = m->w->id,
				.vm = m->w->vm,
				.plan = &m->plan,
				.orders = &m->orders};
	r = build_all(m, &b, err);
	if (r == 0 && m->options->cidfile)
		r = write_cidfile(m->options->cidfile, m->w->id, err);
	if (r < 0)
		return r;
	r = make_folder(m, err);
	if (r == 0)
		r = write_record(m, &b, err);
	if (r < 0) {
		struct err ignored = ERR_INIT; /* the first failure is the one to tell */
		if (m->options->cidfile)
			(void)unlink(m->options->cidfile);
		if (workload_remove_folders(m->e, m->w->id, &ignored) < 0)
			return r;
	}
	return r;
}

int workload_create(struct engine *e, const struct run_options *o, bool start,
		    struct workload **ret, struct err *err)
{
	AUTO(making_done) struct making m = {.e = e, .options = o, .folder = -1};

	int r = make(&m, start, err);
	if (r < 0)
		return r;
	event_write(e, m.w, "create", NULL);
	if (start)
		m.w->lock = TAKE_FD(m.folder);
	*ret = TAKE_PTR(m.w);
	return 0;
}

/* --- what a killed create left --- */

static int by_text(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

/* The ids of all records, sorted. */
static int record_ids(struct engine *e, struct strv *ret, struct err *err)
{
	AUTO(auto_rows_free) struct rows *rows = NULL;

	int r = db_query(e->store->db, "SELECT id FROM workload ORDER BY id", DB_NO_VALUES, &rows,
			 err);
	while (r >= 0 && (r = rows_next(rows, err)) == 1)
		r = strv_add(ret, rows_text(rows, 0), err);
	return r;
}

/* The folders are listed first: one that gets its record meanwhile is known then. */
int workload_sweep(struct engine *e, struct err *err)
{
	AUTO_STRV struct strv names = {0};
	AUTO_STRV struct strv ids = {0};

	int r = folder_names(e, &names, err);
	if (r == 0)
		r = record_ids(e, &ids, err);
	for (size_t i = 0; r == 0 && i < names.n; i++) {
		struct err busy = ERR_INIT; /* being made just now, or removed */
		if (ids.n > 0 && bsearch(&names.v[i], ids.v, ids.n, sizeof(char *), by_text))
			continue;
		AUTO_CLOSE int lock = workload_lock(e, names.v[i], false, &busy);
		int64_t known = 0;
		int found = lock < 0 ? 1
				     : db_int(e->store->db, "SELECT 1 FROM workload WHERE id = ?",
					      DB_VALUES(DB_TEXT(names.v[i])), &known, err);
		if (found == 0)
			r = workload_remove_folders(e, names.v[i], err);
		else if (found < 0)
			r = found;
	}
	return r;
}
