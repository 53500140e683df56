/* SPDX-License-Identifier: Apache-2.0 */
/*
 * exec. The joiner enters every namespace of the workload but stays, itself, in the host's pid
 * namespace, unseen from inside. There it takes the identity and drops every right; only then does
 * it fork the process that the workload can see (a child of the joiner's own parent, which waits
 * for it), and that one has nothing left to do but to execute.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <sys/syscall.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/fd.h"
#include "container/box.h"
#include "container/cgroup.h"
#include "container/container.h"
#include "container/listener.h"
#include "container/note.h"
#include "container/process.h"
#include "container/tty.h"
#include "proto/plan.h"

/* What goes by the host's own /proc, and into the workload's cgroup. */
static int arrive(const struct joiner *j, struct err *err)
{
	int r = process_affinity(j->what->schedule.cpus_initial, "process.execCPUAffinity.initial",
				 err);

	if (r == 0)
		r = cgroup_join(j->cgroup, err);
	if (r < 0)
		return r;
	AUTO_CLOSE int proc = open("/proc", O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (proc < 0)
		return err_sys(err, "open '/proc'");
	r = put_oom_score_adj(proc, j->what, j->sock, err);
	return r < 0 ? r : process_labels(proc, j->what, err);
}

/* All the namespaces that the workload has apart from ours, in one call; the kernel takes the user
 * namespace first. */
static int join_all(const struct joiner *j, struct err *err)
{
	uint64_t types = j->plan->namespaces | CLONE_NEWNS;
	const struct plan_join *join = j->plan->joins.items;

	for (size_t i = 0; i < j->plan->joins.n; i++)
		types |= join[i].type;
	if (setns(j->pidfd, (int)types) < 0)
		return err_sys(err, "join the workload");
	if (close_range((unsigned)j->pidfd, (unsigned)j->pidfd, 0) < 0)
		return err_sys(err, "close descriptor");
	return chdir("/") < 0 ? err_sys(err, "enter the workload's root") : 0;
}

static int enter(const struct joiner *j, int *listener, struct err *err)
{
	int keep[] = {j->sock, j->io[0], j->io[1], j->io[2], j->pidfd};
	int r = arrive(j, err);

	if (r == 0)
		r = close_all_but(keep, 5, j->preserve, err);
	if (r == 0 && j->what->seccomp_listener) {
		*listener = listener_open(j->what, err);
		r = *listener < 0 ? *listener : 0;
	}
	if (r == 0)
		r = box_hide(err);
	return r < 0 ? r : join_all(j, err);
}

static int open_streams(const struct joiner *j, struct process *p, struct tty *tty, struct err *err)
{
	for (int i = 0; i < 3; i++)
		p->io[i] = j->io[i];
	if (!j->what->tty)
		return 0;
	int r = tty_open(j->what->rows, j->what->cols, tty, err);
	for (int i = 0; i < 3 && r == 0; i++)
		p->io[i] = tty->slave;
	return r;
}

static int report_process(const struct joiner *j, pid_t pid, int pidfd, const struct tty *tty,
			  struct err *err)
{
	struct note note = {.kind = NOTE_PROCESS, .pid = pid, .n_fds = 1, .fds = {pidfd}};

	if (tty->master >= 0)
		note.fds[note.n_fds++] = tty->master;
	return note_send(j->sock, &note, err);
}

void join_main(const struct joiner *j)
{
	struct err err = ERR_INIT;
	struct tty tty = {-1, -1};
	struct process p = {.what = j->what,
			    .sock = j->sock,
			    .keyring = j->plan->keyring,
			    .gate = j->gate,
			    .preserve = j->preserve,
			    .listener = -1};
	int pidfd = -1;
	AUTO_BUF struct buf filter = BUF_INIT;

	if (j->what->seccomp_listener && j->caller && j->caller->describe_filter)
		j->caller->describe_filter(j->caller->ctx, j->first, getpid(), j->what, &filter);
	p.listener_state = filter.data;
	int r = enter(j, &p.listener, &err);
	if (r == 0)
		r = open_streams(j, &p, &tty, &err);
	if (r == 0)
		r = process_domain(j->plan, &err);
	if (r == 0)
		r = process_prepare(&p, &err);
	if (r == 0)
		r = process_drop(&p, true, &err);
	if (r == 0) {
		/* clone, not clone3: filters cannot look into the latter, and forbid it */
		long pid = syscall(SYS_clone, CLONE_PARENT | CLONE_PIDFD | SIGCHLD, NULL, &pidfd,
				   NULL, 0);
		if (pid == 0)
			process_become(&p);
		r = pid < 0 ? err_sys(&err, "start the process")
			    : report_process(j, (pid_t)pid, pidfd, &tty, &err);
	}
	if (r < 0)
		process_fail(j->sock, &err);
	_exit(r < 0 ? 126 : 0);
}
