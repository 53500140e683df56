/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/names.h"

#include <ctype.h>
#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>

#include "base/err.h"

static const char *const first_words[] = {
	"amber",  "ample",  "azure",  "bold",   "brave",  "bright", "brisk",  "broad",
	"calm",   "candid", "clear",  "clever", "cosy",   "crisp",  "dapper", "deft",
	"early",  "easy",   "eager",  "fair",   "fleet",  "fond",   "frank",  "fresh",
	"gentle", "glad",   "golden", "grand",  "green",  "handy",  "happy",  "hardy",
	"honest", "jolly",  "keen",   "kind",   "light",  "lively", "lucid",  "lucky",
	"mellow", "merry",  "mild",   "neat",   "nimble", "noble",  "open",   "plain",
	"polite", "proud",  "quick",  "quiet",  "rapid",  "ready",  "robust", "round",
	"serene", "silent", "silver", "smart",  "sound",  "steady", "sunny",  "swift",
};

static const char *const second_words[] = {
	"anchor",  "arch",    "barge",  "bay",    "beacon",  "boat",     "breeze",  "bridge",
	"brook",   "buoy",    "cabin",  "canal",  "canoe",   "cape",     "clipper", "coast",
	"compass", "coral",   "cove",   "creek",  "current", "deck",     "delta",   "dinghy",
	"dock",    "dune",    "ferry",  "fjord",  "fleet",   "galley",   "gull",    "harbour",
	"heron",   "inlet",   "island", "jetty",  "keel",    "ketch",    "lagoon",  "lantern",
	"mast",    "mooring", "oar",    "ocean",  "pier",    "pilot",    "port",    "prow",
	"quay",    "reef",    "ridge",  "rudder", "sail",    "schooner", "shore",   "sloop",
	"sound",   "spar",    "spring", "strait", "stream",  "tide",     "tiller",  "wharf",
};

enum {
	FIRST_WORDS = sizeof(first_words) / sizeof(first_words[0]),
	SECOND_WORDS = sizeof(second_words) / sizeof(second_words[0]),
	ID_BYTES = (ID_TEXT - 1) / 2,
};

int id_generate(char id[ID_TEXT], struct err *err)
{
	static const char hex[] = "0123456789abcdef";
	unsigned char bytes[ID_BYTES];

	if (getrandom(bytes, sizeof(bytes), 0) != (ssize_t)sizeof(bytes))
		return err_sys(err, "read random bytes");
	for (size_t i = 0; i < ID_BYTES; i++) {
		id[2 * i] = hex[bytes[i] >> 4];
		id[2 * i + 1] = hex[bytes[i] & 15];
	}
	id[ID_TEXT - 1] = '\0';
	return 0;
}

/* The hex digits of id from `at`, as a number. */
static unsigned take(const char *id, unsigned at, unsigned digits)
{
	unsigned n = 0;

	for (unsigned i = at; i < at + digits && id[i]; i++)
		n = n * 16 +
		    (unsigned)(isdigit((unsigned char)id[i]) ? id[i] - '0' : id[i] - 'a' + 10);
	return n;
}

void name_generate(const char *id, unsigned attempt, char name[NAME_TEXT])
{
	unsigned at = 12 + attempt % 8 * 4;
	const char *first = first_words[take(id, at, 2) % FIRST_WORDS];
	const char *second = second_words[take(id, at + 2, 2) % SECOND_WORDS];

	if (attempt == 0)
		(void)snprintf(name, NAME_TEXT, "%s_%s", first, second);
	else
		(void)snprintf(name, NAME_TEXT, "%s_%s%u", first, second,
			       take(id, 48, 4) % 1000 + attempt);
}

int name_check(const char *name, struct err *err)
{
	size_t n = strlen(name);
	bool good = n > 0 && n <= NAME_MAX_LEN && isalnum((unsigned char)name[0]);

	for (size_t i = 1; good && i < n; i++)
		good = isalnum((unsigned char)name[i]) || strchr("_.-", name[i]) != NULL;
	if (!good)
		return err_set(err, EINVAL,
			       "'%.140s' is not a name: letters, digits, and inside also _ . -",
			       name);
	return 0;
}

bool id_is_prefix(const char *text)
{
	size_t n = strlen(text);

	return n > 0 && n < ID_TEXT && strspn(text, "0123456789abcdef") == n;
}
