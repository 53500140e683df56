/* SPDX-License-Identifier: Apache-2.0 */
/* checkpoint: a container is written into an image by criu, and (but for --leave-running) removed.
 * What it has of outside is named for criu, so that restore can put something else in its place. */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/fd.h"
#include "base/io.h"
#include "base/path.h"
#include "oci/criu.h"
#include "oci/image.h"
#include "oci/oci.h"

enum { PROC_BYTES_MAX = 16 << 20, STREAMS = 3 };

/* One container being written. */
struct dump {
	const struct oci *oci;
	const struct plan *plan;
	pid_t pid; /* of its first process */
	int root; /* as that one sees it */
	struct buf mounts; /* its mountinfo, behind a newline */
	struct strv streams;
	struct buf opts;
};

static void auto_dump(struct dump *d)
{
	auto_close(&d->root);
	buf_done(&d->mounts);
	buf_done(&d->opts);
	strv_done(&d->streams);
}

/* A mount of outside at `path`, which criu knows by where it really is: links were followed. */
static int put_mount(struct dump *d, const char *path, bool folders, struct err *err)
{
	char link[32];
	char real[4096];
	struct stat st;
	struct err missing = ERR_INIT; /* a path to mask need not be there */
	AUTO_CLOSE int at = path_open_in(d->root, path, O_PATH, 0, &missing);

	if (at < 0 || fstat(at, &st) < 0 || (!folders && S_ISDIR(st.st_mode)))
		return 0;
	(void)snprintf(link, sizeof(link), "/proc/self/fd/%d", at);
	ssize_t n = readlink(link, real, sizeof(real) - 1);
	if (n < 0)
		return err_sys(err, "find '%s'", path);
	real[n] = '\0';
	criu_text_pair(&d->opts, CRIU_EXT_MOUNT, real, path);
	return 0;
}

static int put_mounts(struct dump *d, struct err *err)
{
	const struct plan_mount *m = d->plan->mounts.items;
	const struct plan_device *node = d->plan->limits.devices.items;
	int r = 0;

	for (size_t i = 0; i < IMAGE_DEVICES && r == 0; i++)
		r = put_mount(d, image_devices[i], false, err);
	for (size_t i = 0; i < d->plan->limits.devices.n && r == 0; i++)
		r = node[i].path ? put_mount(d, node[i].path, false, err) : 0;

	for (size_t i = 0; i < d->plan->mounts.n && r == 0; i++) {
		if (m[i].type && strcmp(m[i].type, "bind") == 0)
			r = put_mount(d, m[i].target, true, err);
	}
	for (size_t i = 0; i < d->plan->masked.n && r == 0; i++)
		r = put_mount(d, d->plan->masked.v[i], false, err);
	return r;
}

/* Namespaces of others stay theirs. */
static int put_joins(struct dump *d, struct err *err)
{
	const struct plan_join *j = d->plan->joins.items;

	for (size_t i = 0; i < d->plan->joins.n; i++) {
		const char *name = NULL;
		char path[64];
		char text[96];
		struct stat st;
		int r = image_namespace(j[i].type, &name, err);
		if (r < 0)
			return r;
		if (j[i].type != CLONE_NEWNET && j[i].type != CLONE_NEWPID)
			continue;
		(void)snprintf(path, sizeof(path), "/proc/%d/ns/%s", d->pid, name);
		if (stat(path, &st) < 0)
			return err_sys(err, "look at '%s'", path);
		(void)snprintf(text, sizeof(text), "%s[%ju]:%s", name, (uintmax_t)st.st_ino,
			       j[i].type == CLONE_NEWNET ? IMAGE_EXTERNAL_NET : IMAGE_EXTERNAL_PID);
		criu_text(&d->opts, CRIU_EXTERNAL, text);
	}
	return 0;
}

/* The number of the mount that stream i is on, when it is none of the container's; else -1. */
static int64_t mount_outside(const struct dump *d, int i)
{
	AUTO_BUF struct buf text = BUF_INIT;
	struct err ignored = ERR_INIT; /* gone meanwhile: criu says so */
	char path[64];
	char line[32];

	(void)snprintf(path, sizeof(path), "/proc/%d/fdinfo/%d", d->pid, i);
	if (file_read(AT_FDCWD, path, PROC_BYTES_MAX, &text, &ignored) < 0 || !text.data)
		return -1;
	const char *at = strstr(text.data, "mnt_id:");
	if (!at)
		return -1;
	long id = strtol(at + strlen("mnt_id:"), NULL, 10);
	(void)snprintf(line, sizeof(line), "\n%ld ", id);
	return d->mounts.data && strstr(d->mounts.data, line) ? -1 : id;
}

/* What stream i is: see image.h. criu is told of what it would not take otherwise. */
static int put_stream(struct dump *d, int i, struct err *err)
{
	char path[64];
	char target[4096];
	char name[64];
	struct stat st;

	(void)snprintf(path, sizeof(path), "/proc/%d/fd/%d", d->pid, i);
	ssize_t n = readlink(path, target, sizeof(target) - 1);
	if (n < 0 && errno == ENOENT)
		return strv_add(&d->streams, "", err);
	if (n < 0 || stat(path, &st) < 0)
		return err_sys(err, "look at stream %d", i);
	target[n] = '\0';
	if (S_ISSOCK(st.st_mode)) {
		(void)snprintf(name, sizeof(name), "unix[%ju]", (uintmax_t)st.st_ino);
		criu_text(&d->opts, CRIU_EXTERNAL, name);
	}
	int64_t mount = S_ISREG(st.st_mode) ? mount_outside(d, i) : -1;
	if (mount < 0)
		return strv_add(&d->streams, target, err);
	(void)snprintf(name, sizeof(name), "file[%" PRIx64 ":%jx]", (uint64_t)mount,
		       (uintmax_t)st.st_ino);
	criu_text(&d->opts, CRIU_EXTERNAL, name);
	return strv_add(&d->streams, name, err);
}

