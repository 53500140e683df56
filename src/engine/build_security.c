/* SPDX-License-Identifier: Apache-2.0 */
/* What a workload may do to its kernel: capabilities, masked paths, ulimits, sysctl, devices. */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include "base/err.h"
#include "engine/build.h"
#include "spec/spec.h"

/* docker's default set. */
static const char *const default_capabilities[] = {
	"CHOWN",   "DAC_OVERRIDE", "FSETID",           "FOWNER",
	"MKNOD",   "NET_RAW",      "SETGID",           "SETUID",
	"SETFCAP", "SETPCAP",      "NET_BIND_SERVICE", "SYS_CHROOT",
	"KILL",    "AUDIT_WRITE",
};

static int capability(const char *text, const char *what, uint64_t *ret, struct err *err)
{
	unsigned number;

	if (strcasecmp(text, "ALL") == 0 || strcasecmp(text, "CAP_ALL") == 0) {
		*ret = SPEC_ALL_CAPABILITIES;
		return 0;
	}
	if (spec_capability(text, &number) < 0)
		return err_set(err, EINVAL, "%s: '%s' is not a capability", what, text);
	*ret = UINT64_C(1) << number;
	return 0;
}

/* docker's rules: ALL among the added starts from everything, ALL among the dropped from nothing;
 * then the named ones. */
static int capability_set(const struct run_options *o, uint64_t *ret, struct err *err)
{
	struct err never = ERR_INIT; /* the default names are known */
	uint64_t add = 0;
	uint64_t drop = 0;
	uint64_t base = 0;
	uint64_t one;
	int r = 0;

	for (size_t i = 0; i < sizeof(default_capabilities) / sizeof(default_capabilities[0]);
	     i++) {
		if (capability(default_capabilities[i], "default", &one, &never) == 0)
			base |= one;
	}
	for (size_t i = 0; r == 0 && i < o->cap_add.n; i++) {
		r = capability(o->cap_add.v[i], "--cap-add", &one, err);
		add |= r == 0 ? one : 0;
	}
	for (size_t i = 0; r == 0 && i < o->cap_drop.n; i++) {
		r = capability(o->cap_drop.v[i], "--cap-drop", &one, err);
		drop |= r == 0 ? one : 0;
	}
	if (r < 0)
		return r;
	if (drop == SPEC_ALL_CAPABILITIES)
		*ret = add;
	else
		*ret = (base | add) & ~drop;
	if (o->privileged)
		*ret = SPEC_ALL_CAPABILITIES;
	return 0;
}

/* As execve would leave it: a user who is not root has them only in the bounding set. */
void process_privileges(struct plan_process *p, uint64_t caps)
{
	bool root = !p->user || strcmp(p->user, "0") == 0 || strcmp(p->user, "root") == 0 ||
		    str_prefix(p->user, "0:", NULL) || str_prefix(p->user, "root:", NULL);

	p->cap_bounding = caps;
	p->cap_effective = root ? caps : 0;
	p->cap_permitted = root ? caps : 0;
	p->cap_inheritable = 0;
	p->cap_ambient = 0;
}

static const struct {
	const char *name;
	uint32_t resource;
} ulimit_names[] = {
	{"as", RLIMIT_AS},
	{"core", RLIMIT_CORE},
	{"cpu", RLIMIT_CPU},
	{"data", RLIMIT_DATA},
	{"fsize", RLIMIT_FSIZE},
	{"locks", RLIMIT_LOCKS},
	{"memlock", RLIMIT_MEMLOCK},
	{"msgqueue", RLIMIT_MSGQUEUE},
	{"nice", RLIMIT_NICE},
	{"nofile", RLIMIT_NOFILE},
	{"nproc", RLIMIT_NPROC},
	{"rss", RLIMIT_RSS},
	{"rtprio", RLIMIT_RTPRIO},
	{"rttime", RLIMIT_RTTIME},
	{"sigpending", RLIMIT_SIGPENDING},
	{"stack", RLIMIT_STACK},
};

