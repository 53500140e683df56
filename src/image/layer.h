/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Makes image layers: a tar stream or a folder of the host becomes one EROFS file. For the program
 * that imports; it links libarchive and libcrypto, which `hull` itself does not.
 *
 *	layer_new(fd, …) → layer_read_tar() or layer_read_folder() → layer_info(): is the diff-id
 *the one expected? → layer_finish(), with the layers below when needs_lower → fsync(fd), rename.
 *
 * The file is of no use before layer_finish(): it has no super block. After a failure the layer can
 * only be freed, and the file thrown away.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/attr.h"

struct err;
struct layer;
struct xattr_set;

enum {
	LAYER_FORMAT = 1, /* of the file; kept in the database */
	LAYER_DIGEST = 32, /* SHA-256 */
	LAYER_ABSENT = 1, /* answers of layer_lower.open() */
	LAYER_OTHER = 2,
};

/* How much is taken from a stream that may be hostile; 0 stands for the default. */
struct layer_limits {
	uint64_t tar_bytes; /* of the uncompressed tar: 256 GiB */
	uint64_t image_bytes; /* of the EROFS file: 256 GiB */
	uint64_t entries; /* 4 Mi */
};

struct layer_info {
	uint8_t diff_id[LAYER_DIGEST]; /* of the uncompressed tar; of a folder see
					  layer_read_folder() */
	uint8_t blob[LAYER_DIGEST]; /* of the stream as it came */
	uint64_t tar_bytes;
	uint64_t blob_bytes;
	uint64_t image_bytes; /* valid after layer_finish() */
	uint64_t entries;
	uint64_t ignored_xattrs; /* attributes of name spaces Linux file systems do not store */
	bool has_root; /* the root folder itself is an entry; else it is 0755, root's */
	bool needs_lower; /* layer_finish() must look into the layers below */
};

/* The layers below, merged, as one may see them. */
struct layer_lower {
	void *ctx;
	/*
	 * Opens the folder or regular file `path` (relative, clean) for reading, never following a
	 * link, neither at the end nor on the way (RESOLVE_NO_SYMLINKS). *ret is the caller's to
	 * close. Answers LAYER_ABSENT when there is nothing of that name, and LAYER_OTHER when it,
	 * or something on the way, is a link or what else cannot be gone through: then the layer is
	 * refused, since its entry would hide that, or be written through it.
	 */
	int (*open)(void *ctx, const char *path, int *ret, struct err *err);
	/* Adds the attributes of one opened that this process may not see; NULL: it sees all. */
	int (*hidden)(void *ctx, int fd, struct xattr_set *set, struct err *err);
};

/* Gives up to n bytes, at least one; 0 at the end. */
typedef ssize_t layer_read_fn(void *ctx, void *bytes, size_t n, struct err *err);

/* A layer to be written into out_fd: an empty regular file, open for writing, borrowed until
 * layer_free(). limits may be NULL; the caller frees. */
int layer_new(int out_fd, const struct layer_limits *limits, struct layer **ret, struct err *err)
	HULL_MUST_CHECK;

/* NULL is fine. */
void layer_free(struct layer *layer);

/*
 * Reads a tar to the end of the stream, which may be compressed by gzip, zstd or xz. Everything
 * else (other archives, a stream cut short, bytes behind the end) is refused, as is each entry that
 * breaks a rule of SECURITY.md I1-I10. Once per layer, instead of layer_read_folder().
 */
int layer_read_tar(struct layer *layer, layer_read_fn *read, void *ctx, struct err *err)
	HULL_MUST_CHECK;

/* A layer_read_fn for a descriptor; ctx is a pointer to it. */
ssize_t layer_read_fd(void *ctx, void *bytes, size_t n, struct err *err) HULL_MUST_CHECK;

/* Takes n bytes. */
typedef int layer_write_fn(void *ctx, const void *bytes, size_t n, struct err *err);

/*
 * Takes the folder dirfd (borrowed) as it lies on the host: links are not followed, folders that
 * something else is mounted on are taken as empty, names that would mean a deletion are refused. It
 * also makes the tar of it, in one form only, whose digest is the diff-id; `write` gets that tar
 * (NULL: nobody). Reading that tar gives the same layer.
 */
int layer_read_folder(struct layer *layer, int dirfd, layer_write_fn *write, void *ctx,
		      struct err *err) HULL_MUST_CHECK;

/* What was read; borrowed, valid as long as the layer. */
const struct layer_info *layer_info(const struct layer *layer);

/*
 * Writes the rest of the file. `lower` may be NULL: implied folders are 0755, root's then, and a
 * hard link to a file of a layer below fails. A layer that needs_lower depends on what lies below:
 * `chain` (LAYER_DIGEST bytes, NULL else) is the chain-id it is known by, and goes into the UUID.
 */
int layer_finish(struct layer *layer, const struct layer_lower *lower, const uint8_t *chain,
		 struct err *err) HULL_MUST_CHECK;

/*
 * The file's UUID: of the diff-id, and of the chain-id (NULL: the layer stands alone) it is known
 * by.
 */
int layer_uuid(const uint8_t diff_id[LAYER_DIGEST], const uint8_t *chain, uint8_t ret[16],
	       struct err *err) HULL_MUST_CHECK;

/*
 * Judges a finished layer file (borrowed, open for reading) from the super block to the last block
 * of content: EUCLEAN says what is damaged. *ret_names is how many names it holds. Content has no
 * checksum of its own in EROFS: compare it with what it was made of.
 */
int layer_check(int layer_fd, const uint8_t diff_id[LAYER_DIGEST], const uint8_t *chain,
		uint64_t *ret_names, struct err *err) HULL_MUST_CHECK;

/*
 * Writes a finished layer file as a tar in the one form that layer_read_folder() makes: of a folder
 * it is that tar, byte by byte; of another tar one that means the same. upper: it lies on others,
 * and a root that says nothing (0755, root's, of the epoch) is left out, so that theirs is seen.
 * info gets diff_id, blob and their sizes.
 */
int layer_write_tar(int layer_fd, bool upper, layer_write_fn *write, void *ctx,
		    struct layer_info *info, struct err *err) HULL_MUST_CHECK;

DEFINE_AUTO(struct layer, layer_free)
