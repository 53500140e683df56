/* SPDX-License-Identifier: Apache-2.0 */
#include "../test.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/err.h"
#include "base/fd.h"
#include "vmm/gmem.h"

#define GIB (1ULL << 30)

TEST(bounds_are_checked_at_every_edge)
{
	AUTO(auto_gmem_free) struct gmem *mem = NULL;
	struct err err = ERR_INIT;

	EXPECT_EQ(gmem_new(2 << 20, &mem, &err), 0);
	EXPECT(gmem_at(mem, 0, 1));
	EXPECT(gmem_at(mem, 0, 2 << 20));
	EXPECT(gmem_at(mem, (2 << 20) - 1, 1));
	EXPECT(gmem_at(mem, 2 << 20, 0));
	EXPECT(!gmem_at(mem, 2 << 20, 1));
	EXPECT(!gmem_at(mem, (2 << 20) - 1, 2));
	EXPECT(!gmem_at(mem, 0, (2 << 20) + 1));
	EXPECT(!gmem_at(mem, UINT64_MAX, 1));
	EXPECT(!gmem_at(mem, 1, SIZE_MAX));
	EXPECT(!gmem_at(mem, UINT64_MAX, SIZE_MAX));
}

TEST(beyond_three_gibibytes_memory_goes_on_behind_the_devices)
{
	AUTO(auto_gmem_free) struct gmem *mem = NULL;
	struct gmem_run runs[GMEM_RUNS];
	struct err err = ERR_INIT;

	EXPECT_EQ(gmem_new(5 * GIB, &mem, &err), 0);
	EXPECT_EQ(gmem_runs(mem, runs), 2);
	EXPECT_EQ(runs[0].size, 3 * GIB);
	EXPECT_EQ(runs[1].gpa, 4 * GIB);
	EXPECT_EQ(runs[1].size, 2 * GIB);
	EXPECT(gmem_at(mem, 3 * GIB - 8, 8));
	EXPECT(!gmem_at(mem, 3 * GIB - 8, 9));
	EXPECT(!gmem_at(mem, 3 * GIB, 1));
	EXPECT(!gmem_at(mem, 4 * GIB - 1, 1));
	EXPECT(gmem_at(mem, 4 * GIB, 2 * GIB));
	EXPECT(!gmem_at(mem, 4 * GIB, 2 * GIB + 1));
	EXPECT(!gmem_at(mem, 6 * GIB, 1));
}

TEST(a_room_for_more_lies_behind_all_and_is_no_part_of_what_was_there)
{
	AUTO(auto_gmem_free) struct gmem *mem = NULL;
	struct gmem_run runs[GMEM_RUNS];
	struct err err = ERR_INIT;

	EXPECT_EQ(gmem_new(5 * GIB, &mem, &err), 0);
	EXPECT_EQ(gmem_room(mem).size, 0);
	EXPECT(!gmem_at(mem, 6 * GIB, 1));
	EXPECT_EQ(gmem_add_room(mem, GIB + 4096, &err), 0);
	struct gmem_run room = gmem_room(mem);
	EXPECT_EQ(room.gpa, 6 * GIB);
	EXPECT_EQ(room.size, 2 * GIB);
	EXPECT_EQ(gmem_runs(mem, runs), 2);
	EXPECT(gmem_at(mem, 6 * GIB, 2 * GIB) == room.host);
	EXPECT(!gmem_at(mem, 6 * GIB, 2 * GIB + 1));
	EXPECT(!gmem_at(mem, 6 * GIB - 1, 2));
	EXPECT(!gmem_at(mem, 8 * GIB, 1));
}

TEST(rooms_that_cannot_be_are_refused)
{
	static const uint64_t sizes[] = {0, (1ULL << 40) + 1, UINT64_MAX};

	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		AUTO(auto_gmem_free) struct gmem *mem = NULL;
		struct err err = ERR_INIT;
		EXPECT_EQ(gmem_new(4 << 20, &mem, &err), 0);
		EXPECT(gmem_add_room(mem, sizes[i], &err) < 0);
		EXPECT_EQ(gmem_room(mem).size, 0);
	}
}

