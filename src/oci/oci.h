/* SPDX-License-Identifier: Apache-2.0 */
/*
 * hull-oci: the OCI runtime's command line over container/. A container is a folder ROOT/ID with
 * one file `state`, made whole or not at all; whoever changes something holds the folder's lock.
 * What runs is judged from /proc and the cgroups at every call.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/attr.h"
#include "base/str.h"
#include "container/container.h"
#include "proto/plan.h"

struct err;
struct systemd;

/* The options of all commands; each command's table says which it takes. */
struct oci_options {
	const char *bundle, *pid_file, *console_socket, *process, *format, *resources;
	const char *cwd, *user, *apparmor, *label, *cgroup, *additional_gids;
	const char *memory, *memory_swap, *memory_reservation, *cpu_quota, *cpu_period, *cpu_share;
	const char *cpuset_cpus, *cpuset_mems, *pids_limit, *blkio_weight, *interval;
	const char *preserve_fds, *ignored;
	const char *image_path, *work_path, *parent_path, *cgroups_mode, *empty_ns, *status_fd;
	const char *page_server, *lsm_profile, *lsm_mount_context;
	struct strv env, cap;
	bool detach, tty, force, all, quiet, stats, keep, no_new_privs, ignore_paused, rootless;
	bool leave_running, pre_dump, tcp_established, tcp_close, ext_unix_sk, shell_job;
	bool lazy_pages, file_locks, auto_dedup, link_remap, no_new_keyring;
	bool ignored_flag, help;
};

/* One call of the program. */
struct oci {
	const char *root; /* the state folder */
	int root_fd; /* open, made when missing */
	const char *log; /* NULL: none */
	bool log_json, debug, systemd_cgroup;
	bool no_cgroup; /* containers are made without cgroups of their own */
	struct oci_options options;
	char **words; /* what stands behind the options, NULL-terminated */
	size_t n_words;
	struct container_caller caller; /* says warnings; describes `plan`'s container */
	struct systemd *systemd; /* opened by who first needs it (scope.h) */
};

enum oci_option_kind { OCI_FLAG, OCI_VALUE, OCI_LIST };

struct oci_option {
	const char *name;
	char letter; /* 0: none */
	enum oci_option_kind kind;
	size_t offset; /* in struct oci_options */
	const char *help;
};

struct oci_command {
	const char *name, *words, *help; /* words: what follows the options, for people */
	size_t min, max; /* how many words */
	const struct oci_option *options; /* up to one without a name */
	/* Carries it out. Returns the exit status; on failure of its own a negative errno. */
	int (*run)(struct oci *oci, struct err *err);
	/* Whether this host can do it: what the exit status of its --help says. NULL: all can. */
	int (*able)(struct err *err);
};

/* All commands, up to one without a name. */
extern const struct oci_command oci_commands[];

/* Reads argv behind the command's name into oci->options and words. */
int oci_args(struct oci *oci, const struct oci_command *command, char **argv, size_t n,
	     struct err *err) HULL_MUST_CHECK;

/* A warning or an error to standard error, and to --log. */
void oci_log(const struct oci *oci, const char *level, const char *text);

/* How many descriptors from 3 on the program gets: --preserve-fds and LISTEN_FDS, checked to be
 * open. */
int oci_preserved(const struct oci *oci, unsigned *ret, struct err *err) HULL_MUST_CHECK;

/* --- what is on record --- */

struct oci_state {
	char *id, *bundle;
	char *process; /* proc_id_format() of the first process; "": not there yet */
	uint64_t created_ns; /* since the epoch */
	struct plan plan;
	char *unit, *slice; /* systemd's scope and where it is; NULL: cgroups of our own making */
};
extern const struct record oci_state_record;

enum oci_status { OCI_CREATING, OCI_CREATED, OCI_RUNNING, OCI_PAUSED, OCI_STOPPED };

/* Makes the folder of a new container, locked; the caller closes. EEXIST when the id is in use. */
int oci_folder_new(const struct oci *oci, const char *id, struct err *err) HULL_MUST_CHECK;

/* The folder of a container that is on record; with lock: held until closed. */
int oci_folder(const struct oci *oci, const char *id, bool lock, struct err *err) HULL_MUST_CHECK;

/* Removes the folder and all in it. */
int oci_folder_remove(const struct oci *oci, const char *id, struct err *err) HULL_MUST_CHECK;

