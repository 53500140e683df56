/* SPDX-License-Identifier: Apache-2.0 */
#include "network/subnet.h"

#include <arpa/inet.h>
#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/err.h"
#include "base/str.h"

enum { PREFIX_MIN = 8, PREFIX_MAX = 29 };

static uint32_t host_bits(const struct subnet *s)
{
	return UINT32_MAX >> s->prefix;
}

int subnet_parse(const char *text, struct subnet *ret, struct err *err)
{
	const char *slash = strchr(text, '/');
	char address[ADDRESS_TEXT];
	struct in_addr in;
	int64_t prefix;

	if (!slash || (size_t)(slash - text) >= sizeof(address))
		return err_set(err, EINVAL, "'%s' is not a subnet (10.1.0.0/16)", text);
	memcpy(address, text, (size_t)(slash - text));
	address[slash - text] = '\0';
	if (inet_pton(AF_INET, address, &in) != 1)
		return err_set(err, EINVAL, "'%s' is not a subnet (10.1.0.0/16)", text);
	int r = parse_int(slash + 1, PREFIX_MIN, PREFIX_MAX, "subnet's prefix", &prefix, err);
	if (r < 0)
		return r;
	struct subnet s = {.base = ntohl(in.s_addr), .prefix = (uint8_t)prefix};
	if (s.base & host_bits(&s))
		return err_set(err, EINVAL, "subnet '%s' has bits set behind its prefix", text);
	*ret = s;
	return 0;
}

void subnet_format(const struct subnet *s, char text[SUBNET_TEXT])
{
	char address[ADDRESS_TEXT];

	address_format(s->base, address);
	(void)snprintf(text, SUBNET_TEXT, "%s/%u", address, (unsigned)s->prefix);
}

uint32_t subnet_gateway(const struct subnet *s)
{
	return s->base + 1;
}

uint32_t subnet_size(const struct subnet *s)
{
	return host_bits(s) - 2;
}

uint32_t subnet_nth(const struct subnet *s, uint32_t n)
{
	assert(n < subnet_size(s));
	return s->base + 2 + n;
}

uint32_t subnet_index(const struct subnet *s, uint32_t address)
{
	uint32_t n = address - s->base - 2;

	return address >= s->base + 2 && n < subnet_size(s) ? n : UINT32_MAX;
}

int address_parse(const char *text, uint32_t *ret, struct err *err)
{
	struct in_addr in;

	if (inet_pton(AF_INET, text, &in) != 1)
		return err_set(err, EINVAL, "'%s' is not an IPv4 address", text);
	*ret = ntohl(in.s_addr);
	return 0;
}

void address_format(uint32_t address, char text[ADDRESS_TEXT])
{
	(void)snprintf(text, ADDRESS_TEXT, "%u.%u.%u.%u", address >> 24, (address >> 16) & 255,
		       (address >> 8) & 255, address & 255);
}

void mac_of(uint32_t address, uint8_t mac[6])
{
	mac[0] = 0x02; /* locally administered */
	mac[1] = 'h';
	for (int i = 0; i < 4; i++)
		mac[2 + i] = (uint8_t)(address >> (24 - 8 * i));
}

void mac_format(uint32_t address, char text[MAC_TEXT])
{
	uint8_t mac[6];

	mac_of(address, mac);
	(void)snprintf(text, MAC_TEXT, "%02x:%02x:%02x:%02x:%02x:%02x", mac[0], mac[1], mac[2],
		       mac[3], mac[4], mac[5]);
}
