/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A program shut into a box: started with namespaces of its own, in the machine's cgroups, with
 * only the descriptors it was given, and dead as soon as the keeper is. For what stands between a
 * guest and the host: the monitor and the share.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include "base/attr.h"

struct err;
struct hostgroup;
struct strv;

/* Runs in the new process with all rights, its mount namespace private already. */
typedef int box_fn(void *ctx, struct err *err);

struct box {
	const struct strv *argv; /* argv[0] is a path, or a name when there is a `program` */
	int program; /* what is executed, a file without an interpreter; 0: argv[0] */
	const int *fds; /* stay open under their numbers */
	size_t n_fds;
	int err; /* its standard output and error; input is /dev/null */
	const struct hostgroup *group;
	box_fn *prepare; /* NULL: nothing to prepare */
	void *ctx;
	bool powerless; /* no capabilities and no user of the host's when it runs */
};

/* Starts it in new mount, network, ipc, uts and pid namespaces. Fails when anything up to execve
 * does. Returns the pid; *pidfd is the caller's. */
pid_t box_spawn(const struct box *box, int *pidfd, struct err *err) HULL_MUST_CHECK;

/*
 * A box_fn's help: makes a folder tree of its own on a tmpfs at `at` and turns it into the root:
 * the host's programs and libraries read-only, /dev with null and urandom, and the files
 * named (n pairs: host path, name below /hull), nothing else.
 */
int box_enter_root(const char *at, const char *const (*files)[2], size_t n, struct err *err)
	HULL_MUST_CHECK;

/* The same with an empty root, for a program that was opened before and needs nothing. */
int box_enter_empty(const char *at, struct err *err) HULL_MUST_CHECK;

/* Turns the folder `at`, which is a mount, into the root, read-only by itself (what is mounted in
 * it stays as it is). */
int box_enter_folder(const char *at, struct err *err) HULL_MUST_CHECK;

/* mount(2) by handle: shows what `from` is open on (-1: `source`, links followed, once) at
 * `target`, with all below it when `deep`; read-only when `readonly`. */
int box_bind(int from, const char *source, const char *target, bool deep, bool readonly,
	     struct err *err) HULL_MUST_CHECK;
