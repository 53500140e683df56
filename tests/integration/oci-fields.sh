#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Fields of the runtime-spec, and annotations of crun's, each by what a container sees of it. What no host of ours can show (AppArmor,
# SELinux) is seen by system calls, and said to be.
# shellcheck disable=SC2016 # what stands in single quotes is for the shell inside
. "$SOURCE/tests/integration/lib.sh"
. "$SOURCE/tests/integration/oci-lib.sh"

skip() {
	n=$((n + 1))
	echo "ok $n - $1 # SKIP $2"
}

# --- names, hooks, devices ---
check 'the domain name is the document'\''s' is example.org once 'cat /proc/sys/kernel/domainname' 'c["domainname"] = "example.org"'
hooks_of() { # a hook of the container's own namespaces, and one inside it
	once "cat /tmp/started; echo main" "c['root']['readonly'] = False
hook = lambda words: [{'path': '/bin/sh', 'args': ['sh', '-c', words]}]
c['hooks'] = {'createContainer': hook('(hostname; cat; echo) >$tmp/created'), 'startContainer': hook('echo inside \$(hostname) >/tmp/started; (cat; echo) >>/tmp/started')}" >inside.out
	cat inside.out created
	head -n 1 created | grep -qx hull && grep -q '"status":"creating"' created && head -n 1 inside.out | grep -qx 'inside hull' &&
		grep -q '"status":"created"' inside.out && tail -n 1 inside.out | grep -qx main
}
check 'createContainer is run in its namespaces with the host'\''s files, startContainer inside it' hooks_of
check 'a device has its mode and owner' is '640 5 6 1:3' once 'stat -c "%a %u %g %t:%T" /dev/x' \
	'c["linux"]["devices"] = [{"path": "/dev/x", "type": "c", "major": 1, "minor": 3, "fileMode": 0o640, "uid": 5, "gid": 6}]'

# --- the state ---
printf '%s' 'import json, sys; s = json.load(sys.stdin); print(' >ask.py
state_has() { # state_has EXPRESSION-OF-s
	hull state "$me-state" | python3 -c "$(cat ask.py)$1)"
}
bundle kept 'sleep 100' 'c["annotations"] = {"a.b": "c=d"}'
hull create --bundle kept --pid-file state.pid "$me-state" >/dev/null 2>&1 </dev/null
check 'the state has its version' is True state_has 's["ociVersion"].startswith("1.")'
check 'and its pid, which is the pid file'\''s' is "$(cat state.pid)" state_has 's["pid"]'
check 'and the bundle, as an absolute path' is "$tmp/kept" state_has 's["bundle"]'
check 'and the annotations' is c=d state_has 's["annotations"]["a.b"]'
hull delete --force "$me-state"
bundle stopped true
hull run --keep --bundle stopped "$me-state" >/dev/null 2>&1 </dev/null
check 'a stopped one has no pid' is '0 stopped' state_has 'str(s["pid"]) + " " + s["status"]'
hull delete --force "$me-state"

# --- filters: allow all calls but one, which fails as asked ---
calls=$(printf '#include <asm/unistd.h>\n' | cc -E -dM - | sed -n 's/^#define __NR_\([a-z_0-9]*\) .*/"\1",/p' | grep -v '"mkdir\(at\)\?"')
filter='c["linux"]["seccomp"] = {"defaultAction": "SCMP_ACT_ERRNO", "syscalls": [{"names": ['$calls'], "action": "SCMP_ACT_ALLOW"}]}
f = c["linux"]["seccomp"]
'
check 'defaultErrnoRet is what a call fails with' is 1 once 'mkdir /tmp/x 2>&1 | grep -c "Cannot assign requested address"' "${filter}f['defaultErrnoRet'] = 99"
check 'errnoRet is too' is 1 once 'mkdir /tmp/x 2>&1 | grep -c "File too large"' \
	"${filter}f['defaultErrnoRet'] = 99; f['syscalls'].append({'names': ['mkdir', 'mkdirat'], 'action': 'SCMP_ACT_ERRNO', 'errnoRet': 27})"
