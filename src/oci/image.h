/* SPDX-License-Identifier: Apache-2.0 */
/* What checkpoint and restore have in common: the folder that holds the image of a container, and
 * the options that criu gets for both. */
#pragma once

#include <stdint.h>
#include <sys/types.h>

#include "base/attr.h"
#include "base/buf.h"

struct criu_call;
struct err;
struct oci;
struct plan;
struct strv;

struct image {
	int folder, work; /* where the image is, and where criu writes its log */
};

/* Whether criu is there and can do its work on this kernel. */
int image_able(struct err *err) HULL_MUST_CHECK;

/* Opens the folders that the options name; `make`: with which mode the image's is made when it is
 * missing, 0: not at all. Released by image_close(). */
int image_open(const struct oci *oci, mode_t make, struct image *ret, struct err *err)
	HULL_MUST_CHECK;
void image_close(struct image *image);

/* Appends criu's members for what the options of both commands say. */
int image_options(const struct oci *oci, const struct image *image, struct buf *opts,
		  struct err *err) HULL_MUST_CHECK;

/* The names under which mounts and namespaces of outside are known to criu. */
#define IMAGE_EXTERNAL_NET "extRootNetNS"
#define IMAGE_EXTERNAL_PID "extRootPidNS"

/* The name of a namespace as criu knows it ("net"), of those that may be joined by a path. Fails
 * for the others. */
int image_namespace(uint32_t type, const char **ret, struct err *err) HULL_MUST_CHECK;

/* The devices of every container: in a user namespace they are binds of the host's. */
enum { IMAGE_DEVICES = 6 };
extern const char *const image_devices[IMAGE_DEVICES];

/*
 * What the three streams are outside, as the image keeps them (a file that runc reads and writes as
 * well): "pipe:[5]", "socket:[5]", "file[1a:5]", or the path of a file that the container has
 * itself.
 */
int image_write_streams(const struct image *image, const struct strv *streams, struct err *err)
	HULL_MUST_CHECK;
int image_read_streams(const struct image *image, struct strv *ret, struct err *err)
	HULL_MUST_CHECK;

#define AUTO_IMAGE AUTO(image_close)