/* The first n bytes of `digits`, which stand in `option`. */
static int ulimit_number(const char *digits, size_t n, const char *option, uint64_t *ret,
			 struct err *err)
{
	char number[32];
	int64_t v;

	(void)snprintf(number, sizeof(number), "%.*s", (int)(n < 31 ? n : 31), digits);
	if (strcmp(number, "-1") == 0 || strcmp(number, "unlimited") == 0) {
		*ret = RLIM_INFINITY;
		return 0;
	}
	int r = parse_int(number, 0, INT64_MAX, "--ulimit", &v, err);
	if (r == 0)
		*ret = (uint64_t)v;
	return r < 0 ? err_wrap(err, "'%s'", option) : 0;
}

static int add_ulimit(struct plan_process *p, const char *text, struct err *err)
{
	size_t n = strcspn(text, "=");
	const char *soft = text[n] ? text + n + 1 : "";
	size_t soft_len = strcspn(soft, ":");
	const char *hard = soft[soft_len] ? soft + soft_len + 1 : soft;

	for (size_t i = 0; i < sizeof(ulimit_names) / sizeof(ulimit_names[0]); i++) {
		if (strlen(ulimit_names[i].name) != n ||
		    strncmp(ulimit_names[i].name, text, n) != 0)
			continue;
		struct plan_rlimit limit = {.resource = ulimit_names[i].resource};
		int r = ulimit_number(soft, soft_len, text, &limit.soft, err);
		if (r == 0)
			r = ulimit_number(hard, strlen(hard), text, &limit.hard, err);
		if (r == 0 && limit.soft > limit.hard)
			r = err_set(err, EINVAL, "--ulimit: '%s': the soft limit is above the hard",
				    text);
		struct plan_rlimit *to = r == 0 ? list_add(&p->rlimits, &plan_rlimit_record) : NULL;
		if (r == 0 && !to)
			return err_set(err, ENOMEM, "out of memory");
		if (to)
			*to = limit;
		return r;
	}
	return err_set(err, EINVAL, "--ulimit: '%s' is not NAME=SOFT[:HARD] (nofile=1024:4096)",
		       text);
}

/* What --security-opt says of system calls; the last word counts. */
struct filtering {
	bool none;
	const char *profile; /* borrowed; NULL: hull's own */
};

static int security_option(const struct build *b, const char *text, struct filtering *filtering,
			   struct err *err)
{
	static const char *const nothing_here[] = {"apparmor=unconfined", "label=disable",
						   "label:disable", NULL}; /* as hull always does */

	if (strcmp(text, "no-new-privileges") == 0 || strcmp(text, "no-new-privileges=true") == 0 ||
	    strcmp(text, "no-new-privileges:true") == 0) {
		b->plan->process.no_new_privs = true;
		return 0;
	}
	const char *profile = NULL;
	if (str_prefix(text, "seccomp=", &profile) || str_prefix(text, "seccomp:", &profile)) {
		filtering->none = strcmp(profile, "unconfined") == 0;
		bool own = filtering->none || strcmp(profile, "builtin") == 0;
		filtering->profile = own ? NULL : profile;
		return 0;
	}
	if (str_in(text, nothing_here))
		return 0;
	return err_set(
		err, EINVAL,
		"--security-opt: '%s' is not known (no-new-privileges, seccomp=FILE|unconfined)",
		text);
}

