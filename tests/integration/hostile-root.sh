#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# What a workload's own files can do to the host while hull copies them: swapped links lead nowhere, and nothing of them runs or is loaded.
. "$(dirname "$0")/lib.sh"
needs busybox cc
[ "$(id -u)" = 0 ] || skip_all 'needs root'
own_store hostile
trap 'own_store_end; rm -f /hull-was-here' EXIT
seconds=${RACE_SECONDS:-4}

# The same path on the host and inside; a link to it is what the workload swaps in.
secret=$dir/secret
mkdir -p "$secret" "root/$secret" root/bin root/data/real root/etc root/lib/x86_64-linux-gnu root/lib64
echo of-the-host >"$secret/f"
echo inside >"root/$secret/f"
echo inside >root/data/real/f
cp "$(command -v busybox)" root/bin/busybox
for tool in sh mv ln sleep true cat rm mkdir; do ln -s busybox "root/bin/$tool"; done
ln -s "$secret" root/data/link

# --- a library and programs that leave a mark wherever they run ---
cat >mark.c <<'END'
#include <fcntl.h>
#include <unistd.h>
__attribute__((constructor)) static void mark(void)
{
	int fd = open("/hull-was-here", O_WRONLY | O_CREAT, 0600);
	if (fd >= 0)
		close(fd);
}
END
cc -shared -fPIC -o mark.so mark.c || { echo '1..0 # SKIP cc makes no shared library'; exit 0; }
for name in libc.so.6 libnss_files.so.2 libnss_compat.so.2 libnss_systemd.so.2 libz.so.1 libarchive.so.13 libcrypto.so.3 libsqlite3.so.0 libjson-c.so.5; do
	cp mark.so "root/lib/x86_64-linux-gnu/$name"
done
cp mark.so root/lib/mark.so
echo /lib/mark.so >root/etc/ld.so.preload
printf 'passwd: files systemd compat\ngroup: files systemd compat\n' >root/etc/nsswitch.conf
printf 'root:x:0:0::/:/bin/sh\nsomebody:x:1234:1234::/:/bin/sh\n' >root/etc/passwd
printf 'root:x:0:\nsomebody:x:1234:\n' >root/etc/group
for name in tar gzip cp hull hull-image hull-import hull-keeper nft ip mount; do
	printf '#!/bin/sh\n>/hull-was-here\n' >"root/bin/$name"
	chmod 755 "root/bin/$name"
done

"$HULL" image import --env PATH=/bin --env LD_PRELOAD=/lib/mark.so root box >/dev/null && "$HULL" run -d --name w --network none box sh -c \
	'while :; do mv /data/real /data/x; mv /data/link /data/real; mv /data/real /data/link; mv /data/x /data/real; done' >/dev/null || exit 1

pid() {
	cat "$HULL_ROOT"/run/workloads/*/keeper | cut -d' ' -f1 | xargs -I{} cat "/proc/{}/task/{}/children" | cut -d' ' -f1
}

naive_is_fooled() { # who follows the workload's links on the host sees the host's file: the race is one
	first=$(pid)
	end=$(($(date +%s) + seconds))
	while [ "$(date +%s)" -lt "$end" ]; do
		for _ in 1 2 3 4 5 6 7 8 9 10; do
			cat "/proc/$first/root/data/real/f" 2>/dev/null
		done | grep -q of-the-host && return 0
	done
	return 1
}
check 'a copier that follows links on the host is led out by the race' naive_is_fooled

copy_out() { # every answer is a file from inside, or none
	end=$(($(date +%s) + seconds)) good=0
	while [ "$(date +%s)" -lt "$end" ]; do
		rm -rf out
		timeout 20 "$HULL" cp w:/data/real/f out 2>/dev/null && good=$((good + 1))
		! grep -rq of-the-host out 2>/dev/null || return 1
		rm -rf all && mkdir all
		timeout 20 "$HULL" cp w:/data all/ 2>/dev/null
		! grep -rq of-the-host all 2>/dev/null || return 1
	done
	echo "# $good copies"
	[ "$good" -gt 0 ]
}
check 'copying out races a swapped link and never gives a file of the host' copy_out

copy_in() {
	end=$(($(date +%s) + seconds)) good=0
	echo new >new
	while [ "$(date +%s)" -lt "$end" ]; do
		timeout 20 "$HULL" cp new w:/data/real/new 2>/dev/null && good=$((good + 1))
		tar -cf - new | timeout 20 "$HULL" cp - w:/data/real 2>/dev/null
		[ "$(ls "$secret")" = f ] || { ls "$secret"; return 1; }
	done
	echo "# $good copies"
	[ "$good" -gt 0 ] && [ "$(cat "$secret/f")" = of-the-host ]
}
check 'copying in races a swapped link and never writes on the host' copy_in

export_races() {
	end=$(($(date +%s) + seconds)) good=0
	while [ "$(date +%s)" -lt "$end" ]; do
		timeout 30 "$HULL" export w >x.tar 2>/dev/null && good=$((good + 1))
		! grep -aq of-the-host x.tar || return 1
	done
	[ "$good" -gt 0 ]
}
check 'neither does export' export_races

target_swap() { # the other way round: what comes out of the workload meets a link on the host, which is the user's own
	rm -rf dest && mkdir dest && ln -s "$secret" dest/data && timeout 20 "$HULL" cp w:/data dest 2>/dev/null
	[ "$(ls "$secret")" = f ] && [ "$(cat "$secret/f")" = of-the-host ]
}
check 'a folder that comes out never goes through a link of its name' target_swap

commands() { # everything that looks into a root, from the host
	"$HULL" exec -u somebody w true && "$HULL" top w >/dev/null && "$HULL" cp w:/etc/passwd p && "$HULL" cp p w:/tmp 2>/dev/null
	"$HULL" stats --no-stream w >/dev/null 2>&1
	"$HULL" export w >x.tar && "$HULL" stop -t 0 w >/dev/null && "$HULL" export w >x.tar && "$HULL" image mount box >/dev/null && "$HULL" image unmount box >/dev/null &&
		"$HULL" save box >s.tar && "$HULL" image import x.tar again >/dev/null && "$HULL" load -i s.tar >/dev/null && "$HULL" run --rm --network none -u somebody box cat /etc/passwd >/dev/null &&
		"$HULL" run --rm --network none again true && "$HULL" system check && "$HULL" system df >/dev/null && "$HULL" start w >/dev/null
}
check 'the commands that look into a root all work on this one' commands
no_mark() {
	[ ! -e /hull-was-here ] || { echo 'on the host'; return 1; }
	"$HULL" exec w sh -c '[ ! -e /hull-was-here ]' || { echo 'inside, by something that is no program of the workload'; return 1; }
}
check 'no library and no program of it has run, on the host or in its place' no_mark
bites() {
	LD_PRELOAD=$dir/mark.so "$HULL" version >/dev/null && [ -e /hull-was-here ] && rm /hull-was-here
}
check 'it would have left its mark' bites
done_testing
