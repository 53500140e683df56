/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Machines by qemu-system-x86_64, shut into a box (box.h): an empty read-only root with the host's
 * programs, the kernel and its initramfs; no network, no rights. Every disk is a descriptor handed
 * over in an fd set, so that it opens no file of the host's by name.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <linux/if_tun.h>
#include <net/if.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/fd.h"
#include "base/io.h"
#include "base/str.h"
#include "machine/box.h"
#include "machine/driver.h"
#include "machine/vmdk.h"
#include "proto/message.h"
#include "proto/plan.h"

#define QEMU "/usr/bin/qemu-system-x86_64"

/* Without a network or a terminal nothing else prints there; panic=-1 and reboot=t end the machine
 * at once; the self-tests of ciphers cost a tenth of the boot; a timer that a busy host emulates
 * late would be taken for a broken one (panic: IO-APIC + timer doesn't work). */
#define KERNEL_ARGS "console=ttyS0 quiet panic=-1 reboot=t cryptomgr.notests no_timer_check"

/* qemu 7.2's translation of cmpxchg16b loses flags when an interrupt comes: on a busy host 3 of 7
 * boots of 6.12 crashed in the slab allocator, none of 8 when the kernel did not use it. Programs
 * still find it. */
#define KERNEL_ARGS_TCG " clearcpuid=cx16"

enum { FDS_MAX = 1024, PAIRS = 3 };

/* The command line in the making. The first failure sticks. */
struct line {
	struct strv argv;
	int fds[FDS_MAX]; /* what stays open in qemu, borrowed; opened ones are in `own` too */
	size_t n_fds;
	int own[FDS_MAX];
	size_t n_own;
	unsigned sets; /* fd sets so far; their numbers begin at 1 */
	struct err *err;
	int failed;
};

static void line_done(struct line *l)
{
	strv_done(&l->argv);
	for (size_t i = 0; i < l->n_own; i++)
		auto_close(&l->own[i]);
	free(l);
}

DEFINE_AUTO(struct line, line_done)

static void arg(struct line *l, const char *fmt, ...) HULL_PRINTF(2, 3);
static void arg(struct line *l, const char *fmt, ...)
{
	char *text = NULL;
	va_list ap;

	va_start(ap, fmt);
	int n = vasprintf(&text, fmt, ap);
	va_end(ap);
	if (n < 0)
		l->failed = err_set(l->err, ENOMEM, "out of memory");
	else if (l->failed == 0)
		l->failed = strv_add(&l->argv, text, l->err);
	free(n < 0 ? NULL : text);
}

static void keep(struct line *l, int fd)
{
	if (l->n_fds == FDS_MAX) {
		l->failed = err_set(l->err, EMFILE, "the machine has too many disks");
		return;
	}
	l->fds[l->n_fds++] = fd;
}

/* Hands fd (borrowed) over as "/dev/fdset/N", whose number it returns. */
static unsigned hand_over(struct line *l, int fd)
{
	keep(l, fd);
	l->sets++;
	arg(l, "-add-fd");
	arg(l, "fd=%d,set=%u", fd, l->sets);
	return l->sets;
}

static void own(struct line *l, int fd)
{
	if (l->n_own == FDS_MAX)
		(void)close(fd);
	else
		l->own[l->n_own++] = fd;
}

static void disk(struct line *l, const char *serial, bool readonly)
{
	arg(l, "-device");
	arg(l, "virtio-blk-pci,drive=%s,serial=%s%s", serial, serial,
	    readonly ? "" : ",discard=on,write-zeroes=on");
}

/* A read-only descriptor of a file in memory that holds the text; owned by the line. */
static int text_file(struct line *l, const struct buf *text, struct err *err)
{
	char path[64];

	int r = buf_check(text, err);
	if (r < 0)
		return r;
	AUTO_CLOSE int fd = memfd_create("layers", MFD_CLOEXEC);
	if (fd < 0)
		return err_sys(err, "make the descriptor of the layers' disk");
	r = write_all(fd, text->data, text->len, "layers", err);
	if (r < 0)
		return r;
	(void)snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	int readonly = open(path, O_RDONLY | O_CLOEXEC); /* fd sets match the way of opening */
	if (readonly < 0)
		return err_sys(err, "open the descriptor of the layers' disk");
	own(l, readonly);
	return readonly;
}

/* Hands every layer over and describes the disk that shows them back to back. */
static int describe_layers(struct line *l, const struct monitor_spec *spec, struct buf *text,
			   struct err *err)
{
	size_t n = spec->layers->n;
	AUTO_FREE uint64_t *sectors = calloc(n, sizeof(*sectors));
	AUTO_FREE char(*names)[32] = calloc(n, sizeof(*names));
	AUTO_FREE const char **list = calloc(n, sizeof(*list));

