/* SPDX-License-Identifier: Apache-2.0 */
/* Offsets of the bzImage header are those of Documentation/arch/x86/boot.rst; the PVH note is
 * XEN_ELFNOTE_PHYS32_ENTRY of Xen's public/elfnote.h. */
#include "machine/vmlinux.h"

#include <ctype.h>
#include <elf.h>
#include <errno.h>
#include <string.h>

#include "base/err.h"

enum {
	SETUP_SECTS = 0x1f1,
	SYSSIZE = 0x1f4,
	BOOT_FLAG = 0x1fe,
	HEADER_MAGIC = 0x202,
	BOOT_VERSION = 0x206,
	KERNEL_VERSION = 0x20e,
	XLOADFLAGS = 0x236,
	PAYLOAD_OFFSET = 0x248,
	PAYLOAD_LENGTH = 0x24c,
	INIT_SIZE = 0x260,
	SETUP_HEADER_END = 0x268,
	ARM64_MAGIC = 56,
	XLF_64 = 1,
	PVH_NOTE = 18,
};

static uint16_t le16(const uint8_t *p)
{
	return (uint16_t)(p[0] | p[1] << 8);
}

static uint32_t le32(const uint8_t *p)
{
	return le16(p) | (uint32_t)le16(p + 2) << 16;
}

bool kernel_release_ok(const char *release)
{
	size_t n = strlen(release);

	if (n == 0 || n > KERNEL_RELEASE_MAX || release[0] == '.' || release[0] == '-')
		return false;
	for (size_t i = 0; i < n; i++) {
		if (!isascii(release[i]) ||
		    (!isalnum((unsigned char)release[i]) && !strchr("._+~-", release[i])))
			return false;
	}
	return true;
}

/* The first word at p becomes the release, when it is fit to be one. */
static void take_release(const uint8_t *p, size_t n, struct kernel_image *ret)
{
	size_t len = 0;

	while (len < n && len < KERNEL_RELEASE_MAX && p[len] > ' ' && p[len] < 0x7f)
		len++;
	memcpy(ret->release, p, len);
	ret->release[len] = '\0';
	if (!kernel_release_ok(ret->release))
		ret->release[0] = '\0';
}

static enum kernel_payload payload_kind(const uint8_t *p, size_t n)
{
	static const struct {
		size_t len;
		enum kernel_payload kind;
		uint8_t magic[4];
	} kinds[] = {
		{2, PAYLOAD_GZIP, {0x1f, 0x8b}},
		{4, PAYLOAD_XZ, {0xfd, '7', 'z', 'X'}},
		{4, PAYLOAD_ZSTD, {0x28, 0xb5, 0x2f, 0xfd}},
		{4, PAYLOAD_LZ4, {0x02, 0x21, 0x4c, 0x18}},
	};

	for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
		if (n > 8 && memcmp(p, kinds[i].magic, kinds[i].len) == 0)
			return kinds[i].kind;
	}
	return PAYLOAD_UNKNOWN;
}

static int check_bzimage(const uint8_t *p, size_t n, struct kernel_image *ret, struct err *err)
{
	if (n < SETUP_HEADER_END || le16(p + BOOT_FLAG) != 0xaa55)
		return err_set(err, EINVAL, "the kernel's header is damaged");
	if (le16(p + BOOT_VERSION) < 0x20c)
		return err_set(err, EINVAL, "the kernel is older than Linux 3.8");
	if (!(le16(p + XLOADFLAGS) & XLF_64))
		return err_set(err, EINVAL, "the kernel is built for 32-bit x86, not x86-64");

	size_t setup = ((size_t)(p[SETUP_SECTS] ? p[SETUP_SECTS] : 4) + 1) * 512;
	size_t body = (size_t)le32(p + SYSSIZE) * 16;
	if (setup + body > n || body == 0)
		return err_set(err, EINVAL, "the kernel is cut short: %zu of %zu bytes", n,
			       setup + body);
	size_t at = le32(p + PAYLOAD_OFFSET);
	size_t len = le32(p + PAYLOAD_LENGTH);
	if (at > body || len > body - at)
		return err_set(err, EINVAL, "the kernel's payload lies outside of the file");

	*ret = (struct kernel_image){.form = KERNEL_BZIMAGE,
				     .payload_at = setup + at,
				     .payload_len = len,
				     .memory = le32(p + INIT_SIZE)};
	ret->payload = payload_kind(p + ret->payload_at, len);
	size_t text = (size_t)le16(p + KERNEL_VERSION) + 0x200;
	if (text > 0x200 && text < setup)
		take_release(p + text, setup - text, ret);
	return 0;
}

static const char *elf_machine(uint16_t machine)
{
	switch (machine) {
	case EM_386:
		return "32-bit x86";
	case EM_AARCH64:
		return "arm64";
	case EM_ARM:
		return "arm";
	case EM_RISCV:
		return "riscv64";
	case EM_PPC64:
		return "ppc64";
	case EM_S390:
		return "s390x";
	default:
		return "another architecture";
	}
}

