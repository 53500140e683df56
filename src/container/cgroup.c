/* SPDX-License-Identifier: Apache-2.0 */
#include "container/cgroup.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/fd.h"
#include "base/io.h"
#include "base/path.h"
#include "base/str.h"
#include "container/cgroup_impl.h"
#include "container/container.h"
#include "container/idmap.h"

static void hierarchy_done(struct hierarchy *h)
{
	free(h->mount);
	free(h->name);
	auto_close(&h->fd);
}

void cgroup_free(struct cgroup *cg)
{
	if (!cg)
		return;
	for (size_t i = 0; i < cg->n; i++)
		hierarchy_done(&cg->h[i]);
	free(cg->path);
	free(cg);
}

const struct hierarchy *cgroup_with(const struct cgroup *cg, enum controller c)
{
	for (size_t i = 0; i < cg->n; i++) {
		if (cg->h[i].controllers & 1U << c && cg->h[i].fd >= 0)
			return &cg->h[i];
	}
	return NULL;
}

bool hierarchy_read(const struct hierarchy *h, const char *name, struct buf *to)
{
	struct err ignored = ERR_INIT; /* kernels differ in which files they have */

	buf_clear(to);
	return h && h->fd >= 0 && file_read(h->fd, name, 1 << 20, to, &ignored) == 0 && to->data;
}

uint64_t hierarchy_number(const struct hierarchy *h, const char *name)
{
	AUTO_BUF struct buf text = BUF_INIT;

	if (!hierarchy_read(h, name, &text))
		return 0;
	return strncmp(text.data, "max", 3) == 0 ? UINT64_MAX : strtoull(text.data, NULL, 10);
}

uint64_t hierarchy_key(const struct hierarchy *h, const char *name, const char *key)
{
	AUTO_BUF struct buf text = BUF_INIT;
	size_t len = strlen(key);

	if (!hierarchy_read(h, name, &text))
		return 0;
	for (const char *line = text.data; line; line = strchr(line, '\n')) {
		line += *line == '\n';
		if (strncmp(line, key, len) == 0 && line[len] == ' ')
			return strtoull(line + len + 1, NULL, 10);
	}
	return 0;
}

/* Makes every folder on the way to `path` below the hierarchy's root: mkdir from the end, going up
 * only as far as something is missing. Returns 1 when it was there, 0 when it was made. */
static int make_folders(int root, const char *path, struct err *err)
{
	if (mkdirat(root, path, 0755) == 0)
		return 0;
	if (errno == EEXIST)
		return 1;
	const char *slash = strrchr(path, '/');
	if (errno != ENOENT || !slash)
		return err_sys(err, "make cgroup '%s'", path);
	AUTO_FREE char *parent = strndup(path, (size_t)(slash - path));
	if (!parent)
		return err_set(err, ENOMEM, "out of memory");
	int r = make_folders(root, parent, err);
	if (r >= 0 && mkdirat(root, path, 0755) < 0 && errno != EEXIST)
		r = err_sys(err, "make cgroup '%s'", path);
	return r < 0 ? r : 0;
}

/* Calls fn with an open folder for each prefix of path ("hull", "hull/ID", …), then the whole. */
static int each_level(const struct cgroup *cg, int root,
		      int (*fn)(const struct cgroup *cg, int parent, int fd, struct err *err),
		      struct err *err)
{
	AUTO_CLOSE int at = fcntl(root, F_DUPFD_CLOEXEC, 3);
	AUTO_FREE char *copy = strdup(cg->path);

