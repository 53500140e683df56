#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# What containers must be, on cgroup v2: limits, device programs, freezing, counting, and that nothing of them is left.
for test in run process mounts limits exec copy specified flags schedule resources hook userns; do
	timeout 100 "$BUILD/tests/unit/container/test_container_$test" || echo "not ok - $test ends with status $?"
done
