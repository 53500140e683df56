/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Machines by hull-monitor, shut into a box (box.h) that is empty: it is static, was opened before,
 * and finds kernel, disks and /dev/kvm itself among its descriptors.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/fd.h"
#include "base/proc.h"
#include "machine/command.h"
#include "machine/driver.h"
#include "machine/rates.h"
#include "proto/message.h"
#include "proto/plan.h"

/* reboot=a: a panic ends the machine by the register that ACPI names, so that a triple fault is
 * none. There is no PCI to look for. Of the rest qemu.c tells. */
#define KERNEL_ARGS                                                                                \
	"console=ttyS0 quiet panic=-1 reboot=a pci=off initcall_blacklist=pci_arch_init cryptomgr.notests"

#define VHOST_NET "/dev/vhost-net"

#define PAGES(bytes) (((bytes) + 4095) & ~UINT64_C(4095))

static void fd_option(struct command *c, const char *option, int fd)
{
	command_keep(c, fd);
	command_arg(c, "--%s=%d", option, fd);
}

static void file_option(struct command *c, const char *option, const char *path)
{
	int fd = command_open(c, path, 0, option);

	if (fd >= 0)
		fd_option(c, option, fd);
}

/* What is asked of the host's device that the file lies on holds for the disk. */
static void limit_disk(struct command *c, const struct monitor_spec *spec, const char *serial,
		       int fd)
{
	static const char *const ways[RATES_WAYS] = {"read", "write"};
	struct rates rates[RATES_WAYS];
	struct stat st;

	if (fstat(fd, &st) < 0) /* the monitor complains of it */
		return;
	rates_find(&spec->plan->limits.blkio, st.st_dev, rates);
	for (size_t i = 0; i < RATES_WAYS; i++) {
		if (rates[i].bytes || rates[i].requests)
			command_arg(c, "--limit=%s:%s:%" PRIu64 ":%" PRIu64, serial, ways[i],
				    rates[i].bytes, rates[i].requests);
	}
}

static void layers(struct command *c, const struct monitor_spec *spec)
{
	AUTO_BUF struct buf text = BUF_INIT;

	for (size_t i = 0; i < spec->layers->n; i++) {
		int fd = command_open(c, spec->layers->v[i], O_NOFOLLOW, "layer");
		if (fd < 0)
			return;
		command_keep(c, fd);
		if (i == 0) /* all lie in one folder */
			limit_disk(c, spec, MACHINE_DISK_LAYERS, fd);
		buf_printf(&text, "%s%d:%" PRIu64, i ? "," : "", fd, spec->layer_sizes[i]);
	}
	if (buf_check(&text, c->err) < 0)
		c->failed = -c->err->code;
	else if (text.len > 0)
		command_arg(c, "--disk=" MACHINE_DISK_LAYERS ":ro:%s", text.data);
}

static void raw_disk(struct command *c, const struct monitor_spec *spec, const char *serial, int fd,
		     const char *how)
{
	if (fd < 0)
		return;
	command_keep(c, fd);
	limit_disk(c, spec, serial, fd);
	command_arg(c, "--disk=%s:%s:%d", serial, how, fd);
}

/* "--NAME=FD,FD…" and what is to follow. */
static void fds_option(struct command *c, const char *name, const int *fds, unsigned n,
		       const char *rest)
{
	char list[TAP_QUEUES_MAX * 12] = "";
	size_t len = 0;

	for (unsigned i = 0; i < n; i++)
		len += (size_t)snprintf(list + len, sizeof(list) - len, "%s%d", i > 0 ? "," : "",
					fds[i]);
	command_arg(c, "--%s=%s%s", name, list, rest);
}

/* The kernel's own loops for the tap, where the host has them and this user may. On a host of one
 * processor they and the guest wait for one another, and the monitor's loop moves more. */
static void vhost(struct command *c, unsigned n)
{
	int fds[TAP_QUEUES_MAX];

	if (sysconf(_SC_NPROCESSORS_ONLN) < 2)
		return;
	for (unsigned i = 0; i < n; i++) {
		fds[i] = open(VHOST_NET, O_RDWR | O_CLOEXEC);
		if (fds[i] < 0)
			return;
		command_own(c, fds[i]);
		command_keep(c, fds[i]);
	}
	fds_option(c, "vhost", fds, n, "");
}

