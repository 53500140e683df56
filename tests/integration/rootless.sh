#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# hull-oci without root: called by a user who has one id, by one who has a range of them (newuidmap), and from inside a user namespace.
# The user is of this script alone: its passwd and subuid are private copies, seen in a mount namespace of its own.
# shellcheck disable=SC2016 # what stands in single quotes is for the shell inside
. "$SOURCE/tests/integration/lib.sh"
needs busybox python3 newuidmap
[ "$(id -u)" = 0 ] || skip_all 'needs root, to become somebody else'
uid=61234 first=2000000 # of the test's user; first of its 65536 further ids

if [ -z "${ROOTLESS_TMP:-}" ]; then
	unshare -m true 2>/dev/null || skip_all 'mount namespaces cannot be made here'
	setpriv --reuid $uid --regid $uid --clear-groups unshare -U true 2>/dev/null || skip_all 'only root may make user namespaces here'
	tmp=$(mktemp -d "/var/tmp/hull-rootless.XXXXXX") || exit 1
	trap 'find /sys/fs/cgroup -depth -type d -path "*/hull-rootless-$$*" -exec rmdir {} + 2>/dev/null; rm -rf "$tmp"' EXIT
	trap 'exit 1' HUP INT TERM
	ROOTLESS_TMP=$tmp ROOTLESS_CGROUP=hull-rootless-$$ unshare -m sh "$0"
	exit $?
fi

tmp=$ROOTLESS_TMP cgroup=$ROOTLESS_CGROUP
cd "$tmp" || exit 1
mount --make-rprivate /
cp /etc/passwd passwd && echo "hulltest:x:$uid:$uid::$tmp/home:/bin/sh" >>passwd
cp /etc/group group && echo "hulltest:x:$uid:" >>group
echo "hulltest:$first:65536" >sub
[ -e /etc/subuid ] || touch /etc/subuid
[ -e /etc/subgid ] || touch /etc/subgid
mount --bind passwd /etc/passwd && mount --bind group /etc/group && mount --bind sub /etc/subuid && mount --bind sub /etc/subgid || exit 1
chmod 755 . && mkdir bin home home/run && chmod 700 home/run
cp "$BUILD/src/hull-oci" bin/hull-oci
cd home || exit 1
busybox_root rootfs
mkdir shared
echo 'from the host' >shared/note
chmod 777 shared
chown -R $uid:$uid "$tmp/home"

cp "$BUILD"/src/hull* ../bin/ 2>/dev/null
place= # a cgroup.procs to go to first
as_user() { # COMMAND… as the user
	place=$place sh -c '[ -z "$place" ] || echo 0 >"$place"; exec "$@"' - setpriv --reuid $uid --regid $uid --clear-groups --inh-caps=-all \
		env -i HOME="$tmp/home" XDG_RUNTIME_DIR="$tmp/home/run" PATH="$tmp/bin:/usr/bin:/bin:/usr/sbin:/sbin" timeout -k 5 60 "$@"
}
hull() {
	as_user hull-oci "$@"
}
finish() {
	for id in $(hull list -q 2>/dev/null); do hull delete --force "$id" >/dev/null 2>&1; done
}
trap finish EXIT

# bundle NAME SCRIPT [PYTHON]: a bundle that runs SCRIPT; PYTHON edits its configuration `c`.
bundle() {
	rm -rf "$1" && mkdir "$1" && chown $uid:$uid "$1" && (cd "$1" && hull spec --rootless) || return 1
	SCRIPT=$2 EDIT=${3:-} ROOT=$tmp/home/rootfs python3 - "$1/config.json" <<-'PY'
		import json, os, sys
		path = sys.argv[1]
		c = json.load(open(path))
		c['process']['terminal'] = False
		c['process']['args'] = ['/bin/sh', '-c', os.environ['SCRIPT']]
		c['process']['env'] = ['PATH=/bin']
		c['root']['path'] = os.environ['ROOT']
		def ranges(inside=0):
		    l = c['linux']
		    own = l['uidMappings'][0]['hostID']
		    l['uidMappings'] = l['gidMappings'] = [{'containerID': 0, 'hostID': own, 'size': 1},
		                                           {'containerID': 1, 'hostID': 2000000, 'size': 65535}]
		exec(os.environ['EDIT'])
		json.dump(c, open(path, 'w'))
	PY
}
# once SCRIPT [PYTHON]: a container that lives once; says: with what hull-oci says.
once() {
	bundle one "$@" && hull run --bundle one one
}
says() {
	once "$@" 2>&1
}
state_of() {
	hull state "$1" | python3 -c 'import json, sys; print(json.load(sys.stdin)["status"])'
}

