/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The smallest ACPI that stock kernels accept: hardware-reduced (ACPI 6.5 section 4.1), with power
 * off and reset by ports, each processor and the I/O APIC in the MADT, each virtio-mmio device in
 * the DSDT (_HID LNRO0005). AML is section 20.2.
 */
#include <string.h>

#include "base/buf.h"
#include "vmm/arch/x86_64/layout.h"
#include "vmm/virtio.h"

enum { HEADER = 36, CHECKSUM = 9 };

/* FADT: offsets within the table, and flags (section 5.2.9). */
enum {
	FADT_SIZE = 276,
	FADT_DSDT = 40,
	FADT_BOOT_ARCH = 109,
	FADT_FLAGS = 112,
	FADT_RESET = 116,
	FADT_RESET_VALUE = 128,
	FADT_MINOR = 131,
	FADT_X_DSDT = 140,
	FADT_SLEEP_CONTROL = 244,
	FADT_SLEEP_STATUS = 256,
	FADT_HYPERVISOR = 268,
	BOOT_NO_VGA = 1 << 2,
	BOOT_NO_RTC = 1 << 5,
	FLAG_WBINVD = 1 << 0,
	FLAG_NO_POWER_BUTTON = 1 << 4,
	FLAG_NO_SLEEP_BUTTON = 1 << 5,
	FLAG_RESET = 1 << 10,
	FLAG_REDUCED = 1 << 20,
};

/* AML */
enum {
	AML_BYTE = 0x0a,
	AML_DWORD = 0x0c,
	AML_STRING = 0x0d,
	AML_NAME = 0x08,
	AML_SCOPE = 0x10,
	AML_BUFFER = 0x11,
	AML_PACKAGE = 0x12,
	AML_EXTENDED = 0x5b,
	AML_DEVICE = 0x82,
};

static void byte(struct buf *b, unsigned v)
{
	char c = (char)v;

	buf_add(b, &c, 1);
}

static uint8_t sum(const char *p, size_t n)
{
	uint8_t s = 0;

	while (n--)
		s = (uint8_t)(s + (uint8_t)*p++);
	return (uint8_t)-s;
}

/* Appends a table around `body`; returns its guest address. */
static uint64_t table(struct buf *b, uint64_t at, const char *signature, unsigned revision,
		      const struct buf *body)
{
	while (b->len % 16 != 0)
		byte(b, 0);
	size_t begin = b->len;
	buf_add(b, signature, 4);
	buf_le32(b, (uint32_t)(HEADER + body->len));
	byte(b, revision);
	byte(b, 0);
	buf_str(b, "HULL  HULLTBL ");
	buf_le32(b, 1);
	buf_str(b, "HULL");
	buf_le32(b, 1);
	buf_add(b, body->data, body->len);
	if (!b->bad)
		b->data[begin + CHECKSUM] = (char)sum(b->data + begin, b->len - begin);
	return at + begin;
}

/* --- AML --- */

/* PkgLength counts itself; two bytes hold up to 4095, three a mebibyte. */
static void package(struct buf *b, const struct buf *body)
{
	size_t n = body->len + 1;

	if (n < 0x40) {
		byte(b, (unsigned)n);
	} else if (++n < 0x1000) {
		byte(b, 0x40 | (n & 15));
		byte(b, (unsigned)(n >> 4));
	} else {
		n++;
		byte(b, 0x80 | (n & 15));
		byte(b, (n >> 4) & 0xff);
		byte(b, (unsigned)(n >> 12));
	}
	buf_add(b, body->data, body->len);
	b->bad |= body->bad;
}

static void name(struct buf *b, const char *four)
{
	byte(b, AML_NAME);
	buf_add(b, four, 4);
}

/* Name (_S5_, Package () { 5, 0, 0, 0 }): how to power off. */
static void sleep_package(struct buf *b)
{
	AUTO_BUF struct buf body = BUF_INIT;

	byte(&body, 4);
	byte(&body, AML_BYTE);
	byte(&body, SLEEP_TYPE_OFF);
	for (int i = 0; i < 3; i++)
		byte(&body, 0);
	name(b, "_S5_");
	byte(b, AML_PACKAGE);
	package(b, &body);
}

/* Its registers and its interrupt: edge, active high, exclusive (section 6.4.3). */
static void resources(struct buf *b, unsigned index)
{
	enum { MEMORY32_FIXED = 0x86, EXTENDED_INTERRUPT = 0x89, END_TAG = 0x79, EDGE = 3 };
	AUTO_BUF struct buf r = BUF_INIT;
	AUTO_BUF struct buf body = BUF_INIT;

	byte(&r, MEMORY32_FIXED);
	byte(&r, 9);
	byte(&r, 0);
	byte(&r, 1); /* writable */
	buf_le32(&r, (uint32_t)(ARCH_MMIO_BASE + (uint64_t)index * ARCH_MMIO_STRIDE));
	buf_le32(&r, VIRTIO_MMIO_SIZE);
	byte(&r, EXTENDED_INTERRUPT);
	byte(&r, 6);
	byte(&r, 0);
	byte(&r, EDGE);
	byte(&r, 1); /* one line */
	buf_le32(&r, ARCH_FIRST_LINE + index);
	byte(&r, END_TAG);
	byte(&r, 0);
	byte(&body, AML_BYTE);
	byte(&body, (unsigned)r.len);
	buf_add(&body, r.data, r.len);
	name(b, "_CRS");
	byte(b, AML_BUFFER);
	package(b, &body);
}

