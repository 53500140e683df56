#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Containers go on from an image: on the lab's kernel Debian's criu works, which it need not do on the host's.
SOURCE=$PWD BUILD=${BUILD:-$PWD/build} sh tests/integration/oci-checkpoint.sh
