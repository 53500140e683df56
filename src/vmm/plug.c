/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Requests that change the machine's disks and interfaces while it runs. What comes later comes to
 * one of the places that were made before (vmm.h), whose number is the answer: the guest's driver
 * finds it when it is bound to the device of that number. It is taken away when the driver has let
 * go of it.
 */
#include <errno.h>
#include <string.h>

#include "base/attr.h"
#include "base/fd.h"
#include "base/str.h"
#include "vmm/vmm_impl.h"

enum { WORDS_MAX = 4 };

/* The value of a hexadecimal digit, -1 for what is none. */
static int digit(char c)
{
	static const char digits[] = "0123456789abcdefABCDEF";
	const char *at = c ? strchr(digits, c) : NULL;

	if (!at)
		return -1;
	return (int)(at - digits) < 16 ? (int)(at - digits) : (int)(at - digits) - 6;
}

bool vmm_parse_mac(const char *text, uint8_t mac[VMM_MAC_LEN])
{
	for (size_t i = 0; i < VMM_MAC_LEN; i++) {
		int high = digit(text[0]);
		int low = high < 0 ? -1 : digit(text[1]);
		if (low < 0 || text[2] != (i + 1 < VMM_MAC_LEN ? ':' : '\0'))
			return false;
		mac[i] = (uint8_t)(high << 4 | low);
		text += 3;
	}
	return true;
}

/* Splits the arguments, exactly n of them, at single blanks. */
static int split(char *rest, char *words[WORDS_MAX], size_t n, const char *form, struct err *err)
{
	for (size_t i = 0; i < n; i++) {
		words[i] = rest ? strsep(&rest, " ") : NULL;
		if (!words[i] || !*words[i])
			return err_set(err, EINVAL, "the request is '%s'", form);
	}
	return rest ? err_set(err, EINVAL, "the request is '%s'", form) : 0;
}

static int one_file(const struct control_call *call, struct err *err)
{
	return call->n_fds == 1 ? 0 : err_set(err, EINVAL, "one descriptor is needed");
}

/* A disk by its serial, where it is now; NULL: there is none. */
static struct block *find_disk(struct vmm *m, const char *serial)
{
	for (size_t i = 0; i < m->config->n_disks; i++) {
		if (strcmp(m->disks[i].serial, serial) == 0)
			return &m->disks[i];
	}
	for (size_t i = 0; i < VMM_SPARE_DISKS; i++) {
		if (strcmp(m->spare_disks[i].serial, serial) == 0)
			return &m->spare_disks[i];
	}
	return NULL;
}

static struct net *find_net(struct vmm *m, const char *slot)
{
	int64_t n;
	struct err ignored = ERR_INIT; /* no number: no interface's */

	if (parse_int(slot, 0, m->bus.n - 1, "slot", &n, &ignored) < 0)
		return NULL;
	for (size_t i = 0; i < VMM_SPARE_NETS; i++) {
		if (m->bus.devices[n] == &m->spare_nets[i].v)
			return &m->spare_nets[i];
	}
	return NULL;
}

static void say_slot(const struct vmm *m, const struct virtio *v, struct control_call *call)
{
	for (unsigned i = 0; i < m->bus.n; i++) {
		if (m->bus.devices[i] == v)
			control_say(call, "%u", i);
	}
}

/* --- coming --- */

/* The place at that slot, or at the first one for slot -1; NULL: there is none that is free. */
static struct block *disk_place(struct vmm *m, int slot)
{
	for (size_t i = 0; i < VMM_SPARE_DISKS; i++) {
		struct block *b = &m->spare_disks[i];
		if (b->v.absent && (slot < 0 || m->bus.devices[slot] == &b->v))
			return b;
	}
	return NULL;
}

static struct net *net_place(struct vmm *m, int slot)
{
	for (size_t i = 0; i < VMM_SPARE_NETS; i++) {
		struct net *n = &m->spare_nets[i];
		if (n->v.absent && (slot < 0 || m->bus.devices[slot] == &n->v))
			return n;
	}
	return NULL;
}

/* "SERIAL ro|rw BYTES"; the file is taken when it succeeds. */
static int add_disk(struct vmm *m, int slot, char *args, int *fd, struct virtio **ret,
		    struct err *err)
{
	char *words[WORDS_MAX] = {NULL};
	int64_t size = 0;

	int r = split(args, words, 3, "disk SERIAL ro|rw BYTES", err);
	if (r == 0)
		r = parse_int(words[2], 1, INT64_MAX, "disk", &size, err);
	if (r < 0)
		return r;
	bool readonly = strcmp(words[1], "ro") == 0;
	if (strlen(words[0]) > BLOCK_SERIAL_MAX || find_disk(m, words[0]) ||
	    (!readonly && strcmp(words[1], "rw") != 0))
		return err_set(err, EINVAL, "no disk can be called '%.40s' and be '%.10s'",
			       words[0], words[1]);
	struct block *place = disk_place(m, slot);
	if (!place)
		return err_set(err, ENOSPC, "the machine has no place for another disk");
	const struct block_file file = {.serial = words[0],
					.fd = *fd,
					.size = (uint64_t)size,
					.readonly = readonly};
	r = block_plug(place, &file, err);
	if (r < 0)
		return r;
	(void)TAKE_FD(*fd);
	*ret = &place->v;
	return 0;
}

/* "MAC"; the tap is taken when it succeeds. */
static int add_net(struct vmm *m, int slot, char *args, int *fd, struct virtio **ret,
		   struct err *err)
{
	char *words[WORDS_MAX] = {NULL};
	uint8_t mac[VMM_MAC_LEN];

