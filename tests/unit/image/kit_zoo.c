/* SPDX-License-Identifier: Apache-2.0 */
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "base/fd.h"
#include "kit.h"

void set_mtime(int dir, const char *name, time_t sec, long nsec)
{
	struct timespec times[2] = {{.tv_sec = sec, .tv_nsec = nsec},
				    {.tv_sec = sec, .tv_nsec = nsec}};

	(void)utimensat(dir, name, times, AT_SYMLINK_NOFOLLOW);
}

int put_file(int dir, const char *name, const void *bytes, size_t n, mode_t mode)
{
	AUTO_CLOSE int fd = openat(dir, name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);

	if (fd < 0 || write(fd, bytes, n) != (ssize_t)n || fchmod(fd, mode) < 0)
		return -1;
	return 0;
}

int zoo_new(void)
{
	int dir = scratch_folder();
	static char big[300001];

	for (size_t i = 0; i < sizeof(big); i++)
		big[i] = (char)(i * 7 + i / 251);
	int bad = fchmod(dir, 0751);
	bad |= put_file(dir, "empty", "", 0, 0644) | put_file(dir, "big", big, sizeof(big), 04755);
	bad |= put_file(dir, "block", big, 4096, 0400) | put_file(dir, "odd", big, 4097, 0664);
	bad |= mkdirat(dir, "sub", 0700) | mkdirat(dir, "sub/deep", 02775) |
	       mkdirat(dir, "tmp", 0700);
	bad |= fchmodat(dir, "tmp", 01777, 0) | put_file(dir, "sub/deep/f", "f\n", 2, 0600);
	bad |= symlinkat("sub/deep", dir, "link") | symlinkat("/nowhere", dir, "sub/dangling");
	bad |= symlinkat("sub/deep", dir, "link2");
	bad |= linkat(dir, "odd", dir, "sub/odd-again", 0) | linkat(dir, "odd", dir, "a-odd", 0);
	bad |= mknodat(dir, "null", S_IFCHR | 0666, makedev(1, 3));
	bad |= mknodat(dir, "disk", S_IFBLK | 0660, makedev(259, 70000));
	bad |= mknodat(dir, "pipe", S_IFIFO | 0640, 0);
	bad |= put_file(dir, "new\nline \x01", "x", 1, 0644) |
	       put_file(dir, "\xff\xfe", "y", 1, 0644);
	bad |= put_file(dir, "e\xcc\x81", "nfd", 3, 0644) |
	       put_file(dir, "\xc3\xa9", "nfc", 3, 0644);
	bad |= put_file(dir, "-dash", "", 0, 0644) | put_file(dir, "!early", "", 0, 0644);
	bad |= fchownat(dir, "big", 70000, 4000000000, 0) | fchmodat(dir, "big", 04755, 0);
	bad |= fchownat(dir, "link", 12, 13, AT_SYMLINK_NOFOLLOW);
	set_mtime(dir, "empty", -86400, 5);
	set_mtime(dir, "big", 5000000000, 999999999);
	set_mtime(dir, "link", 77, 123456789);
	set_mtime(dir, "sub/deep", 1, 1);
	return bad ? -1 : dir;
}

int zoo_xattrs(int dir)
{
	static char long_value[3000];
	AUTO_CLOSE int big = openat(dir, "big", O_RDONLY | O_CLOEXEC);
	AUTO_CLOSE int sub = openat(dir, "sub", O_RDONLY | O_CLOEXEC);
	static const uint8_t caps[20] = {1, 0, 0, 2, 0, 0x20};
	static const uint8_t acl[] = {2,    0,    0, 0, 1,    0,    7,    0,    0xff, 0xff,
				      0xff, 0xff, 4, 0, 5,    0,    0xff, 0xff, 0xff, 0xff,
				      0x20, 0,    5, 0, 0xff, 0xff, 0xff, 0xff};

	memset(long_value, 'v', sizeof(long_value));
	int bad = fsetxattr(big, "user.a", "x\0y", 3, 0) | fsetxattr(big, "user.empty", "", 0, 0);
	bad |= fsetxattr(big, "trusted.t", long_value, sizeof(long_value), 0);
	bad |= fsetxattr(big, "security.capability", caps, sizeof(caps), 0);
	bad |= fsetxattr(sub, "user.on-a-folder", "1", 1, 0);
	bad |= fsetxattr(sub, "system.posix_acl_default", acl, sizeof(acl), 0);
	return bad;
}