static int open_container(struct dump *d, struct err *err)
{
	char path[64];

	(void)snprintf(path, sizeof(path), "/proc/%d/root", d->pid);
	d->root = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (d->root < 0)
		return err_sys(err, "open the container's root");
	(void)snprintf(path, sizeof(path), "/proc/%d/mountinfo", d->pid);
	buf_str(&d->mounts, "\n");
	return file_read(AT_FDCWD, path, PROC_BYTES_MAX, &d->mounts, err);
}

static int put_freezer(struct dump *d, struct err *err)
{
	AUTO_FREE char *freezer = NULL;
	int r = container_freezer(d->plan, &freezer, err);

	if (r == 0 && freezer)
		criu_text(&d->opts, CRIU_FREEZE_CGROUP, freezer);
	return r;
}

static int put_chain(const struct oci_options *o, struct buf *opts, struct err *err)
{
	if (o->pre_dump || o->parent_path)
		criu_number(opts, CRIU_TRACK_MEMORY, 1);
	if (!o->parent_path)
		return 0;
	if (o->parent_path[0] == '/')
		return err_set(err, EINVAL,
			       "--parent-path: '%s' must be relative to the image's folder",
			       o->parent_path);
	criu_text(opts, CRIU_PARENT_IMAGE, o->parent_path);
	return 0;
}

static int describe(struct dump *d, const struct image *image, struct err *err)
{
	const struct oci_options *o = &d->oci->options;
	int r = image_options(d->oci, image, &d->opts, err);

	if (r == 0)
		r = put_chain(o, &d->opts, err);
	if (r == 0)
		r = open_container(d, err);
	if (r == 0)
		r = put_freezer(d, err);
	if (r == 0)
		r = put_mounts(d, err);
	if (r == 0)
		r = put_joins(d, err);
	for (int i = 0; i < STREAMS && r == 0; i++)
		r = put_stream(d, i, err);
	if (r < 0)
		return r;
	criu_number(&d->opts, CRIU_PID, (uint64_t)d->pid);
	criu_text(&d->opts, CRIU_ROOT, d->plan->root.path);
	criu_number(&d->opts, CRIU_ORPHAN_MASTER, 1);
	if (o->leave_running)
		criu_number(&d->opts, CRIU_LEAVE_RUNNING, 1);
	return 0;
}

/* --status-fd, which criu writes to when its page server listens. */
static int status_fd(const struct oci *oci, int *ret, struct err *err)
{
	int64_t fd = -1;
	int r = oci->options.status_fd
			? parse_int(oci->options.status_fd, 3, 1024, "--status-fd", &fd, err)
			: 0;

	if (r == 0 && fd >= 0 && fcntl((int)fd, F_GETFD) < 0)
		r = err_sys(err, "--status-fd: descriptor %d", (int)fd);
	*ret = (int)fd;
	return r;
}

/* criu looks into it as the root of the container's user namespace, too; its files are root's. */
static mode_t folder_mode(const struct plan *plan)
{
	return plan->namespaces & CLONE_NEWUSER ? 0711 : 0700;
}

static int dump(const struct oci *oci, const struct oci_state *state, pid_t pid, struct err *err)
{
	AUTO(auto_dump)
	struct dump d = {.oci = oci, .plan = &state->plan, .pid = pid, .root = -1};
	AUTO_IMAGE struct image image = {-1, -1};
	int status = -1;

	int r = status_fd(oci, &status, err);
	if (r == 0)
		r = image_open(oci, folder_mode(d.plan), &image, err);
	if (r == 0)
		r = describe(&d, &image, err);
	if (r == 0 && !oci->options.pre_dump)
		r = image_write_streams(&image, &d.streams, err);
	if (r < 0)
		return r;
	if (status >= 0)
		criu_number(&d.opts, CRIU_STATUS_FD, (uint64_t)status);
	r = criu_run(
		&(struct criu_call){
			.request = oci->options.pre_dump ? CRIU_PRE_DUMP : CRIU_DUMP,
			.opts = &d.opts,
			.work = image.work,
			.log = "dump.log",
			.keep = &status,
			.n_keep = status >= 0,
		},
		err);
	return r < 0 ? r : 0;
}

int oci_checkpoint(struct oci *oci, struct err *err)
{
	struct oci_state state = {.created_ns = 0};
	pid_t pid = 0;
	AUTO_CLOSE int folder = oci_open(oci, true, &state, err);

	if (folder < 0)
		return folder;
	oci_describe(oci, &state);
	enum oci_status status = oci_status_of(&state, folder, &pid);
	int r = status == OCI_RUNNING || status == OCI_PAUSED
			? dump(oci, &state, pid, err)
			: err_set(err, EINVAL,
				  "container '%s' is %s: only one that runs can be "
				  "checkpointed",
				  state.id, oci_status_name(status));
	if (r < 0)
		r = err_wrap(err, "checkpoint");
	else if (!oci->options.leave_running && !oci->options.pre_dump)
		r = oci_remove(oci, &state, err);
	record_done(&oci_state_record, &state);
	return r;
}
