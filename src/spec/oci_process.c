/* SPDX-License-Identifier: Apache-2.0 */
/* The object `process` of config.json and of exec: who runs what, where and with which rights. */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>

#include "base/err.h"
#include "base/json.h"
#include "proto/plan.h"
#include "spec/doc.h"
#include "spec/oci_process.h"
#include "spec/spec.h"

enum { GROUPS_MAX = 65536 };

#define ID_MAX (UINT32_MAX - 1) /* 2^32-1 means "none" to the kernel */

struct reader {
	const struct spec_config *config;
	struct plan_process *to;
};

#define AT(member) offsetof(struct plan_process, member)

static int read_console(void *ctx, struct json_object *obj, struct err *err)
{
	static const struct doc_field fields[] = {
		{"height", DOC_U32, AT(rows), UINT16_MAX, 0},
		{"width", DOC_U32, AT(cols), UINT16_MAX, 0},
	};
	const struct reader *reader = ctx;

	return doc_fields(obj, DOC_TABLE(fields), reader->to, err);
}

static int read_groups(struct json_object *obj, struct strv *ret, struct err *err)
{
	struct json_object *list = NULL;

	int r = json_get_array(obj, "additionalGids", &list, err);
	if (r > 0 && json_len(list) > GROUPS_MAX)
		return err_set(err, E2BIG, "additionalGids: more than %d", GROUPS_MAX);
	for (size_t i = 0; r > 0 && i < json_len(list); i++) {
		uint64_t gid = 0;
		char text[24];
		if (!json_uint(json_at(list, i), ID_MAX, &gid))
			return err_set(err, EINVAL, "additionalGids[%zu]: is no group id", i);
		(void)snprintf(text, sizeof(text), "%u", (unsigned)gid);
		if (strv_add(ret, text, err) < 0)
			return -err->code;
	}
	return r;
}

static int read_user(void *ctx, struct json_object *obj, struct err *err)
{
	static const struct doc_field fields[] = {
		{"uid", DOC_U32, AT(uid), ID_MAX, 0},
		{"gid", DOC_U32, AT(gid), ID_MAX, 0},
		{"umask", DOC_U32, AT(umask), 0777, AT(has_umask)},
	};
	const struct reader *reader = ctx;

	int r = doc_fields(obj, DOC_TABLE(fields), reader->to, err);
	return r < 0 ? r : read_groups(obj, &reader->to->groups, err);
}

static int read_capability_set(const struct reader *reader, struct json_object *obj,
			       const char *key, uint64_t *ret, struct err *err)
{
	AUTO_STRV struct strv names = {0};

	int r = json_get_strv(obj, key, &names, err);
	for (size_t i = 0; r >= 0 && i < names.n; i++) {
		unsigned number = 0;
		if (spec_capability(names.v[i], &number) == 0)
			*ret |= UINT64_C(1) << number;
		else
			doc_say(reader->config,
				"process.capabilities.%s: '%.60s' is not known; it is passed over",
				key, names.v[i]);
	}
	return r;
}

/* The kernel takes no set that contradicts another: a wrong effective set fails, while
 * an ambient one that is left over does not keep callers from starting. */
static int judge_capabilities(const struct reader *reader, struct err *err)
{
	struct plan_process *p = reader->to;
	uint64_t within = p->cap_permitted & p->cap_inheritable;

	if (p->cap_effective & ~p->cap_permitted)
		return err_set(err, EINVAL, "effective: holds more than permitted");
	p->cap_ambient &=
		within; /* the kernel would refuse the rest, which runc's default asks for */
	return 0;
}

static int read_capabilities(void *ctx, struct json_object *obj, struct err *err)
{
	const struct reader *reader = ctx;
	struct plan_process *p = reader->to;
	const struct {
		const char *key;
		uint64_t *to;
	} sets[] = {
		{"bounding", &p->cap_bounding},   {"effective", &p->cap_effective},
		{"permitted", &p->cap_permitted}, {"inheritable", &p->cap_inheritable},
		{"ambient", &p->cap_ambient},
	};

	for (size_t i = 0; i < sizeof(sets) / sizeof(sets[0]); i++) {
		int r = read_capability_set(reader, obj, sets[i].key, sets[i].to, err);
		if (r < 0)
			return r;
	}
	return judge_capabilities(reader, err);
}

static const struct doc_word rlimits[] = {
	{"RLIMIT_AS", RLIMIT_AS},
	{"RLIMIT_CORE", RLIMIT_CORE},
	{"RLIMIT_CPU", RLIMIT_CPU},
	{"RLIMIT_DATA", RLIMIT_DATA},
	{"RLIMIT_FSIZE", RLIMIT_FSIZE},
	{"RLIMIT_LOCKS", RLIMIT_LOCKS},
	{"RLIMIT_MEMLOCK", RLIMIT_MEMLOCK},
	{"RLIMIT_MSGQUEUE", RLIMIT_MSGQUEUE},
	{"RLIMIT_NICE", RLIMIT_NICE},
	{"RLIMIT_NOFILE", RLIMIT_NOFILE},
	{"RLIMIT_NPROC", RLIMIT_NPROC},
	{"RLIMIT_RSS", RLIMIT_RSS},
	{"RLIMIT_RTPRIO", RLIMIT_RTPRIO},
	{"RLIMIT_RTTIME", RLIMIT_RTTIME},
	{"RLIMIT_SIGPENDING", RLIMIT_SIGPENDING},
	{"RLIMIT_STACK", RLIMIT_STACK},
};

