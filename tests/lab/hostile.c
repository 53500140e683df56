/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A hostile guest instead of a kernel: it finds the machine's virtio devices and drives them with
 * chains and register accesses of its invention, on two processors; now and then it resets one and
 * uses it as a driver should, which has to work. Its command line: `seed=N seconds=N`, or
 * `act=WORD` for a single deed. It tells on the serial line, in lines that begin with '@'.
 *
 * Memory below DATA is its own; what it lets devices write to lies above, so that it seldom
 * destroys itself.
 */
#include <linux/virtio_config.h>
#include <linux/virtio_ids.h>
#include <linux/virtio_mem.h>
#include <linux/virtio_mmio.h>
#include <linux/virtio_ring.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { DEVICES = 19, QUEUES = 4, SIZE = 16 };
enum { TRAMPOLINE = 0x8000, SOUND = 0x600000, RINGS = 0x800000, RINGS_OF_DEVICE = 0x10000 };
enum { DATA = 0xa00000, DATA_SIZE = 0x600000, MEMORY = 0x2000000 };
enum { SERIAL = 0x3f8, SLEEP = 0x600, SLEEP_OFF = 5 << 2 | 1 << 5, RESET = 0x602 };
#define REGISTERS      0xd0000000ULL
#define LAPIC          0xfee00000ULL
#define MEMORY_TO_COME 0x100000000ULL /* 2 GiB of it */

extern const uint8_t trampoline[], trampoline_end[];

void hostile(const uint32_t *start_info);
void accomplice(void);
void *memcpy(void *to, const void *from, size_t n);
void *memset(void *to, int c, size_t n);

void *memcpy(void *to, const void *from, size_t n)
{
	void *d = to;

	__asm__ volatile("rep movsb" : "+D"(d), "+S"(from), "+c"(n) : : "memory");
	return to;
}

void *memset(void *to, int c, size_t n)
{
	void *d = to;

	__asm__ volatile("rep stosb" : "+D"(d), "+c"(n) : "a"(c) : "memory");
	return to;
}

/* --- the processor --- */

static void outb(uint16_t port, uint8_t v)
{
	__asm__ volatile("outb %0, %1" : : "a"(v), "Nd"(port));
}

static uint32_t read32(uint64_t at)
{
	uint32_t v;

	__asm__ volatile("movl %1, %0" : "=r"(v) : "m"(*(const volatile uint32_t *)at));
	return v;
}

static void write32(uint64_t at, uint32_t v)
{
	__asm__ volatile("movl %0, %1" : : "r"(v), "m"(*(volatile uint32_t *)at) : "memory");
}

static uint64_t ticks(void)
{
	uint32_t low, high;

	__asm__ volatile("rdtsc" : "=a"(low), "=d"(high));
	return (uint64_t)high << 32 | low;
}

/* What KVM tells of time (Documentation/virt/kvm/x86/msr.rst, MSR_KVM_SYSTEM_TIME_NEW). */
static volatile struct {
	uint32_t version, pad;
	uint64_t ticks, ns;
	uint32_t factor;
	int8_t shift;
	uint8_t flags, pad2[2];
} clock __attribute__((aligned(64)));

static void clock_begin(void)
{
	uint64_t at = (uint64_t)&clock | 1;

	__asm__ volatile("wrmsr" : : "c"(0x4b564d01), "a"((uint32_t)at), "d"((uint32_t)(at >> 32)));
}

static uint64_t now_ns(void)
{
	uint64_t passed = ticks() - clock.ticks;

	passed = clock.shift < 0 ? passed >> -clock.shift : passed << clock.shift;
	return clock.ns + (uint64_t)((unsigned __int128)passed * clock.factor >> 32);
}

static void power_off(void)
{
	for (;;)
		outb(SLEEP, SLEEP_OFF);
}

/* --- words --- */

static void say(const char *text)
{
	outb(SERIAL + 3, 3); /* whatever was done to it: the divisor's latch is closed */
	while (*text)
		outb(SERIAL, (uint8_t)*text++);
}

static void say_number(const char *what, uint64_t v)
{
	char digits[24];
	size_t at = sizeof(digits) - 1;

	digits[at] = '\0';
	do
		digits[--at] = (char)('0' + v % 10);
	while ((v /= 10) > 0);
	say(what);
	say(digits + at);
}

