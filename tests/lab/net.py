#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""hull-monitor's network on real KVM: a machine that sends back every datagram, over a tap that the monitor serves or the host's kernel
(vhost-net). Who does is seen by what the monitor's thread is woken for. And one over a stream, with passt(1) at its other end: it sends back
what comes over TCP as well."""
import fcntl
import glob
import os
import shutil
import socket
import struct
import subprocess
import sys
import tempfile
import threading
import time

MONITOR = os.environ['BUILD'] + '/src/hull-monitor'
LAB = os.environ.get('LAB_DIR', '.lab')
MEMORY = 128 << 20
ARGS = 'console=ttyS0 quiet panic=-1 reboot=a pci=off cryptomgr.notests act='
PATIENCE_S = 120
FORGETS_S = 10  # a monitor does after three
DATAGRAMS = 60
TUNSETIFF, IFF_TAP, IFF_MULTI_QUEUE, IFF_NO_PI, IFF_VNET_HDR = 0x400454ca, 2, 0x100, 0x1000, 0x4000


def initramfs(work):
    root = work + '/root'
    os.mkdir(root)
    shutil.copy(os.environ['BUILD'] + '/tests/lab_guest_init', root + '/init')
    for driver in ('virtio/virtio_mmio', 'net/virtio_net', 'net/net_failover', 'core/failover'):
        shutil.copy(glob.glob(f'{LAB}/*/kernel/lib/modules/*/kernel/**/{driver}.ko', recursive=True)[0], root)
    with open(work + '/initramfs', 'wb') as out:
        subprocess.run('find . | cpio -o -H newc --quiet', shell=True, cwd=root, stdout=out, check=True)


def tap(pairs):
    """An interface that is there as long as its descriptors, one for each pair of queues."""
    flags = IFF_TAP | IFF_NO_PI | IFF_VNET_HDR | (IFF_MULTI_QUEUE if pairs > 1 else 0)
    fds = []
    for _ in range(pairs):
        fds.append(os.open('/dev/net/tun', os.O_RDWR | os.O_NONBLOCK))
        fcntl.ioctl(fds[-1], TUNSETIFF, struct.pack('16sH22x', b'echo', flags))
    # the address that a machine which comes back remembers
    for words in ('link set echo address 02:00:00:00:00:01', 'addr add 10.98.0.1/24 dev echo', 'link set echo up'):
        subprocess.run(['ip'] + words.split(), check=True)
    return fds


class Machine:
    """A monitor: a cold one, or one of the files that another has written."""

    act = 'echo'
    address = ('10.98.0.2', 7)
    complaints = None

    def __init__(self, work, pairs=1, vhost=True, restored=False):
        self.said = work + '/said'
        self.control, control = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        network, fds = self.network(work, pairs, vhost)
        files = {'console': open(self.said, 'wb')}
        if restored:
            files |= {'restore': open(work + '/state', 'rb'), 'memory-file': open(work + '/memory', 'rb')}
        else:
            files |= {'kernel': open(glob.glob(f'{LAB}/*/vmlinux')[0], 'rb'), 'initramfs': open(work + '/initramfs', 'rb')}
        words = [f'--{name}={f.fileno()}' for name, f in files.items()]
        words += [f'--control={control.fileno()}', f'--memory={MEMORY}', f'--cpus={pairs}', f'--append={ARGS}{self.act}']
        self.process = subprocess.Popen([MONITOR] + words + network, stderr=self.complaints,
                                        pass_fds=[f.fileno() for f in files.values()] + [control.fileno()] + fds)
        for fd in fds:
            os.close(fd)
        for f in [control, *files.values()]:
            f.close()
        self.number = 0
        self.wires = [self.wire() for _ in range(4)]

    @staticmethod
    def network(_, pairs, vhost):
        """What the monitor is told of its network, and the descriptors that are named there."""
        taps = tap(pairs)
        vhosts = [os.open('/dev/vhost-net', os.O_RDWR) for _ in taps] if vhost else []
        words = ['--net=' + ','.join(map(str, taps)) + ':02:00:00:00:00:02']
        if vhosts:
            words.append('--vhost=' + ','.join(map(str, vhosts)))
        return words, taps + vhosts

    def wire(self):
        """A flow of its own."""
        wire = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        wire.settimeout(0.5)
        wire.connect(self.address)
        return wire

    def comes_up(self):
        end = time.monotonic() + PATIENCE_S
        while time.monotonic() < end and self.process.poll() is None:
            with open(self.said, 'rb') as f:
                if b'@ECHO' in f.read():
                    return self.echoes(1)
            time.sleep(0.1)
        with open(self.said, 'rb') as f:
            print('# ' + f.read()[-300:].decode(errors='replace').replace('\n', '\n# '))
        return False

    def echoes(self, n, patience=30):
        """Whether n datagrams of all flows come back; one that is lost is sent again, as is the way of datagrams."""
        end = time.monotonic() + patience
        for i in range(n):
            sent = f'datagram {i} of {time.monotonic()}'.encode() + bytes(i * 10 % 1400)
            wire = self.wires[i % len(self.wires)]
            got = b''
            while got != sent:
                if time.monotonic() > end:
                    return False
                try:
                    wire.send(sent)
                    got = wire.recv(2048)
                except OSError:  # nothing came, or nobody is there yet
                    time.sleep(0.05)
        return True

    def woken(self):
        with open(f'/proc/{self.process.pid}/status', encoding='latin-1') as f:
            return int(f.read().split('\nvoluntary_ctxt_switches:')[1].split()[0])

    def by_kernel(self):
        """Whether datagrams come back without the monitor being woken for them; and nothing is lost."""
        was = self.woken()
        good = self.echoes(DATAGRAMS)
        woken = self.woken() - was
        print(f'# woken {woken} times for {DATAGRAMS}: {"all came back" if good else "some did not"}')
        return good and woken < DATAGRAMS / 3

    def by_monitor(self):
        was = self.woken()
        return self.echoes(DATAGRAMS) and self.woken() - was >= DATAGRAMS / 2

    def ask(self, verb, *files):
        self.number += 1
        socket.send_fds(self.control, [f'{self.number} {verb}'.encode()], [f.fileno() for f in files])
        self.control.settimeout(PATIENCE_S)
        answer = self.control.recv(20000).decode()
        print('# ' + verb + ': ' + answer.replace('\n', ' | '))
        return answer.split(' ', 1)[1].strip()

    def save(self, work):
        with open(work + '/state', 'w+b') as state, open(work + '/memory', 'w+b') as memory:
            return self.ask('save', state, memory)

    def threads(self, name):
        tasks = glob.glob(f'/proc/{self.process.pid}/task/*/')
        comms = []
        for task in tasks:
            with open(task + 'comm', encoding='latin-1') as f:
                comms.append(f.read())
        return sum(comm.startswith(name) for comm in comms)

    def pss_kib(self):
        """Of all but the guest's memory."""
        kib, size = 0, 0
        with open(f'/proc/{self.process.pid}/smaps', encoding='latin-1') as f:
            for line in f:
                words = line.split()
                if words[0] == 'Size:':
                    size = int(words[1])
                elif words[0] == 'Pss:' and size < 60000:
                    kib += int(words[1])
        return kib

    def gone(self):
        self.process.kill()
        self.process.wait()
        self.control.close()
        return True