# --- a user with one id ---
check 'spec --rootless gives a configuration that runs' is hello once 'echo hello'
check 'the caller is root inside, and only he' is "0 $uid 1" once 'echo $(cat /proc/self/uid_map)'
check 'no group can be dropped' is deny once 'cat /proc/self/setgroups'
check 'a program'\''s status is handed on' status 7 once 'exit 7'
check 'nothing is left of it' is '' ls run/hull-oci
check 'it is process 1, alone in its /proc' is '/proc/1' once 'exec ls -d /proc/[0-9]*'
check 'it has its own network and host name' is '1 hull' once 'echo $(ip link | grep -c "^[0-9]") $(hostname)'
check 'its devices are the host'\''s' is '1:3 1:5 1:7 1:8 1:9 5:0' once 'cd /dev && echo $(stat -c %t:%T null zero full random urandom tty)'
check 'it can use them' is 4 once 'head -c 4 /dev/zero | wc -c; echo x >/dev/null'
check 'no device can be made' is 1 once 'mknod /tmp/null c 1 3 2>&1 | grep -c "not permitted"' 'c["root"]["readonly"] = False'
check 'terminals do without a group that it has not' is devpts once 'grep -o devpts /proc/mounts | head -n 1' \
	'[m["options"].append("gid=5") for m in c["mounts"] if m["destination"] == "/dev/pts"]'
check 'its message queues are there' is mqueue once 'grep -o "^mqueue" /proc/mounts'
check 'without a network of its own it sees the host'\''s /sys' is "$(find /sys/class/net/ | sort | tr '\n' ' ')" once 'find /sys/class/net/ | sort | tr "\n" " "' \
	'c["linux"]["namespaces"] = [n for n in c["linux"]["namespaces"] if n["type"] != "network"]'
check 'cgroups can be looked at' is 0 once 'mkdir /sys/fs/cgroup/x 2>/dev/null; test -d /sys/fs/cgroup; echo $?' \
	'c["mounts"].append({"destination": "/sys/fs/cgroup", "type": "cgroup", "source": "cgroup", "options": ["nosuid", "noexec", "nodev", "ro"]})'
check 'a bind shows what the user has' is 'from the host' once 'cat /in/note; echo back >/in/back' \
	'c["mounts"].append({"destination": "/in", "type": "bind", "source": "'"$tmp"'/home/shared", "options": ["bind"]}); c["root"]["readonly"] = False'
check 'what it writes is the user'\''s' is $uid stat -c %u shared/back
check 'a read-only bind is' is 1 once 'touch /in/x 2>&1 | grep -c Read-only' \
	'c["mounts"].append({"destination": "/in", "type": "bind", "source": "'"$tmp"'/home/shared", "options": ["bind", "ro"]}); c["root"]["readonly"] = False'
check 'what only root can read stays so' refused 'permission denied' once 'cat /in' \
	'c["mounts"].append({"destination": "/in", "type": "bind", "source": "/root/x", "options": ["bind"]}); c["root"]["readonly"] = False'
