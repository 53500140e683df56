/* SPDX-License-Identifier: Apache-2.0 */
#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "base/err.h"
#include "base/fd.h"
#include "share/share.h"

enum {
	BUCKETS = 1024,
	NUMBERS_MAX = 1 << 22, /* four times what a process may have open by the kernel's default */
	SETTLED = 2, /* seconds after which a file's times tell of any further change */
};

/* Of both tables, and of what of their entries can change. */
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

/* Numbers for things: index 0 is never used. Free ones are found from `hint` on; from `end` on all
 * are. */
struct numbers {
	void **v;
	size_t n, used, hint, end;
};

static struct numbers nodes, handles;
static struct node *buckets[BUCKETS];

static void numbers_set(struct numbers *t, uint64_t id, void *what)
{
	t->v[id] = what;
	t->used++;
	if (id >= t->end)
		t->end = id + 1;
}

static void *numbers_get(const struct numbers *t, uint64_t id)
{
	return id > 0 && id < t->n ? t->v[id] : NULL;
}

/* Makes the table larger; false when memory is out, or it is as large as one may be. */
static bool numbers_grow(struct numbers *t)
{
	size_t n = t->n ? 2 * t->n : 64;
	void **v = n > NUMBERS_MAX ? NULL : reallocarray(t->v, n, sizeof(*v));

	if (!v)
		return false;
	for (size_t i = t->n; i < n; i++)
		v[i] = NULL;
	t->v = v;
	t->hint = t->n ? t->n : 1;
	t->n = n;
	return true;
}

/* 0 when memory is out. */
static uint64_t numbers_add(struct numbers *t, void *what)
{
	if (t->used + 1 >= t->n && !numbers_grow(t))
		return 0;
	while (t->v[t->hint] || t->hint == 0)
		t->hint = t->hint + 1 < t->n ? t->hint + 1 : 1;
	numbers_set(t, t->hint, what);
	return t->hint;
}

/* Gives it this number. 0 or errno. */
static int numbers_put(struct numbers *t, uint64_t id, void *what)
{
	if (id == 0 || id >= NUMBERS_MAX)
		return ERANGE;
	while (id >= t->n || t->used + 1 >= t->n) {
		if (!numbers_grow(t))
			return ENOMEM;
	}
	if (t->v[id])
		return EEXIST;
	numbers_set(t, id, what);
	return 0;
}

/* What has the next number above *id, which it becomes; NULL: there is none. */
static void *numbers_next(const struct numbers *t, uint64_t *id)
{
	while (*id + 1 < t->end) {
		void *what = t->v[++*id];
		if (what)
			return what;
	}
	return NULL;
}

static void numbers_drop(struct numbers *t, uint64_t id)
{
	t->v[id] = NULL;
	t->used--;
	t->hint = id;
	while (t->end > 0 && !t->v[t->end - 1])
		t->end--;
}

/* --- nodes --- */

static struct node **bucket(dev_t dev, ino_t ino)
{
	return &buckets[(ino ^ ino >> 10 ^ dev) % BUCKETS];
}

struct node *node_get(uint64_t id)
{
	(void)pthread_mutex_lock(&lock);
	struct node *n = numbers_get(&nodes, id);
	if (n && n->fd < 0)
		n = NULL;
	if (n)
		n->users++;
	(void)pthread_mutex_unlock(&lock);
	return n;
}

static void free_node(struct node *n)
{
	auto_close(&n->fd);
	auto_close(&n->newer);
	free(n);
}

/* Nobody uses it just now. */
static void take_newer(struct node *n)
{
	if (n->newer < 0)
		return;
	auto_close(&n->fd);
	n->fd = TAKE_FD(n->newer);
}

void node_put(struct node *n)
{
	if (!n)
		return;
	(void)pthread_mutex_lock(&lock);
	bool last = --n->users == 0 && n->lookups == 0;
	if (n->users == 0)
		take_newer(n);
	(void)pthread_mutex_unlock(&lock);
	if (last)
		free_node(n);
}

static struct node *find_node(dev_t dev, ino_t ino)
{
	struct node *n = *bucket(dev, ino);

	while (n && (n->ino != ino || n->dev != dev))
		n = n->next;
	return n;
}

/* Fills in a node that has its number; without fd (taken) it is nobody's but its number's. */
static void make_node(struct node *n, uint64_t id, int fd, const struct stat *st)
{
	struct node **b = bucket(st->st_dev, st->st_ino);

	*n = (struct node){.fd = fd,
			   .newer = -1,
			   .dev = st->st_dev,
			   .ino = st->st_ino,
			   .type = st->st_mode & S_IFMT,
			   .id = id,
			   .seen.st_size = -1};
	if (fd < 0)
		return;
	n->next = *b;
	*b = n;
}

static uint64_t enter(int fd, const struct stat *st)
{
	AUTO_CLOSE int own = fd;

	struct node *known = find_node(st->st_dev, st->st_ino);
	if (known) {
		known->lookups++;
		/* of a file's names the last one is the likeliest to be there still, when the state
		 * is written */
		if (S_ISREG(st->st_mode) && st->st_nlink > 1) {
			auto_close(&known->newer);
			known->newer = TAKE_FD(own);
			if (known->users == 0)
				take_newer(known);
		}
		return known->id;
	}
	AUTO_FREE struct node *n = calloc(1, sizeof(*n));
	uint64_t id = n ? numbers_add(&nodes, n) : 0;
	if (!id) {
		errno = ENOMEM;
		return 0;
	}
	make_node(n, id, TAKE_FD(own), st);
	n->lookups = 1;
	(void)TAKE_PTR(n); /* the table's */
	return id;
}

