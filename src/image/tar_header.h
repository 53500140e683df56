/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One entry of a tar as its header blocks say it: ustar, pax and GNU's forms (long names, base-256
 * numbers, sparse files). Names are bytes: nothing is converted between character sets, which is
 * why libarchive's own reader is not used here (it rewrites decomposed UTF-8 and loses what is
 * none).
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/attr.h"
#include "base/buf.h"
#include "image/xattr.h"

struct err;
struct source;

enum { TAR_BLOCK = 512 };

/* star's pax record for what tar has no type for; hull knows sockets. */
#define TAR_FILETYPE        "SCHILY.filetype"
#define TAR_FILETYPE_SOCKET "socket"

/* A piece of a sparse file that is in the archive. */
struct tar_piece {
	uint64_t at, n;
};

struct tar_header {
	char type; /* as in the header: '0' '1' … */
	mode_t mode; /* type and permissions, for tree_add() */
	struct buf path, target; /* NUL-terminated */
	uint64_t stored; /* bytes of content in the archive, before padding */
	uint64_t size; /* of the file */
	int64_t uid, gid, mtime, major, minor;
	uint32_t mtime_nsec;
	struct xattr_set xattrs;
	uint64_t ignored_xattrs;
	bool sparse; /* pieces say what is there; else everything */
	struct tar_piece *pieces; /* owned */
	size_t n_pieces, pieces_size;
};

#define TAR_HEADER_INIT ((struct tar_header){.xattrs = XATTR_SET_INIT})

enum { TAR_END = 1 };

/* Reads the next header into h (emptied before). TAR_END at the archive's end mark. The failure
 * names the entry if its name is known. */
int tar_header_read(struct tar_header *h, struct source *s, struct err *err) HULL_MUST_CHECK;

/* Releases what h holds. */
void tar_header_done(struct tar_header *h);

/* Adds one piece of a sparse file; they must come in order and lie within 63 bits. */
int tar_add_piece(struct tar_header *h, uint64_t at, uint64_t n, struct err *err) HULL_MUST_CHECK;
