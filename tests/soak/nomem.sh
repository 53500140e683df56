#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Unit tests with random allocations failing, for SECONDS_GIVEN from SEED on. Tests that load the machine themselves are left out.
BUILD=${BUILD:-$(dirname "$(dirname "$HULL")")}
set --
for test in "$BUILD"/tests/unit/*/test_*; do
	[ -f "$test" ] && [ -x "$test" ] || continue
	case $test in
	*/test_base_db | */network/* | */test_container_* | */test_machine_* | */test_image_layer_*) ;;
	*) set -- "$@" "$test" ;;
	esac
done
[ $# -gt 0 ] || { echo "1..0 # SKIP no unit tests in $BUILD"; exit 0; }
TORTURE_SEED=$SEED exec sh "$(dirname "$0")/../lib/torture.sh" "$BUILD/tests/libnomem.so" "$@"
