#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""hull-monitor on real KVM: a machine that counts on each of its processors, with a disk and a port, is paused, written down, killed, and
brought back in other processes with other descriptors. Its numbers must go on without one missing or coming twice. So must those of one
that has a share, and writes them into a file there."""
import fcntl
import glob
import hashlib
import os
import re
import shutil
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import time

MONITOR = os.environ['BUILD'] + '/src/hull-monitor'
LAB = os.environ.get('LAB_DIR', '.lab')
MEMORY = 128 << 20
ARGS = 'console=ttyS0 quiet panic=-1 reboot=a pci=off cryptomgr.notests printk.devkmsg=on act='
PATIENCE_S = 120
LATER, SLOT = 1 << 20, 4  # the size of a disk that comes later, and its place: behind disk, port, entropy and balloon
NET_SLOT, MAC = 8, '02:00:00:00:00:01'  # of an interface that does: behind the places for disks
TUNSETIFF, IFF_TAP, IFF_NO_PI, IFF_VNET_HDR = 0x400454ca, 2, 0x1000, 0x4000


def initramfs(work):
    root = work + '/root'
    os.mkdir(root)
    shutil.copy(os.environ['BUILD'] + '/tests/lab_guest_init', root + '/init')
    for driver in ('virtio_mmio', 'virtio_blk', 'virtio_mem'):
        shutil.copy(glob.glob(f'{LAB}/*/kernel/lib/modules/*/kernel/drivers/*/{driver}.ko')[0], root)
    with open(work + '/initramfs', 'wb') as out:
        subprocess.run('find . | cpio -o -H newc --quiet', shell=True, cwd=root, stdout=out, check=True)


def written(path):
    """The file, made if it is not there, and with what it holds if it is."""
    return os.fdopen(os.open(path, os.O_RDWR | os.O_CREAT, 0o600), 'r+b')


class Share:
    """hull-share on the folder `root`, as machine/share.c starts it but for the namespaces, from a state or not. Its end of the socket."""

    def __init__(self, root, state=None):
        self.wire, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        program = os.open(os.environ['BUILD'] + '/src/hull-share', os.O_RDONLY)
        self.said, said = os.pipe()
        self.pid = os.fork()
        if self.pid == 0:
            try:
                self.become(program, [theirs.fileno(), os.open('/proc/self/fd', os.O_PATH | os.O_DIRECTORY)], state, root, said)
            finally:
                os._exit(127)
        for fd in (theirs.detach(), program, said):
            os.close(fd)

    @staticmethod
    def become(program, fds, state, root, said):
        """By numbers that are nobody else's."""
        os.dup2(said, 2)
        fds += [os.open(state, os.O_RDONLY)] if state else []
        words = [str(fcntl.fcntl(fd, fcntl.F_DUPFD, 100)) for fd in fds]
        os.chroot(root)
        os.chdir('/')
        os.execve(program, ['hull-share'] + words, {})

    def ended(self):
        """What it said, once the machine is gone."""
        self.wire.close()
        with os.fdopen(self.said) as said:
            text = said.read()
        os.waitpid(self.pid, 0)
        return text.strip()


