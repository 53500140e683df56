/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a user asks for in `run`, `create`, `exec` and `update`: the command line fills these, the
 * engine judges them. Strings are borrowed from the command line; lists are owned by who fills
 * them. Texts with a grammar of their own (volumes, ports, ulimits …) come as written.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/str.h"

/* Said for numbers whose 0 would mean something. */
#define OPTION_UNSET UINT64_MAX

struct limit_options {
	uint64_t memory; /* bytes, 0: none; likewise below */
	const char *memory_swap; /* bytes, or "-1" */
	uint64_t memory_reservation;
	uint64_t nano_cpus;
	int64_t cpu_shares;
	const char *cpuset_cpus, *cpuset_mems;
	int64_t pids_limit; /* -1: no limit */
	int64_t blkio_weight;
	struct strv read_bps, write_bps, read_iops, write_iops; /* "/dev/sda:10m" */
	const char *network_ingress, *network_egress; /* bytes a second, "0": no limit */
};

struct run_options {
	const char *image;
	char **command; /* n_command strings, borrowed */
	size_t n_command;

	const char *pull; /* an enum image_pull_policy by its word; NULL: missing */
	const char *platform; /* see struct image_wanted */
	const char *name, *cidfile, *isolation, *kernel, *kernel_args;
	int64_t max_cpus; /* of a machine; 0: not asked for */
	uint64_t max_memory; /* bytes; the same */
	bool vm;
	bool interactive, tty, detach, auto_remove;
	bool init, privileged, read_only;
	const char *detach_keys;
	bool no_sig_proxy;

	struct strv env, env_files, groups;
	const char *workdir, *user, *entrypoint, *hostname, *domainname;
	struct strv labels;

	struct strv volumes, tmpfs;
	uint64_t shm_size;

	struct limit_options limits;
	struct strv ulimits, cap_add, cap_drop, security_opts, sysctl, devices;
	int64_t oom_score_adj;

	const char *network;
	struct strv publish, expose, add_host, dns, dns_search;
	bool publish_all;

	const char *restart;
	int stop_signal; /* 0: the image's */
	uint64_t stop_timeout_ms; /* OPTION_UNSET: 10 s */
	uint64_t log_max; /* OPTION_UNSET: 10 MiB */
};

#define RUN_OPTIONS_INIT                                                                           \
	((struct run_options){.stop_timeout_ms = OPTION_UNSET,                                     \
			      .log_max = OPTION_UNSET,                                             \
			      .oom_score_adj = 0})

struct update_options {
	struct limit_options limits;
	const char *restart;
	struct strv disk_add, disk_rm; /* "FILE:PATH[:ro]", "PATH" */
	struct strv network_add, network_rm; /* "bridge", "eth1" */
};

struct exec_options {
	char **command; /* n_command strings, borrowed */
	size_t n_command;
	bool interactive, tty, detach, privileged;
	struct strv env, env_files;
	const char *workdir, *user, *detach_keys;
};
