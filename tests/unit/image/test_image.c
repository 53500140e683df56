/* SPDX-License-Identifier: Apache-2.0 */
#include "../test.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/db.h"
#include "base/err.h"
#include "base/fd.h"
#include "base/json.h"
#include "base/path.h"
#include "base/store.h"
#include "image/image.h"
#include "image/image_priv.h"

#define ID_A   "aa00000000000000000000000000000000000000000000000000000000000000"
#define ID_B   "ab00000000000000000000000000000000000000000000000000000000000000"
#define LAYER1 "1100000000000000000000000000000000000000000000000000000000000000"
#define LAYER2 "2200000000000000000000000000000000000000000000000000000000000000"
#define BLOB1  "b100000000000000000000000000000000000000000000000000000000000000"

static const char config_a[] =
	"{\"architecture\":\"amd64\",\"os\":\"linux\",\"created\":\"2023-11-14T22:13:20.5Z\","
	"\"config\":{\"User\":\"www\",\"ExposedPorts\":{\"80/tcp\":{}},\"Env\":[\"A=1\",\"B=2\"],"
	"\"Entrypoint\":[\"/init\"],\"Cmd\":[\"-v\"],\"Volumes\":{\"/data\":{}},"
	"\"WorkingDir\":\"/srv\",\"Labels\":{\"k\":\"v\"},\"StopSignal\":\"SIGINT\","
	"\"Healthcheck\":{\"Test\":[\"CMD\",\"true\"],\"Interval\":5000000000,\"Retries\":4}},"
	"\"rootfs\":{\"type\":\"layers\",\"diff_ids\":[\"sha256:" LAYER1 "\",\"sha256:" LAYER2
	"\"]},\"history\":[{\"created_by\":\"x\"}]}";

static const char config_b[] = "{\"architecture\":\"arm64\",\"os\":\"linux\",\"rootfs\":"
			       "{\"type\":\"layers\",\"diff_ids\":[\"sha256:" LAYER1 "\"]}}";

struct place {
	char dir[32];
	struct store *store;
};

static void place_done(struct place *p)
{
	struct err ignored = ERR_INIT; /* best effort */

	store_close(p->store);
	AUTO_CLOSE int tmp = open("/tmp", O_PATH | O_DIRECTORY | O_CLOEXEC);
	(void)!path_remove_all(tmp, p->dir + sizeof("/tmp/") - 1, &ignored);
}

static int add_manifest(struct db *db, const char *id, const char *config, struct err *err)
{
	return db_run(db,
		      "INSERT INTO manifest(id, os, architecture, created_ns, imported_ns, size,"
		      " config) VALUES(?1, 'linux', 'amd64', 5, 6, 77, ?2)",
		      DB_VALUES(DB_TEXT(id), DB_TEXT(config)), err);
}

static int add_layer(struct place *p, const char *id, int position, const char *key,
		     struct err *err)
{
	char path[128];