check 'masked paths are empty' is 0 once 'ls /sys/firmware | wc -l'
check 'capabilities are exactly those asked for' is 0000000020000420 once 'awk "/^CapEff/ { print \$2 }" /proc/self/status'
# --- what a user may not have ---
check 'limits are not held, which is said once' is 'hull-oci: the limits (linux.resources) are not held: this user may make no cgroup here
hello' says 'echo hello' 'c["linux"]["resources"] = {"memory": {"limit": 67108864}, "pids": {"limit": 10}, "cpu": {"shares": 100}}'
check 'an oom_score_adj below the caller'\''s is passed over with a word' is 'hull-oci: oom_score_adj may not be lowered here; it stays as it is
0' says 'cat /proc/self/oom_score_adj' 'c["process"]["oomScoreAdj"] = -500'
check 'one above it is set' is 500 says 'cat /proc/self/oom_score_adj' 'c["process"]["oomScoreAdj"] = 500'
few_files() {
	# shellcheck disable=SC3045 # dash has it
	(ulimit -n 1024 && says 'ulimit -n' 'c["process"]["rlimits"] = [{"type": "RLIMIT_NOFILE", "soft": 4096, "hard": 4096}]')
}
check 'a limit above the caller'\''s is passed over with a word' is 'hull-oci: resource limit 7 may not be raised here; it stays at 1024
1024' few_files
no_groups() { # which is said when the program starts already
	says 'echo hello' 'c["process"]["user"]["additionalGids"] = [5]' | sort
}
check 'groups that cannot be had are passed over with a word' is 'hello
hull-oci: additional groups cannot be had in this user namespace' no_groups
check 'a user that is not mapped is refused' refused 'user 5 is not mapped' once true 'c["process"]["user"] = {"uid": 5, "gid": 0}'
check 'a group that is not mapped is refused' refused 'group 5 is not mapped' once true 'c["process"]["user"] = {"uid": 0, "gid": 5}'
check 'maps without root are refused' refused 'no user and group 0' once true 'c["linux"]["uidMappings"][0]["containerID"] = c["linux"]["gidMappings"][0]["containerID"] = 7'
check 'maps that overlap are refused' refused 'hostID: overlaps' once true 'c["linux"]["uidMappings"] = [{"containerID": 0, "hostID": 61234, "size": 1}, {"containerID": 1, "hostID": 61234, "size": 1}]'
check 'maps that overlap inside are refused' refused 'containerID: overlaps' once true 'c["linux"]["gidMappings"] = [{"containerID": 0, "hostID": 61234, "size": 2}, {"containerID": 1, "hostID": 2000000, "size": 1}]'
check 'a map of 2^32-1 is refused' refused '2^32-1' once true 'c["linux"]["uidMappings"] = [{"containerID": 0, "hostID": 4294967295, "size": 1}]'
check 'so is one that ends there' refused '2^32-1' once true 'c["linux"]["uidMappings"] = [{"containerID": 4294967290, "hostID": 0, "size": 6}]'
check 'and the user 2^32-1' refused 'id' once true 'c["process"]["user"] = {"uid": 4294967295, "gid": 0}'
check 'without a user namespace nothing can be made' refused 'a user namespace is needed' once true \
	'l = c["linux"]; l["namespaces"] = [n for n in l["namespaces"] if n["type"] != "user"]; del l["uidMappings"], l["gidMappings"]'
check 'a mount with other ids is refused' refused 'not permitted' once true \
	'c["mounts"].append({"destination": "/tmp", "type": "bind", "source": "'"$tmp"'/home/shared", "options": ["bind", "idmap"]})'
check 'a failed create leaves nothing' is '' ls run/hull-oci
check 'without a folder for states it says which' refused XDG_RUNTIME_DIR sh -c "cd '$tmp' && exec setpriv --reuid $uid --regid $uid --clear-groups env -i bin/hull-oci list"

