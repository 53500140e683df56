/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/session.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <termios.h>
#include <unistd.h>

#include "base/err.h"
#include "base/fd.h"
#include "base/io.h"
#include "engine/control_client.h"
#include "engine/detach.h"
#include "engine/internal.h"

enum {
	CHUNK = 65536,
	NUMBER_BEGIN = 1, /* ATTACH, EXEC */
	NUMBER_WAIT = 2,
	NUMBER_ASIDE = 3, /* RESIZE, SIGNAL: nobody looks at the answer */
	KILLED_STATUS = 137
};

struct session {
	struct session_config config;
	int peer; /* the keeper's end of the pair, until it was sent */
	int pump; /* ours; -1: none */
	bool pump_out; /* the terminal's output may still come */
	int signal_fd;
	sigset_t old_mask;
	bool raw; /* old_tio must be put back */
	struct termios old_tio;
	struct detach detach;

	char typed[CHUNK]; /* read from standard input, not yet taken by the pump */
	size_t typed_at, typed_len;
	bool in_open;

	bool started; /* the process runs: it can be signalled and resized */
	bool ended;
	uint32_t process;
	struct attach_end end;
};

/* --- making --- */

static const int proxied[] = {SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGUSR1, SIGUSR2};

static int take_signals(struct session *s, struct err *err)
{
	sigset_t set;

	(void)sigemptyset(&set);
	(void)sigaddset(&set, SIGWINCH);
	for (size_t i = 0; !s->config.no_sig_proxy && i < sizeof(proxied) / sizeof(proxied[0]); i++)
		(void)sigaddset(&set, proxied[i]);
	(void)sigaction(SIGPIPE, &(struct sigaction){.sa_handler = SIG_IGN}, NULL);
	if (sigprocmask(SIG_BLOCK, &set, &s->old_mask) < 0)
		return err_sys(err, "block signals");
	s->signal_fd = signalfd(-1, &set, SFD_CLOEXEC);
	return s->signal_fd < 0 ? err_sys(err, "create signalfd") : 0;
}

static int take_terminal(struct session *s, struct err *err)
{
	struct termios tio;

	if (!s->config.tty || !s->config.in || tcgetattr(STDIN_FILENO, &s->old_tio) < 0)
		return 0;
	tio = s->old_tio;
	cfmakeraw(&tio);
	if (tcsetattr(STDIN_FILENO, TCSADRAIN, &tio) < 0)
		return err_sys(err, "set the terminal");
	s->raw = true;
	return 0;
}

static int make_pump(struct session *s, struct err *err)
{
	int pair[2];

	if (!s->config.tty && !s->config.in)
		return 0;
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) < 0)
		return err_sys(err, "create socket pair");
	s->pump = pair[0];
	s->peer = pair[1];
	s->pump_out = s->config.tty;
	s->in_open = s->config.in;
	return 0;
}

int session_new(const struct session_config *config, struct session **ret, struct err *err)
{
	struct session *s = calloc(1, sizeof(*s));

	if (!s)
		return err_set(err, ENOMEM, "out of memory");
	s->config = *config;
	s->peer = s->pump = s->signal_fd = -1;
	(void)sigprocmask(SIG_SETMASK, NULL, &s->old_mask);
	int r = detach_parse(config->tty ? config->detach_keys : "", &s->detach, err);
	if (r == 0)
		r = make_pump(s, err);
	if (r == 0)
		r = take_signals(s, err);
	if (r < 0) {
		session_free(s);
		return r;
	}
	*ret = s;
	return 0;
}

void session_free(struct session *s)
{
	if (!s)
		return;
	if (s->raw)
		(void)tcsetattr(STDIN_FILENO, TCSADRAIN, &s->old_tio);
	(void)sigprocmask(SIG_SETMASK, &s->old_mask, NULL);
	auto_close(&s->signal_fd);
	auto_close(&s->peer);
	auto_close(&s->pump);
	free(s);
}

void terminal_size(uint32_t *ret_rows, uint32_t *ret_cols)
{
	struct winsize size = {0};

	if (ioctl(STDIN_FILENO, TIOCGWINSZ, &size) < 0 &&
	    ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) < 0)
		size = (struct winsize){0};
	*ret_rows = size.ws_row;
	*ret_cols = size.ws_col;
}

