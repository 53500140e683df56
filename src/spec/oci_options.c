/* SPDX-License-Identifier: Apache-2.0 */
/*
 * All words that mount(8), runc and crun know. A word may stand in several rows: each is done. What
 * a word takes away matters to a bind alone, which starts with the attributes of its source. The
 * times of access are one setting of three values: a word for one of them clears the others.
 */
#include "spec/oci_options.h"

#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/mount.h>

#include "proto/plan.h"
#include "spec/oci.h"

/* Not in the C library's headers, for no program mounts with them. */
enum { FLAG_POSIXACL = 1 << 16 };

#define ATIMES (MS_NOATIME | MS_STRICTATIME | MS_RELATIME)

/* Flags of mount(2), and what a bind has to lose, or need not lose any more. */
struct flag {
	const char *word;
	uint64_t set, clear;
	uint64_t lose, keep; /* MOUNT_ATTR_* */
};

static const struct flag flags[] = {
	{"defaults", 0, 0, 0, 0},
	{"ro", MS_RDONLY, 0, 0, MOUNT_ATTR_RDONLY},
	{"rw", 0, MS_RDONLY, MOUNT_ATTR_RDONLY, 0},
	{"nosuid", MS_NOSUID, 0, 0, MOUNT_ATTR_NOSUID},
	{"suid", 0, MS_NOSUID, MOUNT_ATTR_NOSUID, 0},
	{"nodev", MS_NODEV, 0, 0, MOUNT_ATTR_NODEV},
	{"dev", 0, MS_NODEV, MOUNT_ATTR_NODEV, 0},
	{"noexec", MS_NOEXEC, 0, 0, MOUNT_ATTR_NOEXEC},
	{"exec", 0, MS_NOEXEC, MOUNT_ATTR_NOEXEC, 0},
	{"nosymfollow", MS_NOSYMFOLLOW, 0, 0, MOUNT_ATTR_NOSYMFOLLOW},
	{"symfollow", 0, MS_NOSYMFOLLOW, MOUNT_ATTR_NOSYMFOLLOW, 0},
	{"nodiratime", MS_NODIRATIME, 0, 0, MOUNT_ATTR_NODIRATIME},
	{"diratime", 0, MS_NODIRATIME, MOUNT_ATTR_NODIRATIME, 0},
	{"noatime", MS_NOATIME, ATIMES, 0, MOUNT_ATTR__ATIME},
	{"atime", 0, MS_NOATIME, MOUNT_ATTR__ATIME, 0},
	{"relatime", MS_RELATIME, ATIMES, MOUNT_ATTR__ATIME, 0},
	{"norelatime", 0, MS_RELATIME, 0, 0},
	{"strictatime", MS_STRICTATIME, ATIMES, 0, MOUNT_ATTR__ATIME},
	{"nostrictatime", 0, MS_STRICTATIME, MOUNT_ATTR__ATIME, 0},
	{"sync", MS_SYNCHRONOUS, 0, 0, 0},
	{"async", 0, MS_SYNCHRONOUS, 0, 0},
	{"dirsync", MS_DIRSYNC, 0, 0, 0},
	{"mand", MS_MANDLOCK, 0, 0, 0},
	{"nomand", 0, MS_MANDLOCK, 0, 0},
	{"silent", MS_SILENT, 0, 0, 0},
	{"loud", 0, MS_SILENT, 0, 0},
	{"iversion", MS_I_VERSION, 0, 0, 0},
	{"noiversion", 0, MS_I_VERSION, 0, 0},
	{"lazytime", MS_LAZYTIME, 0, 0, 0},
	{"nolazytime", 0, MS_LAZYTIME, 0, 0},
	{"acl", FLAG_POSIXACL, 0, 0, 0},
	{"noacl", 0, FLAG_POSIXACL, 0, 0},
	{"remount", MS_REMOUNT, 0, 0, 0},
	{"rbind", MS_REC, 0, 0, 0},
	{"bind", 0, MS_REC, 0, 0},
};

/* Attributes of a whole tree of mounts. */
struct recursive {
	const char *word;
	uint64_t set, clear;
};

