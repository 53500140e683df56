/* SPDX-License-Identifier: Apache-2.0 */
/* -v HOST:PATH[:options] and --tmpfs PATH[:options]. */
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/path.h"
#include "base/store.h"
#include "engine/build.h"
#include "image/image.h"

static const struct {
	const char *name;
	uint64_t flag;
	bool clear; /* the name takes the flag away */
} mount_flags[] = {
	{"ro", MS_RDONLY, false},         {"rw", MS_RDONLY, true},
	{"nosuid", MS_NOSUID, false},     {"suid", MS_NOSUID, true},
	{"nodev", MS_NODEV, false},       {"dev", MS_NODEV, true},
	{"noexec", MS_NOEXEC, false},     {"exec", MS_NOEXEC, true},
	{"sync", MS_SYNCHRONOUS, false},  {"noatime", MS_NOATIME, false},
	{"relatime", MS_RELATIME, false},
};

static const struct {
	const char *name;
	uint64_t propagation;
} propagations[] = {
	{"private", MS_PRIVATE}, {"rprivate", MS_PRIVATE | MS_REC},
	{"shared", MS_SHARED},   {"rshared", MS_SHARED | MS_REC},
	{"slave", MS_SLAVE},     {"rslave", MS_SLAVE | MS_REC},
};

static bool set_flag(const char *word, uint64_t *flags)
{
	for (size_t i = 0; i < sizeof(mount_flags) / sizeof(mount_flags[0]); i++) {
		if (strcmp(word, mount_flags[i].name) == 0) {
			*flags = mount_flags[i].clear ? *flags & ~mount_flags[i].flag
						      : *flags | mount_flags[i].flag;
			return true;
		}
	}
	return false;
}

static bool set_propagation(const char *word, uint64_t *propagation)
{
	for (size_t i = 0; i < sizeof(propagations) / sizeof(propagations[0]); i++) {
		if (strcmp(word, propagations[i].name) == 0) {
			*propagation = propagations[i].propagation;
			return true;
		}
	}
	return false;
}

static int volume_options(const char *text, const char *options, struct plan_mount *m,
			  struct err *err)
{
	static const char *const ignored[] = {
		"z",         "Z",          "nocopy", "cached",
		"delegated", "consistent", NULL}; /* for other systems */
	AUTO_FREE char *copy = strdup(options);
	char *rest = copy;

	if (!copy)
		return err_set(err, ENOMEM, "out of memory");
	for (char *word; (word = strsep(&rest, ",")) != NULL;) {
		if (!set_flag(word, &m->flags) && !set_propagation(word, &m->propagation) &&
		    !str_in(word, ignored))
			return err_set(err, EINVAL, "-v: '%s': '%s' is not an option (ro, rw …)",
				       text, word);
	}
	return 0;
}

/* The real path of the deepest part of `path` that exists, with the rest behind it. */
static int real_path(const char *path, char ret[PATH_MAX], struct err *err)
{
	char head[PATH_MAX];
	size_t n = strlen(path);

	if (n >= sizeof(head))
		return err_set(err, ENAMETOOLONG, "-v: '%.80s…' is too long", path);
	memcpy(head, path, n + 1);
	while (!realpath(head, ret)) {
		char *slash = strrchr(head, '/');
		if ((errno != ENOENT && errno != ENOTDIR) || !slash || slash == head)
			return err_sys(err, "-v: '%s'", path);
		*slash = '\0';
	}
	if (strlen(ret) + strlen(path + strlen(head)) >= PATH_MAX)
		return err_set(err, ENAMETOOLONG, "-v: '%.80s…' is too long", path);
	strncat(ret, path + strlen(head), PATH_MAX - strlen(ret) - 1);
	return 0;
}

static bool lies_in(const char *path, const char *folder)
{
	const char *rest;

	return str_prefix(path, folder, &rest) && (*rest == '\0' || *rest == '/');
}

/* What belongs to the store is not for workloads: a write there would change others' layers. */
static int check_source(const struct build *b, struct plan_mount *m, struct err *err)
{
	char real[PATH_MAX];

	int r = real_path(m->source, real, err);
	if (r < 0)
		return r;
	if (lies_in(real, b->store->root) || lies_in(real, b->store->run))
		return err_set(err, EPERM, "-v: '%s' is inside hull's own store", m->source);
	/* what was judged is what is mounted, whatever is put in its way by then */
	m->source_real = true;
	return set_str(&m->source, real, err);
}

static int absolute_source(const char *text, const char *source, char **ret, struct err *err)
{
	char cwd[PATH_MAX];

	if (source[0] != '/' && source[0] != '.' && !strchr(source, '/'))
		return err_set(err, EINVAL, "-v: '%s': '%s' is not a path (a folder here is ./%s)",
			       text, source, source);
	if (!getcwd(cwd, sizeof(cwd)))
		return err_sys(err, "read the working folder");
	*ret = path_join(cwd, source);
	return *ret ? 0 : err_set(err, ENOMEM, "out of memory");
}

static int check_target(const char *what, const char *text, const char *target, struct err *err)
{
	if (target[0] != '/' || strcmp(target, "/") == 0)
		return err_set(err, EINVAL, "%s: '%s': '%s' is not an absolute path inside", what,
			       text, target);
	for (const char *p = target; *p; p++) {
		if (p[0] == '/' && p[1] == '.' && p[2] == '.' && (p[3] == '/' || p[3] == '\0'))
			return err_set(err, EINVAL, "%s: '%s': '..' in '%s'", what, text, target);
	}
	return 0;
}

