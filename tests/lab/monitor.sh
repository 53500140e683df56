#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# hull-monitor on real KVM, with the lab's own kernel (6.12) and an init that only tells: how machines begin and end, what a monitor
# takes, and what it may still do.
. "$(dirname "$0")/../integration/lib.sh"

monitor=$BUILD/src/hull-monitor
kernel=$(find "${LAB_DIR:-.lab}/" -maxdepth 2 -name vmlinux | head -n 1)
[ -n "$kernel" ] || { echo '1..0 # SKIP no kernel of the lab'; exit 0; }
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
mkdir "$work/root" && cp "$BUILD/tests/lab_guest_init" "$work/root/init"
(cd "$work/root" && find . | cpio -o -H newc --quiet) >"$work/initramfs"
truncate -s 1M "$work/disk"
args='console=ttyS0 quiet panic=-1 reboot=a pci=off cryptomgr.notests'

machine() { # machine ACT [OPTION…]: what the guest says in $work/said, how it ended in $work/end
	act=$1
	shift
	timeout 60 "$monitor" --kernel=3 --initramfs=4 --memory=134217728 --console=5 --control=6 --append="$args act=$act" "$@" \
		3<"$kernel" 4<"$work/initramfs" 5>"$work/said" 6>"$work/end" 7<>"$work/disk" 2>"$work/complaint"
	echo $? >"$work/status"
	tail -n 5 "$work/said" "$work/end" "$work/complaint"
}
ended() { # ended WORD
	grep -q "^$1 exits=" "$work/end" && [ "$(cat "$work/status")" = 0 ]
}
begins() {
	machine off
	grep -q '^@INIT .*cpus=1$' "$work/said" && ended poweroff
}
few_exits() { # the bare proof needs 522 up to its init; ours also powers off
	exits=$(sed 's/.*exits=\([0-9]*\).*/\1/' "$work/end")
	[ "$exits" -le 560 ]
}
panics() {
	machine panic
	grep -q 'Kernel panic - not syncing: Attempted to kill init' "$work/said" && ended reset
}
restarts() {
	machine restart
	ended reset
}
faults() {
	args="$args reboot=t" machine restart
	ended triple-fault
}
has_processors() {
	machine off --cpus=3
	grep -q 'cpus=3$' "$work/said" && ended poweroff
}
has_memory_beyond_the_hole() {
	machine off --memory=4294967296
	total=$(sed -n 's/.*total_kib=\([0-9]*\).*/\1/p' "$work/said")
	[ "$total" -gt 3900000 ] && ended poweroff
}
refuses() { # refuses WORDS OPTION…
	words=$1
	shift
	machine off "$@"
	[ "$(cat "$work/status")" = 1 ] && [ "$(wc -l <"$work/complaint")" = 1 ] && grep -q "^hull-monitor: .*$words" "$work/complaint"
}
refuses_bad_input() {
	refuses 'neither\|no such option' --nonsense && refuses 'no regular file' --disk=x:ro:1 && refuses 'not ro, rw or careless' --disk=x:up:7 &&
		refuses 'Bad file descriptor' --disk=x:ro:99 && refuses 'memory' --memory=4096 && refuses 'processors' --cpus=1000 &&
		refuses 'no tap' --net=7:02:00:00:00:00:01 && refuses 'not FD:MAC' --net=7:zz &&
		refuses 'no connected stream' --stream=7:02:00:00:00:00:01 && refuses 'not FD:MAC' --stream=7 &&
		refuses 'one of them' --stream=7:02:00:00:00:00:01 --net=7:02:00:00:00:00:01 && refuses 'cut short\|no 64-bit entry' --kernel=7 &&
		refuses 'not DEVICE:read|write' --limit=x:up:1:1 && refuses 'no device .x. to limit' --limit=x:read:1:1 &&
		refuses 'not SLOT:FD:REQUEST' --plugged=4:7 && refuses 'machine that is restored' '--plugged=4:7:net 02:00:00:00:00:01'
}

