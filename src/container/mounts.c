/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The plan's mounts. Each is made detached, with all its flags, and then attached to a handle of
 * its target, which was resolved once; what is set afterwards is set through the mount's own
 * handle.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/magic.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/fd.h"
#include "base/path.h"
#include "base/str.h"
#include "container/idmap.h"
#include "container/mnt.h"
#include "container/populate.h"
#include "proto/plan.h"

enum { OPTION_MAX = 255 }; /* fsconfig(2) takes no longer value */

static bool is_proc(int fd)
{
	struct statfs fs;

	return fstatfs(fd, &fs) == 0 && fs.f_type == PROC_SUPER_MAGIC;
}

/* "/dev/" is /dev too. */
static bool is_path(const char *path, const char *wanted)
{
	size_t n = strlen(wanted);

	return strncmp(path, wanted, n) == 0 && path[n + strspn(path + n, "/")] == '\0';
}

/* The folder above `path`, made when missing; *name is what comes last in path. */
static int parent_open(int root, const char *path, const char **name, struct err *err)
{
	char parent[PATH_MAX];
	const char *slash = strrchr(path, '/');
	int n = snprintf(parent, sizeof(parent), "/%.*s", slash ? (int)(slash - path) : 0, path);

	*name = slash ? slash + 1 : path;
	if (n < 0 || (size_t)n >= sizeof(parent) || !**name || strcmp(*name, ".") == 0 ||
	    strcmp(*name, "..") == 0)
		return err_set(err, EINVAL, "'%s' cannot be mounted on", path);
	return path_mkdir_in(root, parent, 0755, err);
}

static int target_nofollow(int root, const char *path, bool folder, struct err *err)
{
	const char *name;
	AUTO_CLOSE int above = parent_open(root, path, &name, err);
	if (above < 0)
		return above;
	int fd = openat(above, name, O_PATH | O_NOFOLLOW | O_CLOEXEC);
	if (fd >= 0 || errno != ENOENT)
		return fd < 0 ? err_sys(err, "open '%s'", path) : fd;
	if (folder && mkdirat(above, name, 0755) < 0)
		return err_sys(err, "make folder '%s'", path);
	AUTO_CLOSE int made = folder ? -1
				     : openat(above, name,
					      O_CREAT | O_EXCL | O_RDONLY | O_NOFOLLOW | O_CLOEXEC,
					      0644);
	if (!folder && made < 0)
		return err_sys(err, "make '%s' to mount on", path);
	fd = openat(above, name, O_PATH | O_NOFOLLOW | O_CLOEXEC);
	return fd < 0 ? err_sys(err, "open '%s'", path) : fd;
}

int target_open(int root, const char *path, unsigned kind, struct err *err)
{
	struct err missing = ERR_INIT;
	const char *name;

	if (kind & TARGET_NOFOLLOW)
		return target_nofollow(root, path, kind & TARGET_FOLDER, err);
	if (kind & TARGET_FOLDER)
		return path_mkdir_in(root, path, 0755, err);
	int fd = path_open_in(root, path, O_PATH, 0, &missing);
	if (fd >= 0)
		return fd;
	if (missing.code != ENOENT)
		return err_set(err, missing.code, "%s", missing.msg);
	AUTO_CLOSE int above = parent_open(root, path, &name, err);
	if (above < 0)
		return above;
	AUTO_CLOSE int made = openat(above, name,
				     O_CREAT | O_EXCL | O_RDONLY | O_NOFOLLOW | O_CLOEXEC, 0644);
	if (made < 0 && errno != EEXIST)
		return err_sys(err, "make '%s' to mount on", path);
	return path_open_in(root, path, O_PATH, 0, err);
}

/* Under /proc only what is known to be looked at, not written through, may be covered. */
static int refuse_proc(int at, int mount, const char *target, struct err *err)
{
	static const char *const harmless[] = {
		"/proc/cpuinfo",
		"/proc/diskstats",
		"/proc/loadavg",
		"/proc/meminfo",
		"/proc/slabinfo",
		"/proc/stat",
		"/proc/swaps",
		"/proc/uptime",
		"/proc/sys/kernel/ns_last_pid",
		"/proc/sys/crypto/fips_enabled",
		NULL,
	};

	if (!is_proc(at) || str_in(target, harmless) ||
	    (is_path(target, "/proc") && is_proc(mount)))
		return 0;
	return err_set(err, EPERM, "'%s': nothing may be mounted inside /proc", target);
}