/* "HOST[:INSIDE[:rwm]]" */
static int add_device(const struct build *b, const char *text, struct err *err)
{
	AUTO_FREE char *copy = strdup(text);
	char *rest = copy;
	struct stat st;

	if (!copy)
		return err_set(err, ENOMEM, "out of memory");
	const char *host = strsep(&rest, ":");
	const char *inside = rest ? strsep(&rest, ":") : host;
	const char *access = rest ? strsep(&rest, ":") : "rwm";
	if (rest || inside[0] != '/' || !*access || strspn(access, "rwm") != strlen(access))
		return err_set(err, EINVAL, "--device: '%s' is not HOST[:INSIDE[:rwm]]", text);
	if (stat(host, &st) < 0)
		return err_sys(err, "--device: '%s'", host);
	if (!S_ISCHR(st.st_mode) && !S_ISBLK(st.st_mode))
		return err_set(err, ENODEV, "--device: '%s' is not a device", host);
	struct plan_device *d = list_add(&b->plan->limits.devices, &plan_device_record);
	if (!d)
		return err_set(err, ENOMEM, "out of memory");
	d->type = S_ISCHR(st.st_mode) ? 'c' : 'b';
	d->major = major(st.st_rdev);
	d->minor = minor(st.st_rdev);
	d->mode = st.st_mode & 07777;
	int r = set_str(&d->path, inside, err);
	return r < 0 ? r : set_str(&d->access, access, err);
}

static int mask_paths(struct plan *plan, struct err *err)
{
	static const char *const masked[] = {
		"/proc/asound",
		"/proc/acpi",
		"/proc/kcore",
		"/proc/keys",
		"/proc/latency_stats",
		"/proc/timer_list",
		"/proc/timer_stats",
		"/proc/sched_debug",
		"/proc/scsi",
		"/sys/firmware",
		"/sys/devices/virtual/powercap",
	};
	static const char *const read_only[] = {"/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys",
						"/proc/sysrq-trigger"};
	int r = 0;

	for (size_t i = 0; r == 0 && i < sizeof(masked) / sizeof(masked[0]); i++)
		r = strv_add(&plan->masked, masked[i], err);
	for (size_t i = 0; r == 0 && i < sizeof(read_only) / sizeof(read_only[0]); i++)
		r = strv_add(&plan->read_only, read_only[i], err);
	return r;
}

static int add_sysctl(struct plan *plan, const char *text, struct err *err)
{
	static const char *const own[] = {
		"kernel.msgmax", "kernel.msgmnb",          "kernel.msgmni",
		"kernel.sem",    "kernel.shmall",          "kernel.shmmax",
		"kernel.shmmni", "kernel.shm_rmid_forced", NULL};
	char key[128];
	size_t n = strcspn(text, "=");

	(void)snprintf(key, sizeof(key), "%.*s", (int)(n < 127 ? n : 127), text);
	if (text[n] != '=' || n == 0)
		return err_set(err, EINVAL, "--sysctl: '%s' is not KEY=VALUE", text);
	if (!str_prefix(key, "net.", NULL) && !str_prefix(key, "fs.mqueue.", NULL) &&
	    !str_in(key, own))
		return err_set(err, EPERM, "--sysctl: '%s' is not a workload's own, but the host's",
			       key);
	return strv_add(&plan->sysctl, text, err);
}

static int filter_calls(struct plan *plan, const struct filtering *filtering, uint64_t caps,
			struct err *err)
{
	const struct seccomp_config config = {.caps = caps, .profile = filtering->profile};

	return filtering->none ? 0 : seccomp_compile(&config, &plan->process.seccomp, err);
}

int build_security(const struct build *b, struct err *err)
{
	const struct run_options *o = b->options;
	struct plan *plan = b->plan;
	struct filtering filtering = {.none = o->privileged};
	uint64_t caps = 0;

	int r = capability_set(o, &caps, err);
	for (size_t i = 0; r == 0 && i < o->security_opts.n; i++)
		r = security_option(b, o->security_opts.v[i], &filtering, err);
	for (size_t i = 0; r == 0 && i < o->ulimits.n; i++)
		r = add_ulimit(&plan->process, o->ulimits.v[i], err);
	for (size_t i = 0; r == 0 && i < o->sysctl.n; i++)
		r = add_sysctl(plan, o->sysctl.v[i], err);
	for (size_t i = 0; r == 0 && i < o->devices.n; i++)
		r = add_device(b, o->devices.v[i], err);
	if (r == 0 && !o->privileged)
		r = mask_paths(plan, err);
	if (r == 0)
		r = filter_calls(plan, &filtering, caps, err);
	process_privileges(&plan->process, caps);
	plan->privileged = o->privileged;
	return r;
}
