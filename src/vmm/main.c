/* SPDX-License-Identifier: Apache-2.0 */
/*
 * hull-monitor OPTION…: runs one machine. Files are named by the number of a descriptor that the
 * caller left open. Requests come over --control (control.h), if it is a socket for them; the last
 * line there says how the machine ended ("poweroff", "reset", "triple-fault") and how often its
 * processors left the guest. Begins with --kernel, or with the files of --restore and
 * --memory-file, which the request `save` wrote.
 */
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <inttypes.h>
#include <limits.h>
#include <malloc.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "base/err.h"
#include "base/io.h"
#include "base/str.h"
#include "vmm/vmm.h"

struct options {
	struct vmm_config vmm;
};

/* --- values --- */

static int parse_fd(const char *text, const char *what, int *ret, struct err *err)
{
	int64_t fd;

	int r = parse_int(text, 0, INT_MAX, what, &fd, err);
	if (r < 0)
		return r;
	/* from its birth here on, it is nobody's else */
	if (fcntl((int)fd, F_SETFD, FD_CLOEXEC) < 0)
		return err_sys(err, "%s: descriptor %d", what, (int)fd);
	*ret = (int)fd;
	return 0;
}

/* "FD" or "FD:BYTES" */
static int add_file(struct vmm_disk *d, char *text, struct err *err)
{
	int64_t size = 0;
	char *colon = strchr(text, ':');

	if (colon)
		*colon++ = '\0';
	int *fds = reallocarray(d->fds, d->n + 1, sizeof(*fds));
	if (!fds)
		return err_set(err, ENOMEM, "out of memory");
	d->fds = fds;
	uint64_t *sizes = reallocarray(d->sizes, d->n + 1, sizeof(*sizes));
	if (!sizes)
		return err_set(err, ENOMEM, "out of memory");
	d->sizes = sizes;
	int r = parse_fd(text, "--disk", &d->fds[d->n], err);
	if (r == 0 && colon)
		r = parse_int(colon, 1, INT64_MAX, "--disk", &size, err);
	d->sizes[d->n] = (uint64_t)size;
	d->n += r == 0;
	return r;
}

/* "SERIAL:ro|rw|careless:FILE[,FILE]…" */
static int add_disk(struct options *o, char *text, struct err *err)
{
	struct vmm_disk *d = &o->vmm.disks[o->vmm.n_disks];
	char *how = strchr(text, ':');
	char *files = how ? strchr(how + 1, ':') : NULL;
	int r = 0;

	if (o->vmm.n_disks == VMM_DISKS_MAX)
		return err_set(err, E2BIG, "--disk: at most %d", VMM_DISKS_MAX);
	if (!files)
		return err_set(err, EINVAL, "--disk: '%.100s' is not SERIAL:HOW:FILE", text);
	*how++ = '\0';
	*files++ = '\0';
	d->serial = text;
	d->readonly = strcmp(how, "ro") == 0;
	d->careless = strcmp(how, "careless") == 0;
	if (!d->readonly && !d->careless && strcmp(how, "rw") != 0)
		return err_set(err, EINVAL, "--disk: '%.20s' is not ro, rw or careless", how);
	for (char *next; files && r == 0; files = next) {
		next = strchr(files, ',');
		if (next)
			*next++ = '\0';
		r = add_file(d, files, err);
	}
	o->vmm.n_disks++;
	return r;
}

/* "FD[,FD]…" */
static int parse_pairs(char *text, const char *what, int fds[VMM_PAIRS_MAX], size_t *n,
		       struct err *err)
{
	int r = 0;

	for (*n = 0; text && r == 0; (*n)++) {
		if (*n == VMM_PAIRS_MAX)
			return err_set(err, E2BIG, "%s: at most %d", what, VMM_PAIRS_MAX);
		r = parse_fd(strsep(&text, ","), what, &fds[*n], err);
	}
	return r;
}

