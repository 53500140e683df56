/* SPDX-License-Identifier: Apache-2.0 */
#include "container/process.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/capability.h>
#include <linux/filter.h>
#include <linux/keyctl.h>
#include <linux/seccomp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "base/err.h"
#include "base/fd.h"
#include "base/proc.h"
#include "base/str.h"
#include "container/builtin.h"
#include "container/listener.h"
#include "container/note.h"
#include "container/schedule.h"
#include "container/tty.h"
#include "proto/plan.h"

void process_say(int sock, const char *line)
{
	struct note note = {.kind = NOTE_MESSAGE};
	struct err ignored = ERR_INIT; /* a lost remark changes nothing */

	(void)snprintf(note.err.msg, sizeof(note.err.msg), "%s", line);
	if (note_send(sock, &note, &ignored) < 0)
		return;
}

void process_fail(int sock, const struct err *err)
{
	struct note note = {.kind = NOTE_FAILED, .err = *err};
	struct err ignored = ERR_INIT; /* nobody is left to be told */

	if (note_send(sock, &note, &ignored) < 0)
		return;
}

/* A host that forbids to raise a limit (no CAP_SYS_RESOURCE) gives what it has, and says so. */
static int set_rlimits(const struct process *p, struct err *err)
{
	const struct plan_rlimit *limit = p->what->rlimits.items;

	for (size_t i = 0; i < p->what->rlimits.n; i++) {
		struct rlimit now;
		struct rlimit want = {limit[i].soft, limit[i].hard};
		int which = (int)limit[i].resource;
		if (setrlimit(which, &want) == 0)
			continue;
		if (errno != EPERM || getrlimit(which, &now) < 0)
			return err_sys(err, "set resource limit %d", which);
		want.rlim_max = want.rlim_max < now.rlim_max ? want.rlim_max : now.rlim_max;
		want.rlim_cur = want.rlim_cur < want.rlim_max ? want.rlim_cur : want.rlim_max;
		if (setrlimit(which, &want) < 0)
			return err_sys(err, "set resource limit %d", which);
		char line[128];
		(void)snprintf(line, sizeof(line),
			       "resource limit %d may not be raised here; it stays at %llu", which,
			       (unsigned long long)want.rlim_max);
		process_say(p->sock, line);
	}
	return 0;
}

/* getcwd(2) itself tells of a folder outside the root; the library's hides it. */
static int check_cwd(const char *asked, struct err *err)
{
	char where[4096];

	if (syscall(SYS_getcwd, where, sizeof(where)) < 0)
		return err_sys(err, "working folder '%s'", asked);
	if (where[0] != '/')
		return err_set(err, EPERM, "working folder '%s' is outside the root", asked);
	return 0;
}

static int enter_cwd(const struct process *p, struct err *err)
{
	const char *cwd = p->what->cwd ? p->what->cwd : "/";

	if (chdir(cwd) < 0)
		return err_sys(err, "working folder '%s'", cwd);
	return check_cwd(cwd, err);
}

/* The host's null device is a file of the host's: in its place comes the workload's own, when that
 * is one. Who looks for what a workload has of outside (criu, AppArmor) finds nothing then. */
static void own_null(struct process *p)
{
	for (int i = 0; i < 3; i++) {
		struct stat st;
		if (fstat(p->io[i], &st) < 0 || !S_ISCHR(st.st_mode) || st.st_rdev != makedev(1, 3))
			continue;
		int mode = fcntl(p->io[i], F_GETFL) & O_ACCMODE;
		AUTO_CLOSE int null = open("/dev/null",
					   mode | O_NOCTTY | O_NONBLOCK | O_NOFOLLOW | O_CLOEXEC);
		if (null < 0 || fstat(null, &st) < 0 || !S_ISCHR(st.st_mode) ||
		    st.st_rdev != makedev(1, 3) || fcntl(null, F_SETFL, 0) < 0)
			continue;
		if (dup3(null, p->io[i], i == p->io[i] ? 0 : O_CLOEXEC) < 0)
			continue; /* it works all the same */
	}
}

/* The environment as asked, with HOME from passwd when it has none. */
static int make_env(struct process *p, struct err *err)
{
	const struct strv *env = &p->what->env;
	char *home = NULL;

	p->env = calloc(env->n + 2, sizeof(*p->env));
	if (!p->env)
		return err_set(err, ENOMEM, "out of memory");
	for (size_t i = 0; i < env->n; i++)
		p->env[i] = env->v[i];
	if (strv_env(env, "HOME"))
		return 0;
	if (asprintf(&home, "HOME=%s", p->user.home) < 0)
		return err_set(err, ENOMEM, "out of memory");
	p->env[env->n] = home; /* until execve */
	return 0;
}

