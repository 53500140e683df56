#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# One scenario for both isolations (HULL_ISOLATION): what a user does with a workload, and what comes back.
# shellcheck disable=SC2016 # what stands in single quotes is for the shell inside
. "$SOURCE/tests/integration/lib.sh"
export HULL_ISOLATION="${HULL_ISOLATION:-container}"
tmp=$(mktemp -d "${TMPDIR:-/var/tmp}/hull-scenario.XXXXXX")
cd "$tmp" || exit 1
export HULL_ROOT="$tmp/store"
slow=60
[ "$HULL_ISOLATION" = vm ] && slow=180

hull() {
	timeout -k 10 "$slow" "$HULL" "$@"
}

finish() {
	for id in $(hull ps -aq 2>/dev/null); do hull rm -f "$id" >/dev/null 2>&1; done
	awk -v at="$tmp/" 'index($5, at) == 1 { print $5 }' /proc/self/mountinfo | sort -r |
		while read -r at; do umount "$at" 2>/dev/null || umount -l "$at"; done
	if bridge=$(cut -d ' ' -f 1 "$HULL_ROOT/network" 2>/dev/null); then
		ip link del "$bridge" 2>/dev/null
		nft delete table inet "hull_$bridge" 2>/dev/null
	fi
	cd / && rm -rf "$tmp"
}
trap finish EXIT
trap 'exit 1' HUP INT TERM

[ "$HULL_ISOLATION" = container ] || machine_kernel 300 || { echo "1..0 # SKIP $why"; exit 0; }

# The image: busybox, and two users.
make_image() {
	busybox_root image || return 1
	hull image import --env PATH=/bin --env FROM_IMAGE=1 --cmd '["echo","from the image"]' image scenario >/dev/null
}

# has TEXT FILE: a line of the file is TEXT.
has() {
	grep -qxF -- "$1" "$2" || {
		echo "no line '$1' in:"
		cat "$2"
		return 1
	}
}

# denied WORDS COMMAND...: it is refused with 125, by hull itself. Where there is no KVM, it may say that first.
beside='the machine is emulated, which is slow'
denied() {
	refused "$@" && [ "$got" = 125 ] && grep -q '^hull: ' refused.err
}

check 'a root folder is imported as an image' make_image

# --- one life in the foreground ---
inside='echo "pid=$$"
echo "user=$(id -u):$(id -g)"
echo "pwd=$PWD"
echo "image=$FROM_IMAGE given=$GIVEN own=$OWN_VALUE file=$FROM_FILE"
echo "host=$(hostname)"
echo "nofile=$(ulimit -n)"
echo "lo=$(ip link | grep -c LOOPBACK) links=$(ip link | grep -c "^[0-9]")"
echo "volume=$(cat /in/note)"; echo written >/in/back; echo no >/fixed/x
echo "tmpfs=$(grep -c " /scratch tmpfs" /proc/mounts)"
echo "stdin=$(cat)"
echo "to standard error" >&2
grep -q "^CapEff:.*00000000a80425fb" /proc/self/status && echo caps=default
grep -q "^Seccomp:.*2" /proc/self/status && echo seccomp=on
exit 42'

first() {
	mkdir -p shared fixed
	echo from-host >shared/note
	echo FROM_FILE=filed >env.list
	printf 'some\nlines' | OWN_VALUE=mine hull run --rm -i --network none --name first --hostname box -w /data \
		-e GIVEN=1 -e OWN_VALUE --env-file env.list -v "$tmp/shared:/in" -v ./fixed:/fixed:ro --tmpfs /scratch \
		--ulimit nofile=512:1024 --label tier=test --cidfile first.cid scenario sh -c "$inside" >first.out 2>first.err
}
check 'the exit status of the workload is the exit status of run' status 42 first
check 'its first process is number 1' has pid=1 first.out
check 'it runs as root unless told otherwise' has user=0:0 first.out
check '-w is where it starts' has pwd=/data first.out
check 'variables come from the image, from -e, from the caller and from --env-file' \
	has 'image=1 given=1 own=mine file=filed' first.out
