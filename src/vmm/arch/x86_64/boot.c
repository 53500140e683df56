/* SPDX-License-Identifier: Apache-2.0 */
/* PVH: Documentation of Xen, misc/pvh.pandoc, and its public/arch-x86/hvm/start_info.h. */
#include <asm/bootparam.h>
#include <errno.h>
#include <stddef.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/err.h"
#include "vmm/arch/x86_64/layout.h"
#include "vmm/gmem.h"

enum { MEMORY_USABLE = 1, MEMORY_RESERVED = 2, MAP_MAX = 4 };

/* hvm_start_info, version 1 */
struct start_info {
	uint32_t magic, version, flags, n_modules;
	uint64_t modules, cmdline, rsdp, memory_map;
	uint32_t n_memory_map, reserved;
};

/* hvm_modlist_entry */
struct start_module {
	uint64_t address, size, cmdline, reserved;
};

/* hvm_memmap_table_entry */
struct start_memory {
	uint64_t address, size;
	uint32_t type, reserved;
};

/* What both protocols tell. */
struct told {
	struct start_memory map[MAP_MAX];
	unsigned n_map;
	uint64_t rsdp;
	uint64_t initramfs, initramfs_size;
};

static void add_memory(struct told *t, uint64_t address, uint64_t size, uint32_t type)
{
	t->map[t->n_map++] = (struct start_memory){.address = address, .size = size, .type = type};
}

static void memory_map(const struct gmem *mem, struct told *t)
{
	struct gmem_run runs[GMEM_RUNS];
	size_t n = gmem_runs(mem, runs);

	add_memory(t, 0, LOW_END, MEMORY_USABLE);
	add_memory(t, AT_TABLES, HIGH - AT_TABLES, MEMORY_RESERVED);
	add_memory(t, HIGH, runs[0].size - HIGH, MEMORY_USABLE);
	if (n > 1)
		add_memory(t, runs[1].gpa, runs[1].size, MEMORY_USABLE);
}

/* At the end of low memory, behind what the kernel takes. */
static int load_initramfs(const struct gmem *mem, int fd, uint64_t kernel_end, struct told *t,
			  struct err *err)
{
	enum { PAGE = 4096 };
	struct gmem_run runs[GMEM_RUNS];
	struct stat st;

	if (fstat(fd, &st) < 0)
		return err_sys(err, "the initramfs's file");
	uint64_t size = S_ISREG(st.st_mode) ? (uint64_t)st.st_size : 0;
	(void)gmem_runs(mem, runs);
	if (size == 0 || size > runs[0].size)
		return err_set(err, EINVAL, "the initramfs is empty, or larger than the memory");
	uint64_t at = (runs[0].size - size) & ~(uint64_t)(PAGE - 1);
	uint8_t *to = at >= kernel_end ? gmem_at(mem, at, size) : NULL;
	if (!to)
		return err_set(err, ENOMEM,
			       "kernel and initramfs do not fit into the machine's memory");
	t->initramfs = at;
	t->initramfs_size = size;
	for (uint64_t done = 0; done < size;) {
		ssize_t n = pread(fd, to + done, size - done, (off_t)done);
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return n < 0 ? err_sys(err, "read the initramfs")
				     : err_set(err, EINVAL, "the initramfs is cut short");
		done += (uint64_t)n;
	}
	return 0;
}

static int tell_pvh(const struct gmem *mem, const struct told *t, struct err *err)
{
	struct start_module module = {.address = t->initramfs, .size = t->initramfs_size};
	struct start_info info = {.magic = 0x336ec578,
				  .version = 1,
				  .n_modules = t->initramfs_size > 0,
				  .modules = AT_MODULES,
				  .cmdline = AT_CMDLINE,
				  .rsdp = t->rsdp,
				  .memory_map = AT_MEMORY_MAP,
				  .n_memory_map = t->n_map};

	int r = gmem_put(mem, AT_START_INFO, &info, sizeof(info), "start info", err);
	if (r == 0)
		r = gmem_put(mem, AT_MODULES, &module, sizeof(module), "start info", err);
	if (r == 0)
		r = gmem_put(mem, AT_MEMORY_MAP, t->map, t->n_map * sizeof(t->map[0]), "memory map",
			     err);
	return r;
}

