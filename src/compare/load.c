/* SPDX-License-Identifier: Apache-2.0 */
#include "compare/load.h"

#include <arpa/inet.h>
#include <errno.h>
#include <inttypes.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/fd.h"
#include "base/proc.h"

int load_check(struct err *err)
{
	const char *path = getenv("PATH");
	AUTO_FREE char *copy = strdup(path ? path : "/usr/bin:/bin");
	char *rest = NULL;

	if (!copy)
		return err_set(err, ENOMEM, "out of memory");
	for (char *dir = strtok_r(copy, ":", &rest); dir; dir = strtok_r(NULL, ":", &rest)) {
		AUTO_BUF struct buf file = BUF_INIT;
		buf_printf(&file, "%s/wrk", dir);
		if (file.data && access(file.data, X_OK) == 0)
			return 0;
	}
	return err_set(err, ENOENT,
		       "--load: the load generator wrk is not installed (apt-get "
		       "install wrk)");
}

bool load_answers(uint32_t port, const char *path)
{
	const struct sockaddr_in to = {.sin_family = AF_INET,
				       .sin_port = htons((uint16_t)port),
				       .sin_addr = {htonl(INADDR_LOOPBACK)}};
	const struct timeval patience = {.tv_sec = 1};
	AUTO_BUF struct buf request = BUF_INIT;
	char answer[16];

	AUTO_CLOSE int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	buf_printf(&request, "GET %s HTTP/1.0\r\nHost: localhost\r\n\r\n", path);
	if (fd < 0 || request.bad)
		return false;
	(void)setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
	(void)setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof(patience));
	if (connect(fd, (const struct sockaddr *)&to, sizeof(to)) < 0 ||
	    send(fd, request.data, request.len, MSG_NOSIGNAL) != (ssize_t)request.len)
		return false;
	return recv(fd, answer, sizeof(answer), 0) > 4 && strncmp(answer, "HTTP", 4) == 0;
}

/* The number behind `key`, in *ret, and the unit behind the number. NULL when the key is not there.
 */
static const char *number_behind(const char *text, const char *key, double *ret)
{
	const char *p = strstr(text, key);
	char *end;

	if (!p)
		return NULL;
	*ret = strtod(p + strlen(key), &end);
	return end == p + strlen(key) ? NULL : end;
}

static int parse_latency(const char *text, const char *key, double *ret, struct err *err)
{
	const char *unit = number_behind(text, key, ret);

	if (!unit)
		return err_set(err, EPROTO, "wrk told no latency");
	if (strncmp(unit, "us", 2) == 0)
		*ret *= 1e3;
	else if (strncmp(unit, "ms", 2) == 0)
		*ret *= 1e6;
	else if (*unit == 's')
		*ret *= 1e9;
	else if (*unit == 'm')
		*ret *= 60e9;
	else
		return err_set(err, EPROTO, "wrk told a latency in an unknown unit");
	return 0;
}

int load_parse(const char *text, struct load *ret, struct err *err)
{
	double errors;

	if (number_behind(text, "Non-2xx or 3xx responses:", &errors))
		return err_set(err, EPROTO, "the server answered %.0f requests with errors",
			       errors);
	if (!number_behind(text, "Requests/sec:", &ret->rate) || !(ret->rate > 0))
		return err_set(err, EPROTO, "wrk told of no answered request");
	int r = parse_latency(text, "\n     50%", &ret->p50, err);
	if (r == 0)
		r = parse_latency(text, "\n     99%", &ret->p99, err);
	return r;
}

int load_run(uint32_t port, const char *path, uint64_t duration_ms, struct load *ret,
	     struct err *err)
{
	AUTO_BUF struct buf url = BUF_INIT;
	AUTO_BUF struct buf text = BUF_INIT;
	char seconds[24];

	uint64_t whole = (duration_ms + 999) / 1000;
	(void)snprintf(seconds, sizeof(seconds), "%" PRIu64 "s", whole ? whole : 1);
	buf_printf(&url, "http://127.0.0.1:%" PRIu32 "%s", port, path);
	int r = buf_check(&url, err);
	if (r < 0)
		return r;
	const char *argv[] = {"wrk", "-t1", "-c8", "-d", seconds, "--latency", url.data, NULL};
	r = proc_run(argv, NULL, &text, err);
	if (r < 0)
		return err_wrap(err, "wrk");
	buf_str(&text, "");
	r = buf_check(&text, err);
	if (r == 0)
		r = load_parse(text.data, ret, err);
	return r;
}
