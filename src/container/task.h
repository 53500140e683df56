/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One process of a workload as its parent sees it: its start is answered when its socket says how
 * execve went, its end when its pidfd becomes readable.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/attr.h"
#include "base/err.h"
#include "proto/isolation.h"

struct loop;
struct watch;

struct task;

/* What its owner is told. All from the loop. */
struct task_owner {
	/* It ended, with this status; the last thing the task says. */
	void (*ended)(void *ctx, struct task *task, uint32_t status);
	/* Its start failed; the owner may free it. The answer to the start follows. */
	void (*failed)(void *ctx, struct task *task);
	/* A line for people. */
	void (*message)(void *ctx, const char *line);
	/* exec's process is there (task->pid), and has not executed if it waits for this. NULL: it
	 * does not. */
	void (*born)(void *ctx, struct task *task);
	/* Its box stands and waits for the hooks of the runtime. NULL: there are none. */
	int (*hooks)(void *ctx, struct task *task, struct err *err);
	void *ctx;
};

struct task {
	struct task *next; /* free for the owner */
	const struct task_owner *owner;
	struct loop *loop;
	uint32_t process;
	pid_t pid;
	int pidfd; /* -1: no process yet, or reaped */
	int helper; /* pidfd of who bears the process in its stead, until it is reaped; -1 */
	int sock; /* -1 after execve */
	int master; /* of its terminal, or -1 */
	bool runs; /* execve succeeded */
	struct watch *sock_watch, *exit_watch;
	isolation_reply *reply; /* of the pending start */
	void *ctx;
	struct err failure; /* of the start */
};

/* An empty task of `process`; the caller frees with task_free(). NULL when memory is out. */
struct task *task_new(const struct task_owner *owner, struct loop *loop, uint32_t process);

/* Ends what still runs of it, reaps, closes, frees; tells nobody. NULL is fine. */
void task_free(struct task *task);

/* A child of the caller (with CLONE_PARENT: of its parent) by clone3(2): 0 in the child. flags:
 * CLONE_NEW* too; cgroup_fd: v2, or -1. */
pid_t task_clone(struct task *task, uint64_t flags, int cgroup_fd, int *pidfd, struct err *err)
	HULL_MUST_CHECK;

/* Waits until the helper has told of the first process that it bore, and is gone. */
int task_await_birth(struct task *task, struct err *err) HULL_MUST_CHECK;

/* Answers `reply` when execve succeeded or failed, then tells the owner of the end. */
int task_follow(struct task *task, isolation_reply *reply, void *ctx, struct err *err)
	HULL_MUST_CHECK;

/* Waits for the child's first word: ready (its terminal's master is taken), or why not. */
int task_await_ready(struct task *task, struct err *err) HULL_MUST_CHECK;

/* Waits until execve succeeded, without a loop; fails as it failed. */
int task_await_exec(struct task *task, struct err *err) HULL_MUST_CHECK;

/* Lets go of the process: frees the task and leaves what runs. Returns its pid; *ret_master (may be
 * NULL) is its terminal's master or -1, the caller's from now on. */
pid_t task_release(struct task *task, int *ret_master);

/* Sends sig to it through its pidfd; ESRCH when it has none (any more). */
int task_signal(const struct task *task, int sig, struct err *err);

DEFINE_AUTO(struct task, task_free)