/* Long mode is the caller's to set up: the first GiB one to one, and flat segments. */
static int put_long_mode(const struct gmem *mem, struct err *err)
{
	static const uint64_t gdt[] = {0, 0, 0x00af9b000000ffff, 0x00cf93000000ffff,
				       0x008f8b000000ffff};
	enum { ENTRIES = 512, PRESENT_WRITE = 3, LARGE = 0x80, LARGE_SHIFT = 21 };
	uint64_t tables[3][ENTRIES] = {{AT_PAGE_TABLES + sizeof(tables[0]) + PRESENT_WRITE},
				       {AT_PAGE_TABLES + 2 * sizeof(tables[0]) + PRESENT_WRITE}};

	for (uint64_t i = 0; i < ENTRIES; i++)
		tables[2][i] = i << LARGE_SHIFT | LARGE | PRESENT_WRITE;
	int r = gmem_put(mem, AT_PAGE_TABLES, tables, sizeof(tables), "page tables", err);
	return r < 0 ? r : gmem_put(mem, AT_GDT, gdt, sizeof(gdt), "segments", err);
}

static int tell_linux64(const struct gmem *mem, const struct kernel_loaded *k, const struct told *t,
			struct err *err)
{
	enum { LOADER_UNKNOWN = 0xff };
	static struct boot_params p; /* a page: not on a thread's stack */

	memset(&p, 0, sizeof(p));
	memcpy(&p.hdr, k->header, k->header_len < sizeof(p.hdr) ? k->header_len : sizeof(p.hdr));
	p.hdr.type_of_loader = LOADER_UNKNOWN;
	p.hdr.cmd_line_ptr = AT_CMDLINE;
	p.hdr.ramdisk_image = (uint32_t)t->initramfs; /* low memory: below 3 GiB */
	p.hdr.ramdisk_size = (uint32_t)t->initramfs_size;
	p.acpi_rsdp_addr = t->rsdp;
	p.e820_entries = (uint8_t)t->n_map;
	for (unsigned i = 0; i < t->n_map; i++)
		p.e820_table[i] = (struct boot_e820_entry){t->map[i].address, t->map[i].size,
							   t->map[i].type};
	int r = put_long_mode(mem, err);
	return r < 0 ? r : gmem_put(mem, AT_ZERO_PAGE, &p, sizeof(p), "boot parameters", err);
}

static int put_tables(const struct arch_boot *boot, struct told *t, struct err *err)
{
	AUTO_BUF struct buf tables = BUF_INIT;

	acpi_tables(&tables, AT_TABLES, boot->cpus, boot->devices, &t->rsdp);
	int r = buf_check(&tables, err);
	if (r < 0)
		return r;
	return gmem_put(boot->mem, AT_TABLES, tables.data, tables.len, "ACPI", err);
}

int arch_load(const struct arch_boot *boot, struct arch_entry *ret, struct err *err)
{
	struct kernel_loaded k = {0};
	struct told told = {0};

	size_t n = strlen(boot->cmdline);
	if (n > ARCH_CMDLINE_MAX)
		return err_set(err, E2BIG, "the kernel's command line has %zu bytes, at most %d", n,
			       ARCH_CMDLINE_MAX);
	int r = gmem_put(boot->mem, AT_CMDLINE, boot->cmdline, n + 1, "command line", err);
	if (r == 0)
		r = kernel_load(boot->mem, boot->kernel, &k, err);
	if (r == 0 && boot->initramfs >= 0)
		r = load_initramfs(boot->mem, boot->initramfs, k.end, &told, err);
	if (r == 0)
		r = put_tables(boot, &told, err);
	if (r < 0)
		return r;
	memory_map(boot->mem, &told);
	bool pvh = k.entry.protocol == ENTRY_PVH;
	*ret = k.entry;
	ret->info = pvh ? AT_START_INFO : AT_ZERO_PAGE;
	return pvh ? tell_pvh(boot->mem, &told, err) : tell_linux64(boot->mem, &k, &told, err);
}