check '--hostname is its name' has host=box first.out
check '--ulimit is its limit' has nofile=512 first.out
check 'with --network none it has a loopback interface and no other' has 'lo=1 links=1' first.out
check 'a volume shows what the host has' has volume=from-host first.out
check 'what is written to a volume is on the host' is written cat shared/back
check 'a volume with :ro cannot be written' test ! -e fixed/x
check '--tmpfs is a file system in memory' has tmpfs=1 first.out
check 'standard input reaches it to its end' has lines first.out
check 'standard error is kept apart' grep -qx 'to standard error' first.err
check 'it has the default capabilities' has caps=default first.out
check '--cidfile holds its id' grep -qxE '[0-9a-f]{64}' first.cid
check '--rm leaves no workload' is '' hull ps -aq
check '--rm leaves no folder' is '' ls "$HULL_ROOT/workloads"

second() {
	hull run --rm --network none -u alice --read-only --cap-drop ALL --init --entrypoint sh scenario -c \
		'id -un; id -gn; touch /file; touch /data/file; grep CapEff /proc/self/status; tr "\0" " " </proc/1/cmdline; kill -9 $$' \
		>second.out 2>second.err
}
check 'a process killed by a signal gives 128 and its number' status 137 second
check '-u finds the user in the image' has alice second.out
check '--read-only makes the root read-only' grep -q 'Read-only file system' second.err
check '--cap-drop ALL leaves no capability' grep -q 'CapEff:.*0000000000000000' second.out

check 'a program that is not there gives 127' status 127 hull run --rm --network none scenario no-such-program
check 'a file that cannot be executed gives 126' status 126 hull run --rm --network none scenario /data/not-executable

# --- one life in the background ---
more=
[ "$HULL_ISOLATION" = vm ] && more='--max-cpus 2'
export more
check 'run -d prints an id' sh -c '"$0" run -d $more -t=false --name web --label tier=web --stop-signal USR1 -p 127.0.0.1::80 \
	--memory 64m --pids-limit 40 --cpus 0.5 scenario sh -c "
		trap \"echo bye; exit 7\" USR1; trap \"echo hup\" HUP
		echo ready; echo problem >&2
		echo a page >/tmp/index.html; httpd -p 80 -h /tmp
		while :; do sleep 0.1; done" >web.id 2>web.err; cat web.err; grep -qxE "[0-9a-f]{64}" web.id' "$HULL"
check 'ps lists what runs' is 'web running' hull ps --format '{{.Names}} {{.State}}'
check 'ps --filter finds by label' is web hull ps --filter label=tier=web --format '{{.Names}}'
check 'ps --filter leaves out what does not match' is '' hull ps --filter label=tier=db --format '{{.Names}}'
check 'ps -q --no-trunc prints whole ids' is "$(cat web.id 2>/dev/null)" hull ps -q --no-trunc
check 'an id may be shortened' is /web sh -c 'echo /$("$0" inspect -f "{{.Name}}" "$(cut -c 1-6 web.id)")' "$HULL"
check 'a name that is in use is refused' denied "name 'web' is in use" hull run --name web scenario true
check 'logs show what it wrote' soon sh -c '"$0" logs web 2>/dev/null | grep -qx ready' "$HULL"
check 'logs keep standard error apart' is problem sh -c '"$0" logs web 2>&1 >/dev/null' "$HULL"
check 'logs --tail shows the end' is 1 sh -c '"$0" logs --tail 1 web 2>&1 | wc -l' "$HULL"
check 'logs -f goes on until it ends' status 0 sh -c 'timeout 5 "$0" logs -f web 2>/dev/null | grep -qx ready' "$HULL"
check 'logs -t shows when' sh -c '"$0" logs -t web 2>/dev/null | grep -qE "^20[0-9T:.-]+Z ready$"' "$HULL"
check 'exec runs one more process' is hello hull exec web echo hello
check 'exec stands in the root of the workload, and nothing lies under it' is '1 scenario' \
	hull exec web awk '$4 == "/" && $5 == "/" { n++ } END { getline what <"/data/file"; print n " " (what == "from-image" ? "scenario" : "host") }' /proc/self/mountinfo
