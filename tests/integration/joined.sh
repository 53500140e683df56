#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# hull-oci in a user namespace that is there already, as the members of a pod are: joined by its path, with other namespaces that belong to
# it or to the host.
# shellcheck disable=SC2016 # what stands in single quotes is for the shell inside
. "$SOURCE/tests/integration/lib.sh"
oci=$BUILD/src/hull-oci
needs busybox python3
[ "$(id -u)" = 0 ] || skip_all 'needs root'
unshare -U true 2>/dev/null || skip_all 'user namespaces cannot be made here'
tmp=$(mktemp -d "${TMPDIR:-/var/tmp}/hull-joined.XXXXXX")
cd "$tmp" || exit 1
chmod 755 .
me=joined-$$
netns=

hull() { # with a state folder of its own
	timeout -k 5 60 "$oci" --root "$tmp/state" "$@"
}
finish() {
	for id in $(hull list -q 2>/dev/null); do hull delete --force "$id" >/dev/null 2>&1; done
	[ -z "$netns" ] || umount "$netns" 2>/dev/null
	cd / && rm -rf "$tmp"
}
trap finish EXIT
trap 'exit 1' HUP INT TERM

busybox_root rootfs
mkdir secret
chmod 700 secret && echo 'from the host' >secret/note
chown -R 100000:100000 rootfs

# bundle NAME SCRIPT [PYTHON]: a bundle that runs SCRIPT; PYTHON edits its configuration `c`.
bundle() {
	rm -rf "$1" && mkdir "$1" && (cd "$1" && "$oci" spec) || return 1
	SCRIPT=$2 EDIT=${3:-} ROOT=$tmp/rootfs OWNER=${owner:-} python3 - "$1/config.json" <<-'PY'
		import json, os, sys
		path = sys.argv[1]
		c = json.load(open(path))
		c['process']['terminal'] = False
		c['process']['args'] = ['/bin/sh', '-c', os.environ['SCRIPT']]
		c['process']['env'] = ['PATH=/bin']
		c['root']['path'] = os.environ['ROOT']
		n = c['linux']['namespaces']
		def join(*types):
		    for t in types:
		        n[:] = [x for x in n if x['type'] != t]
		        kind = {'network': 'net', 'mount': 'mnt'}.get(t, t)
		        n.append({'type': t, 'path': '/proc/%s/ns/%s' % (os.environ['OWNER'], kind)})
		exec(os.environ['EDIT'])
		json.dump(c, open(path, 'w'))
	PY
}
once() {
	bundle one "$@" && hull run --bundle one "$me-one"
}
stays() { # NAME [PYTHON]: one that runs on
	bundle "$1" 'exec sleep 1000' "${2:-}" && hull run --detach --bundle "$1" --pid-file "$tmp/$1.pid" "$me-$1" </dev/null >"$1.out" 2>&1 || { cat "$1.out"; return 1; }
}
same() { # TYPE NAME NAME: both are in one namespace
	[ "$(readlink "/proc/$(cat "$2.pid")/ns/$1")" = "$(readlink "/proc/$(cat "$3.pid")/ns/$1")" ]
}

mapped='n.append({"type": "user"})
c["linux"]["uidMappings"] = c["linux"]["gidMappings"] = [{"containerID": 0, "hostID": 100000, "size": 65536}]'
check 'the first of a pod has a user namespace' stays first "$mapped"
owner=$(cat first.pid)

check 'a user namespace is joined' is '0 100000 65536 0' once 'echo $(cat /proc/self/uid_map) $(id -u)' 'join("user")'
check 'what is made then belongs to it' is hull once 'hostname; ip link set lo down && ip link set lo up' 'join("user")
for s in ("bounding", "effective", "permitted"): c["process"]["capabilities"][s].append("CAP_NET_ADMIN")'
check 'the mappings of the configuration are passed over' is '0 100000 65536' once 'echo $(cat /proc/self/uid_map)' 'join("user")
c["linux"]["uidMappings"] = c["linux"]["gidMappings"] = [{"containerID": 0, "hostID": 0, "size": 1}]'
check 'its devices are there' is 1:3 once 'stat -c %t:%T /dev/null; echo x >/dev/null' 'join("user")'
check 'a bind that its root may not reach is there' is 'from the host' once 'cat /tmp/note' 'join("user")
c["mounts"].append({"destination": "/tmp/note", "type": "bind", "source": "'"$tmp"'/secret/note", "options": ["bind", "ro"]})'
check 'an id-mapped bind takes its maps' is 0 once 'stat -c %u /tmp/note' 'join("user")
c["mounts"].append({"destination": "/tmp/note", "type": "bind", "source": "'"$tmp"'/secret/note", "options": ["bind", "ro", "idmap"]})'
check 'users and groups are its' is '1000 1000 5' once 'echo $(id -u) $(id -G)' 'join("user"); c["process"]["user"] = {"uid": 1000, "gid": 1000, "additionalGids": [5]}'
check 'an oom_score_adj is set' is 500 once 'cat /proc/self/oom_score_adj' 'join("user"); c["process"]["oomScoreAdj"] = 500'
check 'so is a time offset' is 1 once 'awk "\$1 > 1000000 { print 1 }" /proc/uptime' 'join("user"); n.append({"type": "time"}); c["linux"]["timeOffsets"] = {"boottime": {"secs": 2000000}}'

