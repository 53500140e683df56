/* SPDX-License-Identifier: Apache-2.0 */
/* File descriptors. */
#pragma once

/* Closes *fd if it is open and sets it to -1; keeps errno. */
void auto_close(int *fd);
