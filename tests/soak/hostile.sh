#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# tests/lab/hostile.sh for as long as there is time: a guest that is out for the monitor, in the lab, whose start takes a part of it.
cd "$(dirname "$0")/../.." || exit 1
BUILD=$(cd "$(dirname "$HULL")/.." && pwd)
given=${SECONDS_GIVEN:-60}
SECONDS_GIVEN=$((given > 45 ? given - 40 : 5))
export BUILD SECONDS_GIVEN LAB_SECONDS=$((given + 100))
exec tests/lab/outside tests/lab/hostile.sh