	if (!sectors || !names || !list)
		return err_set(err, ENOMEM, "out of memory");
	for (size_t i = 0; i < n; i++) {
		int fd = open(spec->layers->v[i], O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
		if (fd < 0)
			return err_sys(err, "open layer '%s'", spec->layers->v[i]);
		own(l, fd);
		(void)snprintf(names[i], sizeof(names[i]), "/dev/fdset/%u", hand_over(l, fd));
		list[i] = names[i];
		sectors[i] = spec->layer_sizes[i] / 512;
	}
	vmdk_describe(text, list, sectors, n);
	return 0;
}

static int layers(struct line *l, const struct monitor_spec *spec, struct err *err)
{
	AUTO_BUF struct buf text = BUF_INIT;

	int r = describe_layers(l, spec, &text, err);
	int fd = r < 0 ? r : text_file(l, &text, err);
	if (fd < 0)
		return fd;
	unsigned set = hand_over(l, fd);
	arg(l, "-blockdev");
	arg(l,
	    "driver=vmdk,node-name=" MACHINE_DISK_LAYERS
	    ",read-only=on,file.driver=file,file.filename=/dev/fdset/%u,file.read-only=on",
	    set);
	disk(l, MACHINE_DISK_LAYERS, true);
	return l->failed;
}

static void raw_disk(struct line *l, const char *serial, int fd, bool readonly, bool volatile_)
{
	unsigned set = hand_over(l, fd);

	arg(l, "-blockdev");
	arg(l,
	    "driver=raw,node-name=%s,read-only=%s,cache.no-flush=%s,discard=unmap,"
	    "file.driver=file,file.filename=/dev/fdset/%u,file.locking=off",
	    serial, readonly ? "on" : "off", volatile_ ? "on" : "off", set);
	disk(l, serial, readonly);
}

static void disks(struct line *l, const struct monitor_spec *spec, struct err *err)
{
	if (spec->layers->n > 0 && layers(l, spec, err) < 0) {
		l->failed = -err->code;
		return;
	}
	if (spec->scratch >= 0)
		raw_disk(l, MACHINE_DISK_SCRATCH, spec->scratch, false, spec->scratch_volatile);
	if (spec->modules >= 0)
		raw_disk(l, MACHINE_DISK_MODULES, spec->modules, true, false);
}

static void processor(struct line *l, const struct plan_machine *m, bool shared_memory)
{
	bool kvm = m->accel == ACCEL_KVM;
	uint64_t mib = (m->memory + (1 << 20) - 1) >> 20;

	arg(l, "-machine");
	arg(l, "q35,hpet=off,sata=off,smbus=off,usb=off,vmport=off,memory-backend=mem");
	arg(l, "-accel");
	arg(l, "%s", kvm ? "kvm" : "tcg,tb-size=128");
	arg(l, "-cpu");
	arg(l, "%s", kvm ? "host" : "max");
	arg(l, "-smp");
	arg(l, "%u", m->cpus ? m->cpus : 1);
	arg(l, "-m");
	arg(l, "%" PRIu64 "M", mib);
	arg(l, "-object");
	/* another process reads the memory only when there is a share */
	arg(l,
	    shared_memory ? "memory-backend-memfd,id=mem,share=on,size=%" PRIu64 "M"
			  : "memory-backend-ram,id=mem,size=%" PRIu64 "M",
	    mib);
}

static void socket_device(struct line *l, const char *id, int fd)
{
	keep(l, fd);
	arg(l, "-chardev");
	arg(l, "socket,id=%s,fd=%d", id, fd);
}

static void devices(struct line *l, const struct monitor_spec *spec, const int pairs[PAIRS][2])
{
	socket_device(l, "console", pairs[0][1]);
	arg(l, "-serial");
	arg(l, "chardev:console");
	socket_device(l, "channel", pairs[1][1]);
	arg(l, "-device");
	arg(l, "virtio-serial-pci,max_ports=2");
	arg(l, "-device");
	arg(l, "virtserialport,chardev=channel,name=" MACHINE_PORT);
	socket_device(l, "control", pairs[2][1]);
	arg(l, "-mon");
	arg(l, "chardev=control,mode=control");
	arg(l, "-device");
	arg(l, "virtio-rng-pci");
	if (spec->share >= 0) {
		socket_device(l, "share", spec->share);
		arg(l, "-device");
		arg(l, "vhost-user-fs-pci,chardev=share,tag=%s", spec->share_tag);
	}
	if (spec->tap >= 0) {
		const char *mac = spec->plan->net.mac;
		keep(l, spec->tap);
		arg(l, "-netdev");
		arg(l, "tap,id=net,fd=%d", spec->tap);
		arg(l, "-device");
		arg(l, "virtio-net-pci,netdev=net,romfile=%s%s", mac ? ",mac=" : "",
		    mac ? mac : "");
	}
}

static void kernel(struct line *l, const struct plan_machine *m)
{
	arg(l, "-kernel");
	arg(l, "/hull/kernel");
	arg(l, "-initrd");
	arg(l, "/hull/initramfs");
	arg(l, "-append");
	arg(l, KERNEL_ARGS "%s%s%s", m->accel == ACCEL_KVM ? "" : KERNEL_ARGS_TCG,
	    m->kernel_args ? " " : "", m->kernel_args ? m->kernel_args : "");
}

static void command_line(struct line *l, const struct monitor_spec *spec, const int pairs[PAIRS][2],
			 struct err *err)
{
	static const char *const fixed[] = {
		QEMU,
		"-nodefaults",
		"-no-user-config",
		"-display",
		"none",
		"-vga",
		"none",
		"-no-reboot",
		"-sandbox",
		"on,obsolete=deny,elevateprivileges=deny,spawn=deny,resourcecontrol=deny"};

