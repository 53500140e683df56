/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The program `criu` as it serves one caller over a socket ("criu swrk"): its messages are protocol
 * buffers (criu's rpc.proto), of which only numbers, texts and pairs are needed here.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/attr.h"
#include "base/buf.h"

struct err;

enum criu_request { CRIU_DUMP = 1, CRIU_RESTORE = 2, CRIU_CHECK = 3, CRIU_PRE_DUMP = 4 };

/* Members of criu_opts that are used here. */
enum criu_option {
	CRIU_IMAGES_FD = 1,
	CRIU_PID = 2,
	CRIU_LEAVE_RUNNING = 3,
	CRIU_EXT_UNIX_SK = 4,
	CRIU_TCP_ESTABLISHED = 5,
	CRIU_SHELL_JOB = 7,
	CRIU_FILE_LOCKS = 8,
	CRIU_LOG_LEVEL = 9,
	CRIU_LOG_FILE = 10,
	CRIU_NOTIFY = 12,
	CRIU_ROOT = 13,
	CRIU_PARENT_IMAGE = 14,
	CRIU_TRACK_MEMORY = 15,
	CRIU_AUTO_DEDUP = 16,
	CRIU_WORK_FD = 17,
	CRIU_LINK_REMAP = 18,
	CRIU_EXT_MOUNT = 23,
	CRIU_MANAGE_CGROUPS = 24,
	CRIU_CGROUP_ROOT = 25,
	CRIU_SIBLING = 26,
	CRIU_INHERIT_FD = 27,
	CRIU_CGROUPS_MODE = 34,
	CRIU_EXTERNAL = 37,
	CRIU_EMPTY_NS = 38,
	CRIU_JOIN_NS = 39,
	CRIU_FREEZE_CGROUP = 44,
	CRIU_STATUS_FD = 49,
	CRIU_ORPHAN_MASTER = 50,
	CRIU_TCP_CLOSE = 52,
	CRIU_LSM_PROFILE = 53,
	CRIU_LSM_MOUNT_CONTEXT = 63,
};

/* Append one member to an encoded message; a pair is a message of its members 1 and 2. */
void criu_number(struct buf *to, unsigned member, uint64_t value);
void criu_text(struct buf *to, unsigned member, const char *text);
void criu_text_pair(struct buf *to, unsigned member, const char *first, const char *second);
void criu_fd_pair(struct buf *to, unsigned member, const char *key, int fd);

/* CRIU_CGROUP_ROOT for every hierarchy. */
void criu_cgroup_root(struct buf *to, const char *path);

struct criu_call {
	enum criu_request request;
	const struct buf *opts; /* encoded criu_opts; borrowed */
	int work; /* the folder in which criu writes `log` */
	const char *log;
	const int *keep; /* descriptors that criu gets under their numbers */
	size_t n_keep;
	/* In the process that becomes criu, before that; NULL: nothing. */
	int (*prepare)(void *ctx, struct err *err);
	/* What criu tells on its way, the pid it tells of (or 0), and a descriptor (borrowed) or
	 * -1. A failure ends its work. NULL: nothing is listened to. */
	int (*notify)(void *ctx, const char *what, pid_t pid, int fd, struct err *err);
	void *ctx;
};

/* Has criu do it. Returns the pid of the restored process, a child of the caller, and 0 for other
 * requests. A failure has criu's own last line of error. */
pid_t criu_run(const struct criu_call *call, struct err *err) HULL_MUST_CHECK;
