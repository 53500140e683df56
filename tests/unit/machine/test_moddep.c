/* SPDX-License-Identifier: Apache-2.0 */
#include "../test.h"

#include "base/buf.h"
#include "base/err.h"
#include "base/str.h"
#include "machine/moddep.h"

static const char dep[] =
	"kernel/fs/fuse/virtiofs.ko: kernel/drivers/virtio/virtio.ko "
	"kernel/drivers/virtio/virtio_ring.ko kernel/fs/fuse/fuse.ko\n"
	"kernel/drivers/virtio/virtio.ko: kernel/drivers/virtio/virtio_ring.ko\n"
	"kernel/drivers/virtio/virtio_ring.ko:\n"
	"kernel/fs/fuse/fuse.ko:\n"
	"kernel/drivers/char/hw_random/virtio-rng.ko: kernel/drivers/virtio/virtio.ko "
	"kernel/drivers/virtio/virtio_ring.ko\n";
static const char builtin[] = "kernel/fs/ext4/ext4.ko\nkernel/crypto/crc32c_generic.ko\n";

static struct moddep *parse(const char *text)
{
	struct err err = ERR_INIT;
	struct moddep *m = NULL;

	return moddep_parse(text, strlen(text), builtin, strlen(builtin), &m, &err) < 0 ? NULL : m;
}

static void join(const struct strv *list, char *text, size_t size)
{
	size_t n = 0;

	text[0] = '\0';
	for (size_t i = 0; i < list->n; i++) {
		const char *base = strrchr(list->v[i], '/') + 1;
		n += (size_t)snprintf(text + n, size - n, "%s ", base);
	}
}

TEST(what_a_module_needs_is_loaded_before_it)
{
	AUTO(auto_moddep_free) struct moddep *m = parse(dep);
	AUTO_STRV struct strv order = {0};
	struct err err = ERR_INIT;
	char text[256];

	EXPECT(m != NULL);
	EXPECT_EQ(moddep_order(m, "virtiofs", &order, &err), 0);
	join(&order, text, sizeof(text));
	EXPECT_STR(text, "fuse.ko virtio_ring.ko virtio.ko virtiofs.ko ");
}

TEST(nothing_is_loaded_twice)
{
	AUTO(auto_moddep_free) struct moddep *m = parse(dep);
	AUTO_STRV struct strv order = {0};
	struct err err = ERR_INIT;
	char text[256];

	EXPECT(m != NULL);
	EXPECT_EQ(moddep_order(m, "virtio_rng", &order, &err), 0);
	EXPECT_EQ(moddep_order(m, "virtiofs", &order, &err), 0);
	EXPECT_EQ(moddep_order(m, "virtiofs", &order, &err), 0);
	join(&order, text, sizeof(text));
	EXPECT_STR(text, "virtio_ring.ko virtio.ko virtio-rng.ko fuse.ko virtiofs.ko ");
}

TEST(dashes_and_underscores_name_the_same_module)
{
	AUTO(auto_moddep_free) struct moddep *m = parse(dep);

	EXPECT(m != NULL);
	EXPECT_EQ(moddep_has(m, "virtio_rng"), MODULE_FILE);
	EXPECT_EQ(moddep_has(m, "virtio-rng"), MODULE_FILE);
	EXPECT_EQ(moddep_has(m, "virtio"), MODULE_FILE);
	EXPECT_EQ(moddep_has(m, "virti"), MODULE_ABSENT);
}

TEST(built_in_modules_add_no_file)
{
	AUTO(auto_moddep_free) struct moddep *m = parse(dep);
	AUTO_STRV struct strv order = {0};
	struct err err = ERR_INIT;

	EXPECT(m != NULL);
	EXPECT_EQ(moddep_has(m, "ext4"), MODULE_BUILTIN);
	EXPECT_EQ(moddep_order(m, "ext4", &order, &err), 0);
	EXPECT_EQ(moddep_order(m, "no_such", &order, &err), 0);
	EXPECT_EQ(order.n, 0);
}

TEST(paths_that_leave_the_folder_are_refused)
{
	EXPECT(parse("../../etc/shadow.ko:\n") == NULL);
	EXPECT(parse("/etc/shadow.ko:\n") == NULL);
	EXPECT(parse("kernel/a.ko: kernel/../../b.ko\n") == NULL);
	EXPECT(parse("kernel//a.ko:\n") == NULL);
}

TEST(lines_without_a_colon_and_nul_bytes_are_refused)
{
	struct err err = ERR_INIT;
	struct moddep *m = NULL;

	EXPECT(parse("kernel/a.ko\n") == NULL);
	EXPECT(parse(":\n") == NULL);
	EXPECT(moddep_parse("kernel/a.ko:\0\n", 14, NULL, 0, &m, &err) < 0);
	EXPECT(strstr(err.msg, "modules.dep") != NULL);
}

TEST(a_module_that_needs_endlessly_many_is_refused)
{
	AUTO_BUF struct buf text = BUF_INIT;

	buf_str(&text, "kernel/a.ko:");
	for (int i = 0; i < 600; i++)
		buf_printf(&text, " kernel/b%d.ko", i);
	EXPECT(parse(text.data) == NULL);
}

TEST(an_empty_index_is_fine)
{
	AUTO(auto_moddep_free) struct moddep *m = parse("");

	EXPECT(m != NULL);
	EXPECT_EQ(moddep_has(m, "virtio"), MODULE_ABSENT);
}
