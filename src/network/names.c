/* SPDX-License-Identifier: Apache-2.0 */
#include "network/names.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/io.h"
#include "network/subnet.h"

enum { RESOLV_MAX = 64 * 1024, HOSTNAME_MAX = 255 };

static const char host_resolv[] = "/etc/resolv.conf";
static const char upstream_resolv[] = "/run/systemd/resolve/resolv.conf"; /* systemd-resolved(8) */

static bool is_address(const char *text)
{
	struct in6_addr any;

	return inet_pton(AF_INET, text, &any) == 1 || inet_pton(AF_INET6, text, &any) == 1;
}

/* A name must not be able to add lines or columns of its own. */
static bool is_name(const char *name, size_t n)
{
	if (n == 0 || n > HOSTNAME_MAX)
		return false;
	for (size_t i = 0; i < n; i++) {
		if (name[i] <= ' ' || name[i] == '#' || name[i] == 0x7f)
			return false;
	}
	return true;
}

static int add_extra(struct buf *to, const char *extra, struct err *err)
{
	size_t n = strcspn(extra, ":");
	const char *address = extra[n] ? extra + n + 1 : "";

	if (!is_name(extra, n) || !is_address(address))
		return err_set(err, EINVAL, "'%s' is not NAME:ADDRESS", extra);
	buf_printf(to, "%s\t%.*s\n", address, (int)n, extra);
	return 0;
}

int hosts_text(struct buf *to, const char *hostname, const char *domain, uint32_t address,
	       const struct strv *extra, struct err *err)
{
	char text[ADDRESS_TEXT];

	if (!is_name(hostname, strlen(hostname)))
		return err_set(err, EINVAL, "'%.64s' cannot be a host name", hostname);
	if (domain && *domain && !is_name(domain, strlen(domain)))
		return err_set(err, EINVAL, "'%.64s' cannot be a domain name", domain);
	buf_str(to, "127.0.0.1\tlocalhost\n"
		    "::1\tlocalhost ip6-localhost ip6-loopback\n"
		    "fe00::\tip6-localnet\n"
		    "ff00::\tip6-mcastprefix\n"
		    "ff02::1\tip6-allnodes\n"
		    "ff02::2\tip6-allrouters\n");
	for (size_t i = 0; extra && i < extra->n; i++) {
		int r = add_extra(to, extra->v[i], err);
		if (r < 0)
			return r;
	}
	address_format(address ? address : 0x7f000101, text);
	buf_printf(to, "%s\t", text);
	if (domain && *domain)
		buf_printf(to, "%s.%s ", hostname, domain);
	buf_printf(to, "%s\n", hostname);
	return 0;
}

/* Whether a name server's address (perhaps with %interface) is the host's own loopback. */
static bool is_loopback(const char *server, size_t n)
{
	char text[INET6_ADDRSTRLEN];
	struct in_addr v4;
	struct in6_addr v6;

	n = strcspn(server, "%") < n ? strcspn(server, "%") : n;
	if (n >= sizeof(text))
		return false;
	memcpy(text, server, n);
	text[n] = '\0';
	if (inet_pton(AF_INET, text, &v4) == 1)
		return ntohl(v4.s_addr) >> 24 == 127;
	return inet_pton(AF_INET6, text, &v6) == 1 && IN6_IS_ADDR_LOOPBACK(&v6);
}

int resolv_filter(struct buf *to, const char *text)
{
	static const char keyword[] = "nameserver";
	int servers = 0;

	for (const char *line = text; *line;) {
		size_t n = strcspn(line, "\n");
		const char *p = line + strspn(line, " \t");
		bool comment = *p == '#' || *p == ';' || *p == '\n' || *p == '\0';
		const char *value = NULL;
		if (str_prefix(p, keyword, &value) && (*value == ' ' || *value == '\t'))
			value += strspn(value, " \t");
		else
			value = NULL;
		if (!comment && !(value && is_loopback(value, strcspn(value, " \t\n")))) {
			buf_add(to, line, n);
			buf_str(to, "\n");
			servers += value ? 1 : 0;
		}
		line += n + (line[n] == '\n');
	}
	return servers;
}

int resolv_text(struct buf *to, bool whole, struct err *err)
{
	static const char *const files[] = {host_resolv, upstream_resolv};

	for (size_t i = 0; i < sizeof(files) / sizeof(files[0]); i++) {
		AUTO_BUF struct buf text = BUF_INIT;
		AUTO_BUF struct buf kept = BUF_INIT;
		struct err failure = ERR_INIT;
		int r = file_read(AT_FDCWD, files[i], RESOLV_MAX, &text, &failure);
		if (r == -ENOENT)
			continue;
		if (r < 0)
			return err_set(err, failure.code, "%s", failure.msg);
		if (whole) {
			buf_add(to, text.data, text.len);
			return 0;
		}
		if (resolv_filter(&kept, text.len ? text.data : "") > 0) {
			buf_add(to, kept.data, kept.len);
			return 0;
		}
	}
	if (!whole)
		buf_str(to, "# The host names no name server that can be reached from here.\n");
	return 0;
}
