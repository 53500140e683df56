/* SPDX-License-Identifier: Apache-2.0 */
/* An ELF is entered by its PVH note (XEN_ELFNOTE_PHYS32_ENTRY of Xen's public/elfnote.h), a
 * bzImage, which unpacks itself, by the 64-bit protocol of Documentation/arch/x86/boot.rst. */
#include <asm/bootparam.h>
#include <elf.h>
#include <errno.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/err.h"
#include "base/io.h"
#include "vmm/arch/x86_64/layout.h"
#include "vmm/gmem.h"

enum { SEGMENTS_MAX = 64, NOTES_MAX = 4096, PVH_NOTE = 18 };

/* What one reads of a kernel's file. */
struct source {
	int fd;
	uint64_t size;
	const struct gmem *mem;
};

static int read_at(const struct source *s, uint64_t offset, void *to, size_t n, struct err *err)
{
	uint8_t *at = to;

	if (offset > s->size || n > s->size - offset)
		return err_set(err, EINVAL, "the kernel is cut short");
	while (n > 0) {
		ssize_t r = pread(s->fd, at, n, (off_t)offset);
		if (r < 0 && errno == EINTR)
			continue;
		if (r < 0)
			return err_sys(err, "read the kernel");
		if (r == 0)
			return err_set(err, EINVAL, "the kernel is cut short");
		at += r;
		n -= (size_t)r;
		offset += (uint64_t)r;
	}
	return 0;
}

static int read_to_guest(const struct source *s, uint64_t offset, uint64_t gpa, uint64_t n,
			 uint64_t room, struct err *err)
{
	void *to = gpa >= HIGH && n <= room ? gmem_at(s->mem, gpa, room) : NULL;

	if (!to)
		return err_set(err, EINVAL, "the kernel does not fit into the machine's memory");
	return read_at(s, offset, to, n, err);
}

/* --- ELF --- */

/* The 32-bit entry that a note in these n bytes names; 0: none. */
static uint32_t pvh_entry(const uint8_t *p, size_t n)
{
	Elf64_Nhdr h;
	uint32_t entry;

	while (n >= sizeof(h)) {
		memcpy(&h, p, sizeof(h));
		size_t name = ((size_t)h.n_namesz + 3) & ~(size_t)3;
		size_t desc = ((size_t)h.n_descsz + 3) & ~(size_t)3;
		size_t left = n - sizeof(h);
		if (name > left || desc > left - name)
			return 0;
		if (h.n_type == PVH_NOTE && h.n_namesz == 4 && h.n_descsz >= sizeof(entry) &&
		    memcmp(p + sizeof(h), "Xen", 4) == 0) {
			memcpy(&entry, p + sizeof(h) + name, sizeof(entry));
			return entry;
		}
		p += sizeof(h) + name + desc;
		n = left - name - desc;
	}
	return 0;
}

static int load_segment(const struct source *s, const Elf64_Phdr *ph, struct kernel_loaded *ret,
			struct err *err)
{
	uint8_t notes[NOTES_MAX];

	if (ph->p_type == PT_NOTE && ph->p_filesz <= sizeof(notes) && !ret->entry.address) {
		int r = read_at(s, ph->p_offset, notes, ph->p_filesz, err);
		ret->entry.address = r < 0 ? 0 : pvh_entry(notes, ph->p_filesz);
		return r;
	}
	if (ph->p_type != PT_LOAD || ph->p_memsz == 0)
		return 0;
	int r = read_to_guest(s, ph->p_offset, ph->p_paddr, ph->p_filesz, ph->p_memsz, err);
	if (r == 0 && ph->p_paddr + ph->p_memsz > ret->end)
		ret->end = ph->p_paddr + ph->p_memsz;
	return r;
}

static int load_elf(const struct source *s, struct kernel_loaded *ret, struct err *err)
{
	Elf64_Phdr ph[SEGMENTS_MAX] = {0};
	Elf64_Ehdr eh = {0};

	int r = read_at(s, 0, &eh, sizeof(eh), err);
	if (r < 0)
		return r;
	if (eh.e_ident[EI_CLASS] != ELFCLASS64 || eh.e_machine != EM_X86_64 ||
	    eh.e_phentsize != sizeof(ph[0]) || eh.e_phnum == 0 || eh.e_phnum > SEGMENTS_MAX)
		return err_set(err, EINVAL, "the kernel is no ELF for x86-64");
	r = read_at(s, eh.e_phoff, ph, eh.e_phnum * sizeof(ph[0]), err);
	for (size_t i = 0; i < eh.e_phnum && r == 0; i++)
		r = load_segment(s, &ph[i], ret, err);
	if (r < 0)
		return r;
	if (!ret->entry.address || !ret->end)
		return err_set(err, EINVAL, "the kernel has no PVH entry");
	ret->entry.protocol = ENTRY_PVH;
	return 0;
}

/* --- bzImage --- */

static int load_bzimage(const struct source *s, struct kernel_loaded *ret, struct err *err)
{
	enum { HEADER_AT = 0x1f1, HEADER_LENGTH_AT = 0x201, ENTRY_64 = 0x200 };
	struct setup_header h = {0};
	uint8_t first[4096];

	int r = read_at(s, 0, first, sizeof(first), err);
	if (r < 0)
		return r;
	memcpy(&h, first + HEADER_AT, sizeof(h));
	if (h.version < 0x20c || !(h.xloadflags & XLF_KERNEL_64))
		return err_set(err, EINVAL, "the kernel has no 64-bit entry");
	uint64_t offset = ((uint64_t)(h.setup_sects ? h.setup_sects : 4) + 1) * 512;
	uint64_t n = s->size > offset ? s->size - offset : 0;
	uint64_t room = h.init_size > n ? h.init_size : n;
	r = read_to_guest(s, offset, h.pref_address, n, room, err);
	if (r < 0)
		return r;
	size_t len = (size_t)first[HEADER_LENGTH_AT] + 0x202 - HEADER_AT;
	ret->header_len = len < sizeof(ret->header) ? len : sizeof(ret->header);
	memcpy(ret->header, first + HEADER_AT, ret->header_len);
	ret->entry = (struct arch_entry){.address = h.pref_address + ENTRY_64,
					 .protocol = ENTRY_LINUX64};
	ret->end = h.pref_address + room;
	return 0;
}

int kernel_load(const struct gmem *mem, int fd, struct kernel_loaded *ret, struct err *err)
{
	struct source s = {.fd = fd, .mem = mem};
	struct stat st;
	char magic[SELFMAG];

	if (fstat(fd, &st) < 0)
		return err_sys(err, "the kernel's file");
	if (!S_ISREG(st.st_mode))
		return err_set(err, EINVAL, "the kernel is no regular file");
	s.size = (uint64_t)st.st_size;
	*ret = (struct kernel_loaded){0};
	int r = read_at(&s, 0, magic, sizeof(magic), err);
	if (r < 0)
		return r;
	return memcmp(magic, ELFMAG, SELFMAG) == 0 ? load_elf(&s, ret, err)
						   : load_bzimage(&s, ret, err);
}