notify='c["linux"]["seccomp"] = {"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [{"names": ["swapon"], "action": "SCMP_ACT_NOTIFY"}]}
f = c["linux"]["seccomp"]
'
listen() { # listen SOCKET: what the first to connect sends, and how many descriptors
	python3 - "$1" <<-'PY' &
		import socket, sys
		s = socket.socket(socket.AF_UNIX)
		s.bind(sys.argv[1])
		s.listen(1)
		s.settimeout(30)
		c, _ = s.accept()
		text, control, _, _ = c.recvmsg(65536, 1024)
		fds = sum(len(d) // 4 for _, _, d in control)
		while True:
		    more = c.recv(65536)
		    if not more:
		        break
		    text += more
		open(sys.argv[1] + '.said', 'w').write(f'{fds} {text.decode()}')
	PY
	soon test -S "$1"
}
told_listener() { # told_listener PYTHON: the listener hears of a filter
	rm -f listener listener.said
	listen listener && once true "$notify$1" && wait && cat listener.said && grep -q '^1 ' listener.said
}
check 'a listener gets the descriptor with its metadata' eval \
	'told_listener "f[\"listenerPath\"] = \"$tmp/listener\"; f[\"listenerMetadata\"] = \"what it is\"" && grep -q "\"metadata\":\"what it is\"" listener.said'

# --- memory ---
memory() { # memory V1-FILE V2-FILE ID: what its cgroup says
	cat "/sys/fs/cgroup/memory/hull-oci/$3/$1" "/sys/fs/cgroup/hull-oci/$3/$2" 2>/dev/null
}
live() { # live PYTHON: a container that lives, its warnings in live.err
	hull delete --force "$me-live" 2>/dev/null
	bundle live 'sleep 1000' "$1" && hull run --detach --bundle live "$me-live" >/dev/null 2>live.err </dev/null || {
		cat live.err
		return 1
	}
}
v1=
[ -d /sys/fs/cgroup/memory ] && v1=1
if [ "$v1" ]; then
	check 'kernelTCP is limited' eval 'live "c[\"linux\"][\"resources\"][\"memory\"] = {\"limit\": 67108864, \"kernelTCP\": 16777216}" &&
		is 16777216 memory memory.kmem.tcp.limit_in_bytes - "$me-live"'
	check 'disableOOMKiller is set' eval 'live "c[\"linux\"][\"resources\"][\"memory\"] = {\"limit\": 67108864, \"disableOOMKiller\": True}" &&
		memory memory.oom_control - "$me-live" | grep -qx "oom_kill_disable 1"'
	check 'useHierarchy is how it is counted' eval 'live "c[\"linux\"][\"resources\"][\"memory\"] = {\"limit\": 67108864, \"useHierarchy\": True}" &&
		is 1 memory memory.use_hierarchy - "$me-live"'
else
	check 'what v2 has not is told by name' eval 'live "c[\"linux\"][\"resources\"][\"memory\"] = {\"limit\": 67108864, \"kernelTCP\": 16777216,
		\"disableOOMKiller\": True, \"useHierarchy\": True}" && grep -q kernelTCP live.err && grep -q disableOOMKiller live.err'
fi
checked_update() {
	live 'c["process"]["args"][2] = "head -c 20000000 /dev/zero >/tmp/x; echo up >/tmp/up; sleep 1000"
c["mounts"].append({"destination": "/tmp", "type": "tmpfs", "source": "tmpfs"})
c["linux"]["resources"]["memory"] = {"limit": 134217728}' || return 1
	for _ in 1 2 3; do soon hull exec "$me-live" test -f /tmp/up && break; done
	echo '{"memory":{"limit":8388608,"swap":8388608,"checkBeforeUpdate":true}}' >resources.json
	hull update --resources resources.json "$me-live" 2>&1 && return 1
	is 134217728 memory memory.limit_in_bytes memory.max "$me-live" && is running state_of "$me-live"
}
check 'checkBeforeUpdate refuses to take what is in use' checked_update
hull delete --force "$me-live"

# --- limits of hierarchies that a host need not have mounted; they are, in a mount namespace of this test ---
attached() {
	awk '$1 ~ /^(net_cls|net_prio|hugetlb)$/ && $2 != 0 { print $1 }' /proc/cgroups
}
before=$(attached)
if [ "$v1" ] && mkdir net rdma huge && unshare -m sh -c "mount --make-rprivate /; mount -t cgroup -o net_cls,net_prio x $tmp/net"; then
	with_net() {
		unshare -m sh -c 'mount --make-rprivate /; t=$1; shift; mount -t cgroup -o net_cls,net_prio x "$t/net" || exit
			for _ in 1 2 3 4 5; do mount -t cgroup -o hugetlb x "$t/huge" 2>/dev/null && break; sleep 0.2; done; "$@"' - "$tmp" "$@"
	}
	classes() {
		bundle live 'sleep 1000' 'c["linux"]["resources"]["network"] = {"classID": 1048577, "priorities": [{"name": "lo", "priority": 500}]}' &&
			with_net sh -c '"$1" --root state run --detach --bundle live "$2" </dev/null >/dev/null 2>live.err || { cat live.err; exit 1; }
				cat "net/hull-oci/$2/net_cls.classid"; grep -x "lo 500" "net/hull-oci/$2/net_prio.ifpriomap"; cat "net/hull-oci/$2/cgroup.procs" | wc -l
				"$1" --root state delete --force "$2"; ls -d "net/hull-oci/$2" 2>/dev/null; rmdir net/hull-oci' - "$oci" "$me-live"
	}
	check 'network classes and priorities are set, and go with it' is "$(printf '1048577\nlo 500\n1')" classes
	later() { # created without, updated later
		bundle live 'sleep 1000 & sleep 1000' &&
			with_net sh -c '"$1" --root state run --detach --bundle live "$2" </dev/null >/dev/null 2>live.err || { cat live.err; exit 1; }
				ls -d "net/hull-oci/$2" 2>/dev/null
				echo "{\"network\":{\"classID\":7},\"hugepageLimits\":[{\"pageSize\":\"2MB\",\"limit\":4194304}]}" | "$1" --root state update --resources - "$2"
				cat "net/hull-oci/$2/net_cls.classid"; cat "net/hull-oci/$2/cgroup.procs" | wc -l; cat "huge/hull-oci/$2/hugetlb.2MB.limit_in_bytes" 2>/dev/null || cat "/sys/fs/cgroup/unified/hull-oci/$2/hugetlb.2MB.max"
				"$1" --root state delete --force "$2"; ls -d "net/hull-oci/$2" "huge/hull-oci/$2" 2>/dev/null; rmdir net/hull-oci huge/hull-oci 2>/dev/null' - "$oci" "$me-live"
	}
	check 'an update reaches hierarchies that create did not ask for' is "$(printf '7\n2\n4194304')" later
	# One that is unmounted while a cgroup of it is on its way out stays, mounted nowhere, and misleads who reads /proc/self/cgroup.
	detached() {
		unshare -m sh -c 'mount --make-rprivate /; for what in net_cls,net_prio hugetlb; do mount -t cgroup -o $what x "$1" && umount "$1"; done' - "$tmp/net"
		sleep 0.5 # the kernel lets go of it behind our back
		[ "$(attached)" = "$before" ]
	}
	check 'the hierarchies are gone again' soon detached
else
	skip 'network classes and priorities are set, and go with it' 'no net_cls hierarchy can be mounted here'
fi
check 'rdma is limited or refused by name' eval 'once "echo there" "c[\"linux\"][\"resources\"][\"rdma\"] = {\"mlx5_0\": {\"hcaHandles\": 3}}" | grep -q "rdma"'

# --- interfaces of the host ---
net=$me-net
devices() { # devices PYTHON SCRIPT: in a host of its own: the pair w0-w1, w0 with addresses and up
	ip netns add "$net" || return 1
	ip netns exec "$net" sh -c 'ip link add w0 type veth peer name w1 && ip link set w1 up && ip addr add 10.77.0.2/24 dev w0 && ip addr add fd77::2/64 dev w0 nodad && ip link set w0 up'
	bundle one "$2" "$1"
	nsenter --net="/run/netns/$net" timeout 60 "$oci" --root "$tmp/state" run --bundle one "$me-one" 2>&1 </dev/null
}
devices_end() {
	ip netns exec "$net" ip -o addr show w0 2>/dev/null | awk '{ print $4 }' | grep -v '^fe80' | sort
	ip netns del "$net"
}
moved() {
	devices 'c["linux"]["netDevices"] = {"w0": {"name": "inner"}}' 'ip -o addr show inner | awk "{ print \$4 }" | grep -v ^fe80 | sort; ip link show inner | grep -o "[<,]UP[,>]" | tr -d "<,>"'
	devices_end
}
check 'an interface comes with its addresses under its new name' is "$(printf '10.77.0.2/24\nfd77::2/64\nUP')" moved
returned() {
	devices 'c["linux"]["netDevices"] = {"w0": {"name": "inner"}}
c["hooks"] = {"prestart": [{"path": "/bin/false"}]}' true >/dev/null
	devices_end
}
check 'it is back with its addresses when create fails' is "$(printf '10.77.0.2/24\nfd77::2/64')" returned
missing() {
	devices 'c["linux"]["netDevices"] = {"w0": {}, "nope": {}}' true | grep -o "linux.netDevices: interface 'nope'"
	devices_end
}
check 'one that is missing is told, and the others are back' is "$(printf "linux.netDevices: interface 'nope'\n10.77.0.2/24\nfd77::2/64")" missing
taken() {
	devices 'c["linux"]["netDevices"] = {"w0": {"name": "lo"}}' true | grep -o "'lo': there is one of this name already"
	devices_end
}
check 'a name that is taken is refused' is "$(printf "'lo': there is one of this name already\n10.77.0.2/24\nfd77::2/64")" taken

# --- what is of this host alone ---
if [ -e /sys/fs/resctrl/schemata ]; then
	check 'a group of resctrl is its own' is "/$me-one" once 'cat /proc/self/cpu_resctrl_groups | sed -n s/res://p' 'c["linux"]["intelRdt"] = {}'
else
	check 'resctrl that is not mounted is named' eval 'once true "c[\"linux\"][\"intelRdt\"] = {\"closID\": \"x\"}" | grep -q "linux.intelRdt: resctrl is not mounted"'
fi
check 'SCHED_DEADLINE is given' is 6 once 'cut -d" " -f41 /proc/self/stat' \
	'c["process"]["scheduler"] = {"policy": "SCHED_DEADLINE", "runtime": 1000000, "deadline": 100000000, "period": 100000000}'
exec_deadline() {
	live '' && printf '{"args":["/bin/sh","-c","cut -d\\" \\" -f41 /proc/self/stat"],"cwd":"/","env":["PATH=/bin"],"user":{"uid":0,"gid":0},"scheduler":{"policy":"SCHED_DEADLINE","runtime":1000000,"deadline":100000000,"period":100000000}}' >process.json &&
		hull exec --process process.json "$me-live"
}
check 'and to what is executed' is 6 exec_deadline
hull delete --force "$me-live"
policy='c["linux"]["memoryPolicy"] = {"mode": "MPOL_BIND", "nodes": "0"}'
said=$(once 'sed -n 1p /proc/self/numa_maps | cut -d" " -f2' "$policy")
case $said in
*'memoryPolicy'* | *numa_maps*) skip 'a memory policy is set' "$said" ;;
*) check 'a memory policy is set' is bind:0 echo "$said" ;;
esac

