/* SPDX-License-Identifier: Apache-2.0 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/fd.h"
#include "base/io.h"
#include "base/json.h"
#include "base/path.h"
#include "base/proc.h"
#include "oci/oci.h"
#include "oci/start_socket.h"

enum { STATE_BYTES_MAX = 32 << 20, ID_MAX = 1024 };

static const struct field oci_state_fields[] = {
	FIELD(1, FIELD_STR, struct oci_state, id),
	FIELD(2, FIELD_STR, struct oci_state, bundle),
	FIELD(3, FIELD_STR, struct oci_state, process),
	FIELD(4, FIELD_U64, struct oci_state, created_ns),
	FIELD_OF(5, FIELD_RECORD, struct oci_state, plan, &plan_record),
	FIELD(6, FIELD_STR, struct oci_state, unit),
	FIELD(7, FIELD_STR, struct oci_state, slice),
};
const struct record oci_state_record = RECORD(oci_state, oci_state_fields);

/* Ids become file names and cgroup names (SECURITY R14). */
static int check_id(const char *id, struct err *err)
{
	static const char good[] =
		"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_+-.";
	size_t n = strspn(id, good);

	if (n == 0 || id[n] || n > ID_MAX || strcmp(id, ".") == 0 || strcmp(id, "..") == 0)
		return err_set(err, EINVAL,
			       "'%.64s' is no container id (letters, digits and _+-. make one)",
			       id);
	return 0;
}

static int lock_folder(int fd, const char *id, struct err *err)
{
	struct stat st;

	while (flock(fd, LOCK_EX) < 0) {
		if (errno != EINTR)
			return err_sys(err, "lock container '%s'", id);
	}
	if (fstat(fd, &st) < 0 || st.st_nlink == 0) /* whoever had it removed it */
		return err_set(err, ENOENT, "container '%s' does not exist", id);
	return 0;
}

int oci_folder_new(const struct oci *oci, const char *id, struct err *err)
{
	int r = check_id(id, err);

	if (r < 0)
		return r;
	if (mkdirat(oci->root_fd, id, 0700) < 0)
		return errno == EEXIST ? err_set(err, EEXIST, "container '%s' already exists", id)
				       : err_sys(err, "make the folder of container '%s'", id);
	AUTO_CLOSE int fd = openat(oci->root_fd, id,
				   O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0)
		return err_sys(err, "open the folder of container '%s'", id);
	r = lock_folder(fd, id, err);
	return r < 0 ? r : TAKE_FD(fd);
}

int oci_folder(const struct oci *oci, const char *id, bool lock, struct err *err)
{
	int r = check_id(id, err);

	if (r < 0)
		return r;
	AUTO_CLOSE int fd = openat(oci->root_fd, id,
				   O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0)
		return errno == ENOENT ? err_set(err, ENOENT, "container '%s' does not exist", id)
				       : err_sys(err, "open the folder of container '%s'", id);
	r = lock ? lock_folder(fd, id, err) : 0;
	return r < 0 ? r : TAKE_FD(fd);
}

int oci_folder_remove(const struct oci *oci, const char *id, struct err *err)
{
	return path_remove_all(oci->root_fd, id, err);
}

int oci_state_write(int folder, const struct oci_state *state, struct err *err)
{
	AUTO_BUF struct buf bytes = BUF_INIT;

	record_encode(&oci_state_record, state, &bytes);
	int r = buf_check(&bytes, err);
	return r < 0 ? r : file_replace(folder, "state", bytes.data, bytes.len, 0600, err);
}

int oci_state_read(int folder, const char *id, struct oci_state *ret, struct err *err)
{
	AUTO_BUF struct buf bytes = BUF_INIT;
	int r = file_read(folder, "state", STATE_BYTES_MAX, &bytes, err);

	if (r == 0)
		r = record_decode(&oci_state_record, bytes.data, bytes.len, ret, err);
	if (r == 0 && (!ret->id || strcmp(ret->id, id) != 0 || !ret->plan.cgroup)) {
		record_done(&oci_state_record, ret);
		r = err_set(err, EINVAL, "it is of another container");
	}
	return r < 0 ? err_wrap(err, "state of container '%s'", id) : 0;
}

