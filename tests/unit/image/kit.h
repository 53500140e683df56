/* SPDX-License-Identifier: Apache-2.0 */
/* For the tests of layers: tars made byte by byte, layers made of them, and what the kernel reads
 * out of the result. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>
#include <time.h>

#include "base/buf.h"
#include "base/err.h"
#include "image/layer.h"

/* One member: header and content. link may be NULL. */
void tar_member(struct buf *tar, const char *name, char type, mode_t mode, const char *link,
		const void *content, size_t n);

/* A regular file of 0644 with text. */
void tar_file(struct buf *tar, const char *name, const char *text);

/* A pax header with one record for the next member. */
void tar_pax(struct buf *tar, const char *key, const void *value, size_t n);

/* Writes the checksum of the header at `at` anew, after a test changed it. */
void tar_sum(struct buf *tar, size_t at);

/* The end mark. */
void tar_end(struct buf *tar);

/* A new empty unnamed file on the file system of the working folder. */
int scratch_file(void);

/* A new folder below the working folder, removed when the program ends; its descriptor. */
int scratch_folder(void);

/* Makes the regular file `name` in dir with n bytes; 0 or -1. */
int put_file(int dir, const char *name, const void *bytes, size_t n, mode_t mode);

/* Sets the time of `name` in dir, not following a link. */
void set_mtime(int dir, const char *name, time_t sec, long nsec);

/* A scratch folder with one of everything a tar can hold, or -1. */
int zoo_new(void);

/* Puts extended attributes of each kind on files of the zoo; 0 or not. */
int zoo_xattrs(int dir);

/* Makes a layer of n bytes in out_fd. Returns what the layer calls answered. */
int layer_of_bytes(const void *bytes, size_t n, int out_fd, const struct layer_limits *limits,
		   const struct layer_lower *lower, struct layer_info *info, struct err *err);
int layer_of(const struct buf *tar, int out_fd, struct layer_info *info, struct err *err);

/* Makes a layer of what `command` (run by sh in the folder `dirfd`) writes to standard output. */
int layer_of_command(const char *command, int dirfd, int out_fd, struct layer_info *info,
		     struct err *err);

/* Makes a layer of the folder; its tar is appended to *tar (may be NULL). */
int layer_of_folder(int dirfd, int out_fd, struct buf *tar, struct layer_info *info,
		    struct err *err);

/* Mounts the EROFS file and returns its root folder (O_PATH); prints and returns -1 when that
 * fails. The mount, which is in no namespace, goes with the descriptor. */
int mount_layer(int fd);

/* Mounts what `lowers` (n of them, top first) are together; likewise. */
int mount_overlay(const int *lowers, size_t n);

/* Whether two trees are the same in all that can be seen; prints the first differences. */
bool same_tree(int a, int b);

/* Whether the file `path` in dirfd holds exactly the n bytes. */
bool holds(int dirfd, const char *path, const void *bytes, size_t n);

/* Whether fsck.erofs finds the file sound (true when there is no fsck.erofs). */
bool fsck_agrees(int fd);

/* Whether the files hold the same bytes. */
bool same_bytes(int a, int b);

/* Ends a test program as skipped unless it can mount. */
void need_root(void);
