/* SPDX-License-Identifier: Apache-2.0 */
/*
 * hull-kernel ROOT KERNEL MODULES NAME: adds a kernel to the store (kernel.h has its form). An
 * empty KERNEL means the distribution's package, an empty MODULES or NAME that it was not given.
 * Prints the kernel's name, its release unless NAME was given. A program of its own, because it
 * links what writes layers.
 *
 * hull-kernel --build ROOT SOURCE CONFIG NAME JOBS: builds the kernel first, and tells of it in the
 * words of kernel_build.c.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/fd.h"
#include "base/io.h"
#include "base/path.h"
#include "image/layer.h"
#include "machine/kernel.h"
#include "machine/kernel_make.h"
#include "machine/vmlinux.h"

struct job {
	const char *root;
	const char *kernel, *modules, *name; /* "" when not given */
	const struct kernel_recipe *recipe; /* NULL: there is nothing to build */
	char *tmp; /* work folder below ROOT/tmp, which is open as tmp_dir */
	int tmp_dir;
	char *fetched_kernel, *fetched_modules, *release;
	bool own; /* the module folder is ours to change */
	int out; /* the new kernel's folder, TMP/out */
	struct kernel_image image;
};

static int make_tmp(struct job *job, struct err *err)
{
	AUTO_FREE char *parent = path_join(job->root, "tmp");
	AUTO_FREE char *dir = parent ? path_join(parent, "kernel-XXXXXX") : NULL;

	if (!dir)
		return err_set(err, ENOMEM, "out of memory");
	int r = path_mkdir_all(AT_FDCWD, parent, 0711, err);
	if (r < 0)
		return r;
	job->tmp_dir = open(parent, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (job->tmp_dir < 0 || !mkdtemp(dir))
		return err_sys(err, "make a folder in '%s'", parent);
	job->tmp = TAKE_PTR(dir);
	AUTO_FREE char *out = path_join(job->tmp, "out");
	if (!out)
		return err_set(err, ENOMEM, "out of memory");
	if (mkdir(out, 0755) < 0)
		return err_sys(err, "make folder '%s'", out);
	job->out = open(out, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	return job->out < 0 ? err_sys(err, "open '%s'", out) : 0;
}

static int check_name(const char *name, struct err *err)
{
	if (!kernel_release_ok(name) || strcmp(name, "default") == 0)
		return err_set(err, EINVAL, "'%s' cannot be a kernel's name", name);
	return 0;
}

static int refuse_double(const struct job *job, struct err *err)
{
	AUTO_FREE char *path = NULL;

	if (asprintf(&path, "%s/kernels/%s", job->root, job->name) < 0)
		return err_set(err, ENOMEM, "out of memory");
	if (faccessat(AT_FDCWD, path, F_OK, AT_SYMLINK_NOFOLLOW) == 0)
		return err_set(err, EEXIST, "kernel '%s' is there already", job->name);
	return 0;
}

static int refuse_name(const struct job *job, struct err *err)
{
	int r = check_name(job->name, err);

	return r < 0 ? r : refuse_double(job, err);
}

/* The kernel made from source. Its name is judged as soon as it is known, for it takes long. */
static int build(struct job *job, struct err *err)
{
	int r = job->name[0] ? refuse_name(job, err) : 0;

	if (r == 0)
		r = kernel_configure(job->tmp, job->recipe, &job->release, err);
	if (r == 0 && job->name[0] == '\0') {
		job->name = job->release;
		r = refuse_name(job, err);
	}
	return r < 0 ? r : kernel_compile(job->tmp, job->recipe, &job->fetched_kernel, err);
}

static int open_kernel(const char *path, struct err *err)
{
	struct stat st;

	AUTO_CLOSE int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	if (fd < 0 || fstat(fd, &st) < 0)
		return err_sys(err, "open '%s'", path);
	if (!S_ISREG(st.st_mode))
		return err_set(err, EINVAL, "'%s' is not a regular file", path);
	if (st.st_size > (off_t)1 << 30)
		return err_set(err, EFBIG, "'%s' is larger than any kernel", path);
	return TAKE_FD(fd);
}

/* The kernel itself and its release. */
static int take_kernel(struct job *job, struct err *err)
{
	const char *path = job->kernel;

	if (job->recipe) {
		int r = build(job, err);
		if (r < 0)
			return r;
		path = job->fetched_kernel;
	} else if (path[0] == '\0') {
		int r = kernel_fetch(job->tmp, &job->fetched_kernel, &job->fetched_modules, err);
		if (r < 0)
			return r;
		path = job->fetched_kernel;
		job->modules = job->fetched_modules;
		job->own = true;
	}
	AUTO_CLOSE int fd = open_kernel(path, err);
	if (fd < 0)
		return fd;
	int r = kernel_unpack(job->out, fd, &job->image, err);
	if (r < 0)
		return err_wrap(err, "'%s'", path);
	char *release = job->image.release;
	if (release[0] == '\0') /* modules look for it under this name */
		(void)snprintf(release, sizeof(job->image.release), "%s", job->name);
	if (release[0] == '\0')
		return err_set(err, EINVAL, "'%s' does not tell its release: name it with --name",
			       path);
	if (job->name[0] == '\0')
		job->name = release;
	r = check_name(release, err);
	return r < 0 ? r : check_name(job->name, err);
}

static int make_erofs(const struct job *job, struct err *err)
{
	AUTO_FREE char *path = path_join(job->tmp, "lib/modules");
	AUTO(auto_layer_free) struct layer *layer = NULL;

	if (!path)
		return err_set(err, ENOMEM, "out of memory");
	AUTO_CLOSE int from = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (from < 0)
		return err_sys(err, "open '%s'", path);
	AUTO_CLOSE int out = openat(job->out, "modules.erofs",
				    O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
	if (out < 0)
		return err_sys(err, "create 'modules.erofs'");
	int r = layer_new(out, NULL, &layer, err);
	if (r == 0)
		r = layer_read_folder(layer, from, NULL, NULL, err);
	return r < 0 ? r : layer_finish(layer, NULL, NULL, err);
}

/* The modules: as EROFS, and the few that reach the root. */
static int take_modules(struct job *job, struct err *err)
{
	AUTO_FREE char *host = NULL;

	if (asprintf(&host, "/lib/modules/%s", job->image.release) < 0)
		return err_set(err, ENOMEM, "out of memory");
	if (job->modules[0] == '\0' && !job->recipe && access(host, R_OK) == 0)
		job->modules = host;
	bool has = job->modules[0] != '\0';
	int r = 0;
	if (has) {
		r = kernel_tree(job->tmp, job->image.release, job->modules, job->own, err);
		if (r == 0)
			r = make_erofs(job, err);
	}
	if (r == 0)
		r = kernel_modules_cpio(job->out, has ? job->tmp : NULL, job->image.release, err);
	job->modules = ""; /* host is freed */
	return r;
}

static int sync_file(int dir, const char *name, struct err *err)
{
	AUTO_CLOSE int fd = openat(dir, name, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return errno == ENOENT ? 0 : err_sys(err, "open '%s'", name);
	return fsync(fd) < 0 ? err_sys(err, "write '%s' to the disk", name) : 0;
}

/* info, then the folder to its place. */
static int publish(const struct job *job, struct err *err)
{
	static const char *const files[] = {"kernel", "modules.erofs", "modules.cpio", "info"};
	AUTO_BUF struct buf info = BUF_INIT;
	AUTO_FREE char *parent = path_join(job->root, "kernels");
	AUTO_FREE char *to = parent ? path_join(parent, job->name) : NULL;
	AUTO_FREE char *from = path_join(job->tmp, "out");

	if (!to || !from)
		return err_set(err, ENOMEM, "out of memory");
	buf_printf(&info, "format=%d\nrelease=%s\nform=%s\nimage=%" PRIu64 "\n", KERNEL_FORMAT,
		   job->image.release, job->image.form == KERNEL_ELF ? "elf" : "bzimage",
		   job->image.memory);
	int r = buf_check(&info, err);
	if (r == 0)
		r = file_replace(job->out, "info", info.data, info.len, 0644, err);
	for (size_t i = 0; i < sizeof(files) / sizeof(files[0]) && r == 0; i++)
		r = sync_file(job->out, files[i], err);
	if (r == 0)
		r = path_mkdir_all(AT_FDCWD, parent, 0755, err);
	if (r < 0)
		return r;
	if (renameat2(AT_FDCWD, from, AT_FDCWD, to, RENAME_NOREPLACE) < 0)
		return errno == EEXIST ? refuse_double(job, err) : err_sys(err, "make '%s'", to);

	AUTO_FREE char *link = path_join(parent, "default");
	if (!link)
		return err_set(err, ENOMEM, "out of memory");
	if (symlink(job->name, link) < 0 && errno != EEXIST) /* the first one only */
		return err_sys(err, "make '%s'", link);
	return 0;
}

static int add(struct job *job, struct err *err)
{
	int r = make_tmp(job, err);
	if (r == 0)
		r = take_kernel(job, err);
	if (r == 0)
		r = refuse_double(job, err);
	if (r == 0)
		r = take_modules(job, err);
	if (r == 0)
		r = publish(job, err);
	return r;
}

/* Takes away what the job has; a failure to do so is one of a job that went well, too. */
static int clear_away(struct job *job, int r, struct err *err)
{
	struct err leftover = ERR_INIT;

	if (job->tmp && path_remove_all(job->tmp_dir, strrchr(job->tmp, '/') + 1, &leftover) < 0 &&
	    r == 0)
		r = err_set(err, leftover.code, "%s", leftover.msg);
	free(job->tmp);
	free(job->fetched_kernel);
	free(job->fetched_modules);
	auto_close(&job->tmp_dir);
	auto_close(&job->out);
	return r;
}

static int main_add(char **argv)
{
	struct err err = ERR_INIT;
	struct job job = {.root = argv[1],
			  .kernel = argv[2],
			  .modules = argv[3],
			  .name = argv[4],
			  .tmp_dir = -1,
			  .out = -1};

	int r = clear_away(&job, add(&job, &err), &err);
	if (r < 0)
		(void)fprintf(stderr, "hull-kernel: %s\n", err.msg);
	else
		(void)printf("%s\n", job.name);
	return r < 0;
}

static int main_build(char **argv)
{
	struct err err = ERR_INIT;
	const struct kernel_recipe recipe = {.source = argv[3], .config = argv[4], .jobs = argv[6]};
	struct job job = {.root = argv[2],
			  .modules = "",
			  .name = argv[5],
			  .recipe = &recipe,
			  .tmp_dir = -1,
			  .out = -1};

	kernel_stoppable();
	int r = add(&job, &err);
	bool stopped = kernel_settle() && r < 0;
	r = clear_away(&job, r, &err);
	if (stopped)
		(void)printf("error stopped by a signal\n");
	else if (r < 0)
		(void)printf("error %s\n", err.msg);
	else
		(void)printf("name %s\n", job.name);
	free(job.release);
	return r < 0;
}

int main(int argc, char **argv)
{
	(void)umask(022);
	if (argc == 7 && strcmp(argv[1], "--build") == 0)
		return main_build(argv);
	if (argc == 5)
		return main_add(argv);
	(void)fprintf(stderr, "hull-kernel: started by hull alone\n");
	return 2;
}
