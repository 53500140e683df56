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
#include "machine/command.h"
#include "machine/driver.h"
#include "machine/vmdk.h"
#include "proto/message.h"
#include "proto/plan.h"

#define QEMU "/usr/bin/qemu-system-x86_64"

/* Without a network or a terminal nothing else prints there; panic=-1 and reboot=t end the machine
 * at once; the self-tests of ciphers cost a tenth of the boot; a timer that a busy host emulates
 * late would be taken for a broken one (panic: IO-APIC + timer doesn't work). qemu 7.2's
 * translation of cmpxchg16b loses flags when an interrupt comes: on a busy host 3 of 7 boots
 * of 6.12 crashed in the slab allocator, none of 8 when the kernel did not use it. Programs still
 * find it. */
#define KERNEL_ARGS                                                                                \
	"console=ttyS0 quiet panic=-1 reboot=t cryptomgr.notests no_timer_check clearcpuid=cx16"

/* Hands fd (borrowed) over as "/dev/fdset/N", whose number it returns. */
static unsigned hand_over(struct command *l, int fd)
{
	command_keep(l, fd);
	l->sets++;
	command_arg(l, "-add-fd");
	command_arg(l, "fd=%d,set=%u", fd, l->sets);
	return l->sets;
}

static void disk(struct command *l, const char *serial, bool readonly)
{
	command_arg(l, "-device");
	command_arg(l, "virtio-blk-pci,drive=%s,serial=%s%s", serial, serial,
		    readonly ? "" : ",discard=on,write-zeroes=on");
}

/* A read-only descriptor of a file in memory that holds the text; owned by the line. */
static int text_file(struct command *l, const struct buf *text, struct err *err)
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
	command_own(l, readonly);
	return readonly;
}

/* Hands every layer over and describes the disk that shows them back to back. */
static int describe_layers(struct command *l, const struct monitor_spec *spec, struct buf *text,
			   struct err *err)
{
	size_t n = spec->layers->n;
	AUTO_FREE uint64_t *sectors = calloc(n, sizeof(*sectors));
	AUTO_FREE char(*names)[32] = calloc(n, sizeof(*names));
	AUTO_FREE const char **list = calloc(n, sizeof(*list));

	if (!sectors || !names || !list)
		return err_set(err, ENOMEM, "out of memory");
	for (size_t i = 0; i < n; i++) {
		int fd = command_open(l, spec->layers->v[i], O_NOFOLLOW, "layer");
		if (fd < 0)
			return l->failed;
		(void)snprintf(names[i], sizeof(names[i]), "/dev/fdset/%u", hand_over(l, fd));
		list[i] = names[i];
		sectors[i] = spec->layer_sizes[i] / 512;
	}
	vmdk_describe(text, list, sectors, n);
	return 0;
}

static int layers(struct command *l, const struct monitor_spec *spec, struct err *err)
{
	AUTO_BUF struct buf text = BUF_INIT;

	int r = describe_layers(l, spec, &text, err);
	int fd = r < 0 ? r : text_file(l, &text, err);
	if (fd < 0)
		return fd;
	unsigned set = hand_over(l, fd);
	command_arg(l, "-blockdev");
	command_arg(l,
		    "driver=vmdk,node-name=" MACHINE_DISK_LAYERS
		    ",read-only=on,file.driver=file,file.filename=/dev/fdset/%u,file.read-only=on",
		    set);
	disk(l, MACHINE_DISK_LAYERS, true);
	return l->failed;
}

static void raw_disk(struct command *l, const char *serial, int fd, bool readonly, bool volatile_)
{
	unsigned set = hand_over(l, fd);

	command_arg(l, "-blockdev");
	command_arg(l,
		    "driver=raw,node-name=%s,read-only=%s,cache.no-flush=%s,discard=unmap,"
		    "file.driver=file,file.filename=/dev/fdset/%u,file.locking=off",
		    serial, readonly ? "on" : "off", volatile_ ? "on" : "off", set);
	disk(l, serial, readonly);
}

static void disks(struct command *l, const struct monitor_spec *spec, struct err *err)
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

