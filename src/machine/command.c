/* SPDX-License-Identifier: Apache-2.0 */
#include "machine/command.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/err.h"
#include "base/fd.h"
#include "machine/driver.h"
#include "proto/plan.h"

void command_free(struct command *c)
{
	if (!c)
		return;
	strv_done(&c->argv);
	for (size_t i = 0; i < c->n_own; i++)
		auto_close(&c->own[i]);
	for (size_t i = 0; i < STREAMS; i++) {
		auto_close(&c->streams[i]);
		auto_close(&c->ours[i]);
	}
	auto_close(&c->complaints[0]);
	auto_close(&c->complaints[1]);
	free(c);
}

int command_new(int control_type, struct command **ret, struct err *err)
{
	AUTO(auto_command_free) struct command *c = calloc(1, sizeof(*c));

	if (!c)
		return err_set(err, ENOMEM, "out of memory");
	c->err = err;
	c->complaints[0] = c->complaints[1] = -1;
	for (size_t i = 0; i < STREAMS; i++)
		c->streams[i] = c->ours[i] = -1;
	for (size_t i = 0; i < STREAMS; i++) {
		int pair[2], type = i == STREAM_CONTROL ? control_type : SOCK_STREAM;
		if (socketpair(AF_UNIX, type | SOCK_CLOEXEC, 0, pair) < 0)
			return err_sys(err, "create socket pair");
		c->ours[i] = pair[0];
		c->streams[i] = pair[1];
	}
	if (pipe2(c->complaints, O_CLOEXEC) < 0)
		return err_sys(err, "create pipe");
	*ret = TAKE_PTR(c);
	return 0;
}

void command_arg(struct command *c, const char *fmt, ...)
{
	char *text = NULL;
	va_list ap;

	va_start(ap, fmt);
	int n = vasprintf(&text, fmt, ap);
	va_end(ap);
	if (n < 0)
		c->failed = err_set(c->err, ENOMEM, "out of memory");
	else if (c->failed == 0)
		c->failed = strv_add(&c->argv, text, c->err);
	free(n < 0 ? NULL : text);
}

void command_kernel_args(struct command *c, const char *fixed, const struct monitor_spec *spec)
{
	const char *own = spec->plan->machine.kernel_args;
	char cpus[32] = "";

	if (spec->cpus < spec->max_cpus)
		(void)snprintf(cpus, sizeof(cpus), " maxcpus=%u", spec->cpus);
	command_arg(c, "%s%s%s%s", fixed, cpus, own ? " " : "", own ? own : "");
}

void command_keep(struct command *c, int fd)
{
	if (c->n_fds == COMMAND_FDS_MAX) {
		c->failed = err_set(c->err, EMFILE, "the machine has too many disks");
		return;
	}
	c->fds[c->n_fds++] = fd;
}

void command_own(struct command *c, int fd)
{
	if (c->n_own == COMMAND_FDS_MAX)
		(void)close(fd);
	else
		c->own[c->n_own++] = fd;
}

int command_open(struct command *c, const char *path, int flags, const char *what)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC | flags);

	if (fd < 0) {
		c->failed = err_sys(c->err, "open %s '%s'", what, path);
		return -1;
	}
	command_own(c, fd);
	return fd;
}

int command_launch(struct command *c, const struct monitor_spec *spec, struct box box,
		   struct monitor *ret)
{
	if (c->failed < 0)
		return c->failed;
	box.argv = &c->argv;
	box.fds = c->fds;
	box.n_fds = c->n_fds;
	box.err = c->complaints[1];
	box.group = spec->group;
	box.powerless = true;
	pid_t pid = box_spawn(&box, &ret->pidfd, c->err);
	if (pid < 0)
		return pid;
	ret->pid = pid;
	ret->console = TAKE_FD(c->ours[STREAM_CONSOLE]);
	ret->channel = TAKE_FD(c->ours[STREAM_CHANNEL]);
	ret->control = TAKE_FD(c->ours[STREAM_CONTROL]);
	ret->complaints = TAKE_FD(c->complaints[0]);
	return 0;
}
