/* SPDX-License-Identifier: Apache-2.0 */
/* create, start and run: a container comes to life. */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/fd.h"
#include "base/io.h"
#include "base/json.h"
#include "base/proc.h"
#include "oci/oci.h"
#include "oci/scope.h"
#include "oci/start_socket.h"
#include "spec/spec.h"

enum { CONFIG_BYTES_MAX = 16 << 20 };

static int own(char **to, const char *text, struct err *err)
{
	*to = strdup(text);
	return *to ? 0 : err_set(err, ENOMEM, "out of memory");
}

/* As runc names it: exec joins it by that name. */
static int own_keyring(const struct oci *oci, struct plan *plan, const char *id, struct err *err)
{
	if (oci->options.no_new_keyring)
		return own(&plan->keyring, "", err);
	if (asprintf(&plan->keyring, "_ses.%s", id) < 0) {
		plan->keyring = NULL;
		return err_set(err, ENOMEM, "out of memory");
	}
	return 0;
}

/* Where its cgroups are: what the bundle says, below each hierarchy's root, or a place of our own;
 * nowhere when the caller wants none. */
static int place(struct oci *oci, struct oci_state *state, const char *id, struct err *err)
{
	struct plan *plan = &state->plan;
	const char *asked = plan->cgroup ? plan->cgroup : "";
	char *path = NULL;

	if (oci->systemd_cgroup)
		return scope_place(oci, state, id, err);
	asked += strspn(asked, "/");
	int r = oci->no_cgroup ? own(&path, "", err)
		: *asked       ? own(&path, asked, err)
			       : container_default_cgroup(id, &path, err);
	if (r < 0)
		return r;
	free(plan->cgroup);
	plan->cgroup = path;
	return 0;
}