	(void)snprintf(path, sizeof(path), "layers/%s.erofs", key);
	AUTO_CLOSE int fd = openat(p->store->root_fd, path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
	if (fd < 0)
		return err_sys(err, "create '%s'", path);
	int r = db_run(p->store->db, "INSERT OR IGNORE INTO layer VALUES(?1, ?1, 0, 1, 1, 1, 1)",
		       DB_VALUES(DB_TEXT(key)), err);
	if (r < 0)
		return r;
	return db_run(p->store->db,
		      "INSERT INTO manifest_layer(manifest, position, layer, blob) VALUES(?,?,?,?)",
		      DB_VALUES(DB_TEXT(id), DB_INT(position), DB_TEXT(key),
				DB_TEXT(position == 0 ? BLOB1 : NULL)),
		      err);
}

/* A store with A (two layers, names a:1 and a:2) and B (A's first layer, name b:latest). */
static int place_init(struct place *p, struct err *err)
{
	(void)snprintf(p->dir, sizeof(p->dir), "/tmp/hull-image-XXXXXX");
	if (!mkdtemp(p->dir))
		return err_sys(err, "mkdtemp");
	int r = store_open(p->dir, &p->store, err);
	if (r >= 0)
		r = add_manifest(p->store->db, ID_A, config_a, err);
	if (r >= 0)
		r = add_manifest(p->store->db, ID_B, config_b, err);
	if (r >= 0)
		r = add_layer(p, ID_A, 0, LAYER1, err);
	if (r >= 0)
		r = add_layer(p, ID_A, 1, LAYER2, err);
	if (r >= 0)
		r = add_layer(p, ID_B, 0, LAYER1, err);
	if (r >= 0)
		r = image_tag(p->store, ID_A, "a:1", err);
	if (r >= 0)
		r = image_tag(p->store, ID_A, "a:2", err);
	if (r >= 0)
		r = image_tag(p->store, ID_B, "b", err);
	return r;
}

#define PLACE                                                                                      \
	AUTO(place_done) struct place place = {""};                                                \
	AUTO_IMAGE struct image image __attribute__((unused)) = {0};                               \
	AUTO_STRV struct strv done __attribute__((unused)) = {0};                                  \
	struct err err = ERR_INIT;                                                                 \
	if (place_init(&place, &err) < 0)                                                          \
	FAIL("%s", err.msg)

static int add_workload(struct place *p, const char *manifest, struct err *err)
{
	return db_run(
		p->store->db,
		"INSERT INTO workload(id, name, manifest, image, isolation, created_ns, command,"
		" config) VALUES('w', 'web', ?, 'a:1', 'container', 1, 'sh', '{}')",
		DB_VALUES(DB_TEXT(manifest)), err);
}

static bool has_file(struct place *p, const char *path)
{
	return faccessat(p->store->root_fd, path, F_OK, 0) == 0;
}

static int touch(struct place *p, const char *path)
{
	AUTO_CLOSE int fd = openat(p->store->root_fd, path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);

	return fd < 0 ? -1 : 0;
}

TEST(an_image_found_by_name_says_all_that_its_config_does)
{
	PLACE;
	if (image_find(place.store, "a:1", &image, &err) < 0)
		FAIL("%s", err.msg);
	EXPECT_STR(image.id, ID_A);
	EXPECT_STR(image.name, "a:1");
	EXPECT_EQ(image.names.n, 2);
	EXPECT_STR(image.os, "linux");
	EXPECT_STR(image.architecture, "amd64");
	EXPECT(!image.variant);
	EXPECT_EQ(image.created_ns, 1700000000500000000);
	EXPECT_EQ(image.size, 77);
	EXPECT_STR(image.config.entrypoint.v[0], "/init");
	EXPECT_STR(image.config.cmd.v[0], "-v");
	EXPECT_STR(image.config.env.v[1], "B=2");
	EXPECT_STR(image.config.exposed.v[0], "80/tcp");
	EXPECT_STR(image.config.volumes.v[0], "/data");
	EXPECT_STR(image.config.labels.v[0], "k=v");
	EXPECT_STR(image.config.workdir, "/srv");
	EXPECT_STR(image.config.user, "www");
	EXPECT_STR(image.config.stop_signal, "SIGINT");
	EXPECT_STR(image.config.health.test.v[1], "true");
	EXPECT_EQ(image.config.health.interval_ns, 5000000000);
	EXPECT_EQ(image.config.health.retries, 4);
	EXPECT_EQ(image.layers.n, 2);
	EXPECT_STR(image.layer_keys.v[0], LAYER1);
	char path[160];
	(void)snprintf(path, sizeof(path), "%s/layers/%s.erofs", place.store->root, LAYER2);
	EXPECT_STR(image.layers.v[1], path);
}

TEST(an_image_is_found_by_id_and_by_a_beginning_of_it)
{
	static const char *const good[] = {ID_B, ("sha256:" ID_B), "ab", "sha256:ab0", "b:latest"};
	PLACE;
	for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
		AUTO_IMAGE struct image found = {0};
		if (image_find(place.store, good[i], &found, &err) < 0)
			FAIL("%s", err.msg);
		EXPECT_STR(found.id, ID_B);
		EXPECT_STR(found.name, "b:latest");
	}
	EXPECT_EQ(image_find(place.store, "a", &image, &err), -EINVAL);
	EXPECT_STR(err.msg, "image 'a': several ids begin so");
}

TEST(a_name_goes_before_an_id)
{
	PLACE;
	EXPECT_EQ(image_tag(place.store, "b", "aa00", &err), 0);
	EXPECT_EQ(image_find(place.store, "aa00", &image, &err), 0);
	EXPECT_STR(image.id, ID_B);
}

TEST(an_image_is_found_by_the_digest_of_its_manifest)
{
	PLACE;
	EXPECT_EQ(db_run(place.store->db, "UPDATE manifest SET manifest_digest=? WHERE id=?",
			 DB_VALUES(DB_TEXT(LAYER2), DB_TEXT(ID_B)), &err),
		  1);
	EXPECT_EQ(image_find(place.store, "b@sha256:" LAYER2, &image, &err), 0);
	image_done(&image);
	EXPECT_EQ(image_find(place.store, "b:latest@sha256:" LAYER2, &image, &err), 0);
	image_done(&image);
	EXPECT_EQ(image_find(place.store, "b:latest@sha256:" LAYER1, &image, &err), -ENOENT);
}

