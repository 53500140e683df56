/* SPDX-License-Identifier: Apache-2.0 */
#include "registry/origin.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>

#include "base/err.h"
#include "base/io.h"
#include "base/path.h"
#include "registry/registry.h"

enum { CERTIFICATES_MAX = 4 << 20 };

void origin_done(struct origin *o)
{
	free(o->host);
	free(o->repository);
	buf_done(&o->trust.ca);
	buf_done(&o->trust.cert);
	if (o->trust.key.data)
		explicit_bzero(o->trust.key.data, o->trust.key.len);
	buf_done(&o->trust.key);
	free(o->base);
	creds_done(&o->creds);
	free(o->authorization);
	*o = (struct origin){0};
}

static bool ends_in(const char *name, const char *ending)
{
	size_t n = strlen(name), m = strlen(ending);

	return n > m && strcmp(name + n - m, ending) == 0;
}

/* The certificate `name` of ourselves, and the key beside it. */
static int take_own(int dirfd, const char *name, struct http_trust *trust, struct err *err)
{
	int base = (int)(strlen(name) - strlen(".cert"));
	AUTO_FREE char *key = NULL;

	if (trust->cert.len > 0)
		return 0;
	if (asprintf(&key, "%.*s.key", base, name) < 0) {
		key = NULL;
		return err_set(err, ENOMEM, "out of memory");
	}
	int r = file_read(dirfd, name, CERTIFICATES_MAX, &trust->cert, err);
	return r < 0 ? r : file_read(dirfd, key, CERTIFICATES_MAX, &trust->key, err);
}

static int take_certificate(int dirfd, const char *name, struct http_trust *trust, struct err *err)
{
	if (ends_in(name, ".cert"))
		return take_own(dirfd, name, trust, err);
	if (!ends_in(name, ".crt"))
		return 0;
	int r = file_read(dirfd, name, CERTIFICATES_MAX, &trust->ca, err);
	buf_str(&trust->ca, "\n");
	return r < 0 ? r : buf_check(&trust->ca, err);
}

/* The certificates of one folder, as docker and podman lay them down; it may be absent. */
static int take_folder(const char *folder, struct http_trust *trust, struct err *err)
{
	DIR *dir = opendir(folder);
	struct dirent *e;
	int r = 0;

	if (!dir)
		return errno == ENOENT || errno == ENOTDIR || errno == EACCES
			       ? 0
			       : err_sys(err, "open folder '%s'", folder);
	while (r == 0 && (e = readdir(dir)))
		r = take_certificate(dirfd(dir), e->d_name, trust, err);
	(void)closedir(dir);
	return r < 0 ? err_wrap(err, "%s", folder) : r;
}

static int load_trust(const char *host, const struct registry_config *config,
		      struct http_trust *trust, struct err *err)
{
	static const char *const usual[] = {"/etc/hull/certs.d", "/etc/containers/certs.d",
					    "/etc/docker/certs.d"};
	AUTO_STRV struct strv folders = {0};
	int r = strv_add_all(&folders, &config->certs, err);

	for (size_t i = 0; r == 0 && i < sizeof(usual) / sizeof(usual[0]); i++)
		r = strv_add(&folders, usual[i], err);
	for (size_t i = 0; r == 0 && i < folders.n; i++) {
		AUTO_FREE char *folder = path_join(folders.v[i], host);
		r = folder ? take_folder(folder, trust, err)
			   : err_set(err, ENOMEM, "out of memory");
	}
	return r;
}

static bool is_named(const struct strv *list, const char *host)
{
	for (size_t i = 0; i < list->n; i++) {
		if (strcmp(list->v[i], host) == 0)
			return true;
	}
	return false;
}

int origin_init(const char *place, const char *repository, bool any,
		const struct registry_config *config, struct origin *ret, struct err *err)
{
	struct origin o = {0};
	size_t n = strcspn(place, "/");
	const char *prefix = place[n] ? place + n + 1 : "";

	o.host = strndup(place, n);
	if (!o.host ||
	    asprintf(&o.repository, "%s%s%s", prefix, *prefix ? "/" : "", repository) < 0 ||
	    asprintf(&o.base, "https://%s/v2/",
		     strcmp(o.host, "docker.io") == 0 ? "registry-1.docker.io" : o.host) < 0) {
		origin_done(&o);
		return err_set(err, ENOMEM, "out of memory");
	}
	o.trust.any = any || is_named(&config->insecure, o.host);
	int r = load_trust(o.host, config, &o.trust, err);
	if (r < 0) {
		origin_done(&o);
		return r;
	}
	*ret = o;
	return 0;
}

void origin_know(struct origin *o, bool given)
{
	int r = creds_find(o->host, o->repository, given, &o->creds, &o->creds_failure);

	o->has_creds = r > 0;
}
