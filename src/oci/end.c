/* SPDX-License-Identifier: Apache-2.0 */
/* kill, delete, pause, resume: what is done to a container that is there. */
#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/err.h"
#include "base/fd.h"
#include "oci/oci.h"
#include "oci/scope.h"

static int signal_first(const struct oci_state *state, int sig, struct err *err)
{
	AUTO_CLOSE int pidfd = oci_pidfd(state, err);

	if (pidfd < 0)
		return pidfd;
	if (syscall(SYS_pidfd_send_signal, pidfd, sig, NULL, 0) < 0)
		return errno == ESRCH ? err_set(err, ESRCH, "os: process already finished")
				      : err_sys(err, "send signal %d", sig);
	return 0;
}

static int send(const struct oci *oci, const struct oci_state *state, int folder, int sig,
		struct err *err)
{
	enum oci_status status = oci_status_of(state, folder, NULL);
	int r;

	if (oci->options.all) {
		r = container_signal_all(&state->plan, sig, err);
		/* without cgroups nobody but the first process is known */
		if (r == 0 && status != OCI_STOPPED && status != OCI_CREATING)
			r = signal_first(state, sig, err);
	} else if (status == OCI_STOPPED || status == OCI_CREATING) {
		return err_set(err, ESRCH, "container not running");
	} else {
		r = signal_first(state, sig, err);
	}
	/* v1 keeps even SIGKILL from the frozen */
	if (r >= 0 && sig == SIGKILL && status == OCI_PAUSED)
		r = container_freeze(&state->plan, false, err);
	return r < 0 ? r : 0;
}

int oci_kill(struct oci *oci, struct err *err)
{
	struct oci_state state = {.created_ns = 0};
	int sig = SIGTERM;
	int r = oci->n_words > 1 ? parse_signal(oci->words[1], &sig, err) : 0;

	if (r < 0)
		return r;
	AUTO_CLOSE int folder = oci_open(oci, false, &state, err);
	if (folder < 0)
		return folder;
	r = send(oci, &state, folder, sig, err);
	record_done(&oci_state_record, &state);
	return r;
}

/* Ends all its processes, and waits for them. The first may be in no cgroup of its own (a host
 * without, a user who may make none): it is ended by itself, and those of its pid namespace with
 * it; one that is frozen ends when its cgroup is thawed. */
static int end_all(const struct oci_state *state, struct err *err)
{
	enum { WAIT_MS = 10000 };
	struct err gone = ERR_INIT; /* it has ended already */
	AUTO_CLOSE int pidfd = oci_pidfd(state, &gone);
	struct pollfd end = {.fd = pidfd, .events = POLLIN};

	if (pidfd >= 0 && syscall(SYS_pidfd_send_signal, pidfd, SIGKILL, NULL, 0) < 0 &&
	    errno != ESRCH)
		return err_sys(err, "end the first process");
	int r = container_clear(&state->plan, err);
	if (r == 0 && pidfd >= 0 && poll(&end, 1, WAIT_MS) == 0)
		r = err_set(err, ETIMEDOUT, "the first process does not end");
	return r;
}

int oci_remove(struct oci *oci, const struct oci_state *state, struct err *err)
{
	struct err failed = ERR_INIT; /* a failed hook does not keep the rest from being removed */
	int r = end_all(state, err);

	if (r == 0)
		r = scope_stop(oci, state, err);
	if (r == 0)
		r = oci_folder_remove(oci, state->id, err);
	if (r == 0 && *state->process &&
	    container_hooks(&state->plan, HOOK_POSTSTOP, 0, "stopped", &oci->caller, &failed) < 0)
		oci_log(oci, "warning", failed.msg);
	return r;
}

/* A folder without a readable state is what a killed create, or damage, leaves: the link beside it
 * says where the cgroups are. */
static int remove_damaged(struct oci *oci, int folder, struct err *err)
{
	char cgroup[PATH_MAX] = "";
	char unit[NAME_MAX + 1] = "";
	struct oci_state found = {.plan = {.cgroup = cgroup}};
	int r = 0;

	oci_log(oci, "warning", err->msg);
	*err = ERR_INIT;
	if (readlinkat(folder, "cgroup", cgroup, sizeof(cgroup) - 1) > 0)
		r = container_clear(&found.plan, err);
	if (readlinkat(folder, "unit", unit, sizeof(unit) - 1) > 0)
		found.unit = unit;
	if (r == 0)
		r = scope_stop(oci, &found, err);
	return r < 0 ? r : oci_folder_remove(oci, oci->words[0], err);
}

int oci_delete(struct oci *oci, struct err *err)
{
	struct oci_state state = {.created_ns = 0};
	AUTO_CLOSE int folder = oci_folder(oci, oci->words[0], true, err);

	if (folder < 0) {
		if (err->code != ENOENT || !oci->options.force)
			return folder;
		*err = ERR_INIT;
		return 0;
	}
	int r = oci_state_read(folder, oci->words[0], &state, err);
	if (r < 0)
		return oci->options.force ? remove_damaged(oci, folder, err) : r;
	oci_describe(oci, &state);
	enum oci_status status = oci_status_of(&state, folder, NULL);
	if (!oci->options.force && (status == OCI_RUNNING || status == OCI_PAUSED))
		r = err_set(err, EBUSY, "container '%s' is %s; stop it first, or use --force",
			    state.id, oci_status_name(status));
	if (r == 0)
		r = oci_remove(oci, &state, err);
	record_done(&oci_state_record, &state);
	return r;
}

static int change(struct oci *oci, bool freeze, struct err *err)
{
	struct oci_state state = {.created_ns = 0};
	AUTO_CLOSE int folder = oci_open(oci, true, &state, err);

	if (folder < 0)
		return folder;
	enum oci_status status = oci_status_of(&state, folder, NULL);
	int r = 0;
	if (status == OCI_STOPPED || status == OCI_CREATING)
		r = err_set(err, ESRCH, "container not running");
	else if (!freeze && status != OCI_PAUSED)
		r = err_set(err, EINVAL, "container '%s' is not paused", state.id);
	if (r == 0)
		r = container_freeze(&state.plan, freeze, err);
	record_done(&oci_state_record, &state);
	return r;
}

int oci_pause(struct oci *oci, struct err *err)
{
	return change(oci, true, err);
}

int oci_resume(struct oci *oci, struct err *err)
{
	return change(oci, false, err);
}
