/* SPDX-License-Identifier: Apache-2.0 */
/*
 * restore: a container is made of an image by criu. Its cgroups are made here, and criu enters them
 * before it makes the processes. criu wants the new root to be a mount: it is one in a mount
 * namespace of criu's own, so that nothing of it is seen, or left, on the host. The folders that
 * criu is given are opened in there too: it mounts below them.
 */
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/fd.h"
#include "base/path.h"
#include "oci/criu.h"
#include "oci/image.h"
#include "oci/oci.h"

enum { STREAMS = 3, KEEP_MAX = STREAMS + 2 };

struct restoring {
	struct oci *oci;
	const struct oci_state *state;
	struct buf opts;
	int keep[KEEP_MAX]; /* what criu inherits */
	size_t n_keep;
	pid_t holder; /* of its scope, or 0 */
	int stage; /* criu's mount namespace */
	int master; /* of its terminal, or -1 */
};

static void auto_restoring(struct restoring *r)
{
	while (r->n_keep > 0)
		auto_close(&r->keep[--r->n_keep]);
	auto_close(&r->stage);
	auto_close(&r->master);
	buf_done(&r->opts);
}

/* Gives criu `fd` (taken) in the place of what the image calls `key`. */
static void inherit(struct restoring *r, const char *key, int fd)
{
	r->keep[r->n_keep++] = fd;
	criu_fd_pair(&r->opts, CRIU_INHERIT_FD, key, fd);
}

/* Our own streams take the place of those that led outside. */
static int put_streams(struct restoring *r, const struct image *image, struct err *err)
{
	static const char *const outside[] = {"pipe:[", "socket:[", "file["};
	AUTO_STRV struct strv streams = {0};
	int result = image_read_streams(image, &streams, err);

	for (int i = 0; i < STREAMS && result == 0; i++) {
		bool is = false;
		for (size_t o = 0; o < sizeof(outside) / sizeof(outside[0]); o++)
			is |= str_prefix(streams.v[i], outside[o], NULL);
		if (!is)
			continue;
		int fd = fcntl(i, F_DUPFD_CLOEXEC, STREAMS);
		if (fd < 0)
			result = err_sys(err, "duplicate stream %d", i);
		else
			inherit(r, streams.v[i], fd);
	}
	return result;
}

static int put_joins(struct restoring *r, struct err *err)
{
	const struct plan_join *j = r->state->plan.joins.items;

	for (size_t i = 0; i < r->state->plan.joins.n; i++) {
		const char *name = NULL;
		bool whole = j[i].type == CLONE_NEWNET || j[i].type == CLONE_NEWPID;
		int result = image_namespace(j[i].type, &name, err);
		if (result < 0)
			return result;
		if (!whole) {
			criu_text_pair(&r->opts, CRIU_JOIN_NS, name, j[i].path);
			continue;
		}
		int fd = r->n_keep < KEEP_MAX ? open(j[i].path, O_RDONLY | O_CLOEXEC) : -1;
		if (fd < 0)
			return err_sys(err, "open namespace '%s'", j[i].path);
		inherit(r, j[i].type == CLONE_NEWNET ? IMAGE_EXTERNAL_NET : IMAGE_EXTERNAL_PID, fd);
	}
	return 0;
}

static void put_mounts(struct restoring *r)
{
	const struct plan *plan = &r->state->plan;
	const struct plan_mount *m = plan->mounts.items;
	const struct plan_device *node = plan->limits.devices.items;

	for (size_t i = 0; i < IMAGE_DEVICES; i++)
		criu_text_pair(&r->opts, CRIU_EXT_MOUNT, image_devices[i], image_devices[i]);
	for (size_t i = 0; i < plan->limits.devices.n; i++) {
		if (node[i].path)
			criu_text_pair(&r->opts, CRIU_EXT_MOUNT, node[i].path, node[i].path);
	}
	for (size_t i = 0; i < plan->mounts.n; i++) {
		if (m[i].type && strcmp(m[i].type, "bind") == 0)
			criu_text_pair(&r->opts, CRIU_EXT_MOUNT, m[i].target, m[i].source);
	}
	for (size_t i = 0; i < plan->masked.n; i++)
		criu_text_pair(&r->opts, CRIU_EXT_MOUNT, plan->masked.v[i], "/dev/null");
}

