/* SPDX-License-Identifier: Apache-2.0 */
/* The machine as its own files see it: what vmm.c makes and runs, and requests ask about. */
#pragma once

#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/buf.h"
#include "base/err.h"
#include "vmm/arch.h"
#include "vmm/balloon.h"
#include "vmm/block.h"
#include "vmm/bus.h"
#include "vmm/control.h"
#include "vmm/fs.h"
#include "vmm/gmem.h"
#include "vmm/hotmem.h"
#include "vmm/net.h"
#include "vmm/port.h"
#include "vmm/standstill.h"
#include "vmm/vcpu.h"
#include "vmm/vmm.h"

struct loop;
struct vmm;

/* Gets a processor's thread out of KVM; it does nothing by itself. */
enum { VMM_STOP_SIGNAL = SIGUSR1 };

/* A processor and what its thread needs. */
struct cpu {
	struct vcpu vcpu;
	struct vmm *vmm;
	pid_t tid; /* of its thread; atomic; 0: it has not begun */
};

struct vmm {
	const struct vmm_config *config;
	int vm; /* KVM's machine */
	int over; /* eventfd: `end` or `why` is set */
	struct gmem *mem;
	struct bus bus;
	struct loop *loop, *disk_loop, *fs_loop;
	struct timer *start_timer; /* the start is over */
	struct control control;
	struct port port;
	struct virtio rng;
	struct balloon balloon;
	struct hotmem hotmem; /* of a machine that may be given more */
	struct net net, spare_nets[VMM_SPARE_NETS];
	struct fs fs;
	struct pool pool; /* of all disks */
	struct block disks[VMM_DISKS_MAX], spare_disks[VMM_SPARE_DISKS];
	struct cpu cpus[ARCH_CPUS_MAX];
	pid_t pid; /* our own */
	struct standstill standstill; /* of the processors' threads */
	bool paused; /* asked for by a request */
	struct buf state; /* what "save" writes; its memory is there from the beginning */
	uint64_t started_us, entered_us; /* when vmm_run() began, and the guest; by clock_us() */

	pthread_mutex_t lock; /* of what follows: the first word counts */
	bool ended;
	enum vmm_end end;
	struct err why; /* code 0: it ended by itself */
};

/* What may be asked of a running machine; ctx is the struct vmm. */
extern const struct control_verb vmm_requests[];

/* "report": what the machine is made of and what became of it, a line each:
 *	memory ADDRESS BYTES
 *	device SLOT KIND LABEL OFFERED AGREED STATUS READY_US QUEUE_SIZE[,QUEUE_SIZE]…
 *	exits PORTS MMIO OTHER
 *	times STARTED_US ENTERED_US
 * Numbers are decimal; a label that is none is "-", a queue that is off has size 0. A device that
 *is held by its thread for long has zeros, and "busy" for its queues. */
int report_answer(void *ctx, struct control_call *call, struct err *err) HULL_MUST_CHECK;

/* "memory [BYTES]": asks the guest to have so much, no more than --max-memory; answers how much it
 * has by now. It gets there in its own time, or never. */
int memory_answer(void *ctx, struct control_call *call, struct err *err) HULL_MUST_CHECK;

/* Fills in how often the processors left the guest. */
void vmm_count_exits(const struct vmm *m, struct vmm_report *ret);

/* "disk SERIAL ro|rw BYTES", "net MAC", each with its file or tap: the answer is the number of the
 * device. "unplug SERIAL|NUMBER". "size SERIAL BYTES": of the disk's last file. "limit DEVICE
 * read|write BYTES|- REQUESTS|-": of a disk by its serial, of "net" or an interface by its number;
 * what is "-" stays. */
int plug_disk(void *ctx, struct control_call *call, struct err *err) HULL_MUST_CHECK;
int plug_net(void *ctx, struct control_call *call, struct err *err) HULL_MUST_CHECK;
int plug_remove(void *ctx, struct control_call *call, struct err *err) HULL_MUST_CHECK;
int plug_resize(void *ctx, struct control_call *call, struct err *err) HULL_MUST_CHECK;
int plug_limit(void *ctx, struct control_call *call, struct err *err) HULL_MUST_CHECK;

/* Puts back to its place what had come to the machine that was written down. */
int vmm_plug_again(struct vmm *m, const struct vmm_plugged *p, struct err *err) HULL_MUST_CHECK;

/* The limit holds from now on. */
int vmm_limit_device(struct vmm *m, const struct vmm_limit *to, struct err *err) HULL_MUST_CHECK;
