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

static const char *const controller_names[CTL_MAX] = {
	[CTL_CPU] = "cpu",           [CTL_CPUACCT] = "cpuacct", [CTL_CPUSET] = "cpuset",
	[CTL_MEMORY] = "memory",     [CTL_DEVICES] = "devices", [CTL_FREEZER] = "freezer",
	[CTL_BLKIO] = "blkio",       [CTL_PIDS] = "pids",       [CTL_NET_CLS] = "net_cls",
	[CTL_NET_PRIO] = "net_prio", [CTL_HUGETLB] = "hugetlb", [CTL_RDMA] = "rdma",
};

/* Bits of the controllers named in a list; *name gets the words that mount the hierarchy again. */
static uint32_t controllers_of(char *list, const char *separators, struct buf *name)
{
	uint32_t found = 0;

	for (char *word; (word = strsep(&list, separators));) {
		bool known = false;
		for (size_t c = 0; c < CTL_MAX; c++) {
			if (strcmp(word, controller_names[c]) == 0) {
				found |= 1U << c;
				known = true;
			}
		}
		if (known || strncmp(word, "name=", 5) == 0)
			buf_printf(name, "%s%s", name->len ? "," : "", word);
	}
	return found;
}

/* v2 has other names, and two abilities that are no controllers: freezing, and device programs. */
static uint32_t controllers_v2(const char *mount)
{
	AUTO_BUF struct buf text = BUF_INIT;
	AUTO_BUF struct buf name = BUF_INIT;
	struct err ignored = ERR_INIT; /* a v2 mount that cannot be read offers nothing */
	AUTO_CLOSE int fd = open(mount, O_PATH | O_DIRECTORY | O_CLOEXEC);

	if (fd < 0 || file_read(fd, "cgroup.controllers", 4096, &text, &ignored) < 0 || !text.data)
		return 0;
	bool io = strstr(text.data, "io ") || strstr(text.data, "io\n");
	uint32_t found = controllers_of(text.data, " \n", &name);
	if (found & 1U << CTL_CPU)
		found |= 1U << CTL_CPUACCT;
	if (io)
		found |= 1U << CTL_BLKIO;
	return found;
}

/* "ID PARENT MAJ:MIN ROOT MOUNT OPTIONS [TAGS…] - TYPE SOURCE SUPEROPTIONS" */
struct mount_line {
	char *mount, *type, *options;
};

static bool split_line(char *line, struct mount_line *ret)
{
	char *dash = strstr(line, " - cgroup");

	if (!dash)
		return false;
	*dash = '\0';
	ret->type = dash + strlen(" - ");
	char *rest = ret->type;
	(void)strsep(&rest, " ");
	(void)strsep(&rest, " ");
	ret->options = rest;
	for (int i = 0; i < 4; i++)
		(void)strsep(&line, " ");
	ret->mount = strsep(&line, " ");
	return ret->mount && ret->options;
}

static int add_hierarchy(struct cgroup *cg, struct mount_line *line, bool systemd, struct err *err)
{
	AUTO_BUF struct buf name = BUF_INIT;
	bool v2 = strcmp(line->type, "cgroup2") == 0;
	uint32_t known = 0;

	for (size_t i = 0; i < cg->n; i++)
		known |= cg->h[i].controllers;
	uint32_t found = v2 ? controllers_v2(line->mount)
			    : controllers_of(line->options, ",", &name);
	if (v2 && !(known & (1U << CTL_FREEZER | 1U << CTL_DEVICES)) && (found || !known))
		found |= 1U << CTL_FREEZER | 1U << CTL_DEVICES;
	found &= ~known & cg->wanted;
	bool tree = v2 || strstr(name.data ? name.data : "", "name=systemd");
	if (systemd ? !tree : found == 0)
		return 0;
	if (cg->n == HIERARCHY_MAX)
		return err_set(err, E2BIG, "more than %d cgroup hierarchies", HIERARCHY_MAX);
	struct hierarchy *h = &cg->h[cg->n];
	h->mount = strdup(line->mount);
	h->name = buf_take(&name);
	if (!h->mount || !h->name) {
		free(h->mount);
		free(h->name);
		return err_set(err, ENOMEM, "out of memory");
	}
	h->controllers = found;
	h->v2 = v2;
	h->fd = -1;
	cg->n++;
	return 0;
}

