/* SPDX-License-Identifier: Apache-2.0 */
/* Any resolv.conf of a host: what is left names no server on its loopback, and is left as it is the
 * second time. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/err.h"
#include "network/network.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	AUTO_BUF struct buf once = BUF_INIT;
	AUTO_BUF struct buf twice = BUF_INIT;
	AUTO_BUF struct buf hosts = BUF_INIT;
	AUTO_STRV struct strv extra = {0};
	struct err err = ERR_INIT;

	AUTO_FREE char *text = malloc(n + 1);
	if (!text)
		return 0;
	memcpy(text, data, n);
	text[n] = '\0';
	int servers = resolv_filter(&once, text);
	const char *left = once.len ? once.data : "";
	if (resolv_filter(&twice, left) != servers || twice.len != once.len)
		abort();
	if (str_prefix(left, "nameserver 127.0.0.1\n", NULL) ||
	    strstr(left, "\nnameserver 127.0.0.1\n"))
		abort();

	/* the same text as names: it never makes a line of its own */
	if (strv_add(&extra, text, &err) == 0 &&
	    hosts_text(&hosts, "web", NULL, 0, &extra, &err) == 0) {
		size_t lines = 0;
		for (size_t i = 0; i < hosts.len; i++)
			lines += hosts.data[i] == '\n';
		if (lines != 8)
			abort();
	}
	return 0;
}