/* The text behind `name` in the command line; "" when it is not there. */
static const char *word(const char *line, const char *name)
{
	for (; *line; line++) {
		size_t n = 0;
		while (name[n] && line[n] == name[n])
			n++;
		if (!name[n])
			return line + n;
	}
	return line;
}

static uint64_t number(const char *text)
{
	uint64_t v = 0;

	while (*text >= '0' && *text <= '9')
		v = v * 10 + (uint64_t)(*text++ - '0');
	return v;
}

/* --- chance: xorshift64*, one stream for each processor --- */

struct chance {
	uint64_t state;
};

static uint64_t any(struct chance *c)
{
	c->state ^= c->state >> 12;
	c->state ^= c->state << 25;
	c->state ^= c->state >> 27;
	return c->state * 0x2545f4914f6cdd1dULL;
}

/* 0 … n - 1 */
static uint32_t below(struct chance *c, uint32_t n)
{
	return (uint32_t)((any(c) >> 32) * n >> 32);
}

static uint64_t some_address(struct chance *c)
{
	switch (below(c, 16)) {
	case 0:
		return MEMORY - below(c, 64);
	case 1:
		return MEMORY;
	case 2:
		return REGISTERS + below(c, 0x20000);
	case 3:
		return LAPIC;
	case 4:
		return MEMORY_TO_COME + below(c, MEMORY);
	case 5:
		return UINT64_MAX - below(c, 4096);
	case 6:
		return RINGS + below(c, DATA - RINGS);
	case 7:
		return MEMORY_TO_COME + (2ULL << 30) - below(c, 64);
	default:
		return DATA + below(c, DATA_SIZE);
	}
}

static uint32_t some_length(struct chance *c)
{
	static const uint32_t lengths[] = {0,
					   1,
					   4,
					   16,
					   40,
					   64,
					   512,
					   513,
					   4096,
					   65536,
					   200000,
					   MEMORY - DATA,
					   1518,
					   12345,
					   1U << 31,
					   UINT32_MAX,
					   UINT32_MAX - 15,
					   8192};

	return lengths[below(c, sizeof(lengths) / sizeof(lengths[0]))];
}

/* --- devices --- */

static struct device {
	uint64_t at; /* its registers */
	uint32_t id;
	unsigned index;
} devices[DEVICES];
static unsigned n_devices;
static volatile bool sound_now, paused; /* the accomplice leaves devices alone, and has said so */

static uint64_t rings(const struct device *d, unsigned queue, unsigned part)
{
	return RINGS + (uint64_t)d->index * RINGS_OF_DEVICE + (queue * 4 + part) * 0x1000ULL;
}

static void find_devices(void)
{
	for (unsigned i = 0; i < DEVICES; i++) {
		uint64_t at = REGISTERS + i * 0x1000ULL;
		if (read32(at) == 0x74726976 && read32(at + VIRTIO_MMIO_DEVICE_ID) != 0)
			devices[n_devices++] =
				(struct device){at, read32(at + VIRTIO_MMIO_DEVICE_ID), i};
	}
}

static void set_address(const struct device *d, uint32_t reg, uint64_t v)
{
	write32(d->at + reg, (uint32_t)v);
	write32(d->at + reg + 4, (uint32_t)(v >> 32));
}

static void negotiate(const struct device *d, uint64_t wanted)
{
	write32(d->at + VIRTIO_MMIO_STATUS, 0);
	write32(d->at + VIRTIO_MMIO_STATUS, 3);
	for (uint32_t half = 0; half < 2; half++) {
		write32(d->at + VIRTIO_MMIO_DEVICE_FEATURES_SEL, half);
		uint32_t offered = read32(d->at + VIRTIO_MMIO_DEVICE_FEATURES);
		write32(d->at + VIRTIO_MMIO_DRIVER_FEATURES_SEL, half);
		write32(d->at + VIRTIO_MMIO_DRIVER_FEATURES,
			offered & (uint32_t)(wanted >> 32 * half));
	}
	write32(d->at + VIRTIO_MMIO_STATUS, 3 | VIRTIO_CONFIG_S_FEATURES_OK);
}

