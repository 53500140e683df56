#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# A keeper killed at every single system call of its network (tests/unit/network/test_kill.c; `make check` takes some of them).
build=$(cd "$(dirname "$HULL")/.." && pwd)
ninja -C "$build" --quiet tests/unit/network/test_network_kill || exit 1
HULL_SWEEP=1 "$build/tests/unit/network/test_network_kill"
