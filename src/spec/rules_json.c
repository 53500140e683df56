/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A profile in the runtime-spec's format and docker's: {defaultAction, defaultErrnoRet, syscalls:
 * [{names, action, errnoRet, args}]}, and docker's includes and excludes. Names that this kernel's
 * headers do not know are passed over, as every runtime does; wrong values are refused.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/seccomp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>

#include "base/err.h"
#include "base/json.h"
#include "base/str.h"
#include "spec/doc.h"
#include "spec/rules.h"
#include "spec/spec.h"

enum { PROFILE_MAX = 4 << 20, ERRNO_MAX = 4095 };

/* An action by name. Only those that carry a number may be given one. */
static int action_of(const char *name, bool has_data, uint32_t data, uint32_t *ret, struct err *err)
{
	static const struct {
		const char *name;
		uint32_t action;
		uint32_t data_max;
	} actions[] = {
		{"SCMP_ACT_ALLOW", SECCOMP_RET_ALLOW, 0},
		{"SCMP_ACT_ERRNO", SECCOMP_RET_ERRNO, ERRNO_MAX},
		{"SCMP_ACT_KILL", SECCOMP_RET_KILL_THREAD, 0},
		{"SCMP_ACT_KILL_THREAD", SECCOMP_RET_KILL_THREAD, 0},
		{"SCMP_ACT_KILL_PROCESS", SECCOMP_RET_KILL_PROCESS, 0},
		{"SCMP_ACT_TRAP", SECCOMP_RET_TRAP, 0},
		{"SCMP_ACT_TRACE", SECCOMP_RET_TRACE, SECCOMP_RET_DATA},
		{"SCMP_ACT_LOG", SECCOMP_RET_LOG, 0},
		{"SCMP_ACT_NOTIFY", SECCOMP_RET_USER_NOTIF, 0},
	};

	for (size_t i = 0; i < sizeof(actions) / sizeof(actions[0]); i++) {
		if (strcmp(actions[i].name, name) != 0)
			continue;
		if (has_data && actions[i].data_max == 0)
			return err_set(err, EINVAL, "action %s returns no errno", name);
		if (data > actions[i].data_max && actions[i].data_max)
			return err_set(err, ERANGE, "errno %u is more than %u", data,
				       actions[i].data_max);
		*ret = actions[i].action | (actions[i].data_max ? data : 0);
		return 0;
	}
	return err_set(err, EINVAL, "action '%.60s' is not known", name);
}

/* The member `key` of obj and its errno member as an action. */
static int read_action(struct json_object *obj, const char *key, const char *errno_key,
		       uint32_t *ret, struct err *err)
{
	const char *name = NULL;
	uint32_t data = EPERM;
	int has_data = 0;
	int r = json_need(json_get_str(obj, key, &name, err), key, err);

	if (r >= 0)
		r = has_data = doc_u32(obj, errno_key, SECCOMP_RET_DATA, &data, err);
	if (r < 0)
		return r;
	if (action_of(name, has_data > 0, data, ret, err) < 0)
		return err_wrap(err, "%s", has_data > 0 && err->code == ERANGE ? errno_key : key);
	return 0;
}

static int read_condition(void *ctx, struct json_object *arg, struct err *err)
{
	static const struct doc_word ops[] = {
		{"SCMP_CMP_EQ", CMP_EQ},
		{"SCMP_CMP_NE", CMP_NE},
		{"SCMP_CMP_LT", CMP_LT},
		{"SCMP_CMP_LE", CMP_LE},
		{"SCMP_CMP_GE", CMP_GE},
		{"SCMP_CMP_GT", CMP_GT},
		{"SCMP_CMP_MASKED_EQ", CMP_MASKED_EQ},
	};
	static const struct doc_field fields[] = {
		{"index", DOC_U32, offsetof(struct condition, argument), 5, 0},
		{"value", DOC_U64, offsetof(struct condition, value), 0, 0},
		{"valueTwo", DOC_U64, offsetof(struct condition, value_two), 0, 0},
	};
	struct rule *rule = ctx;
	struct condition *to = &rule->conditions[rule->n];
	uint64_t op = 0;

	if (rule->n == CONDITIONS_MAX)
		return err_set(err, E2BIG, "more than %d", CONDITIONS_MAX);
	int r = doc_fields(arg, DOC_TABLE(fields), to, err);
	if (r >= 0)
		r = json_need(doc_word(arg, "op", DOC_TABLE(ops), &op, err), "op", err);
	to->compare = (enum compare)op;
	rule->n++;
	return r;
}

