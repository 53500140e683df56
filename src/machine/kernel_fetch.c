/* SPDX-License-Identifier: Apache-2.0 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/path.h"
#include "base/proc.h"
#include "base/str.h"
#include "machine/kernel_make.h"

/* Packages whose one dependency is the package of the day, and how its name begins. */
struct wanted {
	const char *package, *prefix;
};

static const struct wanted cloud_kernel = {"linux-image-cloud-amd64", "linux-image-"};
static const struct wanted kernel_source = {"linux-source", "linux-source-"};

enum { OPTIONS_MAX = 8, OPTION_LEN = 4096 };

/* apt options that keep its state inside `dir`; none while the host's own lists serve. */
struct apt {
	char options[OPTIONS_MAX][OPTION_LEN];
	size_t n;
};

static int apt_run(const struct apt *apt, const char *const *words, struct buf *out,
		   struct err *err)
{
	const char *argv[OPTIONS_MAX * 2 + 12];
	size_t n = 0;

	argv[n++] = words[0];
	for (size_t i = 0; i < apt->n; i++) {
		argv[n++] = "-o";
		argv[n++] = apt->options[i];
	}
	for (size_t i = 1; words[i]; i++)
		argv[n++] = words[i];
	argv[n] = NULL;
	return proc_run(argv, NULL, out, err);
}

static int apt_option(struct apt *apt, const char *key, const char *dir, const char *sub,
		      struct err *err)
{
	int n = snprintf(apt->options[apt->n], OPTION_LEN, "%s=%s/%s", key, dir, sub);
	if (n < 0 || n >= OPTION_LEN)
		return err_set(err, ENAMETOOLONG, "'%.100s…' is too long a path", dir);
	apt->n++;
	return 0;
}

/* Package lists of our own below dir, from the host's sources. */
static int private_lists(struct apt *apt, const char *dir, struct err *err)
{
	AUTO_FREE char *lists = NULL;
	if (asprintf(&lists, "%s/apt/lists/partial", dir) < 0)
		return err_set(err, ENOMEM, "out of memory");
	int r = path_mkdir_all(AT_FDCWD, lists, 0755, err);
	if (r == 0)
		r = apt_option(apt, "Dir::State::Lists", dir, "apt/lists", err);
	if (r == 0)
		r = apt_option(apt, "Dir::Cache", dir, "apt/cache", err);
	if (r < 0)
		return r;
	const char *const update[] = {"apt-get", "-qq", "update", NULL};
	if (apt_run(apt, update, NULL, err) < 0)
		return err_wrap(err, "fetch the package lists");
	return 0;
}

/* The package that the metapackage depends on now; NULL when the lists do not know it. The caller
 * frees. */
static char *wanted_package(const struct apt *apt, const struct wanted *wanted)
{
	const char *const depends[] = {"apt-cache", "--important", "depends", wanted->package,
				       NULL};
	static const char mark[] = "Depends: ";
	struct err unknown = ERR_INIT; /* the same as an answer without a dependency */
	AUTO_BUF struct buf out = BUF_INIT;

	if (apt_run(apt, depends, &out, &unknown) < 0 || !out.data)
		return NULL;
	for (char *at = out.data; (at = strstr(at, mark)) != NULL;) {
		at += sizeof(mark) - 1;
		if (!str_prefix(at, wanted->prefix, NULL))
			continue;
		at[strcspn(at, " \n")] = '\0';
		return path_is_clean(at, true) ? strdup(at) : NULL;
	}
	return NULL;
}

/* The one name in folder `path` that begins with prefix; the caller frees. NULL when there is none.
 */
static char *name_in(const char *path, const char *prefix)
{
	char *found = NULL;
	DIR *d = opendir(path);

	for (struct dirent *e = d ? readdir(d) : NULL; e && !found; e = readdir(d)) {
		if (e->d_name[0] != '.' && str_prefix(e->d_name, prefix, NULL))
			found = path_join(path, e->d_name);
	}
	if (d)
		(void)closedir(d);
	return found;
}

/* apt-get downloads into its working folder. */
static int download(const struct apt *apt, const char *dir, const char *package, struct err *err)
{
	const char *const words[] = {"apt-get",  "-qq",   "-o", "APT::Sandbox::User=root",
				     "download", package, NULL};

	if (chdir(dir) < 0)
		return err_sys(err, "enter '%s'", dir);
	int r = apt_run(apt, words, NULL, err);
	if (chdir("/") < 0)
		return err_sys(err, "enter '/'");
	return r < 0 ? err_wrap(err, "download %s", package) : 0;
}

/* The package's name, from the host's lists or, where these are missing, from our own. */
static int find_package(struct apt *apt, const struct wanted *wanted, const char *dir, char **ret,
			struct err *err)
{
	*ret = wanted_package(apt, wanted);
	if (*ret)
		return 0;
	int r = private_lists(apt, dir, err);
	if (r < 0)
		return r;
	*ret = wanted_package(apt, wanted);
	return *ret ? 0
		    : err_set(err, ENOENT,
			      "no package '%s' in the lists of apt; give a path instead",
			      wanted->package);
}

static int unpack(const char *dir, const char *prefix, const char *out, struct err *err)
{
	AUTO_FREE char *deb = name_in(dir, prefix);
	if (!deb)
		return err_set(err, ENOENT, "apt-get left no package");
	const char *const argv[] = {"dpkg-deb", "-x", deb, out, NULL};
	int r = proc_run(argv, NULL, NULL, err);
	(void)unlink(deb);
	return r;
}

/* The one name in the folder dir/sub that begins with prefix; NULL when there is none. */
static char *look(const char *dir, const char *sub, const char *prefix)
{
	AUTO_FREE char *path = path_join(dir, sub);

	return path ? name_in(path, prefix) : NULL;
}

/* Brings the package unpacked to `out`, and says its name (*package, the caller frees). */
static int fetch(const struct wanted *wanted, const char *dir, const char *out, char **package,
		 struct err *err)
{
	AUTO_FREE struct apt *apt = calloc(1, sizeof(*apt));

	if (!apt || !out)
		return err_set(err, ENOMEM, "out of memory");
	int r = find_package(apt, wanted, dir, package, err);
	if (r == 0)
		r = download(apt, dir, *package, err);
	return r < 0 ? r : unpack(dir, wanted->prefix, out, err);
}

int kernel_fetch(const char *dir, char **path, char **modules, struct err *err)
{
	AUTO_FREE char *package = NULL;
	AUTO_FREE char *out = path_join(dir, "unpacked");

	int r = fetch(&cloud_kernel, dir, out, &package, err);
	if (r < 0)
		return r;
	*path = look(out, "boot", "vmlinuz-");
	*modules = look(out, "lib/modules", "");
	if (!*modules)
		*modules = look(out, "usr/lib/modules", "");
	if (!*path || !*modules)
		return err_set(err, ENOENT, "package '%s' holds no kernel with modules", package);
	return 0;
}

int kernel_fetch_source(const char *dir, char **archive, struct err *err)
{
	AUTO_FREE char *package = NULL;
	AUTO_FREE char *out = path_join(dir, "unpacked");

	int r = fetch(&kernel_source, dir, out, &package, err);
	if (r < 0)
		return r;
	*archive = look(out, "usr/src", kernel_source.prefix);
	return *archive ? 0
			: err_set(err, ENOENT, "package '%s' holds no source of Linux", package);
}