/* "FD[,FD]…:MAC" */
static int set_net(struct options *o, char *text, struct err *err)
{
	char *colon = strchr(text, ':');

	if (!colon || !vmm_parse_mac(colon + 1, o->vmm.mac))
		return err_set(err, EINVAL, "--net: not FD:MAC");
	*colon = '\0';
	return parse_pairs(text, "--net", o->vmm.taps, &o->vmm.n_taps, err);
}

/* "FD:MAC" */
static int set_stream(struct options *o, char *text, struct err *err)
{
	char *colon = strchr(text, ':');

	if (!colon || !vmm_parse_mac(colon + 1, o->vmm.mac))
		return err_set(err, EINVAL, "--stream: not FD:MAC");
	*colon = '\0';
	return parse_fd(text, "--stream", &o->vmm.stream, err);
}

/* "DEVICE:read|write:BYTES:REQUESTS" */
static int add_limit(struct options *o, char *text, struct err *err)
{
	struct vmm_limit *l = &o->vmm.limits[o->vmm.n_limits];
	int64_t bytes = 0, requests = 0;
	char *rest = text;

	if (o->vmm.n_limits == VMM_LIMITS_MAX)
		return err_set(err, E2BIG, "--limit: at most %d", VMM_LIMITS_MAX);
	l->device = strsep(&rest, ":");
	const char *way = rest ? strsep(&rest, ":") : "";
	const char *first = rest ? strsep(&rest, ":") : "";
	l->write = strcmp(way, "write") == 0;
	if (!rest || (!l->write && strcmp(way, "read") != 0))
		return err_set(err, EINVAL,
			       "--limit: '%.100s' is not DEVICE:read|write:BYTES:REQUESTS", text);
	int r = parse_int(first, 0, INT64_MAX, "--limit", &bytes, err);
	if (r == 0)
		r = parse_int(rest, 0, INT64_MAX, "--limit", &requests, err);
	if (r < 0)
		return r;
	l->bytes = (uint64_t)bytes;
	l->requests = (uint64_t)requests;
	o->vmm.n_limits++;
	return 0;
}

/* "SLOT:FD:REQUEST", with the request that it was plugged in by */
static int add_plugged(struct options *o, char *text, struct err *err)
{
	struct vmm_plugged *p = &o->vmm.plugged[o->vmm.n_plugged];
	char *fd = strchr(text, ':');
	char *how = fd ? strchr(fd + 1, ':') : NULL;
	int64_t slot;

	if (o->vmm.n_plugged == sizeof(o->vmm.plugged) / sizeof(o->vmm.plugged[0]))
		return err_set(err, E2BIG, "--plugged: the machine has no more places");
	if (!how)
		return err_set(err, EINVAL, "--plugged: '%.100s' is not SLOT:FD:REQUEST", text);
	*fd++ = '\0';
	*how++ = '\0';
	int r = parse_int(text, 0, INT_MAX, "--plugged", &slot, err);
	if (r == 0)
		r = parse_fd(fd, "--plugged", &p->fd, err);
	if (r < 0)
		return r;
	p->slot = (unsigned)slot;
	p->how = how;
	o->vmm.n_plugged++;
	return 0;
}

/* "FD:TAG" */
static int set_share(struct options *o, char *text, struct err *err)
{
	char *colon = strchr(text, ':');

	if (!colon)
		return err_set(err, EINVAL, "--share: not FD:TAG");
	*colon = '\0';
	o->vmm.share_tag = colon + 1;
	return parse_fd(text, "--share", &o->vmm.share, err);
}

static int set_number(const char *text, int64_t max, const char *what, uint64_t *ret,
		      struct err *err)
{
	int64_t n;

	int r = parse_int(text, 1, max, what, &n, err);
	if (r == 0)
		*ret = (uint64_t)n;
	return r;
}