# One that stays, in $pid.
stays() {
	timeout 60 "$monitor" --kernel=3 --initramfs=4 --memory=134217728 --console=5 --append="$args act=stay" --disk=d:rw:7 \
		3<"$kernel" 4<"$work/initramfs" 5>"$work/said" 7<>"$work/disk" &
	keeper=$!
	waited=0
	until grep -q @INIT "$work/said" || [ "$waited" -gt 300 ]; do sleep 0.1 && waited=$((waited + 1)); done
	pid=$(pgrep -P "$keeper")
	[ -n "$pid" ]
}
light() { # PSS beside the guest's memory, which is the one large mapping
	kib=$(awk '$1 ~ /^[0-9a-f]+-[0-9a-f]+$/ { n = 0 } /^Size:/ { n = $2 } /^Pss:/ && n < 60000 { s += $2 } END { print s }' "/proc/$pid/smaps")
	[ "$kib" -le 1024 ]
}
filtered() { # every thread
	for task in "/proc/$pid/task/"*; do
		grep -q '^Seccomp:	2$' "$task/status" && grep -q '^NoNewPrivs:	1$' "$task/status" || { cat "$task/status"; return 1; }
	done
	cat "/proc/$pid/limits"
	grep -q '^Max open files  *0  *0 ' "/proc/$pid/limits"
}
answers() { # over its control, and closes what descriptors it does not want
	python3 - "$monitor" "$kernel" "$work" "$args act=stay" <<-'EOF'
		import os, socket, subprocess, sys, time
		monitor, kernel, work, args = sys.argv[1:]
		ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
		files = [os.open(kernel, os.O_RDONLY), os.open(work + '/initramfs', os.O_RDONLY), os.open(work + '/said', os.O_WRONLY | os.O_TRUNC)]
		p = subprocess.Popen([monitor, '--kernel=%d' % files[0], '--initramfs=%d' % files[1], '--memory=134217728', '--console=%d' % files[2],
		                      '--control=%d' % theirs.fileno(), '--append=' + args], pass_fds=files + [theirs.fileno()])
		theirs.close()
		ours.settimeout(60)
		def ask(text, fds=()):
		    socket.send_fds(ours, [text.encode()], list(fds))
		    answer = ours.recv(65536).decode()
		    print('#', text, '->', answer.replace('\n', ' | '))
		    return answer
		def opened():
		    return len(os.listdir('/proc/%d/fd' % p.pid))
		try:
		    while '@INIT' not in open(work + '/said').read():
		        assert p.poll() is None, 'it has ended'
		        time.sleep(0.1)
		    was = opened()
		    report = ask('1 report')
		    assert report.startswith('1 ok memory 0 134217728\n') and ' rng - ' in report and '\nexits ' in report, 'no report'
		    assert ask('2 sing', files * 1).startswith('2 error '), 'it sings'
		    assert ask('3 report', files + files[:1]).startswith('3 error '), 'a report takes descriptors'
		    assert ask('what', files + files).startswith('0 error '), 'a request has a number'
		    assert opened() == was, 'descriptors stay open'
		    assert ask('4 report').startswith('4 ok '), 'it answers no more'
		finally:
		    p.kill()
		    p.wait()
	EOF
}
goes_when_killed() {
	kill -9 "$pid" && wait "$keeper"
	! [ -e "/proc/$pid" ]
}

check 'a machine boots to its init and powers off' begins
check 'it leaves the guest seldom' few_exits
echo "# exits until power off: $exits"
check 'a panic is told by its last words and ends in a reset' panics
check 'a guest that restarts is told apart' restarts
check 'a triple fault is told apart' faults
check 'it has as many processors as asked for' has_processors
check 'four gibibytes of memory are there, around the devices' has_memory_beyond_the_hole
check 'bad input gets one line' refuses_bad_input
check 'one that runs' stays
check 'takes less than a mebibyte beside its guest' light
echo "# PSS beside guest memory: $kib KiB"
check 'has a system-call filter in every thread and opens nothing' filtered
check 'is gone when killed' goes_when_killed
check 'one that runs answers over its control, whatever it is asked' answers
done_testing