class Machine:
    """A monitor: a cold one, or one of the files STATE and MEMORY in `work`; with `share`, one of hull-share's."""

    def __init__(self, work, name, cpus=1, restored=False, disk='disk', state='state', memory='memory', share=None, more=(), later=None, tap=None):
        self.said = f'{work}/said.{name}'
        self.control, control = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.channel, channel = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
        files = {'console': open(self.said, 'wb'), 'disk': open(f'{work}/{disk}', 'r+b')}
        if restored:
            files |= {'restore': open(f'{work}/{state}', 'rb'), 'memory-file': open(f'{work}/{memory}', 'rb')}
        else:
            files |= {'kernel': open(glob.glob(f'{LAB}/*/vmlinux')[0], 'rb'), 'initramfs': open(f'{work}/initramfs', 'rb')}
        words = [f'--{name}={f.fileno()}' for name, f in files.items() if name != 'disk']
        words += [f'--disk=root:rw:{files["disk"].fileno()}', f'--control={control.fileno()}', f'--channel={channel.fileno()}', '--port=count']
        words += [f'--memory={MEMORY}', f'--cpus={cpus}', f'--append={ARGS}{"files" if share else "count"}', *more]
        if later:
            files['later'] = open(f'{work}/later', 'r+b')
            words.append(f'--plugged={later}:{files["later"].fileno()}:disk later rw {LATER}')
        if tap:
            words.append(f'--plugged={NET_SLOT}:{tap.fileno()}:net {MAC}')
        fds = [f.fileno() for f in files.values()] + [control.fileno(), channel.fileno()] + [t.fileno() for t in (tap,) if t]
        self.share = share
        if share:
            words.append(f'--share={share.wire.fileno()}:tag')
            fds.append(share.wire.fileno())
        self.process = subprocess.Popen([MONITOR] + words, pass_fds=fds, stderr=subprocess.PIPE)
        for f in [control, channel, *files.values()]:
            f.close()
        if share:
            share.wire.close()
        self.number = 0

    def ask(self, verb, *files):
        self.number += 1
        socket.send_fds(self.control, [f'{self.number} {verb}'.encode()], [f.fileno() for f in files])
        self.control.settimeout(PATIENCE_S)
        answer = self.control.recv(20000).decode()
        print(f'# {verb}: {answer}')
        return answer.split(' ', 1)[1].strip()

    def counts(self, cpu=0):
        with open(self.said, encoding='latin-1') as f:
            return [int(n) for n in re.findall(rf'@COUNT {cpu} ([0-9]+) (?:kept|-)\r?$', f.read(), re.M)]

    def reaches(self, n, cpus=1):
        """Whether each processor has said so many numbers, soon."""
        end = time.monotonic() + PATIENCE_S
        while any(len(self.counts(cpu)) < n for cpu in range(cpus)):
            if time.monotonic() > end or self.process.poll() is not None:
                with open(self.said, encoding='latin-1') as f:
                    print('\n'.join('# ' + line.strip() for line in f.readlines()[-12:]))
                print('# ended with', self.process.poll(), self.kill())
                return False
            time.sleep(0.05)
        return True

    def save(self, work, state='state', memory='memory', share=None):
        with written(f'{work}/{state}') as state, written(f'{work}/{memory}') as memory:
            if not share:
                return self.ask('save', state, memory)
            with written(f'{work}/{share}') as share:
                return self.ask('save', state, memory, share)

    def kill(self):
        self.process.send_signal(signal.SIGKILL)
        return self.complaint()

    def complaint(self):
        said = self.process.communicate(timeout=PATIENCE_S)[1].decode()
        self.control.close()
        self.channel.close()
        return said + (self.share.ended() if self.share else '')


def digest(path):
    with open(path, 'rb') as f:
        return hashlib.sha256(f.read()).hexdigest()


def follow_on(parts, cpus):
    """Whether the numbers of each processor, in machines one after the other, are 1, 2, 3 …"""
    for cpu in range(cpus):
        numbers = [n for part in parts for n in part.counts(cpu)]
        if numbers != list(range(1, len(numbers) + 1)):
            print('#', numbers)
            return False
    return True


def stands_and_goes_on(work, m):
    if not m.reaches(3, 2) or m.ask('resume') != 'error the machine is not paused' or m.ask('pause') != 'ok':
        return False
    before = [m.counts(0), m.counts(1)]
    time.sleep(0.5)
    stood = [m.counts(0), m.counts(1)] == before and m.ask('pause') == 'error the machine is paused'
    went = m.ask('resume') == 'ok' and m.reaches(max(len(b) for b in before) + 3, 2)
    unasked = m.save(work) == 'error save: the machine is not paused'
    return stood and went and unasked and follow_on([m], 2)


def comes_back(work, first, cpus):
    """Saved, and restored twice from the same files."""
    if not first.reaches(3, cpus) or first.ask('pause') != 'ok' or first.save(work) != 'ok':
        return False
    first.kill()
    shutil.copy(work + '/disk', work + '/disk-then')
    was = digest(work + '/memory')
    for name in ('second', 'third'):
        shutil.copy(work + '/disk-then', work + '/disk')
        m = Machine(work, f'{name}{cpus}', cpus, restored=True)
        if not m.reaches(5, cpus):
            return False
        m.kill()
        if not follow_on([first, m], cpus) or digest(work + '/memory') != was:
            return False
    return True


def channel_goes_on(work):
    """What the guest sends into its port arrives at the new socket."""
    m = Machine(work, 'channel', restored=True)
    m.channel.settimeout(PATIENCE_S)
    heard = b''
    while heard.count(b'\n') < 4:
        heard += m.channel.recv(4096)
    m.kill()
    print('#', heard)
    numbers = [int(n) for n in re.findall(rb'@COUNT 0 ([0-9]+) kept\n', heard)]
    return len(numbers) >= 3 and numbers == list(range(numbers[0], numbers[0] + len(numbers)))


def saved_again(work):
    """A restored machine is paused and written down like any other."""
    second = Machine(work, 'again', restored=True)
    if not second.reaches(3) or second.ask('pause') != 'ok' or not second.save(work).endswith('lives on that memory file'):
        return False
    if second.save(work, 'state2', 'memory2') != 'ok':
        return False
    second.kill()
    third = Machine(work, 'once-more', restored=True, state='state2', memory='memory2')
    went = third.reaches(3)
    third.kill()
    return went and third.counts()[0] == second.counts()[-1] + 1