/* Whose ids an id-mapped mount without maps of its own takes, and what is mounted over "/". */
struct id_source {
	int userns, root;
};

static int idmap_apply(int mount, const struct plan_mount *m, const struct id_source *ids,
		       struct err *err)
{
	struct mount_change change = {
		.set = MOUNT_ATTR_IDMAP,
		.recursive = m->idmap_recursive,
		.userns = ids->userns,
	};

	if (!m->idmap && !m->idmap_recursive)
		return 0;
	bool own = m->uid_maps.n > 0 || m->gid_maps.n > 0;
	AUTO_CLOSE int made = own ? idmap_userns(&m->uid_maps, &m->gid_maps, ids->root, err) : -1;
	if (own && made < 0)
		return made;
	if (own)
		change.userns = made;
	if (change.userns < 0)
		return err_set(err, EINVAL,
			       "idmap without mappings, and the workload has no user namespace");
	int r = mount_change(mount, &change, m->source, err);
	return r < 0 ? err_wrap(err, "idmap") : 0;
}

static int take_source(const struct plan_mount *m, struct err *err)
{
	bool recursive = m->flags & MS_REC;

	if (m->source_nofollow)
		return mount_clone_nofollow(m->source, recursive, err);
	if (!m->source_real)
		return mount_clone(AT_FDCWD, m->source, recursive, err);
	AUTO_CLOSE int real = path_open_real(m->source, err);
	return real < 0 ? real : mount_clone(real, "", recursive, err);
}

static int source_new(const struct plan_mount *m, const struct id_source *ids, struct err *err)
{
	if (!m->source || m->source[0] != '/')
		return err_set(err, EINVAL, "volume source '%s' is no absolute path",
			       m->source ? m->source : "");
	if (m->make_source && access(m->source, F_OK) < 0) {
		AUTO_CLOSE int root = open("/", O_PATH | O_DIRECTORY | O_CLOEXEC);
		if (root < 0)
			return err_sys(err, "open '/'");
		int r = path_mkdir_all(root, m->source + 1, 0755, err);
		if (r < 0)
			return r;
	}
	AUTO_CLOSE int mount = take_source(m, err);
	int r = mount < 0 ? mount : idmap_apply(mount, m, ids, err);
	return r < 0 ? r : TAKE_FD(mount);
}

int mount_source(const struct plan_mount *m, int userns, struct err *err)
{
	return source_new(m, &(struct id_source){userns, -1}, err);
}

/* Makes a link like the source, 1; or 0 when that is none. */
static int copy_link(const struct populate *p, const struct plan_mount *m, struct err *err)
{
	char text[PATH_MAX];
	char there[PATH_MAX];
	const char *name;
	ssize_t n = readlink(m->source, text, sizeof(text) - 1);

	if (n < 0)
		return errno == EINVAL ? 0 : err_sys(err, "read link '%s'", m->source);
	text[n] = '\0';
	AUTO_CLOSE int above = parent_open(p->root, m->target, &name, err);
	if (above < 0)
		return above;
	if (symlinkat(text, above, name) == 0)
		return 1;
	if (errno != EEXIST)
		return err_sys(err, "make link '%s'", m->target);
	ssize_t k = readlinkat(above, name, there, sizeof(there));
	if (k != n || memcmp(there, text, (size_t)n) != 0)
		return err_set(err, EEXIST, "'%s' is there already", m->target);
	return 1;
}

/* The flags that a mount gets while it is detached. */
static int set_flags(const struct populate *p, int mount, const struct plan_mount *m, uint64_t set,
		     struct err *err)
{
	/* hull's own "ro" is for all below; the runtime-spec has other words for that */
	bool all = m->flags & MS_REC && !p->plan->as_specified;
	struct mount_change own = {.set = set, .clear = m->attr_clear, .recursive = all};
	struct mount_change tree = {.set = m->rec_set, .clear = m->rec_clear, .recursive = true};
	struct mount_change alone = {.propagation = MS_PRIVATE, .recursive = true};
	int r = 0;

