/* SPDX-License-Identifier: Apache-2.0 */
/* Starting hull-registry, and asking it. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/fd.h"
#include "base/io.h"
#include "base/proc.h"
#include "registry/registry.h"

struct registry {
	int socket;
	pid_t pid;
};

static int start(const struct registry_target *target, int theirs, pid_t *ret, struct err *err)
{
	AUTO_FREE char *program = NULL;
	char fd[16];

	int r = program_path("hull-registry", &program, err);
	if (r < 0)
		return r;
	(void)snprintf(fd, sizeof(fd), "%d", theirs);
	const char *const argv[] = {program,
				    "serve",
				    fd,
				    target->write ? "write" : "read",
				    target->no_verify ? "any" : "verified",
				    target->host,
				    target->repository,
				    NULL};
	pid_t pid = proc_spawn(&(struct spawn){.argv = argv,
					       .in = -1,
					       .out = -1,
					       .err = STDERR_FILENO,
					       .keep = &theirs,
					       .n_keep = 1},
			       err);
	*ret = pid;
	return pid < 0 ? pid : 0;
}

int registry_open(const struct registry_target *target, struct registry **ret, struct err *err)
{
	AUTO(auto_registry_close) struct registry *r = calloc(1, sizeof(*r));
	int ends[2];

	if (!r)
		return err_set(err, ENOMEM, "out of memory");
	r->socket = -1;
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) < 0)
		return err_sys(err, "create a socket pair");
	r->socket = ends[0];
	AUTO_CLOSE int theirs = ends[1];
	int started = start(target, theirs, &r->pid, err);
	if (started < 0)
		return started;
	*ret = TAKE_PTR(r);
	return 0;
}

void registry_close(struct registry *r)
{
	struct err ignored = ERR_INIT; /* how it ends is of no interest */

	if (!r)
		return;
	auto_close(&r->socket);
	if (r->pid > 0)
		(void)!proc_wait(r->pid, &ignored);
	free(r);
}

static int make_pipe(int *ret_from, int *ret_to, struct err *err)
{
	int ends[2];

	if (pipe2(ends, O_CLOEXEC) < 0)
		return err_sys(err, "create pipe");
	*ret_from = ends[0];
	*ret_to = ends[1];
	return 0;
}

int registry_ask(struct registry *r, const char *what, int give, struct registry_call *ret,
		 struct err *err)
{
	enum { PIPE_BYTES = 1 << 20 };
	AUTO(registry_call_done) struct registry_call call = REGISTRY_CALL_INIT;
	AUTO_CLOSE int data = -1;
	AUTO_CLOSE int answer = -1;

	int made = make_pipe(&call.answer, &answer, err);
	if (made == 0 && give < 0)
		made = make_pipe(&call.data, &data, err);
	if (made < 0)
		return made;
	if (give < 0) /* fewer turns between the two; the default size will do as well */
		(void)fcntl(data, F_SETPIPE_SZ, PIPE_BYTES);
	const int fds[] = {give < 0 ? data : give, answer};
	if (fd_send(r->socket, what, strlen(what), fds, 2, 0) < 0)
		return err_sys(err, "ask hull-registry");
	*ret = (struct registry_call){TAKE_FD(call.data), TAKE_FD(call.answer)};
	return 0;
}

int registry_answer(struct registry_call *call, char ret[REGISTRY_LINE], struct err *err)
{
	char line[REGISTRY_LINE] = "";
	const char *text = NULL;

	ssize_t n = read_upto(call->answer, line, sizeof(line) - 1, "hull-registry's answer", err);
	if (n < 0)
		return (int)n;
	line[n] = '\0';
	if (strcmp(line, "ok") == 0 || str_prefix(line, "ok ", &text)) {
		(void)snprintf(ret, REGISTRY_LINE, "%s", text ? text : "");
		return 0;
	}
	if (str_prefix(line, "error ", &text)) {
		char *words = NULL;
		long code = strtol(text, &words, 10);
		if (code > 0 && code < 4096 && *words == ' ')
			return err_set(err, (int)code, "%s", words + 1);
	}
	return err_set(err, EIO, "hull-registry ended without an answer");
}

void registry_call_done(struct registry_call *call)
{
	auto_close(&call->data);
	auto_close(&call->answer);
}

int registry_document(struct registry *r, const char *what, size_t max, struct buf *to,
		      char ret[REGISTRY_LINE], struct err *err)
{
	AUTO(registry_call_done) struct registry_call call = REGISTRY_CALL_INIT;
	enum { STEP = 1 << 16 };

	int asked = registry_ask(r, what, -1, &call, err);
	if (asked < 0)
		return asked;
	for (;;) {
		char *at = buf_reserve(to, STEP);
		if (!at)
			return buf_check(to, err);
		ssize_t n = read_upto(call.data, at, STEP, "a registry's document", err);
		if (n < 0)
			return (int)n;
		if (n == 0)
			return registry_answer(&call, ret, err);
		to->len += (size_t)n;
		to->data[to->len] = '\0';
		if (to->len > max)
			return err_set(err, EFBIG, "more than %zu bytes", max);
	}
}

int registry_text(const char *text, struct err *err)
{
	AUTO_CLOSE int fd = memfd_create("document", MFD_CLOEXEC);

	if (fd < 0)
		return err_sys(err, "make a file in memory");
	int r = write_all(fd, text, strlen(text), "a file in memory", err);
	if (r == 0 && lseek(fd, 0, SEEK_SET) < 0)
		r = err_sys(err, "rewind");
	return r < 0 ? r : TAKE_FD(fd);
}

int registry_run(const struct strv *args, struct err *err)
{
	AUTO_STRV struct strv argv = {0};
	AUTO_FREE char *program = NULL;

	int r = program_path("hull-registry", &program, err);
	if (r == 0)
		r = strv_add(&argv, program, err);
	if (r == 0)
		r = strv_add_all(&argv, args, err);
	if (r < 0)
		return r;
	pid_t pid = proc_spawn(&(struct spawn){.argv = (const char *const *)argv.v,
					       .in = STDIN_FILENO,
					       .out = STDOUT_FILENO,
					       .err = STDERR_FILENO},
			       err);
	return pid < 0 ? pid : proc_wait(pid, err);
}