check 'exec hands standard input on' is typed sh -c 'echo typed | "$0" exec -i web cat' "$HULL"
check 'exec gives the status of its process' status 5 hull exec web sh -c 'exit 5'
check 'exec of a program that is not there gives 127' status 127 hull exec web no-such-program
check 'exec -e, -w and -u apply to its process' is '1 /tmp alice' hull exec -e X=1 -w /tmp -u alice web sh -c 'echo "$X $PWD $(id -un)"'
check 'exec -t gives a terminal' is /dev/pts sh -c '"$0" exec -t web tty </dev/null | cut -c 1-8' "$HULL"
check 'exec -d does not wait' status 0 hull exec -d web sh -c 'echo later >/tmp/later'
check 'what exec -d does is done' soon hull exec web test -e /tmp/later
check 'a gigabyte-like stream loses nothing' is "$(head -c 8000000 /dev/zero | md5sum)" \
	sh -c 'head -c 8000000 /dev/zero | "$0" exec -i web cat | md5sum' "$HULL"
copies() {
	mkdir -p copy/in/deeper && echo carried >copy/in/deeper/file
	hull cp copy/in web:/tmp && hull cp web:/tmp/in copy/out && hull cp web:/etc/passwd copy/users &&
		is carried cat copy/out/deeper/file && grep -q alice copy/users
}
check 'cp carries files in and out' copies
exported() {
	hull export -o web.tar web && is carried tar -xOf web.tar --wildcards '*tmp/in/deeper/file' && is from-image tar -xOf web.tar --wildcards '*data/file' && ! tar -tf web.tar | grep -q '^[./]*proc/self'
}
check 'export -o writes its root, as it is by now, while it runs' exported
check 'cp of what is not there is told' denied 'No such file' hull cp web:/nowhere copy
own_kernel() {
	inside=$(hull exec web uname -v)
	if [ "$HULL_ISOLATION" = vm ]; then [ "$inside" != "$(uname -v)" ]; else [ "$inside" = "$(uname -v)" ]; fi
}
check 'a machine has a kernel of its own and a container the host'\''s' own_kernel
check 'logs --since leaves out what is older' is '' hull logs --since 2099-01-01 web
check 'logs --until leaves out what is newer' is '' hull logs --until 2001-01-01 web
check 'events tell what happened' sh -c '"$0" events --since 1h --until 0s --format "{{.Action}} {{.Actor.Attributes.name}}" | grep -qx "start web"' "$HULL"
attached() { # asked to write again until attach shows it
	(while "$HULL" kill -s HUP web; do sleep 1; done) >/dev/null 2>&1 &
	asking=$!
	timeout 20 "$HULL" attach --sig-proxy=false web </dev/null | grep -qx -m 1 hup
	got=$?
	kill "$asking"
	return "$got"
}
check 'attach shows what it writes' attached
check 'top lists its processes' sh -c '"$0" top web | grep -q httpd' "$HULL"
check 'stats show the limit of its memory' is 64MiB sh -c '"$0" stats --no-stream --format "{{.MemUsage}}" web | sed "s/.* //"' "$HULL"
address=$(hull port web 80)
check 'port tells the published address' sh -c 'echo "$0" | grep -qE "^127.0.0.1:[0-9]+$"' "$address"
check 'a published port answers' soon sh -c 'wget -q -O - "http://$0/" || curl -sf "http://$0/"' "$address"
check 'a port in use is refused' denied "${address##*:}" hull run --rm -p "$address:80" scenario true
check 'inspect tells what was asked for' is '67108864 40 500000000 web' \
	hull inspect -f '{{.HostConfig.Memory}} {{.HostConfig.PidsLimit}} {{.HostConfig.NanoCpus}} {{index .Config.Labels "tier"}}' web
