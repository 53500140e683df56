/* SPDX-License-Identifier: Apache-2.0 */
#include "container/box.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <linux/openat2.h>
#include <net/if.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/fd.h"
#include "base/io.h"
#include "base/path.h"
#include "container/cgroup.h"
#include "container/container.h"
#include "container/listener.h"
#include "container/mnt.h"
#include "container/note.h"
#include "container/populate.h"
#include "container/process.h"
#include "container/root.h"
#include "container/tty.h"
#include "proto/plan.h"

enum { KEEP_MAX = 6 + BOX_SOURCES_MAX };

static int compare_int(const void *a, const void *b)
{
	return *(const int *)a - *(const int *)b;
}

/* Closes [from, to) but for the preserved ones. */
static int close_between(unsigned from, unsigned to, unsigned preserve)
{
	enum { FIRST = 3 };
	unsigned end = FIRST + preserve;

	if (from < FIRST && from < to && close_range(from, (to < FIRST ? to : FIRST) - 1, 0) < 0)
		return -1;
	from = from < end ? end : from;
	return from < to ? close_range(from, to - 1, 0) : 0;
}

int close_all_but(int *keep, unsigned n, unsigned preserve, struct err *err)
{
	unsigned from = 0;

	qsort(keep, n, sizeof(*keep), compare_int);
	for (unsigned i = 0; i < n; i++) {
		unsigned fd = (unsigned)keep[i];
		if (keep[i] < 0 || fd < from)
			continue;
		if (close_between(from, fd, preserve) < 0)
			return err_sys(err, "close descriptors");
		from = fd + 1;
	}
	return close_between(from, ~0U, preserve) < 0 ? err_sys(err, "close descriptors") : 0;
}

int put_oom_score_adj(int proc, const struct plan_process *what, int sock, struct err *err)
{
	struct open_how how = {
		.flags = O_WRONLY | O_CLOEXEC,
		.resolve = RESOLVE_BENEATH | RESOLVE_NO_MAGICLINKS | RESOLVE_NO_XDEV,
	};
	struct statfs fs;
	char text[16];

	if (!what->has_oom_score_adj)
		return 0;
	AUTO_CLOSE int fd = (int)syscall(SYS_openat2, proc, "self/oom_score_adj", &how,
					 sizeof(how));
	if (fd < 0)
		return err_sys(err, "open oom_score_adj");
	if (fstatfs(fd, &fs) < 0 || fs.f_type != PROC_SUPER_MAGIC)
		return err_set(err, EPERM, "oom_score_adj is not procfs's");
	int n = snprintf(text, sizeof(text), "%d", (int32_t)what->oom_score_adj);
	if (write(fd, text, (size_t)n) == n)
		return 0;
	if (errno != EACCES && errno != EPERM)
		return err_sys(err, "set oom_score_adj to %s", text);
	process_say(sock, "oom_score_adj may not be lowered here; it stays as it is");
	return 0;
}

int box_arrive(const struct box *box, struct err *err)
{
	const struct plan_process *what = &box->plan->process;

	if (!what->has_oom_score_adj)
		return 0;
	AUTO_CLOSE int proc = open("/proc", O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (proc < 0)
		return err_sys(err, "open '/proc'");
	return put_oom_score_adj(proc, what, box->sock, err);
}

int box_hide(struct err *err)
{
	return prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) < 0 ? err_sys(err, "hide the process") : 0;
}

/* Those that whoever bore us has not joined already. */
static int join_namespaces(const struct box *box, struct err *err)
{
	const struct plan *plan = box->plan;
	const struct plan_join *j = plan->joins.items;

	for (size_t i = 0; i < plan->joins.n; i++, j++) {
		if (j->type == CLONE_NEWPID || (box->arrived && j->type != CLONE_NEWNS))
			continue;
		AUTO_CLOSE int fd = open(j->path, O_RDONLY | O_CLOEXEC);
		if (fd < 0)
			return err_sys(err, "open namespace '%s'", j->path);
		if (setns(fd, (int)j->type) < 0)
			return err_sys(err, "join namespace '%s'", j->path);
	}
	return 0;
}

static int loopback_up(struct err *err)
{
	struct ifreq lo = {.ifr_name = "lo"};
	AUTO_CLOSE int sock = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	if (sock < 0)
		return err_sys(err, "open socket for the loopback interface");
	lo.ifr_flags = IFF_UP | IFF_RUNNING;
	if (ioctl(sock, SIOCSIFFLAGS, &lo) < 0)
		return err_sys(err, "set the loopback interface up");
	return 0;
}