class Streamed(Machine):
    """One over a stream to a passt, which is reached by a port of the host's, and reaches the host as the gateway of its network."""

    act = 'talk'
    address = ('127.0.0.1', 10007)
    MEGABYTES = 4

    def __init__(self, work, **more):
        self.complaints = open(work + '/complaints', 'w+b')
        super().__init__(work, vhost=False, **more)

    def network(self, work, pairs, vhost):
        ours, theirs = socket.socketpair()
        words = f'--foreground --quiet --ipv4-only --interface lo --address 10.98.0.2 --netmask 24 --gateway 10.98.0.1 ' \
                f'--mac-addr 02:00:00:00:00:01 --udp-ports 10007:7 --fd {theirs.fileno()}'
        with open(work + '/passt', 'wb') as said, theirs:
            self.passt = subprocess.Popen(['passt'] + words.split(), pass_fds=[theirs.fileno()], stderr=said)
        return [f'--stream={ours.fileno()}:02:00:00:00:00:02'], [ours.detach()]

    def talks(self, megabytes=MEGABYTES):
        """Whether what it is sent comes back whole; in how many seconds."""
        sent = os.urandom(megabytes << 20)
        with socket.create_server(('127.0.0.1', 10008)) as listener:
            listener.settimeout(30)
            wire = listener.accept()[0]
        with wire:
            wire.settimeout(30)
            began = time.monotonic()
            sender = threading.Thread(target=wire.sendall, args=(sent,))
            sender.start()
            got = bytearray()
            while len(got) < len(sent) and (part := wire.recv(1 << 20)):
                got += part
            sender.join()
            seconds = time.monotonic() - began
        print(f'# {megabytes} MiB there and back: {seconds:.1f} s, {"whole" if got == sent else "not whole"}')
        return seconds if got == sent else 0

    def told(self, words):
        """Whether the guest says so in time."""
        end = time.monotonic() + 30
        while time.monotonic() < end:
            with open(self.said, 'rb') as f:
                if words in f.read():
                    return True
            time.sleep(0.1)
        return False

    def gone(self):
        super().gone()
        self.passt.kill()
        self.passt.wait()
        self.complaints.close()
        return True


def loop_serves(work):
    m = Machine(work, vhost=False)
    good = m.comes_up() and m.by_monitor()
    return m.gone() and good


def limited(m):
    """Any limit is the monitor's to keep."""
    took = m.ask('limit net read - 1000000') == 'ok' and m.by_monitor()
    return took and m.ask('limit net read - 0') == 'ok' and m.by_kernel()