check 'inspect tells its isolation' is "$HULL_ISOLATION" hull inspect -f '{{.Isolation}}' web
check 'it has an address of its own' sh -c '"$0" exec web ip addr | grep -q "$("$0" inspect -f "{{.NetworkSettings.IPAddress}}" web)"' "$HULL"
# of its own: whoever finds the limit used up by others ends too
check 'the pids limit holds' sh -c '"$0" run --rm --network none --pids-limit 20 scenario sh -c "for i in \$(seq 60); do sleep 1 & done; wait" 2>&1 | grep -qi "can.t fork"' "$HULL"
pauses() {
	hull pause web && is 'paused 0 ' hull inspect -f '{{.State.Status}} {{.State.ExitCode}} {{.State.Error}}' web
}
check 'pause freezes it' pauses
check 'a paused workload takes no exec' status 125 hull exec web true
check 'unpause thaws it' status 0 hull unpause web
check 'a thawed workload goes on' soon hull exec web true
check 'kill -s sends a signal' sh -c '"$0" kill -s HUP web' "$HULL"
check 'the signal arrives' soon sh -c '"$0" logs web | grep -qx hup' "$HULL"
check 'rename gives another name' sh -c '"$0" rename web site && "$0" inspect -f "{{.Name}}" site' "$HULL"
check 'update changes a limit' sh -c '"$0" update --pids-limit 50 site && test "$("$0" inspect -f "{{.HostConfig.PidsLimit}}" site)" = 50' "$HULL"
others() { # what update can change beside
	hull update --memory 48m --memory-swap 96m --cpu-shares 512 --cpuset-cpus 0 --restart on-failure:2 site &&
		is '50331648 100663296 512 0 on-failure 2' hull inspect -f \
			'{{.HostConfig.Memory}} {{.HostConfig.MemorySwap}} {{.HostConfig.CpuShares}} {{.HostConfig.CpusetCpus}} {{.HostConfig.RestartPolicy.Name}} {{.HostConfig.RestartPolicy.MaximumRetryCount}}' site &&
		hull update --memory 64m --memory-swap 128m --restart no site
}
check 'update changes memory, shares, processors and the restart policy' others
check 'update refuses a limit with which nothing can run' refused '--memory: less than' hull update --memory 1m site
# cpus N: it has as many processors, a machine as its kernel counts them.
cpus() {
	hull update --cpus "$1" site && is "${1}000000000" hull inspect -f '{{.HostConfig.NanoCpus}}' site || return 1
	[ "$HULL_ISOLATION" = container ] || is "$1 $1 2" sh -c 'echo "$("$0" exec site grep -c ^processor /proc/cpuinfo) $("$0" machine inspect -f "{{.Cpus}} {{.MaxCpus}}" site)"' "$HULL"
}
if [ "$(nproc)" -gt 1 ]; then
	check 'update --cpus gives it more processors' cpus 2
	check 'update --cpus takes processors away' cpus 1
else
	skip 'update --cpus gives it more processors' 'needs two processors'
fi
if [ "$HULL_ISOLATION" = vm ]; then
	check 'machine ls shows it' is 'site running' hull machine ls --format '{{.Name}} {{.State}}'
	in_order() { # the phases of its boot that are known
		hull machine inspect site | tee inspect.out | sed -n 's/.*\(MonitorStarted\|GuestEntered\|DriverReady\|AgentHello\|WorkloadReady\)Us": *\([0-9]*\).*/\2/p' |
			grep -vx 0 >phases && [ "$(wc -l <phases)" -ge 2 ] && sort -nc phases && grep -q '"MonitorPss": *[1-9]' inspect.out
	}
	check 'machine inspect tells how it came up' in_order
	devices() { # what hull's own monitor knows; qemu is not asked
		[ "$(hull machine inspect -f '{{.Driver}}' site)" = qemu ] ||
			{ grep -q '"Serial": *"layers"' inspect.out && grep -q '"Queues": *"256' inspect.out && grep -q '"Ports": *[1-9]' inspect.out; }
	}
	check 'machine inspect tells its devices and why it leaves the guest' devices
	check 'machine console -f goes on as long as it runs' status 124 timeout 2 "$HULL" machine console -f site
	check 'a machine has no more processors than can be made' denied '--max-cpus: from' hull run --rm --max-cpus 65 scenario true
else
	check 'a container is no machine' status 1 hull machine inspect site
	check 'a container has the processors of the host' denied '--max-cpus: a container' hull run --rm --max-cpus 2 scenario true