# by system calls alone: no host of ours has AppArmor or SELinux for containers
calls_of() { # calls_of PYTHON: what it asks of security modules
	bundle one true "$1"
	timeout 60 strace -f -e trace=openat2,write,fsconfig -s 200 -o calls "$oci" --root state run --bundle one "$me-one" >calls.out 2>&1
	cat calls.out
	grep -E 'self/attr|"exec |context|_t:' calls
}
check 'apparmorProfile is asked for through a checked procfs (by its system calls)' eval 'calls_of "c[\"process\"][\"apparmorProfile\"] = \"no-such\"" |
	grep -q "openat2([0-9]*, \"self/attr/apparmor/exec\", .*O_WRONLY.*RESOLVE_NO_XDEV"'
check 'and named when there is none' grep -q 'apparmorProfile .no-such.' calls.out
check 'selinuxLabel is asked for the same way (by its system calls)' eval 'calls_of "c[\"process\"][\"selinuxLabel\"] = \"a_u:a_r:a_t:s0\"" |
	grep -q "openat2([0-9]*, \"self/attr/exec\", .*O_WRONLY"'
check 'and named when there is none' grep -q 'selinuxLabel .a_u:a_r:a_t:s0.' calls.out
check 'mountLabel is the context of what is mounted (by its system calls)' eval 'calls_of "c[\"linux\"][\"mountLabel\"] = \"a_u:object_r:a_t:s0\"" |
	grep -q "fsconfig([0-9]*, FSCONFIG_SET_STRING, \"context\", \"a_u:object_r:a_t:s0\""'