int oci_open(const struct oci *oci, bool lock, struct oci_state *ret, struct err *err)
{
	AUTO_CLOSE int folder = oci_folder(oci, oci->words[0], lock, err);

	if (folder < 0)
		return folder;
	int r = oci_state_read(folder, oci->words[0], ret, err);
	return r < 0 ? r : TAKE_FD(folder);
}

static bool first_process(const struct oci_state *state, struct proc_id *ret)
{
	struct err ignored = ERR_INIT; /* none was written yet */

	return state->process && *state->process &&
	       proc_id_parse(state->process, ret, &ignored) == 0 && proc_alive(ret);
}

enum oci_status oci_status_of(const struct oci_state *state, int folder, pid_t *ret_pid)
{
	struct proc_id id = {.pid = 0};

	if (ret_pid)
		*ret_pid = 0;
	if (!state->process || !*state->process)
		return OCI_CREATING;
	if (!first_process(state, &id))
		return OCI_STOPPED;
	if (ret_pid)
		*ret_pid = id.pid;
	if (start_socket_waits(folder))
		return OCI_CREATED;
	return container_is_frozen(&state->plan) ? OCI_PAUSED : OCI_RUNNING;
}

const char *oci_status_name(enum oci_status status)
{
	static const char *const names[] = {
		[OCI_CREATING] = "creating", [OCI_CREATED] = "created", [OCI_RUNNING] = "running",
		[OCI_PAUSED] = "paused",     [OCI_STOPPED] = "stopped",
	};

	return names[status];
}

pid_t oci_first(const struct oci_state *state)
{
	struct proc_id id;

	return first_process(state, &id) ? id.pid : 0;
}

int oci_pidfd(const struct oci_state *state, struct err *err)
{
	struct proc_id id;
	struct err ignored = ERR_INIT; /* gone between the two looks */

	if (!first_process(state, &id))
		return err_set(err, ESRCH, "container not running");
	int fd = proc_open(&id, &ignored);
	return fd < 0 ? err_set(err, ESRCH, "container not running") : fd;
}

void oci_state_json(const struct oci_state *state, const char *key, const char *status, pid_t pid,
		    struct json_out *out)
{
	json_begin(out, key);
	json_put_str(out, "ociVersion", "1.2.0");
	json_put_str(out, "id", state->id);
	json_put_int(out, "pid", pid);
	json_put_str(out, "status", status);
	json_put_str(out, "bundle", state->bundle);
	json_put_str(out, "rootfs", state->plan.root.path);
	json_put_time(out, "created", state->created_ns);
	json_put_map(out, "annotations", &state->plan.annotations);
	json_put_str(out, "owner", "");
	json_end(out);
}

/* The caller of container/ is one command about one container. */
static const struct oci_state *described;

static void describe(void *ctx, pid_t pid, const char *status, struct buf *to)
{
	struct json_out out = JSON_OUT(to, false);

	oci_state_json(described, NULL, status, pid, &out);
}

static void describe_filter(void *ctx, pid_t first, pid_t pid, const struct plan_process *what,
			    struct buf *to)
{
	struct json_out out = JSON_OUT(to, false);

	json_begin(&out, NULL);
	json_put_str(&out, "ociVersion", "1.2.0");
	json_begin_array(&out, "fds");
	json_put_str(&out, NULL, "seccompFd");
	json_end_array(&out);
	json_put_int(&out, "pid", pid);
	if (what->seccomp_metadata)
		json_put_str(&out, "metadata", what->seccomp_metadata);
	oci_state_json(described, "state", first == pid ? "creating" : "running", first, &out);
	json_end(&out);
}

void oci_describe(struct oci *oci, const struct oci_state *state)
{
	described = state;
	oci->caller.describe = describe;
	oci->caller.describe_filter = describe_filter;
}
