/* SPDX-License-Identifier: Apache-2.0 */
#include "vmm/bus.h"

#include <string.h>

#include "vmm/virtio.h"

/* The device whose registers hold [address, address + n), and where within; NULL: none. */
static struct virtio *find(const struct bus *bus, uint64_t address, size_t n, uint32_t *at)
{
	if (address < ARCH_MMIO_BASE)
		return NULL;
	uint64_t index = (address - ARCH_MMIO_BASE) / ARCH_MMIO_STRIDE;
	*at = (uint32_t)((address - ARCH_MMIO_BASE) % ARCH_MMIO_STRIDE);
	return index < bus->n && *at + n <= VIRTIO_MMIO_SIZE ? bus->devices[index] : NULL;
}

void bus_read(struct bus *bus, uint64_t address, void *bytes, size_t n)
{
	uint32_t at;
	struct virtio *v = find(bus, address, n, &at);

	if (v)
		virtio_read(v, at, bytes, n);
	else
		memset(bytes, 0xff, n);
}

void bus_write(struct bus *bus, uint64_t address, const void *bytes, size_t n)
{
	uint32_t at;
	struct virtio *v = find(bus, address, n, &at);

	if (v)
		virtio_write(v, at, bytes, n);
}