def paused(m):
    if m.ask('pause') != 'ok' or m.echoes(1, 2):
        return False
    return m.ask('resume') == 'ok' and m.by_kernel()


def light(m, most=1024):
    """Once it has let go of the code that only its start needed."""
    end = time.monotonic() + FORGETS_S
    while (kib := m.pss_kib()) > most and time.monotonic() < end:
        time.sleep(0.5)
    print(f'# PSS beside guest memory: {kib} KiB')
    return kib <= most


def comes_back(work, m):
    """Written down while the kernel serves, it goes on where the kernel does, and where it does not."""
    good = m.echoes(1) and m.ask('pause') == 'ok' and m.save(work) == 'ok'
    m.gone()
    for vhost in (True, False) if good else ():
        m = Machine(work, vhost=vhost, restored=True)
        good &= m.by_kernel() if vhost else m.by_monitor()
        m.gone()
    return good


def several(work, vhost):
    m = Machine(work, pairs=2, vhost=vhost)
    good = m.comes_up() and (m.by_kernel() if vhost else m.by_monitor())
    if vhost:
        print('# threads of the kernel:', m.threads('vhost'))
        good &= m.threads('vhost') in (0, 2)  # before 6.4 they were no threads of the process
        good &= m.ask('pause') == 'ok' and m.save(work) == 'ok'
    m.gone()
    if vhost and good:
        m = Machine(work, pairs=2, restored=True)
        good = m.by_kernel()
        m.gone()
    return good


def streamed_limited(m):
    """A mebibyte at half of that in a second."""
    took = m.ask('limit net write 500000 -') == 'ok' and m.talks(1) > 1.5
    return took and m.ask('limit net write 0 -') == 'ok' and 0 < m.talks()


def streamed_paused(m):
    if m.ask('pause') != 'ok' or m.echoes(1, 2):
        return False
    return m.ask('resume') == 'ok' and m.echoes(1) and m.talks() > 0


def streamed_comes_back(work, m):
    good = m.ask('pause') == 'ok' and m.save(work) == 'ok'
    m.gone()
    m = Streamed(work, restored=True)
    good = good and m.echoes(DATAGRAMS) and m.talks() > 0
    return m.gone() and good


def streamed_cut_off(work):
    """The machine goes on, says so, is written down, and has a carrier when it comes back."""
    m = Streamed(work)
    good = m.comes_up() and m.told(b'@CARRIER on')
    m.passt.kill()
    good = good and m.told(b'@CARRIER off') and not m.echoes(1, 2) and m.ask('report').startswith('ok')
    m.complaints.seek(0)
    complaints = m.complaints.read()
    print('#', complaints.decode().strip())
    good = good and complaints.count(b'\n') == 1 and b'no carrier' in complaints
    good = good and m.ask('pause') == 'ok' and m.save(work) == 'ok'
    m.gone()
    if good:
        m = Streamed(work, restored=True)
        good = m.told(b'@CARRIER on') and m.echoes(DATAGRAMS) and m.talks() > 0
        m.gone()
    return good


def main():
    subprocess.run(['modprobe', '-a', 'tun', 'vhost_net'], check=False)
    work = tempfile.mkdtemp()
    try:
        initramfs(work)
        m, s = Machine(work), None

        def begin():
            nonlocal s
            s = Streamed(work)
            return s.comes_up() and s.echoes(DATAGRAMS)

        checks = [
            ('with vhost-net a machine is answered without its monitor', lambda: m.comes_up() and m.by_kernel()),
            ('which takes less than a mebibyte then, too', lambda: light(m)),
            ('a limit takes the network from the kernel, and its end gives it back', lambda: limited(m)),
            ('paused it stands still, and goes on', lambda: paused(m)),
            ('written down it comes back, with vhost-net or without', lambda: comes_back(work, m)),
            ('without vhost-net the monitor serves', lambda: loop_serves(work)),
            ('a machine of two processors has two pairs of queues, and keeps them', lambda: several(work, True)),
            ('so it has where the monitor serves', lambda: several(work, False)),
            ('over a stream to passt a machine is reached', begin),
            ('it is as light', lambda: light(s)),
            ('it reaches the host by TCP, and what it is sent comes back', lambda: s.talks() > 0),
            ('which takes no more memory than the largest frame each way', lambda: light(s, 1024 + 160)),
            ('limits hold there', lambda: streamed_limited(s)),
            ('paused it stands still there, and goes on', lambda: streamed_paused(s)),
            ('written down it comes back over another passt', lambda: streamed_comes_back(work, s)),
            ('without passt it goes on without a carrier, which comes back with another', lambda: streamed_cut_off(work)),
        ]
        bad = False
        for n, (sentence, check) in enumerate(checks, 1):
            try:
                good = check()
            except OSError as e:
                print('#', e)
                good = False
            bad |= not good
            print(f'{"ok" if good else "not ok"} {n} - {sentence}', flush=True)
        print(f'1..{len(checks)}')
    finally:
        shutil.rmtree(work)
    return bad


sys.exit(main())
