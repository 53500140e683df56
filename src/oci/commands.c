/* SPDX-License-Identifier: Apache-2.0 */
/* The commands of hull-oci and what each takes (CONTRACT: what runc's and crun's callers pass). */
#include "oci/image.h"
#include "oci/oci.h"

#define AT(member) offsetof(struct oci_options, member)

#define MAKE_OPTIONS                                                                               \
	{"bundle", 'b', OCI_VALUE, AT(bundle), "folder of config.json; default: here"},            \
		{"pid-file", 0, OCI_VALUE, AT(pid_file), "gets the pid of the first process"},     \
		{"console-socket", 0, OCI_VALUE, AT(console_socket), "gets the terminal"},         \
		{"preserve-fds", 0, OCI_VALUE, AT(preserve_fds), "descriptors from 3 on to keep"}, \
		{"no-pivot", 0, OCI_FLAG, AT(ignored_flag), "accepted; the root is pivoted"},      \
		{"no-new-keyring", 0, OCI_FLAG, AT(no_new_keyring),                                \
		 "keep the caller's session keyring"},                                             \
		{"pidfd-socket", 0, OCI_VALUE, AT(ignored), "accepted"},

static const struct oci_option create_options[] = {MAKE_OPTIONS{0}};

static const struct oci_option run_options[] = {
	MAKE_OPTIONS{"detach", 'd', OCI_FLAG, AT(detach), "do not wait for its end"},
	{"keep", 0, OCI_FLAG, AT(keep), "do not delete it after its end"},
	{"no-subreaper", 0, OCI_FLAG, AT(ignored_flag), "accepted"},
	{0},
};

static const struct oci_option kill_options[] = {
	{"all", 'a', OCI_FLAG, AT(all), "every process of the container"},
	{0},
};

static const struct oci_option delete_options[] = {
	{"force", 'f', OCI_FLAG, AT(force), "end what runs; an unknown id is fine"},
	{0},
};

static const struct oci_option exec_options[] = {
	{"process", 'p', OCI_VALUE, AT(process), "file with the process object"},
	{"pid-file", 0, OCI_VALUE, AT(pid_file), "gets the pid of the process"},
	{"console-socket", 0, OCI_VALUE, AT(console_socket), "gets the terminal"},
	{"preserve-fds", 0, OCI_VALUE, AT(preserve_fds), "descriptors from 3 on to keep"},
	{"detach", 'd', OCI_FLAG, AT(detach), "do not wait for its end"},
	{"tty", 't', OCI_FLAG, AT(tty), "with a terminal"},
	{"cwd", 0, OCI_VALUE, AT(cwd), "working folder"},
	{"env", 'e', OCI_LIST, AT(env), "KEY=VALUE, on top of the container's"},
	{"user", 'u', OCI_VALUE, AT(user), "UID[:GID]"},
	{"additional-gids", 'g', OCI_VALUE, AT(additional_gids), "further groups"},
	{"cap", 'c', OCI_LIST, AT(cap), "a capability more"},
	{"apparmor", 0, OCI_VALUE, AT(apparmor), "profile"},
	{"process-label", 0, OCI_VALUE, AT(label), "SELinux label"},
	{"cgroup", 0, OCI_VALUE, AT(cgroup), "below the container's own"},
	{"no-new-privs", 0, OCI_FLAG, AT(no_new_privs), "no new privileges by execve"},
	{"ignore-paused", 0, OCI_FLAG, AT(ignore_paused), "also in a paused container"},
	{"no-subreaper", 0, OCI_FLAG, AT(ignored_flag), "accepted"},
	{0},
};

static const struct oci_option list_options[] = {
	{"format", 'f', OCI_VALUE, AT(format), "table (default) or json"},
	{"quiet", 'q', OCI_FLAG, AT(quiet), "ids alone"},
	{0},
};

static const struct oci_option update_options[] = {
	{"resources", 'r', OCI_VALUE, AT(resources), "file with the resources object, - for input"},
	{"memory", 0, OCI_VALUE, AT(memory), "bytes"},
	{"memory-swap", 0, OCI_VALUE, AT(memory_swap), "bytes of memory and swap; -1: no limit"},
	{"memory-reservation", 0, OCI_VALUE, AT(memory_reservation), "bytes"},
	{"cpu-quota", 0, OCI_VALUE, AT(cpu_quota), "microseconds in a period"},
	{"cpu-period", 0, OCI_VALUE, AT(cpu_period), "microseconds"},
	{"cpu-share", 0, OCI_VALUE, AT(cpu_share), "2 to 262144"},
	{"cpuset-cpus", 0, OCI_VALUE, AT(cpuset_cpus), "a list, 0-3,7"},
	{"cpuset-mems", 0, OCI_VALUE, AT(cpuset_mems), "a list"},
	{"pids-limit", 0, OCI_VALUE, AT(pids_limit), "-1: no limit"},
	{"blkio-weight", 0, OCI_VALUE, AT(blkio_weight), "10 to 1000"},
	{0},
};

static const struct oci_option events_options[] = {
	{"stats", 0, OCI_FLAG, AT(stats), "once"},
	{"interval", 0, OCI_VALUE, AT(interval), "between two; default 5s"},
	{0},
};

