#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# A machine's network on real KVM, moved by the monitor or by the host's kernel.
. "$(dirname "$0")/../integration/lib.sh"

modprobe -a tun vhost_net
check 'a device moves frames by vhost-net, and takes its queues back when it must' "$BUILD/tests/unit/vmm/test_vmm_net"
python3 "$(dirname "$0")/net.py" || bad=1
exit $bad
