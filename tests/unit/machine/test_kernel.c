/* SPDX-License-Identifier: Apache-2.0 */
#include "../test.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/attr.h"
#include "base/err.h"
#include "base/fd.h"
#include "base/io.h"
#include "base/path.h"
#include "machine/kernel.h"

/* A store of its own for each test, removed with it. */
struct root {
	char path[32];
};

static void root_done(struct root *root)
{
	struct err err = ERR_INIT;
	AUTO_CLOSE int tmp = open("/tmp", O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	if (path_remove_all(tmp, root->path + 5, &err) < 0)
		printf("# %s\n", err.msg);
}

static void root_init(struct root *root)
{
	(void)snprintf(root->path, sizeof(root->path), "/tmp/hull-kern-XXXXXX");
	if (!mkdtemp(root->path))
		abort();
}

static void put(const char *dir, const char *name, const char *text)
{
	struct err err = ERR_INIT;
	AUTO_CLOSE int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	if (file_replace(fd, name, text, strlen(text), 0644, &err) < 0)
		printf("# %s\n", err.msg);
}

/* A kernel as hull-kernel leaves it, all made up. */
static void add(const struct root *root, const char *name, bool modules)
{
	char dir[128];
	struct err err = ERR_INIT;

	(void)snprintf(dir, sizeof(dir), "%s/kernels/%s", root->path, name);
	if (path_mkdir_all(-1, dir, 0755, &err) < 0)
		printf("# %s\n", err.msg);
	put(dir, "kernel", "an ELF");
	put(dir, "info", "format=3\nrelease=x\nimage=53968896\n");
	put(dir, "modules.cpio", "modules");
	if (modules)
		put(dir, "modules.erofs", "erofs");
}

TEST(a_store_without_kernels_names_the_next_step)
{
	AUTO(root_done) struct root root;
	AUTO_KERNEL struct kernel k = {0};
	struct kernel *all = NULL;
	struct err err = ERR_INIT;
	size_t n = 1;

	root_init(&root);
	EXPECT_EQ(kernel_find(root.path, NULL, &k, &err), -ENOENT);
	EXPECT(strstr(err.msg, "hull kernel add --distribution") != NULL);
	EXPECT_EQ(kernel_list(root.path, &all, &n, &err), 0);
	EXPECT_EQ(n, 0);
}

TEST(kernels_are_listed_in_the_order_of_versions)
{
	AUTO(root_done) struct root root;
	struct kernel *all = NULL;
	struct err err = ERR_INIT;
	size_t n = 0;

	root_init(&root);
	add(&root, "6.12.1", true);
	add(&root, "6.1.9", false);
	add(&root, ".gone.6.0.1", false);
	EXPECT_EQ(kernel_set_default(root.path, "6.12.1", &err), 0);
	EXPECT_EQ(kernel_list(root.path, &all, &n, &err), 0);
	EXPECT_EQ(n, 2);
	bool right = strcmp(all[0].name, "6.1.9") == 0 && strcmp(all[1].name, "6.12.1") == 0 &&
		     !all[0].is_default && all[1].is_default && !all[0].modules && all[1].modules;
	uint64_t image = all[0].image;
	uint64_t size = all[1].size;
	kernel_list_free(all, n);
	EXPECT(right);
	EXPECT_EQ(image, 53968896);
	EXPECT_EQ(size, 6 + 7 + 5);
}

TEST(the_default_can_be_changed_and_goes_with_its_kernel)
{
	AUTO(root_done) struct root root;
	AUTO_KERNEL struct kernel k = {0};
	struct err err = ERR_INIT;

	root_init(&root);
	add(&root, "a", false);
	add(&root, "b", false);
	EXPECT_EQ(kernel_set_default(root.path, "a", &err), 0);
	EXPECT_EQ(kernel_set_default(root.path, "b", &err), 0);
	EXPECT_EQ(kernel_remove(root.path, "b", &err), 0);
	EXPECT_EQ(kernel_find(root.path, NULL, &k, &err), -ENOENT);
	EXPECT(strstr(err.msg, "hull kernel default") != NULL);
	err = ERR_INIT;
	EXPECT_EQ(kernel_remove(root.path, "b", &err), -ENOENT);
}

TEST(an_unknown_kernel_is_named)
{
	AUTO(root_done) struct root root;
	AUTO_KERNEL struct kernel k = {0};
	struct err err = ERR_INIT;

	root_init(&root);
	add(&root, "a", false);
	EXPECT_EQ(kernel_find(root.path, "c", &k, &err), -ENOENT);
	EXPECT(strstr(err.msg, "no kernel 'c'") != NULL);
	err = ERR_INIT;
	EXPECT_EQ(kernel_find(root.path, "../a", &k, &err), -EINVAL);
	err = ERR_INIT;
	EXPECT_EQ(kernel_set_default(root.path, "default", &err), -EINVAL);
	err = ERR_INIT;
	EXPECT_EQ(kernel_remove(root.path, "..", &err), -EINVAL);
}

TEST(a_kernel_of_another_format_is_refused)
{
	AUTO(root_done) struct root root;
	AUTO_KERNEL struct kernel k = {0};
	struct err err = ERR_INIT;
	char dir[128];

	root_init(&root);
	add(&root, "6.1", false);
	(void)snprintf(dir, sizeof(dir), "%s/kernels/6.1", root.path);
	put(dir, "info", "format=1\nrelease=x\nimage=53968896\n");
	EXPECT_EQ(kernel_find(root.path, "6.1", &k, &err), -EINVAL);
	EXPECT(strstr(err.msg, "add it again") != NULL);
}

TEST(a_kernel_without_its_info_is_called_damaged)
{
	AUTO(root_done) struct root root;
	struct kernel *all = NULL;
	struct err err = ERR_INIT;
	char path[128];
	size_t n = 0;

	root_init(&root);
	add(&root, "a", false);
	(void)snprintf(path, sizeof(path), "%s/kernels/a/info", root.path);
	EXPECT_EQ(unlink(path), 0);
	EXPECT(kernel_list(root.path, &all, &n, &err) < 0);
	EXPECT(strstr(err.msg, "kernel 'a' is damaged") != NULL);
}