static int set_cpus(struct options *o, const char *text, struct err *err)
{
	uint64_t n = 0;

	int r = set_number(text, INT_MAX, "--cpus", &n, err);
	o->vmm.cpus = (unsigned)n;
	return r;
}

/* --- the command line --- */

enum {
	OPT_KVM = 1,
	OPT_KERNEL,
	OPT_RESTORE,
	OPT_MEMORY_FILE,
	OPT_INITRAMFS,
	OPT_APPEND,
	OPT_MEMORY,
	OPT_MAX_MEMORY,
	OPT_CPUS,
	OPT_CONSOLE,
	OPT_CONTROL,
	OPT_CHANNEL,
	OPT_PORT,
	OPT_DISK,
	OPT_NET,
	OPT_STREAM,
	OPT_VHOST,
	OPT_SHARE,
	OPT_LIMIT,
	OPT_PLUGGED,
	OPT_UNCONFINED,
};

static const struct option options[] = {
	{"kvm", required_argument, NULL, OPT_KVM},
	{"kernel", required_argument, NULL, OPT_KERNEL},
	{"restore", required_argument, NULL, OPT_RESTORE},
	{"memory-file", required_argument, NULL, OPT_MEMORY_FILE},
	{"initramfs", required_argument, NULL, OPT_INITRAMFS},
	{"append", required_argument, NULL, OPT_APPEND},
	{"memory", required_argument, NULL, OPT_MEMORY},
	{"max-memory", required_argument, NULL, OPT_MAX_MEMORY},
	{"cpus", required_argument, NULL, OPT_CPUS},
	{"console", required_argument, NULL, OPT_CONSOLE},
	{"control", required_argument, NULL, OPT_CONTROL},
	{"channel", required_argument, NULL, OPT_CHANNEL},
	{"port", required_argument, NULL, OPT_PORT},
	{"disk", required_argument, NULL, OPT_DISK},
	{"net", required_argument, NULL, OPT_NET},
	{"stream", required_argument, NULL, OPT_STREAM},
	{"vhost", required_argument, NULL, OPT_VHOST},
	{"share", required_argument, NULL, OPT_SHARE},
	{"limit", required_argument, NULL, OPT_LIMIT},
	{"plugged", required_argument, NULL, OPT_PLUGGED},
	{"unconfined", no_argument, NULL, OPT_UNCONFINED},
	{NULL, 0, NULL, 0},
};

static int take_option(struct options *o, int opt, char *value, struct err *err)
{
	switch (opt) {
	case OPT_KVM:
		return parse_fd(value, "--kvm", &o->vmm.kvm, err);
	case OPT_KERNEL:
		return parse_fd(value, "--kernel", &o->vmm.kernel, err);
	case OPT_RESTORE:
		return parse_fd(value, "--restore", &o->vmm.restore, err);
	case OPT_MEMORY_FILE:
		return parse_fd(value, "--memory-file", &o->vmm.memory_file, err);
	case OPT_INITRAMFS:
		return parse_fd(value, "--initramfs", &o->vmm.initramfs, err);
	case OPT_CONSOLE:
		return parse_fd(value, "--console", &o->vmm.console, err);
	case OPT_CONTROL:
		return parse_fd(value, "--control", &o->vmm.control, err);
	case OPT_CHANNEL:
		return parse_fd(value, "--channel", &o->vmm.channel, err);
	case OPT_MEMORY:
		return set_number(value, INT64_MAX, "--memory", &o->vmm.memory, err);
	case OPT_MAX_MEMORY:
		return set_number(value, INT64_MAX, "--max-memory", &o->vmm.memory_max, err);
	case OPT_CPUS:
		return set_cpus(o, value, err);
	case OPT_DISK:
		return add_disk(o, value, err);
	case OPT_NET:
		return set_net(o, value, err);
	case OPT_STREAM:
		return set_stream(o, value, err);
	case OPT_VHOST:
		return parse_pairs(value, "--vhost", o->vmm.vhosts, &o->vmm.n_vhosts, err);
	case OPT_SHARE:
		return set_share(o, value, err);
	case OPT_LIMIT:
		return add_limit(o, value, err);
	case OPT_PLUGGED:
		return add_plugged(o, value, err);
	case OPT_APPEND:
		o->vmm.cmdline = value;
		return 0;
	case OPT_PORT:
		o->vmm.port = value;
		return 0;
	case OPT_UNCONFINED:
		o->vmm.unconfined = true;
		return 0;
	default:
		return err_set(err, EINVAL, "no such option, or it lacks its value");
	}
}

