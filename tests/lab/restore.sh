#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Machines that are written down and brought back, on real KVM.
exec python3 "$(dirname "$0")/restore.py"