	if (at < 0)
		return err_sys(err, "duplicate descriptor");
	if (!copy)
		return err_set(err, ENOMEM, "out of memory");
	char *rest = copy;
	for (char *name; (name = strsep(&rest, "/"));) {
		AUTO_CLOSE int next = openat(at, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		if (next < 0)
			return err_sys(err, "open cgroup '%s'", cg->path);
		int r = fn(cg, at, next, err);
		if (r < 0)
			return r;
		auto_close(&at);
		at = TAKE_FD(next);
	}
	return 0;
}

/* A new v1 cpuset has no CPU until it is told; clone_children makes its children inherit. */
static int inherit_cpuset(const struct cgroup *cg, int parent, int fd, struct err *err)
{
	static const char *const files[] = {"cpuset.cpus", "cpuset.mems"};

	/* one that was delegated has been set up, above where it is ours */
	if (faccessat(fd, "cgroup.clone_children", W_OK, AT_EACCESS) < 0)
		return 0;
	for (size_t i = 0; i < 2; i++) {
		AUTO_BUF struct buf own = BUF_INIT;
		AUTO_BUF struct buf theirs = BUF_INIT;
		int r = file_read(fd, files[i], 65536, &own, err);
		if (r == 0 && (own.len == 0 || own.data[0] == '\n')) {
			r = file_read(parent, files[i], 65536, &theirs, err);
			if (r == 0 && theirs.data)
				r = file_put(fd, files[i], theirs.data, err);
		}
		if (r < 0)
			return r;
	}
	return file_put(fd, "cgroup.clone_children", "1", err);
}

static int enable_controllers(const struct cgroup *cg, int parent, int fd, struct err *err)
{
	static const struct {
		enum controller c;
		const char *word;
	} all[] = {
		{CTL_CPU, "+cpu"},   {CTL_CPUSET, "+cpuset"}, {CTL_MEMORY, "+memory"},
		{CTL_BLKIO, "+io"},  {CTL_PIDS, "+pids"},     {CTL_HUGETLB, "+hugetlb"},
		{CTL_RDMA, "+rdma"},
	};
	AUTO_BUF struct buf enabled = BUF_INIT;

	int r = file_read(parent, "cgroup.subtree_control", 4096, &enabled, err);
	for (size_t i = 0; i < sizeof(all) / sizeof(all[0]) && r == 0; i++) {
		struct err ignored = ERR_INIT; /* what cannot be enabled is missed when a limit
						  needs it */
		if (cg->wanted & 1U << all[i].c &&
		    (!enabled.data || !strstr(enabled.data, all[i].word + 1)) &&
		    file_put(parent, "cgroup.subtree_control", all[i].word, &ignored) < 0)
			continue;
	}
	return r;
}

static int make_one(const struct cgroup *cg, struct hierarchy *h, struct err *err)
{
	AUTO_CLOSE int root = open(h->mount, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (root < 0)
		return err_sys(err, "open '%s'", h->mount);
	int r = make_folders(root, cg->path, err);
	h->existed = r > 0;
	if (r >= 0 && h->v2)
		r = each_level(cg, root, enable_controllers, err);
	if (r < 0)
		return r;
	h->fd = openat(root, cg->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (h->fd < 0)
		return err_sys(err, "open cgroup '%s'", cg->path);
	if (!h->v2 && h->controllers & 1U << CTL_CPUSET) {
		AUTO_BUF struct buf cpus = BUF_INIT;
		if (!hierarchy_read(h, "cpuset.cpus", &cpus) || cpus.data[0] == '\n')
			return each_level(cg, root, inherit_cpuset, err);
	}
	return 0;
}

bool cgroup_may_lack(void)
{
	return geteuid() != 0 || idmap_inside();
}

/* Whether this process may put others there: a folder that is somebody else's is none of ours,
 * whatever its name. */
static bool may_enter(const struct hierarchy *h)
{
	if (faccessat(h->fd, h->v2 ? "cgroup.procs" : "tasks", W_OK, AT_EACCESS) == 0)
		return true;
	/* a look that failed for another reason says nothing */
	return errno != EACCES && errno != EPERM && errno != EROFS;
}

/*
 * v2 moves a process only for who may write to cgroup.procs of the nearest folder that holds both
 * places (cgroups(7), "delegation containment"): whether that is so from where this process is.
 */
static bool may_leave_for(const struct hierarchy *h, const char *path)
{
	AUTO_FREE char *own = cgroup_own_path();
	AUTO_BUF struct buf file = BUF_INIT;
	size_t common = 0;

	if (!own)
		return false;
	const char *here = own + strspn(own, "/");
	for (size_t i = 0;; i++) {
		bool end_here = here[i] == '\0' || here[i] == '/';
		bool end_path = path[i] == '\0' || path[i] == '/';
		if (end_here && end_path)
			common = i;
		if (here[i] != path[i] || path[i] == '\0')
			break;
	}
	buf_printf(&file, "%s/%.*s/cgroup.procs", h->mount, (int)common, path);
	return file.data && faccessat(AT_FDCWD, file.data, W_OK, AT_EACCESS) == 0;
}

/* Keeps the hierarchies that `keep` answers true for. */
static void keep_only(struct cgroup *cg, bool (*keep)(const struct hierarchy *h))
{
	size_t kept = 0;

	for (size_t i = 0; i < cg->n; i++) {
		if (keep(&cg->h[i]))
			cg->h[kept++] = cg->h[i];
		else
			hierarchy_done(&cg->h[i]);
	}
	cg->n = kept;
}

static bool is_open(const struct hierarchy *h)
{
	return h->fd >= 0;
}

/* Does without a hierarchy: what was made there goes again. */
static void forgo(struct hierarchy *h, const char *path)
{
	AUTO_FREE char *whole = h->existed ? NULL : path_join(h->mount, path);

	auto_close(&h->fd);
	if (whole)
		(void)rmdir(whole);
}

/* The folder in one hierarchy, and whether it can be used. */
static int make_usable(const struct cgroup *cg, struct hierarchy *h, bool as_specified,
		       struct err *err)
{
	int r = make_one(cg, h, err);

	if (r < 0)
		return r;
	if (h->existed && !may_enter(h))
		return err_set(err, EACCES, "cgroup '%s' is somebody else's", cg->path);
	if (h->v2 && as_specified && cgroup_may_lack() && !may_leave_for(h, cg->path))
		return err_set(err, EACCES, "cgroup '%s' cannot be entered", cg->path);
	return 0;
}

/* The folder in each hierarchy; without rights on the host, in those where that is allowed. */
static int make_all(struct cgroup *cg, bool as_specified, struct err *err)
{
	for (size_t i = 0; i < cg->n; i++)
		cg->h[i].existed = true; /* what is not seen to be ours is not removed */
	for (size_t i = 0; i < cg->n; i++) {
		struct err why = ERR_INIT;
		if (make_usable(cg, &cg->h[i], as_specified, &why) == 0)
			continue;
		bool denied = why.code == EACCES || why.code == EPERM || why.code == EROFS;
		if (!denied || !as_specified || !cgroup_may_lack())
			return err_set(err, why.code, "%s", why.msg);
		forgo(&cg->h[i], cg->path);
	}
	keep_only(cg, is_open);
	return 0;
}

/* Notes that something was said. */
static void hear(void *ctx, const char *line)
{
	*(bool *)ctx = true;
}

/* A workload without cgroups has no limits: said once, when some were asked for. */
static void warn_of_none(const struct cgroup *cg, const struct cgroup_config *config)
{
	struct err missing = ERR_INIT;
	bool said = false;
	const struct cgroup_config test = {.limits = config->limits, .warn = hear, .ctx = &said};

	if (cgroup_limit(cg, &test, &missing) < 0 || said)
		config->warn(config->ctx, "the limits (linux.resources) are not held: this user "
					  "may make no cgroup here");
}

/* Who enters a frozen cgroup never runs: refused, not waited for. */
static int refuse_frozen(const struct cgroup *cg, struct err *err)
{
	const struct hierarchy *h = cgroup_with(cg, CTL_FREEZER);
	AUTO_BUF struct buf state = BUF_INIT;

	if (!h)
		return 0;
	bool frozen = h->v2 ? hierarchy_key(h, "cgroup.events", "frozen") == 1
			    : hierarchy_read(h, "freezer.state", &state) &&
				      strncmp(state.data, "THAWED", 6) != 0;
	return frozen ? err_set(err, EBUSY, "cgroup '%s' is frozen", cg->path) : 0;
}

static void warn_of_others(const struct cgroup *cg, const struct cgroup_config *config)
{
	char holder[16];

	(void)snprintf(holder, sizeof(holder), "%d\n", config->holder);
	for (size_t i = 0; i < cg->n; i++) {
		AUTO_BUF struct buf procs = BUF_INIT;
		char line[300];
		if (!cg->h[i].existed || !hierarchy_read(&cg->h[i], "cgroup.procs", &procs) ||
		    procs.len == 0 || strcmp(procs.data, holder) == 0)
			continue;
		(void)snprintf(line, sizeof(line),
			       "cgroup '%.200s' is not empty: others share its limits", cg->path);
		config->warn(config->ctx, line);
		return;
	}
}

/* "/a//b/" -> "a/b"; NULL when memory is out. */
static char *without_slashes(const char *path)
{
	char *out = malloc(strlen(path) + 1);
	size_t n = 0;

	for (const char *at = path + strspn(path, "/"); out && *at; at += strspn(at, "/")) {
		size_t len = strcspn(at, "/");
		if (n)
			out[n++] = '/';
		memcpy(out + n, at, len);
		n += len;
		at += len;
	}
	if (out)
		out[n] = '\0';
	return out;
}

static int cgroup_alloc(struct cgroup **ret, const char *path, uint32_t wanted, struct err *err)
{
	AUTO(auto_cgroup_free) struct cgroup *cg = calloc(1, sizeof(*cg));
	if (cg)
		cg->path = without_slashes(path);
	if (!cg || !cg->path)
		return err_set(err, ENOMEM, "out of memory");
	if (*path && !path_is_clean(cg->path, true))
		return err_set(err, EINVAL, "cgroup path '%s' leads out of its tree", path);
	cg->wanted = wanted | ((1U << CTL_NET_CLS) - 1);
	int r = *path ? cgroup_find(cg, false, err) : 0;
	if (r == 0)
		*ret = TAKE_PTR(cg);
	return r;
}

static bool is_new(const struct hierarchy *h)
{
	return !h->existed;
}

/* After a failure: what was there before stays. */
static void take_back(struct cgroup *cg)
{
	struct err ignored = ERR_INIT; /* the first failure is the one to tell */

	keep_only(cg, is_new);
	(void)cgroup_remove(cg, &ignored);
}

static int restrain(const struct cgroup *cg, const struct cgroup_config *config, struct err *err)
{
	int r = refuse_frozen(cg, err);

	if (r < 0)
		return r;
	warn_of_others(cg, config);
	r = cgroup_limit(cg, config, err);
	return r < 0 ? r : cgroup_devices(cg, config, err);
}

int cgroup_new(struct cgroup **ret, const struct cgroup_config *config, struct err *err)
{
	AUTO(auto_cgroup_free) struct cgroup *cg = NULL;
	int r = cgroup_alloc(&cg, config->path, cgroup_wanted(config->limits), err);

	if (r < 0 || !cg)
		return r;
	r = make_all(cg, config->as_specified, err);
	bool lacks = r == 0 && cg->n == 0 && config->as_specified && cgroup_may_lack();
	if (r == 0 && lacks && *cg->path)
		warn_of_none(cg, config);
	else if (r == 0 && *cg->path) /* without one there is nothing that could hold anything */
		r = restrain(cg, config, err);
	if (r < 0) {
		take_back(cg);
		return r;
	}
	*ret = TAKE_PTR(cg);
	return 0;
}

static bool is_ours(const struct hierarchy *h)
{
	return h->fd < 0 || may_enter(h);
}

int cgroup_open(struct cgroup **ret, const char *path, struct err *err)
{
	AUTO(auto_cgroup_free) struct cgroup *cg = NULL;
	int r = cgroup_alloc(&cg, path, UINT32_MAX, err);

	for (size_t i = 0; r == 0 && i < cg->n; i++) {
		AUTO_FREE char *whole = path_join(cg->h[i].mount, cg->path);
		if (!whole)
			return err_set(err, ENOMEM, "out of memory");
		cg->h[i].fd = open(whole, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		cg->h[i].existed = cg->h[i].fd >= 0;
		/* not there, or not ours; of anything else must be told: what is not seen is not
		 * removed */
		if (!cg->h[i].existed && errno != ENOENT && errno != EACCES)
			return err_sys(err, "open cgroup '%s'", whole);
	}
	if (r < 0 || !cg)
		return r;
	keep_only(cg, is_ours);
	*ret = TAKE_PTR(cg);
	return 0;
}

/* Until a pass finds nobody outside: who forks meanwhile has children there. */
static int move_all(const struct hierarchy *from, const struct hierarchy *to, struct err *err)
{
	enum { PASSES = 100 };

	for (int pass = 0; pass < PASSES; pass++) {
		AUTO_BUF struct buf all = BUF_INIT;
		AUTO_BUF struct buf moved = BUF_INIT;
		int r = file_read(from->fd, "cgroup.procs", 8 << 20, &all, err);
		if (r == 0)
			r = file_read(to->fd, "cgroup.procs", 8 << 20, &moved, err);
		if (r < 0 || !all.data || (moved.data && strcmp(all.data, moved.data) == 0))
			return r;
		char *rest = all.data;
		for (char *pid; (pid = strsep(&rest, "\n"));) {
			struct err gone = ERR_INIT; /* ended meanwhile */
			if (*pid && file_put(to->fd, "cgroup.procs", pid, &gone) < 0 &&
			    gone.code != ESRCH)
				return err_set(err, gone.code, "%s", gone.msg);
		}
	}
	return err_set(err, EAGAIN, "the workload forks faster than it can be moved");
}

int cgroup_extend(struct cgroup **ret, const struct cgroup_config *config, struct err *err)
{
	AUTO(auto_cgroup_free) struct cgroup *cg = NULL;
	uint32_t wanted = cgroup_wanted(config->limits);
	const struct hierarchy *from = NULL;
	int r = cgroup_open(&cg, config->path, err);

	for (size_t i = 0; r == 0 && i < cg->n && !from; i++)
		from = cg->h[i].fd >= 0 ? &cg->h[i] : NULL;
	for (size_t i = 0; r == 0 && i < cg->n && from; i++) {
		if (cg->h[i].fd >= 0 || !(cg->h[i].controllers & wanted))
			continue;
		r = make_one(cg, &cg->h[i], err);
		if (r == 0)
			r = move_all(from, &cg->h[i], err);
	}
	if (r == 0)
		*ret = TAKE_PTR(cg);
	return r;
}

/* Removes the folders inside fd (a cgroup's files go with it). Takes fd. */
static void remove_inside(int fd, int depth)
{
	enum { DEPTH_MAX = 64 };
	DIR *dir = depth < DEPTH_MAX ? fdopendir(fd) : NULL;

	if (!dir) {
		auto_close(&fd);
		return;
	}
	for (struct dirent *e; (e = readdir(dir));) {
		if (e->d_type != DT_DIR || e->d_name[0] == '.')
			continue;
		int sub = openat(dirfd(dir), e->d_name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		if (sub >= 0)
			remove_inside(sub, depth + 1);
		(void)unlinkat(dirfd(dir), e->d_name, AT_REMOVEDIR);
	}
	(void)closedir(dir);
}

/* EBUSY: a dead process has not yet left; the kernel needs a moment. */
static int remove_folder(int root, const char *path, struct err *err)
{
	enum { TRIES = 200 };

	for (int i = 0;; i++) {
		if (unlinkat(root, path, AT_REMOVEDIR) == 0 || errno == ENOENT)
			return 0;
		if ((errno != EBUSY && errno != ENOTEMPTY) || i == TRIES)
			return err_sys(err, "remove cgroup '%s'", path);
		int sub = openat(root, path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		if (sub >= 0)
			remove_inside(sub, 0);
		if (i > 0)
			(void)nanosleep(&(struct timespec){.tv_nsec = 5000000}, NULL);
	}
}

int cgroup_remove(struct cgroup *cg, struct err *err)
{
	const char *slash = strrchr(cg->path, '/');
	AUTO_FREE char *parent = slash ? strndup(cg->path, (size_t)(slash - cg->path)) : NULL;
	int r = 0;

	for (size_t i = 0; i < cg->n; i++) {
		auto_close(&cg->h[i].fd);
		AUTO_CLOSE int root = open(cg->h[i].mount, O_PATH | O_DIRECTORY | O_CLOEXEC);
		int one = 0;
		if (root >= 0)
			one = remove_folder(root, cg->path, err);
		else if (errno != ENOENT && errno != EACCES)
			one = err_sys(err, "open '%s'", cg->h[i].mount);
		r = r < 0 ? r : one;
		/* "hull/ID"; but "hull" itself stays, and a parent in use or of others too */
		if (root >= 0 && parent && strncmp(parent, "hull/", 5) == 0)
			(void)unlinkat(root, parent, AT_REMOVEDIR);
	}
	return r;
}

int cgroup_clone_fd(const struct cgroup *cg)
{
	for (size_t i = 0; cg && i < cg->n; i++) {
		if (cg->h[i].v2)
			return cg->h[i].fd;
	}
	return -1;
}

int cgroup_join(const struct cgroup *cg, struct err *err)
{
	for (size_t i = 0; cg && i < cg->n; i++) {
		/* opened only: a hierarchy without the workload's folder */
		if (cg->h[i].fd < 0)
			continue;
		int r = cg->h[i].v2 ? 0 : file_put(cg->h[i].fd, "tasks", "0", err);
		if (r < 0)
			return err_wrap(err, "enter cgroup '%s/%s'", cg->h[i].mount, cg->path);
	}
	return 0;
}

int cgroup_each(const struct cgroup *cg, cgroup_each_fn *fn, void *ctx, struct err *err)
{
	for (size_t i = 0; i < cg->n; i++) {
		AUTO_FREE char *folder = path_join(cg->h[i].mount, cg->path);
		if (!folder)
			return err_set(err, ENOMEM, "out of memory");
		int r = fn(ctx, &(struct cgroup_place){cg->h[i].name, folder}, err);
		if (r < 0)
			return r;
	}
	return 0;
}

bool cgroup_is_v2(const struct cgroup *cg)
{
	return cg && cg->n == 1 && cg->h[0].v2;
}

/* Whether a service manager has put this process somewhere: into another cgroup than the root.
 * Entering another costs v2 some milliseconds. */
static bool is_managed(void)
{
	AUTO_FREE char *own = cgroup_own_path();

	return own && strcmp(own, "/") != 0;
}

int container_default_cgroup(const char *id, char **ret, struct err *err)
{
	AUTO_FREE char *own = cgroup_may_lack() ? cgroup_own_path() : NULL;
	char *path = NULL;

	if ((own ? asprintf(&path, "%s/hull-oci-%s", own + strspn(own, "/"), id)
		 : asprintf(&path, "hull-oci/%s", id)) < 0)
		return err_set(err, ENOMEM, "out of memory");
	*ret = path;
	return 0;
}

static int place_in(const struct hierarchy *h, const char *leaf, struct err *err)
{
	AUTO_CLOSE int root = open(h->mount, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (root < 0)
		return err_sys(err, "open '%s'", h->mount);
	int r = make_folders(root, leaf, err);
	if (r < 0)
		return r; /* both answers will do: there or made */
	AUTO_CLOSE int fd = openat(root, leaf, O_PATH | O_CLOEXEC);
	if (fd < 0)
		return err_sys(err, "open cgroup '%s'", leaf);
	return file_put(fd, h->v2 ? "cgroup.procs" : "tasks", "0", err);
}

int container_place_keeper(struct err *err)
{
	AUTO(auto_cgroup_free) struct cgroup *cg = NULL;
	int r = 0;

	if (!is_managed())
		return 0;
	cg = calloc(1, sizeof(*cg));
	if (!cg)
		return err_set(err, ENOMEM, "out of memory");
	cg->wanted = UINT32_MAX;
	r = cgroup_find(cg, true, err);
	for (size_t i = 0; i < cg->n && r == 0; i++)
		r = place_in(&cg->h[i], "hull/keepers", err);
	return r;
}
