/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A share's written state from anybody: the input is what stands behind its header, which is made
 * right, so that the checksum stops nothing. It is loaded over a folder with a few files. What is
 * taken can be written down again, and that is taken too.
 */
#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/err.h"
#include "base/fd.h"
#include "base/path.h"
#include "base/state.h"
#include "share/share.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static const struct state_form form = {"hullshar", 1, "share"};

static char folder[] = "/tmp/hull-fuzz-XXXXXX";

static void remove_folder(void)
{
	struct err ignored = ERR_INIT;
	AUTO_CLOSE int tmp = open("/tmp", O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	(void)!path_remove_all(tmp, folder + strlen("/tmp/"), &ignored);
}

/* The share's root: "file", "d/file", "pipe", and "link", which leads out. */
static void make_root(void)
{
	struct err err = ERR_INIT;

	int root = mkdtemp(folder) ? open(folder, O_PATH | O_DIRECTORY | O_CLOEXEC) : -1;
	if (root < 0 || atexit(remove_folder) != 0 || mkdirat(root, "d", 0755) < 0 ||
	    mknodat(root, "file", S_IFREG | 0644, 0) < 0 ||
	    mknodat(root, "d/file", S_IFREG | 0644, 0) < 0 || mkfifoat(root, "pipe", 0644) < 0 ||
	    symlinkat("/etc", root, "link") < 0 || nodes_init(root, &err) < 0)
		abort();
}

static void forget_all(void)
{
	for (uint64_t id = 1; nodes_next(&id);)
		node_forget(id, UINT64_MAX);
	for (uint64_t id = 0; handles_next(&id);) {
		handle_close(id, false);
		handle_close(id, true);
	}
	share_hello.n = 0;
}

/* Nothing else of the host's than what is in the folder, and none of that but files and folders. */
static void look(void)
{
	const struct handle *h;
	struct stat st;

	for (uint64_t id = 0; (h = handles_next(&id));) {
		if (fstat(h->fd, &st) < 0 || !(S_ISREG(st.st_mode) || S_ISDIR(st.st_mode)))
			abort();
	}
}

static int load(const struct buf *b, struct err *err)
{
	AUTO_CLOSE int file = memfd_create("state", MFD_CLOEXEC);
	uint32_t checksum;

	if (file < 0 || write(file, b->data, b->len) != (ssize_t)b->len)
		abort();
	return share_load(file, &checksum, err);
}

static void try(const struct buf *b)
{
	AUTO_CLOSE int again = memfd_create("again", MFD_CLOEXEC);
	struct err err = ERR_INIT;
	uint32_t checksum;

	if (load(b, &err) == 0) {
		look();
		if (again < 0 || share_save(again, &checksum, &err) < 0)
			abort();
		forget_all();
		if (share_load(again, &checksum, &err) < 0)
			abort();
	}
	forget_all();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	static bool made;
	AUTO_BUF struct buf b = BUF_INIT;
	AUTO_CLOSE int here = open(".", O_PATH | O_DIRECTORY | O_CLOEXEC); /* the fuzzer's */

	if (!made)
		make_root();
	made = true;
	state_begin(&b, &form);
	buf_add(&b, data, n);
	(void)state_seal(&b);
	if (b.bad)
		return 0;
	if (here < 0 || chdir("/proc/self/fd") < 0)
		abort();
	try(&b);
	if (fchdir(here) < 0)
		abort();
	return 0;
}