	for (size_t i = 0; i < sizeof(fixed) / sizeof(fixed[0]); i++)
		arg(l, "%s", fixed[i]);
	processor(l, &spec->plan->machine, spec->share >= 0);
	kernel(l, &spec->plan->machine);
	devices(l, spec, pairs);
	disks(l, spec, err);
}

struct root {
	const char *at;
	bool kvm;
	const char *files[2][2];
};

static int enter_root(void *ctx, struct err *err)
{
	const struct root *root = ctx;

	return box_enter_root(root->at, root->kvm, root->files, 2, err);
}

static int start(const struct monitor_spec *spec, const struct line *l, int complaints,
		 struct monitor *ret, struct err *err)
{
	const struct plan_machine *m = &spec->plan->machine;
	struct root root = {spec->root,
			    m->accel == ACCEL_KVM,
			    {{m->kernel, "kernel"}, {spec->initramfs, "initramfs"}}};
	struct box box = {.argv = &l->argv,
			  .fds = l->fds,
			  .n_fds = l->n_fds,
			  .err = complaints,
			  .group = spec->group,
			  .prepare = enter_root,
			  .ctx = &root,
			  .powerless = true};

	ret->pid = box_spawn(&box, &ret->pidfd, err);
	return ret->pid < 0 ? ret->pid : 0;
}

static int make_pairs(int pairs[PAIRS][2], int pipe_fds[2], struct err *err)
{
	for (int i = 0; i < PAIRS; i++) {
		if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pairs[i]) < 0)
			return err_sys(err, "create socket pair");
	}
	return pipe2(pipe_fds, O_CLOEXEC) < 0 ? err_sys(err, "create pipe") : 0;
}

static int launch(const struct monitor_spec *spec, struct monitor *ret, struct err *err)
{
	static const char hello[] = "{\"execute\":\"qmp_capabilities\"}\n";
	int pairs[PAIRS][2] = {{-1, -1}, {-1, -1}, {-1, -1}};
	int pipe_fds[2] = {-1, -1};
	AUTO(auto_line_done) struct line *l = calloc(1, sizeof(*l));

	if (!l)
		return err_set(err, ENOMEM, "out of memory");
	l->err = err;
	int r = make_pairs(pairs, pipe_fds, err);
	if (r == 0) {
		command_line(l, spec, pairs, err);
		r = l->failed;
	}
	if (r == 0) /* waits in the socket until qemu reads it */
		r = write_all(pairs[2][0], hello, sizeof(hello) - 1, "qemu's control", err);
	if (r == 0)
		r = start(spec, l, pipe_fds[1], ret, err);
	if (r == 0) {
		ret->console = TAKE_FD(pairs[0][0]);
		ret->channel = TAKE_FD(pairs[1][0]);
		ret->control = TAKE_FD(pairs[2][0]);
		ret->complaints = TAKE_FD(pipe_fds[0]);
	}
	for (int i = 0; i < PAIRS; i++) {
		auto_close(&pairs[i][0]);
		auto_close(&pairs[i][1]);
	}
	auto_close(&pipe_fds[0]);
	auto_close(&pipe_fds[1]);
	return r;
}

/* {"timestamp": …, "event": "SHUTDOWN", "data": {"guest": true, "reason": "guest-reset"}} */
static enum monitor_word word(const char *line)
{
	static const struct {
		const char *text;
		enum monitor_word word;
	} reasons[] = {
		{"\"guest-shutdown\"", MONITOR_POWEROFF},
		{"\"guest-reset\"", MONITOR_RESET},
		{"\"guest-panic\"", MONITOR_PANIC},
	};

	if (!strstr(line, "\"SHUTDOWN\""))
		return MONITOR_NOTHING;
	for (size_t i = 0; i < sizeof(reasons) / sizeof(reasons[0]); i++) {
		if (strstr(line, reasons[i].text))
			return reasons[i].word;
	}
	return MONITOR_NOTHING;
}

const struct driver qemu_driver = {.name = "qemu", .launch = launch, .word = word};