/* Whether another mount of the plan covers the folder that `target` is in: what is there comes with
 * the image. */
static bool is_below_another(const struct plan *plan, const char *target)
{
	const struct plan_mount *m = plan->mounts.items;

	for (size_t i = 0; i < plan->mounts.n; i++) {
		const char *rest = NULL;
		if (str_prefix(target, m[i].target, &rest) && *rest == '/')
			return true;
	}
	return false;
}

static int make_target(int root, const struct plan_mount *m, struct err *err)
{
	struct stat st;
	struct err missing = ERR_INIT; /* then it is made */
	AUTO_CLOSE int there = path_open_in(root, m->target, O_PATH, 0, &missing);

	if (there >= 0)
		return 0;
	bool folder = !m->type || strcmp(m->type, "bind") != 0 || stat(m->source, &st) < 0 ||
		      S_ISDIR(st.st_mode);
	if (folder) {
		AUTO_CLOSE int made = path_mkdir_in(root, m->target, 0755, err);
		return made < 0 ? made : 0;
	}
	AUTO_FREE char *parent = strndup(m->target, (size_t)(strrchr(m->target, '/') - m->target));
	if (!parent)
		return err_set(err, ENOMEM, "out of memory");
	AUTO_CLOSE int in = path_mkdir_in(root, *parent ? parent : "/", 0755, err);
	if (in < 0)
		return in;
	AUTO_CLOSE int made = openat(in, strrchr(m->target, '/') + 1,
				     O_CREAT | O_NOFOLLOW | O_RDONLY | O_NONBLOCK | O_CLOEXEC,
				     0644);
	return made < 0 ? err_sys(err, "make '%s'", m->target) : 0;
}

/* A root that is restored elsewhere may lack what was mounted on: create made it there. */
static int make_targets(const struct plan *plan, struct err *err)
{
	const struct plan_mount *m = plan->mounts.items;
	AUTO_CLOSE int root = open(plan->root.path, O_PATH | O_DIRECTORY | O_CLOEXEC);
	int r = root < 0 ? err_sys(err, "root '%s'", plan->root.path) : 0;

	for (size_t i = 0; i < plan->mounts.n && r == 0; i++) {
		if (!is_below_another(plan, m[i].target))
			r = make_target(root, &m[i], err);
	}
	return r;
}

/* Makes this process's mount namespace the one that criu will have. */
static int furnish(const struct restoring *r, struct image *ret, struct err *err)
{
	const char *root = r->state->plan.root.path;

	if (mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0)
		return err_sys(err, "make a mount namespace for criu private");
	if (mount(root, root, NULL, MS_BIND | MS_REC, NULL) < 0)
		return err_sys(err, "bind root '%s'", root);
	return image_open(r->oci, 0, ret, err);
}

/* Makes criu's mount namespace and opens the image in it. This process is where it was, after: its
 * hooks belong to the host. */
static int make_stage(struct restoring *r, struct image *ret, struct err *err)
{
	AUTO_CLOSE int home = open("/proc/self/ns/mnt", O_RDONLY | O_CLOEXEC);
	AUTO_CLOSE int cwd = open(".", O_PATH | O_DIRECTORY | O_CLOEXEC);

	if (home < 0 || cwd < 0)
		return err_sys(err, "open the own mount namespace");
	if (unshare(CLONE_NEWNS) < 0)
		return err_sys(err, "make a mount namespace for criu");
	int result = furnish(r, ret, err);
	r->stage = open("/proc/self/ns/mnt", O_RDONLY | O_CLOEXEC);
	if (result == 0 && r->stage < 0)
		result = err_sys(err, "open criu's mount namespace");
	if (setns(home, CLONE_NEWNS) < 0 || fchdir(cwd) < 0)
		return err_sys(err, "go back to the own mount namespace");
	return result;
}

/* In the process that becomes criu. */
static int prepare(void *ctx, struct err *err)
{
	const struct restoring *r = ctx;
	int result = container_join(&r->state->plan, err);

	if (result == 0 && setns(r->stage, CLONE_NEWNS) < 0)
		result = err_sys(err, "enter criu's mount namespace");
	return result;
}

