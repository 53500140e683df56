# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=sh
# For tests of hull-oci by hand (sourced behind lib.sh): bundles of busybox in a folder of their own, removed at the end with all that
# still runs of them. `me` begins the names of containers.
oci=$BUILD/src/hull-oci
needs busybox python3
[ "$(id -u)" = 0 ] || skip_all 'needs root'
tmp=$(mktemp -d "${TMPDIR:-/var/tmp}/hull-oci.XXXXXX")
cd "$tmp" || exit 1
me=oci-test-$$

hull() { # with a state folder of its own
	timeout -k 5 60 "$oci" --root "$tmp/state" "$@"
}

finish() {
	for id in $(hull list -q 2>/dev/null); do hull delete --force "$id" >/dev/null 2>&1; done
	cd / && rm -rf "$tmp"
}
trap finish EXIT
trap 'exit 1' HUP INT TERM

busybox_root rootfs

# bundle NAME SCRIPT [PYTHON]: a bundle that runs SCRIPT; PYTHON edits its configuration `c`.
bundle() {
	rm -rf "$1" && mkdir "$1" && ln -s ../rootfs "$1/rootfs"
	(cd "$1" && "$oci" spec) || return 1
	SCRIPT=$2 EDIT=${3:-} python3 - "$1/config.json" <<-'PY'
		import json, os, sys
		path = sys.argv[1]
		c = json.load(open(path))
		c['process']['terminal'] = False
		c['process']['args'] = ['/bin/sh', '-c', os.environ['SCRIPT']]
		c['process']['env'] = ['PATH=/bin']
		c['root']['path'] = os.path.realpath(os.path.join(os.path.dirname(path), 'rootfs'))
		exec(os.environ['EDIT'])
		json.dump(c, open(path, 'w'))
	PY
}

# once SCRIPT [PYTHON]: what a container that lives once prints.
once() {
	bundle one "$@" && hull run --bundle one "$me-one" 2>&1
}

state_of() {
	hull state "$1" | python3 -c 'import json, sys; print(json.load(sys.stdin)["status"])'
}

left() { # what is there of our containers: cgroups, processes, states
	find /sys/fs/cgroup -maxdepth 4 -type d -name "$me-*" 2>/dev/null
	ls state 2>/dev/null
}