# --- a container that stays ---
# stays NAME [PYTHON]: creates one that writes what happens to it into shared/said.
stays() {
	rm -f shared/said
	bundle "$1" 'trap "echo term >/out/said; exit 3" TERM; echo up >/out/said; while :; do sleep 0.1; done' \
		'c["mounts"].append({"destination": "/out", "type": "bind", "source": "'"$tmp"'/home/shared", "options": ["bind"]}); c["root"]["readonly"] = False
'"${2:-}" && hull create --bundle "$1" --pid-file "$tmp/home/run/$1.pid" "$1" </dev/null >"$tmp/$1.out" 2>&1
}
said() {
	[ "$(cat shared/said)" = "$1" ]
}
gone() { # NAME: its first process has ended
	[ ! -d "/proc/$(cat "run/$1.pid")" ] || grep -q '^State:.*Z' "/proc/$(cat "run/$1.pid")/status"
}
check 'create makes one' stays web
check 'its state is in the user'\''s own folder' test -s run/hull-oci/web/state
check 'which nobody else can read' is 700 stat -c %a run/hull-oci
check 'it is created' is created state_of web
check 'who is created cannot be looked into' refused 'cannot open directory' as_user ls "/proc/$(cat run/web.pid)/fd"
check 'start starts it' hull start web
check 'it runs' soon said up
check 'it is running' is running state_of web
list() {
	hull list | awk 'NR == 2 { print $1, $3 }'
}
check 'list shows it' is 'web running' list
check 'exec runs one more process in it' is "0 $uid 1 0" hull exec web sh -c 'echo $(cat /proc/self/uid_map) $(id -u)'
check 'exec is in its pid namespace' hull exec web kill -0 1
check 'exec gives the status' status 5 hull exec web sh -c 'exit 5'
check 'exec has the capabilities of the container' is 0000000020000420 hull exec web awk '/^CapEff/ { print $2 }' /proc/self/status
printf '{"cwd": "/", "args": ["cat", "/proc/self/oom_score_adj"], "env": ["PATH=/bin"], "oomScoreAdj": 700, "user": {"uid": 0, "gid": 0}}' >process.json
check 'exec has its own oom_score_adj' is 700 hull exec --process process.json web
check 'pause tells that there is no cgroup' refused 'no cgroup that can be frozen' hull pause web
check 'it runs on' is running state_of web
check 'ps tells that there is no cgroup' refused 'no cgroup that would list' hull ps web
check 'update of a limit is refused' refused memory hull update --memory 67108864 web
check 'kill sends a signal' hull kill web TERM
check 'which arrives' soon said term
check 'it is stopped' soon is stopped state_of web
check 'a stopped one takes no exec' refused 'not running' hull exec web true
check 'delete removes it' hull delete web
check 'nothing is left of it' is '' ls run/hull-oci
check 'its name can be had again' stays web
check 'and started' hull start web
check 'it runs again' soon said up
check 'delete of a running one is refused' refused 'stop it first' hull delete web
check 'kill --all reaches it without a cgroup' hull kill --all web KILL
check 'it is gone' soon gone web
check 'and can be deleted' hull delete web
check 'one more stays' stays web
check 'delete --force ends what was only created' hull delete --force web
check 'at once' gone web
started() {
	stays "$@" && hull start "$1" && soon said up
}
check 'one more runs' started web
check 'delete --force ends what runs' hull delete --force web
check 'at once too' gone web
check 'nothing is left' is '' ls run/hull-oci