/* v1 first: with both mounted, a controller is where v1 has it. */
static int cgroup_find(struct cgroup *cg, bool systemd, struct err *err)
{
	static const char *const types[] = {"cgroup", "cgroup2"};
	AUTO_BUF struct buf text = BUF_INIT;

	int r = file_read(AT_FDCWD, "/proc/self/mountinfo", 16 << 20, &text, err);
	for (size_t t = 0; t < 2 && r == 0; t++) {
		AUTO_FREE char *copy = strdup(text.data ? text.data : "");
		if (!copy)
			return err_set(err, ENOMEM, "out of memory");
		char *rest = copy;
		struct mount_line parts;
		for (char *line; r == 0 && (line = strsep(&rest, "\n"));) {
			if (!split_line(line, &parts))
				continue;
			parts.type = strsep(&parts.type, " ");
			if (strcmp(parts.type, types[t]) == 0)
				r = add_hierarchy(cg, &parts, systemd, err);
		}
	}
	return r;
}

void cgroup_free(struct cgroup *cg)
{
	if (!cg)
		return;
	for (size_t i = 0; i < cg->n; i++) {
		free(cg->h[i].mount);
		free(cg->h[i].name);
		auto_close(&cg->h[i].fd);
	}
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
	for (size_t i = 0; i < cg->n; i++) {
		AUTO_BUF struct buf procs = BUF_INIT;
		char line[300];
		if (!cg->h[i].existed || !hierarchy_read(&cg->h[i], "cgroup.procs", &procs) ||
		    procs.len == 0)
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
	if (!path_is_clean(cg->path, true))
		return err_set(err, EINVAL, "cgroup path '%s' leads out of its tree", path);
	cg->wanted = wanted | ((1U << CTL_NET_CLS) - 1);
	int r = cgroup_find(cg, false, err);
	if (r == 0)
		*ret = TAKE_PTR(cg);
	return r;
}

/* After a failure: what was there before stays. */
static void take_back(struct cgroup *cg)
{
	struct err ignored = ERR_INIT; /* the first failure is the one to tell */
	size_t kept = 0;

	for (size_t i = 0; i < cg->n; i++) {
		if (cg->h[i].existed) {
			auto_close(&cg->h[i].fd);
			free(cg->h[i].mount);
			free(cg->h[i].name);
		} else {
			cg->h[kept++] = cg->h[i];
		}
	}
	cg->n = kept;
	(void)cgroup_remove(cg, &ignored);
}

int cgroup_new(struct cgroup **ret, const struct cgroup_config *config, struct err *err)
{
	AUTO(auto_cgroup_free) struct cgroup *cg = NULL;
	int r = cgroup_alloc(&cg, config->path, cgroup_wanted(config->limits), err);

	for (size_t i = 0; r == 0 && i < cg->n; i++)
		cg->h[i].existed = true; /* what is not seen to be ours is not removed */
	for (size_t i = 0; r == 0 && i < cg->n; i++)
		r = make_one(cg, &cg->h[i], err);
	if (r == 0)
		r = refuse_frozen(cg, err);
	if (r == 0)
		warn_of_others(cg, config);
	if (r == 0)
		r = cgroup_limit(cg, config, err);
	if (r == 0)
		r = cgroup_devices(cg, config, err);
	if (r < 0) {
		if (cg)
			take_back(cg);
		return r;
	}
	*ret = TAKE_PTR(cg);
	return 0;
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
		AUTO_CLOSE int root = open(cg->h[i].mount, O_PATH | O_DIRECTORY | O_CLOEXEC);
		auto_close(&cg->h[i].fd);
		int one = root < 0 ? 0 : remove_folder(root, cg->path, err);
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

/* Whether a service manager has put this process somewhere: into another cgroup than the root, in
 * v2's tree or v1's systemd tree. Entering another costs v2 some milliseconds. */
static bool is_managed(void)
{
	AUTO_BUF struct buf text = BUF_INIT;
	struct err ignored = ERR_INIT; /* no cgroups: nobody manages */

	if (file_read(AT_FDCWD, "/proc/self/cgroup", 65536, &text, &ignored) < 0 || !text.data)
		return false;
	char *rest = text.data;
	for (char *line; (line = strsep(&rest, "\n"));) {
		const char *path = strncmp(line, "0::", 3) == 0 ? line + 3 : NULL;
		const char *systemd = strstr(line, ":name=systemd:");
		if (systemd)
			path = systemd + strlen(":name=systemd:");
		if (path && strcmp(path, "/") != 0)
			return true;
	}
	return false;
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