/* Whether they belong together. */
static int judge(const struct vmm_config *c, struct err *err)
{
	if ((c->kernel < 0) == (c->restore < 0) || c->memory == 0)
		return err_set(err, EINVAL, "needs --memory, and --kernel or --restore");
	if ((c->memory_file < 0) != (c->restore < 0))
		return err_set(err, EINVAL, "--restore and --memory-file come together");
	if (c->n_plugged > 0 && c->restore < 0)
		return err_set(err, EINVAL, "--plugged is of a machine that is restored");
	return 0;
}

static int take_options(struct options *o, int argc, char **argv, struct err *err)
{
	int r = 0;

	opterr = 0;
	for (int opt; r == 0 && (opt = getopt_long(argc, argv, "", options, NULL)) != -1;)
		r = take_option(o, opt, optarg, err);
	if (r == 0 && optind < argc)
		r = err_set(err, EINVAL, "'%.100s' is no option", argv[optind]);
	if (r == 0)
		r = judge(&o->vmm, err);
	if (r == 0 && o->vmm.kvm < 0) {
		o->vmm.kvm = open("/dev/kvm", O_RDWR | O_CLOEXEC);
		r = o->vmm.kvm < 0 ? err_sys(err, "open /dev/kvm") : 0;
	}
	return r;
}

static int tell_end(int control, const struct vmm_report *report, struct err *err)
{
	static const char *const ends[] = {
		[VMM_POWEROFF] = "poweroff",
		[VMM_RESET] = "reset",
		[VMM_TRIPLE_FAULT] = "triple-fault",
	};
	char line[160];

	if (control < 0)
		return 0;
	int n = snprintf(line, sizeof(line),
			 "%s exits=%" PRIu64 " ports=%" PRIu64 " mmio=%" PRIu64 "\n",
			 ends[report->end],
			 report->exits_ports + report->exits_mmio + report->exits_other,
			 report->exits_ports, report->exits_mmio);
	return write_all(control, line, (size_t)n, "control", err);
}

int main(int argc, char **argv)
{
	struct options o = {.vmm = {.kvm = -1,
				    .kernel = -1,
				    .initramfs = -1,
				    .restore = -1,
				    .memory_file = -1,
				    .cmdline = "",
				    .cpus = 1,
				    .console = -1,
				    .control = -1,
				    .channel = -1,
				    .port = "",
				    .stream = -1,
				    .share = -1}};
	struct vmm_report report;
	struct err err = ERR_INIT;

	/* started from a descriptor, it would be called by its number */
	(void)prctl(PR_SET_NAME, "hull-monitor");
	/* one heap for all threads, which need none */
	(void)mallopt(M_ARENA_MAX, 1);
	(void)sigaction(SIGPIPE, &(struct sigaction){.sa_handler = SIG_IGN}, NULL);
	/* a file that may not grow is that write's failure */
	(void)sigaction(SIGXFSZ, &(struct sigaction){.sa_handler = SIG_IGN}, NULL);
	int r = take_options(&o, argc, argv, &err);
	if (r == 0)
		r = vmm_run(&o.vmm, &report, &err);
	if (r == 0)
		r = tell_end(o.vmm.control, &report, &err);
	if (r < 0)
		(void)fprintf(stderr, "hull-monitor: %s\n", err.msg);
	_exit(r < 0);
}
