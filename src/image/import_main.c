/* SPDX-License-Identifier: Apache-2.0 */
/*
 * hull-import: the one program that reads images from outside. Run by image_import(), which it
 * answers on standard output: "ok ID", or "error ERRNO TEXT" with status 1.
 */
#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "base/err.h"
#include "base/fd.h"
#include "base/path.h"
#include "base/store.h"
#include "image/bundle.h"
#include "image/image.h"
#include "image/import_confine.h"
#include "image/import_pull.h"
#include "image/import_spec.h"
#include "image/import_work.h"
#include "image/mounter.h"
#include "image/sha256.h"

struct arguments {
	struct image_import what;
	const char *root;
	bool pull, quiet, any; /* the source is a name at a registry; see import_pull */
};

static void arguments_done(struct arguments *args)
{
	strv_done(&args->what.env);
	strv_done(&args->what.expose);
	strv_done(&args->what.labels);
	strv_done(&args->what.volumes);
}

static int parse_arguments(int argc, char **argv, struct arguments *args, struct err *err)
{
	struct image_import *w = &args->what;
	/* Where each option's value goes: one string, or a list of them; or it has none. */
	const struct {
		const char *name;
		const char **one;
		struct strv *list;
		bool *flag;
	} known[] = {
		{"root", &args->root, NULL},
		{"load", &w->load, NULL},
		{"platform", &w->platform, NULL},
		{"ref", &w->ref, NULL},
		{"cmd", &w->cmd, NULL},
		{"entrypoint", &w->entrypoint, NULL},
		{"workdir", &w->workdir, NULL},
		{"user", &w->user, NULL},
		{"stop-signal", &w->stop_signal, NULL},
		{"env", NULL, &w->env},
		{"expose", NULL, &w->expose},
		{"label", NULL, &w->labels},
		{"volume", NULL, &w->volumes},
		{"pull", NULL, NULL, &args->pull},
		{"quiet", NULL, NULL, &args->quiet},
		{"any", NULL, NULL, &args->any},
	};
	enum { KNOWN = sizeof(known) / sizeof(known[0]) };
	struct option options[KNOWN + 1] = {0};
	int which = 0, c;

	for (int i = 0; i < KNOWN; i++)
		options[i] = (struct option){known[i].name,
					     known[i].flag ? no_argument : required_argument, NULL,
					     0};
	while ((c = getopt_long(argc, argv, "", options, &which)) == 0) {
		int r = 0;
		if (known[which].flag)
			*known[which].flag = true;
		else if (known[which].one)
			*known[which].one = optarg;
		else
			r = strv_add(known[which].list, optarg, err);
		if (r < 0)
			return r;
	}
	if (c != -1 || argc - optind != (w->load ? 1 : 2))
		return err_set(err, EINVAL,
			       "hull-import: called with other arguments than SOURCE NAME");
	w->source = argv[optind];
	w->name = w->load ? "load" : argv[optind + 1];
	return 0;
}

/* Hundreds of layers may be open at once. */
static void raise_limits(void)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit) == 0) {
		limit.rlim_cur = limit.rlim_max;
		(void)setrlimit(RLIMIT_NOFILE, &limit);
	}
}

/* The config to record: as it came, or as the user wants it; and its id. */
static int settle_config(const struct image_import *what, const struct import_work *work,
			 struct import_spec *spec, char id[DIGEST_HEX + 1], struct err *err)
{
	if (!spec->config || import_changes(what)) {
		char *config = NULL;
		int r = import_config(spec->config, what, work->made[0].diff_id,
				      bundle_time_ns(work->bundle), &config, err);
		if (r < 0)
			return r;
		free(spec->config);
		spec->config = config;
		free(TAKE_PTR(spec->manifest)); /* names another config */
	}
	return sha256_hex(spec->config, strlen(spec->config), id, err);
}

/* What an import has: from before it gave up its rights, but for its folder. */
struct given {
	const struct store *store;
	const struct arguments *args;
	struct mounter *mounter;
	int source; /* -1: a registry */
	struct reference ref; /* of what is pulled */
	char *name; /* what that will be called */
	struct import_pull pull;
	int dir; /* the importer's folder, borrowed */
	const char *path; /* the same */
};

static void given_done(struct given *g)
{
	import_pull_done(&g->pull);
	reference_done(&g->ref);
	free(g->name);
	auto_close(&g->source);
	mounter_free(g->mounter);
}

/* Makes what the spec says, and records it as `name`. */
static int make(struct given *g, const struct bundle *bundle, struct import_spec *spec,
		const char *name, char id[DIGEST_HEX + 1], struct err *err)
{
	AUTO(import_work_done)
	struct import_work work = {.store = g->store,
				   .bundle = bundle,
				   .pull = bundle ? NULL : &g->pull,
				   .mounter = g->mounter,
				   .spec = spec,
				   .dir = g->dir,
				   .path = g->path};

	int r = import_make(&work, err);
	if (r == 0)
		r = settle_config(&g->args->what, &work, spec, id, err);
	if (r == 0 && work.pull)
		r = import_pull_keep(work.pull, id, err);
	return r == 0 ? import_commit(&work, id, spec->config, name, err) : r;
}

static int import_in(struct given *g, char id[DIGEST_HEX + 1], struct err *err)
{
	const struct image_import *what = &g->args->what;
	AUTO(auto_bundle_free) struct bundle *bundle = NULL;
	AUTO(import_spec_done) struct import_spec spec = {0};
	AUTO_REFERENCE struct reference ref = {0};

	int r = reference_parse(what->name, &ref, err);
	if (r == 0)
		r = bundle_open(TAKE_FD(g->source), what->source, g->dir, &bundle, err);
	if (r == 0)
		r = import_read(bundle, what, &spec, err);
	return r == 0 ? make(g, bundle, &spec, ref.name, id, err) : r;
}