static int set_names(const struct plan *plan, struct err *err)
{
	if (!(plan->namespaces & CLONE_NEWUTS))
		return 0;
	if (plan->hostname && sethostname(plan->hostname, strlen(plan->hostname)) < 0)
		return err_sys(err, "set host name '%s'", plan->hostname);
	if (plan->domainname && setdomainname(plan->domainname, strlen(plan->domainname)) < 0)
		return err_sys(err, "set domain name '%s'", plan->domainname);
	return 0;
}

/* Waits for the parent, who says which pid this is outside; one that gave up has said why. */
static int await_parent(const struct box *box, pid_t *ret_pid, struct err *err)
{
	struct note note;
	int r = note_receive(box->sock, &note, err);

	if (r < 0)
		return r;
	if (r == 0 || note.kind != NOTE_GO)
		_exit(126);
	*ret_pid = note.pid;
	return 0;
}

static bool in_user_namespace(const struct plan *plan)
{
	return plan->namespaces & CLONE_NEWUSER || plan_joined(plan, CLONE_NEWUSER);
}

/*
 * In a user namespace of its own: waits until the parent has mapped its ids (or knows who was
 * born), and becomes its root. Until then this is the host's user, as whom the cgroups were
 * entered. It can be hidden only then: the maps of who is hidden are written by nobody but the
 * host's root. While nobody but that user can be seen, nothing is lost by that.
 */
static int become_root(struct box *box, struct err *err)
{
	if (!in_user_namespace(box->plan))
		return 0;
	int r = await_parent(box, &box->pid, err);
	if (r == 0)
		r = box_hide(err);
	if (r < 0)
		return r;
	/* where setgroups is denied there are none to drop */
	if (!box->plan->process.keep_groups)
		(void)syscall(SYS_setgroups, 0, NULL);
	if (syscall(SYS_setresgid, 0, 0, 0) == 0 && syscall(SYS_setresuid, 0, 0, 0) == 0)
		return 0;
	return errno == EINVAL
		       ? err_set(err, EINVAL,
				 "the user namespace has no user and group 0: its maps must "
				 "name them")
		       : err_sys(err, "become root of the user namespace");
}

/* Everything that needs no file system. */
static int box_enter(struct box *box, struct err *err)
{
	const struct plan *plan = box->plan;
	int keep[KEEP_MAX] = {box->root, box->sock, box->start, box->io[0], box->io[1], box->io[2]};
	unsigned n = 6;
	int r = cgroup_join(box->cgroup, err);

	if (r == 0)
		r = join_namespaces(box, err);
	/* now that the cgroup is the workload's own, it is what the new namespace calls "/" */
	if (r == 0 && plan->namespaces & CLONE_NEWCGROUP && unshare(CLONE_NEWCGROUP) < 0)
		r = err_sys(err, "make a cgroup namespace");
	for (size_t i = 0; box->sources && i < plan->mounts.n && n < KEEP_MAX; i++)
		keep[n++] = box->sources[i];
	if (r == 0)
		r = close_all_but(keep, n, box->preserve, err);
	if (r == 0)
		r = become_root(box, err);
	if (r == 0)
		r = set_names(plan, err);
	if (r == 0 && plan->namespaces & CLONE_NEWNET)
		r = loopback_up(err);
	return r;
}

/*
 * The new root, on "/" until now, becomes the namespace's root, and all of the host's tree goes:
 * the old root is moved on top of the new one, with the files' tmpfs (when there is one) on it in
 * turn, and umount2(2) takes the topmost only. What stayed there would be the root of everyone who
 * joins the namespace: the host's. In
 * an initramfs the kernel refuses pivot_root(2) (EINVAL: the root there has no parent); the new
 * root then covers the old one, as in any booted system.
 */
static int pivot(const struct plan *plan, int root, int old, struct err *err)
{
	bool has_files = plan->files.n > 0;

	if (fchdir(root) < 0)
		return err_sys(err, "enter the new root");
	if (syscall(SYS_pivot_root, ".", ".") == 0) {
		int r = propagation_leave(plan, old, err);
		if (r < 0)
			return r;
		for (int i = 0; i < 1 + has_files; i++) {
			if (umount2(".", MNT_DETACH) < 0)
				return err_sys(err, "let go of the old root");
		}
	} else if (errno != EINVAL) {
		return err_sys(err, "change to the new root");
	} else if (chroot(".") < 0) {
		return err_sys(err, "change to the new root");
	}
	return chdir("/") < 0 ? err_sys(err, "enter the new root")
			      : propagation_end(plan, root, err);
}

