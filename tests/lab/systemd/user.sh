#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# hull-oci --systemd-cgroup without root's rights: the scope is made by the user's own systemd, with the controllers that it was given.
# shellcheck disable=SC2016,SC2034 # what stands in single quotes is for the shell inside
LAB_TOP=../..
# shellcheck source=../oci-lib.sh
. "$(dirname "$0")/../oci-lib.sh"
uid=1000
run=/run/user/$uid
mkdir -p $run && chown $uid:$uid $run && chmod 700 $run
chmod 755 "$tmp" && chown -R $uid:$uid "$tmp"
systemd-run --quiet --unit=lab-user.service --uid=$uid --gid=$uid -p 'Delegate=memory pids cpu' -p DefaultDependencies=no -E XDG_RUNTIME_DIR=$run -E HOME="$tmp" \
	/lib/systemd/systemd --user --unit=dbus.socket
mine() { # mine SCRIPT: as the user, in a scope of the user's manager, as in a session
	setpriv --reuid $uid --regid $uid --clear-groups env -i PATH="$PATH" HOME="$tmp" XDG_RUNTIME_DIR=$run DBUS_SESSION_BUS_ADDRESS="unix:path=$run/bus" \
		OCI="$oci --root $tmp/mine --systemd-cgroup" timeout -k 5 60 systemd-run --quiet --user --scope -p Delegate=yes sh -c "$1" </dev/null 2>&1
}
there() {
	soon test -S $run/bus && mine 'systemctl --user is-system-running; true'
}
check 'the user has a systemd' there
bundle one 'cat /sys/fs/cgroup/memory.max /sys/fs/cgroup/pids.max' 'r["memory"] = {"limit": 67108864}; r["pids"] = {"limit": 33}
c["linux"]["cgroupsPath"] = "user.slice:mine:one"'
bundle stays 'sleep 1000' 'r["pids"] = {"limit": 33}'
chown -R $uid:$uid "$tmp"
inside() {
	mine 'unshare -U -r -m $OCI run --bundle one one' >inside.out
	cat inside.out
	[ "$(grep -c -x '67108864\|33' inside.out)" = 2 ]
}
check 'limits are seen from inside' inside
stays() {
	mine 'unshare -U -r -m $OCI run --detach --bundle stays stays && systemctl --user show hull-oci-stays.scope --property ActiveState --property TasksMax --property Slice' >stays.out
	cat stays.out
	grep -x ActiveState=active stays.out && grep -x TasksMax=33 stays.out && grep -x Slice=user.slice stays.out
}
check 'its unit is one of the user'\''s' stays
updated() {
	mine 'unshare -U -r -m $OCI update --pids-limit 44 stays; systemctl --user show hull-oci-stays.scope --property TasksMax' >updated.out
	cat updated.out
	grep -x TasksMax=44 updated.out
}
check 'update reaches it' updated
gone() {
	mine 'unshare -U -r -m $OCI delete --force stays; systemctl --user show hull-oci-stays.scope --property LoadState' >gone.out
	cat gone.out
	grep -x LoadState=not-found gone.out && ! find /sys/fs/cgroup -name hull-oci-stays.scope | grep .
}
check 'delete takes it away' gone
nobody() {
	bundle lone true
	refused 'cannot reach the user' unshare -U -r env -u XDG_RUNTIME_DIR -u DBUS_SESSION_BUS_ADDRESS "$oci" --root /run/lone --systemd-cgroup run --bundle lone lone
}
check 'a user without one is told so' nobody
systemctl stop lab-user.service
done_testing
