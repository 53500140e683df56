/* SPDX-License-Identifier: Apache-2.0 */
#include "base/fd.h"

#include <errno.h>
#include <unistd.h>

void auto_close(int *fd)
{
	if (*fd < 0)
		return;
	int saved = errno;
	(void)close(*fd);
	*fd = -1;
	errno = saved;
}