static bool is_terminal(const struct stat *st)
{
	enum { PTS_FIRST = 136, PTS_LAST = 143 };

	return S_ISCHR(st->st_mode) && major(st->st_rdev) >= PTS_FIRST &&
	       major(st->st_rdev) <= PTS_LAST;
}

/* Only terminals and pipes change owner, so that the user can open /dev/stdout again; never a
 * regular file, or the host's /dev/null. */
static void own_streams(const struct process *p)
{
	for (int i = 0; i < 3; i++) {
		struct stat st;
		if (fstat(p->io[i], &st) < 0 || st.st_uid == p->user.uid)
			continue;
		if ((S_ISFIFO(st.st_mode) || is_terminal(&st)) &&
		    fchown(p->io[i], p->user.uid, (gid_t)-1) < 0)
			continue; /* the stream works all the same */
	}
}

/* A session keyring that is not the caller's (SECURITY R10). One with a name is found by those who
 * come later if its user may search it. Kernels without keyrings need none. */
static void join_keyring(const char *name)
{
	enum { POSSESSOR_ALL = 0x3f000000, USER_SEARCH = 0x00080000, USER_VIEW_READ = 0x00030000 };

	if (name && !*name)
		return;
	long ring = syscall(SYS_keyctl, KEYCTL_JOIN_SESSION_KEYRING, name);
	if (ring >= 0 && name)
		(void)syscall(SYS_keyctl, KEYCTL_SETPERM, ring,
			      POSSESSOR_ALL | USER_SEARCH | USER_VIEW_READ);
	else if (ring < 0 && name)
		(void)syscall(SYS_keyctl, KEYCTL_JOIN_SESSION_KEYRING, NULL);
}

int process_prepare(struct process *p, struct err *err)
{
	AUTO_CLOSE int root = open("/", O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (root < 0)
		return err_sys(err, "open root");
	const struct plan_process *w = p->what;
	int r = w->has_ids ? user_exact(root, w->uid, w->gid, &w->groups, &p->user, err)
			   : user_find(root, w->user, &w->groups, &p->user, err);
	if (r == 0)
		r = set_rlimits(p, err);
	if (r == 0)
		r = schedule_apply(&w->schedule, p->gate != NULL, err);
	if (r == 0)
		r = enter_cwd(p, err);
	if (r == 0)
		r = make_env(p, err);
	if (r < 0)
		return r;
	join_keyring(p->keyring);
	(void)umask(p->what->has_umask ? (mode_t)p->what->umask : 0022);
	own_null(p);
	own_streams(p);
	return 0;
}

static int load_seccomp(const struct process *p, struct err *err)
{
	const struct plan_process *what = p->what;
	struct sock_fprog program = {
		.len = (unsigned short)(what->seccomp.len / sizeof(struct sock_filter)),
		.filter = (struct sock_filter *)(void *)what->seccomp.data,
	};

	if (what->seccomp.len == 0)
		return 0;
	if (what->seccomp.len % sizeof(struct sock_filter) != 0 ||
	    what->seccomp.len / sizeof(struct sock_filter) > BPF_MAXINSNS)
		return err_set(err, EINVAL, "the seccomp program has %zu bytes", what->seccomp.len);
	if (what->seccomp_listener)
		return listener_load(&program, what->seccomp_flags, p->listener, p->listener_state,
				     err);
	if (syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, what->seccomp_flags, &program) < 0)
		return err_sys(err, "load the seccomp program");
	return 0;
}

static int get_permitted(uint64_t *ret, struct err *err)
{
	struct __user_cap_header_struct head = {_LINUX_CAPABILITY_VERSION_3, 0};
	struct __user_cap_data_struct data[2];

	if (syscall(SYS_capget, &head, data) < 0)
		return err_sys(err, "read capabilities");
	*ret = data[0].permitted | (uint64_t)data[1].permitted << 32;
	return 0;
}

static int set_caps(uint64_t effective, uint64_t permitted, uint64_t inheritable, struct err *err)
{
	struct __user_cap_header_struct head = {_LINUX_CAPABILITY_VERSION_3, 0};
	struct __user_cap_data_struct data[2];

	for (int i = 0; i < 2; i++) {
		data[i].effective = (uint32_t)(effective >> 32 * i);
		data[i].permitted = (uint32_t)(permitted >> 32 * i);
		data[i].inheritable = (uint32_t)(inheritable >> 32 * i);
	}
	if (syscall(SYS_capset, &head, data) < 0)
		return err_sys(err, "set capabilities");
	return 0;
}

