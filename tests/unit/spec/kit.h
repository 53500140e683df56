/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Documents for tests: whole but for what a test adds, written with ' for ". A part is its members
 * without braces; NULL: those that it cannot do without.
 */
#pragma once

#include "../test.h"

#include <stdlib.h>

#include "base/err.h"
#include "base/json.h"
#include "base/str.h"
#include "proto/plan.h"
#include "spec/spec.h"

#define PROCESS "'cwd':'/','args':['a']"
#define SPACES                                                                                     \
	"'namespaces':[{'type':'mount'},{'type':'pid'},{'type':'network'},{'type':'ipc'},"         \
	"{'type':'uts'}]"

/* What a document adds. */
struct parts {
	const char *top, *process, *linux_obj;
};

static char kit_said[1000]; /* the warnings of the last document, one line each */

static inline void kit_say(void *ctx, const char *line)
{
	size_t n = strlen(kit_said);

	(void)snprintf(kit_said + n, sizeof(kit_said) - n, "%s\n", line);
}

static inline void auto_plan(struct plan *plan)
{
	record_done(&plan_record, plan);
}

static inline void auto_json(struct json_object **doc)
{
	json_free(*doc);
}

/* The document with its quotes as JSON has them; caller frees. */
static inline char *kit_text(const struct parts *p)
{
	char *text = NULL;
	int n = asprintf(&text,
			 "{'ociVersion':'1.2.0','root':{'path':'rootfs'},'process':{%s},"
			 "'linux':{%s}%s%s}",
			 p->process ? p->process : PROCESS, p->linux_obj ? p->linux_obj : SPACES,
			 p->top ? "," : "", p->top ? p->top : "");

	if (n < 0)
		abort();
	for (char *c = text; *c; c++)
		*c = *c == '\'' ? '"' : *c;
	return text;
}

static const struct spec_config kit_config = {.bundle = "/b", .say = kit_say};

static inline int kit_read(const char *text, struct plan *ret, struct err *err)
{
	AUTO(auto_json) struct json_object *doc = NULL;

	kit_said[0] = '\0';
	int r = json_parse(text, strlen(text), 1 << 20, "config.json", &doc, err);
	return r < 0 ? r : spec_plan(doc, &kit_config, ret, err);
}

static inline int kit_plan(struct parts parts, struct plan *ret, struct err *err)
{
	AUTO_FREE char *text = kit_text(&parts);

	return kit_read(text, ret, err);
}

/* A plan, or the test fails. */
#define PLAN(name, ...)                                                                            \
	AUTO(auto_plan) struct plan name = {0};                                                    \
	do {                                                                                       \
		struct err err_##name = ERR_INIT;                                                  \
		if (kit_plan((struct parts){__VA_ARGS__}, &name, &err_##name) < 0)                 \
			FAIL("%s", err_##name.msg);                                                \
	} while (0)

/* Parts that are refused, and how the line begins. */
struct refusal {
	struct parts parts;
	const char *line;
};

static inline bool kit_refused(const struct refusal *r)
{
	AUTO(auto_plan) struct plan plan = {0};
	struct err err = ERR_INIT;
	int answer = kit_plan(r->parts, &plan, &err);

	if (answer < 0 && answer == -err.code && !plan.root.path &&
	    strncmp(err.msg, r->line, strlen(r->line)) == 0)
		return true;
	printf("# %s (answer %d) instead of %s\n", err.msg, answer, r->line);
	return false;
}

#define EXPECT_REFUSED(table)                                                                      \
	do {                                                                                       \
		for (size_t i_ = 0; i_ < sizeof(table) / sizeof((table)[0]); i_++)                 \
			EXPECT(kit_refused(&(table)[i_]));                                         \
	} while (0)

/* Item i of a list as a struct of this type. */
#define ITEM(list, type, i) (&((const struct type *)(list).items)[i])
