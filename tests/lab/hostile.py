#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""hostile.py FOLDER BUILD SEED SECONDS: in the lab, a machine of the sanitized monitor whose guest is tests/lab/hostile.c, with disks, a
share, a channel that is talked into and a tap that frames come from (for an odd SEED: a stream, as passt's is). FOLDER, which holds `first` (read-only), `second` and the share's
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


def send_down(stream):
    """Frames behind their lengths, in pieces of any size, while what the guest sends is read in fits and starts."""
    stream.settimeout(0.2)
    while True:
        frame = b'\xff' * 6 + b'\2\0\0\0\0\2\x88\xcc' + chance.randbytes(chance.randrange(60, 1400))
        piece = struct.pack('>I', len(frame)) + frame
        cut = chance.randrange(len(piece))
        try:
            stream.sendall(piece[:cut])
            time.sleep(0.01)
            stream.sendall(piece[cut:])
        except OSError:  # half a frame is out: the next length is one that no frame has
            return
        try:
            stream.recv(chance.randrange(1, 200000))
        except OSError:
            pass


def wire():
    """What frames go over: the option, its descriptor, and what sends."""
    if seed % 2 == 0:
        fd = tap()
        return f'--net={fd}:02:00:00:00:00:01', fd, send_frames, ()
    ours, theirs = socket.socketpair()
    return f'--stream={theirs.fileno()}:02:00:00:00:00:01', theirs.detach(), send_down, (ours,)


def main():
    ours, theirs = socket.socketpair()
    kernel = os.open(f'{build}/tests/lab_hostile', os.O_RDONLY)
    files = [os.open(f'{folder}/first', os.O_RDONLY), os.open(f'{folder}/second', os.O_RDWR)]
    said, end = (os.open(f'{folder}/{name}', os.O_WRONLY | os.O_CREAT) for name in ('said', 'end'))
    net, link, send, sent_by = wire()
    served = share()
    fds = [kernel, said, end, link, theirs.fileno(), served.fileno()] + files
    with open(f'{folder}/complaint', 'wb') as complaint:
        monitor = subprocess.Popen(
            [f'{build}/tests/lab_monitor', f'--kernel={kernel}', f'--memory={MEMORY}', f'--max-memory={2 * MEMORY}', '--cpus=2', f'--console={said}', f'--control={end}',
             f'--disk=first:ro:{files[0]}', f'--disk=second:rw:{files[1]}', f'--channel={theirs.fileno()}', '--port=hostile',
             net, f'--share={served.fileno()}:tag', f'--append=seed={seed} seconds={seconds}', '--unconfined'],
            pass_fds=fds, stdout=complaint, stderr=complaint, env={'ASAN_OPTIONS': 'exitcode=99', 'UBSAN_OPTIONS': 'halt_on_error=1:exitcode=98'})
    for fd in (theirs.fileno(), served.fileno()):
        os.close(fd)
    if send is send_down:
        os.close(link)
    for fn, args in ((talk, (ours,)), (send, sent_by)):
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