static const struct recursive recursives[] = {
	{"rro", MOUNT_ATTR_RDONLY, 0},
	{"rrw", 0, MOUNT_ATTR_RDONLY},
	{"rnosuid", MOUNT_ATTR_NOSUID, 0},
	{"rsuid", 0, MOUNT_ATTR_NOSUID},
	{"rnodev", MOUNT_ATTR_NODEV, 0},
	{"rdev", 0, MOUNT_ATTR_NODEV},
	{"rnoexec", MOUNT_ATTR_NOEXEC, 0},
	{"rexec", 0, MOUNT_ATTR_NOEXEC},
	{"rnosymfollow", MOUNT_ATTR_NOSYMFOLLOW, 0},
	{"rsymfollow", 0, MOUNT_ATTR_NOSYMFOLLOW},
	{"rnodiratime", MOUNT_ATTR_NODIRATIME, 0},
	{"rdiratime", 0, MOUNT_ATTR_NODIRATIME},
	{"rnoatime", MOUNT_ATTR_NOATIME, MOUNT_ATTR__ATIME},
	{"ratime", 0, MOUNT_ATTR__ATIME},
	{"rrelatime", 0, MOUNT_ATTR__ATIME},
	{"rnorelatime", 0, MOUNT_ATTR__ATIME},
	{"rstrictatime", MOUNT_ATTR_STRICTATIME, MOUNT_ATTR__ATIME},
	{"rnostrictatime", 0, MOUNT_ATTR__ATIME},
};

/* Words that set one member. */
static const struct {
	const char *word;
	size_t at;
} marks[] = {
	{"idmap", offsetof(struct plan_mount, idmap)},
	{"ridmap", offsetof(struct plan_mount, idmap)},
	{"ridmap", offsetof(struct plan_mount, idmap_recursive)},
	{"tmpcopyup", offsetof(struct plan_mount, copy_up)},
	{"copy-symlink", offsetof(struct plan_mount, copy_symlink)},
	{"src-nofollow", offsetof(struct plan_mount, source_nofollow)},
	{"dest-nofollow", offsetof(struct plan_mount, target_nofollow)},
};

static const struct {
	const char *word;
	uint64_t flag;
} propagations[] = {
	{"private", MS_PRIVATE},
	{"shared", MS_SHARED},
	{"slave", MS_SLAVE},
	{"unbindable", MS_UNBINDABLE},
};

uint64_t oci_propagation(const char *word)
{
	for (size_t i = 0; i < sizeof(propagations) / sizeof(propagations[0]); i++) {
		if (strcmp(word, propagations[i].word) == 0)
			return propagations[i].flag;
		if (word[0] == 'r' && strcmp(word + 1, propagations[i].word) == 0)
			return propagations[i].flag | MS_REC;
	}
	return 0;
}

static bool do_flag(const char *word, struct plan_mount *to)
{
	for (size_t i = 0; i < sizeof(flags) / sizeof(flags[0]); i++) {
		const struct flag *f = &flags[i];
		if (strcmp(word, f->word) != 0)
			continue;
		to->flags = (to->flags & ~f->clear) | f->set;
		to->attr_clear = (to->attr_clear & ~f->keep) | f->lose;
		return true;
	}
	return false;
}

static bool do_recursive(const char *word, struct plan_mount *to)
{
	for (size_t i = 0; i < sizeof(recursives) / sizeof(recursives[0]); i++) {
		const struct recursive *r = &recursives[i];
		if (strcmp(word, r->word) != 0)
			continue;
		to->rec_set = (to->rec_set & ~r->clear) | r->set;
		to->rec_clear = (to->rec_clear & ~r->set) | r->clear;
		return true;
	}
	return false;
}

static bool do_marks(const char *word, struct plan_mount *to)
{
	bool known = false;

	for (size_t i = 0; i < sizeof(marks) / sizeof(marks[0]); i++) {
		if (strcmp(word, marks[i].word) != 0)
			continue;
		*(bool *)((char *)to + marks[i].at) = true;
		known = true;
	}
	return known;
}

bool oci_option(const char *word, struct plan_mount *to, bool *is_bind)
{
	uint64_t propagation = oci_propagation(word);

	if (propagation)
		to->propagation = propagation;
	*is_bind |= strcmp(word, "bind") == 0 || strcmp(word, "rbind") == 0;
	return propagation || do_flag(word, to) || do_recursive(word, to) || do_marks(word, to);
}
