/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A bzImage unpacks itself when it starts: about a second on an emulated CPU. So it is done once,
 * here, and machines start the ELF by its PVH entry. Where the program for that compression is not
 * installed, or the kernel has no such entry, the bzImage is kept as it is.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/err.h"
#include "base/fd.h"
#include "base/io.h"
#include "base/proc.h"
#include "machine/kernel_make.h"
#include "machine/vmlinux.h"

static int map_file(int fd, uint8_t **bytes, size_t *n, struct err *err)
{
	struct stat st;

	if (fstat(fd, &st) < 0)
		return err_sys(err, "stat the kernel");
	if (st.st_size == 0)
		return err_set(err, EINVAL, "the kernel is empty");
	void *p = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
	if (p == MAP_FAILED)
		return err_sys(err, "map the kernel");
	*bytes = p;
	*n = (size_t)st.st_size;
	return 0;
}

static void unmap(uint8_t *bytes, size_t n)
{
	(void)munmap(bytes, n);
}

static int write_file(int dirfd, const char *name, const uint8_t *bytes, size_t n, struct err *err)
{
	AUTO_CLOSE int fd = openat(dirfd, name, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
	if (fd < 0)
		return err_sys(err, "create '%s'", name);
	return write_all(fd, bytes, n, name, err);
}

/* Runs the decompressor from the file `packed` to `kernel`. */
static int run_unpacker(int dirfd, const char *const *argv, struct err *err)
{
	AUTO_CLOSE int in = openat(dirfd, "packed", O_RDONLY | O_CLOEXEC);
	AUTO_CLOSE int out = openat(dirfd, "kernel", O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC,
				    0644);
	if (in < 0 || out < 0)
		return err_sys(err, "open the kernel's payload");
	pid_t pid = proc_spawn(&(struct spawn){.argv = argv, .in = in, .out = out, .err = -1}, err);
	if (pid < 0)
		return pid;
	int status = proc_wait(pid, err);
	if (status > 0)
		return err_set(err, EINVAL, "the kernel is damaged: %s cannot unpack it", argv[0]);
	return status;
}

/* Unpacks the payload to `kernel`. Answers 1 when the ELF is fit to be started, 0 when the bzImage
 * has to serve. A payload that does not unpack is an error. */
static int unpack(int dirfd, const uint8_t *bytes, struct kernel_image *image, struct err *err)
{
	/* xz, zstd and lz4 payloads have their unpacked size behind them (scripts/Makefile.lib,
	 * size_append) */
	static const struct {
		const char *argv[5];
		size_t behind;
	} programs[] = {
		[PAYLOAD_GZIP] = {{"gzip", "-dc", NULL}, 0},
		[PAYLOAD_XZ] = {{"xz", "-dc", NULL}, 4},
		[PAYLOAD_ZSTD] = {{"zstd", "-dcq", "--memory=2048MB", NULL}, 4},
		[PAYLOAD_LZ4] = {{"lz4", "-dcq", NULL}, 4},
	};
	struct kernel_image elf;
	uint8_t *p = NULL;
	size_t n = 0;

	if (image->payload == PAYLOAD_UNKNOWN)
		return 0;
	int r = write_file(dirfd, "packed", bytes + image->payload_at,
			   image->payload_len - programs[image->payload].behind, err);
	if (r < 0)
		return r;
	r = run_unpacker(dirfd, programs[image->payload].argv, err);
	(void)unlinkat(dirfd, "packed", 0);
	if (r == -ENOENT) { /* no such program: not the kernel's fault */
		*err = ERR_INIT;
		return 0;
	}
	AUTO_CLOSE int fd = r < 0 ? -1 : openat(dirfd, "kernel", O_RDONLY | O_CLOEXEC);
	if (r < 0 || fd < 0)
		return r < 0 ? r : err_sys(err, "open the unpacked kernel");
	r = map_file(fd, &p, &n, err);
	if (r < 0)
		return r;
	struct err unfit = ERR_INIT; /* an ELF without PVH entry: the bzImage serves */
	bool fit = kernel_image_check(p, n, &elf, &unfit) == 0 && elf.form == KERNEL_ELF;
	unmap(p, n);
	if (!fit)
		return 0;
	elf.memory = image->memory > elf.memory ? image->memory : elf.memory;
	*image = elf;
	return 1;
}

int kernel_unpack(int dirfd, int fd, struct kernel_image *image, struct err *err)
{
	uint8_t *p = NULL;
	size_t n = 0;

	int r = map_file(fd, &p, &n, err);
	if (r < 0)
		return r;
	r = kernel_image_check(p, n, image, err);
	if (r == 0 && image->form == KERNEL_BZIMAGE) {
		struct kernel_image was = *image;
		r = unpack(dirfd, p, image, err);
		if (r == 1 && image->release[0] == '\0')
			(void)snprintf(image->release, sizeof(image->release), "%s", was.release);
	}
	if (r == 0)
		r = write_file(dirfd, "kernel", p, n, err);
	unmap(p, n);
	return r < 0 ? r : 0;
}
