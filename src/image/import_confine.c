/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The user stays, who is mostly root: the store's files are root's. So it is Landlock that keeps
 * root's other files out of reach; a kernel without it leaves them to the list of system calls,
 * which has none that starts, mounts, traces or connects anything.
 *
 * The list is that of the C library, SQLite, libarchive and OpenSSL. Calls that are not on it fail
 * instead of ending the program.
 */
#include "image/import_confine.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <linux/fs.h>
#include <linux/fsverity.h>
#include <linux/landlock.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/err.h"
#include "base/fd.h"
#include "base/filter.h"
#include "image/sha256.h"

static const struct filter_rule rules[] = {
	/* files of the store, and the source */
	{SYS_openat, 0},
	{SYS_openat2, 0},
	{SYS_close, 0},
	{SYS_read, 0},
	{SYS_readv, 0},
	{SYS_pread64, 0},
	{SYS_preadv, 0},
	{SYS_write, 0},
	{SYS_writev, 0},
	{SYS_pwrite64, 0},
	{SYS_pwritev, 0},
	{SYS_copy_file_range, 0},
	{SYS_sendfile, 0},
	{SYS_lseek, 0},
	{SYS_fcntl, 0},
	{SYS_flock, 0},
	{SYS_dup, 0},
	{SYS_dup3, 0},
	{SYS_fstat, 0},
	{SYS_newfstatat, 0},
	{SYS_statx, 0},
	{SYS_fstatfs, 0},
	{SYS_faccessat, 0},
	{SYS_faccessat2, 0},
	{SYS_readlinkat, 0},
	{SYS_getcwd, 0},
	{SYS_getdents64, 0},
	{SYS_getxattr, 0},
	{SYS_fgetxattr, 0},
	{SYS_listxattr, 0},
	{SYS_flistxattr, 0},
	{SYS_ftruncate, 0},
	{SYS_fallocate, 0},
	{SYS_fadvise64, 0},
	{SYS_fsync, 0},
	{SYS_sync_file_range, 0},
	{SYS_fdatasync, 0},
	{SYS_mkdirat, 0},
	{SYS_linkat, 0},
	{SYS_unlinkat, 0},
	{SYS_renameat, 0},
	{SYS_renameat2, 0},
	{SYS_ioctl, FS_IOC_ENABLE_VERITY},
	{SYS_ioctl, FS_IOC_GETFLAGS},
	{SYS_ioctl, TCGETS}, /* whether there is a terminal to show progress on */
	{SYS_ioctl, TIOCGWINSZ},
	/* questions to hull-registry and the mounter, and their ends */
	{SYS_sendmsg, 0},
	{SYS_recvmsg, 0},
	{SYS_pipe2, 0},
	{SYS_ppoll, 0},
	{SYS_wait4, 0},
	{SYS_waitid, 0},
	{SYS_nanosleep, 0},
	{SYS_clock_nanosleep, 0},
	/* memory */
	{SYS_brk, 0},
	{SYS_mmap, 0},
	{SYS_munmap, 0},
	{SYS_mremap, 0},
	{SYS_mprotect, 0},
	{SYS_madvise, 0},
	/* threads */
	{SYS_clone, 0},
	{SYS_clone3, 0},
	{SYS_set_robust_list, 0},
	{SYS_rseq, 0},
	{SYS_futex, 0},
	{SYS_sched_yield, 0},
	{SYS_sched_getaffinity, 0},
	{SYS_gettid, 0},
	{SYS_rt_sigaction, 0},
	{SYS_rt_sigprocmask, 0},
	{SYS_rt_sigreturn, 0},
	{SYS_sigaltstack, 0},
	{SYS_exit, 0},
	{SYS_exit_group, 0},
	{SYS_restart_syscall, 0},
	/* what the libraries want to know */
	{SYS_getrandom, 0},
	{SYS_clock_gettime, 0},
	{SYS_gettimeofday, 0},
	{SYS_getpid, 0},
	{SYS_getuid, 0},
	{SYS_geteuid, 0},
	{SYS_getgid, 0},
	{SYS_getegid, 0},
	{SYS_uname, 0},
	{SYS_sysinfo, 0},
	{SYS_prlimit64, 0},
#ifdef __x86_64__ /* older forms of those above */
	{SYS_open, 0},
	{SYS_poll, 0},
	{SYS_stat, 0},
	{SYS_lstat, 0},
	{SYS_access, 0},
	{SYS_readlink, 0},
	{SYS_unlink, 0},
	{SYS_mkdir, 0},
	{SYS_time, 0},
#endif
};

/* --- files --- */

