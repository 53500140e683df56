/* SPDX-License-Identifier: Apache-2.0 */
/* Terminals: handed to a caller's socket, or carried through in the foreground. */
#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <termios.h>
#include <unistd.h>

#include "base/err.h"
#include "base/fd.h"
#include "base/io.h"
#include "base/proc.h"
#include "oci/oci.h"

/* Connects to a socket whose path may be longer than an address: through its folder's handle. */
static int connect_to(const char *path, struct err *err)
{
	struct sockaddr_un sun = {.sun_family = AF_UNIX};
	AUTO_FREE char *copy = strdup(path);
	AUTO_FREE char *other = strdup(path);

	if (!copy || !other)
		return err_set(err, ENOMEM, "out of memory");
	AUTO_CLOSE int folder = open(dirname(copy), O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (folder < 0)
		return err_sys(err, "console socket '%s'", path);
	int n = snprintf(sun.sun_path, sizeof(sun.sun_path), "/proc/self/fd/%d/%s", folder,
			 basename(other));
	if (n < 0 || (size_t)n >= sizeof(sun.sun_path))
		return err_set(err, ENAMETOOLONG, "console socket '%s'", path);
	AUTO_CLOSE int sock = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (sock < 0 || connect(sock, (const struct sockaddr *)&sun, sizeof(sun)) < 0)
		return err_sys(err, "console socket '%s'", path);
	return TAKE_FD(sock);
}

int oci_send_console(const char *path, int master, struct err *err)
{
	static const char name[] = "/dev/ptmx";

	AUTO_CLOSE int sock = connect_to(path, err);
	if (sock < 0)
		return sock;
	return fd_send(sock, name, sizeof(name), &master, 1, 0) < 0
		       ? err_sys(err, "send the terminal")
		       : 0;
}

/* Copies what is there to read; false at the end. */
static bool carry(int from, int to)
{
	char chunk[8192];
	struct err ignored = ERR_INIT; /* the reader left: its own affair */
	ssize_t n = read(from, chunk, sizeof(chunk));

	if (n < 0)
		return errno == EINTR || errno == EAGAIN;
	return n > 0 && write_all(to, chunk, (size_t)n, "terminal", &ignored) == 0;
}

static void copy_size(int master)
{
	struct winsize size;

	if (ioctl(STDIN_FILENO, TIOCGWINSZ, &size) == 0)
		(void)ioctl(master, TIOCSWINSZ, &size);
}

/* One signal of ours: the child's end, a new size, or one to hand on. Returns whether it ended. */
static bool take_signal(int signals, pid_t pid, int master)
{
	struct signalfd_siginfo info;

	if (read(signals, &info, sizeof(info)) != sizeof(info))
		return false;
	if (info.ssi_signo == SIGCHLD) {
		siginfo_t end = {.si_pid = 0};
		/* nobody to wait for is an end too: proc_wait() says of what kind */
		return waitid(P_PID, (id_t)pid, &end, WEXITED | WNOHANG | WNOWAIT) < 0 ||
		       end.si_pid == pid;
	}
	if (info.ssi_signo == SIGWINCH)
		copy_size(master);
	else
		(void)kill(pid, (int)info.ssi_signo); /* a child not yet waited for */
	return false;
}

static void drain(int master)
{
	while (master >= 0) {
		struct pollfd p = {.fd = master, .events = POLLIN};
		if (poll(&p, 1, 0) <= 0 || !carry(master, STDOUT_FILENO))
			return;
	}
}

static void follow(pid_t pid, int master, int signals)
{
	struct pollfd p[] = {
		{.fd = signals, .events = POLLIN},
		{.fd = master, .events = POLLIN},
		{.fd = master >= 0 ? STDIN_FILENO : -1, .events = POLLIN},
	};

	for (;;) {
		if (poll(p, 3, -1) < 0 && errno != EINTR)
			return;
		if (p[1].revents && !carry(master, STDOUT_FILENO))
			p[1].fd = -1;
		if (p[2].revents && !carry(STDIN_FILENO, master))
			p[2].fd = -1;
		if (p[0].revents && take_signal(signals, pid, master)) {
			drain(p[1].fd);
			return;
		}
	}
}

int oci_follow(pid_t pid, int given, struct err *err)
{
	AUTO_CLOSE int master = given;
	struct termios old = {.c_iflag = 0};
	struct termios raw;
	sigset_t all;
	sigset_t before;

	(void)sigfillset(&all);
	(void)sigprocmask(SIG_SETMASK, &all, &before);
	AUTO_CLOSE int signals = signalfd(-1, &all, SFD_CLOEXEC | SFD_NONBLOCK);
	if (signals < 0)
		return err_sys(err, "watch signals");
	bool terminal = master >= 0 && tcgetattr(STDIN_FILENO, &old) == 0;
	if (terminal) {
		copy_size(master);
		raw = old;
		cfmakeraw(&raw);
		(void)tcsetattr(STDIN_FILENO, TCSANOW, &raw);
	}
	siginfo_t ended = {.si_pid = 0};
	if (waitid(P_PID, (id_t)pid, &ended, WEXITED | WNOHANG | WNOWAIT) < 0 ||
	    ended.si_pid == pid)
		drain(master);
	else
		follow(pid, master, signals);
	if (terminal)
		(void)tcsetattr(STDIN_FILENO, TCSADRAIN, &old);
	(void)sigprocmask(SIG_SETMASK, &before, NULL);
	return proc_wait(pid, err);
}