/* Writes and reads the state file. The caller releases *ret with oci_state_record. */
int oci_state_write(int folder, const struct oci_state *state, struct err *err) HULL_MUST_CHECK;
int oci_state_read(int folder, const char *id, struct oci_state *ret, struct err *err)
	HULL_MUST_CHECK;

/* oci_folder() and oci_state_read() in one, for words[0]; returns the folder. */
int oci_open(const struct oci *oci, bool lock, struct oci_state *ret, struct err *err)
	HULL_MUST_CHECK;

/* What it does now, and (may be NULL) its first process's pid, 0 when it does not run. */
enum oci_status oci_status_of(const struct oci_state *state, int folder, pid_t *ret_pid);
const char *oci_status_name(enum oci_status status);

/* Its first process's pid, 0 when it does not run. */
pid_t oci_first(const struct oci_state *state);

/* A pidfd of its first process; ESRCH "container not running" when it has none. */
int oci_pidfd(const struct oci_state *state, struct err *err) HULL_MUST_CHECK;

/* Appends the runtime-spec's state, as member `key`. */
struct json_out;
void oci_state_json(const struct oci_state *state, const char *key, const char *status, pid_t pid,
		    struct json_out *out);

/* Makes oci->caller describe this container (borrowed). */
void oci_describe(struct oci *oci, const struct oci_state *state);

/* --- steps that several commands share --- */

/* Ends it and removes every trace; poststop hooks run. */
int oci_remove(struct oci *oci, const struct oci_state *state, struct err *err) HULL_MUST_CHECK;

/* How the processes of a container come to be: started, or brought back of an image. `holder` keeps
 * its scope meanwhile, if it has one; *ret_master is its terminal, for the caller, or stays -1. */
typedef int oci_bring_fn(struct oci *oci, struct oci_state *state, int folder, pid_t holder,
			 int *ret_master, struct err *err);

/*
 * Makes the container of words[0] out of the bundle of --bundle (or the working folder): its
 * folder, its state, its scope, and by `bring` its processes. The caller releases the state and
 * closes the locked folder and the terminal. On failure nothing is left, and what another
 * container has is not touched.
 */
int oci_make(struct oci *oci, oci_bring_fn *bring, struct oci_state *ret, int *ret_folder,
	     int *ret_master, struct err *err) HULL_MUST_CHECK;

/* On record before anything is made: so delete finds its cgroups, whatever becomes of the state. */
int oci_record_place(const struct oci_state *state, int folder, struct err *err) HULL_MUST_CHECK;

/* Writes who the first process is, for the caller and for the next commands. */
int oci_record_process(const struct oci *oci, struct oci_state *state, int folder, pid_t pid,
		       struct err *err) HULL_MUST_CHECK;

/* The rest of a command that started a container (r: how that went): detached, it ends; else it
 * waits, and removes it unless --keep says not to. Takes folder and master. Returns its status. */
int oci_attend(struct oci *oci, const struct oci_state *state, int folder, int master, int r,
	       struct err *err) HULL_MUST_CHECK;

/* Sends a terminal's master to the listener of --console-socket. */
int oci_send_console(const char *path, int master, struct err *err) HULL_MUST_CHECK;

/* Writes a pid and nothing else to --pid-file, when there is one. */
int oci_put_pid(const struct oci *oci, pid_t pid, struct err *err) HULL_MUST_CHECK;

/* Waits for a child in the foreground: hands signals on, and a terminal's bytes (given: its
 * master, taken, or -1). Returns its status as a shell counts. */
int oci_follow(pid_t pid, int given, struct err *err) HULL_MUST_CHECK;

/* The commands, each in the file of its name. */
int oci_create(struct oci *oci, struct err *err);
int oci_run(struct oci *oci, struct err *err);
int oci_start(struct oci *oci, struct err *err);
int oci_show_state(struct oci *oci, struct err *err);
int oci_kill(struct oci *oci, struct err *err);
int oci_delete(struct oci *oci, struct err *err);
int oci_exec(struct oci *oci, struct err *err);
int oci_list(struct oci *oci, struct err *err);
int oci_ps(struct oci *oci, struct err *err);
int oci_pause(struct oci *oci, struct err *err);
int oci_resume(struct oci *oci, struct err *err);
int oci_update(struct oci *oci, struct err *err);
int oci_events(struct oci *oci, struct err *err);
int oci_spec(struct oci *oci, struct err *err);
int oci_features(struct oci *oci, struct err *err);
int oci_checkpoint(struct oci *oci, struct err *err);
int oci_restore(struct oci *oci, struct err *err);
