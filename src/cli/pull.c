/* SPDX-License-Identifier: Apache-2.0 */
/* pull, push: images from and to registries. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/err.h"
#include "cli/commands.h"
#include "engine/engine.h"
#include "image/image.h"

struct transfer_args {
	const char *platform, *creds;
	bool quiet, no_verify, all_tags;
};

static const struct option pull_options[] = {
	{"platform", 0, OPTION_STRING, "OS/ARCH[/VARIANT]", "which of several to take",
	 offsetof(struct transfer_args, platform)},
};

static const struct option push_options[] = {
	{"all-tags", 'a', OPTION_FLAG, NULL, "IMAGE is a repository: all its tags that are here",
	 offsetof(struct transfer_args, all_tags)},
};

/* Of both. */
static const struct option transfer_options[] = {
	{"quiet", 'q', OPTION_FLAG, NULL, "say nothing on the way",
	 offsetof(struct transfer_args, quiet)},
	OPTION_TLS_VERIFY(offsetof(struct transfer_args, no_verify)),
	OPTION_CREDS(offsetof(struct transfer_args, creds)),
};

int give_creds(const char *creds, struct err *err)
{
	if (!strchr(creds, ':'))
		return err_set(err, EINVAL, "--creds: not USER:PASSWORD");
	return setenv("HULL_REGISTRY_CREDS", creds, 1) < 0 ? err_sys(err, "set the environment")
							   : 0;
}

static int prepare(struct call *call, const struct store **ret, struct err *err)
{
	const struct transfer_args *a = call->options;
	struct engine *e = NULL;

	int r = a->creds ? give_creds(a->creds, err) : 0;
	if (r == 0)
		r = call_engine(call, &e, err);
	if (r == 0)
		*ret = engine_store(e);
	return r;
}

static int pull(struct call *call, struct err *err)
{
	const struct transfer_args *a = call->options;
	const struct store *store = NULL;
	AUTO_FREE char *name = NULL;
	AUTO_FREE char *id = NULL;

	int r = prepare(call, &store, err);
	if (r == 0)
		r = image_full_name(call->operands[0], &name, err);
	if (r < 0)
		return r;
	r = image_pull(store,
		       &(struct image_pull){.name = name,
					    .platform = a->platform,
					    .no_verify = a->no_verify,
					    .quiet = a->quiet},
		       &id, err);
	if (r == 0)
		printf("sha256:%s\n", id);
	return r;
}

static void say(void *ctx, const char *line)
{
	(void)ctx;
	(void)fprintf(stderr, "%s\n", line);
}

/* Pushes one; `before` its digest is printed. */
static int push_one(const struct store *store, const struct transfer_args *a, const char *image,
		    const char *to, const char *before, struct err *err)
{
	AUTO_FREE char *digest = NULL;

	int r = image_push(store,
			   &(struct image_push){.image = image,
						.to = to,
						.no_verify = a->no_verify,
						.told = a->quiet ? NULL : say},
			   &digest, err);
	if (r == 0)
		printf("%s%s\n", before, digest);
	return r;
}

/* The names of a repository that have a tag. */
struct tags {
	char *prefix; /* owned: "HOST/REPOSITORY:" */
	struct strv names;
};

static void tags_done(struct tags *tags)
{
	free(tags->prefix);
	strv_done(&tags->names);
}

static int take_tag(void *ctx, const struct image_row *row, struct err *err)
{
	struct tags *tags = ctx;

	return row->name && str_prefix(row->name, tags->prefix, NULL) && !strchr(row->name, '@')
		       ? strv_add(&tags->names, row->name, err)
		       : 0;
}

/* What names of that repository begin with. */
static int tags_init(struct tags *tags, const char *repository, struct err *err)
{
	AUTO_REFERENCE struct reference ref = {0};
	AUTO_FREE char *full = NULL;

	int r = image_full_name(repository, &full, err);
	if (r == 0)
		r = reference_parse(full, &ref, err);
	if (r < 0)
		return r;
	if (asprintf(&tags->prefix, "%s/%s:", ref.registry, ref.repository) < 0) {
		tags->prefix = NULL;
		return err_set(err, ENOMEM, "out of memory");
	}
	return 0;
}

static int push_all(struct call *call, const struct store *store, struct err *err)
{
	const char *repository = call->operands[0];
	const char *slash = strrchr(repository, '/');
	AUTO(tags_done) struct tags tags = {NULL};

	if (call->n != 1 || strpbrk(slash ? slash : repository, ":@"))
		return err_set(err, EINVAL, "--all-tags takes one repository, without a tag");
	int r = tags_init(&tags, repository, err);
	if (r == 0)
		r = image_list(store, NULL, take_tag, &tags, err);
	if (r == 0 && tags.names.n == 0)
		r = err_set(err, ENOENT, "'%.200s': no image has a tag of it", repository);
	for (size_t i = 0; r == 0 && i < tags.names.n; i++) {
		AUTO_FREE char *before = NULL;
		if (asprintf(&before, "%s ", tags.names.v[i]) < 0) {
			before = NULL;
			return err_set(err, ENOMEM, "out of memory");
		}
		r = push_one(store, call->options, tags.names.v[i], NULL, before, err);
	}
	return r;
}

static int push(struct call *call, struct err *err)
{
	const struct transfer_args *a = call->options;
	const struct store *store = NULL;

	int r = prepare(call, &store, err);
	if (r < 0)
		return r;
	return a->all_tags ? push_all(call, store, err)
			   : push_one(store, a, call->operands[0], call->operands[1], "", err);
}

const struct command command_pull = {
	.names = {"pull", "image pull"},
	.operands = "NAME",
	.summary = "Fetch an image from a registry",
	.example = "hull pull docker.io/library/debian:12\n"
		   "hull pull --platform linux/arm64 registry.example.org:5000/web",
	.groups = {OPTION_GROUP(pull_options, 0), OPTION_GROUP(transfer_options, 0)},
	.size = sizeof(struct transfer_args),
	.min = 1,
	.max = 1,
	.run = pull,
};

const struct command command_push = {
	.names = {"push", "image push"},
	.operands = "IMAGE [NAME]",
	.summary = "Send an image to a registry",
	.example = "hull push registry.example.org/web:1\n"
		   "hull push web registry.example.org/web:2\n"
		   "hull push --all-tags registry.example.org/web",
	.groups = {OPTION_GROUP(push_options, 0), OPTION_GROUP(transfer_options, 0)},
	.size = sizeof(struct transfer_args),
	.min = 1,
	.max = 2,
	.run = push,
};
