/* SPDX-License-Identifier: Apache-2.0 */
/* The database's schema as SQL. Any change to it raises STORE_VERSION. */
#pragma once

enum {
	STORE_VERSION = 1, /* PRAGMA user_version */
	STORE_APPLICATION_ID = 0x68756c6c, /* PRAGMA application_id: "hull" */
};

/* Makes all tables in an empty database and sets the two numbers. */
extern const char store_schema[];
