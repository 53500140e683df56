/* SPDX-License-Identifier: Apache-2.0 */
/*
 * An image goes out as kept.h has it: with the bytes it came with, where those are kept. What has
 * to be made of a layer file first goes into a file without a name. Layers are sent a few at a
 * time, the manifest behind all that it names, the signatures of it last.
 */
#include "image/push.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/db.h"
#include "base/err.h"
#include "base/fd.h"
#include "base/io.h"
#include "base/json.h"
#include "base/store.h"
#include "image/image_priv.h"
#include "image/kept.h"
#include "image/signature_registry.h"
#include "registry/registry.h"

enum { AT_ONCE = 4 };

#define OCI    "application/vnd.oci.image."
#define DOCKER "application/vnd.docker."

/* A blob to be sent. */
struct piece {
	const char *digest; /* borrowed of the image */
	uint64_t size;
	int fd; /* owned */
	char *from; /* owned: another repository of the registry that should have it; NULL: none */
	struct registry_call call;
};

struct push {
	const struct store *store;
	const struct image_push *what;
	struct kept kept;
	struct reference to;
	char type[128]; /* the manifest's */
	struct piece *pieces; /* layers, lowest first, then the config */
	size_t n;
	struct registry *registry;
};

static void push_done(struct push *p)
{
	for (size_t i = 0; p->pieces && i < p->n; i++) {
		auto_close(&p->pieces[i].fd);
		free(p->pieces[i].from);
		registry_call_done(&p->pieces[i].call);
	}
	free(p->pieces);
	registry_close(p->registry);
	reference_done(&p->to);
	kept_done(&p->kept);
}

static void tell(const struct push *p, const char *line)
{
	if (p->what->told)
		p->what->told(p->what->ctx, line);
}

/* A layer_write_fn. */
static int write_fd(void *ctx, const void *bytes, size_t n, struct err *err)
{
	const int *fd = ctx;

	return write_all(*fd, bytes, n, "a layer to be pushed", err);
}

