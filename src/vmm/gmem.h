/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Guest memory.
 *
 * All access to guest memory by address goes through gmem_at(): a guest chooses its addresses, so
 * nothing else may turn one into a host pointer. What lies there changes under the reader's hands:
 * copy, then judge the copy.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "base/attr.h"

struct err;
struct gmem; /* owner: the machine; stays mapped as long as any thread runs */

/* Addresses from here to 4 GiB are the devices', so memory has at most two runs. */
#define GMEM_HOLE 0xc0000000ULL
enum { GMEM_RUNS = 2 };

/* One run of guest memory. */
struct gmem_run {
	uint64_t gpa, size;
	void *host;
};

/*
 * Makes `size` bytes of zeroed guest memory (whole pages, 1 MiB at least), private to this process,
 * in huge pages where the host has them. The caller frees *ret.
 */
int gmem_new(uint64_t size, struct gmem **ret, struct err *err) HULL_MUST_CHECK;

/*
 * Adds a room for memory that the guest is given later (hotmem.h), behind all other: `size` bytes
 * or somewhat more, as guests take it in blocks of up to GMEM_ROOM_ALIGN. It takes nothing of the
 * host until it is touched. Once, before the machine runs.
 */
int gmem_add_room(struct gmem *mem, uint64_t size, struct err *err) HULL_MUST_CHECK;

#define GMEM_ROOM_ALIGN (2ULL << 30)

/* That room; size 0: there is none. */
struct gmem_run gmem_room(const struct gmem *mem);

/*
 * Writes the memory, which nobody else writes to, as the file's whole content: byte for byte from
 * the lowest address on without hole, and holes where pages are zero. The room comes last, all of
 * it a hole until gmem_save_room(). Not synced. EBUSY when it is the file that the memory was
 * mapped from.
 */
int gmem_save(const struct gmem *mem, int file, struct err *err) HULL_MUST_CHECK;

/* Writes whole pages of the room to where they belong in the file that gmem_save() made. */
int gmem_save_room(const struct gmem *mem, uint64_t offset, uint64_t size, int file,
		   struct err *err) HULL_MUST_CHECK;

/*
 * gmem_new() of what gmem_save() wrote: the file's pages are this memory's until they are written
 * to, and the file stays as it is. `room`: what gmem_add_room() was given, 0 for none, which is
 * done here. EINVAL when the file has another size.
 */
int gmem_map(uint64_t size, uint64_t room, int file, struct gmem **ret, struct err *err)
	HULL_MUST_CHECK;

/* Whole pages of the room become that file's, as all other memory is. Before the machine runs. */
int gmem_map_room(const struct gmem *mem, uint64_t offset, uint64_t size, int file, struct err *err)
	HULL_MUST_CHECK;

/* Unmaps; NULL is fine. No pointer of gmem_at() may be used after it. */
void gmem_free(struct gmem *mem);

/* Host pointer to guest bytes [gpa, gpa + len), or NULL when any of them is outside or it goes from
 * one run into another. Borrowed. */
void *gmem_at(const struct gmem *mem, uint64_t gpa, size_t len) HULL_MUST_CHECK;

/* Gives the host back whole pages within [at, at + len), which gmem_at() or a chain's buffers told:
 * they read as zeros from now on, or as the file has them that they were mapped from, and take
 * memory when they are touched again. Huge pages go when all of one is given back, which need not
 * be at once. */
void gmem_discard(void *at, size_t len);

/* Where memory lies that is there from the start; returns how many runs there are. */
size_t gmem_runs(const struct gmem *mem, struct gmem_run ret[GMEM_RUNS]);

/* Copies n bytes to guest address gpa. EINVAL when they do not fit; `what` names them. */
int gmem_put(const struct gmem *mem, uint64_t gpa, const void *bytes, size_t n, const char *what,
	     struct err *err) HULL_MUST_CHECK;

DEFINE_AUTO(struct gmem, gmem_free)
