/* SPDX-License-Identifier: Apache-2.0 */
#include "../test.h"

#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/fd.h"
#include "base/io.h"
#include "machine/probe.h"
#include "proto/plan.h"

TEST(the_verdict_comes_with_a_reason_exactly_when_it_is_no)
{
	char why[PROBE_WHY_MAX] = "?";

	uint32_t accel = machine_accel_probe(why);
	EXPECT(accel == ACCEL_KVM || accel == ACCEL_TCG);
	EXPECT_EQ(why[0] == '\0', accel == ACCEL_KVM);
	if (access("/dev/kvm", F_OK) < 0)
		EXPECT_STR(why, "no /dev/kvm");
}

TEST(the_verdict_is_kept_for_this_boot_only)
{
	char dir[] = "/tmp/hull-probe-XXXXXX";
	char why[PROBE_WHY_MAX];
	struct err err = ERR_INIT;
	AUTO_BUF struct buf boot = BUF_INIT;
	AUTO_BUF struct buf kept = BUF_INIT;
	AUTO_BUF struct buf fake = BUF_INIT;

	EXPECT(mkdtemp(dir) != NULL);
	AUTO_CLOSE int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	uint32_t accel = machine_accel(fd, why);
	EXPECT_EQ(file_read(fd, "accel", 512, &kept, &err), 0);
	EXPECT(strstr(kept.data, accel == ACCEL_KVM ? " kvm" : " tcg ") != NULL);

	/* a verdict of this boot is believed, … */
	EXPECT_EQ(file_read(AT_FDCWD, "/proc/sys/kernel/random/boot_id", 64, &boot, &err), 0);
	buf_printf(&fake, "%.36s tcg a made-up reason", boot.data);
	EXPECT_EQ(file_replace(fd, "accel", fake.data, fake.len, 0644, &err), 0);
	EXPECT_EQ(machine_accel(fd, why), ACCEL_TCG);
	EXPECT_STR(why, "a made-up reason");

	/* … that of another is not */
	fake.data[0] = fake.data[0] == '0' ? '1' : '0';
	EXPECT_EQ(file_replace(fd, "accel", fake.data, fake.len, 0644, &err), 0);
	EXPECT_EQ(machine_accel(fd, why), accel);
	EXPECT(strcmp(why, "a made-up reason") != 0);
	(void)unlinkat(fd, "accel", 0);
	(void)rmdir(dir);
}
