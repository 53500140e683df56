/* SPDX-License-Identifier: Apache-2.0 */
#include "../test.h"

#include <elf.h>
#include <stdlib.h>

#include "base/attr.h"
#include "base/err.h"
#include "machine/vmlinux.h"

enum { SECTOR = 512, SETUP = 4 * SECTOR, BODY = 4096, WHOLE = SETUP + BODY };

static void put16(uint8_t *p, uint32_t v)
{
	p[0] = (uint8_t)v;
	p[1] = (uint8_t)(v >> 8);
}

static void put32(uint8_t *p, uint32_t v)
{
	put16(p, v & 0xffff);
	put16(p + 2, v >> 16);
}

/* A header as Linux 6 writes it, the payload a zstd frame at 64 of the body. */
static void bzimage(uint8_t f[WHOLE])
{
	memset(f, 0, WHOLE);
	f[0x1f1] = 3;
	put32(f + 0x1f4, BODY / 16);
	put16(f + 0x1fe, 0xaa55);
	memcpy(f + 0x202, "HdrS", 4);
	put16(f + 0x206, 0x20f);
	put16(f + 0x20e, 0x400);
	memcpy(f + 0x600, "6.1.0-1-cloud-amd64 (x@y) #1", 28);
	put16(f + 0x236, 1);
	put32(f + 0x248, 64);
	put32(f + 0x24c, 1000);
	put32(f + 0x260, 50 << 20);
	memcpy(f + SETUP + 64, "\x28\xb5\x2f\xfd", 4);
}

static int check(const uint8_t *f, size_t n, struct kernel_image *image, struct err *err)
{
	/* a copy of exactly n bytes, so that ASan sees a read beyond */
	AUTO_FREE uint8_t *copy = malloc(n ? n : 1);
	if (!copy)
		abort();
	memcpy(copy, f, n);
	*err = ERR_INIT;
	return kernel_image_check(copy, n, image, err);
}

TEST(a_bzimage_tells_its_release_and_payload)
{
	uint8_t f[WHOLE];
	struct kernel_image image;
	struct err err;

	bzimage(f);
	EXPECT_EQ(check(f, WHOLE, &image, &err), 0);
	EXPECT_EQ(image.form, KERNEL_BZIMAGE);
	EXPECT_STR(image.release, "6.1.0-1-cloud-amd64");
	EXPECT_EQ(image.payload, PAYLOAD_ZSTD);
	EXPECT_EQ(image.payload_at, SETUP + 64);
	EXPECT_EQ(image.payload_len, 1000);
	EXPECT_EQ(image.memory, 50 << 20);
}

TEST(a_bzimage_cut_anywhere_is_refused)
{
	uint8_t f[WHOLE];
	struct kernel_image image;
	struct err err;

	bzimage(f);
	for (size_t n = 0; n < WHOLE; n++)
		EXPECT(check(f, n, &image, &err) < 0);
	EXPECT(check(f, WHOLE - 1, &image, &err) < 0);
	EXPECT(strstr(err.msg, "cut short") != NULL);
}

TEST(a_payload_outside_of_the_file_is_refused)
{
	uint8_t f[WHOLE];
	struct kernel_image image;
	struct err err;

	bzimage(f);
	put32(f + 0x248, 0xfffffff0);
	EXPECT(check(f, WHOLE, &image, &err) < 0);
	bzimage(f);
	put32(f + 0x24c, 0xffffffff);
	EXPECT(check(f, WHOLE, &image, &err) < 0);
	EXPECT(strstr(err.msg, "outside") != NULL);
}

TEST(kernels_of_other_widths_are_named)
{
	uint8_t f[WHOLE];
	struct kernel_image image;
	struct err err;

	bzimage(f);
	put16(f + 0x236, 0);
	EXPECT(check(f, WHOLE, &image, &err) < 0);
	EXPECT(strstr(err.msg, "32-bit") != NULL);
	memset(f, 0, WHOLE);
	memcpy(f + 56, "ARM\x64", 4);
	EXPECT(check(f, WHOLE, &image, &err) < 0);
	EXPECT_STR(err.msg, "the kernel is built for arm64, not x86-64");
}

TEST(a_release_that_is_no_name_is_not_taken)
{
	uint8_t f[WHOLE];
	struct kernel_image image;
	struct err err;

	bzimage(f);
	memcpy(f + 0x600, "../../etc ", 10);
	EXPECT_EQ(check(f, WHOLE, &image, &err), 0);
	EXPECT_STR(image.release, "");
	EXPECT(!kernel_release_ok(""));
	EXPECT(!kernel_release_ok(".."));
	EXPECT(!kernel_release_ok("a/b"));
	EXPECT(!kernel_release_ok("-rf"));
	EXPECT(kernel_release_ok("6.12.95+deb12-cloud-amd64"));
}