# --- cgroups that are the user's ---
# hierarchies: where each is mounted
hierarchies() {
	awk '$9 == "cgroup" || $9 == "cgroup2" || $8 == "cgroup" || $8 == "cgroup2" { print $5 }' /proc/self/mountinfo
}
delegate() { # FOLDER: made in each hierarchy that lets us, as the user's
	for at in $(hierarchies); do
		[ ! -e "$at/cgroup.subtree_control" ] || for controller in cpu memory pids; do echo "+$controller" >"$at/cgroup.subtree_control"; done
		mkdir -p "$at/$1" 2>/dev/null || continue
		for file in cpus mems; do [ ! -e "$at/cpuset.$file" ] || cat "$at/cpuset.$file" >"$at/$1/cpuset.$file"; done
		chown $uid:$uid "$at/$1" "$at/$1/cgroup.procs" "$at/$1/tasks" "$at/$1/cgroup.subtree_control"
	done
	[ -n "$(find /sys/fs/cgroup -maxdepth 2 -name "$1")" ]
} 2>/dev/null
has_memory() {
	grep -qw memory /sys/fs/cgroup/cgroup.controllers || [ -d "/sys/fs/cgroup/memory/$cgroup" ]
} 2>/dev/null
delegated='c["linux"]["cgroupsPath"] = "/'$cgroup'/web"
c["mounts"].append({"destination": "/sys/fs/cgroup", "type": "cgroup", "source": "cgroup", "options": ["nosuid", "noexec", "nodev", "ro"]})
'
memory_limit='cat /sys/fs/cgroup/memory/memory.limit_in_bytes 2>/dev/null || cat /sys/fs/cgroup/memory.max'
if delegate "$cgroup"; then
	if [ -e "/sys/fs/cgroup/$cgroup/cgroup.procs" ]; then # v2 lets nobody leave for it who is not in it
		check 'one that cannot be entered is done without' is hello says 'echo hello' "$delegated"
		check 'and not left behind' test ! -e "/sys/fs/cgroup/$cgroup/web"
		mkdir "/sys/fs/cgroup/$cgroup/caller" && chown $uid "/sys/fs/cgroup/$cgroup/caller/cgroup.procs"
		place=/sys/fs/cgroup/$cgroup/caller/cgroup.procs
	fi
	! has_memory || check 'a cgroup that was delegated to the user is used' is 67108864 says "$memory_limit" "$delegated"'c["linux"]["resources"] = {"memory": {"limit": 67108864}}'
	check 'it is gone afterwards' is '' find /sys/fs/cgroup -name web -path "*/$cgroup/*"
	check 'one in it stays' started web "$delegated"
	check 'its process is there' grep -q "/$cgroup/web" "/proc/$(cat run/web.pid)/cgroup"
	check 'exec is there too' hull exec web sh -c 'cut -d: -f3 /proc/1/cgroup >/tmp/1; cut -d: -f3 /proc/self/cgroup | cmp - /tmp/1'
	check 'it can be paused' hull pause web
	check 'and is' is paused state_of web
	check 'and resumed' hull resume web
	check 'ps lists its processes' sh -c "[ -n '$(hull ps --format json web | tr -d '[]')' ]"
	! has_memory || check 'its limit can be changed' hull update --memory 100663296 web
	! has_memory || check 'which holds' is 100663296 hull exec web sh -c "$memory_limit"
	check 'delete --force removes it' hull delete --force web
	check 'with its cgroups' is '' find /sys/fs/cgroup -name web -path "*/$cgroup/*"
	mkdir_all() {
		for at in $(hierarchies); do mkdir -p "$at/$1" 2>/dev/null; done
	}
	check 'a cgroup of that name that is root'\''s is left alone' mkdir_all "$cgroup-root/web"
	check 'a container does without it' started web 'c["linux"]["cgroupsPath"] = "/'"$cgroup"'-root/web"'
	check 'delete does not ask for it' hull delete --force web
	check 'nor touch it' test -n "$(find /sys/fs/cgroup -path "*/$cgroup-root/web" -type d)"
	place=
	for at in $(hierarchies); do rmdir "$at/$cgroup-root/web" "$at/$cgroup-root" "$at/$cgroup/caller" "$at/$cgroup"; done 2>/dev/null
else
	n=$((n + 1))
	echo "ok $n - a cgroup that was delegated to the user is used # SKIP no cgroup can be made here"
fi
no_cgroup() {
	bundle one 'echo hello' && hull --cgroup-manager disabled run --bundle one one 2>&1
}
check '--cgroup-manager disabled makes none' is hello no_cgroup
check '--cgroup-manager of another kind is refused' refused 'none of cgroupfs' hull --cgroup-manager other list

# --- a terminal ---
cat >receive.py <<'PY'
import os, socket, sys
listener = socket.socket(socket.AF_UNIX)
listener.bind(sys.argv[1])
listener.listen()
print('ready', flush=True)
connection, _ = listener.accept()
_, fds, _, _ = socket.recv_fds(connection, 4096, 1)
os.write(fds[0], b'typed\n')
text = b''
try:
    while more := os.read(fds[0], 4096):
        text += more
except OSError:
    pass
print(text.decode().replace('\r', ''), end='')
PY
terminal() { # [PYTHON]: what comes out of the terminal of a container that reads a line
	bundle tty 'test -t 0 && read line && echo "got $line on $(tty), $(stat -c %u:%g:%a "$(tty)")"' \
		'c["process"]["terminal"] = True
'"${1:-}"
	as_user python3 receive.py run/console >"$tmp/terminal.out" 2>&1 &
	receiver=$!
	soon test -S run/console
	hull create --bundle tty --console-socket "$tmp/home/run/console" tty </dev/null && hull start tty
	wait "$receiver"
	hull delete --force tty
	rm -f run/console
	tail -n 1 "$tmp/terminal.out"
}
check 'a terminal goes to the console socket, and is its user'\''s' is 'got typed on /dev/pts/0, 0:0:620' terminal
exec_terminal() {
	started web || return 1
	as_user python3 receive.py run/console >"$tmp/terminal.out" 2>&1 &
	receiver=$!
	soon test -S run/console
	hull exec --tty --detach --console-socket "$tmp/home/run/console" web sh -c 'read line && echo "got $line on $(tty)"'
	wait "$receiver"
	hull delete --force web
	rm -f run/console
	tail -n 1 "$tmp/terminal.out"
}
check 'so does that of exec' is 'got typed on /dev/pts/0' exec_terminal

