#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# The lab has real KVM: what a PVM host's /dev/kvm cannot do, runs.
. "$(dirname "$0")/../integration/lib.sh"

check '/dev/kvm is there' test -c /dev/kvm
check 'it is kvm-amd with nested paging' grep -q '[1Y]' /sys/module/kvm_amd/parameters/npt
check 'a 64-bit guest runs lock cmpxchg16b' "$BUILD/tests/lab_kvm"
done_testing
