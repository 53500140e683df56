/* SPDX-License-Identifier: Apache-2.0 */
/* image sign, image verify, key generate. */
#include <errno.h>
#include <stdio.h>

#include "base/err.h"
#include "cli/commands.h"
#include "engine/engine.h"
#include "image/image.h"

struct sign_args {
	const char *key, *identity, *creds;
	bool remote, no_verify;
};

static const struct option sign_options[] = {
	{"key", 0, OPTION_STRING, "FILE", "the private key: cosign's, or PKCS #8 in PEM",
	 offsetof(struct sign_args, key)},
	{"identity", 0, OPTION_STRING, "REPOSITORY",
	 "whom the image is signed for (default: the repository of its name)",
	 offsetof(struct sign_args, identity)},
	{"remote", 0, OPTION_FLAG, NULL, "sign what the name means at its registry, and there",
	 offsetof(struct sign_args, remote)},
	OPTION_TLS_VERIFY(offsetof(struct sign_args, no_verify)),
	OPTION_CREDS(offsetof(struct sign_args, creds)),
};

static int sign_remote(const struct store *store, const struct sign_args *a, const char *name,
		       struct err *err)
{
	AUTO_FREE char *full = NULL;
	AUTO_FREE char *digest = NULL;

	int r = image_full_name(name, &full, err);
	if (r == 0)
		r = image_sign_remote(store,
				      &(struct image_sign_remote){.name = full,
								  .repository = a->identity,
								  .key = a->key,
								  .no_verify = a->no_verify},
				      &digest, err);
	if (r == 0)
		printf("%s\n", digest);
	return r;
}

static int sign(struct call *call, struct err *err)
{
	const struct sign_args *a = call->options;
	struct engine *e = NULL;

	if (!a->key)
		return err_set(err, EINVAL, "--key is missing (hull key generate makes one)");
	if (!a->remote && (a->no_verify || a->creds))
		return err_set(err, EINVAL, "--tls-verify and --creds are for --remote");
	int r = a->creds ? give_creds(a->creds, err) : 0;
	if (r == 0)
		r = call_engine(call, &e, err);
	for (size_t i = 0; r == 0 && i < call->n; i++)
		r = a->remote ? sign_remote(engine_store(e), a, call->operands[i], err)
			      : image_sign(engine_store(e), call->operands[i], a->identity, a->key,
					   err);
	return r;
}

struct verify_args {
	struct strv keys;
	const char *identity;
};

static const struct option verify_options[] = {
	{"key", 0, OPTION_LIST, "FILE", "a public key in PEM that may have signed",
	 offsetof(struct verify_args, keys)},
	{"identity", 0, OPTION_STRING, "REPOSITORY",
	 "whom it must be signed for (default: the repository of its name)",
	 offsetof(struct verify_args, identity)},
};

static int verify_one(const struct store *store, const char *name, const struct verify_args *a,
		      struct err *why, struct err *err)
{
	AUTO_IMAGE struct image image = {0};

	int r = image_find(store, name, &image, err);
	return r < 0 ? r
		     : image_verify(store, name, a->identity ? a->identity : image.name, &a->keys,
				    why, err);
}

static int verify(struct call *call, struct err *err)
{
	const struct verify_args *a = call->options;
	struct engine *e = NULL;
	int status = 0;

	if (a->keys.n == 0)
		return err_set(err, EINVAL, "--key is missing");
	int r = call_engine(call, &e, err);
	for (size_t i = 0; r >= 0 && i < call->n; i++) {
		struct err why = ERR_INIT, line = ERR_INIT;
		r = verify_one(engine_store(e), call->operands[i], a, &why, err);
		if (r > 0)
			printf("%s: signed\n", call->operands[i]);
		if (r == 0) {
			(void)err_set(&line, EACCES, "'%.200s': no signature holds: %s",
				      call->operands[i], why.msg);
			complain(call->command->names[0], line.msg);
			status = 1;
		}
	}
	return r < 0 ? r : status;
}

struct generate_args {
	const char *output;
	bool no_passphrase;
};

static const struct option generate_options[] = {
	{"output", 'o', OPTION_STRING, "PREFIX", "write PREFIX.key and PREFIX.pub (default: hull)",
	 offsetof(struct generate_args, output)},
	{"no-passphrase", 0, OPTION_FLAG, NULL, "leave the private key unsealed",
	 offsetof(struct generate_args, no_passphrase)},
};

static int generate(struct call *call, struct err *err)
{
	const struct generate_args *a = call->options;
	const char *prefix = a->output ? a->output : "hull";
	struct engine *e = NULL;

	int r = call_engine(call, &e, err);
	if (r == 0)
		r = image_key_new(engine_store(e), prefix, !a->no_passphrase, err);
	if (r == 0)
		printf("%s.key\n%s.pub\n", prefix, prefix);
	return r;
}

const struct command command_image_sign = {
	.names = {"image sign"},
	.operands = "IMAGE...",
	.summary = "Sign images, and keep the signatures beside them",
	.example = "hull image sign --key team.key example.org/web:1\n"
		   "hull image sign --key team.key --remote example.org/multi:1",
	.groups = {OPTION_GROUP(sign_options, 0)},
	.size = sizeof(struct sign_args),
	.min = 1,
	.max = OPERANDS_ANY,
	.run = sign,
};

const struct command command_image_verify = {
	.names = {"image verify"},
	.operands = "IMAGE...",
	.summary = "Exit with 0 if images are signed by one of the keys, else with 1",
	.example = "hull image verify --key team.pub example.org/web:1",
	.groups = {OPTION_GROUP(verify_options, 0)},
	.size = sizeof(struct verify_args),
	.min = 1,
	.max = OPERANDS_ANY,
	.run = verify,
};

const struct command command_key_generate = {
	.names = {"key generate"},
	.operands = "",
	.summary = "Make a pair of keys to sign images with",
	.example = "COSIGN_PASSWORD=... hull key generate -o team",
	.groups = {OPTION_GROUP(generate_options, 0)},
	.size = sizeof(struct generate_args),
	.run = generate,
};
