/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A share in a process of its own that serves a folder of the test's, and what a monitor says to
 * it. One test has one or more; buffers are shared by all.
 */
#pragma once

#include <linux/fuse.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/attr.h"

enum { ROOT = 1, KIT_BYTES_MAX = 200000 };

struct kit {
	char folder[64];
	int dir; /* the folder */
	int wire;
	pid_t pid;
	uint64_t unique;
	uint64_t sent; /* messages */
	struct fuse_out_header head;
	size_t n; /* of `body` */
	uint8_t *body; /* the answer's, static */
	int file; /* that came with it, owned; -1: none */
	int complaint; /* what the share says before it serves */
};

/* Only a folder. */
int kit_folder(struct kit *k);

/* A folder, its share, and a session, for which the guest offers `flags`. 0 or an errno. */
int kit_start(struct kit *k, uint32_t flags);

/* The folder is served by another share, from the written state in the file, -1 when it is not. */
int kit_go_on(struct kit *k, int state);

/* Ends the share; whether it was alive to its end. */
bool kit_stop(struct kit *k);

/* What a share said that did not serve; "" for nothing. */
const char *kit_complaint(const struct kit *k);

/* Releases all, and removes the folder. */
void kit_done(struct kit *k);

#define AUTO_KIT AUTO(kit_done)

/*
 * Sends a message made of a structure and text (with its NULs); the error of its answer, 0 for
 * none, or 4711 when none comes.
 */
int kit_ask(struct kit *k, uint32_t opcode, uint64_t node, const void *fixed, size_t n_fixed,
	    const void *text, size_t n_text);

#define ASK(k, opcode, node, fixed, text)                                                          \
	kit_ask(k, opcode, node, &(fixed), sizeof(fixed), text, sizeof(text))
#define ASK_NAME(k, opcode, node, text) kit_ask(k, opcode, node, NULL, 0, text, sizeof(text))

/* Sends what has no answer. */
void kit_tell(struct kit *k, uint32_t opcode, uint64_t node, const void *fixed, size_t n);

/* Opens the node; the descriptor that came with the answer, or -1. */
int kit_open(struct kit *k, uint64_t node, uint32_t flags, struct fuse_open_out *ret);

/* Makes a file in the folder. */
void kit_put(const struct kit *k, const char *name, const char *text);

/* What the last answer says: the node that was looked up; the handle, `at` bytes from its
 * beginning.
 */
uint64_t kit_node(const struct kit *k);
uint64_t kit_handle(const struct kit *k, size_t at);