static void set_queue(const struct device *d, unsigned queue, uint32_t size, uint64_t desc,
		      uint64_t avail, uint64_t used)
{
	write32(d->at + VIRTIO_MMIO_QUEUE_SEL, queue);
	write32(d->at + VIRTIO_MMIO_QUEUE_NUM, size);
	set_address(d, VIRTIO_MMIO_QUEUE_DESC_LOW, desc);
	set_address(d, VIRTIO_MMIO_QUEUE_AVAIL_LOW, avail);
	set_address(d, VIRTIO_MMIO_QUEUE_USED_LOW, used);
	write32(d->at + VIRTIO_MMIO_QUEUE_READY, 1);
}

static void ready(const struct device *d)
{
	write32(d->at + VIRTIO_MMIO_STATUS,
		3 | VIRTIO_CONFIG_S_FEATURES_OK | VIRTIO_CONFIG_S_DRIVER_OK);
}

/* --- as a driver should --- */

/* Where the sound chain is: header, and what comes back. */
enum {
	S_DESC = SOUND,
	S_AVAIL = SOUND + 0x1000,
	S_USED = SOUND + 0x2000,
	S_OUT = SOUND + 0x3000,
	S_IN = SOUND + 0x4000
};

static volatile uint8_t *byte_at(uint64_t at)
{
	return (volatile uint8_t *)at;
}

/* Sends n_out bytes from S_OUT in a chain with room for n_in at S_IN (status byte of a disk
 * included); whether it comes back within half a minute. */
static bool exchange(const struct device *d, unsigned queue, uint32_t n_out, uint32_t n_in)
{
	volatile struct vring_desc *desc = (volatile struct vring_desc *)(uint64_t)S_DESC;
	volatile uint16_t *avail = (volatile uint16_t *)(uint64_t)S_AVAIL;
	volatile uint16_t *used = (volatile uint16_t *)(uint64_t)S_USED;
	uint64_t end = now_ns() + 30000000000ULL;

	negotiate(d, 1ULL << VIRTIO_F_VERSION_1);
	memset((void *)(uint64_t)S_AVAIL, 0, 0x2000);
	desc[0].addr = n_out ? S_OUT : S_IN;
	desc[0].len = n_out ? n_out : n_in;
	desc[0].flags = n_out ? (n_in ? VRING_DESC_F_NEXT : 0) : VRING_DESC_F_WRITE;
	desc[0].next = 1;
	desc[1].addr = S_IN;
	desc[1].len = n_in;
	desc[1].flags = VRING_DESC_F_WRITE;
	avail[1] = 1;
	set_queue(d, queue, SIZE, S_DESC, S_AVAIL, S_USED);
	ready(d);
	write32(d->at + VIRTIO_MMIO_QUEUE_NOTIFY, queue);
	while (used[1] == 0 && now_ns() < end)
		(void)read32(d->at + VIRTIO_MMIO_STATUS);
	bool back = used[1] == 1;
	write32(d->at + VIRTIO_MMIO_STATUS, 0);
	return back;
}

static bool disk_reads(const struct device *d)
{
	enum { SECTOR = 512 };

	memset((void *)(uint64_t)S_OUT, 0, 16); /* read, of sector 0 */
	*byte_at(S_IN + SECTOR) = 0xff;
	if (!exchange(d, 0, 16, SECTOR + 1) || *byte_at(S_IN + SECTOR) != 0)
		return false;
	/* the first disk is read-only and holds nothing else, whatever was tried */
	for (unsigned i = 0; d->index == 0 && i < SECTOR; i++) {
		if (*byte_at(S_IN + i) != 0xa5)
			return false;
	}
	return true;
}

static bool share_answers(const struct device *d)
{
	enum { LENGTH = 40, GETATTR = 3, UNIQUE = 77 };
	volatile uint32_t *message = (volatile uint32_t *)(uint64_t)S_OUT;
	const volatile uint32_t *answer = (const volatile uint32_t *)(uint64_t)S_IN;

	memset((void *)(uint64_t)S_OUT, 0, LENGTH + 16);
	message[0] = LENGTH + 16;
	message[1] = GETATTR;
	message[2] = UNIQUE;
	message[4] = 1; /* the root */
	return exchange(d, 1, LENGTH + 16, 4096) && answer[0] >= 16 && answer[2] == UNIQUE;
}

