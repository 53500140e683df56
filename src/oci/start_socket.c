/* SPDX-License-Identifier: Apache-2.0 */
#include "oci/start_socket.h"

#include <stdio.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/err.h"
#include "base/fd.h"

/* Through the handle: the folder's path may be longer than an address. */
static struct sockaddr_un address(int folder)
{
	struct sockaddr_un sun = {.sun_family = AF_UNIX};

	(void)snprintf(sun.sun_path, sizeof(sun.sun_path), "/proc/self/fd/%d/start", folder);
	return sun;
}

int start_socket_new(int folder, struct err *err)
{
	struct sockaddr_un sun = address(folder);
	AUTO_CLOSE int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);

	if (fd < 0)
		return err_sys(err, "make the start socket");
	if (bind(fd, (const struct sockaddr *)&sun, sizeof(sun)) < 0 || listen(fd, 4) < 0)
		return err_sys(err, "bind the start socket");
	return TAKE_FD(fd);
}

int start_socket_connect(int folder, struct err *err)
{
	struct sockaddr_un sun = address(folder);
	AUTO_CLOSE int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);

	if (fd < 0 || connect(fd, (const struct sockaddr *)&sun, sizeof(sun)) < 0)
		return err_sys(err, "reach the parked process");
	return TAKE_FD(fd);
}

bool start_socket_waits(int folder)
{
	struct err ignored = ERR_INIT; /* nobody waits */
	AUTO_CLOSE int fd = start_socket_connect(folder, &ignored);

	return fd >= 0;
}
