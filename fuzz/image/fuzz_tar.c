/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A tar stream, plain or packed, into an EROFS file. Headers get their right checksum first, else
 * hardly an input would come past it. What fails must say so in one printable line; what succeeds
 * must be a file of whole 2 MiB with a super block.
 */
#include <assert.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/err.h"
#include "base/fd.h"
#include "image/layer.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

enum { BLOCK = 512, PAD = 2 << 20 };

struct input {
	const uint8_t *at;
	size_t n;
	uint8_t block[BLOCK];
};

static void set_sum(uint8_t *block)
{
	unsigned int sum = 0;

	memset(block + 148, ' ', 8);
	for (int i = 0; i < BLOCK; i++)
		sum += block[i];
	(void)snprintf((char *)block + 148, 8, "%06o", sum);
}

/* Block by block. */
static ssize_t read_input(void *ctx, void *bytes, size_t n, struct err *err)
{
	struct input *in = ctx;
	size_t k = in->n < BLOCK ? in->n : BLOCK;

	k = k < n ? k : n;
	memcpy(in->block, in->at, k);
	if (k == BLOCK && memcmp(in->block + 257, "ustar", 5) == 0)
		set_sum(in->block);
	memcpy(bytes, in->block, k);
	in->at += k;
	in->n -= k;
	return (ssize_t)k;
}

/* Layers below: names with a 'd' are folders, with an 'f' files. */
static int open_lower(void *ctx, const char *path, int *ret, struct err *err)
{
	int fd = -1;

	if (strchr(path, 'd'))
		fd = open(".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	else if (strchr(path, 'f'))
		fd = memfd_create("lower", MFD_CLOEXEC);
	if (fd < 0)
		return LAYER_ABSENT;
	*ret = fd;
	return 0;
}

static int make_layer(int out, struct input *in, struct err *err)
{
	const struct layer_limits limits = {8 << 20, 8 << 20, 2000};
	const struct layer_lower lower = {NULL, open_lower};
	AUTO(auto_layer_free) struct layer *layer = NULL;

	int r = layer_new(out, &limits, &layer, err);
	if (r == 0)
		r = layer_read_tar(layer, read_input, in, err);
	if (r == 0)
		r = layer_finish(layer, &lower, NULL, err);
	if (r == 0)
		assert(layer_info(layer)->tar_bytes <= limits.tar_bytes);
	return r;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	AUTO_CLOSE int out = memfd_create("layer", MFD_CLOEXEC);
	struct input in = {.at = data, .n = n};
	struct err err = ERR_INIT;
	uint32_t magic = 0;
	struct stat st;

	int r = make_layer(out, &in, &err);
	ssize_t got = pread(out, &magic, sizeof(magic), 1024);
	if (r == 0) {
		assert(fstat(out, &st) == 0 && st.st_size > 0 && st.st_size % PAD == 0);
		assert(got == (ssize_t)sizeof(magic) && magic == 0xE0F5E1E2);
		return 0;
	}
	assert(err.code > 0 && err.msg[0] != '\0' && magic == 0);
	for (const char *p = err.msg; *p; p++)
		assert((unsigned char)*p >= 0x20);
	return 0;
}
