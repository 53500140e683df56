/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <string.h>

#include "kit.h"

static void pad(struct buf *tar)
{
	static const char zeros[512];

	buf_add(tar, zeros, -tar->len % 512);
}

void tar_sum(struct buf *tar, size_t at)
{
	unsigned int sum = 0;
	char *h = tar->data + at;

	memset(h + 148, ' ', 8);
	for (int i = 0; i < 512; i++)
		sum += (unsigned char)h[i];
	(void)snprintf(h + 148, 8, "%06o", sum);
}

void tar_member(struct buf *tar, const char *name, char type, mode_t mode, const char *link,
		const void *content, size_t n)
{
	char h[512] = {0};
	size_t at = tar->len;

	memcpy(h, name, strnlen(name, 100));
	(void)snprintf(h + 100, 8, "%07o", mode);
	(void)snprintf(h + 108, 8, "%07o", 0U);
	(void)snprintf(h + 116, 8, "%07o", 0U);
	(void)snprintf(h + 124, 12, "%011zo", n);
	(void)snprintf(h + 136, 12, "%011o", 1600000000U);
	h[156] = type;
	if (link)
		memcpy(h + 157, link, strnlen(link, 100));
	memcpy(h + 257, "ustar", sizeof("ustar"));
	h[263] = '0';
	h[264] = '0';
	buf_add(tar, h, sizeof(h));
	tar_sum(tar, at);
	buf_add(tar, content, n);
	pad(tar);
}

void tar_file(struct buf *tar, const char *name, const char *text)
{
	tar_member(tar, name, '0', 0644, NULL, text, strlen(text));
}

void tar_pax(struct buf *tar, const char *key, const void *value, size_t n)
{
	AUTO_BUF struct buf record = BUF_INIT;
	size_t len = strlen(key) + n + 3, digits = 1;

	for (size_t limit = 10; len + digits >= limit; limit *= 10)
		digits++;
	buf_printf(&record, "%zu %s=", len + digits, key);
	buf_add(&record, value, n);
	buf_str(&record, "\n");
	tar_member(tar, "PaxHeaders/x", 'x', 0644, NULL, record.data, record.len);
}

void tar_end(struct buf *tar)
{
	static const char zeros[1024];

	buf_add(tar, zeros, sizeof(zeros));
}
