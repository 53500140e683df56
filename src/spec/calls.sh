#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# calls.sh HEADER COMPILER…: the system calls that a kernel header names, and those newer than any distribution's (one number on every
# architecture since 424), as lines {"NAME", NUMBER}, sorted by name.
set -eu
header=$1
shift
{
	printf '#include <%s>\n' "$header" | "$@" -E -dM - | awk '
		$1 == "#define" && $2 ~ /^__NR(3264)?_[a-z0-9_]+$/ { value[$2] = $3 }
		END {
			for (name in value) {
				v = value[name]
				while (v in value)
					v = value[v]
				if (name ~ /^__NR_/ && v ~ /^[0-9]+$/)
					print substr(name, 6), v
			}
		}'
	cat <<-END
		cachestat 451
		fchmodat2 452
		map_shadow_stack 453
		futex_wake 454
		futex_wait 455
		futex_requeue 456
		statmount 457
		listmount 458
		lsm_get_self_attr 459
		lsm_set_self_attr 460
		lsm_list_modules 461
		mseal 462
		setxattrat 463
		getxattrat 464
		listxattrat 465
		removexattrat 466
		open_tree_attr 467
	END
} | LC_ALL=C sort -u -k1,1 | awk '{ printf "{\"%s\", %s},\n", $1, $2 }'
