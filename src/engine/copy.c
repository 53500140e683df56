/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Copying between the host and a running workload. Inside, hull's own code reads and writes the
 * files (container/builtin.c), so that no path of the workload's is ever walked on the host; what
 * crosses is a tar stream, judged by whoever unpacks it.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/archive.h"
#include "base/buf.h"
#include "base/err.h"
#include "base/fd.h"
#include "base/io.h"
#include "base/path.h"
#include "container/container.h"
#include "engine/build.h"
#include "engine/control_client.h"
#include "engine/internal.h"

enum { SAID_MAX = 4096 };

/* One builtin at work inside. */
struct helper {
	int ctl;
	int data; /* our end of its standard input or output */
	int said; /* reading end of its standard error */
};

static void helper_done(struct helper *h)
{
	auto_close(&h->ctl);
	auto_close(&h->data);
	auto_close(&h->said);
}

static int fill_process(struct engine *e, const struct workload *w, bool in, const char *path,
			const char *how, struct plan_process *ret, struct err *err)
{
	struct plan plan = {0};

	int r = workload_read_plan(e, w->id, &plan, err);
	if (r == 0)
		r = set_str(&ret->builtin, in ? "archive-in" : "archive-out", err);
	if (r == 0)
		r = strv_add(&ret->args, path, err);
	if (r == 0 && how)
		r = strv_add(&ret->args, how, err);
	if (r == 0 && plan.process.seccomp.len > 0)
		r = bytes_set(&ret->seccomp, plan.process.seccomp.data, plan.process.seccomp.len,
			      err);
	process_privileges(ret, plan.process.cap_bounding);
	record_done(&plan_record, &plan);
	return r;
}

/* Sends the request with one end of two pipes. */
static int begin(struct helper *h, struct control_request *q, bool in, struct err *err)
{
	struct control_reply reply;
	int data[2];
	int said[2];

	if (pipe2(data, O_CLOEXEC) < 0)
		return err_sys(err, "create pipe");
	AUTO_CLOSE int theirs = data[in ? 0 : 1];
	h->data = data[in ? 1 : 0];
	if (pipe2(said, O_CLOEXEC) < 0)
		return err_sys(err, "create pipe");
	AUTO_CLOSE int complaint = said[1];
	h->said = said[0];
	q->streams = (in ? STREAM_IN : STREAM_OUT) | STREAM_ERR;
	int r = control_ask(h->ctl, q, (const int[]){theirs, complaint}, 2, &reply, err);
	if (r == 0)
		record_done(&control_reply_record, &reply);
	return r;
}

/* `how`: a builtin's second word, or NULL. */
static int helper_start(struct engine *e, const struct workload *w, bool in, const char *path,
			const char *how, struct helper *h, struct err *err)
{
	struct control_request q = {.verb = CONTROL_EXEC, .number = 1};

	h->ctl = keeper_connect(e, w, err);
	if (h->ctl < 0)
		return h->ctl;
	int r = fill_process(e, w, in, path, how, &q.exec, err);
	if (r == 0)
		r = begin(h, &q, in, err);
	record_done(&plan_process_record, &q.exec);
	return r;
}

/* Waits for its end; what it complained about is the error, and goes before our own (a broken pipe
 * says less). */
static int helper_end(struct helper *h, int r, struct err *err)
{
	struct control_reply reply;
	struct err gone = ERR_INIT;
	char said[SAID_MAX];

	auto_close(&h->data);
	int ended = control_receive(h->ctl, &reply, &gone);
	ssize_t n = ended == 0 ? read_upto(h->said, said, sizeof(said) - 1, "complaint", &gone) : 0;
	said[n > 0 ? n : 0] = '\0';
	said[strcspn(said, "\n")] = '\0';
	if (ended < 0)
		return r < 0 ? r : err_set(err, gone.code, "%s", gone.msg);
	uint32_t status = reply.exit.status;
	record_done(&control_reply_record, &reply);
	if (status != 0 && (r == 0 || r == -EPIPE || r == -EBADMSG)) {
		*err = ERR_INIT;
		return err_set(err, EIO, "%s", said[0] ? said : "it was killed");
	}
	return r;
}

/* Bytes as they are, until the end. */
static int pass_on(int from, int to, struct err *err)
{
	char chunk[8192];
	ssize_t n;

	while ((n = read(from, chunk, sizeof(chunk))) != 0) {
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return err_sys(err, "read the archive");
		int r = write_all(to, chunk, (size_t)n, "the archive", err);
		if (r < 0)
			return r;
	}
	return 0;
}