TEST(what_is_not_there_is_told_with_the_way_to_bring_it)
{
	PLACE;
	EXPECT_EQ(image_find(place.store, "nope", &image, &err), -ENOENT);
	EXPECT_STR(err.msg,
		   "image 'nope': not in the store (hull pull or hull image import brings it in)");
	struct err bad = ERR_INIT;
	EXPECT_EQ(image_find(place.store, "No/Good Name", &image, &bad), -EINVAL);
}

TEST(another_architecture_is_told_before_anything_runs)
{
	PLACE;
	EXPECT_EQ(image_find(place.store, "b", &image, &err), 0);
	if (strcmp(image_host_architecture(), "arm64") == 0)
		return;
	EXPECT_EQ(image_check_platform(&image, &err), -ENOEXEC);
	char want[128];
	(void)snprintf(want, sizeof(want),
		       "image 'b:latest' is for linux/arm64; this host runs linux/%s",
		       image_host_architecture());
	EXPECT_STR(err.msg, want);
}

TEST(the_first_of_two_names_only_untags)
{
	PLACE;
	EXPECT_EQ(image_remove(place.store, "a:1", false, &done, &err), 0);
	EXPECT_EQ(done.n, 1);
	EXPECT_STR(done.v[0], "Untagged: a:1");
	EXPECT_EQ(image_find(place.store, "a:2", &image, &err), 0);
}

TEST(the_last_name_takes_the_image_and_only_the_layers_nobody_else_has)
{
	PLACE;
	EXPECT_EQ(touch(&place, "blobs/sha256/" BLOB1), 0);
	EXPECT_EQ(image_remove(place.store, "a:1", false, &done, &err), 0);
	EXPECT_EQ(image_remove(place.store, "a:2", false, &done, &err), 0);
	EXPECT_EQ(done.n, 3);
	EXPECT_STR(done.v[2], "Deleted: sha256:" ID_A);
	EXPECT(has_file(&place, "layers/" LAYER1 ".erofs"));
	EXPECT(!has_file(&place, "layers/" LAYER2 ".erofs"));
	EXPECT(has_file(&place, "blobs/sha256/" BLOB1));
	EXPECT_EQ(image_remove(place.store, "b", false, &done, &err), 0);
	EXPECT(!has_file(&place, "layers/" LAYER1 ".erofs"));
	EXPECT(!has_file(&place, "blobs/sha256/" BLOB1));
}

TEST(an_id_with_several_names_needs_force)
{
	PLACE;
	EXPECT_EQ(image_remove(place.store, "aa", false, &done, &err), -EBUSY);
	EXPECT_STR(err.msg, "image 'aa' has 2 names (remove those, or use --force)");
	err = ERR_INIT;
	EXPECT_EQ(image_remove(place.store, "aa", true, &done, &err), 0);
	EXPECT_EQ(done.n, 3);
	EXPECT_EQ(image_find(place.store, "a:1", &image, &err), -ENOENT);
}

TEST(an_image_in_use_stays_and_with_force_until_its_last_workload_went)
{
	PLACE;
	EXPECT_EQ(add_workload(&place, ID_A, &err), 1);
	EXPECT_EQ(image_remove(place.store, "a:1", false, &done, &err), 0);
	EXPECT_EQ(image_remove(place.store, "a:2", false, &done, &err), -EBUSY);
	EXPECT_STR(err.msg,
		   "image 'a:2' is used by workload 'web' (remove that first, or use --force)");
	err = ERR_INIT;
	EXPECT_EQ(image_remove(place.store, "a:2", true, &done, &err), 0);
	EXPECT(has_file(&place, "layers/" LAYER2 ".erofs"));
	EXPECT_EQ(db_run(place.store->db, "DELETE FROM workload", NULL, &err), 1);
	EXPECT_EQ(image_gc(place.store, &err), 0);
	EXPECT(!has_file(&place, "layers/" LAYER2 ".erofs"));
	EXPECT_EQ(image_find(place.store, ID_A, &image, &err), -ENOENT);
}