/* "4.8-whatever" as 4 and 8; without a number 0. */
static void read_version(const char *text, unsigned long ret[2])
{
	char *end = NULL;

	ret[0] = strtoul(text, &end, 10);
	ret[1] = *end == '.' ? strtoul(end + 1, NULL, 10) : 0;
}

/* "4.8": at least that kernel. */
static bool kernel_reaches(const char *wanted)
{
	struct utsname uts;
	unsigned long have[2];
	unsigned long want[2];

	if (uname(&uts) < 0 || wanted[0] < '0' || wanted[0] > '9')
		return false;
	read_version(uts.release, have);
	read_version(wanted, want);
	return have[0] != want[0] ? have[0] > want[0] : have[1] >= want[1];
}

#if defined(__x86_64__)
static const char *const own_arches[] = {"amd64", "x86", "x32", NULL};
#elif defined(__aarch64__)
static const char *const own_arches[] = {"arm64", "arm", NULL};
#endif

/* Whether one of a filter's conditions applies: for includes all must hold, for excludes none. */
struct filter {
	uint64_t caps;
	bool all, any;
};

static int read_caps(struct json_object *obj, struct filter *f, struct err *err)
{
	AUTO_STRV struct strv names = {0};
	int r = json_get_strv(obj, "caps", &names, err);

	for (size_t i = 0; r >= 0 && i < names.n; i++) {
		unsigned cap;
		bool has = spec_capability(names.v[i], &cap) == 0 && f->caps & 1ULL << cap;
		f->all &= has;
		f->any |= has;
	}
	return r;
}

static int read_filter(struct json_object *rule, const char *key, struct filter *f, struct err *err)
{
	struct json_object *obj = NULL;
	AUTO_STRV struct strv arches = {0};
	const char *kernel = NULL;

	f->all = true;
	f->any = false;
	int r = json_get_obj(rule, key, &obj, err);
	if (r <= 0)
		return r;
	r = read_caps(obj, f, err);
	if (r >= 0)
		r = json_get_strv(obj, "arches", &arches, err);
	if (r >= 0)
		r = json_get_str(obj, "minKernel", &kernel, err);
	if (r < 0)
		return r;
	bool ours = false;
	for (size_t i = 0; i < arches.n; i++)
		ours |= str_in(arches.v[i], own_arches);
	f->all &= arches.n == 0 || ours;
	f->any |= ours;
	f->all &= !kernel || kernel_reaches(kernel);
	f->any |= kernel && kernel_reaches(kernel);
	return 0;
}

/* Adds the rule for each name. Conditions on one argument twice are alternatives, each a rule. */
static int add_rules(struct rules *rules, const struct strv *names, const struct rule *rule,
		     struct err *err)
{
	uint32_t seen = 0;
	bool alternatives = false;
	int r = 0;

	for (uint32_t i = 0; i < rule->n; i++) {
		alternatives |= seen & 1U << rule->conditions[i].argument;
		seen |= 1U << rule->conditions[i].argument;
	}
	for (size_t n = 0; n < names->n && r == 0; n++) {
		for (uint32_t i = 0; alternatives && i < rule->n && r == 0; i++) {
			struct rule one = {.action = rule->action, .n = 1};
			one.conditions[0] = rule->conditions[i];
			r = rules_add(rules, names->v[n], &one, err);
		}
		if (!alternatives)
			r = rules_add(rules, names->v[n], rule, err);
	}
	return r;
}