check 'run.oci.mount_context_type says which (by its system calls)' eval 'calls_of "c[\"linux\"][\"mountLabel\"] = \"a_u:object_r:a_t:s0\"
c[\"annotations\"] = {\"run.oci.mount_context_type\": \"fscontext\"}" | grep -q "FSCONFIG_SET_STRING, \"fscontext\""'

# --- keyrings ---
if [ -e /proc/keys ]; then
	unhide='c["linux"]["maskedPaths"] = []'
	rings='grep -c "keyring *_ses.'$me'-one" /proc/keys'
	check 'the session keyring is the container'\''s' is 1 once "$rings" "$unhide"
	exec_rings() {
		live "$unhide" && hull exec "$me-live" grep -c "keyring *_ses.$me-live:" /proc/keys && hull exec "$me-live" grep -c "keyring *_ses:" /proc/keys
		grep -c "keyring *_ses:" /proc/keys
	}
	joined_keyring() { # by exec: no ring more than that one
		# shellcheck disable=SC2046 # three numbers
		set -- $(exec_rings) && echo "$@" && [ "$1" = 1 ] && [ "$2" -le "$3" ]
	}
	check 'and exec joins it' joined_keyring
	hull delete --force "$me-live"
	no_keyring() {
		bundle one "$rings" "$unhide" && hull run --no-new-keyring --bundle one "$me-one" 2>&1
	}
	check '--no-new-keyring makes none' is 0 no_keyring
else
	skip 'the session keyring is the container'\''s' 'this kernel shows no keys'
fi

# --- annotations of crun's ---
check 'run.oci.keep_original_groups keeps them' is '7 8' setpriv --groups 7,8 sh -c '. "$SOURCE/tests/integration/lib.sh"; '"$(sed -n '/^# bundle NAME/,/^}/p; /^once()/,/^}/p; /^hull()/,/^}/p' "$SOURCE/tests/integration/oci-lib.sh")"'
	oci='"$oci"' tmp='"$tmp"' me='"$me"'; once "awk \"/^Groups/ { print \\\$2, \\\$3 }\" /proc/self/status" "c[\"annotations\"] = {\"run.oci.keep_original_groups\": \"1\"}"'
pidfd() {
	rm -f listener listener.said
	listen listener && once true "c['annotations'] = {'run.oci.pidfd_receiver': '$tmp/listener'}" && wait && cat listener.said && grep -q '^1 ' listener.said
}
check 'run.oci.pidfd_receiver gets a descriptor' pidfd
check 'run.oci.seccomp.receiver is a listener' told_listener "c['annotations'] = {'run.oci.seccomp.receiver': '$tmp/listener'}"
check 'run.oci.seccomp_fail_unknown_syscall refuses a call that is none' eval \
	'once true "${notify}f[\"syscalls\"] = [{\"names\": [\"no_such_call\"], \"action\": \"SCMP_ACT_ALLOW\"}]; c[\"annotations\"] = {\"run.oci.seccomp_fail_unknown_syscall\": \"1\"}" | grep -q "no_such_call. is no system call"'
# mkdir(2) fails with 99: LD nr; JEQ mkdir, ERRNO 99; ALLOW
check 'run.oci.seccomp_bpf_data is the filter' is 1 once 'mkdir /tmp/x 2>&1 | grep -c "Cannot assign requested address"' '
import base64, struct
code = [(0x20, 0, 0, 0), (0x15, 0, 1, 83), (0x06, 0, 0, 0x50000 | 99), (0x06, 0, 0, 0x7fff0000)]
c["annotations"] = {"run.oci.seccomp_bpf_data": base64.b64encode(b"".join(struct.pack("<HBBI", *i) for i in code)).decode()}'
hook_files() {
	rm -f hook.out hook.err
	once true "c['hooks'] = {'prestart': [{'path': '/bin/sh', 'args': ['sh', '-c', 'echo to out; echo to err >&2']}]}
c['annotations'] = {'run.oci.hooks.stdout': '$tmp/hook.out', 'run.oci.hooks.stderr': '$tmp/hook.err'}" && cat hook.out hook.err
}
check 'run.oci.hooks.stdout and stderr get what hooks write' is "$(printf 'to out\nto err')" hook_files
check 'run.oci.timens_offset sets a clock off' eval '[ "$(once "cut -d. -f1 /proc/uptime" "c[\"linux\"][\"namespaces\"].append({\"type\": \"time\"}); c[\"annotations\"] = {\"run.oci.timens_offset\": \"boottime 1000000 0\"}")" -ge 1000000 ]'
check 'one that would isolate otherwise is told of' eval 'once true "c[\"annotations\"] = {\"run.oci.handler\": \"krun\"}" | grep -q "run.oci.handler: not carried out"'
check 'nothing is left' is '' left
done_testing
