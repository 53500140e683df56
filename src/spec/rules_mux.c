/* SPDX-License-Identifier: Apache-2.0 */
/*
 * 32-bit x86 has two ways to call for sockets and System V IPC: by the call itself, or by one call
 * for all whose first argument says which (socketcall(2), ipc(2)). A rule that did not hold for
 * both would be no rule. Arguments are in memory there, where no filter sees them: rules with
 * conditions do not reach it.
 */
#include <stdlib.h>
#include <string.h>

#include "spec/rules_impl.h"

/* The masks: an int; a number under the half that is a version. */
static const struct other_way {
	const char *name;
	struct multiplexed how;
} all[] = {
	/* sorted by name */
	{"accept", {"socketcall", 5, 0xffffffff}},
	{"accept4", {"socketcall", 18, 0xffffffff}},
	{"bind", {"socketcall", 2, 0xffffffff}},
	{"connect", {"socketcall", 3, 0xffffffff}},
	{"getpeername", {"socketcall", 7, 0xffffffff}},
	{"getsockname", {"socketcall", 6, 0xffffffff}},
	{"getsockopt", {"socketcall", 15, 0xffffffff}},
	{"listen", {"socketcall", 4, 0xffffffff}},
	{"msgctl", {"ipc", 14, 0xffff}},
	{"msgget", {"ipc", 13, 0xffff}},
	{"msgrcv", {"ipc", 12, 0xffff}},
	{"msgsnd", {"ipc", 11, 0xffff}},
	{"recv", {"socketcall", 10, 0xffffffff}},
	{"recvfrom", {"socketcall", 12, 0xffffffff}},
	{"recvmmsg", {"socketcall", 19, 0xffffffff}},
	{"recvmsg", {"socketcall", 17, 0xffffffff}},
	{"semctl", {"ipc", 3, 0xffff}},
	{"semget", {"ipc", 2, 0xffff}},
	{"semop", {"ipc", 1, 0xffff}},
	{"semtimedop", {"ipc", 4, 0xffff}},
	{"send", {"socketcall", 9, 0xffffffff}},
	{"sendmmsg", {"socketcall", 20, 0xffffffff}},
	{"sendmsg", {"socketcall", 16, 0xffffffff}},
	{"sendto", {"socketcall", 11, 0xffffffff}},
	{"setsockopt", {"socketcall", 14, 0xffffffff}},
	{"shmat", {"ipc", 21, 0xffff}},
	{"shmctl", {"ipc", 24, 0xffff}},
	{"shmdt", {"ipc", 22, 0xffff}},
	{"shmget", {"ipc", 23, 0xffff}},
	{"shutdown", {"socketcall", 13, 0xffffffff}},
	{"socket", {"socketcall", 1, 0xffffffff}},
	{"socketpair", {"socketcall", 8, 0xffffffff}},
};

static int compare(const void *name, const void *way)
{
	return strcmp(name, ((const struct other_way *)way)->name);
}

const struct multiplexed *rules_multiplexed(const char *name)
{
	const struct other_way *way = bsearch(name, all, sizeof(all) / sizeof(all[0]),
					      sizeof(all[0]), compare);

	return way ? &way->how : NULL;
}
