/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/path.h"
#include "base/proc.h"
#include "kit.h"

static char folders[64][32];
static size_t n_folders;

static void remove_folders(void)
{
	struct err err = ERR_INIT;

	for (size_t i = 0; i < n_folders; i++) {
		if (path_remove_all(AT_FDCWD, folders[i], &err) < 0)
			printf("# %s\n", err.msg);
	}
}

int scratch_folder(void)
{
	char *name = folders[n_folders];

	if (n_folders++ == 0)
		(void)atexit(remove_folders);
	(void)snprintf(name, sizeof(folders[0]), "layer-test.XXXXXX");
	if (!mkdtemp(name))
		return -1;
	return open(name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
}

int scratch_file(void)
{
	char name[] = "layer-test.XXXXXX";
	int fd = mkostemp(name, O_CLOEXEC);

	if (fd >= 0)
		(void)unlink(name);
	return fd;
}

struct bytes {
	const char *at;
	size_t n;
};

/* Pieces of odd size, so that nothing falls together with the blocks of a tar. */
static ssize_t read_bytes(void *ctx, void *to, size_t n, struct err *err)
{
	struct bytes *in = ctx;
	(void)err; /* memory is always there */
	size_t k = in->n < n ? in->n : n;

	k = k < 100003 ? k : 100003;
	memcpy(to, in->at, k);
	in->at += k;
	in->n -= k;
	return (ssize_t)k;
}

static int run(layer_read_fn *read, void *ctx, int out_fd, const struct layer_limits *limits,
	       const struct layer_lower *lower, struct layer_info *info, struct err *err)
{
	AUTO(auto_layer_free) struct layer *layer = NULL;
	uint8_t chain[LAYER_DIGEST] = {1};

	int r = layer_new(out_fd, limits, &layer, err);
	if (r == 0)
		r = layer_read_tar(layer, read, ctx, err);
	if (r == 0)
		r = layer_finish(layer, lower, chain, err);
	if (r == 0)
		*info = *layer_info(layer);
	return r;
}

int layer_of_bytes(const void *bytes, size_t n, int out_fd, const struct layer_limits *limits,
		   const struct layer_lower *lower, struct layer_info *info, struct err *err)
{
	struct bytes in = {bytes, n};

	return run(read_bytes, &in, out_fd, limits, lower, info, err);
}

int layer_of(const struct buf *tar, int out_fd, struct layer_info *info, struct err *err)
{
	return layer_of_bytes(tar->data, tar->len, out_fd, NULL, NULL, info, err);
}

int layer_of_command(const char *command, int dirfd, int out_fd, struct layer_info *info,
		     struct err *err)
{
	char full[1024], dir[64];
	int ends[2];

	(void)snprintf(dir, sizeof(dir), "/proc/%d/fd/%d", getpid(), dirfd);
	(void)snprintf(full, sizeof(full), "cd %s && %s", dir, command);
	if (pipe2(ends, O_CLOEXEC) < 0)
		return err_sys(err, "pipe");
	AUTO_CLOSE int in = ends[0];
	AUTO_CLOSE int out = ends[1];
	const char *argv[] = {"sh", "-c", full, NULL};
	struct spawn spawn = {.argv = argv, .in = -1, .out = out, .err = STDERR_FILENO};
	pid_t pid = proc_spawn(&spawn, err);
	if (pid < 0)
		return (int)pid;
	auto_close(&out);
	int r = run(layer_read_fd, &in, out_fd, NULL, NULL, info, err);
	auto_close(&in);
	struct err ignored = ERR_INIT; /* the layer's answer matters; a broken pipe is no news */
	int status = proc_wait(pid, &ignored);
	if (r == 0 && status != 0)
		return err_set(err, EIO, "'%s' ended with %d", command, status);
	return r;
}

static int append(void *ctx, const void *bytes, size_t n, struct err *err)
{
	buf_add(ctx, bytes, n);
	return buf_check(ctx, err);
}

int layer_of_folder(int dirfd, int out_fd, struct buf *tar, struct layer_info *info,
		    struct err *err)
{
	AUTO(auto_layer_free) struct layer *layer = NULL;

	int r = layer_new(out_fd, NULL, &layer, err);
	if (r == 0)
		r = layer_read_folder(layer, dirfd, tar ? append : NULL, tar, err);
	if (r == 0)
		r = layer_finish(layer, NULL, NULL, err);
	if (r == 0)
		*info = *layer_info(layer);
	return r;
}

bool same_bytes(int a, int b)
{
	static char p[65536], q[65536];

	for (off_t at = 0;;) {
		ssize_t n = pread(a, p, sizeof(p), at), m = pread(b, q, sizeof(q), at);
		if (n < 0 || n != m || memcmp(p, q, (size_t)n) != 0)
			return false;
		if (n == 0)
			return true;
		at += n;
	}
}