TEST(texts_and_empty_files_are_no_kernels)
{
	struct kernel_image image;
	struct err err;

	EXPECT(check((const uint8_t *)"#!/bin/sh\n", 10, &image, &err) < 0);
	EXPECT_STR(err.msg, "no Linux kernel (neither vmlinuz nor vmlinux)");
	EXPECT(check((const uint8_t *)"", 0, &image, &err) < 0);
}

struct elf {
	Elf64_Ehdr eh;
	Elf64_Phdr ph[2];
	struct {
		Elf64_Nhdr head;
		char name[4];
		uint32_t entry;
	} note;
	char banner[64];
};

static void vmlinux(struct elf *e)
{
	*e = (struct elf){.eh = {.e_type = ET_EXEC,
				 .e_machine = EM_X86_64,
				 .e_version = 1,
				 .e_phoff = offsetof(struct elf, ph),
				 .e_ehsize = sizeof(Elf64_Ehdr),
				 .e_phentsize = sizeof(Elf64_Phdr),
				 .e_phnum = 2},
			  .ph = {{.p_type = PT_LOAD,
				  .p_filesz = sizeof(*e),
				  .p_memsz = 8 << 20,
				  .p_paddr = 16 << 20},
				 {.p_type = PT_NOTE,
				  .p_offset = offsetof(struct elf, note),
				  .p_filesz = sizeof(e->note)}},
			  .note = {{4, 4, 18}, "Xen", 0x1000000},
			  .banner = "Linux version 6.12.9 (a@b) #1"};
	memcpy(e->eh.e_ident, ELFMAG, SELFMAG);
	e->eh.e_ident[EI_CLASS] = ELFCLASS64;
	e->eh.e_ident[EI_DATA] = ELFDATA2LSB;
}

TEST(an_elf_kernel_tells_its_release_and_memory)
{
	struct elf e;
	struct kernel_image image;
	struct err err;

	vmlinux(&e);
	EXPECT_EQ(check((uint8_t *)&e, sizeof(e), &image, &err), 0);
	EXPECT_EQ(image.form, KERNEL_ELF);
	EXPECT_STR(image.release, "6.12.9");
	EXPECT_EQ(image.memory, 8 << 20);
	EXPECT(image.pvh);
}

TEST(an_elf_that_lies_is_refused)
{
	struct elf e;
	struct kernel_image image;
	struct err err;

	vmlinux(&e);
	e.ph[0].p_filesz = sizeof(e) + 1;
	EXPECT(check((uint8_t *)&e, sizeof(e), &image, &err) < 0);
	vmlinux(&e);
	e.ph[0].p_offset = UINT64_MAX - 4;
	EXPECT(check((uint8_t *)&e, sizeof(e), &image, &err) < 0);
	vmlinux(&e);
	e.ph[0].p_memsz = UINT64_MAX;
	EXPECT(check((uint8_t *)&e, sizeof(e), &image, &err) < 0);
	vmlinux(&e);
	e.eh.e_phnum = 0xffff;
	EXPECT(check((uint8_t *)&e, sizeof(e), &image, &err) < 0);
	vmlinux(&e);
	e.eh.e_phoff = UINT64_MAX;
	EXPECT(check((uint8_t *)&e, sizeof(e), &image, &err) < 0);
	vmlinux(&e);
	e.note.head.n_descsz = UINT32_MAX;
	EXPECT(check((uint8_t *)&e, sizeof(e), &image, &err) < 0);
	EXPECT(strstr(err.msg, "PVH") != NULL);
}

TEST(programs_and_foreign_elf_files_are_named)
{
	struct elf e;
	struct kernel_image image;
	struct err err;

	vmlinux(&e);
	memset(e.banner, 0, sizeof(e.banner));
	EXPECT(check((uint8_t *)&e, sizeof(e), &image, &err) < 0);
	EXPECT_STR(err.msg, "a program, but no Linux kernel");
	vmlinux(&e);
	e.eh.e_machine = EM_AARCH64;
	EXPECT(check((uint8_t *)&e, sizeof(e), &image, &err) < 0);
	EXPECT_STR(err.msg, "the kernel is built for arm64, not x86-64");
	for (size_t n = 4; n < sizeof(Elf64_Ehdr); n++)
		EXPECT(check((uint8_t *)&e, n, &image, &err) < 0);
}