static int read_rlimit(void *ctx, struct json_object *obj, struct err *err)
{
	const struct reader *reader = ctx;
	struct list *all = &reader->to->rlimits;
	uint64_t resource = 0;
	uint64_t soft = 0;
	uint64_t hard = 0;

	int r = json_need(doc_word(obj, "type", DOC_TABLE(rlimits), &resource, err), "type", err);
	if (r >= 0)
		r = json_need(json_get_uint(obj, "soft", UINT64_MAX, &soft, err), "soft", err);
	if (r >= 0)
		r = json_need(json_get_uint(obj, "hard", UINT64_MAX, &hard, err), "hard", err);
	if (r < 0)
		return r;
	if (soft > hard)
		return err_set(err, EINVAL, "soft: more than hard");
	for (size_t i = 0; i < all->n; i++) {
		if (((const struct plan_rlimit *)all->items)[i].resource == resource)
			return err_set(err, EINVAL, "type: given twice");
	}
	struct plan_rlimit *limit = list_add(all, &plan_rlimit_record);
	if (!limit)
		return err_set(err, ENOMEM, "out of memory");
	*limit = (struct plan_rlimit){(uint32_t)resource, soft, hard};
	return 0;
}

static int read_scheduler(void *ctx, struct json_object *obj, struct err *err)
{
	const struct reader *reader = ctx;

	return oci_scheduler(obj, &reader->to->schedule, err);
}

static int read_ioprio(void *ctx, struct json_object *obj, struct err *err)
{
	const struct reader *reader = ctx;

	return oci_ioprio(obj, &reader->to->schedule, err);
}

static int read_affinity(void *ctx, struct json_object *obj, struct err *err)
{
	static const struct doc_field fields[] = {
		{"initial", DOC_CPUS, AT(schedule.cpus_initial), 0, 0},
		{"final", DOC_CPUS, AT(schedule.cpus_final), 0, 0},
	};
	const struct reader *reader = ctx;

	return doc_fields(obj, DOC_TABLE(fields), reader->to, err);
}

static int read_args(struct json_object *obj, struct plan_process *to, struct err *err)
{
	int r = json_need(json_get_strv(obj, "args", &to->args, err), "args", err);

	if (r >= 0 && (to->args.n == 0 || !*to->args.v[0]))
		return err_set(err, EINVAL, "args: empty, no program is named");
	if (r >= 0)
		r = oci_env(obj, &to->env, err);
	return r;
}

static int read_process(struct reader *reader, struct json_object *obj, struct err *err)
{
	static const struct doc_field fields[] = {
		{"cwd", DOC_PATH, AT(cwd), 0, 0},
		{"terminal", DOC_BOOL, AT(tty), 0, 0},
		{"noNewPrivileges", DOC_BOOL, AT(no_new_privs), 0, 0},
		{"apparmorProfile", DOC_TEXT, AT(apparmor), 0, 0},
		{"selinuxLabel", DOC_TEXT, AT(selinux_label), 0, 0},
	};
	static const struct doc_part parts[] = {
		{"consoleSize", read_console, false},       {"user", read_user, false},
		{"capabilities", read_capabilities, false}, {"rlimits", read_rlimit, true},
		{"scheduler", read_scheduler, false},       {"ioPriority", read_ioprio, false},
		{"execCPUAffinity", read_affinity, false},
	};
	struct plan_process *to = reader->to;
	int64_t oom = 0;

	int r = read_args(obj, to, err);
	if (r >= 0)
		r = doc_fields(obj, DOC_TABLE(fields), to, err);
	if (r >= 0 && !to->cwd)
		return err_set(err, EINVAL, "cwd: missing");
	if (r >= 0)
		r = doc_parts(obj, DOC_TABLE(parts), reader, err);
	if (r >= 0)
		r = json_get_int(obj, "oomScoreAdj", -1000, 1000, &oom, err);
	if (r > 0) {
		to->has_oom_score_adj = true;
		to->oom_score_adj = (uint32_t)oom;
	}
	return r < 0 ? r : 0;
}

int spec_process(struct json_object *obj, const struct spec_config *config,
		 struct plan_process *ret, struct err *err)
{
	struct plan_process process = {.has_ids = true, .detached = true};
	struct reader reader = {config, &process};

	if (!json_is_obj(obj))
		return err_set(err, EINVAL, "process: must be an object");
	if (read_process(&reader, obj, err) < 0) {
		record_done(&plan_process_record, &process);
		(void)doc_in(err, "process");
		return doc_fail(err);
	}
	*ret = process;
	return 0;
}
