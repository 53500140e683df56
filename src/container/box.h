/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The child of create: it makes the inside of the box it was born into (namespaces are there),
 * says that it is ready, waits for the word, and becomes the workload's first process.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/attr.h"

struct buf;
struct cgroup;
struct container_caller;
struct err;
struct gate;
struct plan;
struct plan_process;

enum { BOX_SOURCES_MAX = 512 };

struct box {
	const struct plan *plan;
	const struct cgroup *cgroup;
	int root; /* detached mount of the root; -1: the child makes it, as whose parent may not */
	bool arrived; /* box_arrive() is done, and all is joined, by the one that bore this */
	bool waits_seen; /* is not hidden before its ids are mapped, by a parent without rights */
	int sock; /* the child's end (note.h) */
	int start; /* the word to start comes from who connects to this listening socket; -1: over
		      sock */
	int io[3]; /* standard streams; -1: they come with the word */
	unsigned preserve; /* further descriptors from 3 on that the program gets */
	const int *sources; /* populate.sources, for each of the plan's mounts; or NULL */
	pid_t pid; /* of this process outside; 0 until its parent has told it */
	const struct container_caller *caller; /* describes the workload to hooks; may be NULL */
};

/* The whole life of the child, from the fork on. */
_Noreturn void box_main(struct box *box);

struct joiner {
	const struct plan *plan;
	const struct plan_process *what;
	const struct cgroup *cgroup;
	int pidfd; /* the workload's first process */
	int io[3];
	int sock;
	unsigned preserve;
	const struct container_caller *caller; /* describes it to a seccomp listener; may be NULL */
	pid_t first; /* pid of the workload's first process */
	struct gate *gate; /* for the process that is started; may be NULL; borrowed */
};

/* The child of exec: joins the workload of first process `pidfd` and starts `what` in it, as a
 * child of its own parent. */
_Noreturn void join_main(const struct joiner *joiner);

/* PID 1 beside a workload that wants one: starts child (a fork of the caller, pid), hands signals
 * on, reaps, and ends as the child does. */
_Noreturn void init_main(int child);

/* Closes everything but the n descriptors in keep (sorted by this function; -1 is none) and
 * `preserve` ones from 3 on. */
int close_all_but(int *keep, unsigned n, unsigned preserve, struct err *err) HULL_MUST_CHECK;

/* Writes oom_score_adj of the calling process through `proc`, a procfs, for as long as the process
 * is not hidden; where the host forbids to lower it, the parent is told so instead. */
int put_oom_score_adj(int proc, const struct plan_process *what, int sock, struct err *err)
	HULL_MUST_CHECK;

/* What a process is told through the host's /proc; to be done before it is hidden. */
int box_arrive(const struct box *box, struct err *err) HULL_MUST_CHECK;

/* From here to execve nobody who shares a namespace may look into the process, at its descriptors
 * or its program. */
int box_hide(struct err *err) HULL_MUST_CHECK;