TEST(whole_pages_are_given_back_and_no_part_of_others)
{
	AUTO(auto_gmem_free) struct gmem *mem = NULL;
	struct err err = ERR_INIT;

	EXPECT_EQ(gmem_new(2 << 20, &mem, &err), 0);
	uint8_t *at = gmem_at(mem, 0, 4 * 4096);
	EXPECT(at);
	memset(at, 0xee, 4 * 4096);
	gmem_discard(at + 4095, 2 * 4096);
	EXPECT_EQ(at[4095], 0xee);
	EXPECT_EQ(at[4096], 0);
	EXPECT_EQ(at[2 * 4096], 0xee);
	gmem_discard(at + 1, 4094);
	gmem_discard(at, 0);
	EXPECT_EQ(at[1], 0xee);
}

/* How a child ends that touches the byte. */
static int touch(volatile uint8_t *at)
{
	int status = 0;
	pid_t pid = fork();

	if (pid == 0) {
		(void)signal(SIGSEGV, SIG_DFL);
		*at = 1;
		_exit(0);
	}
	(void)waitpid(pid, &status, 0);
	return WIFSIGNALED(status) ? WTERMSIG(status) : 0;
}

TEST(nothing_lies_beside_guest_memory)
{
	AUTO(auto_gmem_free) struct gmem *mem = NULL;
	struct err err = ERR_INIT;

	EXPECT_EQ(gmem_new(2 << 20, &mem, &err), 0);
	uint8_t *first = gmem_at(mem, 0, 1);
	EXPECT_EQ(touch(first), 0);
	EXPECT_EQ(touch(first - 1), SIGSEGV);
	EXPECT_EQ(touch(first + (2 << 20) - 1), 0);
	EXPECT_EQ(touch(first + (2 << 20)), SIGSEGV);
	EXPECT_EQ(gmem_add_room(mem, GIB, &err), 0);
	uint8_t *room = gmem_room(mem).host;
	EXPECT_EQ(touch(room), 0);
	EXPECT_EQ(touch(room - 1), SIGSEGV);
	EXPECT_EQ(touch(room + 2 * GIB), SIGSEGV);
}

TEST(sizes_that_cannot_be_are_refused)
{
	struct gmem *mem = NULL;
	static const uint64_t sizes[] = {0, 4096, (1 << 20) + 1, UINT64_MAX, UINT64_MAX - 4095};

	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		struct err err = ERR_INIT;
		EXPECT(gmem_new(sizes[i], &mem, &err) < 0);
		EXPECT(!mem);
	}
}

TEST(memory_that_was_written_to_a_file_comes_back_and_the_file_stays_as_it_is)
{
	enum { SIZE = 2 << 20 };
	AUTO(auto_gmem_free) struct gmem *mem = NULL;
	AUTO(auto_gmem_free) struct gmem *back = NULL;
	AUTO_CLOSE int file = memfd_create("memory", MFD_CLOEXEC);
	struct err err = ERR_INIT;
	struct stat st;
	char byte = 0;

	EXPECT_EQ(gmem_new(SIZE, &mem, &err), 0);
	*(char *)gmem_at(mem, 0, 1) = 'a';
	*(char *)gmem_at(mem, SIZE / 2, 1) = 'b';
	*(char *)gmem_at(mem, SIZE - 1, 1) = 'c';
	EXPECT_EQ(pwrite(file, "old", 3, SIZE / 4), 3); /* what the file held is gone */
	EXPECT_EQ(gmem_save(mem, file, &err), 0);
	EXPECT_EQ(fstat(file, &st), 0);
	EXPECT_EQ(st.st_size, SIZE);
	EXPECT_EQ(st.st_blocks * 512, 3 * 4096); /* the rest are holes */
	EXPECT_EQ(gmem_map(SIZE, 0, file, &back, &err), 0);
	EXPECT_EQ(memcmp(gmem_at(mem, 0, SIZE), gmem_at(back, 0, SIZE), SIZE), 0);
	*(char *)gmem_at(back, SIZE / 2, 1) = 'x';
	EXPECT_EQ(pread(file, &byte, 1, SIZE / 2), 1);
	EXPECT_EQ(byte, 'b');
	EXPECT_EQ(gmem_save(back, file, &err), -EBUSY); /* the pages under its feet */
}

