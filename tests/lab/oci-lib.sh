# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=sh
# For scripts in the lab that lead containers by hull-oci: bundles, and sentences about what is inside them.
# shellcheck source=../integration/lib.sh
. "$(dirname "$0")/${LAB_TOP:-..}/integration/lib.sh"
oci=$BUILD/src/hull-oci
tmp=$(mktemp -d /mnt/tmp/oci.XXXXXX)
cd "$tmp" || exit 1
busybox_root rootfs

# shellcheck disable=SC2086 # OCI_OPTIONS are words
hull() { # with a state folder of its own
	timeout -k 5 60 "$oci" --root "$tmp/state" ${OCI_OPTIONS:-} "$@"
}

# bundle NAME SCRIPT [PYTHON]: a bundle that runs SCRIPT; PYTHON edits its configuration `c`, of which `r` are the resources.
bundle() {
	rm -rf "$1" && mkdir "$1"
	(cd "$1" && "$oci" spec) || return 1
	SCRIPT=$2 EDIT=${3:-} ROOT=$tmp/rootfs python3 - "$1/config.json" <<-'PY'
		import json, os, sys
		path = sys.argv[1]
		c = json.load(open(path))
		c['process']['terminal'] = False
		c['process']['args'] = ['/bin/sh', '-c', os.environ['SCRIPT']]
		c['process']['env'] = ['PATH=/bin']
		c['root']['path'] = os.environ['ROOT']
		r = c['linux'].setdefault('resources', {})
		exec(os.environ['EDIT'])
		json.dump(c, open(path, 'w'))
	PY
}

# once SCRIPT [PYTHON]: what a container that lives once prints.
once() {
	bundle one "$@" && hull run --bundle one one </dev/null 2>&1
}

# long NAME [PYTHON]: a container that stays.
long() {
	bundle "$1" 'sleep 1000' "${2:-}" && hull run --detach --bundle "$1" "$1" </dev/null >long.out 2>&1 || { cat long.out; return 1; }
}

# refused WORDS COMMAND…: it fails, and all it says, by either stream since once() joins them, is one line that holds WORDS.
refused() {
	words=$1
	shift
	"$@" >refused.out 2>&1
	got=$?
	cat refused.out
	[ "$got" != 0 ] && [ "$(wc -l <refused.out)" = 1 ] && grep -qF -- "$words" refused.out
}

soon() {
	for _ in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20; do
		"$@" >/dev/null 2>&1 && return 0
		sleep 0.2
	done
	"$@"
}
