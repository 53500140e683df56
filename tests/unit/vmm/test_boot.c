/* SPDX-License-Identifier: Apache-2.0 */
#include "../test.h"

#include <asm/bootparam.h>
#include <elf.h>
#include <stddef.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "rig.h"

#include "base/attr.h"
#include "base/err.h"
#include "base/fd.h"
#include "vmm/arch.h"

enum { CODE_AT = 0x200000, CODE = 4096, NOTE_SIZE = 20, FILE_SIZE = 8192, ENTRY = 0x200100 };
enum { START_INFO = 0x6000, TABLES = 0xe0000, TABLES_END = 0x100000 };

/* A kernel as small as can be: one segment and one note. */
struct elf {
	Elf64_Ehdr head;
	Elf64_Phdr load, note;
	Elf64_Nhdr note_head;
	char note_name[4];
	uint32_t entry;
};

static struct elf good(void)
{
	return (struct elf){
		.head = {.e_ident = {0x7f, 'E', 'L', 'F', ELFCLASS64, ELFDATA2LSB},
			 .e_machine = EM_X86_64,
			 .e_phentsize = sizeof(Elf64_Phdr),
			 .e_phnum = 2,
			 .e_phoff = offsetof(struct elf, load)},
		.load = {.p_type = PT_LOAD,
			 .p_offset = 0,
			 .p_paddr = CODE_AT,
			 .p_filesz = CODE,
			 .p_memsz = 3 * CODE},
		.note = {.p_type = PT_NOTE,
			 .p_offset = offsetof(struct elf, note_head),
			 .p_filesz = NOTE_SIZE},
		.note_head = {.n_namesz = 4, .n_descsz = 4, .n_type = 18},
		.note_name = "Xen",
		.entry = ENTRY,
	};
}

static int file_of(const void *bytes, size_t n, size_t whole)
{
	int fd = memfd_create("kernel", MFD_CLOEXEC);

	if (fd < 0 || ftruncate(fd, (off_t)whole) < 0 || pwrite(fd, bytes, n, 0) != (ssize_t)n)
		abort();
	return fd;
}

static int load(const struct gmem *mem, int kernel, int initramfs, struct arch_entry *entry,
		struct err *err)
{
	struct arch_boot boot = {.mem = mem,
				 .kernel = kernel,
				 .initramfs = initramfs,
				 .cmdline = "quiet",
				 .cpus = 2,
				 .devices = 19};

	return arch_load(&boot, entry, err);
}

TEST(an_elf_is_loaded_and_told_of_its_machine)
{
	AUTO(auto_gmem_free) struct gmem *mem = rig_memory();
	struct elf elf = good();
	AUTO_CLOSE int kernel = file_of(&elf, sizeof(elf), FILE_SIZE);
	AUTO_CLOSE int initramfs = file_of("initramfs", 9, 5000);
	struct arch_entry entry;
	struct err err = ERR_INIT;
	uint32_t magic;
	uint64_t module[2], address[4];

	EXPECT_EQ(load(mem, kernel, initramfs, &entry, &err), 0);
	EXPECT_EQ(entry.protocol, ENTRY_PVH);
	EXPECT_EQ(entry.address, ENTRY);
	EXPECT_EQ(entry.info, START_INFO);
	EXPECT_EQ(memcmp(rig_at(mem, CODE_AT), "\177ELF", 4), 0);
	memcpy(&magic, rig_at(mem, START_INFO), sizeof(magic));
	EXPECT_EQ(magic, 0x336ec578);
	memcpy(address, rig_at(mem, START_INFO + 16), sizeof(address));
	memcpy(module, rig_at(mem, address[0]), sizeof(module));
	EXPECT_EQ(module[1], 5000);
	EXPECT_EQ(module[0] % 4096, 0);
	EXPECT_STR((const char *)rig_at(mem, module[0]), "initramfs");
	EXPECT_STR((const char *)rig_at(mem, address[1]), "quiet");
}

static uint8_t sum(const uint8_t *p, size_t n)
{
	uint8_t s = 0;

	while (n--)
		s = (uint8_t)(s + *p++);
	return s;
}

/* The table at gpa, when it lies among the tables and its sum is right. */
static const uint8_t *table(const struct gmem *mem, uint64_t gpa, const char *signature)
{
	uint32_t len;
	const uint8_t *at = gpa >= TABLES && gpa < TABLES_END - 36 ? rig_at(mem, gpa) : NULL;

	if (!at || memcmp(at, signature, 4) != 0)
		return NULL;
	memcpy(&len, at + 4, sizeof(len));
	return len >= 36 && len <= TABLES_END - gpa && sum(at, len) == 0 ? at : NULL;
}

TEST(the_tables_of_acpi_add_up)
{
	AUTO(auto_gmem_free) struct gmem *mem = rig_memory();
	struct elf elf = good();
	AUTO_CLOSE int kernel = file_of(&elf, sizeof(elf), FILE_SIZE);
	struct arch_entry entry;
	struct err err = ERR_INIT;
	uint64_t rsdp, xsdt, list[2], dsdt;

	EXPECT_EQ(load(mem, kernel, -1, &entry, &err), 0);
	memcpy(&rsdp, rig_at(mem, START_INFO + 32), sizeof(rsdp));
	const uint8_t *root = rig_at(mem, rsdp);
	EXPECT_EQ(memcmp(root, "RSD PTR ", 8), 0);
	EXPECT_EQ(sum(root, 20), 0);
	EXPECT_EQ(sum(root, 36), 0);
	memcpy(&xsdt, root + 24, sizeof(xsdt));
	const uint8_t *x = table(mem, xsdt, "XSDT");
	EXPECT(x);
	memcpy(list, x + 36, sizeof(list));
	const uint8_t *fadt = table(mem, list[0], "FACP");
	EXPECT(fadt);
	EXPECT(table(mem, list[1], "APIC"));
	memcpy(&dsdt, fadt + 140, sizeof(dsdt));
	const uint8_t *d = table(mem, dsdt, "DSDT");
	EXPECT(d);
	/* a device for each, as AML says it */
	uint32_t len;
	memcpy(&len, d + 4, sizeof(len));
	unsigned devices = 0;
	for (uint32_t i = 36; i + 9 < len; i++)
		devices += memcmp(d + i, "LNRO0005", 9) == 0;
	EXPECT_EQ(devices, 19);
}