/* A path of the caller's, absolute, for use below a handle of "/". Keeps an ending "/.". */
static int absolute(const char *path, char **ret, struct err *err)
{
	char cwd[PATH_MAX];

	if (!getcwd(cwd, sizeof(cwd)))
		return err_sys(err, "read the working folder");
	*ret = path_join(cwd, path);
	return *ret ? 0 : err_set(err, ENOMEM, "out of memory");
}

static int host_root(const char *path, char **ret_path, struct err *err)
{
	int r = absolute(path, ret_path, err);

	if (r < 0)
		return r;
	int fd = open("/", O_PATH | O_DIRECTORY | O_CLOEXEC);
	return fd < 0 ? err_sys(err, "open '/'") : fd;
}

int workload_copy_out(struct engine *e, const struct workload *w, const char *from, const char *to,
		      bool owners, struct err *err)
{
	AUTO(helper_done) struct helper h = {-1, -1, -1};
	AUTO_FREE char *path = NULL;

	AUTO_CLOSE int root = host_root(to, &path, err);
	if (root < 0)
		return root;
	int r = helper_start(e, w, false, from, NULL, &h, err);
	if (r < 0)
		return r;
	if (strcmp(to, "-") == 0)
		r = pass_on(h.data, STDOUT_FILENO, err);
	else
		r = archive_read(h.data, root, path, owners, err);
	return helper_end(&h, r, err);
}

int workload_copy_in(struct engine *e, const struct workload *w, const char *from, const char *to,
		     bool owners, struct err *err)
{
	AUTO(helper_done) struct helper h = {-1, -1, -1};
	AUTO_FREE char *path = NULL;

	AUTO_CLOSE int root = host_root(from, &path, err);
	if (root < 0)
		return root;
	int r = helper_start(e, w, true, to, owners ? "owners" : NULL, &h, err);
	if (r < 0)
		return r;
	(void)sigaction(SIGPIPE, &(struct sigaction){.sa_handler = SIG_IGN}, NULL);
	if (strcmp(from, "-") == 0)
		r = pass_on(STDIN_FILENO, h.data, err);
	else
		r = archive_write(root, path, h.data, false, err);
	return helper_end(&h, r, err);
}

static int export_running(struct engine *e, const struct workload *w, int out, struct err *err)
{
	AUTO(helper_done) struct helper h = {-1, -1, -1};

	int r = helper_start(e, w, false, "/.", "one-file-system", &h, err);
	if (r == 0)
		r = pass_on(h.data, out, err);
	return h.ctl < 0 ? r : helper_end(&h, r, err);
}

/* Its root is mounted for it: the lock that the caller holds keeps it from being started. */
static int export_stopped(struct engine *e, const struct workload *w, int out, struct err *err)
{
	struct plan plan = {0};

	int r = workload_read_plan(e, w->id, &plan, err);
	AUTO_CLOSE int layers = r < 0 ? r : engine_layers(e, err);
	AUTO_CLOSE int scratch = layers < 0 ? layers : workload_run_folder(e, w->id, true, err);
	AUTO_CLOSE int root = scratch < 0 ? scratch
					  : container_root(&plan.root, false, layers, scratch, err);
	record_done(&plan_record, &plan);
	if (root < 0)
		return root;
	return archive_write(root, "/.", out, true, err);
}

int workload_export(struct engine *e, struct workload *w, int out, struct err *err)
{
	AUTO_CLOSE int lock = workload_is_running(w) ? -1 : workload_lock(e, w->id, true, err);

	(void)sigaction(SIGPIPE, &(struct sigaction){.sa_handler = SIG_IGN}, NULL);
	if (lock < 0)
		return workload_is_running(w) ? export_running(e, w, out, err) : lock;
	int r = workload_reload(e, w, err);
	if (r == 0)
		r = workload_fold_locked(e, w, err);
	if (r < 0)
		return r;
	if (w->vm)
		return err_set(
			err, ENOTSUP,
			"workload '%s': its files lie in a disk of its machine's; start it first",
			w->name);
	if (workload_is_running(w))
		return err_set(err, EBUSY, "workload '%s' was started meanwhile", w->name);
	return export_stopped(e, w, out, err);
}
