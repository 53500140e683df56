/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The plan: a workload after every decision was taken. Plain structs, resolved numbers, a compiled
 * seccomp program; nothing in it is parsed again. The engine makes it, `container/` carries it out,
 * on the host or inside a machine. All members are owned by the plan: release with plan_done().
 * Zero means "not asked for" everywhere.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/str.h"
#include "proto/plan_limits.h"
#include "proto/record.h"

struct plan_rlimit {
	uint32_t resource; /* RLIMIT_* */
	uint64_t soft, hard;
};

/* sched_setattr(2), ioprio_set(2) and sched_setaffinity(2) of a process. */
struct plan_schedule {
	bool set; /* the scheduler is asked for */
	uint32_t policy; /* SCHED_* */
	int32_t nice;
	uint32_t priority;
	uint64_t flags; /* SCHED_FLAG_* */
	uint64_t runtime, deadline, period; /* ns */
	bool has_ioprio;
	uint32_t ioprio; /* class << 13 | level */
	char *cpus_initial; /* a list as of cpuset ("0-3,7"), while the process is joined (exec) */
	char *cpus_final; /* the same, for the program */
};

/* One process to start: the workload's first, or one by exec. */
struct plan_process {
	struct strv
		args; /* at least one; args[0] is looked up in env's PATH when it holds no slash */
	struct strv env;
	char *cwd; /* absolute; made when missing; NULL: / */
	char *user; /* "name|uid[:name|gid]", looked up in the workload's own passwd and group;
		       NULL: 0:0 */
	struct strv groups; /* further groups, by name or number */
	bool has_umask;
	uint32_t umask;
	bool tty;
	uint32_t rows, cols; /* first size of the terminal */
	bool no_new_privs;
	uint64_t cap_bounding, cap_effective, cap_permitted, cap_inheritable,
		cap_ambient; /* bit n: capability n */
	struct list rlimits; /* struct plan_rlimit */
	bool has_oom_score_adj;
	uint32_t oom_score_adj; /* as int32_t */
	struct bytes seccomp; /* struct sock_filter[], loaded last; empty: none */
	uint32_t seccomp_flags; /* SECCOMP_FILTER_FLAG_* */
	bool has_ids; /* uid, gid and the numbers in groups are exact; passwd and group are not
			 asked (but for HOME); user is not set */
	uint32_t uid, gid;
	char *apparmor; /* profile to change to at execve */
	char *selinux_label; /* the same */
	struct plan_schedule schedule;
	char *seccomp_listener; /* socket that gets the descriptor of SCMP_ACT_NOTIFY */
	char *seccomp_metadata; /* sent beside it */
	bool detached; /* outlives its parent, and has its streams from it */
	bool keep_groups; /* further groups stay those of who starts it; `groups` are passed over */
	char *builtin; /* instead of execve: "archive-out" (tar of args[0] to stdout), "archive-in"
			  (tar from stdin below args[0]) */
};

/* A run of ids: `size` ids from `inside` on are those from `outside` on in the parent. */
struct plan_idmap {
	uint32_t inside, outside, size;
};

struct plan_mount {
	char *source; /* bind: a host path (machine: rewritten to the path under its share); else
			 the source's name */
	char *target; /* absolute, inside the workload; made when missing */
	char *type; /* file system type; NULL or "bind": a bind mount */
	uint64_t flags; /* MS_* of mount(2), MS_REC for rbind; without propagation flags */
	uint64_t propagation; /* MS_PRIVATE, MS_SHARED, MS_SLAVE (with MS_REC), 0: private */
	char *data; /* file system options, comma-separated */
	bool copy_up; /* tmpfs: starts with what the image has at target */
	bool make_source; /* bind: make the missing host folder (docker's -v) */
	bool source_real; /* bind: source was judged, and has no links in it: none is followed */
	uint64_t attr_clear; /* MOUNT_ATTR_* named by their opposite ("rw", "exec"): a bind loses
				them */
	uint64_t rec_set, rec_clear; /* MOUNT_ATTR_* for the whole tree ("rro", "rexec") */
	bool idmap, idmap_recursive; /* by the maps below, or the workload's own when they are
					empty */
	struct list uid_maps, gid_maps; /* struct plan_idmap */
	bool copy_symlink; /* a source that is a link is made as a link, not mounted */
	bool source_nofollow, target_nofollow; /* a link there is itself what is mounted, or mounted
						  on */
};

/* A small file put over a path of the workload (hosts, resolv.conf, hostname): lives on a private
 * tmpfs. */
struct plan_file {
	char *path;
	uint32_t mode;
	struct bytes content;
};

/* A device node in the workload's /dev, with what its cgroup may do. */
struct plan_device {
	char *path; /* in the workload; NULL: a rule without a node */
	uint32_t type; /* 'c', 'b'; 'p' (a node only: no rule); 'a' for all (a rule only) */
	uint32_t major, minor; /* UINT32_MAX: any (a rule only) */
	uint32_t mode, uid, gid;
	bool deny;
	char *access; /* of "rwm"; NULL: all; "": no rule, a node alone */
};

struct plan_root {
	struct strv layers; /* EROFS files, lowest first (host paths; machine: replaced inside by
			       its partitions) */
	struct strv lower; /* folders to be overlaid, lowest first: the mounted layers, filled in by
			      who mounts them */
	char *path; /* a ready root folder instead of layers */
	char *upper, *work; /* overlay's writable folders; NULL: a private tmpfs */
	bool readonly;
	bool is_volatile; /* upper is thrown away: never synced */
	uint64_t size_max; /* of the writable part in bytes */
};

struct plan_join {
	uint32_t type; /* CLONE_NEW* */
	char *path; /* /proc/PID/ns/… or a bind of it */
};

