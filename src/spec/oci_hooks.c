/* SPDX-License-Identifier: Apache-2.0 */
/* Programs that are run at points of a workload's life. */
#include <errno.h>
#include <stddef.h>

#include "base/err.h"
#include "base/json.h"
#include "base/str.h"
#include "proto/plan.h"
#include "spec/doc.h"
#include "spec/oci.h"

struct reader {
	struct list *hooks;
	uint32_t point;
};

static int read_hook(void *ctx, struct json_object *obj, struct err *err)
{
	const struct reader *reader = ctx;
	int64_t timeout = 0;

	struct plan_hook *hook = list_add(reader->hooks, &plan_hook_record);
	if (!hook)
		return err_set(err, ENOMEM, "out of memory");
	hook->point = reader->point;
	int r = json_need(doc_path(obj, "path", &hook->path, err), "path", err);
	if (r >= 0)
		r = json_get_strv(obj, "args", &hook->args, err);
	if (r >= 0)
		r = json_get_strv(obj, "env", &hook->env, err);
	if (r >= 0)
		r = json_get_int(obj, "timeout", 1, INT32_MAX, &timeout, err);
	hook->timeout_s = (uint32_t)timeout;
	return r < 0 ? r : 0;
}

int oci_hooks(void *ctx, struct json_object *obj, struct err *err)
{
	static const struct doc_word points[] = {
		{"prestart", HOOK_PRESTART},
		{"createRuntime", HOOK_CREATE_RUNTIME},
		{"createContainer", HOOK_CREATE_CONTAINER},
		{"startContainer", HOOK_START_CONTAINER},
		{"poststart", HOOK_POSTSTART},
		{"poststop", HOOK_POSTSTOP},
	};
	const struct oci *oci = ctx;

	for (size_t i = 0; i < sizeof(points) / sizeof(points[0]); i++) {
		struct reader reader = {&oci->plan->hooks, (uint32_t)points[i].value};
		int r = doc_list(obj, points[i].name, read_hook, &reader, err);
		if (r < 0)
			return r;
	}
	return 0;
}
