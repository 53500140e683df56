/* SPDX-License-Identifier: Apache-2.0 */
/*
 * hull-share: serves the folder that is its root to a machine, by FUSE messages over a socket. All
 * the guest says is hostile: a node or a handle is a number that is looked up, never a pointer; a
 * name is one component; nothing is reached but by descriptors of what was looked up before, no
 * link is followed, and only regular files and folders are opened. A few threads serve, each one
 * message at a time: what one of them uses stays until it has put it back.
 */
#pragma once

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/stat.h>
#include <sys/types.h>

#include "base/attr.h"

struct err;
struct fuse_lowlevel_ops;

/* --- nodes: what the guest has looked up --- */

struct node {
	int fd; /* O_PATH, owned; -1: it went while the machine was a written one, and nobody gets
		 * this node any more */
	dev_t dev;
	ino_t ino;
	mode_t type; /* S_IFMT bits, which never change */
	uint64_t id;
	/* under the tables' lock: */
	uint64_t lookups; /* how often the guest was told of it, less what it forgot */
	unsigned users; /* who got it and has not put it back */
	int newer; /* it by another name, in place of fd once nobody uses that; owned; or -1 */
	struct stat seen; /* when it was opened last; st_size -1: never */
	struct node *next; /* in its bucket */
};

/* Makes the root, number 1, out of the folder fd, which it takes. */
int nodes_init(int fd, struct err *err) HULL_MUST_CHECK;

/* The node numbered so, or NULL: there is none, or its file has gone. To be put back with
 * node_put(). */
struct node *node_get(uint64_t id);

/* NULL is fine. */
void node_put(struct node *n);

DEFINE_AUTO(struct node, node_put)
#define AUTO_NODE AUTO(auto_node_put)

/*
 * The number of the node of what the O_PATH descriptor fd (taken) stands for, made when it is new,
 * its lookups one more. 0 with errno set when there is no memory.
 */
uint64_t node_enter(int fd, const struct stat *st);

/*
 * Whether a file that is being opened is, by `st`, what it was when it was opened last, so that
 * what the guest has of it in memory is right. What has changed in the last seconds is not believed
 * to be the same: times of files are coarse.
 */
bool node_unchanged(struct node *n, const struct stat *st);

/* Takes so many lookups away; the node goes with its last one. Numbers that are none are ignored.
 */
void node_forget(uint64_t id, uint64_t n_lookups);

/* For who has the tables to himself: the node with the next number above *id, which it becomes, or
 * NULL; and the node of a file, or NULL. */
const struct node *nodes_next(uint64_t *id);
const struct node *node_find(const struct stat *st);

/* Enters a node of a written state under its number. Without fd (-1; taken) its file has gone: it
 * stays until it is forgotten. 0 or errno: EEXIST the number is another's, ERANGE it is none. */
int node_restore(uint64_t id, int fd, const struct stat *st, uint64_t n_lookups);

/* --- handles: what it has opened --- */

struct handle {
	int fd; /* owned, or the stream's */
	void *dir; /* DIR *, owned; NULL: a file */
	pthread_mutex_t reading; /* of the stream, and what follows */
	const void *kept; /* struct dirent, the stream's: read, and not told yet; NULL: none */
	int64_t kept_at; /* the place in the listing that it has */
	bool offered; /* to the monitor; atomic */
	unsigned users; /* under the tables' lock: the table, and who has not put it back */
};

/* Keeps fd, and dir when it is a folder's; both are taken. The handle, to be put back, and its
 * number in *ret; or NULL with errno. */
struct handle *handle_add(int fd, void *dir, uint64_t *ret);

/* The handle numbered so, of a folder or of a file, or NULL. To be put back with handle_put(). */
struct handle *handle_get(uint64_t id, bool is_dir);

/* NULL is fine. */
void handle_put(struct handle *h);

DEFINE_AUTO(struct handle, handle_put)
#define AUTO_HANDLE AUTO(auto_handle_put)

/* Closes, as soon as nobody uses it. */
void handle_close(uint64_t id, bool is_dir);