static void device(struct buf *b, unsigned index)
{
	AUTO_BUF struct buf body = BUF_INIT;

	byte(&body, 'V');
	byte(&body, '0' + index / 10);
	byte(&body, '0' + index % 10);
	byte(&body, '_');
	name(&body, "_HID");
	byte(&body, AML_STRING);
	buf_add(&body, "LNRO0005", 9);
	name(&body, "_UID");
	byte(&body, AML_BYTE);
	byte(&body, index);
	name(&body, "_CCA"); /* caches are coherent */
	byte(&body, 1);
	resources(&body, index);
	byte(b, AML_EXTENDED);
	byte(b, AML_DEVICE);
	package(b, &body);
}

static uint64_t dsdt(struct buf *b, uint64_t at, unsigned devices)
{
	AUTO_BUF struct buf scope = BUF_INIT;
	AUTO_BUF struct buf body = BUF_INIT;

	sleep_package(&body);
	buf_str(&scope, "\\_SB_");
	for (unsigned i = 0; i < devices; i++)
		device(&scope, i);
	byte(&body, AML_SCOPE);
	package(&body, &scope);
	return table(b, at, "DSDT", 2, &body);
}

/* --- the others --- */

static uint64_t madt(struct buf *b, uint64_t at, unsigned cpus)
{
	enum { LOCAL_APIC = 0, IO_APIC = 1, ENABLED = 1 };
	AUTO_BUF struct buf body = BUF_INIT;

	buf_le32(&body, 0xfee00000);
	buf_le32(&body, 0); /* no PC-AT pair of 8259 */
	for (unsigned i = 0; i < cpus; i++) {
		byte(&body, LOCAL_APIC);
		byte(&body, 8);
		byte(&body, i);
		byte(&body, i);
		buf_le32(&body, ENABLED);
	}
	byte(&body, IO_APIC);
	byte(&body, 12);
	byte(&body, 0);
	byte(&body, 0);
	buf_le32(&body, 0xfec00000);
	buf_le32(&body, 0);
	return table(b, at, "APIC", 5, &body);
}

/* Generic address of an 8-bit port (section 5.2.3.2). */
static void port_address(char *to, uint16_t port)
{
	enum { SYSTEM_IO = 1, BITS = 8, BYTE_ACCESS = 1 };

	to[0] = SYSTEM_IO;
	to[1] = BITS;
	to[3] = BYTE_ACCESS;
	to[4] = (char)(port & 0xff);
	to[5] = (char)(port >> 8);
}

static uint64_t fadt(struct buf *b, uint64_t at, uint64_t dsdt_at)
{
	AUTO_BUF struct buf body = BUF_INIT;
	char t[FADT_SIZE] = {0};
	uint32_t low = (uint32_t)dsdt_at;
	uint32_t flags = FLAG_WBINVD | FLAG_NO_POWER_BUTTON | FLAG_NO_SLEEP_BUTTON | FLAG_RESET |
			 FLAG_REDUCED;

	memcpy(t + FADT_DSDT, &low, sizeof(low));
	t[FADT_BOOT_ARCH] = BOOT_NO_VGA | BOOT_NO_RTC;
	memcpy(t + FADT_FLAGS, &flags, sizeof(flags));
	port_address(t + FADT_RESET, PORT_RESET);
	t[FADT_RESET_VALUE] = RESET_VALUE;
	t[FADT_MINOR] = 5;
	memcpy(t + FADT_X_DSDT, &dsdt_at, sizeof(dsdt_at));
	port_address(t + FADT_SLEEP_CONTROL, PORT_SLEEP_CONTROL);
	port_address(t + FADT_SLEEP_STATUS, PORT_SLEEP_STATUS);
	memcpy(t + FADT_HYPERVISOR, "HULL    ", 8);
	buf_add(&body, t + HEADER, sizeof(t) - HEADER);
	return table(b, at, "FACP", 6, &body);
}

void acpi_tables(struct buf *b, uint64_t at, unsigned cpus, unsigned devices, uint64_t *rsdp)
{
	enum { SIZE = 36, OLD_SIZE = 20, OLD_SUM = 8, NEW_SUM = 32 };
	AUTO_BUF struct buf list = BUF_INIT;
	char root[SIZE] = "RSD PTR ";
	uint32_t size = SIZE;

	uint64_t fadt_at = fadt(b, at, dsdt(b, at, devices));
	buf_le64(&list, fadt_at);
	buf_le64(&list, madt(b, at, cpus));
	uint64_t xsdt = table(b, at, "XSDT", 1, &list);
	while (b->len % 16 != 0)
		byte(b, 0);
	memcpy(root + 9, "HULL  ", 6);
	root[15] = 2;
	memcpy(root + 20, &size, sizeof(size));
	memcpy(root + 24, &xsdt, sizeof(xsdt));
	root[OLD_SUM] = (char)sum(root, OLD_SIZE);
	root[NEW_SUM] = (char)sum(root, SIZE);
	*rsdp = at + b->len;
	buf_add(b, root, SIZE);
}