def soon(what):
    end = time.monotonic() + PATIENCE_S
    while not what():
        if time.monotonic() > end:
            return False
        time.sleep(0.2)
    return True


def said(m, words):
    with open(m.said, encoding='latin-1') as f:
        return words in f.read()


def lives_on(work, parts, state, memory, **how):
    """The last of the machines, one after the other, is saved, restored, and goes on for long enough to look at all it holds."""
    first = parts[-1]
    if first.ask('pause') != 'ok' or first.save(work, state, memory) != 'ok':
        return None
    first.kill()
    m = Machine(work, state, restored=True, state=state, memory=memory, **how)
    if m.reaches(80) and follow_on([*parts, m], 1):
        return m
    m.kill()
    return None


def plugged_memory_comes_back(work):
    """More than it was started with, filled; in the machine that comes back it can grow again, and that one comes back as well."""
    more = ('--max-memory=%d' % (512 << 20),)
    m = Machine(work, 'memory', more=(*more, '--append=' + ARGS + 'count memhp_default_state=online'))
    if not m.reaches(3) or m.ask(f'memory {384 << 20}').startswith('error') or not soon(lambda: said(m, '@FILLED')):
        m.kill()
        return False
    second = lives_on(work, [m], 'state-memory', 'file-memory', more=more)
    if not second or second.ask('memory') != f'ok {384 << 20}':
        return False
    second.ask(f'memory {448 << 20}')
    if not soon(lambda: second.ask('memory') == f'ok {448 << 20}'):
        second.kill()
        return False
    third = lives_on(work, [m, second], 'state-memory2', 'file-memory2', more=more)
    if third:
        third.kill()
    shutil.copy(work + '/memory', work + '/file-memory3')
    refused = refuses(work, 'memory file', state='state-memory', memory='file-memory3', more=more)
    return third is not None and refused


def new_tap():
    tap = open('/dev/net/tun', 'r+b', buffering=0)
    fcntl.ioctl(tap, TUNSETIFF, struct.pack('16sH22x', b'restored%d', IFF_TAP | IFF_NO_PI | IFF_VNET_HDR))
    return tap


def plugged_devices_come_back(work):
    """A disk and an interface, each to its place, and nowhere else."""
    subprocess.run(['modprobe', 'tun'], check=False)
    with open(work + '/later', 'wb') as f:
        f.truncate(LATER)
    m = Machine(work, 'later', more=('--append=' + ARGS + f'count later=LNRO0005:{SLOT:02x}',))
    with open(work + '/later', 'r+b') as f:
        if not m.reaches(3) or m.ask(f'disk later rw {LATER}', f) != f'ok {SLOT}' or not soon(lambda: said(m, '@LATER')):
            m.kill()
            return False
    with new_tap() as tap, new_tap() as other:
        if m.ask(f'net {MAC}', tap) != f'ok {NET_SLOT}':
            m.kill()
            return False
        second = lives_on(work, [m], 'state-later', 'file-later', later=SLOT, tap=other)
        if not second:
            return False
        second.kill()
    with open(work + '/later', 'rb') as f:
        written = int.from_bytes(f.read(4), 'little')
    files = {'state': 'state-later', 'memory': 'file-later'}
    return (written >= second.counts()[-1] and refuses(work, f'device {SLOT}', **files) and refuses(work, f'device {SLOT}', later=SLOT + 1, **files) and
            refuses(work, f'device {NET_SLOT}', later=SLOT, **files) and
            refuses(work, 'no place', later=SLOT - 1, **files) and refuses(work, 'no device', later=99, **files))


def refuses(work, words, **how):
    m = Machine(work, 'refused', restored=True, **how)
    said = m.complaint()
    print('#', said.strip())
    return m.process.returncode == 1 and said.count('\n') == 1 and words in said


def refuses_what_was_changed(work):
    with open(work + '/state', 'rb') as f:
        state = f.read()
    for name, content in {'edited': state[:-1] + bytes([state[-1] ^ 1]), 'cut': state[:-1], 'none': b'nothing'}.items():
        with open(f'{work}/{name}', 'wb') as f:
            f.write(content)
    with open(work + '/short', 'wb') as f:
        f.truncate(MEMORY - 4096)
    with open(work + '/larger', 'wb') as f:
        f.truncate(2 << 20)
    return (refuses(work, 'checksum', state='edited') and refuses(work, 'not whole', state='cut') and refuses(work, 'no state', state='none') and
            refuses(work, 'memory file', memory='short') and refuses(work, 'device 0', disk='larger') and refuses(work, ', 2 and ', cpus=2))


