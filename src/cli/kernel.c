/* SPDX-License-Identifier: Apache-2.0 */
/* kernel add, build, ls, rm, default: the kernels of machines. */
#include <errno.h>
#include <json-c/json.h>
#include <stdio.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/store.h"
#include "cli/commands.h"
#include "cli/list_options.h"
#include "cli/output.h"
#include "engine/engine.h"
#include "machine/machine.h"

struct add_args {
	bool distribution;
	const char *modules, *name;
};

static const struct option add_options[] = {
	{"distribution", 0, OPTION_FLAG, NULL, "the distribution's cloud kernel, unpacked",
	 offsetof(struct add_args, distribution)},
	{"modules", 0, OPTION_STRING, "FOLDER", "its modules (/lib/modules/RELEASE)",
	 offsetof(struct add_args, modules)},
	{"name", 0, OPTION_STRING, "NAME", "call it NAME (its release)",
	 offsetof(struct add_args, name)},
};

static int add(struct call *call, struct err *err)
{
	const struct add_args *a = call->options;
	const struct kernel_source source = {.distribution = a->distribution,
					     .path = call->operands[0],
					     .modules = a->modules,
					     .name = a->name};
	AUTO_FREE char *name = NULL;
	struct engine *e = NULL;

	if (a->distribution == (call->n > 0))
		return err_set(err, EINVAL, "give either a kernel's path or --distribution");
	int r = call_engine(call, &e, err);
	if (r == 0)
		r = kernel_add(engine_store(e)->root, &source, &name, err);
	if (r == 0)
		puts(name);
	return r;
}

enum { JOBS_MAX = 1024 };

struct build_args {
	const char *source, *config, *name;
	int64_t jobs; /* 0: as many as there are processors */
};

static const struct option build_options[] = {
	{"source", 0, OPTION_STRING, "PATH", "a tree of Linux or an archive of one",
	 offsetof(struct build_args, source)},
	{"config", 0, OPTION_STRING, "FILE", "options of the kernel beside hull's own",
	 offsetof(struct build_args, config)},
	{"name", 0, OPTION_STRING, "NAME", "call it NAME (its release)",
	 offsetof(struct build_args, name)},
	{"jobs", 'j', OPTION_INT, "N", "compilers at a time (one for each processor)",
	 offsetof(struct build_args, jobs)},
};

/* What compilers say may hold anything. */
static void show_step(const char *line)
{
	for (const char *p = line; *p; p++)
		(void)fputc((unsigned char)*p < ' ' || *p == 0x7f ? '?' : *p, stderr);
	(void)fputc('\n', stderr);
}

static int build(struct call *call, struct err *err)
{
	const struct build_args *a = call->options;
	long processors = sysconf(_SC_NPROCESSORS_ONLN);
	struct kernel_plan plan = {.source = a->source,
				   .config = a->config,
				   .name = a->name,
				   .jobs = processors > 0 ? (unsigned)processors : 1,
				   .say = show_step};
	AUTO_FREE char *name = NULL;
	struct engine *e = NULL;

	if (a->jobs < 0 || a->jobs > JOBS_MAX)
		return err_set(err, EINVAL, "--jobs: not between 1 and %d", JOBS_MAX);
	if (a->jobs > 0)
		plan.jobs = (unsigned)a->jobs;
	int r = call_engine(call, &e, err);
	if (r == 0)
		r = kernel_build(engine_store(e)->root, &plan, &name, err);
	if (r == 0)
		puts(name);
	return r;
}

static struct json_object *make_row(const struct kernel *k)
{
	AUTO_BUF struct buf text = BUF_INIT;
	struct json_object *row = json_object_new_object();

	json_object_object_add(row, "Name", json_object_new_string(k->name));
	json_object_object_add(row, "Default", json_object_new_string(k->is_default ? "*" : ""));
	output_size(&text, k->size, false);
	json_object_object_add(row, "Size", json_object_new_string(text.data ? text.data : ""));
	buf_clear(&text);
	output_size(&text, k->need, true);
	json_object_object_add(row, "Need", json_object_new_string(text.data ? text.data : ""));
	json_object_object_add(row, "Modules", json_object_new_string(k->modules ? "yes" : "no"));
	return row;
}

static int ls(struct call *call, struct err *err)
{
	static const struct column columns[] = {{"NAME", "Name", false},
						{"DEFAULT", "Default", false},
						{"SIZE", "Size", false},
						{"NEEDS", "Need", false},
						{"MODULES", "Modules", false}};
	static const char *const no_filters[] = {NULL};
	const struct listing listing = {columns, sizeof(columns) / sizeof(columns[0]), "Name"};
	const struct list_options *o = call->options;
	struct kernel *kernels = NULL;
	struct engine *e = NULL;
	size_t n = 0;

	int r = filters_check(&o->filters, no_filters, err);
	if (r == 0)
		r = call_engine(call, &e, err);
	if (r == 0)
		r = kernel_list(engine_store(e)->root, &kernels, &n, err);
	if (r < 0)
		return r;
	struct json_object *rows = json_object_new_array();
	for (size_t i = 0; i < n; i++)
		json_object_array_add(rows, make_row(&kernels[i]));
	r = output_list(&listing, o, rows, err);
	json_object_put(rows);
	kernel_list_free(kernels, n);
	return r;
}

static int rm(struct call *call, struct err *err)
{
	struct engine *e = NULL;

	int r = call_engine(call, &e, err);
	for (size_t i = 0; r == 0 && i < call->n; i++) {
		r = kernel_remove(engine_store(e)->root, call->operands[i], err);
		if (r == 0)
			puts(call->operands[i]);
	}
	return r;
}

static int set_default(struct call *call, struct err *err)
{
	struct engine *e = NULL;

	int r = call_engine(call, &e, err);
	return r < 0 ? r : kernel_set_default(engine_store(e)->root, call->operands[0], err);
}

const struct command command_kernel_add = {
	.names = {"kernel add"},
	.operands = "[PATH]",
	.summary = "Add a kernel for machines",
	.example = "hull kernel add --distribution\nhull kernel add /boot/vmlinuz-6.1.0-18-amd64",
	.groups = {OPTION_GROUP(add_options, 0)},
	.size = sizeof(struct add_args),
	.max = 1,
	.run = add,
};

const struct command command_kernel_build = {
	.names = {"kernel build"},
	.operands = "",
	.summary = "Build a kernel for machines from source",
	.example =
		"hull kernel build\nhull kernel build --source linux-6.12.tar.xz --config my.config",
	.groups = {OPTION_GROUP(build_options, 0)},
	.size = sizeof(struct build_args),
	.run = build,
};

const struct command command_kernel_ls = {
	.names = {"kernel ls", "kernel list"},
	.operands = "",
	.summary = "List the kernels",
	.example = "hull kernel ls",
	.groups = {OPTION_GROUP(list_option_table, 0)},
	.size = sizeof(struct list_options),
	.run = ls,
};

const struct command command_kernel_rm = {
	.names = {"kernel rm"},
	.operands = "KERNEL...",
	.summary = "Remove kernels",
	.example = "hull kernel rm 6.1.0-18-cloud-amd64",
	.min = 1,
	.max = OPERANDS_ANY,
	.run = rm,
};

const struct command command_kernel_default = {
	.names = {"kernel default"},
	.operands = "KERNEL",
	.summary = "Choose the kernel that machines get when none is named",
	.example = "hull kernel default 6.1.0-18-cloud-amd64",
	.min = 1,
	.max = 1,
	.run = set_default,
};