static int drop_bounding(uint64_t keep, struct err *err)
{
	for (unsigned cap = 0; cap < 64; cap++) {
		if (keep & 1ULL << cap)
			continue;
		int has = prctl(PR_CAPBSET_READ, cap, 0, 0, 0);
		if (has < 0) /* beyond the last one this kernel knows */
			return 0;
		if (has && prctl(PR_CAPBSET_DROP, cap, 0, 0, 0) < 0)
			return err_sys(err, "drop capability %u", cap);
	}
	return 0;
}

static int set_ambient(uint64_t caps, struct err *err)
{
	if (prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0) < 0)
		return err_sys(err, "clear ambient capabilities");
	for (unsigned cap = 0; cap < 64; cap++) {
		if (caps & 1ULL << cap &&
		    prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, cap, 0, 0) < 0)
			return err_sys(err, "raise ambient capability %u", cap);
	}
	return 0;
}

/* A user namespace whose one group is the caller's own denies it; then there are no further groups
 * to be had. */
static int set_groups(const struct process *p, struct err *err)
{
	const struct user *u = &p->user;

	if (syscall(SYS_setgroups, u->n_groups, u->groups) == 0)
		return 0;
	if (errno == EINVAL)
		return err_set(err, EINVAL,
			       "additional groups: not all of them are mapped in the user "
			       "namespace");
	if (errno != EPERM)
		return err_sys(err, "set groups");
	if (u->n_groups > 0)
		process_say(p->sock, "additional groups cannot be had in this user namespace");
	return 0;
}

/* Every number is a user to the kernel, but for those that the user namespace has not. */
static int not_set(const char *what, uint32_t id, struct err *err)
{
	return errno == EINVAL
		       ? err_set(err, EINVAL, "%s %u is not mapped in the user namespace", what, id)
		       : err_sys(err, "set %s %u", what, id);
}

static int set_identity(const struct process *p, struct err *err)
{
	const struct user *u = &p->user;

	if (prctl(PR_SET_KEEPCAPS, 1, 0, 0, 0) < 0)
		return err_sys(err, "keep capabilities");
	int r = p->what->keep_groups ? 0 : set_groups(p, err);
	if (r < 0)
		return r;
	if (syscall(SYS_setresgid, u->gid, u->gid, u->gid) < 0)
		return not_set("group", u->gid, err);
	if (syscall(SYS_setresuid, u->uid, u->uid, u->uid) < 0)
		return not_set("user", u->uid, err);
	return 0;
}