def fill(root, cpus):
    """What each processor's files are at the beginning."""
    for cpu in range(cpus):
        at = f'{root}/{cpu}'
        os.makedirs(at + '/folder')
        for name in ['log', 'name-1'] + [f'folder/entry-{i}' for i in range(40)]:
            with open(f'{at}/{name}', 'wb'):
                pass
        with open(at + '/fixed', 'wb') as f:
            f.write(bytes(i * 7 & 255 for i in range(4096)))


def logged(root, cpus, least):
    """Whether each file has its numbers, one after the other, and at least so many."""
    for cpu in range(cpus):
        with open(f'{root}/{cpu}/log', encoding='ascii') as f:
            numbers = [int(line) for line in f]
        if len(numbers) < least or numbers != list(range(1, len(numbers) + 1)):
            print('#', cpu, numbers)
            return False
    return True


def files_go_on(work, cpus):
    """Restored twice: over the folder that was, and over a copy of it in its place."""
    root = f'{work}/root{cpus}'
    fill(root, cpus)
    first = Machine(work, f'files{cpus}', cpus, share=Share(root))
    if not first.reaches(20, cpus) or first.ask('pause') != 'ok':
        return False
    if first.save(work) != 'error save: comes with three files, for state, memory and share' or first.save(work, share=f'share{cpus}') != 'ok':
        return False
    first.kill()
    shutil.copytree(root, root + '-then')
    m = None
    for name in ('again', 'copy'):
        if m:
            m.kill()
            shutil.rmtree(root)
            shutil.copytree(root + '-then', root)
        m = Machine(work, f'files-{name}{cpus}', cpus, restored=True, share=Share(root, f'{work}/share{cpus}'))
        if not m.reaches(60, cpus) or not follow_on([first, m], cpus) or not logged(root, cpus, 60):
            return False
    return files_go_on_again(work, root, m, cpus)


def files_go_on_again(work, root, m, cpus):
    """One that was restored is written down like any other; not while what it has open is removed."""
    if m.ask('pause') != 'ok' or m.save(work, 'state-b', 'memory-b', 'share-b') != 'ok':
        return False
    m.kill()
    third = Machine(work, f'files-third{cpus}', cpus, restored=True, state='state-b', memory='memory-b', share=Share(root, work + '/share-b'))
    if not third.reaches(20, cpus) or not logged(root, cpus, 80) or third.counts()[0] != m.counts()[-1] + 1 or third.ask('pause') != 'ok':
        return False
    os.unlink(root + '/0/log')
    refused = third.save(work, 'state-c', 'memory-c', 'share-c')
    went = third.ask('resume') == 'ok' and third.reaches(max(len(third.counts(cpu)) for cpu in range(cpus)) + 10, cpus)
    third.kill()
    return went and refused == "error hull-share: file '/0/log' is open and has been removed: it would be lost"


def refuses_other_shares(work):
    """The files of one processor's machine, with shares that do not belong to them."""
    root = work + '/root1'
    with open(work + '/share-b', 'rb') as f:
        edited = bytearray(f.read())
    edited[-1] ^= 1
    with open(work + '/share-edited', 'wb') as f:
        f.write(edited)
    os.makedirs(root + '/0', exist_ok=True)
    with open(root + '/0/log', 'ab'):  # which the last one had removed
        pass
    return (refuses(work, 'not made from a state', share=Share(root)) and
            refuses(work, 'from the state of another', share=Share(root, work + '/share-b')) and
            refuses(work, 'checksum', share=Share(root, work + '/share-edited')) and refuses(work, 'devices'))


def main():
    work = tempfile.mkdtemp()
    try:
        initramfs(work)
        with open(work + '/disk', 'wb') as f:
            f.truncate(1 << 20)
        two = Machine(work, 'two', 2)
        checks = [
            ('a machine that is paused stands still, and goes on', lambda: stands_and_goes_on(work, two)),
            ('with two processors it comes back in another process, twice from the same files', lambda: comes_back(work, two, 2)),
            ('so it does with one', lambda: comes_back(work, Machine(work, 'one'), 1)),
            ('its port speaks to the new socket', lambda: channel_goes_on(work)),
            ('one that came back is written down like any other', lambda: saved_again(work)),
            ('memory that was plugged in comes back with what it holds, and grows again', lambda: plugged_memory_comes_back(work)),
            ('a disk and an interface that were plugged in come back to their places', lambda: plugged_devices_come_back(work)),
            ('what was changed, or is of another machine, is refused by one line', lambda: refuses_what_was_changed(work)),
            ('open files of a share go on in a machine that comes back, with two processors', lambda: files_go_on(work, 2)),
            ('so they do with one', lambda: files_go_on(work, 1)),
            ('a share that was not made from its state is refused by one line', lambda: refuses_other_shares(work)),
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