fi
on_kvm() { # whether it is a machine of hull's own monitor
	hull inspect -f '{{.Machine.Accelerator}}' "$1" 2>/dev/null | grep -qx kvm
}
no_disk='came from elsewhere' # what is said where none can come
[ "$HULL_ISOLATION" = container ] || no_disk='needs KVM'
disk_comes() {
	mkdir on-disk && echo from-disk >on-disk/note && truncate -s 8M disk && mke2fs -q -F -t ext4 -d on-disk disk || return 1
	if on_kvm site; then
		hull update --disk-add ./disk:/mnt/disk site && [ "$(hull exec site cat /mnt/disk/note)" = from-disk ] &&
			hull exec site sh -c 'echo back >/mnt/disk/back'
	else
		refused "$no_disk" hull update --disk-add ./disk:/mnt/disk site
	fi
}
disk_goes() {
	on_kvm site || { refused "$no_disk" hull update --disk-rm /mnt/disk site; return; }
	hull update --disk-rm /mnt/disk site && ! hull exec site test -e /mnt/disk/note && [ "$(debugfs -R 'cat back' disk 2>/dev/null)" = back ] &&
		hull update --disk-add ./disk:/mnt/disk:ro site && ! hull exec site touch /mnt/disk/x
}
no_disks() {
	on_kvm site || return 0
	refused 'another machine' hull update --disk-add ./disk:/mnt/other site &&
		head -c 1000 /dev/zero >odd && refused 'whole sectors' hull update --disk-add ./odd:/mnt/odd site &&
		truncate -s 1M empty && refused 'no file system' hull update --disk-add ./empty:/mnt/empty site &&
		refused 'no disk was added' hull update --disk-rm /mnt/nothing site
}
check 'a disk is added to a machine that runs, and refused where it cannot be' disk_comes
check 'it is taken away and comes again' disk_goes
check 'what is no disk for it is refused' no_disks
can_nic() {
	[ "$HULL_ISOLATION" = container ] || on_kvm site
}
nic_address() { # nic_address NAME
	hull inspect site | sed -n "/\"$1\"/,/}/s/.*\"IPAddress\": *\"\([0-9.]*\)\".*/\1/p"
}
nic_comes() {
	can_nic || { refused 'needs KVM' hull update --network-add bridge site; return; }
	hull update --network-add bridge site && more=$(nic_address eth1) && [ -n "$more" ] &&
		hull exec site ip -o addr show eth1 | grep -F "$more/" && busybox ping -c 1 -W 10 "$more" && hull exec site ip route | grep '^default.*eth0'
}
nic_goes() {
	can_nic || { refused 'was added to it' hull update --network-rm eth1 site; return; }
	hull update --network-add bridge site && hull exec site ip link show eth2 && refused 'which is all it can' hull update --network-add bridge site &&
		hull update --network-rm eth1 site && ! hull exec site ip link show eth1 && ! hull inspect site | grep -qF "$more" &&
		! ip -o link | grep "hl$(hull inspect -f '{{.Id}}' site | cut -c 1-12)1" && hull update --network-add bridge site && hull exec site ip link show eth1
}
no_nics() {
	can_nic || return 0
	refused "'host': no such network" hull update --network-add host site && refused "no interface 'eth0'" hull update --network-rm eth0 site &&
		refused 'no interface' hull update --network-rm eth9 site
}
check 'an interface is added to one that runs, reached, and the route stays' nic_comes
check 'it is taken away, and comes again' nic_goes
check 'what is no network or interface for it is refused' no_nics
many_flows() {
	processors=1
	[ "$(nproc)" -lt 2 ] || processors=2
	hull run -d --name flows --cpus "$processors" scenario sh -c 'seq 100000 >/tmp/index.html; httpd -f -p 80 -h /tmp' >/dev/null || return 1
	flows_come_whole flows && hull rm -f flows
}
check 'many flows at once come whole' many_flows
# --- the rates of its network ---
# comes, goes: how many bytes come from it, and go to it, in two seconds.
comes() {
	from=$(timeout 2 busybox nc "$address" 8 </dev/null 2>/dev/null | wc -c)
	echo "from it $from"
}
goes() {
	before=$(hull exec rated cat /sys/class/net/eth0/statistics/rx_bytes) || return 1
	timeout 2 busybox nc "$address" 9 </dev/zero >/dev/null 2>&1
	to=$(($(hull exec rated cat /sys/class/net/eth0/statistics/rx_bytes) - before))
	echo "to it $to"
}
answers() {
	[ "$(timeout 5 busybox nc "$address" 8 </dev/null | head -c 1 | wc -c)" = 1 ]
}
slowly() { # of 512 KiB a second; where the other way cannot be limited, it is not looked at
	goes && [ "$to" -gt 100000 ] && [ "$to" -lt 3000000 ] || return 1
	[ -z "$egress" ] || { comes && [ "$from" -gt 100000 ] && [ "$from" -lt 3000000 ]; }
}
rated() {
	egress='--network-egress 512kb'
	[ "$HULL_ISOLATION" = container ] || on_kvm site || egress=
	# shellcheck disable=SC2086 # two words
	hull run -d --name rated --restart on-failure --network-ingress 512kb $egress scenario sh -c '
		nc -ll -p 8 -e cat /dev/zero & nc -ll -p 9 -e sh -c "cat >/dev/null" &
		while [ ! -e /tmp/end ]; do sleep 0.1; done; rm /tmp/end; exit 1' >/dev/null || return 1
	address=$(hull inspect -f '{{.NetworkSettings.IPAddress}}' rated)
	is "524288 ${egress:+524288}" sh -c '"$0" inspect -f "{{.HostConfig.NetworkIngress}} {{.HostConfig.NetworkEgress}}" rated | sed "s/ 0$/ /"' "$HULL" &&
		soon answers && slowly && slow_to=$to slow_from=${from:-0}
}
unrated() { # the keeper, which knew the limits from the start, lets it start again
	hull update --network-ingress 0 --network-egress 0 rated && is '0 0' hull inspect -f '{{.HostConfig.NetworkIngress}} {{.HostConfig.NetworkEgress}}' rated &&
		goes && [ "$to" -gt $((2 * slow_to)) ] && { [ -z "$egress" ] || { comes && [ "$from" -gt $((2 * slow_from)) ]; }; } || return 1
	hull exec rated touch /tmp/end && soon sh -c 'test "$("$0" inspect -f "{{.RestartCount}} {{.State.Status}}" rated)" = "1 running"' "$HULL" &&
		soon answers && goes && [ "$to" -gt $((2 * slow_to)) ]
}
rated_again() {
	# shellcheck disable=SC2086 # two words
	hull update --network-ingress 512kb $egress rated && { [ "$HULL_ISOLATION" = vm ] || nic_is_rated; } && hull restart -t 0 rated &&
		soon answers && slowly && hull rm -f rated
}
nic_is_rated() {
	hull update --network-add bridge rated && ip -o link show dev "hl$(hull inspect -f '{{.Id}}' rated | cut -c 1-12)1" | grep 'qdisc tbf' &&
		hull exec rated ip link show eth1 | grep 'qdisc tbf'
}
no_rates() {
	refused "--network none it has no interface" hull run --network none --network-ingress 1m scenario true &&
		refused "'fast' is not a size" hull update --network-egress fast site &&
		! hull update --network-ingress 1m --cpuset-cpus 4000 site && ! ip -o link show dev "hl$(hull inspect -f '{{.Id}}' site | cut -c 1-12)" | grep 'qdisc tbf' || return 1
	if [ "$HULL_ISOLATION" = container ]; then
		refused '--network host it has no interface' hull run --network host --network-egress 1m scenario true
	else
		on_kvm site || refused 'needs KVM' hull update --network-egress 1m site
	fi
}
check 'what comes to it and what it sends over its network is limited, each by itself' rated
check 'update frees its network, also when it starts again by itself' unrated
check 'a limit that update sets holds for further interfaces, and after a restart' rated_again
check 'a rate that is none, or nobody can hold, is refused' no_rates
check 'limits of what is no block device are refused' refused 'is no block device' hull update --device-read-bps /dev/null:1m site
below=$(findmnt -n -o SOURCE -T "$tmp")
if [ -b "$below" ]; then # elsewhere, what the store lies on has no number to be limited by
	limited() {
		if [ "$HULL_ISOLATION" = container ] || on_kvm site; then
			hull update --device-write-bps "$below:1m" --device-read-iops "$below:1000" site &&
				hull run --rm --network none --device-write-iops "$below:1000" scenario true
		else
			refused 'needs KVM' hull update --device-write-bps "$below:1m" site
		fi
	}
	check 'what it reads from and writes to the disk below can be limited' limited