#define READING (LANDLOCK_ACCESS_FS_READ_FILE | LANDLOCK_ACCESS_FS_READ_DIR)
#define WORKING                                                                                    \
	(READING | LANDLOCK_ACCESS_FS_WRITE_FILE | LANDLOCK_ACCESS_FS_REMOVE_DIR |                 \
	 LANDLOCK_ACCESS_FS_REMOVE_FILE | LANDLOCK_ACCESS_FS_MAKE_DIR |                            \
	 LANDLOCK_ACCESS_FS_MAKE_REG | LANDLOCK_ACCESS_FS_REFER)
#define GUARDED                                                                                    \
	(WORKING | LANDLOCK_ACCESS_FS_EXECUTE | LANDLOCK_ACCESS_FS_MAKE_CHAR |                     \
	 LANDLOCK_ACCESS_FS_MAKE_SOCK | LANDLOCK_ACCESS_FS_MAKE_FIFO |                             \
	 LANDLOCK_ACCESS_FS_MAKE_BLOCK | LANDLOCK_ACCESS_FS_MAKE_SYM)

static int allow_below(int ruleset, int folder, uint64_t what, struct err *err)
{
	const struct landlock_path_beneath_attr rule = {.allowed_access = what,
							.parent_fd = folder};

	if (syscall(SYS_landlock_add_rule, ruleset, LANDLOCK_RULE_PATH_BENEATH, &rule, 0) < 0)
		return err_sys(err, "allow a folder");
	return 0;
}

/* Files come into the store by links from folder to folder, which ABI 1 allows nobody. */
static bool has_landlock(void)
{
	return syscall(SYS_landlock_create_ruleset, NULL, 0, LANDLOCK_CREATE_RULESET_VERSION) >= 2;
}

static int guard_files(const char *root, int source, struct err *err)
{
	const struct landlock_ruleset_attr attr = {.handled_access_fs = GUARDED};

	AUTO_CLOSE int ruleset = (int)syscall(SYS_landlock_create_ruleset, &attr, sizeof(attr), 0);
	AUTO_CLOSE int store = open(root, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (ruleset < 0 || store < 0)
		return err_sys(err, "guard the host's files");
	int r = allow_below(ruleset, store, WORKING, err);
	if (r == 0 && source >= 0)
		r = allow_below(ruleset, source, READING, err);
	if (r == 0 && syscall(SYS_landlock_restrict_self, ruleset, 0) < 0)
		r = err_sys(err, "guard the host's files");
	return r;
}

/* --- capabilities --- */

static int set_capabilities(uint32_t effective, uint32_t permitted, struct err *err)
{
	struct __user_cap_header_struct head = {.version = _LINUX_CAPABILITY_VERSION_3};
	const struct __user_cap_data_struct sets[2] = {{effective, permitted, 0}, {0, 0, 0}};

	return syscall(SYS_capset, &head, sets) < 0 ? err_sys(err, "drop capabilities") : 0;
}

/* A folder may hold files of all users, and attributes that root alone may see; a store may lie
 * where only who may do anything gets to. Nothing that is missing already is kept. */
static int drop_capabilities(const char *root, bool folder, struct err *err)
{
	struct __user_cap_header_struct head = {.version = _LINUX_CAPABILITY_VERSION_3};
	struct __user_cap_data_struct now[2] = {{0, 0, 0}, {0, 0, 0}};
	const uint32_t reading = 1U << CAP_DAC_READ_SEARCH | 1U << CAP_SYS_ADMIN;

	if (syscall(SYS_capget, &head, now) < 0)
		return err_sys(err, "read the capabilities");
	int r = set_capabilities(0, now[0].permitted, err);
	if (r < 0)
		return r;
	uint32_t keep = folder ? reading : 0;
	if (faccessat(AT_FDCWD, root, R_OK | W_OK | X_OK, AT_EACCESS) < 0)
		keep |= 1U << CAP_DAC_OVERRIDE;
	keep &= now[0].permitted;
	return set_capabilities(keep, keep, err);
}

int import_confine(const char *root, int source, struct err *err)
{
	struct stat st;
	bool folder = source >= 0 && fstat(source, &st) == 0 && S_ISDIR(st.st_mode);
	char ignored[DIGEST_HEX + 1];

	/* OpenSSL reads its configuration when it is used first */
	int r = sha256_hex("", 0, ignored, err);
	if (r == 0)
		r = drop_capabilities(root, folder, err);
	if (r == 0 &&
	    (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 || prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) < 0))
		r = err_sys(err, "set no_new_privs");
	if (r == 0 && has_landlock())
		r = guard_files(root, folder ? source : -1, err);
	return r == 0 ? filter_set(rules, sizeof(rules) / sizeof(rules[0]), EPERM, err) : r;
}
