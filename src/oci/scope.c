/* SPDX-License-Identifier: Apache-2.0 */
#include "oci/scope.h"

#include <errno.h>
#include <linux/magic.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/err.h"
#include "oci/oci.h"
#include "oci/systemd.h"
#include "oci/unit.h"

/* PROC_USER_INIT_INO of the kernel: the first user namespace has this number always. */
#define FIRST_USERNS 0xEFFFFFFDU

/* Whether the system's manager would not listen to this process: then it is the user's own. */
static bool is_rootless(void)
{
	struct stat st;

	return geteuid() != 0 ||
	       (stat("/proc/self/ns/user", &st) == 0 && st.st_ino != FIRST_USERNS);
}

static bool is_v2(void)
{
	struct statfs fs;

	return statfs("/sys/fs/cgroup", &fs) == 0 &&
	       (unsigned long)fs.f_type == CGROUP2_SUPER_MAGIC;
}

static int connect_once(struct oci *oci, struct err *err)
{
	int r = oci->systemd ? 0 : systemd_open(&oci->systemd, is_rootless(), err);

	return r < 0 ? err_wrap(err, "--systemd-cgroup") : 0;
}

/* "a-b.slice" lies in "a.slice": appends "/a.slice/a-b.slice" (systemd.slice(5)). */
static int append_slice(struct buf *to, const char *slice, struct err *err)
{
	size_t n = strlen(slice);
	size_t stem = n > 6 && strcmp(slice + n - 6, ".slice") == 0 ? n - 6 : 0;

	if (strcmp(slice, "-.slice") == 0)
		return 0;
	if (stem == 0 || strchr(slice, '/') || slice[0] == '-' || slice[stem - 1] == '-' ||
	    strstr(slice, "--"))
		return err_set(err, EINVAL, "cgroupsPath: '%.100s' is no slice", slice);
	for (size_t i = 1; i <= stem; i++) {
		if (i == stem || slice[i] == '-')
			buf_printf(to, "/%.*s.slice", (int)i, slice);
	}
	return 0;
}

/* SLICE:PREFIX:NAME, of which each may be empty. */
static int split(const char *asked, const char *id, struct oci_state *state, struct err *err)
{
	const char *first = strchr(asked, ':');
	const char *second = first ? strchr(first + 1, ':') : NULL;
	const char *usual = is_rootless() ? "user.slice" : "system.slice";
	const char *name = id;
	int prefix = 0;

	if (*asked && (!second || strchr(second + 1, ':') || strchr(asked, '/')))
		return err_set(
			err, EINVAL,
			"cgroupsPath: '%.100s' is not SLICE:PREFIX:NAME, as --systemd-cgroup "
			"needs it",
			asked);
	if (*asked) {
		prefix = (int)(second - first - 1);
		name = second[1] ? second + 1 : id;
	}
	if (!*asked ? asprintf(&state->unit, "hull-oci-%s.scope", name) < 0
		    : asprintf(&state->unit, "%.*s%s%s.scope", prefix, first + 1, prefix ? "-" : "",
			       name) < 0)
		return err_set(err, ENOMEM, "out of memory");
	state->slice = *asked && first > asked ? strndup(asked, (size_t)(first - asked))
					       : strdup(usual);
	return state->slice ? 0 : err_set(err, ENOMEM, "out of memory");
}

int scope_place(struct oci *oci, struct oci_state *state, const char *id, struct err *err)
{
	AUTO_FREE char *root = NULL;
	AUTO_BUF struct buf path = BUF_INIT;

	int r = split(state->plan.cgroup ? state->plan.cgroup : "", id, state, err);
	if (r == 0)
		r = connect_once(oci, err);
	if (r == 0)
		r = systemd_root(oci->systemd, &root, err);
	if (r < 0)
		return r;
	buf_str(&path, root);
	r = append_slice(&path, state->slice, err);
	if (r < 0)
		return r;
	buf_printf(&path, "/%s", state->unit);
	char *whole = buf_take(&path);
	if (!whole)
		return err_set(err, ENOMEM, "out of memory");
	free(state->plan.cgroup);
	state->plan.cgroup = whole;
	return 0;
}

/* A scope is made of processes that are there already: this one is, and does nothing. It ends with
 * its parent at the latest, and holds none of its descriptors. */
static pid_t holder_new(struct err *err)
{
	pid_t parent = getpid();
	pid_t pid = fork();

	if (pid < 0)
		return err_sys(err, "fork");
	if (pid > 0)
		return pid;
	if (prctl(PR_SET_PDEATHSIG, SIGKILL) < 0 || getppid() != parent ||
	    close_range(0, ~0U, 0) < 0)
		_exit(1);
	for (;;)
		(void)pause();
}

void scope_release(pid_t holder)
{
	if (holder <= 0)
		return;
	(void)kill(holder, SIGKILL);
	while (waitpid(holder, NULL, 0) < 0 && errno == EINTR)
		;
}

static int describe(const struct oci_state *state, pid_t holder, struct unit *unit, struct err *err)
{
	static const char *const on[] = {"Delegate", "CPUAccounting", "MemoryAccounting",
					 "TasksAccounting", "IOAccounting"};
	char text[256];
	bool v2 = is_v2();

	(void)snprintf(text, sizeof(text), "container %.200s", state->id);
	int r = unit_put_text(unit, "Description", text, err);
	if (r == 0)
		r = unit_put_text(unit, "Slice", state->slice, err);
	if (r == 0)
		r = unit_put_text(unit, "CollectMode", "inactive-or-failed", err);
	if (r == 0)
		r = unit_put_number(unit, "DefaultDependencies", "b", 0, err);
	for (size_t i = 0; r == 0 && i < sizeof(on) / sizeof(on[0]); i++)
		r = unit_put_number(unit, on[i], "b", 1, err);
	if (r == 0)
		r = unit_put_number(unit, "PIDs", "au", (uint64_t)holder, err);
	if (r == 0)
		r = unit_put_limits(unit, &state->plan.limits, v2, err);
	if (r == 0 && !v2)
		r = unit_put_devices(unit, &state->plan.limits, err);
	/* last: who asks for a property by name means that one */
	return r < 0 ? r : unit_put_annotations(unit, &state->plan.annotations, err);
}

pid_t scope_start(struct oci *oci, const struct oci_state *state, struct err *err)
{
	struct unit unit = {.properties = {NULL, 0}};
	pid_t holder = holder_new(err);

	if (holder < 0)
		return holder;
	int r = describe(state, holder, &unit, err);
	if (r == 0)
		r = connect_once(oci, err);
	if (r == 0)
		r = systemd_start(oci->systemd, state->unit, &unit, err);
	record_done(&unit_record, &unit);
	if (r < 0)
		scope_release(holder);
	return r < 0 ? r : holder;
}

int scope_limit(struct oci *oci, const struct oci_state *state, const struct plan_limits *limits,
		struct err *err)
{
	struct unit unit = {.properties = {NULL, 0}};

	if (!state->unit)
		return 0;
	int r = unit_put_limits(&unit, limits, is_v2(), err);
	if (r == 0 && unit.properties.n > 0) {
		r = connect_once(oci, err);
		if (r == 0)
			r = systemd_set(oci->systemd, state->unit, &unit, err);
	}
	record_done(&unit_record, &unit);
	return r;
}

int scope_stop(struct oci *oci, const struct oci_state *state, struct err *err)
{
	if (!state->unit)
		return 0;
	int r = connect_once(oci, err);
	return r < 0 ? r : systemd_stop(oci->systemd, state->unit, err);
}
