/* SPDX-License-Identifier: Apache-2.0 */
#include "machine/box.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <limits.h>
#include <linux/sched.h>
#include <sched.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/err.h"
#include "base/fd.h"
#include "base/io.h"
#include "base/str.h"
#include "machine/hostgroup.h"

enum { NOBODY = 65534, BOX_NAMESPACES = CLONE_NEWNS | CLONE_NEWNET | CLONE_NEWIPC | CLONE_NEWUTS };

/* glibc 2.36 declares these, but not together with <linux/mount.h>; so only what it lacks. */
static int set_readonly(int tree, bool deep)
{
	struct mount_attr attr = {.attr_set = MOUNT_ATTR_RDONLY};

	return mount_setattr(tree, "", AT_EMPTY_PATH | (deep ? AT_RECURSIVE : 0), &attr,
			     sizeof(attr));
}

int box_bind(int from, const char *source, const char *target, bool deep, bool readonly,
	     struct err *err)
{
	unsigned flags = OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | (deep ? AT_RECURSIVE : 0U);
	AUTO_CLOSE int tree = from < 0 ? open_tree(AT_FDCWD, source, flags)
				       : open_tree(from, "", flags | AT_EMPTY_PATH);
	if (tree < 0)
		return err_sys(err, "open '%s'", source);
	if (readonly && set_readonly(tree, deep) < 0)
		return err_sys(err, "make '%s' read-only", source);
	if (move_mount(tree, "", AT_FDCWD, target, MOVE_MOUNT_F_EMPTY_PATH) < 0)
		return err_sys(err, "mount '%s'", source);
	return 0;
}

static int make_file(const char *path, struct err *err)
{
	AUTO_CLOSE int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0644);
	return fd < 0 ? err_sys(err, "create '%s'", path) : 0;
}

/* The host's folder or link /NAME, as it is there; absent is fine. */
static int mirror(const char *name, struct err *err)
{
	char from[64];
	char link[PATH_MAX];
	struct stat st;

	(void)snprintf(from, sizeof(from), "/%s", name);
	if (lstat(from, &st) < 0)
		return errno == ENOENT ? 0 : err_sys(err, "stat '%s'", from);
	if (S_ISLNK(st.st_mode)) {
		ssize_t n = readlink(from, link, sizeof(link) - 1);
		link[n > 0 ? n : 0] = '\0';
		return symlink(link, name) < 0 ? err_sys(err, "link '%s'", name) : 0;
	}
	int r = S_ISDIR(st.st_mode) && mkdir(name, 0755) < 0 ? err_sys(err, "make '%s'", name)
		: S_ISREG(st.st_mode)                        ? make_file(name, err)
							     : 0;
	return r < 0 ? r : box_bind(-1, from, name, true, true, err);
}

static int make_device(const char *path, unsigned major_, unsigned minor_, struct err *err)
{
	if (mknod(path, S_IFCHR | 0666, makedev(major_, minor_)) < 0 || chmod(path, 0666) < 0)
		return err_sys(err, "make device '%s'", path);
	return 0;
}

/* The working folder is the new root. */
static int furnish(const char *const (*files)[2], size_t n, struct err *err)
{
	static const char *const names[] = {"usr",   "bin",   "sbin",  "lib",
					    "lib32", "lib64", "libx32"};
	int r = 0;

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]) && r == 0; i++)
		r = mirror(names[i], err);
	if (r < 0)
		return r;
	if (mkdir("etc", 0755) < 0 || mkdir("dev", 0755) < 0 || mkdir("hull", 0755) < 0)
		return err_sys(err, "make the box's folders");
	r = mirror("etc/ld.so.cache", err);
	if (r == 0)
		r = make_device("dev/null", 1, 3, err);
	if (r == 0)
		r = make_device("dev/urandom", 1, 9, err);
	for (size_t i = 0; i < n && r == 0; i++) {
		char to[128];
		(void)snprintf(to, sizeof(to), "hull/%s", files[i][1]);
		r = make_file(to, err);
		if (r == 0)
			r = box_bind(-1, files[i][0], to, false, true, err);
	}
	return r;
}

static int mount_root(const char *at, struct err *err)
{
	if (mount("box", at, "tmpfs", MS_NOSUID, "size=64k,mode=755") < 0)
		return err_sys(err, "mount a tmpfs at '%s'", at);
	return chdir(at) < 0 ? err_sys(err, "enter '%s'", at) : 0;
}

/* The working folder becomes the root. */
static int change_root(struct err *err)
{
	/* the old root lands on top of the new one and is taken off it (pivot_root(2)) */
	if (syscall(SYS_pivot_root, ".", ".") < 0 || umount2(".", MNT_DETACH) < 0 || chdir("/") < 0)
		return err_sys(err, "change the root");
	if (mount(NULL, "/", NULL, MS_REMOUNT | MS_BIND | MS_RDONLY | MS_NOSUID, NULL) < 0)
		return err_sys(err, "make the box read-only");
	return 0;
}

