/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Making a plan out of what the user asked for and what the image says. Each part judges its own
 * options and fills its own members; texts of the user's are named in errors by their option.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/attr.h"
#include "engine/options.h"
#include "proto/control.h"
#include "proto/plan.h"

enum { NOTICE_MAX = 256 };

struct err;
struct image;
struct store;

struct build {
	const struct store *store; /* borrowed, like all below */
	const struct run_options *options;
	const struct image *image;
	const char *id;
	bool vm;
	struct plan *plan;
	struct keeper_orders *orders;
};

/* args, env, cwd, user of the first process. */
int build_process(const struct build *b, struct err *err) HULL_MUST_CHECK;

/* Adds the assignments of an --env-file: one a line, # comments; n bytes. */
int env_file_parse(const char *text, size_t n, const char *name, struct strv *env, struct err *err)
	HULL_MUST_CHECK;

/* Adds all of -e and --env-file, files first. */
int env_options(const struct strv *env, const struct strv *files, struct strv *to, struct err *err)
	HULL_MUST_CHECK;

/* -v, --tmpfs, --shm-size. */
int build_mounts(const struct build *b, struct err *err) HULL_MUST_CHECK;

/* Memory, cpu, pids … into *ret; total checks against this host. */
int limits_parse(const struct limit_options *o, struct plan_limits *ret, struct err *err)
	HULL_MUST_CHECK;

/* Whether those of the network, by l, can hold for the workload of the plan, whose network and
 * machine are known by now. */
int limits_check_network(const struct plan *plan, bool vm, const struct plan_limits *l,
			 struct err *err) HULL_MUST_CHECK;

/* --cap-add, --cap-drop, --security-opt, --ulimit, --sysctl, --device, --privileged, masked paths.
 */
int build_security(const struct build *b, struct err *err) HULL_MUST_CHECK;

/* Capabilities and no_new_privs of a process: `user` is as in plan_process. */
void process_privileges(struct plan_process *p, uint64_t caps);

/* --network, -p: namespaces, ports of the orders. The address comes later. */
int build_network(const struct build *b, struct err *err) HULL_MUST_CHECK;

/* /etc/hosts, resolv.conf, hostname, with the address that the orders hold by now. */
int build_files(const struct build *b, struct err *err) HULL_MUST_CHECK;

/* Kernel, memory and processors of a machine; *notice is what the user should know ("": nothing).
 */
int build_machine(const struct build *b, char notice[NOTICE_MAX], struct err *err) HULL_MUST_CHECK;

/* Restart policy, stop signal and timeout, log. */
int build_orders(const struct build *b, struct err *err) HULL_MUST_CHECK;

/* "no", "always", "unless-stopped", "on-failure[:N]". */
int restart_parse(const char *text, uint32_t *ret_policy, uint32_t *ret_max, struct err *err)
	HULL_MUST_CHECK;

/* Whether mounts hold one at exactly this path. */
bool has_mount_at(const struct plan *plan, const char *target);

/* strdup into *to, which must be NULL; s may be NULL. */
int set_str(char **to, const char *s, struct err *err) HULL_MUST_CHECK;
