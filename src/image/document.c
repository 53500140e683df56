/* SPDX-License-Identifier: Apache-2.0 */
#include "image/document.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/err.h"
#include "base/json.h"
#include "base/str.h"
#include "image/sha256.h"
#include "registry/registry.h"

void document_done(struct document *d)
{
	buf_done(&d->text);
}

/* Compares the digest with the one it was asked by (NULL: a tag), and with the registry's word. */
static int judge_digest(const struct document *d, const char *wanted, const char *said,
			struct err *err)
{
	const char *hex = said;

	(void)str_prefix(said, "sha256:", &hex);
	if (wanted && strcmp(wanted, d->digest) != 0)
		return err_set(err, EINVAL, "manifest sha256:%s has the digest %s", wanted,
			       d->digest);
	if (strcmp(said, "-") != 0 && hex != said && strcmp(hex, d->digest) != 0)
		return err_set(
			err, EINVAL,
			"the registry says that the manifest has the digest %.80s, but it is %s",
			hex, d->digest);
	return 0;
}

int document_fetch(struct registry *registry, const char *what, struct document *ret,
		   struct err *err)
{
	char question[REGISTRY_LINE], answer[REGISTRY_LINE];
	const char *hex = NULL;

	(void)snprintf(question, sizeof(question), "manifest %s %d", what, IMAGE_JSON_MAX);
	int r = registry_document(registry, question, IMAGE_JSON_MAX, &ret->text, answer, err);
	if (r == 0)
		r = sha256_hex(ret->text.data ? ret->text.data : "", ret->text.len, ret->digest,
			       err);
	if (r < 0)
		return r;
	char *blank = strchr(answer, ' ');
	if (!blank)
		return err_set(err, EPROTO, "hull-registry's answer is cut");
	*blank = '\0';
	(void)snprintf(ret->type, sizeof(ret->type), "%.127s", answer);
	(void)str_prefix(what, "sha256:", &hex);
	return judge_digest(ret, hex, blank + 1, err);
}

int document_kind(const struct document *d, struct json_object *doc, enum oci_kind *ret,
		  struct err *err)
{
	enum oci_kind said = oci_kind(d->type);
	const char *type = NULL;

	if (!json_is_obj(doc))
		return err_set(err, EINVAL, "manifest: not a JSON object");
	int r = json_get_str(doc, "mediaType", &type, err);
	if (r < 0)
		return err_wrap(err, "manifest");
	enum oci_kind own = type ? oci_kind(type) : said;
	if (said != OCI_OTHER && own != said)
		return err_set(err, EINVAL,
			       "the manifest calls itself '%.80s', the registry does not", type);
	if (own == OCI_OTHER) /* some servers of files know no types */
		own = json_has(doc, "manifests") ? OCI_INDEX : OCI_MANIFEST;
	if (own != OCI_INDEX && own != OCI_MANIFEST)
		return err_set(err, EINVAL, "'%.80s' is no manifest", type ? type : "that");
	*ret = own;
	return 0;
}