else
	skip 'what it reads from and writes to the disk below can be limited' 'no block device is below'
fi
check 'rm refuses one that runs' status 1 hull rm site
check 'stop sends the stop signal' status 0 hull stop -t 20 site
check 'its exit status is kept' is '7 exited' hull inspect -f '{{.State.ExitCode}} {{.State.Status}}' site
check 'what it wrote last is in the log' is bye sh -c '"$0" logs --tail 1 site' "$HULL"
check 'ps leaves out what does not run' is '' hull ps -q
check 'ps -a shows it' is site hull ps -a --format '{{.Names}}'
check 'start runs it again' status 0 hull start site
check 'its files are still there' hull exec site test -e /tmp/later
check 'restart -t stops and starts it' status 0 hull restart -t 20 site
check 'wait prints the status' sh -c '(sleep 1; "$0" kill site >/dev/null) & test "$("$0" wait site)" = 137' "$HULL"
check 'rm removes it' status 0 hull rm site
check 'nothing is left of it' is '' sh -c 'ls "$HULL_ROOT/workloads" "$HULL_ROOT/run/workloads" | grep -v :' "$HULL"

# --- terminals and signals ---
in_terminal() {
	SHELL=/bin/sh script -qec "stty rows 33 cols 77; timeout --foreground $slow $HULL run --rm -it --network none scenario sh -c 'stty size; tty; exit 9'" /dev/null >tty.out
	got=$?
	tr -d '\r' <tty.out >tty.clean
	[ "$got" = 9 ] && grep -q '33 77$' tty.clean && grep -q /dev/pts tty.clean
}
check 'run -it has a terminal of the size of the user'\''s' in_terminal
typed() {
	printf 'echo tel\\\\\nl; exit 4\n' | SHELL=/bin/sh script -qec "timeout --foreground $slow $HULL run --rm -it --network none scenario sh" /dev/null >typed.out
	[ $? = 4 ]
}
check 'what is typed reaches it' typed
proxied() {
	"$HULL" run --rm --network none --name sig scenario sh -c 'trap "exit 33" TERM; echo up; while :; do sleep 0.1; done' >sig.out 2>/dev/null &
	pid=$!
	for _ in $(seq "$slow"); do grep -q up sig.out && break; sleep 1; done
	kill -TERM "$pid"
	wait "$pid"
	[ $? = 33 ]
}
check 'a signal to run goes on to the workload' proxied
check 'a reader that leaves ends the workload as a pipe does' sh -c 'timeout 120 "$0" run --rm --network none scenario yes | head -n 2 | grep -qx y' "$HULL"
check 'binary output comes back whole' is "$(head -c 3000000 "$HULL" | md5sum)" \
	sh -c 'head -c 3000000 "$0" | "$0" run --rm -i --network none scenario cat | md5sum' "$HULL"

