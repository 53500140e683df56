/* SPDX-License-Identifier: Apache-2.0 */
/* A file that is to be loaded as a kernel: ELF or bzImage, as the store's might have become. */
#include <stdint.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/err.h"
#include "base/fd.h"
#include "vmm/arch.h"
#include "vmm/gmem.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	static struct gmem *mem;
	struct err err = ERR_INIT;
	struct arch_entry entry;

	if (!mem && gmem_new(8 << 20, &mem, &err) < 0)
		return 0;
	AUTO_CLOSE int fd = memfd_create("kernel", MFD_CLOEXEC);
	if (fd < 0 || write(fd, data, n) != (ssize_t)n)
		return 0;
	struct arch_boot boot = {.mem = mem,
				 .kernel = fd,
				 .initramfs = fd,
				 .cmdline = "quiet",
				 .cpus = 1,
				 .devices = 1};
	if (arch_load(&boot, &entry, &err) == 0 &&
	    (entry.protocol != ENTRY_PVH && entry.protocol != ENTRY_LINUX64))
		__builtin_trap();
	return 0;
}
