/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/commands.h"

const struct command *const commands[] = {
	&command_run,     &command_create,  &command_start,   &command_stop,
	&command_restart, &command_kill,    &command_rm,      &command_wait,
	&command_attach,  &command_exec,    &command_logs,    &command_ps,
	&command_top,     &command_stats,   &command_inspect, &command_rename,
	&command_pause,   &command_unpause, &command_update,  &command_port,
	&command_events,  &command_info,    &command_version, NULL,
};
