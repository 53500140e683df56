#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# The scenario of tests/integration with machines on real KVM: hull-monitor and hull-share instead of an emulating qemu. The kernel comes
# from the build folder (tests/lab/outside sees to it), for the lab has no network.
cd "$(dirname "$0")/../.." || exit 1
modprobe -a tun bridge veth vhost_net 2>/dev/null
SOURCE=$PWD HULL=$BUILD/src/hull HULL_ISOLATION=vm exec sh tests/integration/scenario.sh
