/* SPDX-License-Identifier: Apache-2.0 */
#include "oci/image.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/err.h"
#include "base/fd.h"
#include "base/io.h"
#include "base/json.h"
#include "base/path.h"
#include "oci/criu.h"
#include "oci/oci.h"

enum { LOG_DEBUG = 4, STREAMS = 3, STREAMS_BYTES_MAX = 65536 };

const char *const image_devices[IMAGE_DEVICES] = {"/dev/null", "/dev/zero",   "/dev/full",
						  "/dev/tty",  "/dev/random", "/dev/urandom"};

static const char streams_file[] = "descriptors.json";

/* criu insists on a folder, and keeps its log nowhere else. */
static int check_in(const char *path, struct err *err)
{
	AUTO_BUF struct buf opts = BUF_INIT;
	AUTO_CLOSE int folder = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	if (folder < 0)
		return err_sys(err, "open '%s'", path);
	criu_number(&opts, CRIU_IMAGES_FD, (uint64_t)folder);
	pid_t r = criu_run(
		&(struct criu_call){
			.request = CRIU_CHECK,
			.opts = &opts,
			.work = folder,
			.log = "check.log",
		},
		err);
	return r < 0 ? r : 0;
}

int image_able(struct err *err)
{
	struct err ignored = ERR_INIT; /* what criu said is what to tell */
	char path[] = "/tmp/hull-oci.XXXXXX";
	AUTO_CLOSE int tmp = open("/tmp", O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	if (tmp < 0 || !mkdtemp(path))
		return err_sys(err, "make a folder for criu");
	int r = check_in(path, err);
	if (path_remove_all(tmp, path + strlen("/tmp/"), &ignored) < 0)
		ignored = ERR_INIT;
	return r;
}

static int open_folder(const char *path, mode_t make, struct err *err)
{
	int r = make ? path_mkdir_all(AT_FDCWD, path, make, err) : 0;

	if (r < 0)
		return r;
	int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	return fd < 0 ? err_sys(err, "open '%s'", path) : fd;
}

int image_open(const struct oci *oci, mode_t make, struct image *ret, struct err *err)
{
	const char *path = oci->options.image_path ? oci->options.image_path : "checkpoint";
	const char *work_path = oci->options.work_path ? oci->options.work_path : path;
	AUTO_CLOSE int folder = open_folder(path, make, err);

	if (folder < 0)
		return err_wrap(err, "--image-path");
	AUTO_CLOSE int work = open_folder(work_path, make ? make : 0700, err);
	if (work < 0)
		return err_wrap(err, "--work-path");
	*ret = (struct image){TAKE_FD(folder), TAKE_FD(work)};
	return 0;
}

void image_close(struct image *image)
{
	auto_close(&image->folder);
	auto_close(&image->work);
}

static int put_cgroups_mode(const char *mode, struct buf *opts, struct err *err)
{
	static const struct {
		const char *word;
		uint64_t mode;
	} modes[] = {{"ignore", 0}, {"soft", 3}, {"full", 4}, {"strict", 5}};

	for (size_t i = 0; i < sizeof(modes) / sizeof(modes[0]); i++) {
		if (strcmp(mode ? mode : "soft", modes[i].word) != 0)
			continue;
		criu_number(opts, CRIU_MANAGE_CGROUPS, 1);
		criu_number(opts, CRIU_CGROUPS_MODE, modes[i].mode);
		return 0;
	}
	return err_set(err, EINVAL,
		       "--manage-cgroups-mode: '%s' is not soft, full, strict or ignore", mode);
}

static int put_empty_ns(const char *name, struct buf *opts, struct err *err)
{
	if (!name)
		return 0;
	if (strcmp(name, "network") != 0)
		return err_set(err, EINVAL, "--empty-ns: '%s' is not network", name);
	criu_number(opts, CRIU_EMPTY_NS, CLONE_NEWNET);
	return 0;
}

static void put_flags(const struct oci_options *o, struct buf *opts)
{
	const struct {
		bool on;
		enum criu_option member;
	} flags[] = {
		{o->tcp_established, CRIU_TCP_ESTABLISHED}, {o->tcp_close, CRIU_TCP_CLOSE},
		{o->ext_unix_sk, CRIU_EXT_UNIX_SK},         {o->shell_job, CRIU_SHELL_JOB},
		{o->file_locks, CRIU_FILE_LOCKS},           {o->auto_dedup, CRIU_AUTO_DEDUP},
		{o->link_remap, CRIU_LINK_REMAP},
	};

	for (size_t i = 0; i < sizeof(flags) / sizeof(flags[0]); i++) {
		if (flags[i].on)
			criu_number(opts, flags[i].member, 1);
	}
}

int image_options(const struct oci *oci, const struct image *image, struct buf *opts,
		  struct err *err)
{
	const struct oci_options *o = &oci->options;

	if (o->lazy_pages)
		return err_set(err, ENOTSUP, "--lazy-pages: not supported; the image is whole");
	if (o->page_server)
		return err_set(err, ENOTSUP,
			       "--page-server: not supported; pages are in the image");
	int r = put_cgroups_mode(o->cgroups_mode, opts, err);
	if (r == 0)
		r = put_empty_ns(o->empty_ns, opts, err);
	if (r < 0)
		return r;
	put_flags(o, opts);
	criu_number(opts, CRIU_IMAGES_FD, (uint64_t)image->folder);
	criu_number(opts, CRIU_LOG_LEVEL, LOG_DEBUG);
	return 0;
}

int image_namespace(uint32_t type, const char **ret, struct err *err)
{
	static const struct {
		uint32_t type;
		const char *name;
	} names[] = {
		{CLONE_NEWNET, "net"},
		{CLONE_NEWPID, "pid"},
		{CLONE_NEWIPC, "ipc"},
		{CLONE_NEWUTS, "uts"},
	};

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		if (names[i].type == type) {
			*ret = names[i].name;
			return 0;
		}
	}
	return err_set(err, ENOTSUP,
		       "linux.namespaces: only network, pid, ipc and uts namespaces that were "
		       "joined by a path can be checkpointed and restored");
}

int image_write_streams(const struct image *image, const struct strv *streams, struct err *err)
{
	AUTO_BUF struct buf text = BUF_INIT;
	struct json_out out = JSON_OUT(&text, false);

	json_put_strv(&out, NULL, streams);
	int r = buf_check(&text, err);
	return r < 0 ? r
		     : file_replace(image->folder, streams_file, text.data, text.len, 0600, err);
}

int image_read_streams(const struct image *image, struct strv *ret, struct err *err)
{
	AUTO(auto_json_free) struct json_object *doc = NULL;
	AUTO_STRV struct strv streams = {0};
	int r = json_parse_file(image->folder, streams_file, STREAMS_BYTES_MAX, &doc, err);

	if (r == 0 && (!json_is_array(doc) || json_len(doc) != STREAMS))
		r = err_set(err, EINVAL, "%s: no list of %d streams", streams_file, STREAMS);
	for (size_t i = 0; i < STREAMS && r == 0; i++) {
		const char *text = json_text(json_at(doc, i));
		r = text ? strv_add(&streams, text, err)
			 : err_set(err, EINVAL, "%s: a stream that is no text", streams_file);
	}
	if (r == 0) {
		*ret = streams;
		streams = (struct strv){0};
	}
	return r;
}