/* Asks for the state of the first block of memory that might come. */
static bool memory_answers(const struct device *d)
{
	volatile struct virtio_mem_req *req = (volatile struct virtio_mem_req *)(uint64_t)S_OUT;
	const volatile struct virtio_mem_resp *resp =
		(const volatile struct virtio_mem_resp *)(uint64_t)S_IN;

	memset((void *)(uint64_t)S_OUT, 0, sizeof(*req));
	memset((void *)(uint64_t)S_IN, 0xff, sizeof(*resp));
	req->type = VIRTIO_MEM_REQ_STATE;
	req->u.state.addr = MEMORY_TO_COME;
	req->u.state.nb_blocks = 1;
	return exchange(d, 0, sizeof(*req), sizeof(*resp)) && resp->type == VIRTIO_MEM_RESP_ACK;
}

static bool is_sound(const struct device *d)
{
	switch (d->id) {
	case VIRTIO_ID_BLOCK:
		return disk_reads(d);
	case VIRTIO_ID_RNG:
		return exchange(d, 0, 0, 64);
	case VIRTIO_ID_NET:
		memset((void *)(uint64_t)S_OUT, 0xff, 100);
		memset((void *)(uint64_t)S_OUT, 0, 12);
		return exchange(d, 1, 100, 0);
	case VIRTIO_ID_CONSOLE: /* "ready": id, event, value */
		memset((void *)(uint64_t)S_OUT, 0, 8);
		*byte_at(S_OUT + 6) = 1;
		return exchange(d, 3, 8, 0);
	case VIRTIO_ID_FS:
		return share_answers(d);
	case VIRTIO_ID_BALLOON: /* takes a page */
		memset((void *)(uint64_t)S_OUT, 0, 4);
		*byte_at(S_OUT + 1) = DATA >> 12 >> 8;
		return exchange(d, 0, 4, 0);
	case VIRTIO_ID_MEM:
		return memory_answers(d);
	default:
		return true;
	}
}

static void judge(void)
{
	paused = false;
	sound_now = true;
	while (!paused)
		__asm__ volatile("pause");
	for (unsigned i = 0; i < n_devices; i++) {
		if (is_sound(&devices[i]))
			continue;
		say_number("\n@WRONG device=", i);
		say_number(" id=", devices[i].id);
		say("\n");
		power_off();
	}
	sound_now = false;
}

/* --- as no driver should --- */

static void mad_start(struct chance *c, const struct device *d)
{
	static const uint32_t sizes[] = {0,   1,   2,    3,     7,     128,     256,
					 257, 512, 1024, 32768, 65535, 1U << 31};

	negotiate(d, below(c, 4) ? UINT64_MAX : any(c) | 1ULL << VIRTIO_F_VERSION_1);
	for (unsigned q = 0; q < QUEUES + below(c, 2); q++) {
		bool odd = below(c, 8) == 0;
		set_queue(d, q, odd ? sizes[below(c, sizeof(sizes) / sizeof(sizes[0]))] : SIZE,
			  odd ? some_address(c) & ~15ULL : rings(d, q, 0),
			  odd ? some_address(c) & ~1ULL : rings(d, q, 1),
			  odd ? some_address(c) & ~3ULL : rings(d, q, 2));
	}
	if (below(c, 16))
		ready(d);
	else
		write32(d->at + VIRTIO_MMIO_STATUS, (uint32_t)any(c));
}

static void mad_descriptor(struct chance *c, volatile struct vring_desc *d, uint16_t i)
{
	d->addr = some_address(c);
	d->len = some_length(c);
	d->flags = (uint16_t)(below(c, 8) ? below(c, 4) : any(c));
	d->next = (uint16_t)(below(c, 8) ? (i + 1U) % SIZE : below(c, 2 * SIZE));
}

/* Something that a device may take for its request, where chains begin. */
static void fill(struct chance *c, uint64_t at)
{
	volatile uint32_t *w = (volatile uint32_t *)at;

	switch (below(c, 3)) {
	case 0: /* a disk's: type, sector */
		w[0] = below(c, 16);
		w[1] = 0;
		w[2] = below(c, 8) ? below(c, 2100) : (uint32_t)any(c);
		w[3] = below(c, 8) ? 0 : (uint32_t)any(c);
		break;
	case 1: /* memory's: type, place, number of blocks */
		w[0] = below(c, 5);
		w[1] = 0;
		w[2] = below(c, 2) ? below(c, 1100) << 21 : (uint32_t)any(c);
		w[3] = MEMORY_TO_COME >> 32;
		w[4] = below(c, 1100);
		break;
	default: /* FUSE: length, opcode, number, node */
		w[0] = below(c, 2) ? 40 + below(c, 100) : some_length(c);
		w[1] = below(c, 60);
		w[2] = w[3] = (uint32_t)any(c);
		w[4] = below(c, 4);
		w[5] = 0;
	}
}