# --- with the other namespaces of the pod, which belong to the user namespace ---
check 'a member shares its network, names and queues' stays member 'join("user", "network", "ipc", "uts"); c["hostname"] = ""'
for type in user net ipc uts; do check "namespace $type is one" same $type first member; done
for type in pid mnt; do check "namespace $type is its own" sh -c "! [ \"\$(readlink /proc/\$(cat first.pid)/ns/$type)\" = \"\$(readlink /proc/\$(cat member.pid)/ns/$type)\" ]"; done
check 'exec joins all of them' is '0 100000 65536 0' hull exec "$me-member" sh -c 'echo $(cat /proc/self/uid_map) $(id -u)'
check 'exec as another user' is 1000 hull exec --user 1000:1000 "$me-member" id -u
check 'exec sees the first process' hull exec "$me-member" kill -0 1
check 'the processes of another can be shared' is 'sleep 1000' once 'tr "\0" " " </proc/1/cmdline | sed "s/ $//"' 'join("user", "pid")'
check 'the host sees which process it is' sh -c "grep -q '^Uid:	100000' /proc/\$(cat member.pid)/status"
check 'its parent is not a midwife' sh -c "ps -o comm= -p \$(ps -o ppid= -p \$(cat member.pid)) | grep -v hull-oci"
check 'it can be paused' sh -c "$oci --root $tmp/state pause $me-member && $oci --root $tmp/state resume $me-member"

# --- what a process inside can see of those that come (SECURITY R8) ---
# A member that is root there, with every capability, looks for processes whose program (and so, descriptors) it may see while others are made
# in its processes' midst, and while exec joins: what is not its kind is ours.
attack='cd /proc; while :; do
	for p in [0-9]*; do exe=$(readlink $p/exe) && case $exe in */busybox) ;; *) echo "program of $p: $exe"; ls -l $p/fd ;; esac; done 2>/dev/null
	echo round >&2
done >/spied/seen 2>/spied/rounds'
all_rights='for s in ("bounding", "effective", "permitted"): c["process"]["capabilities"][s] = ["CAP_SYS_PTRACE", "CAP_DAC_OVERRIDE", "CAP_SYS_ADMIN"]
'
rounds() {
	wc -l <spied/rounds
}
spy() { # COMMAND…: twenty times, while the attacker goes through /proc again and again
	mkdir -p spied && chmod 777 spied && rm -f spied/*
	bundle spy "$attack" 'join("user")
'"$all_rights"'c["root"]["readonly"] = False
c["mounts"].append({"destination": "/spied", "type": "bind", "source": "'"$tmp"'/spied", "options": ["bind"]})' || return 1
	hull run --detach --bundle spy --pid-file "$tmp/spy.pid" "$me-spy" </dev/null >spy.out 2>&1 || { cat spy.out; return 1; }
	for _ in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20; do "$@" >spy.out 2>&1 || { cat spy.out; return 1; }; done
	enough=$(($(rounds) + 2))
	for _ in 1 2 3 4 5 6 7 8 9 10; do [ "$(rounds)" -ge "$enough" ] && break; sleep 0.3; done
	hull delete --force "$me-spy"
	[ "$(rounds)" -ge 2 ] || { echo "the attacker looked $(rounds) times"; return 1; }
	[ ! -s spied/seen ] || { sort spied/seen | uniq -c | head; return 1; }
}
come() { # one more in the attacker's processes
	owner=$(cat spy.pid)
	once true 'join("user", "pid")'
	owner=$(cat first.pid)
}
check 'who is born among others is not seen by them' spy come
check 'who joins is not seen by them' spy hull exec "$me-spy" true

# --- with namespaces of the host ---
host_network() {
	netns=$tmp/netns
	: >"$netns" && unshare --net sh -c "ip link add name made type dummy 2>/dev/null; mount --bind /proc/self/ns/net '$netns'"
}
if host_network 2>/dev/null; then
	check 'a network namespace of the host'\''s is joined' is "$(stat -L -c %i "$netns")" once 'stat -L -c %i /proc/self/ns/net' \
		'join("user"); n[:] = [x for x in n if x["type"] != "network"]; n.append({"type": "network", "path": "'"$netns"'"})'
	check 'a member stays in it' stays other 'join("user"); n[:] = [x for x in n if x["type"] != "network"]; n.append({"type": "network", "path": "'"$netns"'"})'
	check 'exec into it' is "$(stat -L -c %i "$netns")" hull exec "$me-other" stat -L -c %i /proc/self/ns/net
	check 'and it is deleted' hull delete --force "$me-other"
fi
check 'the host'\''s processes are joined' is 1 once 'test "$$" != 1 && echo 1' 'join("user"); n[:] = [x for x in n if x["type"] != "pid"]; n.append({"type": "pid", "path": "/proc/'$$'/ns/pid"})'

# --- what cannot be ---
check 'a path that is no namespace is refused' refused 'join namespace' once true 'n.append({"type": "user", "path": "/etc/passwd"})'
check 'a path to nothing is refused' refused 'no such file' once true 'n.append({"type": "user", "path": "/proc/1/ns/nothing"})'
check 'a namespace of another kind is refused' refused 'join namespace' once true 'n.append({"type": "user", "path": "/proc/'$$'/ns/net"})'
check 'one'\''s own is there already' is '0 0 4294967295' once 'echo $(cat /proc/self/uid_map)' 'c["linux"]["uidMappings"] = c["linux"]["gidMappings"] = [{"containerID": 0, "hostID": 0, "size": 1}]; n.append({"type": "user", "path": "/proc/'$$'/ns/user"})'
check 'nothing is left of those' is '' sh -c "ls state | grep one; find /sys/fs/cgroup -maxdepth 4 -name '$me-one'"
check 'the member is deleted' hull delete --force "$me-member"
check 'the first is deleted' hull delete --force "$me-first"
check 'nothing is left' is '' sh -c "ls state; find /sys/fs/cgroup -maxdepth 4 -name '$me-*'"
done_testing