	if (m->flags & MS_RELATIME)
		own.clear |= MOUNT_ATTR__ATIME;
	if (p->plan->as_specified && !m->propagation)
		r = mount_change(mount, &alone, m->target, err);
	if (r == 0 && (own.set || own.clear))
		r = mount_change(mount, &own, m->target, err);
	if (r == 0 && (tree.set || tree.clear))
		r = mount_change(mount, &tree, m->target, err);
	return r;
}

static int set_propagation(int mount, const struct plan_mount *m, struct err *err)
{
	struct mount_change change = {
		.propagation = m->propagation & ~(uint64_t)MS_REC,
		.recursive = m->propagation & MS_REC,
	};

	return change.propagation ? mount_change(mount, &change, m->target, err) : 0;
}

static int bind_one(const struct populate *p, size_t i, const struct plan_mount *m, struct err *err)
{
	struct stat st;
	int given = p->sources ? p->sources[i] : -1;

	if (m->copy_symlink) {
		int r = copy_link(p, m, err);
		if (r != 0)
			return r < 0 ? r : 0;
	}
	AUTO_CLOSE int mount = given < 0 ? source_new(m, &(struct id_source){-1, p->root}, err)
					 : fcntl(given, F_DUPFD_CLOEXEC, 3);
	if (mount < 0)
		return given < 0 ? mount : err_sys(err, "duplicate descriptor");
	if (fstat(mount, &st) < 0)
		return err_sys(err, "stat '%s'", m->source);
	int r = set_flags(p, mount, m, mount_attr_of(m->flags), err);
	if (r < 0)
		return r;
	unsigned kind = (S_ISDIR(st.st_mode) ? TARGET_FOLDER : TARGET_FILE) |
			(m->target_nofollow ? TARGET_NOFOLLOW : 0U);
	AUTO_CLOSE int at = target_open(p->root, m->target, kind, err);
	if (at < 0)
		return at;
	r = refuse_proc(at, mount, m->target, err);
	if (r == 0)
		r = mount_attach(mount, at, m->target, err);
	return r < 0 ? r : set_propagation(mount, m, err);
}

/* "remount": other flags for what is mounted there already. */
static int remount_one(const struct populate *p, const struct plan_mount *m, struct err *err)
{
	AUTO_CLOSE int at = path_open_in(p->root, m->target, O_PATH, 0, err);
	int r = at < 0 ? at : set_flags(p, at, m, mount_attr_of(m->flags), err);

	return r < 0 ? r : set_propagation(at, m, err);
}

/* File systems that take no context= (they label by themselves). */
static bool takes_label(const char *type)
{
	static const char *const without[] = {"proc", "sysfs", "mqueue", "cgroup", "cgroup2", NULL};

	return !str_in(type, without);
}

static bool is_long(const char *data)
{
	for (const char *word = data; word && *word; word += strspn(word, ",")) {
		size_t n = strcspn(word, ",");
		if (n > OPTION_MAX)
			return true;
		word += n;
	}
	return false;
}

/*
 * Options longer than fsconfig(2) takes (an overlay of many layers) go through mount(2), on the
 * handle of the target; the mount is then opened from there.
 */
static int mount_long(const struct populate *p, const struct plan_mount *m, int at, struct err *err)
{
	char alias[32];
	uint64_t kept = MS_RDONLY | MS_NOSUID | MS_NODEV | MS_NOEXEC | MS_NOATIME | MS_NODIRATIME |
			MS_SYNCHRONOUS | MS_DIRSYNC | MS_STRICTATIME | MS_LAZYTIME;

	(void)snprintf(alias, sizeof(alias), "/proc/self/fd/%d", at);
	if (mount(m->source && *m->source ? m->source : m->type, alias, m->type, m->flags & kept,
		  m->data) < 0)
		return err_sys(err, "mount file system %s", m->type);
	return path_open_in(p->root, m->target, O_PATH | O_DIRECTORY, 0, err);
}

static int set_options(const struct populate *p, int fs, const struct plan_mount *m,
		       struct err *err)
{
	const char *label = takes_label(m->type) ? p->plan->mount_label : NULL;
	const char *source = m->source && *m->source ? m->source : m->type;
	int r = fs_set(fs, "source", source, err);