static const struct oci_option spec_options[] = {
	{"bundle", 'b', OCI_VALUE, AT(bundle), "where to write config.json"},
	{"rootless", 0, OCI_FLAG, AT(rootless), "for an unprivileged user"},
	{0},
};

#define IMAGE_OPTIONS                                                                              \
	{"image-path", 0, OCI_VALUE, AT(image_path),                                               \
	 "folder of the image; default: ./checkpoint"},                                            \
		{"work-path", 0, OCI_VALUE, AT(work_path),                                         \
		 "folder of criu's log; default: the image's"},                                    \
		{"tcp-established", 0, OCI_FLAG, AT(tcp_established), "open TCP connections too"}, \
		{"ext-unix-sk", 0, OCI_FLAG, AT(ext_unix_sk),                                      \
		 "unix sockets with ends outside too"},                                            \
		{"shell-job", 0, OCI_FLAG, AT(shell_job), "terminals of the outside too"},         \
		{"file-locks", 0, OCI_FLAG, AT(file_locks), "file locks too"},                     \
		{"link-remap", 0, OCI_FLAG, AT(link_remap), "open files without a name too"},      \
		{"manage-cgroups-mode", 0, OCI_VALUE, AT(cgroups_mode),                            \
		 "soft (default), full, strict or ignore"},                                        \
		{"empty-ns", 0, OCI_VALUE, AT(empty_ns), "network: made anew, filled by hooks"},   \
		{"auto-dedup", 0, OCI_FLAG, AT(auto_dedup), "keep no page of an image twice"},     \
		{"lazy-pages", 0, OCI_FLAG, AT(lazy_pages), "refused"},                            \
		{"status-fd", 0, OCI_VALUE, AT(status_fd),                                         \
		 "descriptor that is told when criu is ready"},

static const struct oci_option checkpoint_options[] = {
	IMAGE_OPTIONS{"parent-path", 0, OCI_VALUE, AT(parent_path),
		      "earlier --pre-dump, relative to the image"},
	{"pre-dump", 0, OCI_FLAG, AT(pre_dump), "memory alone; it runs on"},
	{"leave-running", 0, OCI_FLAG, AT(leave_running), "it runs on"},
	{"page-server", 0, OCI_VALUE, AT(page_server), "refused"},
	{0},
};

static const struct oci_option restore_options[] = {
	IMAGE_OPTIONS{"bundle", 'b', OCI_VALUE, AT(bundle), "folder of config.json; default: here"},
	{"pid-file", 0, OCI_VALUE, AT(pid_file), "gets the pid of the first process"},
	{"console-socket", 0, OCI_VALUE, AT(console_socket), "gets the terminal"},
	{"detach", 'd', OCI_FLAG, AT(detach), "do not wait for its end"},
	{"keep", 0, OCI_FLAG, AT(keep), "do not delete it after its end"},
	{"tcp-close", 0, OCI_FLAG, AT(tcp_close), "TCP connections come back closed"},
	{"lsm-profile", 0, OCI_VALUE, AT(lsm_profile), "TYPE:NAME instead of the image's"},
	{"lsm-mount-context", 0, OCI_VALUE, AT(lsm_mount_context), "instead of the image's"},
	{"no-subreaper", 0, OCI_FLAG, AT(ignored_flag), "accepted"},
	{"no-pivot", 0, OCI_FLAG, AT(ignored_flag), "accepted; the root is pivoted"},
	{0},
};

static const struct oci_option none[] = {{0}};

const struct oci_command oci_commands[] = {
	{"create", "ID", "make a container; its program waits", 1, 1, create_options, oci_create},
	{"start", "ID", "start the program of a container", 1, 1, none, oci_start},
	{"run", "ID", "create and start", 1, 1, run_options, oci_run},
	{"state", "ID", "print the state as JSON", 1, 1, none, oci_show_state},
	{"kill", "ID [SIGNAL]", "send a signal (TERM)", 1, 2, kill_options, oci_kill},
	{"delete", "ID", "remove what is left of a container", 1, 1, delete_options, oci_delete},
	{"exec", "ID [PROGRAM ARGUMENT…]", "run one more process", 1, SIZE_MAX, exec_options,
	 oci_exec},
	{"list", "", "containers on record", 0, 0, list_options, oci_list},
	{"ps", "ID", "processes of a container", 1, SIZE_MAX, list_options, oci_ps},
	{"pause", "ID", "freeze all processes", 1, 1, none, oci_pause},
	{"resume", "ID", "thaw them", 1, 1, none, oci_resume},
	{"update", "ID", "change limits", 1, 1, update_options, oci_update},
	{"events", "ID", "print what the cgroups count", 1, 1, events_options, oci_events},
	{"spec", "", "write a config.json to start from", 0, 0, spec_options, oci_spec},
	{"features", "", "print what this runtime can do", 0, 0, none, oci_features},
	{"checkpoint", "ID", "write a container into an image", 1, 1, checkpoint_options,
	 oci_checkpoint, image_able},
	{"restore", "ID", "make a container of an image", 1, 1, restore_options, oci_restore,
	 image_able},
	{0},
};