static void mad_chains(struct chance *c, const struct device *d)
{
	unsigned q = below(c, QUEUES);
	volatile struct vring_desc *desc = (volatile struct vring_desc *)rings(d, q, 0);
	volatile uint16_t *avail = (volatile uint16_t *)rings(d, q, 1);
	unsigned n = 1 + below(c, SIZE);

	for (uint16_t i = 0; i < n; i++)
		mad_descriptor(c, &desc[below(c, SIZE)], i);
	if (below(c, 2)) { /* a beginning that makes sense */
		desc[0].addr = DATA + 64 * below(c, 1000);
		desc[0].len = below(c, 2) ? 16 : 56;
		desc[0].flags = VRING_DESC_F_NEXT;
		desc[0].next = 1;
		fill(c, DATA + 64 * below(c, 1000));
		fill(c, desc[0].addr);
	}
	if (below(c, 8) == 0) { /* a table: of any place and length */
		desc[0].flags = VRING_DESC_F_INDIRECT;
		desc[0].addr = below(c, 2) ? rings(d, (q + 1) % QUEUES, 0) : some_address(c);
		desc[0].len = below(c, 2) ? 16 * below(c, 2 * SIZE) : some_length(c);
	}
	for (unsigned i = 0; i < n; i++)
		avail[2 + (avail[1] + i) % SIZE] = below(c, 4) ? 0 : (uint16_t)below(c, 20);
	avail[1] = below(c, 16) ? (uint16_t)(avail[1] + n) : (uint16_t)any(c);
	write32(d->at + VIRTIO_MMIO_QUEUE_NOTIFY, below(c, 8) ? q : (uint32_t)any(c));
	if (below(c, 16) == 0) /* while they are being served */
		write32(d->at + VIRTIO_MMIO_STATUS, 0);
}

/* An access of any width, at any place of the registers' pages. */
static void mad_access(struct chance *c)
{
	uint64_t at = REGISTERS + below(c, (DEVICES + 2) * 0x1000);
	uint64_t v = any(c);

	if (below(c, 4))
		at = devices[below(c, n_devices)].at + below(c, 0x208);
	switch (below(c, 9)) {
	case 0:
		__asm__ volatile("movb %0, (%1)" : : "q"((uint8_t)v), "r"(at) : "memory");
		break;
	case 1:
		__asm__ volatile("movw %0, (%1)" : : "r"((uint16_t)v), "r"(at) : "memory");
		break;
	case 2:
		__asm__ volatile("movl %0, (%1)" : : "r"((uint32_t)v), "r"(at) : "memory");
		break;
	case 3:
		__asm__ volatile("movq %0, (%1)" : : "r"(v), "r"(at) : "memory");
		break;
	case 4:
		__asm__ volatile("movb (%1), %b0" : "+q"(v) : "r"(at));
		break;
	case 5:
		__asm__ volatile("movw (%1), %w0" : "+r"(v) : "r"(at));
		break;
	case 6:
		__asm__ volatile("movq (%1), %0" : "+r"(v) : "r"(at));
		break;
	case 7:
		memset((void *)at, (int)v, below(c, 64));
		break;
	default:
		write32(at & ~3ULL, below(c, 2) ? below(c, 16) : (uint32_t)v);
		break;
	}
}