static int read_names(struct json_object *obj, struct strv *names, struct err *err)
{
	const char *name = NULL;
	int r = json_get_strv(obj, "names", names, err);

	if (r >= 0)
		r = json_get_str(obj, "name", &name, err);
	if (r > 0)
		r = strv_add(names, name, err);
	if (r >= 0 && names->n == 0)
		r = err_set(err, EINVAL, "names: missing");
	return r < 0 ? r : 0;
}

/* The message of a NOTIFY for write would have to be sent by write. */
static int judge_notify(const struct rule *rule, const struct strv *names, struct err *err)
{
	for (size_t i = 0; i < names->n; i++) {
		if (rule->action == SECCOMP_RET_USER_NOTIF && strcmp(names->v[i], "write") == 0)
			return err_set(err, EINVAL,
				       "action: SCMP_ACT_NOTIFY of write would never end");
	}
	return 0;
}

struct reader {
	struct rules *rules;
	const uint64_t *caps; /* NULL: no filters */
};

/* Whether the rule counts under this kernel, for this workload: docker's form. */
static int read_filters(const struct reader *reader, struct json_object *obj, bool *ret,
			struct err *err)
{
	*ret = true;
	if (!reader->caps)
		return 0;
	struct filter includes = {.caps = *reader->caps};
	struct filter excludes = {.caps = *reader->caps};
	int r = read_filter(obj, "includes", &includes, err);
	if (r >= 0)
		r = read_filter(obj, "excludes", &excludes, err);
	*ret = includes.all && !excludes.any;
	return r;
}

static int read_rule(void *ctx, struct json_object *obj, struct err *err)
{
	const struct reader *reader = ctx;
	AUTO_STRV struct strv names = {0};
	struct rule rule = {.n = 0};
	bool counts = false;

	int r = read_names(obj, &names, err);
	if (r >= 0)
		r = read_action(obj, "action", "errnoRet", &rule.action, err);
	if (r >= 0)
		r = judge_notify(&rule, &names, err);
	if (r >= 0)
		r = doc_list(obj, "args", read_condition, &rule, err);
	if (r >= 0)
		r = read_filters(reader, obj, &counts, err);
	return r < 0 || !counts ? r : add_rules(reader->rules, &names, &rule, err);
}

int rules_parse(struct json_object *doc, const uint64_t *caps, struct rules **ret, struct err *err)
{
	AUTO(auto_rules_free) struct rules *rules = NULL;
	uint32_t action = 0;

	if (!json_is_obj(doc))
		return err_set(err, EINVAL, "not an object");
	int r = read_action(doc, "defaultAction", "defaultErrnoRet", &action, err);
	if (r >= 0 && action == SECCOMP_RET_USER_NOTIF)
		return err_set(err, EINVAL, "defaultAction: SCMP_ACT_NOTIFY is for named calls");
	if (r >= 0)
		r = rules_new(action, &rules, err);
	if (r < 0)
		return r;
	rules_close(rules);
	struct reader reader = {rules, caps};
	r = doc_list(doc, "syscalls", read_rule, &reader, err);
	if (r >= 0)
		*ret = TAKE_PTR(rules);
	return r;
}

int rules_read(const char *path, uint64_t caps, struct rules **ret, struct err *err)
{
	AUTO(auto_json_free) struct json_object *doc = NULL;
	AUTO(auto_rules_free) struct rules *rules = NULL;

	int r = json_parse_file(AT_FDCWD, path, PROFILE_MAX, &doc, err);
	if (r == 0)
		r = rules_parse(doc, &caps, &rules, err);
	if (r == 0 && rules_notify(rules))
		r = err_set(err, ENOTSUP, "SCMP_ACT_NOTIFY: nobody listens");
	if (r < 0)
		return err_wrap(err, "seccomp profile '%s'", path);
	*ret = TAKE_PTR(rules);
	return 0;
}
