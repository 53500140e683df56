/* SPDX-License-Identifier: Apache-2.0 */
/* Any text as a --format template over a document of every kind of value. */
#include <json-c/json.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/err.h"
#include "cli/template.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	static const char document[] =
		"{\"A\":{\"B\":[1,2.5,\"x\",null,true]},\"C\":\"text\",\"D\":{},\"E\":[]}";
	AUTO_FREE char *text = malloc(n + 1);
	AUTO_BUF struct buf out = BUF_INIT;
	struct err err = ERR_INIT;

	if (!text)
		return 0;
	memcpy(text, data, n);
	text[n] = '\0';
	struct json_object *dot = json_tokener_parse(document);
	int r = template_render(text, dot, &out, &err);
	json_object_put(dot);
	if ((r < 0) != (err.code != 0))
		abort();
	return 0;
}