int session_begin(struct session *s, struct control_request *request, struct err *err)
{
	int fds[3];
	size_t n = 0;

	request->number = NUMBER_BEGIN;
	if (s->config.tty) {
		request->streams = STREAM_TTY;
		fds[n++] = s->peer;
	} else {
		if (s->config.in) {
			request->streams |= STREAM_IN;
			fds[n++] = s->peer;
		}
		if (s->config.out) {
			request->streams |= STREAM_OUT | STREAM_ERR;
			fds[n++] = STDOUT_FILENO;
			fds[n++] = STDERR_FILENO;
		}
	}
	int r = control_send(s->config.ctl, request, fds, n, err);
	auto_close(&s->peer);
	if (r == 0 && request->verb == CONTROL_ATTACH)
		r = control_send(s->config.ctl,
				 &(struct control_request){.verb = CONTROL_WAIT,
							   .number = NUMBER_WAIT},
				 NULL, 0, err);
	/* a keeper whose start failed may be gone by now: it has said why before it went */
	if (r == -ECONNRESET && s->config.life >= 0) {
		*err = ERR_INIT;
		r = 0;
	}
	if (r == 0)
		r = take_terminal(s, err);
	return r;
}

/* --- the keeper's answers --- */

static void say(struct attach_end *end, const char *reason)
{
	(void)snprintf(end->reason, sizeof(end->reason), "%s", reason ? reason : "");
}

static void ended(struct session *s, const struct process_exit *exit)
{
	s->ended = true;
	s->end.status = exit->status;
	s->end.oom = exit->oom;
	say(&s->end, exit->reason);
}

static void send_size(struct session *s)
{
	struct err ignored = ERR_INIT; /* a keeper that is gone is noticed where it is read */
	struct control_request q = {.verb = CONTROL_RESIZE,
				    .number = NUMBER_ASIDE,
				    .process = s->process};

	terminal_size(&q.rows, &q.cols);
	if (!s->config.tty || q.rows == 0 || !s->started)
		return;
	if (control_send(s->config.ctl, &q, NULL, 0, &ignored) < 0)
		return;
}

/* The start went well or not; in both cases the socket tells the rest. */
static void on_life(struct session *s, struct keeper_status *status)
{
	struct err ignored = ERR_INIT; /* a keeper that broke off here is seen on its socket too */

	if (keeper_read_life(s->config.life, status, &ignored) == 0 &&
	    status->state == KEEPER_FAILED) {
		s->ended = true;
		s->end.status = status->exit.status;
		say(&s->end, status->exit.reason);
	}
	s->config.life = -1;
	s->started = true;
	send_size(s);
}

static int on_reply(struct session *s, struct keeper_status *status, struct err *err)
{
	struct control_reply reply;
	struct err gone = ERR_INIT;

	if (control_receive(s->config.ctl, &reply, &gone) < 0) {
		if (s->config.life >= 0)
			on_life(s, status); /* it may have said why before it went */
		if (s->ended)
			return 0;
		s->ended = true;
		s->end.keeper_lost = true;
		s->end.status = KILLED_STATUS;
		return 0;
	}
	int r = 0;
	if (reply.number == NUMBER_BEGIN && reply.code) {
		r = err_set(err, (int)reply.code, "%s", reply.message ? reply.message : "refused");
	} else if (reply.ended) {
		ended(s, &reply.exit);
	} else if (reply.number == NUMBER_BEGIN) {
		s->process = reply.process;
		s->started = s->config.life < 0;
		send_size(s);
	}
	record_done(&control_reply_record, &reply);
	return r;
}

/* --- signals and bytes --- */

static void on_signal(struct session *s)
{
	struct err ignored = ERR_INIT; /* a keeper that is gone is noticed where it is read */
	struct signalfd_siginfo si;
	struct control_request q = {.verb = CONTROL_SIGNAL,
				    .number = NUMBER_ASIDE,
				    .process = s->process};

	if (read(s->signal_fd, &si, sizeof(si)) != (ssize_t)sizeof(si))
		return;
	if (si.ssi_signo == SIGWINCH) {
		send_size(s);
		return;
	}
	q.signal = si.ssi_signo;
	if (!s->started) {
		q.verb = CONTROL_STOP; /* it is still being made: given up */
		q.timeout_ms = 0;
	}
	if (control_send(s->config.ctl, &q, NULL, 0, &ignored) < 0)
		return;
}

