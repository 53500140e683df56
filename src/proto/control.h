/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What is said between a command and a workload's keeper, over the socket `ctl` in the workload's
 * run folder (SOCK_SEQPACKET, mode 0600, the peer's uid checked). One packet is one record: the
 * command sends control_request records, the keeper answers each with control_reply records that
 * carry its number. Descriptors travel beside the packet (SCM_RIGHTS).
 *
 * Files that a keeper leaves in the run folder, each replaced whole: `keeper` (its struct proc_id
 * as text, written before anything is made), `status` (a keeper_status record, after each change).
 * The plan and the keeper's own orders stand in the workload's folder as `plan` and `orders` (plan
 * and keeper_orders records), written before the keeper starts.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "proto/isolation.h"
#include "proto/plan.h"
#include "proto/report.h"

/* Largest packet. A plan_process with its seccomp program fits; a larger request is refused by its
 * sender. */
enum { CONTROL_PACKET_MAX = 192 * 1024 };

enum control_verb {
	CONTROL_ATTACH = 1, /* fds: stdin, stdout, stderr (or one stream, with a terminal); absent
			       ones as in `streams` */
	CONTROL_EXEC, /* the same, of a new process; replies twice: started, then exited (unless
			 detached) */
	CONTROL_RESIZE, /* process, rows, cols */
	CONTROL_SIGNAL, /* process, signal, all */
	CONTROL_STOP, /* signal (0: the workload's own), then SIGKILL after timeout_ms; no restart
			 follows. Replies when it is gone */
	CONTROL_WAIT, /* replies with `exit` when process 0 has ended (for good: no restart follows)
		       */
	CONTROL_PAUSE,
	CONTROL_RESUME,
	CONTROL_UPDATE, /* limits */
	CONTROL_STATS,
	CONTROL_TOP,
	CONTROL_REPORT, /* of a machine */
	CONTROL_DISK, /* target, readonly; fd: the file (streams: STREAM_IN); absent: the disk
			 goes */
	CONTROL_NETWORK, /* target: the interface, "eth1"; address: it comes, NULL: it goes */
};

/* Bits of `streams`: which descriptors came with the packet, in this order. */
enum {
	STREAM_IN = 1,
	STREAM_OUT = 2,
	STREAM_ERR = 4,
	STREAM_TTY = 8 /* one descriptor for both ways */
};

struct control_request {
	uint32_t verb; /* enum control_verb */
	uint32_t number; /* chosen by the command, returned in each reply */
	uint32_t streams;
	uint32_t process; /* of CONTROL_EXEC's reply, for RESIZE and SIGNAL */
	uint32_t signal;
	bool all;
	bool detach; /* EXEC: nobody waits for its end */
	bool foreground; /* ATTACH: closing of the reader's end closes the workload's stream, as a
			    pipe does */
	uint32_t rows, cols;
	uint64_t timeout_ms;
	struct plan_process exec;
	struct plan_limits limits;
	char *target;
	bool readonly;
	char *address; /* without prefix */
};

struct control_reply {
	uint32_t number;
	uint32_t code; /* 0, or the positive errno of a failure */
	char *message; /* of a failure */
	uint32_t process; /* EXEC: what the new process is known as */
	bool ended; /* `exit` is filled */
	struct process_exit exit;
	struct isolation_stats stats;
	struct isolation_top top;
	struct machine_report report;
};

enum keeper_state {
	KEEPER_CREATED = 1, /* made; waits for the engine's word */
	KEEPER_STARTING,
	KEEPER_RUNNING,
	KEEPER_PAUSED,
	KEEPER_RESTARTING, /* waits to start again */
	KEEPER_EXITED, /* for good; the keeper itself is about to end */
	KEEPER_FAILED, /* never ran: `exit.reason` and `code` say why */
};

struct keeper_status {
	uint32_t state; /* enum keeper_state */
	uint32_t code; /* KEEPER_FAILED: positive errno */
	uint32_t pid; /* on the host, of process 0 */
	uint64_t started_ns, finished_ns; /* CLOCK_REALTIME; 0: not yet */
	uint32_t restarts;
	struct process_exit exit; /* the last one */
	struct strv ports; /* bound: "127.0.0.1:8080->80/tcp" */
	struct strv interfaces; /* beside the first: "eth1 10.214.0.3" */
};

enum restart_policy { RESTART_NO, RESTART_ON_FAILURE, RESTART_ALWAYS, RESTART_UNLESS_STOPPED };

/* A published port, already bound by the keeper when it serves. */
struct keeper_port {
	char *host_ip; /* NULL: all addresses */
	uint32_t host_port, port; /* host_port 0: the kernel's choice */
	bool udp;
};

/* The network a workload is on, for the keeper that attaches it at each start. */
struct keeper_network {
	char *name, *bridge,
		*subnet; /* "bridge", "hull0", "10.214.0.0/16"; name NULL: no attachment */
	char *address; /* without prefix */
};

struct keeper_orders {
	bool vm;
	bool open_stdin; /* -i: the workload's stdin is a pipe that stays open while nobody is
			    attached */
	bool stdin_once; /* closes with the first attached client's end */
	uint32_t stop_signal;
	uint64_t stop_timeout_ms;
	uint32_t restart; /* enum restart_policy */
	uint32_t restart_max;
	uint64_t log_max; /* bytes of one log file; 0: no log */
	uint32_t log_files; /* how many are kept */
	struct keeper_network network;
	struct list ports; /* struct keeper_port */
};

extern const struct record control_request_record;
extern const struct record control_reply_record;
extern const struct record keeper_status_record;
extern const struct record keeper_orders_record;
extern const struct record keeper_port_record;