static void processor(struct command *l, const struct monitor_spec *spec)
{
	uint64_t mib = (spec->plan->machine.memory + (1 << 20) - 1) >> 20;

	command_arg(l, "-machine");
	command_arg(l, "q35,hpet=off,sata=off,smbus=off,usb=off,vmport=off,memory-backend=mem");
	command_arg(l, "-accel");
	command_arg(l, "tcg,tb-size=128");
	command_arg(l, "-cpu");
	command_arg(l, "max");
	command_arg(l, "-smp");
	command_arg(l, "%u", spec->max_cpus);
	command_arg(l, "-m");
	command_arg(l, "%" PRIu64 "M", mib);
	command_arg(l, "-object");
	/* another process reads the memory only when there is a share */
	command_arg(l,
		    spec->share >= 0 ? "memory-backend-memfd,id=mem,share=on,size=%" PRIu64 "M"
				     : "memory-backend-ram,id=mem,size=%" PRIu64 "M",
		    mib);
}

static void socket_device(struct command *l, const char *id, int fd)
{
	command_keep(l, fd);
	command_arg(l, "-chardev");
	command_arg(l, "socket,id=%s,fd=%d", id, fd);
}

static void devices(struct command *l, const struct monitor_spec *spec)
{
	socket_device(l, "console", l->streams[STREAM_CONSOLE]);
	command_arg(l, "-serial");
	command_arg(l, "chardev:console");
	socket_device(l, "channel", l->streams[STREAM_CHANNEL]);
	command_arg(l, "-device");
	command_arg(l, "virtio-serial-pci,max_ports=2");
	command_arg(l, "-device");
	command_arg(l, "virtserialport,chardev=channel,name=" MACHINE_PORT);
	socket_device(l, "control", l->streams[STREAM_CONTROL]);
	command_arg(l, "-mon");
	command_arg(l, "chardev=control,mode=control");
	command_arg(l, "-device");
	command_arg(l, "virtio-rng-pci");
	if (spec->share >= 0) {
		socket_device(l, "share", spec->share);
		command_arg(l, "-device");
		command_arg(l, "vhost-user-fs-pci,chardev=share,tag=%s", spec->share_tag);
	}
	if (spec->n_taps > 0) { /* one: there are more only with KVM */
		const char *mac = spec->plan->net.mac;
		command_keep(l, spec->taps[0]);
		command_arg(l, "-netdev");
		command_arg(l, "tap,id=net,fd=%d", spec->taps[0]);
		command_arg(l, "-device");
		command_arg(l, "virtio-net-pci,netdev=net,romfile=%s%s", mac ? ",mac=" : "",
			    mac ? mac : "");
	}
}

static void kernel(struct command *l, const struct monitor_spec *spec)
{
	command_arg(l, "-kernel");
	command_arg(l, "/hull/kernel");
	command_arg(l, "-initrd");
	command_arg(l, "/hull/initramfs");
	command_arg(l, "-append");
	command_kernel_args(l, KERNEL_ARGS, spec);
}

static void command_line(struct command *l, const struct monitor_spec *spec, struct err *err)
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
		command_arg(l, "%s", fixed[i]);
	processor(l, spec);
	kernel(l, spec);
	devices(l, spec);
	disks(l, spec, err);
}

struct root {
	const char *at;
	const char *files[2][2];
};

static int enter_root(void *ctx, struct err *err)
{
	const struct root *root = ctx;

	return box_enter_root(root->at, root->files, 2, err);
}

static int launch(const struct monitor_spec *spec, struct monitor *ret, struct err *err)
{
	static const char hello[] = "{\"execute\":\"qmp_capabilities\"}\n";
	const struct plan_machine *m = &spec->plan->machine;
	AUTO(auto_command_free) struct command *l = NULL;
	struct root root = {spec->root, {{m->kernel, "kernel"}, {spec->initramfs, "initramfs"}}};

	int r = command_new(SOCK_STREAM, &l, err);
	if (r < 0)
		return r;
	command_line(l, spec, err);
	/* waits in the socket until qemu reads it */
	r = write_all(l->ours[STREAM_CONTROL], hello, sizeof(hello) - 1, "qemu's control", err);
	return r < 0 ? r
		     : command_launch(l, spec, (struct box){.prepare = enter_root, .ctx = &root},
				      ret);
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