	if (r == 0)
		r = fs_set_all(fs, m->data, err);
	if (r == 0)
		r = fs_set_flags(fs, m->flags, err);
	if (r == 0 && label && *label)
		r = fs_set(fs, p->plan->mount_context ? p->plan->mount_context : "context", label,
			   err);
	/* a block device: its own superblock is read-only too */
	if (r == 0 && m->flags & MS_RDONLY && source[0] == '/')
		r = fs_set(fs, "ro", NULL, err);
	return r;
}

/* The plan's file system as a detached mount, filled from `from` when it starts with that. */
static int fresh_mount(const struct populate *p, const struct plan_mount *m, uint64_t attr,
		       int from, struct err *err)
{
	struct mount_change flags = {.set = attr};

	AUTO_CLOSE int fs = fs_open(m->type, err);
	if (fs < 0)
		return fs;
	int r = set_options(p, fs, m, err);
	/* what is copied up has to be written first */
	AUTO_CLOSE int mount = r < 0 ? r : fs_mount(fs, m->type, m->copy_up ? 0 : attr, err);
	if (mount < 0)
		return mount;
	if (m->copy_up) {
		r = copy_tree(from, mount, err);
		if (r == 0)
			r = mount_change(mount, &flags, m->target, err);
	}
	return r < 0 ? r : TAKE_FD(mount);
}

/* The words of a list of options but for those that set `key`. NULL when memory is out. */
static char *options_without(const char *options, const char *key)
{
	AUTO_BUF struct buf kept = BUF_INIT;
	size_t len = strlen(key);

	for (const char *word = options; *word; word += strspn(word, ",")) {
		size_t n = strcspn(word, ",");
		if (strncmp(word, key, len) != 0 || word[len] != '=')
			buf_printf(&kept, "%s%.*s", kept.len ? "," : "", (int)n, word);
		word += n;
	}
	return kept.len ? buf_take(&kept) : strdup("");
}

/* The group of terminals (5, as a rule) may not be in the map of a user namespace: they are then of
 * the group of who opens them. */
static int new_mount(const struct populate *p, const struct plan_mount *m, uint64_t attr, int from,
		     struct err *err)
{
	struct err why = ERR_INIT;
	int mount = fresh_mount(p, m, attr, from, &why);

	if (mount >= 0)
		return mount;
	if (why.code != EINVAL || strcmp(m->type, "devpts") != 0 || !m->data)
		return err_set(err, why.code, "%s", why.msg);
	struct plan_mount other = *m;
	AUTO_FREE char *data = options_without(m->data, "gid");
	if (!data)
		return err_set(err, ENOMEM, "out of memory");
	other.data = data;
	return fresh_mount(p, &other, attr, from, err);
}

/*
 * In a user namespace these may be mounted only together with the namespace that they show; without
 * it there is nothing to show but the host's, which is then bound, with all that covers it.
 */
static int host_instead(const struct populate *p, const struct plan_mount *m, uint64_t attr,
			const struct err *why, struct err *err)
{
	static const struct {
		const char *type, *path;
		uint64_t shows; /* namespace */
	} known[] = {
		{"proc", "/proc", CLONE_NEWPID},
		{"sysfs", "/sys", CLONE_NEWNET},
		{"mqueue", "/dev/mqueue", CLONE_NEWIPC},
	};
	struct mount_change change = {.set = attr, .propagation = MS_PRIVATE, .recursive = true};

	for (size_t i = 0; i < sizeof(known) / sizeof(known[0]) && why->code == EPERM; i++) {
		if (strcmp(m->type, known[i].type) != 0 || p->plan->namespaces & known[i].shows)
			continue;
		struct err ignored = ERR_INIT; /* the kernel's first word is the one to tell */
		AUTO_CLOSE int mount = mount_clone(AT_FDCWD, known[i].path, true, &ignored);
		if (mount >= 0 && mount_change(mount, &change, m->target, &ignored) == 0)
			return TAKE_FD(mount);
	}
	return err_set(err, why->code, "%s", why->msg);
}

