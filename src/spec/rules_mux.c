/* SPDX-License-Identifier: Apache-2.0 */
/*
 * 32-bit x86 has two ways to call for sockets and System V IPC: by the call itself, or by one call
 * for all whose first argument says which (socketcall(2), ipc(2)). A rule that did not hold for
 * both would be no rule. Arguments are in memory there, where no filter sees them: rules with
 * conditions do not reach it.
 */
#include <string.h>

#include "spec/rules_impl.h"

static const struct {
	const char *name;
	struct multiplexed how;
} all[] = {
	{"socket", {"socketcall", 1, 0xffffffff}},
	{"bind", {"socketcall", 2, 0xffffffff}},
	{"connect", {"socketcall", 3, 0xffffffff}},
	{"listen", {"socketcall", 4, 0xffffffff}},
	{"accept", {"socketcall", 5, 0xffffffff}},
	{"getsockname", {"socketcall", 6, 0xffffffff}},
	{"getpeername", {"socketcall", 7, 0xffffffff}},
	{"socketpair", {"socketcall", 8, 0xffffffff}},
	{"send", {"socketcall", 9, 0xffffffff}},
	{"recv", {"socketcall", 10, 0xffffffff}},
	{"sendto", {"socketcall", 11, 0xffffffff}},
	{"recvfrom", {"socketcall", 12, 0xffffffff}},
	{"shutdown", {"socketcall", 13, 0xffffffff}},
	{"setsockopt", {"socketcall", 14, 0xffffffff}},
	{"getsockopt", {"socketcall", 15, 0xffffffff}},
	{"sendmsg", {"socketcall", 16, 0xffffffff}},
	{"recvmsg", {"socketcall", 17, 0xffffffff}},
	{"accept4", {"socketcall", 18, 0xffffffff}},
	{"recvmmsg", {"socketcall", 19, 0xffffffff}},
	{"sendmmsg", {"socketcall", 20, 0xffffffff}},
	{"semop", {"ipc", 1, 0xffff}}, /* the upper half is a version */
	{"semget", {"ipc", 2, 0xffff}},
	{"semctl", {"ipc", 3, 0xffff}},
	{"semtimedop", {"ipc", 4, 0xffff}},
	{"msgsnd", {"ipc", 11, 0xffff}},
	{"msgrcv", {"ipc", 12, 0xffff}},
	{"msgget", {"ipc", 13, 0xffff}},
	{"msgctl", {"ipc", 14, 0xffff}},
	{"shmat", {"ipc", 21, 0xffff}},
	{"shmdt", {"ipc", 22, 0xffff}},
	{"shmget", {"ipc", 23, 0xffff}},
	{"shmctl", {"ipc", 24, 0xffff}},
};

const struct multiplexed *rules_multiplexed(const char *name)
{
	for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++) {
		if (strcmp(all[i].name, name) == 0)
			return &all[i].how;
	}
	return NULL;
}
