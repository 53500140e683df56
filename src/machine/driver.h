/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What runs a machine: a monitor started by a driver. machine.c sees only this; it owns the
 * machine's life and what is said over the descriptors.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/attr.h"

struct err;
struct hostgroup;
struct plan;
struct strv;

/* What a machine is made of; all borrowed for the call. */
struct monitor_spec {
	const struct plan *plan; /* kernel, memory, net */
	unsigned cpus, max_cpus; /* that the kernel starts, and that there are */
	const char *initramfs;
	const struct strv *layers; /* EROFS files, lowest first */
	const uint64_t *layer_sizes; /* bytes, whole sectors */
	int scratch; /* the writable disk, opened for both; -1: none */
	bool scratch_volatile; /* nobody wants it after the machine's end */
	int modules; /* the kernel's modules, read-only; -1: none */
	int share; /* struct share's connection; -1: no share */
	const char *share_tag;
	const int *taps; /* of one interface, one for each pair of queues */
	unsigned n_taps; /* 0: no network */
	const char *root; /* an empty folder for the monitor's own root */
	const struct hostgroup *group;
};

/* A monitor that runs; machine_end tells why it stopped. Descriptors are owned by who launched. */
struct monitor {
	pid_t pid;
	int pidfd;
	int channel; /* stream to the agent's port */
	int console; /* what the guest's serial line says */
	int control; /* what the monitor says about itself: lines, or packets (ask.h) */
	int complaints; /* its standard error */
};

/* What a line of `control` tells. */
enum monitor_word {
	MONITOR_NOTHING,
	MONITOR_POWEROFF,
	MONITOR_RESTART, /* the guest's kernel asked for it */
	MONITOR_RESET, /* by the processor: a triple fault */
	MONITOR_PANIC,
};

struct driver {
	const char *name;
	bool asked; /* its monitor takes requests: `control` is for an asker (ask.h) */
	/* Starts the machine. On failure nothing is left. */
	int (*launch)(const struct monitor_spec *spec, struct monitor *ret, struct err *err);
	/* Judges a line of `control`, without its newline. */
	enum monitor_word (*word)(const char *line);
};

/* Emulated machines. */
extern const struct driver qemu_driver;
/* hull's own monitor: machines on KVM. */
extern const struct driver kvm_driver;
