/* SPDX-License-Identifier: Apache-2.0 */
/* Archives in and out of a running workload. */
#include "../test.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/archive.h"
#include "base/fd.h"
#include "container/container.h"
#include "rig.h"

static struct plan_process builtin(const char *name, const char *const *args)
{
	struct plan_process what = {.builtin = strdup(name)};

	rig_args(&what, args);
	what.cap_bounding = what.cap_permitted = what.cap_effective = rig_caps;
	return what;
}

TEST(a_folder_goes_out_and_in_again)
{
	if (!rig_can())
		return;
	AUTO_RIG struct rig rig;
	struct err err = ERR_INIT;
	rig_init(&rig, "mkdir -p /data/d; echo text > /data/d/f; ln -s f /data/d/l; chown -R alice "
		       "/data; echo ready; sleep 1000");
	EXPECT_EQ(rig_create(&rig), 0);
	EXPECT_EQ(rig_start(&rig), 0);
	EXPECT(rig_until(&rig, "ready", 20000));
	buf_clear(&rig.output);
	struct plan_process out = builtin("archive-out", (const char *const[]){"/data/d", NULL});
	int r = rig_exec_as(&rig, &out, -1);
	record_done(&plan_process_record, &out);
	EXPECT_EQ(r, 0);
	EXPECT(rig.output.len >= 2048);

	/* into the host's folder, and back into the workload under another name */
	AUTO_CLOSE int file = openat(rig.state_fd, "t.tar", O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	EXPECT_EQ(write(file, rig.output.data, rig.output.len), (ssize_t)rig.output.len);
	EXPECT_EQ(lseek(file, 0, SEEK_SET), 0);
	EXPECT_EQ(archive_read(file, rig.state_fd, "/", false, &err), 0);
	EXPECT_EQ(faccessat(rig.state_fd, "d/f", F_OK, 0), 0);
	EXPECT_EQ(lseek(file, 0, SEEK_SET), 0);
	struct plan_process in = builtin("archive-in",
					 (const char *const[]){"/tmp/new", "owners", NULL});
	r = rig_exec_as(&rig, &in, file);
	record_done(&plan_process_record, &in);
	EXPECT_EQ(r, 0);
	EXPECT_EQ(rig_exec(&rig, "cat /tmp/new/l; stat -c %U /tmp/new/f"), 0);
	EXPECT_STR(rig.output.data, "text\nalice\n");
}

TEST(links_of_the_workload_never_lead_to_the_host)
{
	if (!rig_can())
		return;
	AUTO_RIG struct rig rig;
	rig_init(&rig, "ln -s /../../../../etc /e; ln -s /proc/1/root/../../etc /f; echo ready; "
		       "sleep 1000");
	EXPECT_EQ(rig_create(&rig), 0);
	EXPECT_EQ(rig_start(&rig), 0);
	EXPECT(rig_until(&rig, "ready", 20000));
	static const char *const paths[] = {"/e/passwd", "/f/passwd"};
	for (int i = 0; i < 2; i++) {
		struct plan_process out = builtin("archive-out",
						  (const char *const[]){paths[i], NULL});
		buf_clear(&rig.output);
		int r = rig_exec_as(&rig, &out, -1);
		record_done(&plan_process_record, &out);
		/* the magic link of the second is refused as such */
		EXPECT_EQ(r, i);
		EXPECT_EQ(memmem(rig.output.data, rig.output.len, "alice:x:1000", 12) != NULL, !i);
	}
}

TEST(what_is_missing_is_said_on_standard_error)
{
	if (!rig_can())
		return;
	AUTO_RIG struct rig rig;
	rig_init(&rig, "sleep 1000");
	EXPECT_EQ(rig_create(&rig), 0);
	EXPECT_EQ(rig_start(&rig), 0);
	static const char *const paths[] = {"/absent", "/absent/either"};
	for (size_t i = 0; i < 2; i++) {
		struct plan_process what = builtin(i ? "archive-in" : "archive-out",
						   (const char *const[]){paths[i], NULL});
		buf_clear(&rig.output);
		int r = rig_exec_as(&rig, &what, -1);
		record_done(&plan_process_record, &what);
		EXPECT_EQ(r, 1);
		EXPECT(rig.output.len > 0 && strchr(rig.output.data, '\n'));
	}
	struct plan_process unknown = builtin("nothing", (const char *const[]){"/", NULL});
	int r = rig_exec_as(&rig, &unknown, -1);
	record_done(&plan_process_record, &unknown);
	EXPECT_EQ(r, -EINVAL);
}