# --- a user with a range of ids ---
if command -v newuidmap >/dev/null && command -v newgidmap >/dev/null; then
	check 'newuidmap maps a range' is "0 $uid 1 1 $first 65535" once 'echo $(cat /proc/self/uid_map)' 'ranges()'
	check 'groups can be had' is '0 5 6' once 'echo $(id -G)' 'ranges(); c["process"]["user"]["additionalGids"] = [5, 6]'
	check 'a group beyond the range is refused' refused 'not all of them are mapped' once true 'ranges(); c["process"]["user"]["additionalGids"] = [70000]'
	check 'another user writes a file' once 'echo mine >/in/of-alice; id -u' 'ranges(); c["process"]["user"] = {"uid": 1000, "gid": 1000}
c["mounts"].append({"destination": "/in", "type": "bind", "source": "'"$tmp"'/home/shared", "options": ["bind"]}); c["root"]["readonly"] = False'
	check 'which is of that user'\''s number outside' is "$((first + 999)):$((first + 999))" stat -c %u:%g shared/of-alice
	check 'terminals have the group that is asked for' is $((first + 4)) once 'sed -n "s/^devpts.*gid=\([0-9]*\).*/\1/p" /proc/mounts | tail -n 1' \
		'ranges(); [m["options"].append("gid=5") for m in c["mounts"] if m["destination"] == "/dev/pts"]'
	check 'ids that are not the user'\''s are refused' refused newgidmap once true 'ranges(); c["linux"]["uidMappings"][1]["hostID"] = c["linux"]["gidMappings"][1]["hostID"] = 3000000'
	check 'one of another user is refused too' refused newuidmap once true 'c["linux"]["uidMappings"][0]["hostID"] = 0'
	check 'a program of that name in PATH is not asked' sh -c "printf '#!/bin/sh\ntouch $tmp/home/run/asked\n' >'$tmp/bin/newuidmap' && chmod 755 '$tmp/bin/newuidmap'"
	check 'the right one is' once true 'ranges()'
	check 'and no other' test ! -e run/asked
	rm -f "$tmp/bin/newuidmap"
	check 'one that stays' started web 'ranges()'
	check 'takes exec as another user' is "1000 1000" hull exec --user 1000:1000 web sh -c 'echo $(id -u) $(id -g)'
	check 'and is deleted' hull delete --force web
	check 'its terminal is its user'\''s' is 'got typed on /dev/pts/0, 1000:5:620' terminal 'ranges(); c["process"]["user"] = {"uid": 1000, "gid": 1000}
[m["options"].append("gid=5") for m in c["mounts"] if m["destination"] == "/dev/pts"]'
	# --- a user namespace that is there already, as members of a pod have it ---
	check 'the first of a pod runs' started web 'ranges()'
	join='
first = open("'"$tmp"'/home/run/web.pid").read()
del c["linux"]["uidMappings"], c["linux"]["gidMappings"]
def join(*types):
    l = c["linux"]
    l["namespaces"] = [n for n in l["namespaces"] if n["type"] not in types]
    l["namespaces"] += [{"type": t, "path": "/proc/%s/ns/%s" % (first, {"network": "net"}.get(t, t))} for t in types]
'
	check 'another joins its user namespace' is "0 $uid 1 1 $first 65535" once 'echo $(cat /proc/self/uid_map)' "$join"'join("user")'
	network() {
		stat -L -c %i "/proc/$(cat run/web.pid)/ns/net"
	}
	check 'and its network, which belongs to that' is "$(network)" once 'stat -L -c %i /proc/self/ns/net' "$join"'join("network", "ipc", "uts", "user")