/* /proc and /dev are needed again, whatever comes to lie over them. */
static int remember(struct populate *p, int mount, const struct plan_mount *m, struct err *err)
{
	int *keep = NULL;

	if (p->plan->as_specified && is_path(m->target, "/proc") && is_proc(mount))
		keep = &p->proc;
	else if (p->plan->as_specified && is_path(m->target, "/dev"))
		keep = &p->dev;
	if (!keep)
		return 0;
	auto_close(keep);
	*keep = fcntl(mount, F_DUPFD_CLOEXEC, 3);
	return *keep < 0 ? err_sys(err, "duplicate descriptor") : 0;
}

static int attach_new(const struct populate *p, const struct plan_mount *m, int at, struct err *err)
{
	uint64_t attr = mount_attr_of(m->flags);
	struct err why = ERR_INIT;

	/* nodes have to be made in it first: devices_plan() */
	if (p->plan->as_specified && is_path(m->target, "/dev"))
		attr &= ~(uint64_t)MOUNT_ATTR_RDONLY;
	AUTO_CLOSE int mount = new_mount(p, m, attr, at, &why);
	if (mount < 0)
		mount = host_instead(p, m, attr, &why, err);
	int r = mount < 0 ? mount : mount_attach(mount, at, m->target, err);
	return r < 0 ? r : TAKE_FD(mount);
}

/* What is said of a new mount beside the flags that it was made with. */
static int finish_new(struct populate *p, int mount, const struct plan_mount *m, struct err *err)
{
	struct mount_change own = {.clear = m->attr_clear};
	struct mount_change tree = {.set = m->rec_set, .clear = m->rec_clear, .recursive = true};
	int r = own.clear ? mount_change(mount, &own, m->target, err) : 0;

	if (r == 0 && (tree.set || tree.clear))
		r = mount_change(mount, &tree, m->target, err);
	if (r == 0)
		r = set_propagation(mount, m, err);
	return r < 0 ? r : remember(p, mount, m, err);
}

static int mount_one(struct populate *p, const struct plan_mount *m, struct err *err)
{
	unsigned kind = TARGET_FOLDER | (m->target_nofollow ? TARGET_NOFOLLOW : 0U);

	if (strcmp(m->type, "cgroup") == 0 || strcmp(m->type, "cgroup2") == 0)
		return populate_cgroup(p, m->target, mount_attr_of(m->flags), err);
	if (m->idmap || m->idmap_recursive)
		return err_set(err, EINVAL, "idmap is for bind mounts");
	AUTO_CLOSE int at = target_open(p->root, m->target, kind, err);
	if (at < 0)
		return at;
	int r = strcmp(m->type, "proc") == 0 ? 0 : refuse_proc(at, -1, m->target, err);
	if (r < 0)
		return r;
	AUTO_CLOSE int mount = is_long(m->data) ? mount_long(p, m, at, err)
						: attach_new(p, m, at, err);
	return mount < 0 ? mount : finish_new(p, mount, m, err);
}

/* A plan without a /proc has one all the same, for us alone. */
static int find_proc(struct populate *p, struct err *err)
{
	struct err ignored = ERR_INIT; /* the host's will do */

	if (p->proc >= 0)
		return 0;
	if (p->plan->namespaces & CLONE_NEWPID)
		p->proc = fs_new("proc", NULL,
				 MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC,
				 &ignored);
	if (p->proc < 0)
		p->proc = open("/proc", O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (p->proc < 0)
		return err_sys(err, "open '/proc'");
	return is_proc(p->proc) ? 0 : err_set(err, EPERM, "the host's /proc is not procfs");
}

static bool is_bind(const struct plan_mount *m)
{
	return !m->type || strcmp(m->type, "bind") == 0 || m->flags & MS_BIND;
}

int populate_mounts(struct populate *p, struct err *err)
{
	const struct plan_mount *m = p->plan->mounts.items;

	for (size_t i = 0; i < p->plan->mounts.n; i++, m++) {
		int r;
		if (!m->target || m->target[0] != '/')
			return err_set(err, EINVAL, "mount target '%s' is no absolute path",
				       m->target ? m->target : "");
		if (m->flags & MS_REMOUNT)
			r = remount_one(p, m, err);
		else
			r = is_bind(m) ? bind_one(p, i, m, err) : mount_one(p, m, err);
		if (r < 0)
			return err_wrap(err, "mount '%s'", m->target);
	}
	return p->plan->as_specified ? find_proc(p, err) : 0;
}
