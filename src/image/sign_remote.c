/* SPDX-License-Identifier: Apache-2.0 */
/* What a name means at a registry is signed where it is: of an image for several platforms, that is
 * the index, of which the store has one image at most. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/err.h"
#include "base/json.h"
#include "image/document.h"
#include "image/image.h"
#include "image/sign.h"
#include "image/signature_registry.h"
#include "registry/registry.h"

/* The media type that a document goes by: its own word, or the registry's. */
static int find_type(const struct document *d, char ret[128], struct err *err)
{
	AUTO(auto_json_free) struct json_object *doc = NULL;
	enum oci_kind kind = OCI_OTHER;
	const char *type = NULL;

	int r = json_parse(d->text.data ? d->text.data : "", d->text.len, IMAGE_JSON_MAX,
			   "manifest", &doc, err);
	if (r == 0)
		r = document_kind(d, doc, &kind, err);
	if (r == 0)
		r = json_get_str(doc, "mediaType", &type, err);
	if (r < 0)
		return r;
	if (r == 0)
		type = oci_kind(d->type) == kind ? d->type
		       : kind == OCI_INDEX       ? "application/vnd.oci.image.index.v1+json"
						 : "application/vnd.oci.image.manifest.v1+json";
	(void)snprintf(ret, 128, "%s", type);
	return 0;
}

/* Signs and sends, at a registry that is open. */
static int sign_there(struct registry *registry, const struct reference *ref,
		      const char *repository, const struct sign_key *key, struct document *d,
		      struct err *err)
{
	AUTO_SIGNATURES struct signatures made = {0};
	char by_digest[DIGEST_HEX + 8], type[128];

	if (ref->digest)
		(void)snprintf(by_digest, sizeof(by_digest), "sha256:%s", ref->digest);
	int r = document_fetch(registry, ref->digest ? by_digest : ref->tag, d, err);
	if (r == 0)
		r = find_type(d, type, err);
	if (r == 0)
		r = sign_digest(key, repository, d->digest, &made, err);
	if (r == 0)
		r = signatures_send(registry,
				    &(struct signed_manifest){.digest = d->digest,
							      .type = type,
							      .size = d->text.len},
				    &made, err);
	return r < 0 ? r : 0;
}

int sign_remote(const char *name, bool no_verify, const char *repository,
		const struct sign_key *key, char ret_digest[DIGEST_HEX + 1], struct err *err)
{
	AUTO(auto_registry_close) struct registry *registry = NULL;
	AUTO(document_done) struct document d = DOCUMENT_INIT;
	AUTO_REFERENCE struct reference ref = {0};

	int r = reference_parse(name, &ref, err);
	if (r == 0 && !ref.registry)
		r = err_set(err, EINVAL, "names no registry");
	if (r < 0)
		return err_wrap(err, "'%.200s'", name);
	const struct registry_target target = {.host = ref.registry,
					       .repository = ref.repository,
					       .no_verify = no_verify,
					       .write = true};
	r = registry_open(&target, &registry, err);
	if (r == 0)
		r = sign_there(registry, &ref, repository ? repository : name, key, &d, err);
	if (r < 0)
		return err_wrap(err, "'%.200s'", name);
	memcpy(ret_digest, d.digest, sizeof(d.digest));
	return 0;
}
