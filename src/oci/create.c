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
#include "oci/start_socket.h"
#include "spec/spec.h"

enum { CONFIG_BYTES_MAX = 16 << 20 };

static int own(char **to, const char *text, struct err *err)
{
	*to = strdup(text);
	return *to ? 0 : err_set(err, ENOMEM, "out of memory");
}

/* What the plan can say and container/ cannot do yet is refused, never passed over. */
static int check_plan(const struct plan *plan, struct err *err)
{
	const struct plan_join *j = plan->joins.items;

	for (size_t i = 0; i < plan->joins.n; i++) {
		if (j[i].type == CLONE_NEWUSER)
			return err_set(err, ENOTSUP,
				       "linux.namespaces: joining a user namespace by "
				       "its path is not supported");
	}
	if (plan->rdt_closid || plan->rdt_l3 || plan->rdt_mb)
		return err_set(err, ENOTSUP, "linux.intelRdt: not supported");
	if (plan->net_devices.n > 0)
		return err_set(err, ENOTSUP, "linux.netDevices: not supported");
	return 0;
}

/* Where its cgroups are: what the bundle says, below each hierarchy's root, or a place of our own.
 */
static int place(const struct oci *oci, struct plan *plan, const char *id, struct err *err)
{
	const char *asked = plan->cgroup ? plan->cgroup : "";
	char *path = NULL;

	if (oci->systemd_cgroup)
		return err_set(err, ENOTSUP,
			       "--systemd-cgroup: systemd's cgroup driver is not there; use the "
			       "caller's cgroupfs driver");
	asked += strspn(asked, "/");
	if ((*asked ? asprintf(&path, "%s", asked) : asprintf(&path, "hull-oci/%s", id)) < 0)
		return err_set(err, ENOMEM, "out of memory");
	free(plan->cgroup);
	plan->cgroup = path;
	return own(&plan->id, id, err);
}

/* Reads the bundle of --bundle (or the working folder) into a new state for `id`. */
static int read_bundle(const struct oci *oci, const char *id, struct oci_state *ret,
		       struct err *err)
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
		r = check_plan(&state.plan, err);
	if (r == 0)
		r = place(oci, &state.plan, id, err);
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

/* Writes who the first process is, for the caller and for the next commands. */
static int record_process(const struct oci *oci, struct oci_state *state, int folder, pid_t pid,
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

static int launch(struct oci *oci, struct oci_state *state, int folder, int *ret_master,
		  struct err *err)
{
	struct container_launch launch = {.plan = &state->plan, .caller = &oci->caller};
	AUTO_CLOSE int start = start_socket_new(folder, err);

	if (start < 0)
		return start;
	launch.start = start;
	int r = oci_preserved(oci, &launch.preserve, err);
	/* on record before anything is made: delete finds its cgroups, whatever becomes of the
	 * state */
	if (r == 0 && symlinkat(state->plan.cgroup, folder, "cgroup") < 0)
		r = err_sys(err, "note the cgroup");
	if (r == 0)
		r = oci_state_write(folder, state, err);
	if (r < 0)
		return r;
	AUTO_CLOSE int master = -1;
	pid_t pid = container_launch(&launch, &master, err);
	if (pid < 0)
		return pid;
	r = record_process(oci, state, folder, pid, err);
	if (r == 0 && master >= 0 && oci->options.console_socket)
		r = oci_send_console(oci->options.console_socket, master, err);
	if (r == 0)
		*ret_master = TAKE_FD(master);
	return r;
}

/* Makes the container of words[0]; *ret_folder is its locked folder, *ret_master its terminal or
 * -1, both the caller's. On failure nothing is left. */
static int make(struct oci *oci, struct oci_state *ret, int *ret_folder, int *ret_master,
		struct err *err)
{
	const char *id = oci->words[0];
	struct err ignored = ERR_INIT; /* the first failure is the one to tell */

	AUTO_CLOSE int folder = oci_folder_new(oci, id, err);
	if (folder < 0)
		return folder;
	int r = read_bundle(oci, id, ret, err);
	if (r < 0) {
		if (oci_folder_remove(oci, id, &ignored) < 0)
			oci_log(oci, "warning", ignored.msg);
		return r;
	}
	oci_describe(oci, ret);
	if (ret->plan.process.tty && !oci->options.console_socket && oci->options.detach)
		r = err_set(err, EINVAL,
			    "process.terminal: a detached container's terminal goes "
			    "to a --console-socket, and none is given");
	if (r == 0)
		r = launch(oci, ret, folder, ret_master, err);
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
	int r = make(oci, &state, &folder, &master, err);
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

static int run_made(struct oci *oci, struct oci_state *state, int folder, int master,
		    struct err *err)
{
	struct err ignored = ERR_INIT; /* the first failure is the one to tell */
	struct proc_id id = {.pid = 0};
	int r = go(oci, state, folder, err);

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

	int r = make(oci, &state, &folder, &master, err);
	if (r < 0)
		return r;
	r = run_made(oci, &state, folder, master, err);
	record_done(&oci_state_record, &state);
	return r;
}