static void limit_net(struct command *c, const char *way, uint64_t rate)
{
	if (rate)
		command_arg(c, "--limit=net:%s:%" PRIu64 ":0", way, rate);
}

static void net(struct command *c, const struct monitor_spec *spec)
{
	char mac[64];

	for (unsigned i = 0; i < spec->n_taps; i++)
		command_keep(c, spec->taps[i]);
	(void)snprintf(mac, sizeof(mac), ":%s", spec->plan->net.mac);
	fds_option(c, "net", spec->taps, spec->n_taps, mac);
	vhost(c, spec->n_taps);
	limit_net(c, "read", plan_rate(spec->plan->limits.net_ingress));
	limit_net(c, "write", plan_rate(spec->plan->limits.net_egress));
}

static void devices(struct command *c, const struct monitor_spec *spec)
{
	fd_option(c, "console", c->streams[STREAM_CONSOLE]);
	fd_option(c, "control", c->streams[STREAM_CONTROL]);
	fd_option(c, "channel", c->streams[STREAM_CHANNEL]);
	command_arg(c, "--port=" MACHINE_PORT);
	layers(c, spec);
	raw_disk(c, spec, MACHINE_DISK_SCRATCH, spec->scratch,
		 spec->scratch_volatile ? "careless" : "rw");
	raw_disk(c, spec, MACHINE_DISK_MODULES, spec->modules, "ro");
	if (spec->share >= 0) {
		command_keep(c, spec->share);
		command_arg(c, "--share=%d:%s", spec->share, spec->share_tag);
	}
	if (spec->n_taps > 0)
		net(c, spec);
}

static void command_line(struct command *c, const struct monitor_spec *spec)
{
	const struct plan_machine *m = &spec->plan->machine;

	command_arg(c, "hull-monitor");
	command_arg(c, "--memory=%" PRIu64, PAGES(m->memory));
	if (m->max_memory > m->memory)
		command_arg(c, "--max-memory=%" PRIu64, PAGES(m->max_memory));
	command_arg(c, "--cpus=%u", spec->max_cpus);
	file_option(c, "kernel", m->kernel);
	file_option(c, "initramfs", spec->initramfs);
	command_kernel_args(c, "--append=" KERNEL_ARGS, spec);
	devices(c, spec);
}

static int open_kvm(struct command *c, struct err *err)
{
	int fd = open("/dev/kvm", O_RDWR | O_CLOEXEC);

	if (fd < 0)
		return err_sys(err, "open /dev/kvm");
	command_own(c, fd);
	fd_option(c, "kvm", fd);
	return 0;
}

static int enter_root(void *ctx, struct err *err)
{
	return box_enter_empty(ctx, err);
}

static int launch(const struct monitor_spec *spec, struct monitor *ret, struct err *err)
{
	AUTO(auto_command_free) struct command *c = NULL;
	AUTO_FREE char *path = NULL;
	AUTO_FREE char *root = strdup(spec->root);

	if (!root)
		return err_set(err, ENOMEM, "out of memory");
	if (spec->n_taps > 0 && !spec->plan->net.mac)
		return err_set(err, EINVAL, "the machine's network has no address of its own");
	int r = program_path("hull-monitor", &path, err);
	if (r == 0)
		r = command_new(SOCK_SEQPACKET, &c, err);
	if (r < 0 || !c)
		return r;
	int program = command_open(c, path, 0, "program");
	command_line(c, spec);
	r = open_kvm(c, err);
	if (r < 0)
		return r;
	return command_launch(c, spec,
			      (struct box){.program = program, .prepare = enter_root, .ctx = root},
			      ret);
}

/* "poweroff exits=…" */
static enum monitor_word word(const char *line)
{
	static const struct {
		const char *text;
		enum monitor_word word;
	} ends[] = {
		{"poweroff ", MONITOR_POWEROFF},
		{"reset ", MONITOR_RESTART},
		{"triple-fault ", MONITOR_RESET},
	};

	for (size_t i = 0; i < sizeof(ends) / sizeof(ends[0]); i++) {
		if (strncmp(line, ends[i].text, strlen(ends[i].text)) == 0)
			return ends[i].word;
	}
	return MONITOR_NOTHING;
}

const struct driver kvm_driver = {.name = "hull-monitor",
				  .launch = launch,
				  .word = word,
				  .asked = true};