uint64_t node_enter(int fd, const struct stat *st)
{
	(void)pthread_mutex_lock(&lock);
	uint64_t id = enter(fd, st);
	(void)pthread_mutex_unlock(&lock);
	return id;
}

static bool same_time(struct timespec a, struct timespec b)
{
	return a.tv_sec == b.tv_sec && a.tv_nsec == b.tv_nsec;
}

bool node_unchanged(struct node *n, const struct stat *st)
{
	struct timespec now;

	(void)clock_gettime(CLOCK_REALTIME, &now);
	bool settled = st->st_ctim.tv_sec + SETTLED < now.tv_sec;
	(void)pthread_mutex_lock(&lock);
	bool same = n->seen.st_size == st->st_size && same_time(n->seen.st_mtim, st->st_mtim) &&
		    same_time(n->seen.st_ctim, st->st_ctim);
	n->seen = *st;
	if (!settled)
		n->seen.st_size = -1;
	(void)pthread_mutex_unlock(&lock);
	return same;
}

int nodes_init(int fd, struct err *err)
{
	struct stat st;

	if (fstat(fd, &st) < 0)
		return err_sys(err, "the root");
	return node_enter(fd, &st) == 1 ? 0 : err_set(err, ENOMEM, "out of memory");
}

/* The node, when it is nobody's any more. */
static struct node *forget(uint64_t id, uint64_t n_lookups)
{
	struct node *n = numbers_get(&nodes, id);

	if (!n || id == 1) /* the root stays, whatever the guest says */
		return NULL;
	n->lookups -= n_lookups < n->lookups ? n_lookups : n->lookups;
	if (n->lookups > 0)
		return NULL;
	struct node **at = bucket(n->dev, n->ino);
	while (n->fd >= 0 && *at != n)
		at = &(*at)->next;
	if (n->fd >= 0)
		*at = n->next;
	numbers_drop(&nodes, id);
	return n->users == 0 ? n : NULL;
}

void node_forget(uint64_t id, uint64_t n_lookups)
{
	(void)pthread_mutex_lock(&lock);
	struct node *n = forget(id, n_lookups);
	(void)pthread_mutex_unlock(&lock);
	if (n)
		free_node(n);
}

void node_path(const struct node *n, char path[16])
{
	(void)snprintf(path, 16, "%d", n->fd);
}

const struct node *nodes_next(uint64_t *id)
{
	return numbers_next(&nodes, id);
}

const struct node *node_find(const struct stat *st)
{
	return find_node(st->st_dev, st->st_ino);
}

int node_restore(uint64_t id, int fd, const struct stat *st, uint64_t n_lookups)
{
	AUTO_CLOSE int own = fd;
	AUTO_FREE struct node *n = calloc(1, sizeof(*n));

	(void)pthread_mutex_lock(&lock);
	int code = n ? numbers_put(&nodes, id, n) : ENOMEM;
	if (code == 0) {
		make_node(n, id, TAKE_FD(own), st);
		n->lookups = n_lookups;
		(void)TAKE_PTR(n); /* the table's */
	}
	(void)pthread_mutex_unlock(&lock);
	return code;
}

/* --- handles --- */

static void free_handle(struct handle *h)
{
	if (h->dir)
		(void)closedir(h->dir);
	else
		auto_close(&h->fd);
	(void)pthread_mutex_destroy(&h->reading);
	free(h);
}

/* Takes fd and dir; NULL when memory is out. */
static struct handle *make_handle(int fd, void *dir, unsigned users)
{
	struct handle *h = malloc(sizeof(*h));

	if (h) {
		*h = (struct handle){.fd = fd, .dir = dir, .users = users};
		(void)pthread_mutex_init(&h->reading, NULL);
	} else if (dir) {
		(void)closedir(dir);
	} else {
		(void)close(fd);
	}
	return h;
}

struct handle *handle_add(int fd, void *dir, uint64_t *ret)
{
	struct handle *h = make_handle(fd, dir, 2);

	if (h) {
		(void)pthread_mutex_lock(&lock);
		uint64_t id = numbers_add(&handles, h);
		(void)pthread_mutex_unlock(&lock);
		if (id) {
			*ret = id;
			return h;
		}
		free_handle(h);
	}
	errno = ENOMEM;
	return NULL;
}

const struct handle *handles_next(uint64_t *id)
{
	return numbers_next(&handles, id);
}

int handle_restore(uint64_t id, int fd, void *dir)
{
	struct handle *h = make_handle(fd, dir, 1);

	(void)pthread_mutex_lock(&lock);
	int code = h ? numbers_put(&handles, id, h) : ENOMEM;
	(void)pthread_mutex_unlock(&lock);
	if (h && code)
		free_handle(h);
	return code;
}

static struct handle *find_handle(uint64_t id, bool is_dir)
{
	struct handle *h = numbers_get(&handles, id);

	return h && (h->dir != NULL) == is_dir ? h : NULL;
}

struct handle *handle_get(uint64_t id, bool is_dir)
{
	(void)pthread_mutex_lock(&lock);
	struct handle *h = find_handle(id, is_dir);
	if (h)
		h->users++;
	(void)pthread_mutex_unlock(&lock);
	return h;
}

void handle_put(struct handle *h)
{
	if (!h)
		return;
	(void)pthread_mutex_lock(&lock);
	bool last = --h->users == 0;
	(void)pthread_mutex_unlock(&lock);
	if (last)
		free_handle(h);
}

void handle_close(uint64_t id, bool is_dir)
{
	(void)pthread_mutex_lock(&lock);
	struct handle *h = find_handle(id, is_dir);
	if (h)
		numbers_drop(&handles, id);
	(void)pthread_mutex_unlock(&lock);
	handle_put(h);
}
