/* SPDX-License-Identifier: Apache-2.0 */
/*
 * unpack [-d] FILE…: the floor of a pull. Unpacks gzip files to nowhere with ISA-L, as many threads
 * as processors, and does nothing else: no file, and only with -d the two digests that a pull may
 * not leave out, of what is packed and of what is unpacked. Files are mapped, so that reading costs
 * what the page cache costs.
 */
#include <fcntl.h>
#include <isa-l/igzip_lib.h>
#include <openssl/evp.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

enum { ROOM = 256 << 10, THREADS_MAX = 64 };

static char **files;
static int n_files;
static atomic_int next;
static atomic_bool failed;
static bool digests;

/* What a thread works with. */
struct tools {
	struct inflate_state state;
	uint8_t room[ROOM];
	EVP_MD_CTX *md;
};

static int begin_digest(const struct tools *t)
{
	return !digests || EVP_DigestInit_ex(t->md, EVP_sha256(), NULL) == 1 ? 0 : -1;
}

static int count_in(const struct tools *t, const void *bytes, size_t n)
{
	return !digests || EVP_DigestUpdate(t->md, bytes, n) == 1 ? 0 : -1;
}

static int unpack(uint8_t *bytes, size_t n, struct tools *t)
{
	struct inflate_state *state = &t->state;

	if (begin_digest(t) < 0 || count_in(t, bytes, n) < 0 || begin_digest(t) < 0)
		return -1;
	isal_inflate_init(state);
	state->crc_flag = ISAL_GZIP;
	state->next_in = bytes;
	state->avail_in = (uint32_t)n;
	while (state->block_state != ISAL_BLOCK_FINISH) {
		state->next_out = t->room;
		state->avail_out = ROOM;
		if (isal_inflate(state) < 0 || (state->avail_out == ROOM && state->avail_in == 0) ||
		    count_in(t, t->room, ROOM - state->avail_out) < 0)
			return -1;
	}
	return 0;
}

static int unpack_file(const char *path, struct tools *t)
{
	struct stat st;
	int fd = open(path, O_RDONLY | O_CLOEXEC);

	if (fd < 0 || fstat(fd, &st) < 0)
		return -1;
	uint8_t *bytes = mmap(NULL, (size_t)st.st_size, PROT_READ | PROT_WRITE, MAP_PRIVATE, fd, 0);
	(void)close(fd);
	if (bytes == MAP_FAILED)
		return -1;
	int r = unpack(bytes, (size_t)st.st_size, t);
	(void)munmap(bytes, (size_t)st.st_size);
	return r;
}

static void *work(void *ctx)
{
	struct tools *t = calloc(1, sizeof(*t));

	(void)ctx;
	if (t)
		t->md = EVP_MD_CTX_new();
	for (int i; t && t->md && (i = atomic_fetch_add(&next, 1)) < n_files;) {
		if (unpack_file(files[i], t) < 0)
			atomic_store(&failed, true);
	}
	if (t)
		EVP_MD_CTX_free(t->md);
	free(t);
	return NULL;
}

int main(int argc, char **argv)
{
	pthread_t threads[THREADS_MAX];
	long cpus = sysconf(_SC_NPROCESSORS_ONLN);
	int n = 0;

	digests = argc > 1 && strcmp(argv[1], "-d") == 0;
	files = argv + 1 + digests;
	n_files = argc - 1 - digests;
	while (n + 1 < cpus && n < THREADS_MAX &&
	       pthread_create(&threads[n], NULL, work, NULL) == 0)
		n++;
	(void)work(NULL);
	for (int i = 0; i < n; i++)
		(void)pthread_join(threads[i], NULL);
	if (atomic_load(&failed) || atomic_load(&next) < n_files)
		(void)fputs("unpack: failed\n", stderr);
	return atomic_load(&failed);
}