/* The tar of a layer file; the disk's, for it may be larger than the memory. */
static int pack_layer(const struct push *p, size_t i, struct piece *piece, struct err *err)
{
	AUTO_CLOSE int tmp = store_folder(p->store->root_fd, "tmp", err);
	if (tmp < 0)
		return tmp;
	piece->fd = openat(tmp, ".", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
	if (piece->fd < 0)
		return err_sys(err, "create a file below '%s/tmp'", p->store->root);
	return kept_write(p->store, &p->kept, i, write_fd, &piece->fd, err);
}

/* Another repository of the same registry, by a name of any image that has the blob. */
static int find_other(const struct push *p, struct piece *piece, struct err *err)
{
	AUTO(auto_rows_free) struct rows *rows = NULL;

	int r = db_query(p->store->db,
			 "SELECT DISTINCT i.name FROM image i JOIN manifest_layer m"
			 " ON m.manifest=i.manifest WHERE m.blob=? LIMIT 100",
			 DB_VALUES(DB_TEXT(piece->digest)), &rows, err);
	while (r >= 0 && !piece->from && (r = rows_next(rows, err)) > 0) {
		AUTO_REFERENCE struct reference ref = {0};
		struct err ignored = ERR_INIT; /* a name that is none leads nowhere */
		if (reference_parse(rows_text(rows, 0), &ref, &ignored) < 0 || !ref.registry ||
		    strcmp(ref.registry, p->to.registry) != 0 ||
		    strcmp(ref.repository, p->to.repository) == 0)
			continue;
		piece->from = TAKE_PTR(ref.repository);
	}
	return r < 0 ? r : 0;
}

static int load_layer(struct push *p, size_t i, struct err *err)
{
	const struct kept_layer *layer = &p->kept.layers[i];
	struct piece *piece = &p->pieces[p->n++];

	piece->digest = layer->digest;
	piece->size = layer->size;
	if (!layer->blob)
		return pack_layer(p, i, piece, err);
	piece->fd = kept_open_blob(p->store, layer->digest, err);
	return piece->fd < 0 ? piece->fd : find_other(p, piece, err);
}

static int load_config(struct push *p, struct err *err)
{
	struct piece *piece = &p->pieces[p->n++];

	piece->digest = p->kept.id;
	piece->size = strlen(p->kept.config);
	piece->fd = registry_text(p->kept.config, err);
	return piece->fd < 0 ? piece->fd : 0;
}

/* The media type a manifest goes by: its own word, else that of its config's family. */
static int find_manifest_type(struct push *p, struct err *err)
{
	AUTO(auto_json_free) struct json_object *doc = NULL;
	struct json_object *config = NULL;
	const char *type = NULL;

	int r = json_parse(p->kept.manifest, strlen(p->kept.manifest), IMAGE_JSON_MAX, "manifest",
			   &doc, err);
	if (r == 0 && !json_is_obj(doc))
		r = err_set(err, EUCLEAN, "the image's manifest is damaged");
	if (r == 0)
		r = json_get_str(doc, "mediaType", &type, err);
	if (r == 0) {
		r = json_get_obj(doc, "config", &config, err);
		if (r > 0)
			r = json_get_str(config, "mediaType", &type, err);
		type = type && str_prefix(type, DOCKER, NULL) ? DOCKER
			       "distribution.manifest.v2+json"
							      : OCI "manifest.v1+json";
	}
	if (r < 0)
		return r;
	(void)snprintf(p->type, sizeof(p->type), "%s", type);
	return 0;
}

static int load(struct push *p, struct err *err)
{
	size_t n = p->kept.image.layers.n;
	char line[160];

	p->pieces = calloc(n + 1, sizeof(*p->pieces));
	if (!p->pieces)
		return err_set(err, ENOMEM, "out of memory");
	for (size_t i = 0; i <= n; i++) {
		p->pieces[i].fd = -1;
		p->pieces[i].call = REGISTRY_CALL_INIT;
	}
	int r = 0;
	for (size_t i = 0; r == 0 && i < n; i++)
		r = load_layer(p, i, err);
	if (r == 0)
		r = load_config(p, err);
	if (r == 0 && p->kept.changed) {
		(void)snprintf(line, sizeof(line),
			       "its blobs are not kept: it goes as another image, sha256:%s",
			       p->kept.id);
		tell(p, line);
	}
	return r < 0 ? r : find_manifest_type(p, err);
}

static int ask(const struct push *p, struct piece *piece, struct err *err)
{
	char question[REGISTRY_LINE];

	(void)snprintf(question, sizeof(question), "upload sha256:%s %" PRIu64 " %s", piece->digest,
		       piece->size, piece->from ? piece->from : "-");
	return registry_ask(p->registry, question, piece->fd, &piece->call, err);
}

static void tell_piece(const struct push *p, size_t i, const char *what)
{
	char line[160];

	if (i + 1 < p->n)
		(void)snprintf(line, sizeof(line), "layer %zu of %zu: %.1f MB, %.60s", i + 1,
			       p->n - 1, (double)p->pieces[i].size / 1e6, what);
	else
		(void)snprintf(line, sizeof(line), "config: %.60s", what);
	tell(p, line);
}

static int send_pieces(struct push *p, struct err *err)
{
	char answer[REGISTRY_LINE];
	int r = 0;

	for (size_t i = 0, asked = 0; r == 0 && i < p->n; i++) {
		for (; r == 0 && asked < p->n && asked < i + AT_ONCE; asked++)
			r = ask(p, &p->pieces[asked], err);
		if (r == 0)
			r = registry_answer(&p->pieces[i].call, answer, err);
		if (r == 0)
			tell_piece(p, i, answer);
	}
	return r;
}

static int send_manifest(struct push *p, struct err *err)
{
	AUTO(registry_call_done) struct registry_call call = REGISTRY_CALL_INIT;
	char question[REGISTRY_LINE], answer[REGISTRY_LINE];
	const char *hex = NULL;

	(void)snprintf(question, sizeof(question), "put %s %s", p->to.tag, p->type);
	AUTO_CLOSE int fd = registry_text(p->kept.manifest, err);
	if (fd < 0)
		return fd;
	int r = registry_ask(p->registry, question, fd, &call, err);
	if (r == 0)
		r = registry_answer(&call, answer, err);
	if (r < 0)
		return r;
	answer[strcspn(answer, " ")] = '\0';
	if (str_prefix(answer, "sha256:", &hex) && strcmp(hex, p->kept.manifest_digest) != 0)
		return err_set(err, EPROTO, "the registry calls it %.80s, but it is sha256:%s",
			       answer, p->kept.manifest_digest);
	return 0;
}

/* Those that the store keeps of the manifest which was sent. */
static int send_signatures(struct push *p, struct err *err)
{
	AUTO_SIGNATURES struct signatures list = {0};
	char line[64];

	int r = signatures_read(p->store, p->kept.image.id, &list, err);
	if (r == 0)
		r = signatures_send(p->registry,
				    &(struct signed_manifest){.digest = p->kept.manifest_digest,
							      .type = p->type,
							      .size = strlen(p->kept.manifest)},
				    &list, err);
	if (r > 0) {
		(void)snprintf(line, sizeof(line), "signatures: %d sent", r);
		tell(p, line);
	}
	return r < 0 ? r : 0;
}

/* Where to: the name given, else the one it was found by. */
static int choose_name(struct push *p, struct err *err)
{
	const char *name = p->what->to ? p->what->to : p->kept.image.name;
	AUTO_FREE char *full = NULL;

	if (!name)
		return err_set(err, EINVAL, "image '%.200s' has no name: say where to push it",
			       p->what->image);
	int r = image_full_name(name, &full, err);
	if (r == 0)
		r = reference_parse(full, &p->to, err);
	if (r == 0 && !p->to.tag)
		r = err_set(err, EINVAL, "'%.200s': a place to push to has a tag, no digest", name);
	return r;
}

int push_image(const struct store *store, const struct image_push *what,
	       char ret_digest[DIGEST_HEX + 1], struct err *err)
{
	AUTO(push_done) struct push p = {.store = store, .what = what};

	/* Blobs in the store stay as long as anybody has this lock. */
	AUTO_CLOSE int lock = image_lock(store, false, err);
	if (lock < 0)
		return lock;
	int r = kept_open(store, what->image, &p.kept, err);
	if (r == 0)
		r = choose_name(&p, err);
	if (r == 0)
		r = load(&p, err);
	if (r < 0)
		return r;
	const struct registry_target target = {.host = p.to.registry,
					       .repository = p.to.repository,
					       .no_verify = what->no_verify,
					       .write = true};
	r = registry_open(&target, &p.registry, err);
	if (r == 0)
		r = send_pieces(&p, err);
	if (r == 0)
		r = send_manifest(&p, err);
	if (r == 0)
		r = send_signatures(&p, err);
	if (r == 0)
		memcpy(ret_digest, p.kept.manifest_digest, DIGEST_HEX + 1);
	return r;
}
