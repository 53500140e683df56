/* SPDX-License-Identifier: Apache-2.0 */
/*
 * IPv4 subnets and their addresses, as plain numbers in host order. Pure functions; who has which
 * address is the caller's record.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/attr.h"

struct err;

struct subnet {
	uint32_t base; /* host order, host bits zero */
	uint8_t prefix; /* 8 to 29 */
};

enum { SUBNET_TEXT = 20, ADDRESS_TEXT = 16, MAC_TEXT = 18 };

/* Reads "10.214.0.0/16". Refuses host bits that are set and prefixes outside 8 to 29. */
int subnet_parse(const char *text, struct subnet *ret, struct err *err) HULL_MUST_CHECK;

/* Writes what subnet_parse() reads. */
void subnet_format(const struct subnet *s, char text[SUBNET_TEXT]);

/* The bridge's own address: the first. */
uint32_t subnet_gateway(const struct subnet *s);

/* How many addresses workloads can have: all but the net's, the gateway's and the broadcast one. */
uint32_t subnet_size(const struct subnet *s);

/* The nth address for workloads, from 0; n must be below subnet_size(). */
uint32_t subnet_nth(const struct subnet *s, uint32_t n);

/* The other way: which address it is, or UINT32_MAX when it is none for workloads. */
uint32_t subnet_index(const struct subnet *s, uint32_t address);

/* Reads "10.214.0.2". */
int address_parse(const char *text, uint32_t *ret, struct err *err) HULL_MUST_CHECK;

/* Writes what address_parse() reads. */
void address_format(uint32_t address, char text[ADDRESS_TEXT]);

/* The MAC that belongs to an address (02:68 and the address): a reused address never meets a stale
 * neighbour entry. */
void mac_of(uint32_t address, uint8_t mac[6]);

/* The same as text, "02:68:0a:d6:00:02". */
void mac_format(uint32_t address, char text[MAC_TEXT]);
