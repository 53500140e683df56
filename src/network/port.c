/* SPDX-License-Identifier: Apache-2.0 */
/* Published ports as text. */
#include "network/port.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/err.h"
#include "proto/control.h"

enum { SPEC_MAX = 128, PORT_NUMBER_MAX = 65535 };

/* A -p value taken apart; each points into a copy of it. */
struct spec {
	char copy[SPEC_MAX];
	char *ip; /* NULL: all */
	char *host; /* NULL or "": the kernel's choice */
	char *port;
	bool udp;
};

static int refuse(const char *text, const char *why, struct err *err)
{
	return err_set(err, EINVAL, "port '%.*s': %s", SPEC_MAX, text, why);
}

static int split_protocol(struct spec *s, const char *text, struct err *err)
{
	char *slash = strchr(s->copy, '/');

	if (!slash)
		return 0;
	*slash = '\0';
	s->udp = strcmp(slash + 1, "udp") == 0;
	if (!s->udp && strcmp(slash + 1, "tcp") != 0)
		return refuse(text, "the protocol is tcp or udp", err);
	return 0;
}

static int split_address(struct spec *s, char **rest, const char *text, struct err *err)
{
	struct in6_addr v6;
	struct in_addr v4;
	char *p = s->copy;

	if (*p == '[') {
		char *end = strchr(p, ']');
		if (!end || end[1] != ':')
			return refuse(text, "an IPv6 address ends with ']:'", err);
		*end = '\0';
		s->ip = p + 1;
		*rest = end + 2;
		if (inet_pton(AF_INET6, s->ip, &v6) != 1)
			return refuse(text, "what stands in brackets is not an IPv6 address", err);
		return 0;
	}
	*rest = p;
	char *first = strchr(p, ':');
	char *last = strrchr(p, ':');
	if (first == last) /* no address */
		return 0;
	*first = '\0';
	*rest = first + 1;
	if (*p == '\0') /* "::80" is docker's ":[any]:80" */
		return 0;
	s->ip = p;
	if (inet_pton(AF_INET, s->ip, &v4) != 1)
		return refuse(text,
			      "the address is not an IPv4 address (IPv6 ones stand in brackets)",
			      err);
	return 0;
}

static int split(struct spec *s, const char *text, struct err *err)
{
	char *rest = NULL;

	if (strlen(text) >= sizeof(s->copy))
		return refuse(text, "too long", err);
	memcpy(s->copy, text, strlen(text) + 1);
	int r = split_protocol(s, text, err);
	if (r == 0)
		r = split_address(s, &rest, text, err);
	if (r < 0)
		return r;
	char *colon = strchr(rest, ':');
	if (!colon && s->ip)
		return refuse(text, "the workload's port is missing", err);
	if (colon) {
		*colon = '\0';
		s->host = rest;
		rest = colon + 1;
	}
	s->port = rest;
	return 0;
}

/* "80" or "80-90". */
static int parse_range(const char *text, const char *range, uint32_t *first, uint32_t *n,
		       struct err *err)
{
	uint32_t v[2] = {0, 0};
	const char *p = range;
	int parts = 0;

	do {
		p += parts; /* over the '-' */
		size_t digits = strspn(p, "0123456789");
		if (digits == 0 || digits > 5)
			return refuse(text, "ports are numbers or ranges of them", err);
		for (size_t i = 0; i < digits; i++)
			v[parts] = v[parts] * 10 + (uint32_t)(p[i] - '0');
		p += digits;
	} while (*p == '-' && ++parts < 2);
	if (*p != '\0')
		return refuse(text, "ports are numbers or ranges of them", err);
	v[1] = parts ? v[1] : v[0];
	if (v[0] < 1 || v[1] > PORT_NUMBER_MAX || v[0] > PORT_NUMBER_MAX)
		return refuse(text, "ports are from 1 to 65535", err);
	if (v[1] < v[0])
		return refuse(text, "the range ends before it begins", err);
	if (v[1] - v[0] >= PORT_RANGE_MAX)
		return refuse(text, "a range holds at most 1024 ports", err);
	*first = v[0];
	*n = v[1] - v[0] + 1;
	return 0;
}

static void drop_to(struct list *ports, size_t n)
{
	while (ports->n > n)
		record_done(&keeper_port_record, (struct keeper_port *)ports->items + --ports->n);
}

int port_parse(const char *text, struct list *ports, struct err *err)
{
	uint32_t port = 0;
	uint32_t host = 0;
	uint32_t n = 0;
	uint32_t n_host = 0;
	struct spec s = {.ip = NULL};
	size_t before = ports->n;

	int r = split(&s, text, err);
	if (r == 0)
		r = parse_range(text, s.port, &port, &n, err);
	if (r == 0 && s.host && *s.host)
		r = parse_range(text, s.host, &host, &n_host, err);
	if (r < 0)
		return r;
	if (n_host && n_host != n)
		return refuse(text, "both ranges must be of the same length", err);
	for (uint32_t i = 0; i < n; i++) {
		struct keeper_port *p = list_add(ports, &keeper_port_record);
		if (p && s.ip)
			p->host_ip = strdup(s.ip);
		if (!p || (s.ip && !p->host_ip)) {
			drop_to(ports, before);
			return err_set(err, ENOMEM, "out of memory");
		}
		p->host_port = host ? host + i : 0;
		p->port = port + i;
		p->udp = s.udp;
	}
	return 0;
}

void port_format(const struct keeper_port *port, char text[PORT_TEXT])
{
	const char *ip = port->host_ip ? port->host_ip : "0.0.0.0";
	bool v6 = strchr(ip, ':');

	(void)snprintf(text, PORT_TEXT, "%s%.46s%s:%u->%u/%s", v6 ? "[" : "", ip, v6 ? "]" : "",
		       port->host_port, port->port, port->udp ? "udp" : "tcp");
}

bool port_address(const struct keeper_port *port, uint32_t *ret)
{
	struct in_addr v4 = {0};

	if (port->host_ip && inet_pton(AF_INET, port->host_ip, &v4) != 1)
		return false;
	uint32_t address = ntohl(v4.s_addr);
	if (address >> 24 == 127)
		return false;
	*ret = address;
	return true;
}
