/* SPDX-License-Identifier: Apache-2.0 */
/* The parts of each message are those of <linux/fuse.h>: a structure, names, and data whose length
 * the structure tells. */
#include <errno.h>
#include <linux/fuse.h>
#include <string.h>

#include "share/share.h"

enum { MINOR_LEAST = 31, NAMES_MAX = 2 };

/* What follows the header. `count_at` in the structure tells how many units of `unit` bytes follow
 * the names; unit 0: none may. */
static const struct form {
	size_t fixed;
	unsigned names;
	size_t unit, count_at;
	bool known;
} forms[] = {
	[FUSE_LOOKUP] = {0, 1, .known = true},
	[FUSE_FORGET] = {sizeof(struct fuse_forget_in), 0, .known = true},
	[FUSE_GETATTR] = {sizeof(struct fuse_getattr_in), 0, .known = true},
	[FUSE_SETATTR] = {sizeof(struct fuse_setattr_in), 0, .known = true},
	[FUSE_READLINK] = {0, 0, .known = true},
	[FUSE_SYMLINK] = {0, 2, .known = true},
	[FUSE_MKNOD] = {sizeof(struct fuse_mknod_in), 1, .known = true},
	[FUSE_MKDIR] = {sizeof(struct fuse_mkdir_in), 1, .known = true},
	[FUSE_UNLINK] = {0, 1, .known = true},
	[FUSE_RMDIR] = {0, 1, .known = true},
	[FUSE_RENAME] = {sizeof(struct fuse_rename_in), 2, .known = true},
	[FUSE_LINK] = {sizeof(struct fuse_link_in), 1, .known = true},
	[FUSE_OPEN] = {sizeof(struct fuse_open_in), 0, .known = true},
	[FUSE_READ] = {sizeof(struct fuse_read_in), 0, .known = true},
	[FUSE_WRITE] = {sizeof(struct fuse_write_in), 0, 1, offsetof(struct fuse_write_in, size),
			true},
	[FUSE_STATFS] = {0, 0, .known = true},
	[FUSE_RELEASE] = {sizeof(struct fuse_release_in), 0, .known = true},
	[FUSE_FSYNC] = {sizeof(struct fuse_fsync_in), 0, .known = true},
	[FUSE_SETXATTR] = {FUSE_COMPAT_SETXATTR_IN_SIZE, 1, 1,
			   offsetof(struct fuse_setxattr_in, size), true},
	[FUSE_GETXATTR] = {sizeof(struct fuse_getxattr_in), 1, .known = true},
	[FUSE_LISTXATTR] = {sizeof(struct fuse_getxattr_in), 0, .known = true},
	[FUSE_REMOVEXATTR] = {0, 1, .known = true},
	[FUSE_FLUSH] = {sizeof(struct fuse_flush_in), 0, .known = true},
	[FUSE_OPENDIR] = {sizeof(struct fuse_open_in), 0, .known = true},
	[FUSE_READDIR] = {sizeof(struct fuse_read_in), 0, .known = true},
	[FUSE_RELEASEDIR] = {sizeof(struct fuse_release_in), 0, .known = true},
	[FUSE_FSYNCDIR] = {sizeof(struct fuse_fsync_in), 0, .known = true},
	[FUSE_CREATE] = {sizeof(struct fuse_create_in), 1, .known = true},
	[FUSE_DESTROY] = {0, 0, .known = true},
	[FUSE_BATCH_FORGET] = {sizeof(struct fuse_batch_forget_in), 0,
			       sizeof(struct fuse_forget_one),
			       offsetof(struct fuse_batch_forget_in, count), true},
	[FUSE_FALLOCATE] = {sizeof(struct fuse_fallocate_in), 0, .known = true},
	[FUSE_READDIRPLUS] = {sizeof(struct fuse_read_in), 0, .known = true},
	[FUSE_RENAME2] = {sizeof(struct fuse_rename2_in), 2, .known = true},
	[FUSE_LSEEK] = {sizeof(struct fuse_lseek_in), 0, .known = true},
};

bool message_drops_setid(const void *bytes)
{
	struct fuse_in_header head;
	union {
		struct fuse_write_in write;
		struct fuse_open_in open;
		struct fuse_setattr_in set;
	} in;
	const uint8_t *fixed = (const uint8_t *)bytes + sizeof(head);

	memcpy(&head, bytes, sizeof(head));
	switch (head.opcode) {
	case FUSE_WRITE:
		memcpy(&in.write, fixed, sizeof(in.write));
		return in.write.write_flags & FUSE_WRITE_KILL_SUIDGID;
	case FUSE_OPEN:
		memcpy(&in.open, fixed, sizeof(in.open));
		return in.open.open_flags & FUSE_OPEN_KILL_SUIDGID;
	case FUSE_SETATTR:
		memcpy(&in.set, fixed, sizeof(in.set));
		return in.set.valid & FATTR_KILL_SUIDGID;
	default:
		return false;
	}
}

/* An old guest's messages have other forms. */
static int judge_init(const uint8_t *p, size_t n)
{
	struct fuse_init_in in = {0};

	if (n < offsetof(struct fuse_init_in, flags2))
		return EINVAL;
	memcpy(&in, p, n < sizeof(in) ? n : sizeof(in));
	if (in.major != FUSE_KERNEL_VERSION || in.minor < MINOR_LEAST)
		return EPROTO;
	return (in.flags & FUSE_INIT_EXT) && n < sizeof(in) ? EINVAL : 0;
}

int message_judge(const void *bytes, size_t n)
{
	const uint8_t *p = bytes;
	struct fuse_in_header head;
	uint32_t count = 0;

	if (n < sizeof(head))
		return EINVAL;
	memcpy(&head, p, sizeof(head));
	p += sizeof(head);
	n -= sizeof(head);
	if (head.len != n + sizeof(head))
		return EINVAL;
	if (head.opcode == FUSE_INIT)
		return judge_init(p, n);
	if (head.opcode >= sizeof(forms) / sizeof(forms[0]) || !forms[head.opcode].known)
		return ENOSYS;
	const struct form *form = &forms[head.opcode];
	if (n < form->fixed)
		return EINVAL;
	if (form->unit)
		memcpy(&count, p + form->count_at, sizeof(count));
	p += form->fixed;
	n -= form->fixed;
	for (unsigned i = 0; i < form->names; i++) {
		const uint8_t *end = memchr(p, '\0', n);
		if (!end)
			return EINVAL;
		n -= (size_t)(end - p) + 1;
		p = end + 1;
	}
	return form->unit && n != (uint64_t)count * form->unit ? EINVAL : 0;
}
