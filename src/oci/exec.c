/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/err.h"
#include "base/fd.h"
#include "base/json.h"
#include "oci/oci.h"
#include "spec/spec.h"

enum { PROCESS_BYTES_MAX = 16 << 20 };

static int replace(char **to, const char *text, struct err *err)
{
	char *copy = strdup(text);

	if (!copy)
		return err_set(err, ENOMEM, "out of memory");
	free(*to);
	*to = copy;
	return 0;
}

static int read_process(const struct oci *oci, struct plan_process *ret, struct err *err)
{
	AUTO(auto_json_free) struct json_object *doc = NULL;
	struct spec_config config = {"/", oci->caller.say, oci->caller.ctx};

	int r = json_parse_file(AT_FDCWD, oci->options.process, PROCESS_BYTES_MAX, &doc, err);
	return r < 0 ? r : spec_process(doc, &config, ret, err);
}

/* UID[:GID] */
static int set_user(const char *text, struct plan_process *what, struct err *err)
{
	const char *colon = strchr(text, ':');
	AUTO_FREE char *user = strndup(text, colon ? (size_t)(colon - text) : strlen(text));
	int64_t id = 0;

	if (!user)
		return err_set(err, ENOMEM, "out of memory");
	int r = parse_int(user, 0, UINT32_MAX - 1, "--user", &id, err);
	what->uid = (uint32_t)id;
	if (r == 0 && colon) {
		r = parse_int(colon + 1, 0, UINT32_MAX - 1, "--user", &id, err);
		what->gid = (uint32_t)id;
	}
	return r;
}

static int add_groups(const char *text, struct plan_process *what, struct err *err)
{
	AUTO_FREE char *copy = strdup(text);
	char *rest = copy;
	int r = copy ? 0 : err_set(err, ENOMEM, "out of memory");

	for (char *word; r == 0 && (word = strsep(&rest, ","));) {
		int64_t id;
		r = parse_int(word, 0, UINT32_MAX - 1, "--additional-gids", &id, err);
		if (r == 0)
			r = strv_add(&what->groups, word, err);
	}
	return r;
}

static int add_caps(const struct strv *names, struct plan_process *what, struct err *err)
{
	for (size_t i = 0; i < names->n; i++) {
		unsigned cap;
		if (spec_capability(names->v[i], &cap) < 0)
			return err_set(err, EINVAL, "--cap: '%s' is not a capability", names->v[i]);
		what->cap_bounding |= 1ULL << cap;
		what->cap_effective |= 1ULL << cap;
		what->cap_permitted |= 1ULL << cap;
	}
	return 0;
}

static int replace_strings(const struct oci_options *o, struct plan_process *what, struct err *err)
{
	const struct {
		const char *text;
		char **to;
	} strings[] = {
		{o->cwd, &what->cwd},
		{o->apparmor, &what->apparmor},
		{o->label, &what->selinux_label},
	};
	int r = 0;

	for (size_t i = 0; r == 0 && i < sizeof(strings) / sizeof(strings[0]); i++)
		r = strings[i].text ? replace(strings[i].to, strings[i].text, err) : 0;
	return r;
}

static int replace_identity(const struct oci_options *o, struct plan_process *what, struct err *err)
{
	int r = o->user ? set_user(o->user, what, err) : 0;

	if (r == 0 && o->additional_gids)
		r = add_groups(o->additional_gids, what, err);
	return r < 0 ? r : add_caps(&o->cap, what, err);
}

/* The container's own process with other words, and what the options say. */
static int from_words(const struct oci *oci, const struct plan_process *own,
		      struct plan_process *ret, struct err *err)
{
	const struct oci_options *o = &oci->options;
	int r = record_copy(&plan_process_record, own, ret, err);

	if (r < 0)
		return r;
	strv_done(&ret->args);
	ret->tty = o->tty;
	ret->no_new_privs |= o->no_new_privs;
	for (size_t i = 1; i < oci->n_words && r == 0; i++)
		r = strv_add(&ret->args, oci->words[i], err);
	for (size_t i = 0; i < o->env.n && r == 0; i++)
		r = strv_set_env(&ret->env, o->env.v[i], err);
	if (r == 0)
		r = replace_strings(o, ret, err);
	return r < 0 ? r : replace_identity(o, ret, err);
}

/* What to run. The container's filter holds for all its processes. */
static int describe_process(const struct oci *oci, const struct oci_state *state,
			    struct plan_process *ret, struct err *err)
{
	const struct plan_process *own = &state->plan.process;

	if (!oci->options.process && oci->n_words < 2)
		return err_set(err, EINVAL, "nothing to run: neither --process nor a program");
	if (!oci->options.process)
		return from_words(oci, own, ret, err);
	int r = read_process(oci, ret, err);
	if (r == 0 && own->seccomp.len > 0 && ret->seccomp.len == 0) {
		r = bytes_set(&ret->seccomp, own->seccomp.data, own->seccomp.len, err);
		ret->seccomp_flags = own->seccomp_flags;
	}
	ret->tty |= oci->options.tty;
	return r;
}

static int check_status(const struct oci *oci, const struct oci_state *state, int folder,
			struct err *err)
{
	enum oci_status status = oci_status_of(state, folder, NULL);

	if (status == OCI_PAUSED && !oci->options.ignore_paused)
		return err_set(err, EBUSY, "container '%s' is paused", state->id);
	if (status == OCI_STOPPED || status == OCI_CREATING)
		return err_set(err, ESRCH, "container not running");
	return 0;
}

/* Runs it; returns its pid. */
static pid_t enter(const struct oci *oci, const struct oci_state *state,
		   const struct plan_process *what, int *ret_master, struct err *err)
{
	struct container_enter e = {
		.plan = &state->plan,
		.what = what,
		.caller = &oci->caller,
		.cgroup = oci->options.cgroup,
	};
	AUTO_CLOSE int pidfd = oci_pidfd(state, err);

	if (pidfd < 0)
		return pidfd;
	e.pidfd = pidfd;
	e.first = oci_first(state);
	int r = oci_preserved(oci, &e.preserve, err);
	return r < 0 ? r : container_enter(&e, ret_master, err);
}

static int run_process(const struct oci *oci, const struct oci_state *state, int folder,
		       struct err *err)
{
	struct plan_process what = {.rows = 0};
	int master = -1;

	int r = check_status(oci, state, folder, err);
	if (r == 0)
		r = describe_process(oci, state, &what, err);
	what.detached = true;
	pid_t pid = r < 0 ? r : enter(oci, state, &what, &master, err);
	record_done(&plan_process_record, &what);
	if (pid < 0)
		return pid;
	r = oci_put_pid(oci, pid, err);
	if (r == 0 && master >= 0 && oci->options.console_socket) {
		r = oci_send_console(oci->options.console_socket, master, err);
		auto_close(&master);
	}
	if (r < 0 || oci->options.detach) {
		auto_close(&master);
		return r;
	}
	return oci_follow(pid, master, err);
}

int oci_exec(struct oci *oci, struct err *err)
{
	struct oci_state state = {.created_ns = 0};
	AUTO_CLOSE int folder = oci_open(oci, false, &state, err);

	if (folder < 0)
		return folder;
	oci_describe(oci, &state);
	int r = run_process(oci, &state, folder, err);
	record_done(&oci_state_record, &state);
	return r;
}
