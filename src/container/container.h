/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Isolation by this kernel: carries out a plan with namespaces, cgroups, capabilities and seccomp.
 * Everything a user needs is the table of operations; the rules of proto/isolation.h hold.
 *
 * The process that drives it (keeper or agent) has one thread, leaves SIGCHLD at its default and
 * reaps none of the children it did not start itself (no waitpid(-1)).
 *
 * Beyond what the plan says, a workload always gets /proc, /dev with its usual nodes, /dev/pts,
 * /dev/shm, /dev/mqueue, /sys and /sys/fs/cgroup (the latter two read-only), and a device cgroup
 * that denies all but those nodes; a privileged one gets them writable, and every device.
 */
#pragma once

#include <stdbool.h>
#include <sys/types.h>

#include "base/attr.h"
#include "proto/isolation.h"
#include "proto/plan.h"

struct buf;
struct err;

extern const struct isolation_ops container_isolation;

/*
 * Moves the calling process (a keeper, before it creates anything) out of its caller's cgroup,
 * where a service manager would end it with the caller's session, into hull/keepers of the v2 tree
 * and of v1's systemd tree: one leaf for all keepers, so that none has a folder to clean up behind
 * itself. Does nothing where no manager has put the process anywhere.
 */
int container_place_keeper(struct err *err) HULL_MUST_CHECK;

/* Whether the caller is in another user namespace than the host's first one: root there is nobody
 * on the host. */
bool container_caller_is_mapped(void);

/* Shows the mounted folder `source` at `target` (absolute, made when missing) in a workload of
 * container_isolation that runs, or takes it away again (EBUSY while it is in use). */
int container_show(struct isolation *iso, const char *source, const char *target, struct err *err)
	HULL_MUST_CHECK;
int container_show_no_more(struct isolation *iso, const char *target, struct err *err)
	HULL_MUST_CHECK;

/*
 * The path of a workload's cgroups when its caller names none: "hull-oci/ID", or without rights on
 * the host, "hull-oci-ID" below the caller's own, which may have been delegated to it. The caller
 * frees.
 */
int container_default_cgroup(const char *id, char **ret, struct err *err) HULL_MUST_CHECK;

/*
 * The same container without a keeper, as an OCI runtime has it: one command makes it and ends, its
 * first process parks until another command says go, and what it is known by is its pid and its
 * plan, which the caller keeps. Nothing here needs an event loop; all of it waits.
 */
struct container_caller {
	/* A line for people: what this host cannot do, and goes without. */
	void (*say)(void *ctx, const char *line);
	/* Appends the runtime-spec's state (JSON) of the container, for hooks. */
	void (*describe)(void *ctx, pid_t pid, const char *status, struct buf *to);
	/* Appends the runtime-spec's Container Process State for the descriptor of `what`'s filter;
	 * pid: of the process that loads it. */
	void (*describe_filter)(void *ctx, pid_t first, pid_t pid, const struct plan_process *what,
				struct buf *to);
	void *ctx;
};

struct container_launch {
	const struct plan *plan; /* borrowed; its cgroup "": none of its own, and no limits */
	const struct container_caller *caller; /* borrowed */
	int start; /* listening SOCK_SEQPACKET socket: container_release() on a connection to it
		      starts the program; borrowed */
	unsigned preserve; /* descriptors from 3 on that the program gets */
	pid_t holder; /* is in the cgroup already, to hold it for a service manager; 0: nobody */
};

/*
 * Makes cgroups, namespaces and root, runs the hooks that belong there, and leaves the first
 * process parked, a child of the caller with the caller's standard streams (or a terminal of its
 * own, whose master is *ret_master, owned by the caller; else -1). Returns its pid; on failure
 * nothing is left.
 */
pid_t container_launch(const struct container_launch *launch, int *ret_master, struct err *err)
	HULL_MUST_CHECK;

/* Makes the cgroups alone, with their limits: for processes that come from elsewhere. `holder` as
 * above. What is left after a failure, container_clear() removes. */
int container_place(const struct plan *plan, pid_t holder, const struct container_caller *caller,
		    struct err *err) HULL_MUST_CHECK;

/* Moves the calling, single-threaded process into the container's cgroups. */
int container_join(const struct plan *plan, struct err *err) HULL_MUST_CHECK;

/* The folder of the cgroup that freezes the container, the caller's; *ret NULL: it has none. */
int container_freezer(const struct plan *plan, char **ret, struct err *err) HULL_MUST_CHECK;

/* Starts the program, over a connection to the container's start socket; fails as its execve did.
 */
int container_release(int sock, const struct container_caller *caller, struct err *err)
	HULL_MUST_CHECK;

struct container_enter {
	const struct plan *plan; /* of the container; borrowed */
	const struct plan_process *what; /* borrowed */
	const struct container_caller *caller;
	int pidfd; /* of the container's first process */
	pid_t first; /* its pid */
	const char *cgroup; /* below the container's own; NULL: that */
	unsigned preserve;
};

/* Runs one more process in it, a child of the caller, as container_launch() does but for the
 * parking. Returns its pid. */
pid_t container_enter(const struct container_enter *enter, int *ret_master, struct err *err)
	HULL_MUST_CHECK;

/* Runs the plan's hooks of one point, in order, in the caller's namespaces, until one fails (of
 * poststop: all of them, and what fails is said). `status` is what they are told; pid may be 0. */
int container_hooks(const struct plan *plan, enum plan_hook_point point, pid_t pid,
		    const char *status, const struct container_caller *caller, struct err *err)
	HULL_MUST_CHECK;

/* Freezes or thaws all processes, and waits until they are. */
int container_freeze(const struct plan *plan, bool freeze, struct err *err) HULL_MUST_CHECK;
bool container_is_frozen(const struct plan *plan);

/* Sends sig to every process in its cgroup. Returns how many there were. */
int container_signal_all(const struct plan *plan, int sig, struct err *err) HULL_MUST_CHECK;

/* Changes the limits that are not zero. */
int container_limit(const struct plan *plan, const struct plan_limits *limits,
		    const struct container_caller *caller, struct err *err) HULL_MUST_CHECK;

/* What its cgroups count, and which processes are in them (released with isolation_top_record). */
int container_count(const struct plan *plan, struct isolation_stats *ret, struct err *err)
	HULL_MUST_CHECK;
int container_list(const struct plan *plan, struct isolation_top *ret, struct err *err)
	HULL_MUST_CHECK;

/* Ends every process in its cgroups and removes them. */
int container_clear(const struct plan *plan, struct err *err) HULL_MUST_CHECK;

/*
 * A root as root_new() makes it for a workload, without one: a detached mount that the caller
 * closes, set-user-id bits and devices of it without effect; readonly: nothing can be changed
 * through it. layers_fd is the folder of mounted layers, scratch_fd a folder to mount on for a
 * moment. Whoever gives a plan's root of a workload makes sure that it does not run.
 */
int container_root(const struct plan_root *root, bool readonly, int layers_fd, int scratch_fd,
		   struct err *err) HULL_MUST_CHECK;