/* Reads the bundle of --bundle (or the working folder) into a new state for `id`. */
static int read_bundle(struct oci *oci, const char *id, struct oci_state *ret, struct err *err)
{
	const char *given = oci->options.bundle ? oci->options.bundle : ".";
	AUTO_FREE char *bundle = realpath(given, NULL);
	AUTO(auto_json_free) struct json_object *doc = NULL;
	struct oci_state state = {.created_ns = 0};
	struct timespec now;

	if (!bundle)
		return err_sys(err, "bundle '%s'", given);
	AUTO_CLOSE int folder = open(bundle, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (folder < 0)
		return err_sys(err, "bundle '%s'", bundle);
	int r = json_parse_file(folder, "config.json", CONFIG_BYTES_MAX, &doc, err);
	struct spec_config config = {bundle, oci->caller.say, oci->caller.ctx};
	if (r == 0)
		r = spec_plan(doc, &config, &state.plan, err);
	if (r == 0)
		r = own(&state.plan.id, id, err);
	if (r == 0)
		r = own_keyring(oci, &state.plan, id, err);
	if (r == 0)
		r = place(oci, &state, id, err);
	if (r == 0)
		r = own(&state.id, id, err);
	if (r == 0)
		r = own(&state.bundle, bundle, err);
	if (r == 0)
		r = own(&state.process, "", err);
	if (r < 0) {
		record_done(&oci_state_record, &state);
		return r;
	}
	(void)clock_gettime(CLOCK_REALTIME, &now);
	state.created_ns = (uint64_t)now.tv_sec * 1000000000U + (uint64_t)now.tv_nsec;
	*ret = state;
	return 0;
}

int oci_put_pid(const struct oci *oci, pid_t pid, struct err *err)
{
	char text[16];

	if (!oci->options.pid_file)
		return 0;
	int n = snprintf(text, sizeof(text), "%d", pid);
	return file_replace(AT_FDCWD, oci->options.pid_file, text, (size_t)n, 0644, err);
}

int oci_record_process(const struct oci *oci, struct oci_state *state, int folder, pid_t pid,
		       struct err *err)
{
	struct proc_id id;
	char text[PROC_ID_TEXT];

	int r = proc_identify(pid, &id, err);
	if (r < 0)
		return r;
	proc_id_format(&id, text);
	free(state->process);
	r = own(&state->process, text, err);
	if (r == 0)
		r = oci_state_write(folder, state, err);
	return r < 0 ? r : oci_put_pid(oci, pid, err);
}

int oci_record_place(const struct oci_state *state, int folder, struct err *err)
{
	if ((*state->plan.cgroup && symlinkat(state->plan.cgroup, folder, "cgroup") < 0) ||
	    (state->unit && symlinkat(state->unit, folder, "unit") < 0))
		return err_sys(err, "note the cgroup");
	return oci_state_write(folder, state, err);
}

static int launch(struct oci *oci, struct oci_state *state, int folder, pid_t holder,
		  int *ret_master, struct err *err)
{
	struct container_launch launch = {.plan = &state->plan,
					  .caller = &oci->caller,
					  .holder = holder};

	if (state->plan.process.tty && !oci->options.console_socket && oci->options.detach)
		return err_set(err, EINVAL,
			       "process.terminal: a detached container's terminal goes "
			       "to a --console-socket, and none is given");
	AUTO_CLOSE int start = start_socket_new(folder, err);
	if (start < 0)
		return start;
	launch.start = start;
	int r = oci_preserved(oci, &launch.preserve, err);
	if (r == 0)
		r = oci_record_place(state, folder, err);
	if (r < 0)
		return r;
	AUTO_CLOSE int master = -1;
	pid_t pid = container_launch(&launch, &master, err);
	if (pid < 0)
		return pid;
	r = oci_record_process(oci, state, folder, pid, err);
	if (r == 0 && master >= 0 && oci->options.console_socket)
		r = oci_send_console(oci->options.console_socket, master, err);
	if (r == 0)
		*ret_master = TAKE_FD(master);
	return r;
}

/* What a container begins with: its state from the bundle, and its scope, if it has one, with the
 * process in *ret_holder to keep it. On failure nothing is left, its folder neither, and what
 * another container has is not touched. */
static int begin(struct oci *oci, const char *id, struct oci_state *ret, pid_t *ret_holder,
		 struct err *err)
{
	struct err ignored = ERR_INIT; /* the first failure is the one to tell */
	pid_t holder = 0;

	int r = read_bundle(oci, id, ret, err);
	if (r == 0 && ret->unit)
		holder = scope_start(oci, ret, err);
	if (r < 0 || holder < 0) {
		if (oci_folder_remove(oci, id, &ignored) < 0)
			oci_log(oci, "warning", ignored.msg);
		record_done(&oci_state_record, ret);
		return r < 0 ? r : holder;
	}
	*ret_holder = holder;
	return 0;
}

int oci_make(struct oci *oci, oci_bring_fn *bring, struct oci_state *ret, int *ret_folder,
	     int *ret_master, struct err *err)
{
	const char *id = oci->words[0];
	struct err ignored = ERR_INIT; /* the first failure is the one to tell */
	AUTO_CLOSE int folder = oci_folder_new(oci, id, err);
	pid_t holder = 0;

	if (folder < 0)
		return folder;
	int r = begin(oci, id, ret, &holder, err);
	if (r < 0)
		return r;
	oci_describe(oci, ret);
	r = bring(oci, ret, folder, holder, ret_master, err);
	scope_release(holder);
	if (r < 0) {
		if (oci_remove(oci, ret, &ignored) < 0)
			oci_log(oci, "warning", ignored.msg);
		record_done(&oci_state_record, ret);
		return r;
	}
	*ret_folder = TAKE_FD(folder);
	return 0;
}

int oci_create(struct oci *oci, struct err *err)
{
	AUTO_CLOSE int master = -1;
	AUTO_CLOSE int folder = -1;
	struct oci_state state = {.created_ns = 0};

	oci->options.detach = true;
	int r = oci_make(oci, launch, &state, &folder, &master, err);
	record_done(&oci_state_record, &state);
	return r;
}

/* Lets its program go, and runs the poststart hooks. */
static int go(struct oci *oci, const struct oci_state *state, int folder, struct err *err)
{
	struct err ignored = ERR_INIT; /* the failed hook is what to tell */
	pid_t pid = 0;
	enum oci_status status = oci_status_of(state, folder, &pid);

	if (status == OCI_STOPPED)
		return err_set(err, ESRCH, "container '%s' has stopped; it cannot be started again",
			       state->id);
	if (status != OCI_CREATED)
		return err_set(err, EINVAL, "container '%s' is %s, not created", state->id,
			       oci_status_name(status));
	AUTO_CLOSE int sock = start_socket_connect(folder, err);
	if (sock < 0)
		return sock;
	int r = container_release(sock, &oci->caller, err);
	if (r < 0)
		return r;
	if (unlinkat(folder, "start", 0) < 0)
		return err_sys(err, "remove the start socket");
	r = container_hooks(&state->plan, HOOK_POSTSTART, pid, "running", &oci->caller, err);
	if (r < 0 && container_signal_all(&state->plan, SIGKILL, &ignored) < 0)
		return r;
	return r;
}

int oci_start(struct oci *oci, struct err *err)
{
	struct oci_state state = {.created_ns = 0};
	AUTO_CLOSE int folder = oci_open(oci, true, &state, err);

	if (folder < 0)
		return folder;
	oci_describe(oci, &state);
	int r = go(oci, &state, folder, err);
	record_done(&oci_state_record, &state);
	return r;
}

int oci_attend(struct oci *oci, const struct oci_state *state, int folder, int master, int r,
	       struct err *err)
{
	struct err ignored = ERR_INIT; /* the first failure is the one to tell */
	struct proc_id id = {.pid = 0};

	auto_close(&folder); /* its lock: others may look while it runs */
	if (r == 0)
		r = proc_id_parse(state->process, &id, err);
	if (r == 0 && oci->options.detach) {
		auto_close(&master);
		return 0;
	}
	if (r == 0)
		r = oci_follow(id.pid, master, err);
	else
		auto_close(&master);
	if (r >= 0 && oci->options.keep)
		return r;
	AUTO_CLOSE int lock = oci_folder(oci, state->id, true, &ignored);
	if (lock >= 0 && oci_remove(oci, state, &ignored) < 0)
		oci_log(oci, "warning", ignored.msg);
	return r;
}

int oci_run(struct oci *oci, struct err *err)
{
	struct oci_state state = {.created_ns = 0};
	int master = -1;
	int folder = -1;

	int r = oci_make(oci, launch, &state, &folder, &master, err);
	if (r < 0)
		return r;
	r = go(oci, &state, folder, err);
	r = oci_attend(oci, &state, folder, master, r, err);
	record_done(&oci_state_record, &state);
	return r;
}
