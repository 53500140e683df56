/* SPDX-License-Identifier: Apache-2.0 */
/* system df, check, repair, prune. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <json-c/json.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/fd.h"
#include "base/json.h"
#include "base/store.h"
#include "cli/commands.h"
#include "cli/list_options.h"
#include "cli/output.h"
#include "engine/engine.h"
#include "image/image.h"

/* --- df --- */

static const struct column columns[] = {
	{"TYPE", "Type", false}, {"TOTAL", "TotalCount", false},        {"ACTIVE", "Active", false},
	{"SIZE", "Size", false}, {"RECLAIMABLE", "Reclaimable", false},
};

/* Bytes that a folder of the store takes, all below it counted; what cannot be read counts nothing.
 */
static uint64_t folder_bytes(int at, const char *name, int depth)
{
	enum { DEPTH_MAX = 256 };
	int fd = openat(at, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	DIR *dir = fd < 0 ? NULL : fdopendir(fd);
	uint64_t bytes = 0;
	struct stat st;

	if (!dir) {
		auto_close(&fd);
		return 0;
	}
	for (struct dirent *d; (d = readdir(dir)) != NULL;) {
		if (strcmp(d->d_name, ".") == 0 || strcmp(d->d_name, "..") == 0 ||
		    fstatat(fd, d->d_name, &st, AT_SYMLINK_NOFOLLOW) < 0)
			continue;
		bytes += (uint64_t)st.st_blocks * 512;
		if (S_ISDIR(st.st_mode) && depth < DEPTH_MAX)
			bytes += folder_bytes(fd, d->d_name, depth + 1);
	}
	(void)closedir(dir);
	return bytes;
}

static uint64_t count_entries(int at, const char *name)
{
	int fd = openat(at, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	DIR *dir = fd < 0 ? NULL : fdopendir(fd);
	uint64_t n = 0;
	struct stat st;

	if (!dir) {
		auto_close(&fd);
		return 0;
	}
	for (struct dirent *d; (d = readdir(dir)) != NULL;)
		n += d->d_name[0] != '.' && fstatat(fd, d->d_name, &st, AT_SYMLINK_NOFOLLOW) == 0 &&
		     S_ISDIR(st.st_mode);
	(void)closedir(dir);
	return n;
}

/* One line of the table. */
struct use {
	const char *type;
	uint64_t total, active, bytes, reclaimable;
};

static void add_use(struct json_object *rows, const struct use *u)
{
	struct json_object *row = json_object_new_object();
	AUTO_BUF struct buf text = BUF_INIT;

	json_object_object_add(row, "Type", json_object_new_string(u->type));
	json_object_object_add(row, "TotalCount", json_object_new_int64((int64_t)u->total));
	json_object_object_add(row, "Active", json_object_new_int64((int64_t)u->active));
	output_size(&text, u->bytes, false);
	json_object_object_add(row, "Size", json_object_new_string(text.data ? text.data : ""));
	buf_clear(&text);
	output_size(&text, u->reclaimable, false);
	if (u->bytes > 0)
		buf_printf(&text, " (%u%%)", (unsigned)(u->reclaimable * 100 / u->bytes));
	json_object_object_add(row, "Reclaimable",
			       json_object_new_string(text.data ? text.data : ""));
	json_object_array_add(rows, row);
}

static int add_workloads(struct engine *e, struct json_object *rows, struct err *err)
{
	struct use use = {.type = "Containers"};
	struct workloads all = {0};

	int r = workload_list(e, &all, err);
	for (size_t i = 0; r == 0 && i < all.n; i++) {
		char path[128];
		(void)snprintf(path, sizeof(path), "workloads/%s", all.v[i]->id);
		uint64_t bytes = folder_bytes(engine_store(e)->root_fd, path, 0);
		bool running = workload_is_running(all.v[i]);
		use.total++;
		use.active += running;
		use.bytes += bytes;
		use.reclaimable += running ? 0 : bytes;
	}
	workloads_done(&all);
	if (r == 0)
		add_use(rows, &use);
	return r;
}

static int df(struct call *call, struct err *err)
{
	const struct list_options *o = call->options;
	const struct listing listing = {columns, sizeof(columns) / sizeof(columns[0]), "Type"};
	static const char *const no_filters[] = {NULL};
	struct image_usage u = {0};
	struct engine *e = NULL;

	int r = filters_check(&o->filters, no_filters, err);
	if (r == 0)
		r = call_engine(call, &e, err);
	if (r == 0)
		r = image_usage(engine_store(e), &u, err);
	if (r < 0)
		return r;
	AUTO(auto_json_free) struct json_object *rows = json_object_new_array();
	add_use(rows, &(struct use){"Images", u.images, u.images_active, u.layer_bytes,
				    u.layer_bytes - u.layer_bytes_active});
	add_use(rows, &(struct use){"Blobs", u.blobs, 0, u.blob_bytes, u.blob_bytes});
	r = add_workloads(e, rows, err);
	int root = engine_store(e)->root_fd;
	uint64_t kernels = folder_bytes(root, "kernels", 0);
	add_use(rows, &(struct use){"Kernels", count_entries(root, "kernels"), 0, kernels, 0});
	return r < 0 ? r : output_list(&listing, o, rows, err);
}

/* --- check, repair --- */

struct check_args {
	bool quick;
};

static const struct option check_options[] = {
	{"quick", 0, OPTION_FLAG, NULL, "records and structure only, without reading all content",
	 offsetof(struct check_args, quick)},
};

static int check(struct call *call, struct err *err)
{
	const struct check_args *a = call->options;
	struct engine *e = NULL;

	int r = call_engine(call, &e, err);
	return r < 0 ? r : image_check(engine_store(e), a->quick, STDOUT_FILENO, err);
}

/* Workloads first: folders without a record, and what killed keepers left. */
static int repair(struct call *call, struct err *err)
{
	struct workloads all = {0};
	struct engine *e = NULL;

	int r = call_engine(call, &e, err);
	if (r == 0)
		r = workload_sweep(e, err);
	if (r == 0)
		r = workload_list(e, &all, err);
	workloads_done(&all);
	return r < 0 ? r : image_repair(engine_store(e), STDOUT_FILENO, err);
}

/* --- prune --- */

struct prune_args {
	bool all, force, blobs;
};

static const struct option prune_options[] = {
	{"all", 'a', OPTION_FLAG, NULL,
	 "images with a name as well, if no workload is made of them",
	 offsetof(struct prune_args, all)},
	{"blobs", 0, OPTION_FLAG, NULL, "kept blobs as well: what images were pulled as",
	 offsetof(struct prune_args, blobs)},
	{"force", 'f', OPTION_FLAG, NULL, "do not ask", offsetof(struct prune_args, force)},
};

/* Asks on a terminal; elsewhere the command itself was the answer. */
static bool is_wanted(const struct prune_args *a)
{
	char answer[8] = "";

	if (a->force || !isatty(STDIN_FILENO))
		return true;
	printf("This removes all stopped workloads and all images %s%s.\nContinue? [y/N] ",
	       a->all ? "that no workload is made of" : "without a name",
	       a->blobs ? ", and the blobs of all others" : "");
	(void)fflush(stdout);
	return fgets(answer, sizeof(answer), stdin) && (answer[0] == 'y' || answer[0] == 'Y');
}

static int prune_workloads(struct engine *e, struct err *err)
{
	struct workloads all = {0};

	int r = workload_list(e, &all, err);
	for (size_t i = 0; r == 0 && i < all.n; i++) {
		struct err failure = ERR_INIT; /* started, or removed by another meanwhile */
		char id[65];
		(void)snprintf(id, sizeof(id), "%.64s", all.v[i]->id);
		if (!workload_is_running(all.v[i]) && all.v[i]->state != KEEPER_RESTARTING &&
		    workload_remove(e, all.v[i], false, &failure) == 0)
			printf("Deleted workload: %s\n", id);
	}
	workloads_done(&all);
	return r;
}

static int prune(struct call *call, struct err *err)
{
	const struct prune_args *a = call->options;
	AUTO_STRV struct strv done = {0};
	struct engine *e = NULL;
	uint64_t blobs = 0;

	int r = call_engine(call, &e, err);
	if (r < 0 || !is_wanted(a))
		return r;
	struct store *store = engine_store(e);
	r = prune_workloads(e, err);
	uint64_t before = folder_bytes(store->root_fd, "layers", 0) +
			  folder_bytes(store->root_fd, "blobs", 0);
	if (r == 0)
		r = a->all ? image_prune_all(store, &done, err) : image_prune(store, &done, err);
	if (r == 0 && a->blobs)
		r = image_prune_blobs(store, &blobs, err);
	uint64_t after = folder_bytes(store->root_fd, "layers", 0) +
			 folder_bytes(store->root_fd, "blobs", 0);
	for (size_t i = 0; i < done.n; i++)
		puts(done.v[i]);
	if (r == 0) {
		AUTO_BUF struct buf text = BUF_INIT;
		output_size(&text, before > after ? before - after : 0, false);
		printf("Freed by images: %s\n", text.data ? text.data : "");
	}
	return r;
}

const struct command command_system_df = {
	.names = {"system df"},
	.operands = "",
	.summary = "Show what images, workloads and kernels take on disk",
	.example = "hull system df --format json",
	.groups = {OPTION_GROUP(list_option_table, 0)},
	.size = sizeof(struct list_options),
	.run = df,
};

const struct command command_system_check = {
	.names = {"system check"},
	.operands = "",
	.summary = "Look for damage in the store; exit with 1 if there is some",
	.example = "hull system check --quick",
	.groups = {OPTION_GROUP(check_options, 0)},
	.size = sizeof(struct check_args),
	.run = check,
};

const struct command command_system_repair = {
	.names = {"system repair"},
	.operands = "",
	.summary = "Mend the store: make damaged layers again, remove what cannot be mended",
	.example = "hull system check || hull system repair",
	.run = repair,
};

const struct command command_system_prune = {
	.names = {"system prune"},
	.operands = "",
	.summary = "Remove stopped workloads and images without a name",
	.example = "hull system prune --all --force",
	.groups = {OPTION_GROUP(prune_options, 0)},
	.size = sizeof(struct prune_args),
	.run = prune,
};
