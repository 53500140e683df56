/* SPDX-License-Identifier: Apache-2.0 */
/* Every command; each is defined in the file of its name. */
#pragma once

#include "cli/cli.h"

extern const struct command command_version;
extern const struct command command_info;
extern const struct command command_ps;
extern const struct command command_run;
extern const struct command command_complete;
extern const struct command command_create;
extern const struct command command_start;
extern const struct command command_stop;
extern const struct command command_restart;
extern const struct command command_kill;
extern const struct command command_rm;
extern const struct command command_wait;
extern const struct command command_pause;
extern const struct command command_unpause;
extern const struct command command_attach;
extern const struct command command_exec;
extern const struct command command_logs;
extern const struct command command_inspect;
extern const struct command command_rename;
extern const struct command command_port;
extern const struct command command_top;
extern const struct command command_stats;
extern const struct command command_events;
extern const struct command command_update;
extern const struct command command_cp;
extern const struct command command_compare;
extern const struct command command_kernel_add;
extern const struct command command_kernel_build;
extern const struct command command_kernel_ls;
extern const struct command command_kernel_rm;
extern const struct command command_kernel_default;
extern const struct command command_machine_ls;
extern const struct command command_machine_inspect;
extern const struct command command_machine_console;
extern const struct command command_images;
extern const struct command command_image_import;
extern const struct command command_image_inspect;
extern const struct command command_image_rm;
extern const struct command command_image_tag;
extern const struct command command_image_prune;
extern const struct command command_image_exists;
extern const struct command command_pull;
extern const struct command command_push;
extern const struct command command_login;
extern const struct command command_logout;
extern const struct command command_search;
extern const struct command command_history;
extern const struct command command_save;
extern const struct command command_load;
extern const struct command command_export;
extern const struct command command_image_tree;
extern const struct command command_image_mount;
extern const struct command command_image_unmount;
extern const struct command command_system_df;
extern const struct command command_system_check;
extern const struct command command_system_repair;
extern const struct command command_system_prune;
extern const struct command command_image_sign;
extern const struct command command_image_verify;
extern const struct command command_key_generate;
extern const struct command command_image_from_packages;