c["hostname"] = ""'
	check 'and its processes' is '/proc/1/' once 'echo /proc/1/; kill -0 1' "$join"'join("pid", "user")'
	member() {
		bundle member 'exec sleep 1000' "$join"'join("network", "ipc", "uts", "user"); c["hostname"] = ""' &&
			hull run --detach --bundle member member </dev/null >"$tmp/member.out" 2>&1 || { cat "$tmp/member.out"; return 1; }
		hull exec --user 1000:1000 member sh -c 'id -u; stat -L -c %i /proc/self/ns/net'
	}
	check 'exec into a member that stays' is "1000
$(network)" member
	check 'members are deleted' hull delete --force member
	check 'and the first' hull delete --force web

	# --- inside a user namespace, where the user is root ---
	inside() { # COMMAND… in one that has the range
		as_user unshare --user --mount --map-root-user --map-auto "$@"
	}
	within() { # SCRIPT [PYTHON]: a container without a user namespace of its own
		bundle one "$1" 'l = c["linux"]; l["namespaces"] = [n for n in l["namespaces"] if n["type"] != "user"]
del l["uidMappings"], l["gidMappings"]
l["resources"] = {"devices": [{"allow": False, "access": "rwm"}]}
'"${2:-}" && inside hull-oci run --bundle one one
	}
	check 'inside a user namespace the configuration needs none of its own' is "0 $uid 1 1 $first" within 'echo $(cat /proc/self/uid_map) | cut -d " " -f 1-5'
	within_says() {
		within "$@" 2>&1
	}
	check 'nothing is said about what nobody asked for' is hello within_says 'echo hello'
	check 'devices are the host'\''s there too' is 1:3 within 'stat -c %t:%T /dev/null; echo x >/dev/null'
	check 'groups and users can be had' is '1000 1000 5 6' within 'echo $(id -u) $(id -G)' 'c["process"]["user"] = {"uid": 1000, "gid": 1000, "additionalGids": [5, 6]}'
	check 'its cgroups can be looked at' is 0 within 'test -d /sys/fs/cgroup; echo $?' \
		'c["mounts"].append({"destination": "/sys/fs/cgroup", "type": "cgroup", "source": "cgroup", "options": ["nosuid", "noexec", "nodev", "ro"]})'
	nested='l["namespaces"].append({"type": "user"}); l["uidMappings"] = l["gidMappings"] = [{"containerID": 0, "hostID": 100, "size": 10}]'
	check 'one more user namespace can be made in it' is '0 100 10' within 'echo $(cat /proc/self/uid_map)' "$nested"
	check 'its state is the user'\''s' inside sh -c 'cd '"$tmp"'/home && hull-oci create --bundle one one </dev/null >/dev/null 2>&1 && ls "$XDG_RUNTIME_DIR/hull-oci" && hull-oci delete --force one'
	life() {
		bundle life 'sleep 100' 'l = c["linux"]; l["namespaces"] = [n for n in l["namespaces"] if n["type"] != "user"]
del l["uidMappings"], l["gidMappings"]'
		inside sh -ec 'hull-oci run --detach --bundle life life </dev/null >/dev/null 2>&1
			hull-oci exec life cat /proc/self/uid_map | tr -s " " | head -n 1
			hull-oci exec --user 1000:1000 life id -u
			hull-oci delete --force life
			ls "$XDG_RUNTIME_DIR/hull-oci"'
	}
	check 'exec and delete work in it' is " 0 $uid 1
1000" life
	without_mounts() { # a user namespace whose mounts are still the host's
		as_user unshare --user --map-root-user --map-auto hull-oci run --bundle one one
	}
	bundle one 'echo hello' 'l = c["linux"]; l["namespaces"] = [n for n in l["namespaces"] if n["type"] != "user"]; del l["uidMappings"], l["gidMappings"]'
	check 'the mounts may still be the host'\''s' is hello without_mounts
else
	n=$((n + 1))
	echo "ok $n - newuidmap maps a range # SKIP needs newuidmap (package uidmap)"
fi
engine() { # hull itself, which makes networks and mounts, is root's: who is not is told so, and what to do
	refused 'HULL_ROOT may name another' as_user hull images &&
		as_user env HULL_ROOT="$tmp/home/store" hull image import --cmd '["/bin/sh"]' rootfs box >/dev/null &&
		refused 'only root can do that (others: podman --runtime hull-oci)' as_user env HULL_ROOT="$tmp/home/store" hull run --rm box true
}
check 'hull run tells a user what to do instead, in a line' engine
done_testing
