/* SPDX-License-Identifier: Apache-2.0 */
/* What a machine's processors reach beside memory: device registers and ports. */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "vmm/arch.h"
#include "vmm/ports.h"

struct virtio;

struct bus {
	struct virtio *devices[ARCH_DEVICES_MAX]; /* borrowed; by address and interrupt line */
	unsigned n;
	struct ports ports;
};

/* A guest's access of n bytes (1 to 8) at a physical address that is no memory; where nothing is,
 * all ones are read. From any vCPU thread. */
void bus_read(struct bus *bus, uint64_t address, void *bytes, size_t n);

/* A guest's write; where nothing is, it is lost. */
void bus_write(struct bus *bus, uint64_t address, const void *bytes, size_t n);