TEST(what_is_written_of_a_room_comes_back_and_the_rest_of_it_takes_nothing)
{
	enum { SIZE = 2 << 20, AT = 4 << 20, PAGES = 8 * 4096 };
	AUTO(auto_gmem_free) struct gmem *mem = NULL;
	AUTO(auto_gmem_free) struct gmem *back = NULL;
	AUTO_CLOSE int file = memfd_create("memory", MFD_CLOEXEC);
	struct err err = ERR_INIT;
	struct stat st;

	EXPECT_EQ(gmem_new(SIZE, &mem, &err), 0);
	EXPECT_EQ(gmem_add_room(mem, GIB, &err), 0);
	uint64_t gpa = gmem_room(mem).gpa;
	memset(gmem_at(mem, gpa + AT, 4096), 'p', 4096);
	memset(gmem_at(mem, gpa + 2 * AT, 4096), 'u', 4096); /* nobody asks for that one */
	EXPECT_EQ(gmem_save(mem, file, &err), 0);
	EXPECT_EQ(gmem_save_room(mem, AT, PAGES, file, &err), 0);
	EXPECT_EQ(fstat(file, &st), 0);
	EXPECT_EQ((uint64_t)st.st_size, SIZE + GMEM_ROOM_ALIGN);
	EXPECT_EQ(st.st_blocks * 512, 4096);
	EXPECT_EQ(gmem_map(SIZE, GIB, file, &back, &err), 0);
	EXPECT_EQ(gmem_room(back).gpa, gpa);
	EXPECT_EQ(*(char *)gmem_at(back, gpa + AT, 1), 0);
	EXPECT_EQ(gmem_map_room(back, AT, PAGES, file, &err), 0);
	EXPECT_EQ(memcmp(gmem_at(back, gpa + AT, PAGES), gmem_at(mem, gpa + AT, PAGES), PAGES), 0);
	*(char *)gmem_at(back, gpa + AT + PAGES, 1) = 'x'; /* still memory of its own */
	EXPECT_EQ(*(char *)gmem_at(back, gpa + 2 * AT, 1), 0);
}

TEST(a_memory_file_of_another_size_or_none_at_all_is_refused)
{
	AUTO(auto_gmem_free) struct gmem *mem = NULL;
	AUTO_CLOSE int file = memfd_create("memory", MFD_CLOEXEC);
	int pipes[2];

	EXPECT_EQ(ftruncate(file, (2 << 20) - 4096), 0);
	struct err err = ERR_INIT;
	EXPECT_EQ(gmem_map(2 << 20, 0, file, &mem, &err), -EINVAL);
	EXPECT(strstr(err.msg, "bytes"));
	EXPECT_EQ(ftruncate(file, 2 << 20), 0); /* of a machine without a room */
	err = ERR_INIT;
	EXPECT_EQ(gmem_map(2 << 20, GIB, file, &mem, &err), -EINVAL);
	EXPECT_EQ(pipe2(pipes, O_CLOEXEC), 0);
	err = ERR_INIT;
	EXPECT_EQ(gmem_map(2 << 20, 0, pipes[0], &mem, &err), -EINVAL);
	(void)close(pipes[0]);
	(void)close(pipes[1]);
}
