/* SPDX-License-Identifier: Apache-2.0 */
/* spec and features: what a bundle looks like, and what this runtime can do with one. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/fd.h"
#include "base/io.h"
#include "base/json.h"
#include "oci/oci.h"

static void put_list(struct json_out *out, const char *key, const char *const *words)
{
	json_begin_array(out, key);
	for (; *words; words++)
		json_put_str(out, NULL, *words);
	json_end_array(out);
}

#define LIST(out, key, ...) put_list(out, key, (const char *const[]){__VA_ARGS__, NULL})

static void put_process(struct json_out *out)
{
	static const char *const caps[] = {"CAP_AUDIT_WRITE", "CAP_KILL", "CAP_NET_BIND_SERVICE",
					   NULL};

	json_begin(out, "process");
	json_put_bool(out, "terminal", true);
	json_begin(out, "user");
	json_put_int(out, "uid", 0);
	json_put_int(out, "gid", 0);
	json_end(out);
	LIST(out, "args", "sh");
	LIST(out, "env", "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
	     "TERM=xterm");
	json_put_str(out, "cwd", "/");
	json_begin(out, "capabilities");
	put_list(out, "bounding", caps);
	put_list(out, "effective", caps);
	put_list(out, "permitted", caps);
	json_end(out);
	json_begin_array(out, "rlimits");
	json_begin(out, NULL);
	json_put_str(out, "type", "RLIMIT_NOFILE");
	json_put_int(out, "hard", 1024);
	json_put_int(out, "soft", 1024);
	json_end(out);
	json_end_array(out);
	json_put_bool(out, "noNewPrivileges", true);
	json_end(out);
}

struct mount_row {
	const char *destination, *type, *source;
	const char *options[8];
};

static void put_mounts(struct json_out *out, const struct mount_row *m, size_t n)
{
	json_begin_array(out, "mounts");
	for (size_t i = 0; i < n; i++) {
		json_begin(out, NULL);
		json_put_str(out, "destination", m[i].destination);
		json_put_str(out, "type", m[i].type);
		json_put_str(out, "source", m[i].source);
		if (m[i].options[0])
			put_list(out, "options", m[i].options);
		json_end(out);
	}
	json_end_array(out);
}

static void put_default_mounts(struct json_out *out, bool rootless)
{
	static const struct mount_row rows[] = {
		{"/proc", "proc", "proc", {NULL}},
		{"/dev", "tmpfs", "tmpfs", {"nosuid", "strictatime", "mode=755", "size=65536k"}},
		{"/dev/pts",
		 "devpts",
		 "devpts",
		 {"nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620"}},
		{"/dev/shm",
		 "tmpfs",
		 "shm",
		 {"nosuid", "noexec", "nodev", "mode=1777", "size=65536k"}},
		{"/dev/mqueue", "mqueue", "mqueue", {"nosuid", "noexec", "nodev"}},
		{"/sys", "sysfs", "sysfs", {"nosuid", "noexec", "nodev", "ro"}},
		{"/sys/fs/cgroup",
		 "cgroup",
		 "cgroup",
		 {"nosuid", "noexec", "nodev", "relatime", "ro"}},
	};

	put_mounts(out, rows, sizeof(rows) / sizeof(rows[0]) - rootless);
}

static void put_namespaces(struct json_out *out, bool rootless)
{
	static const char *const types[] = {"pid",   "network", "ipc", "uts",
					    "mount", "cgroup",  "user"};
	size_t n = sizeof(types) / sizeof(types[0]) - !rootless;

	json_begin_array(out, "namespaces");
	for (size_t i = 0; i < n; i++) {
		json_begin(out, NULL);
		json_put_str(out, "type", types[i]);
		json_end(out);
	}
	json_end_array(out);
}

static void put_map(struct json_out *out, const char *key, unsigned id)
{
	json_begin_array(out, key);
	json_begin(out, NULL);
	json_put_uint(out, "containerID", 0);
	json_put_uint(out, "hostID", id);
	json_put_uint(out, "size", 1);
	json_end(out);
	json_end_array(out);
}

static void put_linux(struct json_out *out, bool rootless)
{
	json_begin(out, "linux");
	if (rootless) {
		put_map(out, "uidMappings", geteuid());
		put_map(out, "gidMappings", getegid());
	} else {
		json_begin(out, "resources");
		json_begin_array(out, "devices");
		json_begin(out, NULL);
		json_put_bool(out, "allow", false);
		json_put_str(out, "access", "rwm");
		json_end(out);
		json_end_array(out);
		json_end(out);
	}
	put_namespaces(out, rootless);
	LIST(out, "maskedPaths", "/proc/acpi", "/proc/asound", "/proc/kcore", "/proc/keys",
	     "/proc/latency_stats", "/proc/timer_list", "/proc/timer_stats", "/proc/sched_debug",
	     "/sys/firmware", "/proc/scsi");
	LIST(out, "readonlyPaths", "/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys",
	     "/proc/sysrq-trigger");
	json_end(out);
}

int oci_spec(struct oci *oci, struct err *err)
{
	AUTO_BUF struct buf text = BUF_INIT;
	struct json_out out = JSON_OUT(&text, true);
	const char *bundle = oci->options.bundle ? oci->options.bundle : ".";
	AUTO_CLOSE int folder = open(bundle, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	if (folder < 0)
		return err_sys(err, "bundle '%s'", bundle);
	if (faccessat(folder, "config.json", F_OK, 0) == 0)
		return err_set(err, EEXIST, "config.json: is there already; move it away first");
	json_begin(&out, NULL);
	json_put_str(&out, "ociVersion", "1.2.0");
	put_process(&out);
	json_begin(&out, "root");
	json_put_str(&out, "path", "rootfs");
	json_put_bool(&out, "readonly", true);
	json_end(&out);
	json_put_str(&out, "hostname", "hull");
	put_default_mounts(&out, oci->options.rootless);
	put_linux(&out, oci->options.rootless);
	json_end(&out);
	buf_str(&text, "\n");
	int r = buf_check(&text, err);
	return r < 0 ? r : file_replace(folder, "config.json", text.data, text.len, 0644, err);
}

int oci_features(struct oci *oci, struct err *err)
{
	AUTO_BUF struct buf text = BUF_INIT;
	struct json_out out = JSON_OUT(&text, true);

	(void)oci;
	json_begin(&out, NULL);
	json_put_str(&out, "ociVersionMin", "1.0.0");
	json_put_str(&out, "ociVersionMax", "1.2.0");
	LIST(&out, "hooks", "prestart", "createRuntime", "createContainer", "startContainer",
	     "poststart", "poststop");
	LIST(&out, "mountOptions", "async", "atime", "bind", "defaults", "dev", "diratime",
	     "dirsync", "exec", "idmap", "iversion", "loud", "mand", "noatime", "nodev",
	     "nodiratime", "noexec", "noiversion", "nomand", "norelatime", "nostrictatime",
	     "nosuid", "nosymfollow", "private", "ratime", "rbind", "rdev", "rdiratime", "relatime",
	     "remount", "rexec", "ridmap", "rnoatime", "rnodev", "rnodiratime", "rnoexec",
	     "rnorelatime", "rnostrictatime", "rnosuid", "rnosymfollow", "ro", "rprivate",
	     "rrelatime", "rro", "rrw", "rshared", "rslave", "rstrictatime", "rsuid", "rsymfollow",
	     "runbindable", "rw", "shared", "silent", "slave", "strictatime", "suid", "symfollow",
	     "sync", "tmpcopyup", "unbindable");
	json_begin(&out, "linux");
	LIST(&out, "namespaces", "cgroup", "ipc", "mount", "network", "pid", "time", "user", "uts");
	json_begin(&out, "cgroup");
	json_put_bool(&out, "v1", true);
	json_put_bool(&out, "v2", true);
	json_put_bool(&out, "systemd", true);
	json_put_bool(&out, "systemdUser", true);
	json_put_bool(&out, "rdma", true);
	json_end(&out);
	json_begin(&out, "seccomp");
	json_put_bool(&out, "enabled", true);
	LIST(&out, "actions", "SCMP_ACT_ALLOW", "SCMP_ACT_ERRNO", "SCMP_ACT_KILL",
	     "SCMP_ACT_KILL_PROCESS", "SCMP_ACT_KILL_THREAD", "SCMP_ACT_LOG", "SCMP_ACT_NOTIFY",
	     "SCMP_ACT_TRACE", "SCMP_ACT_TRAP");
	LIST(&out, "operators", "SCMP_CMP_EQ", "SCMP_CMP_GE", "SCMP_CMP_GT", "SCMP_CMP_LE",
	     "SCMP_CMP_LT", "SCMP_CMP_MASKED_EQ", "SCMP_CMP_NE");
	json_end(&out);
	json_begin(&out, "apparmor");
	json_put_bool(&out, "enabled", true);
	json_end(&out);
	json_begin(&out, "selinux");
	json_put_bool(&out, "enabled", true);
	json_end(&out);
	json_end(&out);
	json_end(&out);
	int r = buf_check(&text, err);
	if (r == 0)
		puts(text.data);
	return r;
}
