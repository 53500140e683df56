/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The files of one layer, in memory, while the layer is being made. Every name from outside comes
 * in through tree_add(), which holds the rules of SECURITY.md I1-I7: nothing here ever follows a
 * link, and what a layer says about the layers below it is only noted.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/attr.h"
#include "image/arena.h"

struct err;
struct xattrs;

enum {
	TREE_NAME_MAX = 255,
	TREE_PATH_MAX = 4096, /* with its NUL, as in Linux */
	TREE_SHOWN_MAX = 200,
};

enum inode_flags {
	INODE_IMPLIED = 1, /* a folder that only its children name; after tree_seal(): whose
			      attributes lie in the layers below */
	INODE_OPAQUE = 2, /* a folder that hides what lies below it */
	INODE_WHITEOUT = 4, /* deletes the name in the layers below */
	INODE_BORROWED = 8, /* a hard link's target in the layers below: `target` is its path */
	INODE_CUT = 16, /* below an opaque folder; set by tree_seal() */
};

/* A run of chunks of a file that lie one behind the other. */
struct run {
	uint32_t chunk; /* first, in the file */
	uint32_t count;
	uint32_t block; /* first, in the image */
};

struct inode {
	uint64_t size; /* of a regular file; of a folder as the writer lays it out */
	int64_t mtime;
	uint32_t mtime_nsec;
	uint32_t uid;
	uint32_t gid;
	uint32_t rdev; /* as Linux encodes it */
	uint32_t nlink; /* set by tree_seal() */
	uint16_t mode;
	uint8_t flags;
	uint8_t chunk_bits; /* of a file with holes, else 0 */
	uint32_t start_block;
	uint32_t n_runs;
	struct run *runs; /* of a file with holes */
	struct xattrs *xattrs; /* or NULL */
	union {
		char *target; /* of a symbolic link; of a borrowed file */
		struct dent *children; /* of a folder; ordered by tree_seal() */
	};
	struct dent *self; /* a folder's own name, NULL for the root */
	struct inode *next; /* in the order of tree_seal() */
	uint64_t nid; /* the writer's */
};

struct dent {
	struct inode *inode;
	struct inode *parent;
	struct dent *next; /* sibling */
	struct dent *hash_next;
	uint16_t name_len;
	char name[]; /* NUL-terminated */
};

struct tree;

/* What tree_add() is told; everything is borrowed. */
struct tree_entry {
	const char *path; /* as the archive wrote it */
	const char *target; /* of a symbolic link; with `hardlink` the path linked to */
	bool hardlink;
	mode_t mode; /* type and permissions */
	int64_t uid;
	int64_t gid;
	int64_t mtime;
	uint32_t mtime_nsec;
	int64_t rdev_major;
	int64_t rdev_minor;
	struct xattrs *xattrs; /* from tree_arena(), or NULL */
};

/* An empty tree (a root folder, 0755, root's) for at most max_entries entries; the caller frees. */
int tree_new(uint64_t max_entries, struct tree **ret, struct err *err) HULL_MUST_CHECK;

/* Releases the tree with all its inodes; NULL is fine. */
void tree_free(struct tree *tree);

/* Where everything that the tree's inodes point at lives. */
struct arena *tree_arena(struct tree *tree);

/* The folder at the top, borrowed; tree_seal() makes it the first of all inodes. */
struct inode *tree_root(struct tree *tree);

/* Entries added so far. */
uint64_t tree_entries(const struct tree *tree);

/* Whether the root itself was an entry. */
bool tree_has_root(const struct tree *tree);

/*
 * Adds one entry; a name already there is replaced. *ret is the inode, valid as long as the tree:
 * the caller gives a new regular file its content. It is NULL when there is nothing to fill: for a
 * hard link and a whiteout. Whiteout names (".wh.x") are understood. The failure names the entry.
 */
int tree_add(struct tree *tree, const struct tree_entry *entry, struct inode **ret, struct err *err)
	HULL_MUST_CHECK;

/*
 * To be called once after the last entry: sorts the folders, counts the links, gives each folder
 * its "." and "..", and strings all inodes that are still named together, each folder before its
 * children, the root first. Answers in *ret_needs_lower whether something depends on the layers
 * below.
 */
int tree_seal(struct tree *tree, bool *ret_needs_lower, struct err *err) HULL_MUST_CHECK;

/* Path of a folder of the tree, relative, "" for the root; the caller frees. NULL when memory ran
 * out. */
char *tree_folder_path(const struct inode *inode) HULL_MUST_CHECK;

/* Room for a name in an error message. */
struct shown {
	char text[TREE_SHOWN_MAX + 8];
};

/* A name from outside, shortened and with all but printable ASCII escaped; lives in *shown. */
const char *show(const char *name, struct shown *shown);

DEFINE_AUTO(struct tree, tree_free)