/*
 * Files of the plan live on a small tmpfs. It is attached on "/" before the root is, which covers
 * it: so it goes with the old root (pivot()).
 */
static int files_new(int host, struct err *err)
{
	AUTO_CLOSE int files = fs_new("tmpfs", "mode=700,size=64m",
				      MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC,
				      err);
	int r = files < 0 ? files : mount_attach(files, host, "/", err);

	return r < 0 ? r : TAKE_FD(files);
}

static int make_cwd(const struct populate *p, struct err *err)
{
	const char *cwd = p->plan->process.cwd;

	if (!cwd || strcmp(cwd, "/") == 0)
		return 0;
	AUTO_CLOSE int fd = path_mkdir_in(p->root, cwd, 0755, err);
	return fd < 0 ? err_wrap(err, "working folder") : 0;
}

static int fill_root(struct populate *p, int files, struct err *err)
{
	int r = populate_defaults(p, err);

	if (r == 0)
		r = populate_mounts(p, err);
	if (r == 0)
		r = devices_plan(p, err);
	if (r == 0 && files >= 0)
		r = populate_files(p, files, err);
	if (r == 0)
		r = make_cwd(p, err);
	if (r == 0)
		r = mask_sysctl(p, err);
	return r < 0 ? r : mask_paths(p, err);
}

static void auto_populate(struct populate *p)
{
	auto_close(&p->proc);
	auto_close(&p->dev);
}

/* Whether somebody outside is to be told about the first process by its pid there, or to do
 * something for it. */
static bool wants_pid(const struct plan *plan)
{
	const struct plan_hook *h = plan->hooks.items;

	for (size_t i = 0; i < plan->hooks.n; i++) {
		if (h[i].point <= HOOK_START_CONTAINER)
			return true;
	}
	return plan->process.seccomp_listener || plan->rdt_closid || plan->net_devices.n > 0;
}

/* Lets the parent run its hooks, hears from it which pid this is outside, and runs those of our
 * namespaces. */
static int pause_for_hooks(struct box *box, struct err *err)
{
	struct note note = {.kind = NOTE_HOOKS};

	if (!wants_pid(box->plan))
		return 0;
	int r = note_send(box->sock, &note, err);
	if (r == 0)
		r = await_parent(box, &box->pid, err);
	return r < 0 ? r
		     : container_hooks(box->plan, HOOK_CREATE_CONTAINER, box->pid, "creating",
				       box->caller, err);
}

