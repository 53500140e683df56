#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# kill.sh for machines.
HULL_ISOLATION=vm exec sh "$(dirname "$0")/kill.sh"
