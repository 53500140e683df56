#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# hull-oci by hand: the life of a container as the callers of a runtime lead it, and what it says to bad input.
# shellcheck disable=SC2016 # what stands in single quotes is for the shell inside
. "$SOURCE/tests/integration/lib.sh"
. "$SOURCE/tests/integration/oci-lib.sh"

# --- one life ---
check 'run prints what its program prints' is 'hello 1' once 'echo hello $$'
check 'run ends as its program ends' status 7 once 'exit 7'
check 'run leaves nothing' is '' left
check 'the host name is the bundle'\''s' is hull once hostname
check 'it has its own interfaces' is 1 once 'ip link | grep -c "^[0-9]"'
check 'the root can be read-only' is 1 once 'touch /x 2>&1 | grep -c Read-only'
check 'capabilities are exactly those asked for' is 0000000020000420 once 'awk "/^CapEff/ { print \$2 }" /proc/self/status'
check 'none are inherited' is '0000000000000000 0000000000000000' once 'awk "/^CapInh|^CapAmb/ { printf \"%s%s\", s, \$2; s = \" \" }" /proc/self/status'
check 'no_new_privs is set' is 1 once 'awk "/^NoNewPrivs/ { print \$2 }" /proc/self/status'
check 'a user is its numbers' is '1000 1000 5 6' once 'echo $(id -u) $(id -g) $(awk "/^Groups/ { print \$2, \$3 }" /proc/self/status)' \
	'c["process"]["user"] = {"uid": 1000, "gid": 1000, "additionalGids": [5, 6]}'
check 'a limit is its number' is 1024 once 'ulimit -n'
check 'masked paths are empty' is 0 once 'ls /sys/firmware | wc -l'
check 'read-only paths cannot be written' is 1 once '(echo b >/proc/sys/kernel/domainname) 2>&1 | grep -c Read-only'
check 'the usual devices are there' is '1:3 1:5 1:7 1:8 1:9 5:0' once 'cd /dev && echo $(stat -c %t:%T null zero full random urandom tty)'
check 'and the usual links' is '/proc/self/fd pts/ptmx' once 'echo $(readlink /dev/fd) $(readlink /dev/ptmx)'
echo 'from the host' >note
check 'a bind shows the host'\''s file' is 'from the host' once 'cat /tmp/note' \
	'c["mounts"].append({"destination": "/tmp/note", "type": "bind", "source": "'"$tmp"'/note", "options": ["bind", "ro"]})'
mapped='c["linux"]["namespaces"].append({"type": "user"})
c["linux"]["uidMappings"] = c["linux"]["gidMappings"] = [{"containerID": 0, "hostID": 100000, "size": 65536}]'
check 'a user namespace maps its ids' is '0 100000 65536 0' once 'echo $(cat /proc/self/uid_map) $(id -u)' "$mapped"
check 'devices are there in a user namespace too' is 1:3 once 'stat -c %t:%T /dev/null; echo x >/dev/null' "$mapped"
check 'a bind that its root may not reach is there' is 'from the host' once 'cat /tmp/note' "$mapped
c['mounts'].append({'destination': '/tmp/note', 'type': 'bind', 'source': '$tmp/note', 'options': ['rbind', 'ro']})"
open_elsewhere() {
	once 'echo $(ls /proc/self/fd)' 9<note
}
check 'descriptors of the caller do not reach it' is '0 1 2 3' open_elsewhere

# --- a long life ---
make_long() {
	bundle long 'trap "echo bye; exit 5" TERM; echo ready; while :; do sleep 0.1; done' &&
		hull --log long.log --log-format json create --bundle long --pid-file long.pid "$me-long" >long.out 2>&1 </dev/null
}
check 'create makes it' make_long
check 'its pid is in the pid file' sh -c 'test -d /proc/$(cat long.pid)'
check 'it is created and does not run yet' is created state_of "$me-long"
check 'nothing has been printed' is '' cat long.out
check 'a second one of this name is refused' refused 'already exists' hull create --bundle long "$me-long"
check 'start starts it' status 0 hull start "$me-long"
check 'it runs' is running state_of "$me-long"
check 'it prints' soon grep -qx ready long.out
check 'a second start is refused' refused 'not created' hull start "$me-long"
check 'exec runs one more process' is 'more 1000' hull exec --user 1000:1000 "$me-long" sh -c 'echo more $(id -u)'
check 'exec ends as its process ends' status 9 hull exec "$me-long" sh -c 'exit 9'
check 'exec of what is not there is told' refused 'executable file not found in' hull exec "$me-long" nothing-here
check 'a failed exec ends with 255' status 255 hull exec "$me-long" nothing-here
exec_detached() {
	printf '{"args":["/bin/sh","-c","echo $0 >/tmp/x; sleep 100"],"cwd":"/","env":["PATH=/bin"],"user":{"uid":0,"gid":0}}' >process.json
	hull exec --process process.json --detach --pid-file exec.pid "$me-long" </dev/null >/dev/null 2>&1 && test -d "/proc/$(cat exec.pid)"
}
check 'exec --process --detach leaves it running' exec_detached
check 'ps lists the processes by their pids on the host' sh -c '"$0" --root state ps --format json "$1" | grep -q "$(cat long.pid)"' "$oci" "$me-long"
check 'list knows it' sh -c '"$0" --root state list --format json | grep -q "$1"' "$oci" "$me-long"
check 'pause freezes it' sh -c '"$0" --root state pause "$1" && "$0" --root state state "$1" | grep -q paused' "$oci" "$me-long"
check 'exec in a paused one is refused' refused 'is paused' hull exec "$me-long" true
check 'resume thaws it' sh -c '"$0" --root state resume "$1" && "$0" --root state state "$1" | grep -q running' "$oci" "$me-long"
check 'update changes a limit' sh -c 'echo "{\"pids\":{\"limit\":77}}" | "$0" --root state update --resources - "$1" &&
	cat /sys/fs/cgroup/pids/hull-oci/"$1"/pids.max /sys/fs/cgroup/hull-oci/"$1"/pids.max 2>/dev/null | grep -qx 77' "$oci" "$me-long"
