/* SPDX-License-Identifier: Apache-2.0 */
/*
 * hull-share CHANNEL PROC [STATE]: serves its root over the socket CHANNEL (SOCK_SEQPACKET, a FUSE
 * message in each); PROC is an open /proc/self/fd, by which what was looked up is opened. STATE is
 * an open file that another one's monitor had written (proto/share.h): it goes on with what that
 * one's guest knew and had open. Ends when the other side does.
 */
#include <fcntl.h>
#include <limits.h>
#include <linux/capability.h>
#include <malloc.h>
#include <signal.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/err.h"
#include "base/str.h"
#include "share/share.h"

/* What serving files of all users takes: reaching and owning them, and being them. */
#define NEEDED                                                                                     \
	(1U << CAP_CHOWN | 1U << CAP_DAC_OVERRIDE | 1U << CAP_DAC_READ_SEARCH | 1U << CAP_FOWNER | \
	 1U << CAP_FSETID | 1U << CAP_SETUID | 1U << CAP_SETGID | 1U << CAP_SETFCAP)

static int drop_rights(struct err *err)
{
	struct __user_cap_header_struct head = {.version = _LINUX_CAPABILITY_VERSION_3};
	struct __user_cap_data_struct data[2] = {{NEEDED, NEEDED, 0}, {0, 0, 0}};

	for (unsigned cap = 0; prctl(PR_CAPBSET_READ, cap, 0, 0, 0) >= 0; cap++) {
		bool needed = cap < 32 && (NEEDED & 1U << cap);
		if (!needed && prctl(PR_CAPBSET_DROP, cap, 0, 0, 0) < 0)
			return err_sys(err, "drop capability %u", cap);
	}
	if (syscall(SYS_capset, &head, data) < 0)
		return err_sys(err, "drop capabilities");
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
		return err_sys(err, "set no_new_privs");
	return 0;
}

/* A descriptor for each file that the guest knows. */
static void raise_limit(void)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit) < 0)
		return;
	limit.rlim_cur = limit.rlim_max;
	(void)setrlimit(RLIMIT_NOFILE, &limit);
}

static int parse_fd(const char *text, const char *what, int *ret, struct err *err)
{
	int64_t fd;

	int r = parse_int(text, 0, INT_MAX, what, &fd, err);
	if (r == 0 && fcntl((int)fd, F_SETFD, FD_CLOEXEC) < 0)
		r = err_sys(err, "%s", what);
	if (r == 0)
		*ret = (int)fd;
	return r;
}

/* From a state, which is not trusted: with no more rights than serving takes. */
static int restore(int state, struct err *err)
{
	uint32_t checksum;

	int r = share_load(state, &checksum, err);
	(void)close(state);
	if (r < 0)
		return err_wrap(err, "restore");
	share_made_from(checksum);
	return 0;
}

static int run(char **argv, struct err *err)
{
	int channel = -1;
	int proc = -1;
	int state = -1;

	int r = parse_fd(argv[1], "CHANNEL", &channel, err);
	if (r == 0)
		r = parse_fd(argv[2], "PROC", &proc, err);
	if (r == 0 && argv[3])
		r = parse_fd(argv[3], "STATE", &state, err);
	if (r < 0)
		return r;
	(void)umask(0); /* the guest's was applied there */
	raise_limit();
	int root = open("/", O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (root < 0)
		return err_sys(err, "open the root");
	r = nodes_init(root, err);
	if (r == 0 && fchdir(proc) < 0)
		r = err_sys(err, "enter /proc/self/fd");
	if (r == 0)
		r = drop_rights(err);
	if (r == 0 && state >= 0)
		r = restore(state, err);
	return r < 0 ? r : share_serve(channel, true, err);
}

int main(int argc, char **argv)
{
	struct err err = ERR_INIT;

	if (argc < 3 || argc > 4) {
		(void)fprintf(stderr, "hull-share %s: is started for a machine\n", HULL_VERSION);
		return 1;
	}
	/* one heap for all threads: another would be made by calls that the filter refuses */
	(void)mallopt(M_ARENA_MAX, 1);
	/* started from a descriptor, it would be called by its number */
	(void)prctl(PR_SET_NAME, "hull-share");
	(void)sigaction(SIGPIPE, &(struct sigaction){.sa_handler = SIG_IGN}, NULL);
	/* a file that may not grow is that write's failure */
	(void)sigaction(SIGXFSZ, &(struct sigaction){.sa_handler = SIG_IGN}, NULL);
	if (run(argv, &err) < 0) {
		(void)fprintf(stderr, "hull-share: %s\n", err.msg);
		return 1;
	}
	return 0;
}
