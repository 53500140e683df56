/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A bundle's config.json. What is taken has to be a plan that can be written and read again, and
 * holds what every plan does; what is refused gets one line, and leaves nothing behind.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/json.h"
#include "proto/plan.h"
#include "spec/spec.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static void is_line(void *ctx, const char *line)
{
	(void)ctx;
	for (; *line; line++) {
		if ((unsigned char)*line < 0x20)
			abort();
	}
}

static void judge(const struct plan *plan)
{
	const struct plan_mount *m = plan->mounts.items;

	if (!plan->as_specified || !plan->root.path || plan->root.path[0] != '/')
		abort();
	for (size_t i = 0; i < plan->mounts.n; i++) {
		if (!m[i].target || m[i].target[0] != '/' || !m[i].type)
			abort();
	}
	if (plan->process.args.n > 0 && plan->process.cwd[0] != '/')
		abort();
}

static void write_and_read(const struct plan *plan)
{
	AUTO_BUF struct buf bytes = BUF_INIT;
	struct plan again;
	struct err err = ERR_INIT;

	record_encode(&plan_record, plan, &bytes);
	if (buf_check(&bytes, &err) < 0)
		return;
	if (record_decode(&plan_record, bytes.data, bytes.len, &again, &err) < 0)
		abort();
	record_done(&plan_record, &again);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	const struct spec_config config = {.bundle = "/bundle", .say = is_line};
	AUTO(auto_json_free) struct json_object *doc = NULL;
	struct plan plan = {0};
	struct err err = ERR_INIT;

	if (json_parse((const char *)data, n, 1 << 20, "config.json", &doc, &err) < 0)
		return 0;
	if (spec_plan(doc, &config, &plan, &err) < 0) {
		is_line(NULL, err.msg);
		if (!err.code || !err.msg[0] || plan.root.path)
			abort();
		return 0;
	}
	judge(&plan);
	write_and_read(&plan);
	record_done(&plan_record, &plan);
	return 0;
}