static struct plan_mount *add_mount(const struct build *b, struct err *err)
{
	struct plan_mount *m = list_add(&b->plan->mounts, &plan_mount_record);

	if (!m)
		(void)err_set(err, ENOMEM, "out of memory");
	return m;
}

bool has_mount_at(const struct plan *plan, const char *target)
{
	const struct plan_mount *m = plan->mounts.items;

	for (size_t i = 0; i < plan->mounts.n; i++) {
		if (strcmp(m[i].target, target) == 0)
			return true;
	}
	return false;
}

/* A folder of the workload's own: its writable layer already is that, unless the root is
 * read-only. */
static int own_folder(const struct build *b, const char *target, struct err *err)
{
	if (!b->options->read_only || has_mount_at(b->plan, target))
		return 0;
	struct plan_mount *m = add_mount(b, err);
	if (!m)
		return -ENOMEM;
	m->copy_up = true;
	m->flags = MS_NODEV;
	int r = set_str(&m->type, "tmpfs", err);
	if (r == 0)
		r = set_str(&m->source, "tmpfs", err);
	return r < 0 ? r : set_str(&m->target, target, err);
}

/* text's parts: host, path, options or NULL. */
static int add_bind(const struct build *b, const char *text, char *const parts[3], struct err *err)
{
	int r = check_target("-v", text, parts[1], err);
	if (r < 0)
		return r;
	struct plan_mount *m = add_mount(b, err);
	if (!m)
		return -ENOMEM;
	m->flags = MS_REC;
	m->make_source = true;
	r = absolute_source(text, parts[0], &m->source, err);
	if (r == 0)
		r = check_source(b, m, err);
	if (r == 0)
		r = set_str(&m->target, parts[1], err);
	if (r == 0 && parts[2])
		r = volume_options(text, parts[2], m, err);
	return r;
}

static int add_volume(const struct build *b, const char *text, struct err *err)
{
	AUTO_FREE char *copy = strdup(text);
	char *parts[3] = {NULL};
	char *rest = copy;

	if (!copy)
		return err_set(err, ENOMEM, "out of memory");
	for (size_t i = 0; i < 3 && rest; i++)
		parts[i] = strsep(&rest, ":");
	if (rest || (parts[1] && !*parts[1]) || !*parts[0])
		return err_set(err, EINVAL, "-v: '%s' is not HOST:PATH[:ro]", text);
	if (!parts[1]) {
		int r = check_target("-v", text, parts[0], err);
		return r < 0 ? r : own_folder(b, parts[0], err);
	}
	return add_bind(b, text, parts, err);
}

static int tmpfs_options(const char *text, const char *options, struct plan_mount *m,
			 struct err *err)
{
	AUTO_BUF struct buf data = BUF_INIT;
	AUTO_FREE char *copy = strdup(options);
	char *rest = copy;

	if (!copy)
		return err_set(err, ENOMEM, "out of memory");
	for (char *word; (word = strsep(&rest, ",")) != NULL;) {
		if (set_flag(word, &m->flags))
			continue;
		if (!str_prefix(word, "size=", NULL) && !str_prefix(word, "mode=", NULL) &&
		    !str_prefix(word, "uid=", NULL) && !str_prefix(word, "gid=", NULL) &&
		    !str_prefix(word, "nr_inodes=", NULL))
			return err_set(err, EINVAL, "--tmpfs: '%s': '%s' is not an option", text,
				       word);
		buf_printf(&data, "%s%s", data.len ? "," : "", word);
	}
	int r = buf_check(&data, err);
	if (r == 0 && data.len)
		r = set_str(&m->data, data.data, err);
	return r;
}

static int add_tmpfs(const struct build *b, const char *text, struct err *err)
{
	AUTO_FREE char *target = strdup(text);
	char *options = target;

	if (!target)
		return err_set(err, ENOMEM, "out of memory");
	(void)strsep(&options, ":");
	int r = check_target("--tmpfs", text, target, err);
	if (r < 0)
		return r;
	struct plan_mount *m = add_mount(b, err);
	if (!m)
		return -ENOMEM;
	m->flags = MS_NOSUID | MS_NODEV | MS_NOEXEC;
	r = set_str(&m->type, "tmpfs", err);
	if (r == 0)
		r = set_str(&m->source, "tmpfs", err);
	if (r == 0)
		r = set_str(&m->target, target, err);
	if (r == 0 && options)
		r = tmpfs_options(text, options, m, err);
	return r;
}

int build_mounts(const struct build *b, struct err *err)
{
	const struct run_options *o = b->options;
	int r = 0;

	for (size_t i = 0; r == 0 && i < o->tmpfs.n; i++)
		r = add_tmpfs(b, o->tmpfs.v[i], err);
	for (size_t i = 0; r == 0 && i < o->volumes.n; i++)
		r = add_volume(b, o->volumes.v[i], err);
	for (size_t i = 0; r == 0 && i < b->image->config.volumes.n; i++)
		r = own_folder(b, b->image->config.volumes.v[i], err);
	b->plan->shm_size = o->shm_size;
	b->plan->root.readonly = o->read_only;
	return r;
}
