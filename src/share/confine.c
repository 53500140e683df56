/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <sys/syscall.h>

#include "base/err.h"
#include "base/filter.h"
#include "share/share.h"

/* What is not on the list fails: an operation that a C library carries out in an unforeseen way
 * must not take all folders of a machine with it. */
static const struct filter_rule rules[] = {
	/* messages, the file that the state is written to, and complaints */
	{SYS_recvmsg, 0},
	{SYS_sendmsg, 0},
	{SYS_write, 0},
	/* looking up and opening */
	{SYS_openat, 0},
	{SYS_open, 0},
	{SYS_close, 0},
	{SYS_fcntl, 0},
	{SYS_newfstatat, 0},
	{SYS_fstat, 0},
	{SYS_readlinkat, 0},
	{SYS_fstatfs, 0},
	/* the content of files and folders */
	{SYS_pread64, 0},
	{SYS_pwrite64, 0},
	{SYS_lseek, 0},
	{SYS_getdents64, 0},
	{SYS_fsync, 0},
	{SYS_fdatasync, 0},
	{SYS_fallocate, 0},
	{SYS_truncate, 0},
	{SYS_ftruncate, 0}, /* the state's */
	/* names and attributes */
	{SYS_mkdirat, 0},
	{SYS_mknodat, 0},
	{SYS_symlinkat, 0},
	{SYS_linkat, 0},
	{SYS_unlinkat, 0},
	{SYS_renameat2, 0},
	{SYS_renameat, 0}, /* what the C library makes of the former without flags */
	{SYS_chmod, 0},
	{SYS_fchmodat, 0},
	{SYS_fchownat, 0},
	{SYS_utimensat, 0},
	{SYS_getxattr, 0},
	{SYS_listxattr, 0},
	{SYS_setxattr, 0},
	{SYS_removexattr, 0},
	/* the user who asks */
	{SYS_setfsuid, 0},
	{SYS_setfsgid, 0},
	/* memory for what the guest has looked up */
	{SYS_brk, 0},
	{SYS_mmap, 0},
	{SYS_munmap, 0},
	{SYS_mremap, 0},
	{SYS_madvise, 0},
	/* locks of the libraries', time where the vDSO cannot tell it, and the end */
	{SYS_futex, 0},
	{SYS_clock_gettime, 0},
	{SYS_restart_syscall, 0},
	{SYS_exit_group, 0},
};

int share_confine(struct err *err)
{
	return filter_set(rules, sizeof(rules) / sizeof(rules[0]), EPERM, err);
}
