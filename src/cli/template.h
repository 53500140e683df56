/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The part of Go's templates that --format needs, over JSON:
 *
 *	{{.A.B}} {{.}} {{json .A}} {{len .A}} {{upper .A}} {{lower .A}} {{join .A ","}}
 *	{{index .A "key" 0}} {{.A | json}} {{"text\n"}}
 *	{{range .A}}…{{else}}…{{end}} {{if .A}}…{{else}}…{{end}}
 *
 * Values print as Go prints them. A field that an object does not have is an error.
 */
#pragma once

#include "base/attr.h"

struct buf;
struct err;
struct json_object;

/* Appends the template's text for `dot` (borrowed). */
int template_render(const char *text, struct json_object *dot, struct buf *to, struct err *err)
	HULL_MUST_CHECK;