# --- limits, restarts, kills ---
own_arguments() {
	if [ "$HULL_ISOLATION" = vm ]; then
		name=$(basename "$(readlink "$HULL_ROOT/kernels/default")")
		hull run --rm --vm --network none --kernel "$name" --kernel-args hull.word=1 scenario grep -q hull.word=1 /proc/cmdline
	else
		denied 'a container has no kernel of its own' hull run --rm --kernel-args hull.word=1 scenario true
	fi
}
check '--vm, --kernel and --kernel-args choose what a machine starts' own_arguments
deaf() {
	hull run -d --name deaf --network none --stop-timeout 1 scenario sh -c 'trap "" TERM; while :; do sleep 0.1; done' >/dev/null 2>&1
	hull stop deaf && is 137 hull inspect -f '{{.State.ExitCode}}' deaf && hull rm deaf
}
check 'what does not stop within --stop-timeout is killed' deaf
network_host() {
	if [ "$HULL_ISOLATION" = vm ]; then
		denied 'host' hull run --rm --network host scenario true
	else
		is "$(ip -o link | wc -l)" hull run --rm --network host scenario sh -c 'ip -o link | wc -l'
	fi
}
privileges() {
	is 'NoNewPrivs: 1 0000000000001000' hull run --rm --network none --security-opt no-new-privileges --cap-drop ALL --cap-add NET_ADMIN \
		scenario awk '/^NoNewPrivs/ { n = $2 } /^CapEff/ { c = $2 } END { print "NoNewPrivs: " n " " c }' /proc/self/status
}
check '--security-opt and --cap-add change what it may do' privileges
check '--init puts a reaper in front' is hull-init hull run --rm --network none --init scenario cat /proc/1/comm
oom() {
	hull run --network none --name oom --memory 32m scenario dd if=/dev/zero of=/dev/null bs=90M count=1
}
check 'more memory than the limit is death' status 137 oom
check 'inspect says that memory was out' is true hull inspect -f '{{.State.OOMKilled}}' oom
check 'restart on-failure starts it again' sh -c '"$0" run -d --network none --name again --restart on-failure:2 scenario sh -c "exit 3" >/dev/null 2>&1
	"$0" wait again' "$HULL"
