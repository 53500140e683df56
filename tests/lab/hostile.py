#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""hostile.py FOLDER BUILD SEED SECONDS: in the lab, a machine of the sanitized monitor whose guest is tests/lab/hostile.c, with disks, a
share, a channel that is talked into and a tap that frames come from. FOLDER, which holds `first` (read-only), `second` and the share's
tree `root`, gets `said` (the serial line), `end` (the control stream), `complaint` and `facts`: the monitor's status and its most memory."""
import fcntl
import os
import random
import resource
import socket
import struct
import subprocess
import sys
import threading
import time

folder, build, seed, seconds = sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4])
chance = random.Random(seed)
TUNSETIFF, IFF_TAP, IFF_NO_PI, IFF_VNET_HDR = 0x400454ca, 2, 0x1000, 0x4000
MEMORY = 32 << 20


def tap():
    fd = os.open('/dev/net/tun', os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)
    fcntl.ioctl(fd, TUNSETIFF, struct.pack('16sH22x', b'hostile', IFF_TAP | IFF_NO_PI | IFF_VNET_HDR))
    subprocess.run(['ip', 'link', 'set', 'hostile', 'up'], check=True)
    return fd


def share():
    """hull-share on `root`, as machine/share.c starts it, but for the namespaces; its end of the socket."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    program = os.open(f'{build}/src/hull-share', os.O_RDONLY)
    if os.fork() == 0:
        os.dup2(theirs.fileno(), 10)
        os.dup2(os.open('/proc/self/fd', os.O_PATH | os.O_DIRECTORY), 11)
        os.dup2(os.open(f'{folder}/share-complaint', os.O_WRONLY | os.O_CREAT), 2)
        ours.close()
        os.chroot(f'{folder}/root')
        os.chdir('/')
        os.execve(program, ['hull-share', '10', '11'], {})
    theirs.close()
    return ours


def talk(channel):
    """What the agent's other end might do: bytes of all kinds, read in fits and starts."""
    channel.settimeout(0.2)
    while True:
        try:
            channel.send(chance.randbytes(chance.randrange(1, 3000)))
            channel.recv(chance.randrange(1, 70000))
        except socket.timeout:
            pass
        except OSError:
            return
        time.sleep(0.05)


def send_frames():
    wire = socket.socket(socket.AF_PACKET, socket.SOCK_RAW)
    wire.bind(('hostile', 0))
    while True:
        try:
            wire.send(b'\xff' * 6 + b'\2\0\0\0\0\2\x88\xcc' + chance.randbytes(chance.randrange(60, 1400)))
        except OSError:
            pass
        time.sleep(0.02)


def main():
    ours, theirs = socket.socketpair()
    kernel = os.open(f'{build}/tests/lab_hostile', os.O_RDONLY)
    files = [os.open(f'{folder}/first', os.O_RDONLY), os.open(f'{folder}/second', os.O_RDWR)]
    said, end, wire, served = os.open(f'{folder}/said', os.O_WRONLY | os.O_CREAT), os.open(f'{folder}/end', os.O_WRONLY | os.O_CREAT), tap(), share()
    fds = [kernel, said, end, wire, theirs.fileno(), served.fileno()] + files
    with open(f'{folder}/complaint', 'wb') as complaint:
        monitor = subprocess.Popen(
            [f'{build}/tests/lab_monitor', f'--kernel={kernel}', f'--memory={MEMORY}', '--cpus=2', f'--console={said}', f'--control={end}',
             f'--disk=first:ro:{files[0]}', f'--disk=second:rw:{files[1]}', f'--channel={theirs.fileno()}', '--port=hostile',
             f'--net={wire}:02:00:00:00:00:01', f'--share={served.fileno()}:tag', f'--append=seed={seed} seconds={seconds}', '--unconfined'],
            pass_fds=fds, stdout=complaint, stderr=complaint, env={'ASAN_OPTIONS': 'exitcode=99', 'UBSAN_OPTIONS': 'halt_on_error=1:exitcode=98'})
    for fd in (theirs.fileno(), served.fileno()):
        os.close(fd)
    for fn, args in ((talk, (ours,)), (send_frames, ())):
        threading.Thread(target=fn, args=args, daemon=True).start()
    try:
        status = monitor.wait(seconds + 60)
    except subprocess.TimeoutExpired:
        monitor.kill()
        monitor.wait()
        status = 'none'
    with open(f'{folder}/facts', 'w', encoding='utf-8') as facts:
        print(f'status={status} kib={resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss}', file=facts)
    sys.stdout.flush()
    os._exit(0)  # the threads wait for nobody


main()
