/* SPDX-License-Identifier: Apache-2.0 */
/* image import, tag, rm, prune, exists, inspect. */
#include <errno.h>
#include <json-c/json.h>
#include <stdio.h>
#include <string.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/json.h"
#include "cli/commands.h"
#include "cli/output.h"
#include "engine/engine.h"
#include "image/image.h"

enum { DOCUMENT_MAX = 16 << 20 };

static int call_store(struct call *call, const struct store **ret, struct err *err)
{
	struct engine *e = NULL;

	int r = call_engine(call, &e, err);
	if (r == 0)
		*ret = engine_store(e);
	return r;
}

static void print_lines(const struct strv *lines)
{
	for (size_t i = 0; i < lines->n; i++)
		puts(lines->v[i]);
}

static const struct option import_options[] = {
	{"cmd", 0, OPTION_STRING, "COMMAND", "what runs: a JSON array, a word, or a shell's line",
	 offsetof(struct image_import, cmd)},
	{"entrypoint", 0, OPTION_STRING, "COMMAND", "what runs the command, in the same forms",
	 offsetof(struct image_import, entrypoint)},
	{"env", 'e', OPTION_LIST, "KEY=VALUE", "add to the environment",
	 offsetof(struct image_import, env)},
	{"expose", 0, OPTION_LIST, "PORT[/PROTOCOL]", "note a port that is served",
	 offsetof(struct image_import, expose)},
	{"label", 'l', OPTION_LIST, "KEY=VALUE", "add a label",
	 offsetof(struct image_import, labels)},
	{"platform", 0, OPTION_STRING, "OS/ARCH[/VARIANT]",
	 "which of several to take, or what a root is for",
	 offsetof(struct image_import, platform)},
	{"ref", 0, OPTION_STRING, "NAME", "which of several to take, by its name in the source",
	 offsetof(struct image_import, ref)},
	{"stop-signal", 0, OPTION_STRING, "SIGNAL", "what asks it to end",
	 offsetof(struct image_import, stop_signal)},
	{"user", 'u', OPTION_STRING, "USER[:GROUP]", "whom it runs as",
	 offsetof(struct image_import, user)},
	{"volume", 'v', OPTION_LIST, "PATH", "note a folder that is kept apart",
	 offsetof(struct image_import, volumes)},
	{"workdir", 'w', OPTION_STRING, "PATH", "the folder it starts in",
	 offsetof(struct image_import, workdir)},
};

static int import_command(struct call *call, struct err *err)
{
	struct image_import *what = call->options;
	const struct store *store = NULL;

	int r = call_store(call, &store, err);
	if (r < 0)
		return r;
	AUTO_FREE char *id = NULL;
	what->source = call->operands[0];
	what->name = call->operands[1];
	r = image_import(store, what, &id, err);
	if (r == 0)
		printf("sha256:%s\n", id);
	return r;
}

static int tag(struct call *call, struct err *err)
{
	const struct store *store = NULL;

	int r = call_store(call, &store, err);
	return r < 0 ? r : image_tag(store, call->operands[0], call->operands[1], err);
}

struct rm_args {
	bool force;
};

static const struct option rm_options[] = {
	{"force", 'f', OPTION_FLAG, NULL, "names at once, content when its last workload went",
	 offsetof(struct rm_args, force)},
};

static int rm(struct call *call, struct err *err)
{
	const struct rm_args *a = call->options;
	const struct store *store = NULL;
	int status = 0;

	int r = call_store(call, &store, err);
	for (size_t i = 0; r == 0 && i < call->n; i++) {
		AUTO_STRV struct strv done = {0};
		struct err failure = ERR_INIT;
		if (image_remove(store, call->operands[i], a->force, &done, &failure) < 0 &&
		    !(a->force && failure.code == ENOENT)) {
			complain(call->command->names[0], failure.msg);
			status = 1;
		} else {
			print_lines(&done);
		}
	}
	return r < 0 ? r : status;
}

static int prune(struct call *call, struct err *err)
{
	const struct store *store = NULL;
	AUTO_STRV struct strv done = {0};

	int r = call_store(call, &store, err);
	if (r == 0)
		r = image_prune(store, &done, err);
	if (r == 0)
		print_lines(&done);
	return r;
}