/* What is wrong with a kernel's header. */
static bool refused(const struct elf *elf, size_t whole)
{
	AUTO(auto_gmem_free) struct gmem *mem = rig_memory();
	AUTO_CLOSE int kernel = file_of(elf, sizeof(*elf) < whole ? sizeof(*elf) : whole, whole);
	struct arch_entry entry;
	struct err err = ERR_INIT;

	return load(mem, kernel, -1, &entry, &err) < 0 && err.msg[0];
}

TEST(an_elf_that_lies_is_refused)
{
	struct elf e = good();

	EXPECT(!refused(&e, FILE_SIZE));
	for (size_t n = 0; n < sizeof(e); n++)
		EXPECT(refused(&e, n));
	EXPECT(refused(&e, CODE - 1));
	e = good();
	e.load.p_paddr = RIG_MEMORY - CODE;
	EXPECT(refused(&e, FILE_SIZE));
	e = good();
	e.load.p_paddr = UINT64_MAX - CODE;
	EXPECT(refused(&e, FILE_SIZE));
	e = good();
	e.load.p_paddr = 0; /* over what the kernel is told */
	EXPECT(refused(&e, FILE_SIZE));
	e = good();
	e.load.p_memsz = UINT64_MAX;
	EXPECT(refused(&e, FILE_SIZE));
	e = good();
	e.load.p_memsz = 16; /* less than the file has */
	EXPECT(refused(&e, FILE_SIZE));
	e = good();
	e.load.p_offset = UINT64_MAX - 16;
	EXPECT(refused(&e, FILE_SIZE));
	e = good();
	e.head.e_phoff = UINT64_MAX;
	EXPECT(refused(&e, FILE_SIZE));
	e = good();
	e.head.e_phnum = UINT16_MAX;
	EXPECT(refused(&e, FILE_SIZE));
	e = good();
	e.note_head.n_descsz = UINT32_MAX;
	EXPECT(refused(&e, FILE_SIZE));
	e = good();
	e.note_head.n_namesz = UINT32_MAX - 2;
	EXPECT(refused(&e, FILE_SIZE));
	e = good();
	e.note.p_type = PT_NULL;
	EXPECT(refused(&e, FILE_SIZE));
	e = good();
	e.head.e_machine = EM_AARCH64;
	EXPECT(refused(&e, FILE_SIZE));
}

TEST(a_bzimage_is_entered_in_64_bit_mode_and_one_that_lies_refused)
{
	AUTO(auto_gmem_free) struct gmem *mem = rig_memory();
	static uint8_t f[8192];
	struct setup_header h = {.setup_sects = 3,
				 .boot_flag = 0xaa55,
				 .jump = 0x66eb,
				 .header = 0x53726448,
				 .version = 0x20f,
				 .xloadflags = XLF_KERNEL_64,
				 .pref_address = CODE_AT,
				 .init_size = 1 << 20};
	struct arch_entry entry;
	struct err err = ERR_INIT;

	memcpy(f + 0x1f1, &h, sizeof(h));
	memcpy(f + 2048, "code", 4);
	AUTO_CLOSE int kernel = file_of(f, sizeof(f), sizeof(f));
	EXPECT_EQ(load(mem, kernel, -1, &entry, &err), 0);
	EXPECT_EQ(entry.protocol, ENTRY_LINUX64);
	EXPECT_EQ(entry.address, CODE_AT + 0x200);
	EXPECT_EQ(memcmp(rig_at(mem, CODE_AT), "code", 4), 0);

	h.init_size = UINT32_MAX; /* more than there is */
	memcpy(f + 0x1f1, &h, sizeof(h));
	AUTO_CLOSE int huge = file_of(f, sizeof(f), sizeof(f));
	EXPECT(load(mem, huge, -1, &entry, &err) < 0);
	h.init_size = 0;
	h.pref_address = UINT64_MAX;
	memcpy(f + 0x1f1, &h, sizeof(h));
	AUTO_CLOSE int far = file_of(f, sizeof(f), sizeof(f));
	EXPECT(load(mem, far, -1, &entry, &err) < 0);
	AUTO_CLOSE int cut = file_of(f, 1000, 1000);
	EXPECT(load(mem, cut, -1, &entry, &err) < 0);
}

TEST(an_initramfs_that_does_not_fit_is_refused)
{
	AUTO(auto_gmem_free) struct gmem *mem = rig_memory();
	struct elf elf = good();
	AUTO_CLOSE int kernel = file_of(&elf, sizeof(elf), FILE_SIZE);
	AUTO_CLOSE int large = file_of("x", 1, RIG_MEMORY + 1);
	AUTO_CLOSE int overlapping = file_of("x", 1, RIG_MEMORY - CODE_AT);
	AUTO_CLOSE int huge = file_of("x", 1, (size_t)1 << 40);
	AUTO_CLOSE int empty = file_of("", 0, 0);
	struct arch_entry entry;
	int files[] = {large, overlapping, huge, empty};

	for (size_t i = 0; i < 4; i++) {
		struct err err = ERR_INIT;
		EXPECT(load(mem, kernel, files[i], &entry, &err) < 0);
	}
}