int process_drop(struct process *p, bool filter, struct err *err)
{
	const struct plan_process *w = p->what;
	uint64_t own = 0; /* what this host lets us have: nothing beyond it can be given */
	int r = get_permitted(&own, err);

	if (r == 0)
		r = drop_bounding(w->cap_bounding, err);
	if (r == 0)
		r = set_identity(p, err);
	if (r == 0 && filter && !w->no_new_privs && w->seccomp.len > 0) {
		r = set_caps(own, own, 0, err); /* the change of user emptied the effective set */
		if (r == 0)
			r = load_seccomp(p, err);
	}
	uint64_t permitted = w->cap_permitted & own;
	uint64_t inheritable = w->cap_inheritable & own;
	if (r == 0)
		r = set_caps(w->cap_effective & permitted, permitted, inheritable, err);
	if (r == 0)
		r = set_ambient(w->cap_ambient & permitted & inheritable, err);
	if (r == 0 && w->no_new_privs && prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
		r = err_sys(err, "set no_new_privs");
	p->dropped = r == 0;
	return r;
}

static int place_streams(const struct process *p, struct err *err)
{
	int high[3] = {-1, -1, -1};
	int r = 0;

	if (setsid() < 0 && errno != EPERM) /* EPERM: leads a session already */
		return err_sys(err, "new session");
	if (p->what->tty)
		r = tty_control(p->io[0], err);
	for (int i = 0; i < 3 && r == 0; i++) { /* out of each other's way first */
		high[i] = fcntl(p->io[i], F_DUPFD_CLOEXEC, 3);
		if (high[i] < 0)
			r = err_sys(err, "duplicate stream %d", i);
	}
	for (int i = 0; i < 3 && r == 0; i++) {
		if (dup2(high[i], i) < 0)
			r = err_sys(err, "duplicate stream %d", i);
	}
	for (int i = 0; i < 3; i++)
		auto_close(&high[i]);
	return r;
}

/* One try; returns -errno. ENOENT of an existing file speaks of its interpreter. */
static int try_exec(struct process *p, const char *path)
{
	(void)execve(path, p->what->args.v, p->env);
	return -errno;
}

/* Tries `name` in one folder. 0: not here; EACCES when something there may not be executed; a
 * failure that ends the search is in err. */
static int exec_in_folder(struct process *p, const char *dir, size_t n, const char *name,
			  struct err *err)
{
	char path[4096];
	struct stat st;
	int len = snprintf(path, sizeof(path), "%.*s/%s", (int)n, dir, name);

	if (len < 0 || (size_t)len >= sizeof(path))
		return 0;
	int r = try_exec(p, path);
	if (r == -EACCES)
		return stat(path, &st) == 0 && S_ISREG(st.st_mode) ? EACCES : 0;
	if (r == -ENOENT && stat(path, &st) == 0)
		return err_set(err, ENOENT, "'%s': its interpreter is missing", path);
	if (r == -ENOENT || r == -ENOTDIR)
		return 0;
	return err_set(err, -r, "execute '%s': %s", path, strerrordesc_np(-r));
}

static const char *search_path(const struct plan_process *what)
{
	const char *dirs = strv_env(&what->env, "PATH");

	return dirs ? dirs : "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
}

static int not_in_path(const char *name, bool denied, struct err *err)
{
	if (denied)
		return err_set(err, EACCES, "execute '%s': %s", name, strerrordesc_np(EACCES));
	return err_set(err, ENOENT, "'%s': executable file not found in PATH", name);
}

int process_find(const struct plan_process *what, struct err *err)
{
	const char *name = what->args.n > 0 ? what->args.v[0] : "";
	const char *dirs = search_path(what);
	bool denied = false;
	char path[4096];

	if (name[0] == '/')
		return access(name, X_OK) < 0 ? err_sys(err, "execute '%s'", name) : 0;
	if (!*name || strchr(name, '/')) /* the working folder is not entered yet */
		return 0;
	for (;; dirs++) {
		size_t n = strcspn(dirs, ":");
		int len = snprintf(path, sizeof(path), "%.*s/%s", (int)n, dirs, name);
		if (dirs[0] != '/' || (size_t)len >= sizeof(path) || access(path, X_OK) == 0)
			return 0;
		denied |= errno == EACCES;
		dirs += n;
		if (*dirs == '\0')
			return not_in_path(name, denied, err);
	}
}

static int exec_in_path(struct process *p, const char *name, struct err *err)
{
	const char *dirs = search_path(p->what);
	bool denied = false;

	for (;;) {
		size_t n = strcspn(dirs, ":");
		int r = n ? exec_in_folder(p, dirs, n, name, err)
			  : exec_in_folder(p, ".", 1, name, err);
		if (r < 0)
			return r;
		denied |= r == EACCES;
		if (dirs[n] == '\0')
			break;
		dirs += n + 1;
	}
	return not_in_path(name, denied, err);
}

static int exec_program(struct process *p, struct err *err)
{
	const char *name = p->what->args.n > 0 ? p->what->args.v[0] : "";
	struct stat st;

	if (!*name)
		return err_set(err, ENOENT, "no program named");
	if (!strchr(name, '/'))
		return exec_in_path(p, name, err);
	int r = try_exec(p, name);
	if (r == -ENOENT && stat(name, &st) == 0)
		return err_set(err, ENOENT, "'%s': its interpreter is missing", name);
	return err_set(err, -r, "execute '%s': %s", name, strerrordesc_np(-r));
}

/* The parent takes the closing of the socket for the start, as execve would close it. */
static int run_builtin(const struct process *p, struct err *err)
{
	int r = builtin_check(p->what, err);

	if (r == 0 && close_range(3, ~0U, 0) < 0)
		r = err_sys(err, "close descriptors");
	if (r == 0)
		builtin_run(p->what);
	return r;
}

static int process_run(struct process *p, struct err *err)
{
	int r = place_streams(p, err);

	if (r == 0)
		r = gate_pass(p->gate, err);
	if (r == 0 && !p->dropped)
		r = process_drop(p, true, err);
	/* the keeper's death ends us at once; where a filter forbids to ask for it, repair does */
	if (r == 0 && !p->what->detached)
		(void)prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0);
	if (r == 0 && p->what->no_new_privs)
		r = load_seccomp(p, err);
	if (r < 0)
		return r;
	proc_default_signals();
	if (p->what->builtin)
		return run_builtin(p, err);
	/* what this process has open was close-on-exec from birth; this is the second lock */
	if (close_range(3 + p->preserve, ~0U, CLOSE_RANGE_CLOEXEC) < 0)
		return err_sys(err, "close descriptors");
	return exec_program(p, err);
}

void process_become(struct process *p)
{
	struct err err = ERR_INIT;
	int r = process_run(p, &err);

	process_fail(p->sock, &err);
	_exit(r == -ENOENT ? 127 : 126);
}
