/* SPDX-License-Identifier: Apache-2.0 */
#include "container/tty.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/vfs.h>
#include <termios.h>
#include <unistd.h>

#include "base/err.h"
#include "base/fd.h"
#include "base/path.h"
#include "container/mnt.h"

/* The workload may have put anything on /dev/pts: it must be a devpts, and the node its ptmx. */
static int open_ptmx(struct err *err)
{
	struct statfs fs;
	struct stat st;
	AUTO_CLOSE int root = open("/", O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (root < 0)
		return err_sys(err, "open root");
	AUTO_CLOSE int look = path_open_in(root, "/dev/pts/ptmx", O_PATH | O_NOFOLLOW, 0, err);
	if (look < 0)
		return look;
	if (fstatfs(look, &fs) < 0 || fstat(look, &st) < 0)
		return err_sys(err, "stat '/dev/pts/ptmx'");
	if (fs.f_type != DEVPTS_SUPER_MAGIC || !S_ISCHR(st.st_mode) || st.st_rdev != makedev(5, 2))
		return err_set(err, ENODEV, "the workload's /dev/pts offers no terminals");
	AUTO_CLOSE int master = path_open_in(root, "/dev/pts/ptmx", O_RDWR | O_NOCTTY | O_NOFOLLOW,
					     0, err);
	if (master < 0)
		return master;
	if (fstatfs(master, &fs) < 0 || fs.f_type != DEVPTS_SUPER_MAGIC)
		return err_set(err, ENODEV, "the workload's /dev/pts was exchanged");
	return TAKE_FD(master);
}

int tty_open(uint32_t rows, uint32_t cols, struct tty *ret, struct err *err)
{
	struct winsize size = {.ws_row = (unsigned short)rows, .ws_col = (unsigned short)cols};
	int unlocked = 0;

	AUTO_CLOSE int master = open_ptmx(err);
	if (master < 0)
		return master;
	if (ioctl(master, TIOCSPTLCK, &unlocked) < 0)
		return err_sys(err, "unlock terminal");
	AUTO_CLOSE int slave = ioctl(master, TIOCGPTPEER, O_RDWR | O_NOCTTY | O_CLOEXEC);
	if (slave < 0)
		return err_sys(err, "open terminal");
	if (rows && cols && ioctl(master, TIOCSWINSZ, &size) < 0)
		return err_sys(err, "set terminal size");
	ret->master = TAKE_FD(master);
	ret->slave = TAKE_FD(slave);
	return 0;
}

int tty_console(const struct tty *tty, struct err *err)
{
	unsigned number;
	char path[32];
	struct stat wanted;
	struct stat found;

	if (ioctl(tty->master, TIOCGPTN, &number) < 0 || fstat(tty->slave, &wanted) < 0)
		return err_sys(err, "stat terminal");
	(void)snprintf(path, sizeof(path), "/dev/pts/%u", number);
	AUTO_CLOSE int mount = mount_clone(AT_FDCWD, path, false, err);
	if (mount < 0)
		return mount;
	if (fstat(mount, &found) < 0)
		return err_sys(err, "stat '%s'", path);
	if (found.st_rdev != wanted.st_rdev || found.st_dev != wanted.st_dev)
		return err_set(err, ENODEV, "'%s' is another terminal", path);
	AUTO_CLOSE int dev = open("/dev", O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (dev < 0)
		return err_sys(err, "open '/dev'");
	AUTO_CLOSE int node = openat(dev, "console",
				     O_CREAT | O_EXCL | O_RDONLY | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (node < 0 && errno != EEXIST)
		return err_sys(err, "make '/dev/console'");
	return mount_attach_name(mount, dev, "console", err);
}

int tty_control(int slave, struct err *err)
{
	if (ioctl(slave, TIOCSCTTY, 0) < 0)
		return err_sys(err, "take the terminal");
	return 0;
}