static int box_mount(struct box *box, struct err *err)
{
	AUTO_CLOSE int own = box->root < 0 ? root_new(&box->plan->root, -1, -1, err) : -1;
	if (own >= 0)
		box->root = own;
	else if (box->root < 0)
		return own;
	AUTO(auto_populate)
	struct populate p = {
		.plan = box->plan,
		.cgroup = box->cgroup,
		.root = box->root,
		.sources = box->sources,
		.proc = -1,
		.dev = -1,
	};

	int r = propagation_begin(box->plan, box->root, err);
	if (r < 0)
		return r;
	AUTO_CLOSE int host = open("/", O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (host < 0)
		return err_sys(err, "open '/'");
	AUTO_CLOSE int files = box->plan->files.n > 0 ? files_new(host, err) : -1;
	r = err->code ? -err->code : mount_attach(box->root, host, "/", err);
	if (r == 0)
		r = fill_root(&p, files, err);
	if (r == 0)
		r = pause_for_hooks(box, err);
	if (r == 0)
		r = process_labels(p.proc, &box->plan->process, err);
	if (r == 0 && box->plan->root.readonly)
		r = mount_change(box->root, &(struct mount_change){.set = MOUNT_ATTR_RDONLY}, "/",
				 err);
	return r < 0 ? r : pivot(box->plan, box->root, host, err);
}

static int box_console(const struct box *box, struct tty *tty, struct err *err)
{
	const struct plan_process *what = &box->plan->process;

	if (!what->tty)
		return 0;
	int r = tty_open(what->rows, what->cols, tty, err);
	return r < 0 ? r : tty_console(tty, err);
}

static int report_ready(const struct box *box, struct tty *tty, struct err *err)
{
	struct note note = {.kind = NOTE_READY};

	if (tty->master >= 0) {
		note.n_fds = 1;
		note.fds[0] = tty->master;
	}
	int r = note_send(box->sock, &note, err);
	auto_close(&tty->master);
	return r;
}

/* Takes the word from who connects; who leaves without a word did not mean it. What follows is told
 * to that one. */
static void hear_connection(const struct box *box, struct note *note, struct process *p)
{
	int parent = box->sock;

	auto_close(&parent);
	for (;;) {
		struct err ignored = ERR_INIT; /* that one is gone; another may come */
		int conn = accept4(box->start, NULL, NULL, SOCK_CLOEXEC);
		if (conn < 0 && errno != EINTR && errno != ECONNABORTED)
			_exit(126);
		if (conn >= 0 && note_receive(conn, note, &ignored) > 0 && note->kind == NOTE_GO) {
			p->sock = conn;
			return;
		}
		auto_close(&conn);
	}
}

/* Waits for NOTE_GO; the keeper's end gone means that nobody wants the workload any more. */
static void wait_for_go(const struct box *box, const struct tty *tty, struct process *p)
{
	struct err ignored = ERR_INIT; /* nobody is there to be told */
	struct note note;
	int start = box->start;

	if (start >= 0)
		hear_connection(box, &note, p);
	else if (note_receive(box->sock, &note, &ignored) <= 0 || note.kind != NOTE_GO)
		_exit(126);
	auto_close(&start);
	for (int i = 0; i < 3; i++) {
		int given = box->io[i] >= 0 ? box->io[i] : note.fds[i];
		p->io[i] = tty->slave >= 0 ? tty->slave : given;
	}
}

_Noreturn static void box_start(const struct box *box, struct process *p)
{
	struct err err = ERR_INIT;
	int r = container_hooks(box->plan, HOOK_START_CONTAINER, box->pid, "created", box->caller,
				&err);

	if (r == 0)
		r = process_domain(box->plan, &err);
	if (r == 0)
		r = process_prepare(p, &err);

	if (r == 0 && box->plan->init) {
		/* the filter is for the child alone: PID 1 needs calls that it may forbid */
		sigset_t all;
		(void)sigfillset(&all);
		(void)sigprocmask(SIG_SETMASK, &all, NULL);
		int child = fork();
		if (child > 0) {
			r = process_drop(p, false, &err);
			if (r == 0)
				init_main(child);
		} else if (child < 0) {
			r = err_sys(&err, "start the child of init");
		}
	}
	if (r == 0)
		process_become(p);
	process_fail(p->sock, &err);
	_exit(126);
}

/* What the seccomp listener is told: runtime-spec "Container Process State". */
static int describe_filter(const struct box *box, struct buf *to, struct err *err)
{
	const struct plan_process *what = &box->plan->process;

	if (!what->seccomp_listener || !box->caller || !box->caller->describe_filter)
		return 0;
	box->caller->describe_filter(box->caller->ctx, box->pid, box->pid, what, to);
	return buf_check(to, err);
}

void box_main(struct box *box)
{
	struct err err = ERR_INIT;
	struct tty tty = {-1, -1};
	struct process p = {
		.what = &box->plan->process,
		.sock = box->sock,
		.keyring = box->plan->keyring,
		.preserve = box->preserve,
		.listener = -1,
	};
	AUTO_BUF struct buf filter = BUF_INIT;

	int r = box->arrived ? 0 : box_arrive(box, &err);
	if (r == 0 && !box->waits_seen)
		r = box_hide(&err);
	if (r == 0)
		r = box_enter(box, &err);
	if (r == 0 && p.what->seccomp_listener) {
		p.listener = listener_open(p.what, &err);
		r = p.listener < 0 ? p.listener : 0;
	}
	if (r == 0)
		r = box_mount(box, &err);
	if (r == 0)
		r = describe_filter(box, &filter, &err);
	p.listener_state = filter.data;
	if (r == 0 && box->start >= 0)
		r = process_find(p.what, &err);
	if (r == 0)
		r = box_console(box, &tty, &err);
	if (r == 0)
		r = report_ready(box, &tty, &err);
	if (r < 0) {
		process_fail(box->sock, &err);
		_exit(126);
	}
	wait_for_go(box, &tty, &p);
	box_start(box, &p);
}
