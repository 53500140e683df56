/* SPDX-License-Identifier: Apache-2.0 */
#include "guest/plug.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <unistd.h>

#include "base/err.h"
#include "base/io.h"

#define DRIVER "/sys/bus/platform/drivers/virtio-mmio"

/* As the kernel calls the ACPI device of this number, after its _HID. */
static int name(uint32_t slot, char text[16], struct err *err)
{
	if (slot >= PLUG_SLOTS_MAX)
		return err_set(err, EINVAL, "a machine has no device %" PRIu32, slot);
	(void)snprintf(text, 16, "LNRO0005:%02" PRIx32, slot);
	return 0;
}

static bool is_bound(const char *device)
{
	char path[sizeof(DRIVER) + 32];

	(void)snprintf(path, sizeof(path), "%s/%s", DRIVER, device);
	return access(path, F_OK) == 0;
}

int plug_bind(uint32_t slot, struct err *err)
{
	char device[16];

	int r = name(slot, device, err);
	if (r < 0 || is_bound(device))
		return r;
	return file_put(AT_FDCWD, DRIVER "/bind", device, err);
}

int plug_unbind(uint32_t slot, struct err *err)
{
	char device[16];

	int r = name(slot, device, err);
	if (r < 0 || !is_bound(device))
		return r;
	return file_put(AT_FDCWD, DRIVER "/unbind", device, err);
}
