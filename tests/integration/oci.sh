#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# hull-oci by hand: the life of a container as the callers of a runtime lead it, and what it says to bad input.
# shellcheck disable=SC2016 # what stands in single quotes is for the shell inside
. "$SOURCE/tests/integration/lib.sh"
oci=$BUILD/src/hull-oci
busybox=$(command -v busybox) || { echo '1..0 # SKIP needs busybox'; exit 0; }
[ "$(id -u)" = 0 ] || { echo '1..0 # SKIP needs root'; exit 0; }
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

mkdir -p rootfs/bin rootfs/etc rootfs/tmp rootfs/proc rootfs/sys rootfs/dev
cp "$busybox" rootfs/bin/busybox
for tool in $("$busybox" --list); do [ "$tool" = busybox ] || ln -s busybox "rootfs/bin/$tool"; done
printf 'root:x:0:0:root:/root:/bin/sh\nalice:x:1000:1000::/home/alice:/bin/sh\n' >rootfs/etc/passwd

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

is() {
	want=$1
	shift
	got=$("$@")
	[ "$got" = "$want" ] || {
		printf 'wanted: %s\ngot: %s\n' "$want" "$got"
		return 1
	}
}

status() {
	want=$1
	shift
	"$@"
	got=$?
	[ "$got" = "$want" ] || {
		echo "wanted status $want, got $got"
		return 1
	}
}

# refused WORDS COMMAND…: it fails with one line that holds WORDS.
refused() {
	words=$1
	shift
	"$@" >refused.out 2>refused.err
	got=$?
	cat refused.out refused.err
	[ "$got" != 0 ] && grep -qF -- "$words" refused.err
}

soon() {
	for _ in $(seq 40); do
		"$@" >/dev/null 2>&1 && return 0
		sleep 0.1
	done
	"$@"
}

state_of() {
	hull state "$1" | python3 -c 'import json, sys; print(json.load(sys.stdin)["status"])'
}

left() { # what is there of our containers: cgroups, processes, states
	find /sys/fs/cgroup -maxdepth 4 -type d -name "$me-*" 2>/dev/null
	ls state 2>/dev/null
}

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

# --- bad input ---
check 'an id with a slash is refused' refused 'is no container id' hull create --bundle long a/b
check 'an id of dots is refused' refused 'is no container id' hull create --bundle long ..
check 'a bundle that is not there is refused' refused 'nowhere' hull create --bundle nowhere "$me-bad"
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
check 'bad input leaves nothing' is '' left
check 'features are JSON' sh -c '"$0" features | python3 -c "import json, sys; f = json.load(sys.stdin); assert f[\"ociVersionMin\"] and f[\"ociVersionMax\"]"' "$oci"
check 'the version says so' sh -c '"$0" --version | head -n 1 | grep -q version' "$oci"
done_testing
