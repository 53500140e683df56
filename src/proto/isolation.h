/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the engine asks of an isolation: the one interface that container/ and machine/ implement. A
 * keeper owns one instance and drives it from its event loop; nothing here blocks for long, and
 * whatever takes time answers through a reply or an event.
 *
 * Order: create, start, then exec/signal/… in any order until `exited` came for process 0, then
 * delete. delete is right at any time after create, and ends what still runs.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/attr.h"
#include "proto/record.h"

struct err;
struct loop;
struct plan;
struct plan_limits;
struct plan_process;

/* The standard streams of a process. Borrowed: the isolation duplicates what it keeps. -1:
 * /dev/null. Unused with a terminal. */
struct process_io {
	int in, out, err;
};

/* How a process ended. */
struct process_exit {
	uint32_t process; /* 0: the workload's first; else what exec was given */
	uint32_t status; /* 0-255, or 128 + signal */
	bool oom; /* its cgroup ran out of memory */
	char *reason; /* for people, when the isolation itself failed: "guest kernel panic: …"; NULL
			 otherwise */
};

/* Counters of a running workload; bytes and nanoseconds. */
struct isolation_stats {
	uint64_t cpu_ns;
	uint64_t memory, memory_peak, memory_limit; /* of the workload; limit 0: none */
	uint64_t pids, pids_limit;
	uint64_t io_read, io_write;
	uint64_t oom_kills;
	uint64_t overhead; /* memory that the isolation itself takes on the host (machine: monitor
			      and guest kernel); 0 for containers */
};

struct process_info {
	uint32_t pid, ppid, uid; /* as the isolation's own kernel counts them: host pids for a
				    container, guest pids in a machine */
	uint64_t cpu_ms, start_ms; /* start: since the epoch */
	char *tty; /* "pts/0", "?" */
	char *command;
};

struct isolation_top {
	struct list processes; /* struct process_info */
};

extern const struct record process_exit_record;
extern const struct record isolation_stats_record;
extern const struct record isolation_top_record;
extern const struct record process_info_record;

/*
 * The answer to one request, called exactly once, perhaps before the request returns;
 * replies still outstanding at delete are dropped. failure is
 * NULL on success; answer is what the request documents, borrowed for the call.
 */
typedef void isolation_reply(void *ctx, const struct err *failure, const void *answer);

/* What happens to a workload, told from the loop (or from within start and exec). */
struct isolation_events {
	/* A process ended; for process 0 nothing of the workload runs any more. All that it wrote
	 * is in its streams by then. Not told for a process that never started. */
	void (*exited)(void *ctx, const struct process_exit *end);
	/* A line of the isolation's own (guest kernel messages), without its newline. */
	void (*message)(void *ctx, const char *line);
};

struct isolation_config {
	const struct plan *plan; /* borrowed until delete */
	int state_fd; /* the workload's run folder: sockets, pid files; borrowed until delete */
	const char *state_path; /* the same as a path, for programs that take only paths */
	int layers_fd; /* the folder in which layers are mounted, shared by all workloads of the
			  store */
	struct loop *loop;
	const struct isolation_events *events;
	void *ctx; /* of events */
};

struct isolation; /* one workload */

/* A file system in a file, to be shown inside a workload that runs. Borrowed. */
struct isolation_disk {
	int fd; /* the file, a regular one of whole sectors; -1: what is shown at target goes */
	const char *target; /* absolute, inside the workload; made when missing */
	bool readonly;
};

/* A further network interface of a workload that runs. Borrowed. */
struct isolation_interface {
	const char *name; /* inside: "eth1" */
	const char *tap; /* its end on the host; NULL: the interface goes */
	const char *address, *mac; /* "10.214.0.3/16", "02:…" */
	uint32_t mtu; /* 0: the kernel's choice */
};

struct isolation_ops {
	const char *name; /* "container", "vm" */

	/*
	 * Makes the box: namespaces, cgroups, root; or a machine, powered on. The workload's
	 * process does not run yet. On failure nothing is left.
	 */
	int (*create)(const struct isolation_config *config, struct isolation **ret,
		      struct err *err);

	/* The network namespace to be furnished between create and start, and later as long as it
	 * runs; an owned descriptor; -1 when it has none of its own to show. */
	int (*netns)(struct isolation *iso);

	/*
	 * Runs the plan's process. The reply has no answer; failure ENOENT and EACCES about the
	 * program itself are told by err code (the caller's 127 and 126). After a failure, `exited`
	 * does not come and only delete may follow.
	 */
	void (*start)(struct isolation *iso, const struct process_io *io, isolation_reply *reply,
		      void *ctx);

	/* Runs one more process, known as `process` (not 0, not in use). Replies as start does. */
	void (*exec)(struct isolation *iso, uint32_t process, const struct plan_process *what,
		     const struct process_io *io, isolation_reply *reply, void *ctx);

	/* After start or exec of a process with tty succeeded, once: the stream of its terminal
	 * (read output, write input), owned by the caller. */
	int (*console)(struct isolation *iso, uint32_t process, struct err *err);

	int (*resize)(struct isolation *iso, uint32_t process, uint32_t rows, uint32_t cols,
		      struct err *err);

	/* process 0: the workload's first process; with all: every process of the workload. */
	int (*signal)(struct isolation *iso, uint32_t process, int sig, bool all, struct err *err);

	/* Freezes or thaws every process; no answer. */
	void (*pause)(struct isolation *iso, bool paused, isolation_reply *reply, void *ctx);

	/* Changes the limits that are not zero; no answer. */
	void (*update)(struct isolation *iso, const struct plan_limits *limits,
		       isolation_reply *reply, void *ctx);

	/* Shows a disk or takes one away; no answer. Where the kernel is the host's own it would be
	 * the one to read the file's file system, which comes from anywhere: ENOTSUP. */
	void (*disk)(struct isolation *iso, const struct isolation_disk *disk,
		     isolation_reply *reply, void *ctx);

	/* Sets an interface up inside, or takes one away; no answer. NULL: its network namespace
	 * can be furnished from outside, which is netns'. */
	void (*interface)(struct isolation *iso, const struct isolation_interface *what,
			  isolation_reply *reply, void *ctx);

	/* Answers with a struct isolation_stats. */
	void (*stats)(struct isolation *iso, isolation_reply *reply, void *ctx);

	/* Answers with a struct isolation_top. */
	void (*top)(struct isolation *iso, isolation_reply *reply, void *ctx);

	/* Answers with a struct machine_report (proto/report.h). NULL: there is no machine. */
	void (*report)(struct isolation *iso, isolation_reply *reply, void *ctx);

	/* The host's pid of the workload's first process (machine: of its monitor), 0 when there is
	 * none; for inspect and repair. */
	pid_t (*pid)(struct isolation *iso);

	/* Ends everything and removes every trace of it on the host; frees iso. NULL is fine. */
	void (*delete)(struct isolation *iso);

	/* What a keeper that died left of workload `id` (its run folder is state_fd): processes,
	 * cgroups, mounts. Ends and removes all. */
	int (*repair)(const char *id, int state_fd, struct err *err);
};