	int r = split(args, words, 1, "net MAC", err);
	if (r < 0)
		return r;
	if (!vmm_parse_mac(words[0], mac))
		return err_set(err, EINVAL, "'%.40s' is no MAC address", words[0]);
	struct net *place = net_place(m, slot);
	if (!place)
		return err_set(err, ENOSPC, "the machine has no place for another interface");
	r = net_plug(place, *fd, mac, err);
	if (r < 0)
		return r;
	(void)TAKE_FD(*fd);
	*ret = &place->v;
	return 0;
}

/* One of the two above. */
typedef int add_fn(struct vmm *m, int slot, char *args, int *fd, struct virtio **ret,
		   struct err *err);

static int answer(struct vmm *m, add_fn *add, struct control_call *call, struct err *err)
{
	struct virtio *v;

	int r = one_file(call, err);
	if (r == 0)
		r = add(m, -1, call->args, &call->fds[0], &v, err);
	if (r == 0)
		say_slot(m, v, call);
	return r;
}

int plug_disk(void *ctx, struct control_call *call, struct err *err)
{
	return answer(ctx, add_disk, call, err);
}

int plug_net(void *ctx, struct control_call *call, struct err *err)
{
	return answer(ctx, add_net, call, err);
}

int vmm_plug_again(struct vmm *m, const struct vmm_plugged *p, struct err *err)
{
	bool is_disk = strncmp(p->how, "disk ", 5) == 0;
	struct virtio *v;
	int fd = p->fd;

	if (!is_disk && strncmp(p->how, "net ", 4) != 0)
		return err_set(err, EINVAL, "'%.40s' is neither a disk nor a net", p->how);
	if (p->slot >= m->bus.n)
		return err_set(err, EINVAL, "the machine has no device %u", p->slot);
	int r = is_disk ? add_disk(m, (int)p->slot, p->how + 5, &fd, &v, err)
			: add_net(m, (int)p->slot, p->how + 4, &fd, &v, err);
	return r < 0 ? err_wrap(err, "device %u", p->slot) : 0;
}

/* --- what is there --- */

int plug_remove(void *ctx, struct control_call *call, struct err *err)
{
	char *words[WORDS_MAX] = {NULL};

	int r = split(call->args, words, 1, "unplug SERIAL|SLOT", err);
	if (r < 0)
		return r;
	struct block *disk = find_disk(ctx, words[0]);
	struct net *net = disk ? NULL : find_net(ctx, words[0]);
	if (disk)
		return block_unplug(disk, err);
	if (net)
		return net_unplug(net, err);
	return err_set(err, ENODEV, "the machine has no '%.40s' to take away", words[0]);
}

int plug_resize(void *ctx, struct control_call *call, struct err *err)
{
	char *words[WORDS_MAX] = {NULL};
	int64_t size = 0;

	int r = split(call->args, words, 2, "size SERIAL BYTES", err);
	if (r == 0)
		r = parse_int(words[1], 1, INT64_MAX, "size", &size, err);
	if (r < 0)
		return r;
	struct block *disk = find_disk(ctx, words[0]);
	if (!disk)
		return err_set(err, ENODEV, "the machine has no disk '%.40s'", words[0]);
	return block_resize(disk, (uint64_t)size, err);
}

static struct limit changed(const struct throttle *t, unsigned way, const struct vmm_limit *to)
{
	struct limit l = t->ways[way].limit; /* nobody else changes it */

	if (to->bytes != VMM_KEEP)
		l.bytes = to->bytes;
	if (to->requests != VMM_KEEP)
		l.requests = to->requests;
	return l;
}

int vmm_limit_device(struct vmm *m, const struct vmm_limit *to, struct err *err)
{
	bool is_net = m->net.v.ops && strcmp(to->device, "net") == 0;
	struct net *net = is_net ? &m->net : find_net(m, to->device);
	struct block *disk = net ? NULL : find_disk(m, to->device);
	unsigned way;
	struct limit l;

	if (net) {
		way = to->write ? NET_FROM_GUEST : NET_TO_GUEST;
		l = changed(&net->throttle, way, to);
		net_limit(net, way, &l);
	} else if (disk) {
		way = to->write ? BLOCK_WRITE : BLOCK_READ;
		l = changed(&disk->throttle, way, to);
		block_limit(disk, way, &l);
	} else {
		return err_set(err, ENODEV, "the machine has no device '%.40s' to limit",
			       to->device);
	}
	return 0;
}

static int parse_rate(const char *text, uint64_t *ret, struct err *err)
{
	int64_t n;

	*ret = VMM_KEEP;
	if (strcmp(text, "-") == 0)
		return 0;
	int r = parse_int(text, 0, INT64_MAX, "limit", &n, err);
	if (r == 0)
		*ret = (uint64_t)n;
	return r;
}

int plug_limit(void *ctx, struct control_call *call, struct err *err)
{
	char *words[WORDS_MAX] = {NULL};
	struct vmm_limit to = {.bytes = VMM_KEEP, .requests = VMM_KEEP};

	int r = split(call->args, words, 4, "limit DEVICE read|write BYTES|- REQUESTS|-", err);
	if (r == 0)
		r = parse_rate(words[2], &to.bytes, err);
	if (r == 0)
		r = parse_rate(words[3], &to.requests, err);
	if (r < 0)
		return r;
	to.device = words[0];
	to.write = strcmp(words[1], "write") == 0;
	if (!to.write && strcmp(words[1], "read") != 0)
		return err_set(err, EINVAL, "'%.20s' is neither read nor write", words[1]);
	return vmm_limit_device(ctx, &to, err);
}