check 'the number of restarts is kept' soon sh -c 'test "$("$0" inspect -f "{{.RestartCount}}" again)" = 2' "$HULL"
policy_changes() { # for the life that is going on
	hull run -d --network none --name later --restart no scenario sh -c 'while [ ! -e /over ]; do sleep 0.1; done; exit 3' &&
		hull update --restart on-failure:1 later && hull exec later touch /over && soon is '1 exited' hull inspect -f '{{.RestartCount}} {{.State.Status}}' later
}
check 'a policy that update gives holds for the life that is going on' policy_changes
check 'create makes it without starting it' sh -c '"$0" create --name made --network none scenario echo made >/dev/null 2>&1 &&
	test "$("$0" inspect -f "{{.State.Status}}" made)" = created' "$HULL"
check 'start -a shows what it writes' is made hull start -a made
check '--network host has the host'\''s interfaces' network_host
check 'an image without a command given runs its own' is 'from the image' hull run --rm --network none scenario
check 'rm takes several' status 0 hull rm oom again made later

# kill -9 of the keeper: the next command repairs.
lost() {
	hull run -d --name lost scenario sleep 1000 >/dev/null 2>&1 || return 1
	[ "$HULL_ISOLATION" = vm ] && ! on_kvm lost || hull update --network-add bridge lost || return 1
	keeper=$(cut -d ' ' -f 1 "$HULL_ROOT"/run/workloads/*/keeper)
	kill -9 "$keeper"
	sleep 0.2
	is 'exited 137' hull inspect -f '{{.State.Status}} {{.State.ExitCode}}' lost
}
check 'a keeper killed by SIGKILL is repaired by the next command' lost
links_left() {
	ip -o link | grep "hl$(hull inspect -f '{{.Id}}' lost | cut -c 1-12)"
}
check 'its interfaces, the first and the further, are gone' is '' links_left
check 'what it left is gone' is '' sh -c 'find /sys/fs/cgroup -maxdepth 3 -path "*hull/*" -name "$("$0" inspect -f "{{.Id}}" lost)"' "$HULL"
check 'it can be removed' status 0 hull rm lost
killed() {
	timeout -s KILL 5 "$HULL" run --rm --network none --name torn scenario sleep 1000 >/dev/null 2>&1
	soon sh -c 'test -z "$("$0" ps -q)" || "$0" rm -f torn' "$HULL"
}
check 'a command killed by SIGKILL leaves a workload that can be removed' killed
check 'no workload is left at the end' is '' hull ps -aq

# --- bad input ---
check 'an unknown image is refused' denied "no-such-image" hull run --rm no-such-image true
check 'a size that is none is refused' denied "--memory: 'x' is not a size" hull run --memory x scenario true
check 'too little memory is refused' denied '--memory: less than' hull run --rm --memory 1m scenario true
check 'an unknown capability is refused' denied "'NOPE' is not a capability" hull run --rm --cap-add NOPE scenario true
check 'an unknown network is refused' denied "no such network" hull run --rm --network nope scenario true
check 'a port that is none is refused' denied '-p' hull run --rm -p 99999:80 scenario true
check 'a volume inside the store is refused' denied "inside hull's own store" hull run --rm -v "$HULL_ROOT/workloads:/x" scenario true
check 'an env file that is not there is refused' denied 'nowhere' hull run --rm --env-file nowhere scenario true
check 'an unknown option is refused' denied '--nope: no such option' hull run --nope scenario true
check 'an unknown isolation is refused' denied "neither container nor vm" hull run --isolation jail scenario true
check 'a bad name is refused' denied 'is not a name' hull run --name 'a b' scenario true
check 'a bad user is refused' denied 'nobody-here' hull run --rm --network none -u nobody-here scenario true
check '--rm with --restart is refused' denied 'contradict' hull run --rm --restart always scenario true
check 'an unknown workload is told' status 1 hull stop no-such-workload
check 'bad input leaves no workload' is '' hull ps -aq
check 'bad input leaves no folder' is '' ls "$HULL_ROOT/workloads"
done_testing
