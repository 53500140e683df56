/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The monitor's door: one machine on KVM, from power on to its end. The process that runs it is
 * hull-monitor (main.c), which was given every descriptor it needs and opens nothing.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/attr.h"

struct err;

enum {
	VMM_DISKS_MAX = 7, /* with one of each other kind and the places all of the slots */
	VMM_SPARE_DISKS = 4, /* places for disks that come while the machine runs */
	VMM_SPARE_NETS = 2, /* the same, for network interfaces */
	VMM_PAIRS_MAX = 4, /* of a network interface's queues */
	VMM_LIMITS_MAX = 16,
	VMM_MAC_LEN = 6,
};

/* Files shown back to back as one disk; arrays of n, borrowed. A size of 0 is the file's own. */
struct vmm_disk {
	const char *serial; /* at most 20 bytes */
	bool readonly;
	bool careless; /* nobody wants it after a crash: what the guest flushes is not synced */
	int *fds;
	uint64_t *sizes;
	size_t n;
};

/* What a device may move in a second, in one direction; 0: as much as there is, VMM_KEEP: as much
 * as it might. */
#define VMM_KEEP UINT64_MAX
struct vmm_limit {
	const char *device; /* a disk's serial, "net" */
	bool write; /* of a network interface: what the guest sends */
	uint64_t bytes, requests;
};

/* A disk or an interface that came to the machine while it ran, before it was written down. */
struct vmm_plugged {
	unsigned slot; /* the number of the device, which was the answer then */
	int fd; /* taken */
	char *how; /* what was asked then: "disk SERIAL ro|rw BYTES", "net MAC"; is cut up */
};

/* What a machine is made of; all borrowed, descriptors too. -1 and NULL: there is none. */
struct vmm_config {
	int kvm; /* /dev/kvm */
	int kernel, initramfs; /* files; of a machine that is restored, there are none */
	int restore, memory_file; /* files that "save" wrote: state and memory */
	const char *cmdline;
	uint64_t memory; /* bytes, whole pages */
	uint64_t memory_max; /* bytes that it may be given while it runs; 0: no more */
	unsigned cpus;
	int console; /* takes what the guest's serial line says; written to with blocking */
	int control; /* who starts it says and hears here what control.h tells */
	int channel; /* connected stream socket, shown to the guest as port `port` */
	const char *port;
	int taps[VMM_PAIRS_MAX]; /* a tap interface with vnet headers, for each pair of queues */
	size_t n_taps; /* 0: no network, or a stream's */
	int stream; /* connected stream socket that takes and gives frames (stream.h) */
	int vhosts[VMM_PAIRS_MAX]; /* /dev/vhost-net, opened for each of them */
	size_t n_vhosts; /* as many, or 0: the monitor moves the frames itself */
	uint8_t mac[VMM_MAC_LEN];
	int share; /* SOCK_SEQPACKET to a hull-share */
	const char *share_tag;
	struct vmm_disk disks[VMM_DISKS_MAX];
	size_t n_disks;
	struct vmm_limit limits[VMM_LIMITS_MAX];
	size_t n_limits;
	struct vmm_plugged plugged[VMM_SPARE_DISKS + VMM_SPARE_NETS]; /* to a restored machine */
	size_t n_plugged;
	bool unconfined; /* no system-call filters: for a debugger */
};

/* Reads six bytes, two hexadecimal digits each, with colons between. */
bool vmm_parse_mac(const char *text, uint8_t mac[VMM_MAC_LEN]) HULL_MUST_CHECK;

/* How a machine ended by itself. */
enum vmm_end { VMM_POWEROFF = 1, VMM_RESET, VMM_TRIPLE_FAULT };

/* What is told at the end: how, and how often its processors left the guest, by reason. */
struct vmm_report {
	enum vmm_end end;
	uint64_t exits_ports, exits_mmio, exits_other;
};

/* Runs the machine in this thread and others; returns when it has ended. */
int vmm_run(const struct vmm_config *config, struct vmm_report *ret, struct err *err)
	HULL_MUST_CHECK;