TEST(a_pinned_image_is_not_removed_by_an_earlier_force)
{
	PLACE;
	EXPECT_EQ(add_workload(&place, ID_B, &err), 1);
	EXPECT_EQ(image_remove(place.store, "b", true, &done, &err), 0);
	EXPECT_EQ(image_pin(place.store->db, ID_B, &err), 0);
	EXPECT_EQ(db_run(place.store->db, "DELETE FROM workload", NULL, &err), 1);
	EXPECT_EQ(image_gc(place.store, &err), 0);
	EXPECT_EQ(image_find(place.store, ID_B, &image, &err), 0);
	EXPECT_EQ(image_pin(place.store->db, LAYER1, &err), -ENOENT);
}

TEST(prune_takes_what_has_neither_name_nor_workload)
{
	PLACE;
	EXPECT_EQ(image_tag(place.store, "a:1", "b", &err), 0); /* B loses its only name */
	EXPECT_EQ(image_prune(place.store, &done, &err), 0);
	EXPECT_EQ(done.n, 1);
	EXPECT_STR(done.v[0], "Deleted: sha256:" ID_B);
	EXPECT(has_file(&place, "layers/" LAYER1 ".erofs"));
}

TEST(garbage_is_what_no_record_names_and_no_import_holds)
{
	PLACE;
	AUTO_FREE char *path = NULL;
	EXPECT_EQ(touch(&place, "layers/" ID_A ".erofs"), 0);
	EXPECT_EQ(touch(&place, "blobs/sha256/" ID_A), 0);
	EXPECT_EQ(mkdirat(place.store->root_fd, "tmp/import.dead", 0700), 0);
	EXPECT_EQ(touch(&place, "tmp/import.dead/layer"), 0);
	AUTO_CLOSE int lock = image_lock(place.store, false, &err);
	EXPECT(lock >= 0);
	AUTO_CLOSE int work = image_workdir(place.store, &path, &err);
	EXPECT(work >= 0);
	EXPECT_EQ(image_gc(place.store, &err), 0);
	EXPECT(!has_file(&place, "tmp/import.dead"));
	EXPECT(has_file(&place, "layers/" ID_A ".erofs"));
	char mine[64];
	(void)snprintf(mine, sizeof(mine), "tmp/%s", path ? strrchr(path, '/') + 1 : "");
	EXPECT(has_file(&place, mine));
	auto_close(&work);
	auto_close(&lock);
	EXPECT_EQ(image_gc(place.store, &err), 0);
	EXPECT(!has_file(&place, mine));
	EXPECT(!has_file(&place, "layers/" ID_A ".erofs"));
	EXPECT(!has_file(&place, "blobs/sha256/" ID_A));
	EXPECT(has_file(&place, "layers/" LAYER1 ".erofs"));
}

static int collect(void *ctx, const struct image_row *row, struct err *err)
{
	struct buf *text = ctx;

	(void)err;
	buf_printf(text, "%.2s %s %u;", row->id, row->name ? row->name : "-", row->workloads);
	return 0;
}

TEST(the_list_has_a_line_per_name_and_filters_by_pattern)
{
	AUTO_BUF struct buf all = BUF_INIT, some = BUF_INIT;
	PLACE;
	EXPECT_EQ(add_workload(&place, ID_A, &err), 1);
	EXPECT_EQ(image_list(place.store, NULL, collect, &all, &err), 0);
	EXPECT_STR(all.data, "aa a:1 1;aa a:2 1;ab b:latest 0;");
	EXPECT_EQ(image_list(place.store, "a:*", collect, &some, &err), 0);
	EXPECT_STR(some.data, "aa a:1 1;aa a:2 1;");
	buf_done(&some);
}

TEST(inspect_is_json_in_dockers_shape)
{
	AUTO_BUF struct buf text = BUF_INIT;
	AUTO(auto_json_free) struct json_object *doc = NULL;
	struct json_object *config = NULL;
	const char *s = NULL;
	PLACE;
	EXPECT_EQ(image_find(place.store, "a:1", &image, &err), 0);
	EXPECT_EQ(image_inspect(&image, &text, true, &err), 0);
	EXPECT_EQ(json_parse(text.data, text.len, 1 << 20, "inspect", &doc, &err), 0);
	EXPECT_EQ(json_get_str(doc, "Id", &s, &err), 1);
	EXPECT_STR(s, "sha256:" ID_A);
	EXPECT_EQ(json_get_str(doc, "Created", &s, &err), 1);
	EXPECT_STR(s, "2023-11-14T22:13:20.500000000Z");
	EXPECT_EQ(json_get_obj(doc, "Config", &config, &err), 1);
	EXPECT_EQ(json_get_str(config, "WorkingDir", &s, &err), 1);
	EXPECT_STR(s, "/srv");
	EXPECT(strstr(text.data, "\"80/tcp\": {}") != NULL);
	EXPECT(strstr(text.data, "\"created_by\": \"x\"") != NULL);
}

