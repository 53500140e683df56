/* SPDX-License-Identifier: Apache-2.0 */
#include "container/listener.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/err.h"
#include "base/fd.h"
#include "proto/plan.h"

enum { WAIT_S = 10, POLL_NS = 100000 };

/* What the filtered process and its helper know of each other: no call is needed to look. */
struct hand {
	atomic_int fd; /* the descriptor + 1 */
	atomic_int done; /* 1, or -errno */
};

static int connect_to(const char *path, const char *what, struct err *err)
{
	struct sockaddr_un to = {.sun_family = AF_UNIX};
	size_t len = strlen(path);

	if (len == 0 || len >= sizeof(to.sun_path))
		return err_set(err, EINVAL, "%s '%s'", what, path);
	memcpy(to.sun_path, path, len);
	AUTO_CLOSE int sock = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (sock < 0)
		return err_sys(err, "make a socket");
	if (connect(sock, (const struct sockaddr *)&to,
		    (socklen_t)(offsetof(struct sockaddr_un, sun_path) + len + 1)) < 0)
		return err_sys(err, "connect to %s '%s'", what, path);
	return TAKE_FD(sock);
}

int listener_open(const struct plan_process *what, struct err *err)
{
	return connect_to(what->seccomp_listener, "seccomp listenerPath", err);
}

/* 1, or -errno. The descriptor goes with the first byte. */
static int send_all(int sock, int fd, const char *state)
{
	size_t left = strlen(state), n_fds = 1;

	while (left > 0) {
		ssize_t n = fd_send(sock, state, left, &fd, n_fds, 0);
		if (n < 0)
			return -errno;
		state += n;
		left -= (size_t)n;
		n_fds = 0;
	}
	return 1;
}

int listener_hand(const char *path, int fd, const char *what, struct err *err)
{
	AUTO_CLOSE int sock = connect_to(path, what, err);

	if (sock < 0)
		return sock;
	int r = send_all(sock, fd, " "); /* a descriptor needs a byte to go with */
	return r < 0 ? err_set(err, -r, "%s '%s': %s", what, path, strerrordesc_np(-r)) : 0;
}

static _Noreturn void help(struct hand *h, int sock, const char *state)
{
	int fd;

	(void)prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0);
	while ((fd = atomic_load(&h->fd)) == 0)
		(void)nanosleep(&(struct timespec){.tv_nsec = POLL_NS}, NULL);
	atomic_store(&h->done, send_all(sock, fd - 1, state));
	_exit(0);
}

static int64_t now_s(void)
{
	struct timespec now;

	/* no system call: the vDSO answers */
	return clock_gettime(CLOCK_MONOTONIC, &now) < 0 ? 0 : now.tv_sec;
}

/* Turns without a call until the helper is done. */
static int await(const struct hand *h)
{
	int64_t end = now_s() + WAIT_S;
	int done;

	while ((done = atomic_load(&h->done)) == 0) {
		if (now_s() > end)
			return -ETIMEDOUT;
#ifdef __x86_64__
		__builtin_ia32_pause();
#endif
	}
	return done;
}

static int load(struct hand *h, const struct sock_fprog *program, unsigned flags, int sock,
		const char *state, struct err *err)
{
	int done = 0;
	/* the same table of descriptors: what is opened here is there too */
	pid_t helper = (pid_t)syscall(SYS_clone, CLONE_FILES | SIGCHLD, NULL, NULL, NULL, 0);
	if (helper == 0)
		help(h, sock, state);
	if (helper < 0)
		return err_sys(err, "start the sender of the seccomp listener");
	int fd = (int)syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER,
			      flags | SECCOMP_FILTER_FLAG_NEW_LISTENER, program);
	if (fd < 0) {
		(void)err_sys(err, "load the seccomp program");
		(void)kill(helper, SIGKILL);
	} else {
		atomic_store(&h->fd, fd + 1);
		done = await(h);
	}
	/* from here on somebody answers, should these be asked for */
	while (waitpid(helper, NULL, 0) < 0 && errno == EINTR)
		continue;
	auto_close(&fd);
	if (done < 0)
		return err_set(err, -done, "send the seccomp listener: %s", strerrordesc_np(-done));
	return err->code ? -err->code : 0;
}

int listener_load(const struct sock_fprog *program, unsigned flags, int sock, const char *state,
		  struct err *err)
{
	if (!state || !*state)
		return err_set(err, EINVAL, "a seccomp listener without a state to send");
	struct hand *h = mmap(NULL, sizeof(*h), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS,
			      -1, 0);
	if (h == MAP_FAILED)
		return err_sys(err, "get memory for the seccomp listener");
	int r = load(h, program, flags, sock, state, err);
	(void)munmap(h, sizeof(*h));
	return r;
}