/* As nodes_next(). */
const struct handle *handles_next(uint64_t *id);

/* Keeps fd or dir (taken, as in handle_add()) under the number that it had; answers as
 * node_restore(). */
int handle_restore(uint64_t id, int fd, void *dir);

/* --- operations, by file; each fills in its own --- */

/* lookup, forget, getattr, setattr, readlink, statfs, and what changes names. */
void ops_names(struct fuse_lowlevel_ops *ops);

/* open, read, write and the like. */
void ops_files(struct fuse_lowlevel_ops *ops);

/* opendir, readdir, readdirplus. */
void ops_dirs(struct fuse_lowlevel_ops *ops);

/* Extended attributes. */
void ops_xattr(struct fuse_lowlevel_ops *ops);

/* --- messages --- */

/*
 * Whether the n bytes are one message of the guest's that libfuse may be shown: it takes a kernel's
 * word for lengths, names that end and counts. 0, or the errno that answers it.
 */
int message_judge(const void *bytes, size_t n);

/* Whether the message, which was judged, is of a user for whom set-user-id and set-group-id bits
 * have to go when it is carried out (FUSE_HANDLE_KILLPRIV_V2). */
bool message_drops_setid(const void *bytes);

/*
 * Answers what comes over the socket (SOCK_SEQPACKET, taken) until its other side is gone, by
 * threads of its own, this one among them, each confined if so wished. A message numbered 0 is
 * carried out and not answered. Ends the process then; comes
 * back only to tell what failed.
 */
int share_serve(int channel, bool confined, struct err *err) HULL_MUST_CHECK;

/* message_drops_setid() of the message that this thread serves. */
bool share_drops_setid(void);

/* With the next answer of this thread goes a copy of the descriptor (borrowed). */
void share_pass(int fd);

/* Answers what the monitor asks itself (proto/share.h): the n bytes that came over the channel with
 * `file` (taken; -1: none). `serving` is had alone while the state is written. */
void share_asked(int channel, const void *message, size_t n, int file, pthread_rwlock_t *serving);

/* A message of the guest's is about to be carried out. */
void share_begin(void);

/* A message is done with, whatever came of it. */
void share_count(void);

/* --- the state --- */

enum { SHARE_HELLO_MAX = 256 };

/* The message with which the guest's session began, judged; numbered 0. n 0: it has none. */
struct share_hello {
	size_t n;
	uint8_t bytes[SHARE_HELLO_MAX];
};

/* What is written of the session. Used by who has it alone. */
extern struct share_hello share_hello;

/* Makes the file what the state is: what the guest knows and has open, by paths below the root.
 * Nobody else uses the tables meanwhile. EBUSY: what is open has been removed. */
int share_save(int file, uint32_t *ret_checksum, struct err *err) HULL_MUST_CHECK;

/* Fills the tables, which have the root only, with what the state in the file says, which is
 * judged. The working folder is /proc/self/fd. On failure the process is good for nothing. */
int share_load(int file, uint32_t *ret_checksum, struct err *err) HULL_MUST_CHECK;

/* The share was made from the state with that checksum. Before it serves. */
void share_made_from(uint32_t checksum);

/* No system calls of this thread any more but those that serving takes; needs no_new_privs. */
int share_confine(struct err *err) HULL_MUST_CHECK;

/* --- what the operations share --- */

struct fuse_entry_param;

/* Whether it is one component that is a name. */
bool name_ok(const char *name);

/* Looks `name` up below the parent and enters it, for an answer. 0 or errno. */
int lookup_entry(const struct node *parent, const char *name, struct fuse_entry_param *ret);

/* Takes set-user-id and set-group-id off the file. -1 with errno. */
int setid_drop(int fd);

/* The path by which what the O_PATH descriptor stands for is opened: relative to the working
 * folder, which is /proc/self/fd. */
void node_path(const struct node *n, char path[16]);

/* How long the guest may believe what it was told, in seconds. */
#define SHARE_BELIEVE 1.0