/* A program run at a point of a workload's life (runtime-spec "POSIX-platform Hooks"). */
struct plan_hook {
	uint32_t point; /* enum plan_hook_point */
	char *path; /* absolute */
	struct strv args, env;
	uint32_t timeout_s; /* 0: none */
};

/* Where each runs: the first two and the last two in the runtime's own namespaces. */
enum plan_hook_point {
	HOOK_PRESTART, /* namespaces and mounts are made, the root not yet changed */
	HOOK_CREATE_RUNTIME, /* after those */
	HOOK_CREATE_CONTAINER, /* after those, in the workload's namespaces */
	HOOK_START_CONTAINER, /* in the workload, before its program */
	HOOK_POSTSTART,
	HOOK_POSTSTOP,
};

/* The workload's own view of its network interface (set up inside by the agent; on the host by
 * network/). */
struct plan_net {
	uint32_t kind; /* enum plan_net_kind */
	char *address; /* "10.214.0.2/16" */
	char *gateway; /* "10.214.0.1" */
	char *mac; /* "02:…" */
	uint32_t mtu;
};

enum plan_net_kind { NET_NONE, NET_HOST, NET_BRIDGE, NET_JOIN };

/* Only for isolation by machine; the agent's copy of the plan has it empty. */
struct plan_machine {
	char *kernel; /* vmlinuz or vmlinux on the host */
	char *initramfs; /* host path */
	char *modules; /* EROFS of the kernel's /lib/modules; NULL: none */
	char *kernel_args; /* the user's, appended */
	uint64_t memory; /* bytes of guest memory: the workload's limit and the kernel's own need */
	uint32_t cpus; /* online when it has booted */
	char *disk; /* the writable ext4 image on the host */
	char *tap; /* name of the host interface; NULL: no network */
	uint32_t accel; /* enum plan_accel, from the probe */
	uint32_t max_cpus; /* what it is made with; fewer than cpus: as many as those */
	uint64_t memory_own; /* of `memory`, what the kernel needs for itself; 0: not known */
	uint64_t max_memory; /* what it may be given while it runs; less than memory: no more */
	uint32_t tap_queues; /* pairs of them that the tap was made for; 0: one */
};

/* The memory of a machine whose kernel needs `own` bytes and whose workload may take `workload`. */
uint64_t plan_machine_memory(uint64_t own, uint64_t workload);

enum { TAP_QUEUES_MAX = 4 };

enum plan_accel { ACCEL_TCG, ACCEL_KVM };

struct plan {
	char *id; /* 64 hex digits (or a caller's name under OCI) */
	char *hostname, *domainname;
	struct plan_process process;
	struct plan_root root;
	struct list mounts; /* struct plan_mount, in order, after the defaults */
	struct list files; /* struct plan_file */
	struct strv masked, read_only; /* paths of the workload */
	struct strv sysctl; /* "key=value", dotted */
	uint64_t namespaces; /* CLONE_NEW* to make */
	struct list joins; /* struct plan_join */
	struct plan_limits limits;
	char *cgroup; /* below each hierarchy's own root: "hull/ID/workload" */
	bool init; /* a reaper of hull's is PID 1 */
	bool privileged; /* no masks, all devices, cgroups writable */
	struct plan_net net;
	struct plan_machine machine;
	uint64_t shm_size; /* bytes of /dev/shm; 0: 64 MiB */
	bool as_specified; /* no mounts and device rules but the plan's own; /dev gets the nodes
			      and links that the runtime-spec promises */
	struct list uid_maps, gid_maps; /* struct plan_idmap, of CLONE_NEWUSER */
	struct list time_offsets; /* struct plan_time_offset, of CLONE_NEWTIME */
	uint64_t root_propagation; /* MS_SHARED … with MS_REC; 0: private */
	bool has_personality;
	uint64_t personality; /* personality(2) */
	char *mount_label; /* SELinux context of the file systems made */
	struct list hooks; /* struct plan_hook, in order */
	struct strv annotations; /* "key=value" */
	char *rdt_closid, *rdt_l3, *rdt_mb; /* resctrl: group ("": by the plan's id; NULL: no
					       resctrl), and schemata lines */
	bool rdt_monitor; /* counted by a group of its own */
	struct list net_devices; /* struct plan_text_pair: host interface -> name inside ("": the
				    same) */
	bool has_memory_policy;
	uint32_t memory_policy; /* MPOL_* with its flags */
	char *memory_nodes; /* "0-3,7" */
	char *keyring; /* the processes' session keyring; "": none is made; NULL: one for each */
	char *mount_context; /* which option mount_label is; NULL: "context" */
	char *hook_out, *hook_err; /* host files that what hooks write is appended to; NULL: none */
	char *pidfd_receiver; /* host socket that gets a pidfd of the first process */
};

struct plan_time_offset {
	uint32_t clock; /* CLOCK_MONOTONIC or CLOCK_BOOTTIME */
	int64_t seconds;
	uint32_t nanoseconds;
};

/* The namespace of this type that the plan joins, or NULL. */
const struct plan_join *plan_joined(const struct plan *plan, uint64_t type);

/* Table forms, for record_encode() and record_decode(). */
extern const struct record plan_record;
extern const struct record plan_process_record;
extern const struct record plan_limits_record;
extern const struct record plan_mount_record;
extern const struct record plan_file_record;
extern const struct record plan_device_record;
extern const struct record plan_rlimit_record;
extern const struct record plan_join_record;
extern const struct record plan_idmap_record;
extern const struct record plan_blkio_record;
extern const struct record plan_pair_record;
extern const struct record plan_text_pair_record;
extern const struct record plan_rdma_record;
extern const struct record plan_hook_record;
extern const struct record plan_time_offset_record;