int box_enter_root(const char *at, const char *const (*files)[2], size_t n, struct err *err)
{
	int r = mount_root(at, err);
	if (r == 0)
		r = furnish(files, n, err);
	return r < 0 ? r : change_root(err);
}

int box_enter_empty(const char *at, struct err *err)
{
	int r = mount_root(at, err);
	return r < 0 ? r : change_root(err);
}

int box_enter_folder(const char *at, struct err *err)
{
	return chdir(at) < 0 ? err_sys(err, "enter '%s'", at) : change_root(err);
}

static int drop_rights(struct err *err)
{
	for (int cap = 0; prctl(PR_CAPBSET_READ, cap, 0, 0, 0) >= 0; cap++) {
		if (prctl(PR_CAPBSET_DROP, cap, 0, 0, 0) < 0)
			return err_sys(err, "drop capability %d", cap);
	}
	if (setgroups(0, NULL) < 0 || setresgid(NOBODY, NOBODY, NOBODY) < 0 ||
	    setresuid(NOBODY, NOBODY, NOBODY) < 0) /* from 0: empties all capability sets */
		return err_sys(err, "give up root");
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
		return err_sys(err, "set no_new_privs");
	return 0;
}

static int set_up_streams(const struct box *box, struct err *err)
{
	int null = open("/dev/null", O_RDWR | O_CLOEXEC);
	int out = box->err >= 0 ? box->err : null;

	if (null < 0 || dup2(null, 0) < 0 || dup2(out, 1) < 0 || dup2(out, 2) < 0)
		return err_sys(err, "set up its standard streams");
	for (size_t i = 0; i < box->n_fds; i++) {
		if (fcntl(box->fds[i], F_SETFD, 0) < 0)
			return err_sys(err, "keep descriptor %d", box->fds[i]);
	}
	return 0;
}

/* The keeper may die before the first line: that is repair's affair. */
static int set_up(const struct box *box, struct err *err)
{
	sigset_t none;

	if (prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0) < 0 || setsid() < 0)
		return err_sys(err, "prepare the process");
	for (int sig = 1; sig < NSIG; sig++)
		(void)sigaction(sig, &(struct sigaction){.sa_handler = SIG_DFL}, NULL);
	(void)sigemptyset(&none);
	(void)sigprocmask(SIG_SETMASK, &none, NULL);
	int r = box->group ? hostgroup_join(box->group) : 0;
	if (r < 0)
		return err_set(err, -r, "join the machine's cgroups: %s", strerrordesc_np(-r));
	if (mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0)
		return err_sys(err, "make the mounts private");
	r = set_up_streams(box, err);
	if (r == 0 && box->prepare)
		r = box->prepare(box->ctx, err);
	if (r == 0 && box->powerless)
		r = drop_rights(err);
	/* changing the user has cleared it */
	if (r == 0 && prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0) < 0)
		r = err_sys(err, "prepare the process");
	return r;
}

/* Ends in execve, or with struct err written to `tell`. */
static void child(const struct box *box, int tell)
{
	static char *const env[] = {NULL};
	struct err err = ERR_INIT;

	if (set_up(box, &err) == 0) {
		if (box->program > 0)
			(void)execveat(box->program, "", box->argv->v, env, AT_EMPTY_PATH);
		else
			(void)execve(box->argv->v[0], box->argv->v, env);
		(void)err_sys(&err, "start '%s'", box->argv->v[0]);
	}
	struct err ignored = ERR_INIT;
	_exit(write_all(tell, &err, sizeof(err), "failure", &ignored) < 0 ? 126 : 127);
}

pid_t box_spawn(const struct box *box, int *ret_pidfd, struct err *err)
{
	int pipe_fds[2];
	int pidfd = -1;
	struct err why = ERR_INIT;

	if (pipe2(pipe_fds, O_CLOEXEC) < 0)
		return err_sys(err, "create pipe");
	AUTO_CLOSE int from = pipe_fds[0];
	struct clone_args args = {.flags = BOX_NAMESPACES | CLONE_NEWPID | CLONE_PIDFD,
				  .pidfd = (uintptr_t)&pidfd,
				  .exit_signal = SIGCHLD};
	pid_t pid = (pid_t)syscall(SYS_clone3, &args, sizeof(args));
	if (pid == 0)
		child(box, pipe_fds[1]);
	int code = errno;
	(void)close(pipe_fds[1]);
	if (pid < 0)
		return err_set(err, code, "start '%s': %s", box->argv->v[0], strerrordesc_np(code));
	AUTO_CLOSE int own = pidfd;
	ssize_t n = read_upto(from, &why, sizeof(why), "failure", err);
	if (n != 0) {
		(void)syscall(SYS_pidfd_send_signal, own, SIGKILL, NULL, 0);
		while (waitpid(pid, NULL, 0) < 0 && errno == EINTR)
			;
		why.msg[ERR_MSG_MAX - 1] = '\0';
		return n == sizeof(why) && why.code > 0
			       ? err_set(err, why.code, "%s", why.msg)
			       : err_set(err, EIO, "start '%s': it ended at once", box->argv->v[0]);
	}
	*ret_pidfd = TAKE_FD(own);
	return pid;
}