static int notice(void *ctx, const char *what, pid_t pid, int fd, struct err *err)
{
	struct restoring *r = ctx;
	const struct plan *plan = &r->state->plan;

	if (strcmp(what, "orphan-pts-master") == 0) {
		auto_close(&r->master);
		r->master = fcntl(fd, F_DUPFD_CLOEXEC, STREAMS);
		return r->master < 0 ? err_sys(err, "take the terminal") : 0;
	}
	if (strcmp(what, "setup-namespaces") != 0)
		return 0;
	int result = container_hooks(plan, HOOK_PRESTART, pid, "creating", &r->oci->caller, err);
	return result < 0 ? result
			  : container_hooks(plan, HOOK_CREATE_RUNTIME, pid, "creating",
					    &r->oci->caller, err);
}

static int describe(struct restoring *r, const struct image *image, struct err *err)
{
	const struct oci_options *o = &r->oci->options;
	AUTO_FREE char *cgroup = NULL;
	int result = image_options(r->oci, image, &r->opts, err);

	if (result == 0)
		result = put_streams(r, image, err);
	if (result == 0)
		result = put_joins(r, err);
	if (result < 0)
		return result;
	put_mounts(r);
	if (asprintf(&cgroup, "/%s", r->state->plan.cgroup) < 0) {
		cgroup = NULL;
		return err_set(err, ENOMEM, "out of memory");
	}
	criu_cgroup_root(&r->opts, cgroup);
	criu_text(&r->opts, CRIU_ROOT, r->state->plan.root.path);
	criu_number(&r->opts, CRIU_SIBLING, 1);
	criu_number(&r->opts, CRIU_ORPHAN_MASTER, 1);
	if (o->lsm_profile)
		criu_text(&r->opts, CRIU_LSM_PROFILE, o->lsm_profile);
	if (o->lsm_mount_context)
		criu_text(&r->opts, CRIU_LSM_MOUNT_CONTEXT, o->lsm_mount_context);
	return 0;
}

/* Has criu make the processes; returns the first one's pid. */
static pid_t bring_back(struct restoring *r, struct err *err)
{
	const struct plan *plan = &r->state->plan;
	AUTO_IMAGE struct image image = {-1, -1};
	int result = make_targets(plan, err);

	if (result == 0)
		result = make_stage(r, &image, err);
	if (result == 0)
		result = describe(r, &image, err);
	if (result == 0)
		result = container_place(plan, r->holder, &r->oci->caller, err);
	if (result < 0)
		return result;
	pid_t pid = criu_run(
		&(struct criu_call){
			.request = CRIU_RESTORE,
			.opts = &r->opts,
			.work = image.work,
			.log = "restore.log",
			.keep = r->keep,
			.n_keep = r->n_keep,
			.prepare = prepare,
			.notify = notice,
			.ctx = r,
		},
		err);
	return pid == 0 ? err_set(err, EPROTO, "criu: told no pid") : pid;
}

static int restore_into(struct oci *oci, struct oci_state *state, int folder, pid_t holder,
			int *ret_master, struct err *err)
{
	AUTO(auto_restoring)
	struct restoring r = {
		.oci = oci, .state = state, .holder = holder, .stage = -1, .master = -1};
	int result = oci_record_place(state, folder, err);

	if (result < 0)
		return result;
	pid_t pid = bring_back(&r, err);
	if (pid < 0)
		return pid;
	result = oci_record_process(oci, state, folder, pid, err);
	if (result == 0 && r.master >= 0 && oci->options.console_socket)
		result = oci_send_console(oci->options.console_socket, r.master, err);
	else if (result == 0)
		*ret_master = TAKE_FD(r.master);
	return result;
}

int oci_restore(struct oci *oci, struct err *err)
{
	struct oci_state state = {.created_ns = 0};
	int master = -1;
	int folder = -1;

	int r = oci_make(oci, restore_into, &state, &folder, &master, err);
	if (r < 0)
		return err_wrap(err, "restore");
	r = oci_attend(oci, &state, folder, master, 0, err);
	record_done(&oci_state_record, &state);
	return r;
}
