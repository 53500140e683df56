/* SPDX-License-Identifier: Apache-2.0 */
/*
 * docker's profile format: {defaultAction, defaultErrnoRet, syscalls: [{names, action, errnoRet,
 * args, includes, excludes}]}. Names that this kernel's headers do not know are passed over, as
 * every runtime does; wrong values are refused.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/seccomp.h>
#include <stdio.h>
#include <string.h>
#include <sys/utsname.h>

#include "base/err.h"
#include "base/json.h"
#include "base/str.h"
#include "spec/rules.h"
#include "spec/spec.h"

enum { PROFILE_MAX = 4 << 20 };

static int action_of(const char *name, int64_t errno_ret, uint32_t *ret, struct err *err)
{
	static const struct {
		const char *name;
		uint32_t action;
	} actions[] = {
		{"SCMP_ACT_ALLOW", SECCOMP_RET_ALLOW},
		{"SCMP_ACT_ERRNO", SECCOMP_RET_ERRNO},
		{"SCMP_ACT_KILL", SECCOMP_RET_KILL_THREAD},
		{"SCMP_ACT_KILL_THREAD", SECCOMP_RET_KILL_THREAD},
		{"SCMP_ACT_KILL_PROCESS", SECCOMP_RET_KILL_PROCESS},
		{"SCMP_ACT_TRAP", SECCOMP_RET_TRAP},
		{"SCMP_ACT_TRACE", SECCOMP_RET_TRACE},
		{"SCMP_ACT_LOG", SECCOMP_RET_LOG},
	};

	for (size_t i = 0; i < sizeof(actions) / sizeof(actions[0]); i++) {
		if (strcmp(actions[i].name, name) != 0)
			continue;
		bool data = actions[i].action == SECCOMP_RET_ERRNO ||
			    actions[i].action == SECCOMP_RET_TRACE;
		*ret = actions[i].action | (data ? (uint32_t)errno_ret : 0);
		return 0;
	}
	return err_set(err, EINVAL, "action '%s' is not known", name);
}

/* The member `key` of obj and its errno member as an action. */
static int read_action(struct json_object *obj, const char *key, const char *errno_key,
		       uint32_t *ret, struct err *err)
{
	const char *name = NULL;
	int64_t errno_ret = EPERM;
	int r = json_need(json_get_str(obj, key, &name, err), key, err);

	if (r >= 0)
		r = json_get_int(obj, errno_key, 0, 4095, &errno_ret, err);
	return r < 0 ? r : action_of(name, errno_ret, ret, err);
}

/* A whole number of 64 bits: json-c keeps those beyond INT64_MAX apart, and they are masks, so
 * that a profile never needs them. */
static int read_condition(struct json_object *arg, struct condition *ret, struct err *err)
{
	static const struct {
		const char *name;
		enum compare compare;
	} ops[] = {
		{"SCMP_CMP_EQ", CMP_EQ},
		{"SCMP_CMP_NE", CMP_NE},
		{"SCMP_CMP_LT", CMP_LT},
		{"SCMP_CMP_LE", CMP_LE},
		{"SCMP_CMP_GE", CMP_GE},
		{"SCMP_CMP_GT", CMP_GT},
		{"SCMP_CMP_MASKED_EQ", CMP_MASKED_EQ},
	};
	const char *op = NULL;
	int64_t index = 0;
	int64_t value = 0;
	int64_t value_two = 0;

	if (!json_is_obj(arg))
		return err_set(err, EINVAL, "args: an element is no object");
	int r = json_get_int(arg, "index", 0, 5, &index, err);
	if (r >= 0)
		r = json_get_int(arg, "value", 0, INT64_MAX, &value, err);
	if (r >= 0)
		r = json_get_int(arg, "valueTwo", 0, INT64_MAX, &value_two, err);
	if (r >= 0)
		r = json_need(json_get_str(arg, "op", &op, err), "op", err);
	if (r < 0)
		return r;
	for (size_t i = 0; i < sizeof(ops) / sizeof(ops[0]); i++) {
		if (strcmp(ops[i].name, op) != 0)
			continue;
		*ret = (struct condition){(uint32_t)index, ops[i].compare, (uint64_t)value,
					  (uint64_t)value_two};
		return 0;
	}
	return err_set(err, EINVAL, "op '%s' is not known", op);
}

/* "4.8": at least that kernel. */
static bool kernel_reaches(const char *wanted)
{
	struct utsname uts;
	int have[2] = {0, 0};
	int want[2] = {0, 0};

	if (uname(&uts) < 0 || sscanf(uts.release, "%d.%d", &have[0], &have[1]) < 1 ||
	    sscanf(wanted, "%d.%d", &want[0], &want[1]) < 1)
		return false;
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

static int read_args(struct json_object *obj, struct rule *rule, struct err *err)
{
	struct json_object *args = NULL;
	int r = json_get_array(obj, "args", &args, err);

	if (r <= 0)
		return r;
	if (json_len(args) > CONDITIONS_MAX)
		return err_set(err, E2BIG, "args: more than %d", CONDITIONS_MAX);
	for (size_t i = 0; i < json_len(args); i++) {
		r = read_condition(json_at(args, i), &rule->conditions[rule->n], err);
		if (r < 0)
			return r;
		rule->n++;
	}
	return 0;
}

static int read_rule(struct rules *rules, struct json_object *obj, uint64_t caps, struct err *err)
{
	AUTO_STRV struct strv names = {0};
	struct rule rule = {.n = 0};
	struct filter includes = {.caps = caps};
	struct filter excludes = {.caps = caps};

	if (!json_is_obj(obj))
		return err_set(err, EINVAL, "an element is no object");
	int r = read_names(obj, &names, err);
	if (r == 0)
		r = read_action(obj, "action", "errnoRet", &rule.action, err);
	if (r == 0)
		r = read_args(obj, &rule, err);
	if (r == 0)
		r = read_filter(obj, "includes", &includes, err);
	if (r >= 0)
		r = read_filter(obj, "excludes", &excludes, err);
	if (r < 0 || !includes.all || excludes.any)
		return r;
	return add_rules(rules, &names, &rule, err);
}

static int read_profile(struct json_object *doc, uint64_t caps, struct rules **ret, struct err *err)
{
	AUTO(auto_rules_free) struct rules *rules = NULL;
	struct json_object *list = NULL;
	uint32_t action = 0;

	if (!json_is_obj(doc))
		return err_set(err, EINVAL, "not an object");
	int r = read_action(doc, "defaultAction", "defaultErrnoRet", &action, err);
	if (r == 0)
		r = rules_new(action, &rules, err);
	if (r == 0)
		r = json_get_array(doc, "syscalls", &list, err);
	for (size_t i = 0; r >= 0 && list && i < json_len(list); i++) {
		r = read_rule(rules, json_at(list, i), caps, err);
		if (r < 0)
			return err_wrap(err, "syscalls[%zu]", i);
	}
	if (r >= 0)
		*ret = TAKE_PTR(rules);
	return r < 0 ? r : 0;
}

int rules_read(const char *path, uint64_t caps, struct rules **ret, struct err *err)
{
	struct json_object *doc = NULL;
	int r = json_parse_file(AT_FDCWD, path, PROFILE_MAX, &doc, err);

	if (r == 0)
		r = read_profile(doc, caps, ret, err);
	json_free(doc);
	return r < 0 ? err_wrap(err, "seccomp profile '%s'", path) : 0;
}
