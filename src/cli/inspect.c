/* SPDX-License-Identifier: Apache-2.0 */
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

struct inspect_args {
	const char *format, *type;
};

static const struct option options[] = {
	{"format", 'f', OPTION_STRING, "FORMAT", "json, or a template like {{.State.Status}}",
	 offsetof(struct inspect_args, format)},
	{"type", 0, OPTION_STRING, "TYPE", "container or image (default: whichever has the name)",
	 offsetof(struct inspect_args, type)},
};

enum { DOCUMENT_MAX = 16 << 20 };

static int image_document(struct engine *e, const char *ref, struct buf *to, struct err *err)
{
	AUTO_IMAGE struct image image = {0};

	int r = image_find(engine_store(e), ref, &image, err);
	return r < 0 ? r : image_inspect(&image, to, false, err);
}

/* A workload of that name, else an image. */
static int document(struct engine *e, const struct inspect_args *a, const char *ref, struct buf *to,
		    struct err *err)
{
	AUTO(auto_workload_free) struct workload *w = NULL;
	struct err missing = ERR_INIT;

	if (a->type && strcmp(a->type, "image") == 0)
		return image_document(e, ref, to, err);
	int r = workload_find(e, ref, &w, &missing);
	if (r == 0)
		return workload_inspect(e, w, to, false, err);
	if (r == -ENOENT && !a->type) {
		struct err no_image = ERR_INIT;
		if (image_document(e, ref, to, &no_image) == 0)
			return 0;
		missing = ERR_INIT;
		return err_set(err, ENOENT, "'%s': no such workload or image", ref);
	}
	return err_set(err, missing.code, "%s", missing.msg);
}

static int run(struct call *call, struct err *err)
{
	const struct inspect_args *a = call->options;
	struct json_object *documents = json_object_new_array();
	struct engine *e = NULL;
	int status = 0;

	int r = a->type && strcmp(a->type, "image") != 0 && strcmp(a->type, "container") != 0
			? err_set(err, EINVAL, "--type: '%s' is neither container nor image",
				  a->type)
			: call_engine(call, &e, err);
	for (size_t i = 0; r == 0 && i < call->n; i++) {
		AUTO_BUF struct buf text = BUF_INIT;
		struct json_object *one = NULL;
		struct err failure = ERR_INIT;
		r = document(e, a, call->operands[i], &text, &failure);
		if (r == 0)
			r = json_parse(text.data, text.len, DOCUMENT_MAX, "inspect", &one,
				       &failure);
		if (r == 0 && a->format && strcmp(a->format, "json") != 0)
			r = output_object(one, a->format, &failure);
		if (r < 0) {
			complain("inspect", failure.msg);
			status = 1;
			json_free(one);
		} else {
			json_object_array_add(documents, one);
		}
		r = 0;
	}
	if (r == 0 && (!a->format || strcmp(a->format, "json") == 0))
		r = output_object(documents, a->format, err);
	json_object_put(documents);
	return r < 0 ? r : status;
}

const struct command command_inspect = {
	.names = {"inspect", "container inspect"},
	.operands = "WORKLOAD...",
	.summary = "Show everything about workloads or images",
	.example = "hull inspect --format '{{.State.Status}} {{.NetworkSettings.IPAddress}}' web",
	.groups = {OPTION_GROUP(options, 0)},
	.size = sizeof(struct inspect_args),
	.min = 1,
	.max = OPERANDS_ANY,
	.run = run,
};