/* All ports but the two that end the machine, and seldom the one that speaks. */
static void mad_port(struct chance *c)
{
	uint16_t port = (uint16_t)(below(c, 4) ? SERIAL + below(c, 8) : any(c));
	uint32_t v = (uint32_t)any(c);
	size_t n = below(c, 40);
	void *data = (void *)(uint64_t)DATA;

	if ((port >= SLEEP - 4 && port <= RESET) || (port == SERIAL && below(c, 64)))
		return;
	switch (below(c, 8)) {
	case 0:
		__asm__ volatile("outw %w0, %1" : : "a"(v), "Nd"(port));
		break;
	case 1:
		__asm__ volatile("outl %0, %1" : : "a"(v), "Nd"(port));
		break;
	case 2:
		__asm__ volatile("inl %1, %0" : "=a"(v) : "Nd"(port));
		break;
	case 3:
		__asm__ volatile("inw %1, %w0" : "=a"(v) : "Nd"(port));
		break;
	case 4:
		__asm__ volatile("rep insb" : "+D"(data), "+c"(n) : "d"(port) : "memory");
		break;
	case 5:
		__asm__ volatile("rep outsb" : "+S"(data), "+c"(n) : "d"(port) : "memory");
		break;
	default:
		outb(port, (uint8_t)v);
		break;
	}
}

static void mad_step(struct chance *c)
{
	const struct device *d = &devices[below(c, n_devices)];

	switch (below(c, 16)) {
	case 0:
		mad_start(c, d);
		break;
	case 1:
	case 2:
		mad_access(c);
		break;
	case 3:
		mad_port(c);
		break;
	default:
		mad_chains(c, d);
		break;
	}
}

/* --- two processors --- */

static uint64_t seed;

void accomplice(void)
{
	struct chance c = {seed ^ 0x9e3779b97f4a7c15ULL};

	for (;;) {
		while (sound_now)
			paused = true;
		const struct device *d = &devices[below(&c, n_devices)];
		uint16_t i = (uint16_t)below(&c, SIZE);
		/* what the other one has just offered becomes something else */
		mad_descriptor(&c, (volatile struct vring_desc *)rings(d, below(&c, QUEUES), 0) + i,
			       i);
		if (below(&c, 64) == 0)
			mad_access(&c);
	}
}

/* INIT, then SIPI with the trampoline's page (Intel SDM, vol. 3, section 11.4). */
static void start_accomplice(void)
{
	memcpy((void *)(uint64_t)TRAMPOLINE, trampoline, (size_t)(trampoline_end - trampoline));
	write32(LAPIC + 0xf0, 0x1ff);
	write32(LAPIC + 0x310, 1U << 24);
	write32(LAPIC + 0x300, 0x4500);
	for (uint64_t end = now_ns() + 10000000; now_ns() < end;)
		;
	write32(LAPIC + 0x310, 1U << 24);
	write32(LAPIC + 0x300, 0x4600 | TRAMPOLINE >> 12);
}

/* --- single deeds --- */

/* Writes on their way while the machine goes off. */
static void off_while_writing(struct chance *c)
{
	for (unsigned i = 0; i < n_devices; i++) {
		const struct device *d = &devices[i];
		if (d->id != VIRTIO_ID_BLOCK)
			continue;
		mad_start(c, d);
		for (int n = 0; n < 8; n++)
			mad_chains(c, d);
	}
	power_off();
}

static void act(const char *what, struct chance *c)
{
	static const struct {
		uint16_t limit;
		uint64_t base;
	} __attribute__((packed)) none;

	switch (*what) {
	case 's': /* spin: interrupts are off since the beginning */
		for (;;)
			;
	case 't': /* triple: a fault, and nobody to tell */
		__asm__ volatile("lidt %0; int3" : : "m"(none));
		break;
	case 'o': /* off */
		off_while_writing(c);
		break;
	default: /* halt */
		for (;;)
			__asm__ volatile("cli; hlt");
	}
}

void hostile(const uint32_t *start_info)
{
	const char *line =
		(const char *)(uint64_t)start_info[6]; /* hvm_start_info's cmdline_paddr */
	uint64_t rounds = 0;
	uint64_t judged = 0;

	clock_begin();
	find_devices();
	seed = number(word(line, "seed="));
	struct chance c = {seed * 2 + 1};
	say_number("\n@HOSTILE devices=", n_devices);
	say_number(" seed=", seed);
	say("\n");
	if (*word(line, "act="))
		act(word(line, "act="), &c);
	start_accomplice();
	uint64_t end = now_ns() + number(word(line, "seconds=")) * 1000000000ULL;
	do {
		for (int i = 0; i < 500; i++, rounds++)
			mad_step(&c);
		judge();
		judged++;
	} while (now_ns() < end);
	say_number("\n@DONE rounds=", rounds);
	say_number(" judged=", judged);
	say("\n");
	power_off();
}