static int exists(struct call *call, struct err *err)
{
	const struct store *store = NULL;
	AUTO_IMAGE struct image image = {0};

	int r = call_store(call, &store, err);
	if (r < 0)
		return r;
	struct err absent = ERR_INIT;
	r = image_find(store, call->operands[0], &image, &absent);
	if (r < 0 && absent.code != ENOENT)
		return err_set(err, absent.code, "%s", absent.msg);
	return r < 0 ? 1 : 0;
}

struct inspect_args {
	const char *format;
};

static const struct option inspect_options[] = {
	{"format", 'f', OPTION_STRING, "FORMAT", "json, or a template like {{.Config.Cmd}}",
	 offsetof(struct inspect_args, format)},
};

static int inspect_one(const struct store *store, const char *name, struct json_object **ret,
		       struct err *err)
{
	AUTO_IMAGE struct image image = {0};
	AUTO_BUF struct buf text = BUF_INIT;

	int r = image_find(store, name, &image, err);
	if (r == 0)
		r = image_inspect(&image, &text, false, err);
	return r < 0 ? r : json_parse(text.data, text.len, DOCUMENT_MAX, "inspect", ret, err);
}

static int inspect(struct call *call, struct err *err)
{
	const struct inspect_args *a = call->options;
	const struct store *store = NULL;
	bool whole = !a->format || strcmp(a->format, "json") == 0;
	int status = 0;

	int r = call_store(call, &store, err);
	if (r < 0)
		return r;
	AUTO(auto_json_free) struct json_object *all = json_object_new_array();
	for (size_t i = 0; i < call->n; i++) {
		AUTO(auto_json_free) struct json_object *object = NULL;
		struct err failure = ERR_INIT;
		r = inspect_one(store, call->operands[i], &object, &failure);
		if (r == 0 && !whole)
			r = output_object(object, a->format, &failure);
		if (r < 0) {
			complain(call->command->names[0], failure.msg);
			status = 1;
		} else {
			json_object_array_add(all, TAKE_PTR(object));
		}
	}
	r = whole ? output_object(all, a->format, err) : 0;
	return r < 0 ? r : status;
}

const struct command command_image_import = {
	.names = {"image import"},
	.operands = "SOURCE NAME",
	.summary = "Make an image of an OCI layout, docker-archive, root tar or folder",
	.example = "hull image import --cmd '[\"/bin/sh\"]' root.tar.gz base\n"
		   "docker save web | hull image import - web",
	.groups = {OPTION_GROUP(import_options, 0)},
	.size = sizeof(struct image_import),
	.min = 2,
	.max = 2,
	.run = import_command,
};

const struct command command_image_tag = {
	.names = {"tag", "image tag"},
	.operands = "IMAGE NAME",
	.summary = "Give an image one more name",
	.example = "hull tag web:1 web:stable",
	.min = 2,
	.max = 2,
	.run = tag,
};

const struct command command_image_rm = {
	.names = {"rmi", "image rm", "image remove"},
	.operands = "IMAGE...",
	.summary = "Remove names of images, and images with their last name",
	.example = "hull rmi web:1",
	.groups = {OPTION_GROUP(rm_options, 0)},
	.size = sizeof(struct rm_args),
	.min = 1,
	.max = OPERANDS_ANY,
	.run = rm,
};

const struct command command_image_prune = {
	.names = {"image prune"},
	.operands = "",
	.summary = "Remove images that have neither name nor workload",
	.example = "hull image prune",
	.run = prune,
};

const struct command command_image_exists = {
	.names = {"image exists"},
	.operands = "IMAGE",
	.summary = "Exit with 0 if the image is in the store, else with 1",
	.example = "hull image exists web || hull image import web.tar web",
	.min = 1,
	.max = 1,
	.run = exists,
};

const struct command command_image_inspect = {
	.names = {"image inspect"},
	.operands = "IMAGE...",
	.summary = "Show everything about images",
	.example = "hull image inspect --format '{{.Config.Cmd}}' web",
	.groups = {OPTION_GROUP(inspect_options, 0)},
	.size = sizeof(struct inspect_args),
	.min = 1,
	.max = OPERANDS_ANY,
	.run = inspect,
};