static int parse_config(const char *text, struct err *err)
{
	AUTO(auto_json_free) struct json_object *doc = NULL;
	AUTO_IMAGE struct image image = {0};

	int r = json_parse(text, strlen(text), IMAGE_JSON_MAX, "config", &doc, err);
	return r < 0 ? r : image_parse_config(doc, &image, err);
}

TEST(a_config_that_lies_about_types_is_refused_by_key)
{
#define ROOTFS "\"rootfs\":{\"type\":\"layers\",\"diff_ids\":[]}"
	static const struct {
		const char *text, *msg;
	} cases[] = {
		{"[]", "the image's config is not a JSON object"},
		{"{}", "os: missing"},
		{"{\"os\":\"linux\"}", "architecture: missing"},
		{"{\"os\":\"li\\u001bnux\",\"architecture\":\"a\"}", "os: not a word of a-z, 0-9"},
		{"{\"os\":\"linux\",\"architecture\":\"a\"}", "rootfs: missing"},
		{"{\"os\":\"linux\",\"architecture\":\"a\",\"rootfs\":{\"type\":\"x\"}}",
		 "rootfs: type 'x' is unknown"},
		{"{\"os\":\"linux\",\"architecture\":\"a\",\"rootfs\":{\"type\":\"layers\","
		 "\"diff_ids\":[\"sha256:../../etc\"]}}",
		 "diff_ids: element 0 is not 'sha256:' and 64 hex digits"},
		{"{\"os\":\"linux\",\"architecture\":\"a\",\"config\":{\"Env\":\"A=1\"}," ROOTFS
		 "}",
		 "Env: string where array belongs"},
		{"{\"os\":\"linux\",\"architecture\":\"a\",\"config\":{\"Labels\":{\"a\":1}}," ROOTFS
		 "}",
		 "Labels: 'a' is not a string"},
		{"{\"os\":\"linux\",\"architecture\":\"a\",\"config\":{\"Healthcheck\":"
		 "{\"Interval\":-1}}," ROOTFS "}",
		 "Healthcheck: Interval: not between 0 and 9223372036854775807"},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct err err = ERR_INIT;
		EXPECT(parse_config(cases[i].text, &err) < 0);
		const char *msg = err.msg;
		(void)str_prefix(err.msg, "image config: ", &msg);
		EXPECT_STR(msg, cases[i].msg);
	}
}

TEST(times_with_and_without_zone_are_read)
{
	EXPECT_EQ(image_parse_time("2023-11-14T22:13:20Z"), 1700000000000000000);
	EXPECT_EQ(image_parse_time("2023-11-15T00:13:20.25+02:00"), 1700000000250000000);
	EXPECT_EQ(image_parse_time("2023-11-14T20:13:20-02:00"), 1700000000000000000);
	EXPECT_EQ(image_parse_time("0001-01-01T00:00:00Z"), 0);
	EXPECT_EQ(image_parse_time("2023-11-14"), 0);
	EXPECT_EQ(image_parse_time("2023-11-14T22:13:20"), 0);
	EXPECT_EQ(image_parse_time("2023-11-14T22:13:20.999999999999999999999Z"),
		  1700000000999999999);
}

static int answer(const char *text, int status, char **id, struct err *err)
{
	char copy[256];

	(void)snprintf(copy, sizeof(copy), "%s", text);
	return image_answer_parse(copy, status, id, err);
}

TEST(the_importers_answer_is_an_id_or_an_error_with_its_code)
{
	AUTO_FREE char *id = NULL;
	struct err full = ERR_INIT, odd = ERR_INIT, lie = ERR_INIT, none = ERR_INIT;

	EXPECT_EQ(answer("ok " ID_A "\n", 0, &id, &full), 0);
	EXPECT_STR(id, ID_A);
	EXPECT_EQ(answer("error 28 write 'x': No space left on device\n", 1, &id, &full), -ENOSPC);
	EXPECT_STR(full.msg, "write 'x': No space left on device");
	EXPECT_EQ(answer("ok " ID_A "\n", 139, &id, &odd), -EIO);
	EXPECT_STR(odd.msg, "hull-import ended with status 139 and no answer");
	EXPECT_EQ(answer("error 0 fine\n", 1, &id, &lie), -EIO);
	EXPECT_EQ(answer("", 0, &id, &none), -EIO);
}