check 'events tell its numbers' sh -c '"$0" --root state events --stats "$1" | grep -q "\"limit\":77"' "$oci" "$me-long"
check 'one that runs is not deleted' refused 'is running' hull delete "$me-long"
check 'kill sends a signal by name' status 0 hull kill "$me-long" SIGTERM
check 'it ends' soon sh -c '"$0" --root state state "$1" | grep -q stopped' "$oci" "$me-long"
check 'a stopped one cannot be killed' refused 'container not running' hull kill "$me-long" 9
check 'delete removes it' status 0 hull delete "$me-long"
check 'nothing is left of it' is '' left
check 'an unknown one is told' refused 'does not exist' hull state "$me-long"
check 'delete --force of an unknown one is fine' status 0 hull delete --force "$me-long"
check 'a created one can be deleted' sh -c '"$0" --root state create --bundle long "$1" </dev/null >/dev/null 2>&1 && "$0" --root state delete "$1"' "$oci" "$me-two"
check 'and leaves nothing' is '' left
without_cgroups() {
	bundle one 'cat /proc/self/cgroup' && (cd one && timeout 60 "$oci" --root "$tmp/state" --cgroup-manager disabled run "$me-one" </dev/null) >none.out || return 1
	cat none.out
	[ -s none.out ] && ! grep -q "$me" none.out
}
check 'with --cgroup-manager disabled it stays in its caller'\''s cgroups' without_cgroups

# --- bad input ---
check 'an id with a slash is refused' refused 'is no container id' hull create --bundle long a/b
check 'an id of dots is refused' refused 'is no container id' hull create --bundle long ..
check 'a bundle that is not there is refused' refused 'nowhere' hull create --bundle nowhere "$me-bad"
check 'an id of control characters is refused' refused 'is no container id' hull create --bundle long "$(printf 'a\033[2J\nb')"
check 'an id that is a pattern is refused' refused 'is no container id' hull create --bundle long 'a*'
check 'an empty id is refused' refused 'is no container id' hull create --bundle long ''
bundle one x 'c["process"]["args"] = ["/bin/nothing"]'
check 'a program that is not there is told' refused 'no such file or directory' hull run --bundle one "$me-bad"
check 'an unknown option is refused' refused 'no such option' hull create --nope "$me-bad"
check 'an unknown command is refused' refused 'no such command' hull frobnicate
check 'a missing id is refused' refused 'usage' hull start
check 'a signal that is none is refused' refused 'signal' hull kill "$me-bad" NOSUCH
check 'the log tells the failure as JSON' sh -c '"$0" --root state --log bad.log --log-format json state none 2>/dev/null; grep -q "\"level\":\"error\",\"msg\":\"container .none. does not exist\"" bad.log' "$oci"
fifo_config() {
	rm -rf fifo && mkdir fifo && mkfifo fifo/config.json && refused 'config.json' timeout 10 "$oci" --root state create --bundle fifo "$me-bad"
}
check 'a config.json that never ends is refused' fifo_config
damaged() {
	hull create --bundle long "$me-torn" </dev/null >/dev/null 2>&1 && : >"state/$me-torn/state" &&
		refused 'state of container' hull state "$me-torn" && hull delete --force "$me-torn" 2>/dev/null
}
check 'a damaged state is told, and delete --force removes it' damaged
# What is on record is another process by now: the pid is the same, the start is not.
stranger() {
	hull create --bundle long --pid-file other.pid "$me-other" </dev/null >/dev/null 2>&1 || return 1
	python3 - "state/$me-other/state" "$(cat other.pid)" <<-'PY' || return 1
		import re, sys
		data = open(sys.argv[1], 'rb').read()
		start = re.search(rb'%s ([0-9]+) [0-9a-f]{8}-' % sys.argv[2].encode(), data)
		digit = start.start(1)
		open(sys.argv[1], 'wb').write(data[:digit] + (b'1' if data[digit:digit + 1] != b'1' else b'2') + data[digit + 1:])
	PY
	refused 'container not running' hull kill "$me-other" 9 && kill -0 "$(cat other.pid)" && hull delete --force "$me-other"
}
check 'a stranger who has its pid by now gets no signal' stranger
# Eight at once, of which one may win.
rivals() {
	for rival in 1 2 3 4 5 6 7 8; do
		{ hull create --bundle long "$me-rival" </dev/null >/dev/null 2>"rival.$rival" && echo won >"rival.$rival"; } &
		rival_pids="$rival_pids $!"
	done
	for pid in $rival_pids; do wait "$pid"; done
	[ "$(cat rival.* | grep -cx won)" = 1 ] && [ "$(cat rival.* | grep -c 'already exists')" = 7 ] && hull delete --force "$me-rival"
	got=$?
	cat rival.?
	return "$got"
}
rival_pids=
check 'of those who create one id at once one wins' rivals
check 'bad input leaves nothing' is '' left
check 'features are JSON' sh -c '"$0" features | python3 -c "import json, sys; f = json.load(sys.stdin); assert f[\"ociVersionMin\"] and f[\"ociVersionMax\"]"' "$oci"
check 'the version says so' sh -c '"$0" --version | head -n 1 | grep -q version' "$oci"
done_testing