/* What an image is called that was asked for by its digest: that is part of the name then. */
static int name_pulled(const struct reference *ref, char **ret, struct err *err)
{
	int n = ref->digest ? asprintf(ret, "%s/%s@sha256:%s", ref->registry, ref->repository,
				       ref->digest)
			    : asprintf(ret, "%s", ref->name);

	return n < 0 ? err_set(err, ENOMEM, "out of memory") : 0;
}

/* Likewise, from a registry. */
static int pull_in(struct given *g, char id[DIGEST_HEX + 1], struct err *err)
{
	AUTO(import_spec_done) struct import_spec spec = {0};
	struct import_pull *pull = &g->pull;

	pull->store = g->store;
	int r = import_pull_read(pull, &g->ref, &g->args->what, &spec, err);
	if (r == 0)
		r = import_pull_judge(pull, g->name, &spec, err);
	if (r == 0)
		r = make(g, NULL, &spec, g->name, id, err);
	if (r == 0)
		import_pull_forget(pull);
	return r;
}

static int tell_loaded(void *ctx, const char *id, const char *name, struct err *err)
{
	memcpy(ctx, id, DIGEST_HEX + 1);
	if (printf("loaded %s %s\n", id, name ? name : "") < 0)
		return err_sys(err, "answer");
	return 0;
}

/* Every image of the source; id is the last one's. */
static int load_in(struct given *g, char id[DIGEST_HEX + 1], struct err *err)
{
	const struct image_import *what = &g->args->what;
	AUTO(auto_bundle_free) struct bundle *bundle = NULL;
	char last[DIGEST_HEX + 1] = "";
	const struct import_loading loading = {
		.source = what->source,
		.platform = what->platform,
		.mounter = g->mounter,
		.dir = g->dir,
		.path = g->path,
		.loaded = tell_loaded,
		.ctx = last,
	};

	int r = bundle_open(TAKE_FD(g->source), what->source, g->dir, &bundle, err);
	if (r == 0)
		r = import_load(g->store, bundle, &loading, err);
	if (r == 0)
		memcpy(id, last, sizeof(last));
	return r;
}

/* With the lock that keeps files from being collected, in a folder that is gone afterwards. */
static int import_locked(struct given *g, char id[DIGEST_HEX + 1], struct err *err)
{
	const struct store *store = g->store;
	AUTO_FREE char *path = NULL;

	AUTO_CLOSE int lock = image_lock(store, false, err);
	if (lock < 0)
		return lock;
	AUTO_CLOSE int dir = image_workdir(store, &path, err);
	if (dir < 0)
		return dir;
	g->dir = dir;
	g->path = path;
	int r = g->args->pull        ? pull_in(g, id, err)
		: g->args->what.load ? load_in(g, id, err)
				     : import_in(g, id, err);
	image_workdir_remove(store, path);
	return r;
}

/* All that takes rights: what is named is opened, and who keeps some of them is started. */
static int take(struct given *g, struct err *err)
{
	const struct arguments *args = g->args;

	if (!args->pull) {
		g->source = bundle_source(args->what.source, err);
		return g->source < 0 ? g->source : 0;
	}
	g->pull = (struct import_pull){.quiet = args->quiet, .no_verify = args->any};
	int r = reference_parse(args->what.source, &g->ref, err);
	if (r == 0 && !g->ref.registry)
		r = err_set(err, EINVAL, "names no registry");
	if (r == 0)
		r = name_pulled(&g->ref, &g->name, err);
	return r == 0 ? import_pull_open(&g->pull, &g->ref, g->name, err) : r;
}

/* From here on, all that is read was made by a stranger. */
static int run_confined(struct given *g, char id[DIGEST_HEX + 1], struct err *err)
{
	struct err ignored = ERR_INIT; /* garbage of others is no reason not to import */

	(void)!image_gc(g->store, &ignored);
	int r = take(g, err);
	if (r == 0)
		r = mounter_new(g->store->root, &g->mounter, err);
	if (r == 0)
		r = import_confine(g->store->root, g->source, err);
	if (r == 0)
		r = import_locked(g, id, err);
	if (r < 0) {
		(void)err_wrap(err, "'%.200s'", g->args->what.source);
		(void)!image_gc(g->store, &ignored); /* files put in place before a failure */
	}
	return r;
}

static int run(int argc, char **argv, char id[DIGEST_HEX + 1], struct err *err)
{
	AUTO(auto_store_close) struct store *store = NULL;
	AUTO(arguments_done) struct arguments args = {.root = NULL};

	int r = parse_arguments(argc, argv, &args, err);
	if (r == 0 && !args.pull)
		r = import_check(&args.what, err);
	if (r == 0)
		r = store_open(args.root, &store, err);
	if (r != 0)
		return r;
	AUTO(given_done) struct given given = {.store = store, .args = &args, .source = -1};
	return run_confined(&given, id, err);
}

/* One line, with nothing in it that a terminal would take for a command. */
static void answer_error(struct err *err)
{
	for (char *p = err->msg; *p; p++) {
		if ((unsigned char)*p < 0x20 || *p == 0x7f)
			*p = '?';
	}
	(void)printf("error %d %s\n", err->code, err->msg);
}

int main(int argc, char **argv)
{
	struct err err = ERR_INIT;
	char id[DIGEST_HEX + 1];

	raise_limits();
	int r = run(argc, argv, id, &err);
	if (r < 0)
		answer_error(&err);
	else
		(void)printf("ok %s\n", id);
	return fflush(stdout) == 0 && r == 0 ? 0 : 1;
}