static void on_typed(struct session *s)
{
	bool left;

	ssize_t n = read(STDIN_FILENO, s->typed, sizeof(s->typed));
	if (n < 0 && (errno == EINTR || errno == EAGAIN))
		return;
	if (n <= 0) {
		s->in_open = false;
		if (!s->config.tty)
			auto_close(&s->pump);
		return;
	}
	s->typed_at = 0;
	s->typed_len = detach_scan(&s->detach, s->typed, (size_t)n, &left);
	s->end.detached = left;
}

static void pump_typed(struct session *s)
{
	ssize_t n = send(s->pump, s->typed + s->typed_at, s->typed_len - s->typed_at,
			 MSG_DONTWAIT | MSG_NOSIGNAL);

	if (n > 0)
		s->typed_at += (size_t)n;
	else if (n < 0 && errno != EAGAIN && errno != EINTR)
		s->in_open = false; /* nobody reads any more */
	if (n < 0 && errno != EAGAIN && errno != EINTR)
		s->typed_at = s->typed_len;
	if (s->typed_at == s->typed_len)
		s->typed_at = s->typed_len = 0;
}

static int pump_shown(struct session *s, struct err *err)
{
	char bytes[8192];

	ssize_t n = recv(s->pump, bytes, sizeof(bytes), MSG_DONTWAIT);
	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return 0;
	if (n <= 0) {
		s->pump_out = false;
		return 0;
	}
	return write_all(STDOUT_FILENO, bytes, (size_t)n, "standard output", err);
}

/* What is left in the pump when the process has ended and its keeper hung up. */
static int drain(struct session *s, struct err *err)
{
	int r = 0;

	while (r == 0 && s->pump >= 0 && s->pump_out) {
		struct pollfd pfd = {.fd = s->pump, .events = POLLIN};
		if (poll(&pfd, 1, 1000) <= 0)
			break; /* a keeper that keeps the stream open has nothing more to say */
		r = pump_shown(s, err);
	}
	return r;
}

enum { AT_CTL, AT_LIFE, AT_SIGNAL, AT_IN, AT_PUMP, AT_COUNT };

/* The order matters: what the start came to stands before what the end was. */
static int serve(struct session *s, const struct pollfd *p, struct keeper_status *status,
		 struct err *err)
{
	int r = 0;

	if (p[AT_PUMP].revents & POLLOUT)
		pump_typed(s);
	if (s->pump_out && p[AT_PUMP].revents & (POLLIN | POLLHUP | POLLERR))
		r = pump_shown(s, err);
	if (p[AT_LIFE].revents)
		on_life(s, status);
	if (r == 0 && !s->ended && p[AT_CTL].revents)
		r = on_reply(s, status, err);
	if (p[AT_SIGNAL].revents)
		on_signal(s);
	if (r == 0 && p[AT_IN].revents)
		on_typed(s);
	return r;
}

static int step(struct session *s, struct keeper_status *status, struct err *err)
{
	bool waiting = s->typed_len > 0;
	short pump = (short)((s->pump_out ? POLLIN : 0) | (waiting ? POLLOUT : 0));
	struct pollfd p[AT_COUNT] = {
		[AT_CTL] = {.fd = s->config.ctl, .events = POLLIN},
		[AT_LIFE] = {.fd = s->config.life, .events = POLLIN},
		[AT_SIGNAL] = {.fd = s->signal_fd, .events = POLLIN},
		[AT_IN] = {.fd = s->in_open && !waiting ? STDIN_FILENO : -1, .events = POLLIN},
		[AT_PUMP] = {.fd = pump ? s->pump : -1, .events = pump},
	};

	if (poll(p, AT_COUNT, -1) < 0)
		return errno == EINTR ? 0 : err_sys(err, "poll");
	return serve(s, p, status, err);
}

int session_run(struct session *s, struct keeper_status *status, struct attach_end *ret,
		struct err *err)
{
	int r = 0;

	while (r == 0 && !s->ended && !(s->end.detached && s->typed_len == 0))
		r = step(s, status, err);
	if (r == 0 && s->ended)
		r = drain(s, err);
	if (r == 0)
		*ret = s->end;
	return r;
}