/* Whether one of the notes in [p, p + n) is the PVH entry's. */
static bool notes_have_pvh(const uint8_t *p, size_t n)
{
	while (n >= sizeof(Elf64_Nhdr)) {
		size_t name = ((size_t)le32(p) + 3) & ~(size_t)3;
		size_t desc = ((size_t)le32(p + 4) + 3) & ~(size_t)3;
		size_t left = n - sizeof(Elf64_Nhdr);
		if (name > left || desc > left - name)
			return false;
		if (le32(p + 8) == PVH_NOTE && name == 4 &&
		    memcmp(p + sizeof(Elf64_Nhdr), "Xen", 4) == 0)
			return true;
		p += sizeof(Elf64_Nhdr) + name + desc;
		n = left - name - desc;
	}
	return false;
}

static int check_segment(const uint8_t *p, size_t n, const Elf64_Phdr *ph, uint64_t *low,
			 uint64_t *high, struct kernel_image *ret, struct err *err)
{
	if (ph->p_type != PT_LOAD && ph->p_type != PT_NOTE)
		return 0;
	if (ph->p_offset > n || ph->p_filesz > n - ph->p_offset)
		return err_set(err, EINVAL,
			       "the kernel is cut short: a segment ends beyond the file");
	if (ph->p_type == PT_NOTE) {
		ret->pvh |= notes_have_pvh(p + ph->p_offset, ph->p_filesz);
		return 0;
	}
	uint64_t end;
	if (ph->p_memsz < ph->p_filesz || __builtin_add_overflow(ph->p_paddr, ph->p_memsz, &end) ||
	    end > UINT32_MAX)
		return err_set(err, EINVAL, "the kernel's segments lie");
	*low = ph->p_paddr < *low ? ph->p_paddr : *low;
	*high = end > *high ? end : *high;
	return 0;
}

static int check_elf_header(const uint8_t *p, size_t n, Elf64_Ehdr *eh, struct err *err)
{
	if (n < sizeof(*eh))
		return err_set(err, EINVAL, "the kernel's header is damaged");
	memcpy(eh, p, sizeof(*eh));
	if (eh->e_ident[EI_DATA] != ELFDATA2LSB || eh->e_machine != EM_X86_64 ||
	    eh->e_ident[EI_CLASS] != ELFCLASS64)
		return err_set(err, EINVAL, "the kernel is built for %s, not x86-64",
			       elf_machine(eh->e_machine));
	if ((eh->e_type != ET_EXEC && eh->e_type != ET_DYN) ||
	    eh->e_phentsize != sizeof(Elf64_Phdr) || eh->e_phnum == 0 || eh->e_phoff > n ||
	    eh->e_phnum > (n - eh->e_phoff) / sizeof(Elf64_Phdr))
		return err_set(err, EINVAL, "the kernel's header is damaged");
	return 0;
}

static int check_elf(const uint8_t *p, size_t n, struct kernel_image *ret, struct err *err)
{
	static const char banner[] = "Linux version ";
	Elf64_Ehdr eh;
	uint64_t low = UINT64_MAX;
	uint64_t high = 0;

	int r = check_elf_header(p, n, &eh, err);
	if (r < 0)
		return r;
	*ret = (struct kernel_image){.form = KERNEL_ELF};
	for (size_t i = 0; i < eh.e_phnum; i++) {
		Elf64_Phdr ph;
		memcpy(&ph, p + eh.e_phoff + i * sizeof(ph), sizeof(ph));
		r = check_segment(p, n, &ph, &low, &high, ret, err);
		if (r < 0)
			return r;
	}
	if (high <= low)
		return err_set(err, EINVAL, "the kernel has nothing to load");
	const uint8_t *text = memmem(p, n, banner, sizeof(banner) - 1);
	if (!text)
		return err_set(err, EINVAL, "a program, but no Linux kernel");
	take_release(text + sizeof(banner) - 1, n - (size_t)(text - p) - (sizeof(banner) - 1), ret);
	ret->memory = high - low;
	if (!ret->pvh)
		return err_set(
			err, EINVAL,
			"the kernel has no PVH entry (CONFIG_PVH); give its vmlinuz instead");
	return 0;
}

int kernel_image_check(const uint8_t *bytes, size_t n, struct kernel_image *ret, struct err *err)
{
	if (n >= SELFMAG && memcmp(bytes, ELFMAG, SELFMAG) == 0)
		return check_elf(bytes, n, ret, err);
	if (n >= HEADER_MAGIC + 4 && memcmp(bytes + HEADER_MAGIC, "HdrS", 4) == 0)
		return check_bzimage(bytes, n, ret, err);
	if (n >= ARM64_MAGIC + 4 && memcmp(bytes + ARM64_MAGIC, "ARM\x64", 4) == 0)
		return err_set(err, EINVAL, "the kernel is built for arm64, not x86-64");
	return err_set(err, EINVAL, "no Linux kernel (neither vmlinuz nor vmlinux)");
}
