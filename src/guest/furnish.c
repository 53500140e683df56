/* SPDX-License-Identifier: Apache-2.0 */
#include "guest/furnish.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/random.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/err.h"
#include "base/fd.h"
#include "base/path.h"
#include "guest/disk.h"
#include "guest/kmsg.h"
#include "guest/net.h"
#include "proto/message.h"

enum { SEED_MAX = 512 };

/* What the host gave counts fully as randomness: it is the host that this machine trusts. */
static void seed(const struct bytes *from)
{
	union {
		struct rand_pool_info info;
		char room[sizeof(struct rand_pool_info) + SEED_MAX];
	} pool = {.info = {.entropy_count = (int)from->len * 8, .buf_size = (int)from->len}};

	if (from->len == 0 || from->len > SEED_MAX)
		return;
	memcpy(pool.room + sizeof(struct rand_pool_info), from->data, from->len);
	AUTO_CLOSE int fd = open("/dev/urandom", O_RDWR | O_CLOEXEC);
	if (fd < 0 || ioctl(fd, RNDADDENTROPY, &pool) < 0)
		kmsg("add randomness: %s", strerrordesc_np(errno));
}

void furnish_clock(uint64_t ns)
{
	struct timespec ts = {.tv_sec = (time_t)(ns / 1000000000),
			      .tv_nsec = (long)(ns % 1000000000)};

	if (clock_settime(CLOCK_REALTIME, &ts) < 0)
		kmsg("set the clock: %s", strerrordesc_np(errno));
}

static int set_text(char **to, const char *text, struct err *err)
{
	free(*to);
	*to = strdup(text);
	return *to ? 0 : err_set(err, ENOMEM, "out of memory");
}

static int add_scratch(struct plan_root *root, struct err *err)
{
	/* A new upper's mode 0 has it take after the image's root (container/root.c). */
	static const char *const folders[] = {DISK_SCRATCH "/upper", DISK_SCRATCH "/work"};

	int r = disk_mount(MACHINE_DISK_SCRATCH, "ext4", DISK_SCRATCH, 0, err);
	for (size_t i = 0; i < 2 && r == 0; i++)
		r = path_mkdir_all(AT_FDCWD, folders[i], i == 0 ? 0 : 0755, err);
	if (r == 0)
		r = set_text(&root->upper, folders[0], err);
	return r < 0 ? r : set_text(&root->work, folders[1], err);
}

/* The kernel's modules come before the plan's own mounts, which may cover them. */
static int add_modules(struct list *mounts, struct err *err)
{
	int r = disk_mount(MACHINE_DISK_MODULES, "erofs", MACHINE_MODULES, MS_RDONLY, err);
	if (r < 0)
		return r;
	struct plan_mount first = {.flags = MS_RDONLY | MS_NOSUID | MS_NODEV};
	r = set_text(&first.source, MACHINE_MODULES, err);
	if (r == 0)
		r = set_text(&first.target, "/lib/modules", err);
	if (r == 0 && !list_add(mounts, &plan_mount_record))
		r = err_set(err, ENOMEM, "out of memory");
	if (r < 0) {
		record_done(&plan_mount_record, &first);
		return r;
	}
	struct plan_mount *all = mounts->items;
	memmove(all + 1, all, (mounts->n - 1) * sizeof(*all));
	memcpy(all, &first, sizeof(first));
	return 0;
}

static int mount_share(const char *tag, struct err *err)
{
	int r = path_mkdir_all(AT_FDCWD, MACHINE_SHARE, 0755, err);
	if (r == 0 && mount(tag, MACHINE_SHARE, "virtiofs", 0, NULL) < 0)
		r = err_sys(err, "mount the share '%s'", tag);
	return r;
}

int furnish(struct machine_setup *setup, struct err *err)
{
	struct plan *plan = &setup->plan;
	int r = 0;

	seed(&setup->seed);
	if (plan->hostname && sethostname(plan->hostname, strlen(plan->hostname)) < 0)
		return err_sys(err, "set the host name '%s'", plan->hostname);
	if (setup->layers.n > 0)
		r = disk_layers(&setup->layers, AGENT_LAYERS, &plan->root.lower, err);
	if (r == 0 && setup->scratch)
		r = add_scratch(&plan->root, err);
	if (r == 0 && setup->modules)
		r = add_modules(&plan->mounts, err);
	if (r == 0 && setup->share_tag)
		r = mount_share(setup->share_tag, err);
	return r < 0 ? r : net_setup(&plan->net, err);
}
