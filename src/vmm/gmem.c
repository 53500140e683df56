/* SPDX-License-Identifier: Apache-2.0 */
#include "vmm/gmem.h"

#include <errno.h>
#include <stdbool.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/err.h"
#include "base/io.h"

#define FOUR_GIB  (1ULL << 32)
#define HUGE_PAGE (2ULL << 20)
#define ROOM_MAX  (1ULL << 40)

enum { PAGE = 4096, LEAST = 1 << 20 };

/* Host memory for a guest: two huge pages more than asked for are mapped. */
struct mapping {
	uint8_t *at;
	size_t len;
};

/* {0} is no file's. */
struct file_id {
	dev_t dev;
	ino_t inode;
};

struct gmem {
	struct file_id file; /* that it is mapped from */
	struct mapping mapping, room_mapping;
	uint64_t size; /* of all runs, which follow one another in it */
	struct gmem_run runs[GMEM_RUNS]; /* lowest first */
	size_t n;
	struct gmem_run room;
};

/* Room to align, and on both sides some where nothing may be touched: what a mistake here would
 * reach is a fault and not the monitor's own memory. Nothing of it may be touched yet. */
static int reserve(uint64_t size, struct mapping *ret, uint8_t **base, struct err *err)
{
	size_t len = size + 2 * HUGE_PAGE;
	void *at = mmap(NULL, len, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	if (at == MAP_FAILED)
		return err_sys(err, "map %ju bytes of guest memory", (uintmax_t)size);
	*ret = (struct mapping){at, len};
	uint8_t *aligned = ret->at + PAGE;
	*base = aligned + (-(uintptr_t)aligned & (HUGE_PAGE - 1));
	return 0;
}

/* Both only help: huge pages take a third off a cold boot; a core dump is none of the guest's
 * secrets' business. */
static void advise(uint8_t *base, uint64_t size)
{
	(void)madvise(base, size, MADV_HUGEPAGE);
	(void)madvise(base, size, MADV_DONTDUMP);
}

static int open_up(uint8_t *base, uint64_t size, struct err *err)
{
	if (mprotect(base, size, PROT_READ | PROT_WRITE) < 0)
		return err_sys(err, "map %ju bytes of guest memory", (uintmax_t)size);
	advise(base, size);
	return 0;
}

/* Without memory yet: it is the host's from *base on. */
static int make(uint64_t size, struct gmem **ret, uint8_t **base, struct err *err)
{
	uint64_t low = size < GMEM_HOLE ? size : GMEM_HOLE;

	if (size < LEAST || size % PAGE != 0 || size > SIZE_MAX / 2)
		return err_set(err, EINVAL, "%ju bytes cannot be a machine's memory",
			       (uintmax_t)size);
	AUTO(auto_gmem_free) struct gmem *mem = calloc(1, sizeof(*mem));
	if (!mem)
		return err_set(err, ENOMEM, "out of memory");
	int r = reserve(size, &mem->mapping, base, err);
	if (r < 0)
		return r;
	mem->size = size;
	mem->runs[0] = (struct gmem_run){0, low, *base};
	mem->n = 1;
	if (size > low)
		mem->runs[mem->n++] = (struct gmem_run){FOUR_GIB, size - low, *base + low};
	*ret = TAKE_PTR(mem);
	return 0;
}

int gmem_new(uint64_t size, struct gmem **ret, struct err *err)
{
	AUTO(auto_gmem_free) struct gmem *mem = NULL;
	uint8_t *base;

	int r = make(size, &mem, &base, err);
	if (r == 0)
		r = open_up(base, size, err);
	if (r == 0)
		*ret = TAKE_PTR(mem);
	return r;
}

int gmem_add_room(struct gmem *mem, uint64_t size, struct err *err)
{
	const struct gmem_run *last = &mem->runs[mem->n - 1];
	uint64_t end = last->gpa + last->size;
	uint64_t gpa = (end < FOUR_GIB ? FOUR_GIB : end) + GMEM_ROOM_ALIGN - 1;
	uint8_t *base;

	if (size == 0 || size > ROOM_MAX)
		return err_set(err, EINVAL, "%ju bytes more cannot be given to a machine",
			       (uintmax_t)size);
	size = (size + GMEM_ROOM_ALIGN - 1) & ~(GMEM_ROOM_ALIGN - 1);
	int r = reserve(size, &mem->room_mapping, &base, err);
	if (r == 0)
		r = open_up(base, size, err);
	if (r == 0)
		mem->room = (struct gmem_run){gpa & ~(GMEM_ROOM_ALIGN - 1), size, base};
	return r;
}

struct gmem_run gmem_room(const struct gmem *mem)
{
	return mem->room;
}

/* --- in files --- */

/* In the file, the runs follow one another as they do here, and the room comes last. */
static uint64_t file_size(const struct gmem *mem)
{
	return mem->size + mem->room.size;
}

/* The file's content from `at` on in place of what is mapped there. */
static int map_file(void *base, uint64_t size, int file, uint64_t at, struct err *err)
{
	if (mmap(base, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_FIXED | MAP_NORESERVE, file,
		 (off_t)at) == MAP_FAILED)
		return err_sys(err, "map memory file %d", file);
	advise(base, size);
	return 0;
}

int gmem_map(uint64_t size, uint64_t room, int file, struct gmem **ret, struct err *err)
{
	AUTO(auto_gmem_free) struct gmem *mem = NULL;
	struct stat st;
	uint8_t *base;

	if (fstat(file, &st) < 0)
		return err_sys(err, "memory file %d", file);
	int r = make(size, &mem, &base, err);
	if (r == 0 && room > 0)
		r = gmem_add_room(mem, room, err);
	if (r < 0)
		return r;
	if (!S_ISREG(st.st_mode) || (uint64_t)st.st_size != file_size(mem))
		return err_set(err, EINVAL, "memory file %d has %jd bytes, the machine %ju", file,
			       (intmax_t)st.st_size, (uintmax_t)file_size(mem));
	r = map_file(base, size, file, 0, err);
	if (r < 0)
		return r;
	mem->file = (struct file_id){st.st_dev, st.st_ino};
	*ret = TAKE_PTR(mem);
	return 0;
}

int gmem_map_room(const struct gmem *mem, uint64_t offset, uint64_t size, int file, struct err *err)
{
	return map_file((uint8_t *)mem->room.host + offset, size, file, mem->size + offset, err);
}

static bool is_zero(const uint8_t *page)
{
	return page[0] == 0 && memcmp(page, page + 1, PAGE - 1) == 0;
}

/* Writes what is not zero of so many bytes from base on to the file, which is a hole from `to` on.
 */
static int write_pages(const uint8_t *base, uint64_t size, int file, uint64_t to, struct err *err)
{
	int r = 0;

	for (uint64_t at = 0, end; at < size && r == 0; at = end) {
		end = at;
		while (end < size && !is_zero(base + end))
			end += PAGE;
		r = pwrite_all(file, base + at, end - at, to + at, "memory file", err);
		while (end < size && is_zero(base + end))
			end += PAGE;
	}
	return r;
}

int gmem_save(const struct gmem *mem, int file, struct err *err)
{
	struct stat st;

	/* not by way of the C library, which asks as if by a name: the filter lets nobody do that
	 */
	if (syscall(SYS_fstat, file, &st) < 0)
		return err_sys(err, "memory file %d", file);
	if (st.st_dev == mem->file.dev && st.st_ino == mem->file.inode)
		return err_set(err, EBUSY, "the machine lives on that memory file");
	if (ftruncate(file, 0) < 0 || ftruncate(file, (off_t)file_size(mem)) < 0)
		return err_sys(err, "make the memory file");
	return write_pages(mem->runs[0].host, mem->size, file, 0, err);
}

int gmem_save_room(const struct gmem *mem, uint64_t offset, uint64_t size, int file,
		   struct err *err)
{
	return write_pages((const uint8_t *)mem->room.host + offset, size, file, mem->size + offset,
			   err);
}

void gmem_free(struct gmem *mem)
{
	if (!mem)
		return;
	if (mem->mapping.at)
		(void)munmap(mem->mapping.at, mem->mapping.len);
	if (mem->room_mapping.at)
		(void)munmap(mem->room_mapping.at, mem->room_mapping.len);
	free(mem);
}

/* Host pointer to [gpa, gpa + len) of the run; NULL: not in it. */
static void *run_at(const struct gmem_run *run, uint64_t gpa, size_t len)
{
	if (gpa < run->gpa || gpa - run->gpa > run->size)
		return NULL;
	uint64_t offset = gpa - run->gpa;
	return len <= run->size - offset ? (uint8_t *)run->host + offset : NULL;
}

void *gmem_at(const struct gmem *mem, uint64_t gpa, size_t len)
{
	for (size_t i = 0; i < mem->n; i++) {
		void *at = run_at(&mem->runs[i], gpa, len);
		if (at)
			return at;
	}
	return mem->room.size > 0 ? run_at(&mem->room, gpa, len) : NULL;
}

void gmem_discard(void *at, size_t len)
{
	uint8_t *end = (uint8_t *)at + len;

	end -= (uintptr_t)end & (PAGE - 1);
	uint8_t *begin = (uint8_t *)at + (-(uintptr_t)at & (PAGE - 1));
	if (begin < end) /* a failure would only keep the memory here */
		(void)madvise(begin, (size_t)(end - begin), MADV_DONTNEED);
}

size_t gmem_runs(const struct gmem *mem, struct gmem_run ret[GMEM_RUNS])
{
	memcpy(ret, mem->runs, mem->n * sizeof(ret[0]));
	return mem->n;
}

int gmem_put(const struct gmem *mem, uint64_t gpa, const void *bytes, size_t n, const char *what,
	     struct err *err)
{
	void *at = gmem_at(mem, gpa, n);

	if (!at)
		return err_set(err, EINVAL, "%s does not fit into the machine's memory", what);
	memcpy(at, bytes, n);
	return 0;
}
