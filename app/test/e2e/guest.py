# SPDX-License-Identifier: BSD-3-Clause
"""Linux guests: Debian's kernel under QEMU, without KVM, whose network is net_weir ports.

    kernel, virtio-net --- QEMU --- socket --- net_weir0 <-+ the switch,
    kernel, virtio-net --- QEMU --- socket --- net_weir1 <-+ a stock testpmd

A guest boots in some seconds to a shell that sh() types into; its files are busybox and
weir-guest-tool. Each network device has an address and, but the first, a namespace of
its own, so one guest can talk to itself through the switch: on_nic(1, "ping ...").
"""
import fcntl
import functools
import json
import os
import re
import shlex
import socket
import stat
import subprocess
import time

import vmboot
from harness import (BUILD_ROOT, Failed, Process, Skip, TIMEOUT_S, check, check_equal,
                     need_program, wait_for)

QEMU = os.environ.get("WEIR_QEMU", "qemu-system-x86_64")
TOOL = os.path.join(BUILD_ROOT, "app/test/weir-guest-tool")
# an emulated machine on a busy host; nothing here measures
BOOT_S, COMMAND_S = 240, 240
MODULES = ("virtio_pci", "virtio_net", "virtio_mem")
STREAM_PORT = 5000
# the first release that stays alive with a vhost-user device that has MSI-X and no KVM
MSIX_VERSION = (10, 0)
# the first that counts milliseconds until it connects again
RECONNECT_MS_VERSION = (9, 2)

# an IOMMU, which has to come before the devices behind it, and what makes them so: ATS
# they have behind a root port only, and without it they hear of no flush but a page's
IOMMU = ("-device", "intel-iommu,intremap=off,device-iotlb=on")
IOMMU_NIC = "iommu_platform=on,ats=on"

INIT = """#!/bin/sh
export PATH=/usr/bin HOME=/root
# by its path on the host, which may be in what is mounted over now
cp /usr/bin/guest-tool /guest-tool && mv /guest-tool /usr/bin/guest-tool
mount -t proc proc /proc
mount -t sysfs sysfs /sys
mount -t devtmpfs dev /dev
mount -t tmpfs tmp /tmp
for m in $(cat /modules/order); do insmod /modules/$m; done
stty -F /dev/ttyS1 raw -echo
exec </dev/ttyS1 >/dev/ttyS1 2>&1
cd /tmp
echo "weir-guest: booted"
while IFS= read -r line; do eval "$line"; done
"""

# gives a device its name, addresses and namespace: index, MAC address, addresses
NIC_UP = """#!/bin/sh
set -e
n=net$1
for d in /sys/class/net/*; do
	[ "$(cat $d/address)" = $2 ] || continue
	cp $d/device/features /tmp/features$1
	ip link set ${d##*/} name $n
done
pid=$$
if [ $1 != 0 ]; then
	unshare -n sleep 9999999 </dev/null >/dev/null 2>&1 &
	pid=$!
	until [ $(readlink /proc/$pid/ns/net) != $(readlink /proc/$$/ns/net) ]; do sleep 0.1; done
	ip link set $n netns $pid
else
	pid=1
fi
echo $pid >/tmp/ns$1
nsenter -n -t $pid sh -e <<END
ip link set lo up
ip addr add $3/24 dev $n
echo 0 >/proc/sys/net/ipv6/conf/$n/accept_dad
ip -6 addr add $4/64 dev $n
ip link set $n up
END
"""


@functools.lru_cache
def qemu_version():
    """QEMU's version as (major, minor)."""
    need_program(QEMU)
    text = subprocess.run([QEMU, "--version"], stdout=subprocess.PIPE, text=True,
                          check=True).stdout
    return tuple(map(int, re.search(r"version (\d+)\.(\d+)", text).groups()))


class QmpError(Failed):
    """QEMU refused a command; the text is its reason."""


class Channel:
    """A connection to a unix socket of QEMU's, read up to what one waits for."""

    def __init__(self, path, alive):
        self.sock = socket.socket(socket.AF_UNIX)
        self.alive, self.buffer = alive, b""

        def connected():
            try:
                self.sock.connect(path)
                return True
            except OSError:
                check(alive(), f"QEMU ended before it listened at {path}")
                return False
        wait_for(connected, f"QEMU at {path}")

    def read(self, pattern, timeout):
        """Wait for what matches; the match, which is taken away with all before it."""
        end = time.monotonic() + timeout
        while not (match := re.search(pattern, self.buffer)):
            left = end - time.monotonic()
            check(left > 0, f"{pattern} not within {timeout} s; there is {self.buffer[-500:]}")
            self.sock.settimeout(left)
            try:
                got = self.sock.recv(65536)
            except socket.timeout:
                continue
            except OSError:
                got = b""
            check(got, f"QEMU closed the connection; {'alive' if self.alive() else 'dead'}")
            self.buffer += got
        self.buffer = self.buffer[match.end():]
        return match

    def close(self):
        self.sock.close()


class Nic:
    """A virtio-net device.

    path    the socket of the port that it is connected to
    number  of it among all guests of a case: of its addresses
    args    QEMU's arguments of virtio-net-pci, as "mrg_rxbuf=off"
    pairs   queue pairs
    listens QEMU makes the socket and the port connects; else it connects to the port,
            again when that has gone
    iommu   it is behind the guest's IOMMU
    """

    def __init__(self, path, number, args="", pairs=1, listens=False, iommu=False):
        self.path, self.number, self.args, self.pairs = path, number, args, pairs
        self.listens, self.iommu = listens, iommu
        self.mac = f"52:54:00:00:00:{number + 1:02x}"
        self.address = f"10.0.0.{number + 1}"
        self.address6 = f"fd00::{number + 1:x}"

    def qemu(self, index):
        """QEMU's arguments."""
        again = "reconnect-ms=1000" if qemu_version() >= RECONNECT_MS_VERSION else "reconnect=1"
        chardev = f"socket,id=c{index},path={self.path}," + \
            ("server=on" if self.listens else again)
        device = [f"virtio-net-pci,id=nic{index},netdev=n{index},mac={self.mac},romfile="]
        if qemu_version() < MSIX_VERSION:
            device.append("vectors=0")
        elif self.pairs > 1:
            device.append(f"vectors={2 * self.pairs + 2}")
        device += ["mq=on"] * (self.pairs > 1) + [self.args] * (self.args != "")
        port = []
        if self.iommu:
            port = ["-device", f"pcie-root-port,id=port{index},chassis={index + 1}"]
            device += [f"bus=port{index}", IOMMU_NIC]
        return [*port, "-chardev", chardev,
                "-netdev", f"vhost-user,id=n{index},chardev=c{index},queues={self.pairs}",
                "-device", ",".join(device)]


def initramfs(ws):
    """The guest's files and its kernel: (image, initramfs). Made once a workspace."""
    if not os.path.exists(TOOL):
        raise Skip(f"no {TOOL}")
    path = os.path.join(ws.path, "initramfs")
    cache = os.path.join(BUILD_ROOT, "vm")
    os.makedirs(cache, exist_ok=True)
    try:
        with open(os.path.join(cache, ".kernel-lock"), "w", encoding="ascii") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            image, folder = vmboot.find_kernel(cache)
        if not os.path.exists(path):
            with open(path, "wb") as out:
                archive = vmboot.start_archive(out, folder, MODULES)
                archive.program(TOOL)
                archive.link("usr/bin/guest-tool", TOOL)
                archive.entry("tmp", stat.S_IFDIR | 0o777)
                archive.text("init", INIT)
                archive.text("usr/bin/nic-up", NIC_UP)
                archive.end()
    except vmboot.Skip as reason:
        raise Skip(str(reason)) from reason
    return image, path


class Vm(Process):
    """A Linux guest. The constructor returns when QEMU runs; boot() waits for the shell.

    nics      its network devices
    memory    MiB
    cpus      of the guest
    machine   further arguments of QEMU
    more_memory  the most it can grow to in MiB, beyond memory
    iommu     None: there is none; else words to its driver on the kernel's command line
    """

    def __init__(self, ws, name, nics, memory=256, cpus=2, machine=(), more_memory=0,
                 iommu=None):
        need_program(QEMU)
        image, files = initramfs(ws)
        self.nics = nics
        size = f"{memory}M" + (f",slots=8,maxmem={memory + more_memory}M" if more_memory else "")
        argv = [QEMU, "-accel", "tcg,thread=multi,tb-size=256", "-M", "q35,memory-backend=mem",
                "-cpu", "max,la57=off", "-smp", str(cpus), "-m", size,
                "-object", f"memory-backend-memfd,id=mem,size={memory}M,share=on",
                "-nodefaults", "-display", "none",
                "-serial", f"file:{ws.path}/{name}.console",
                "-chardev", f"socket,id=shell,path={ws.socket(name + '-sh')},server=on,wait=off",
                "-serial", "chardev:shell",
                "-qmp", f"unix:{ws.socket(name + '-qmp')},server=on,wait=off",
                "-kernel", image, "-initrd", files, "-append",
                vmboot.COMMAND_LINE +
                (f" intel_iommu=on {iommu}" if iommu is not None else "")]
        if iommu is not None:
            argv += IOMMU
        for index, nic in enumerate(nics):
            argv += nic.qemu(index)
        super().__init__(ws, name, [*argv, *machine])
        self.serial = 0
        self.events = []
        self.control = Channel(ws.socket(name + "-qmp"), self.alive)
        self.shell = Channel(ws.socket(name + "-sh"), self.alive)
        self.control.read(rb'"QMP".*\r?\n', TIMEOUT_S)
        self.qmp("qmp_capabilities")

    # ---- the machine

    def _message(self, timeout):
        message = json.loads(self.control.read(rb"[^\n]*\n", timeout)[0])
        if "event" in message:
            self.events.append(message)
        return message

    def qmp(self, command, timeout=TIMEOUT_S, **arguments):
        """A command of QEMU's monitor; what it returns. QmpError if it is refused."""
        request = {"execute": command, "arguments":
                   {key.replace("_", "-"): value for key, value in arguments.items()}}
        self.control.sock.sendall(json.dumps(request).encode() + b"\n")
        while True:
            message = self._message(timeout)
            if "error" in message:
                raise QmpError(f"{self.name}: {command}: {message['error']['desc']}")
            if "return" in message:
                return message["return"]

    def wait_one_of(self, *names, timeout=COMMAND_S):
        """Wait for an event of QEMU's that has not been waited for before; its name."""
        end = time.monotonic() + timeout
        while True:
            for event in self.events:
                if event["event"] in names:
                    self.events.remove(event)
                    return event["event"]
            self._message(max(end - time.monotonic(), 0.001))

    # ---- what runs in it

    def boot(self):
        """Wait for the shell, and give each device its name, addresses and namespace."""
        self.shell.read(rb"weir-guest: booted\r?\n", BOOT_S)
        for index, nic in enumerate(self.nics):
            self.sh(f"nic-up {index} {nic.mac} {nic.address} {nic.address6}")
        return self

    def take_over(self, other):
        """Be the place that another Vm's guest has moved to."""
        self.serial = other.serial

    def sh(self, command, timeout=COMMAND_S):
        """A line for the guest's shell; its output. It fails the case if it fails."""
        code, out = self.try_sh(command, timeout)
        check(code == 0, f"{self.name}: `{command}` exits with {code}: {out.strip()}")
        return out

    def try_sh(self, command, timeout=COMMAND_S):
        """The same; (exit code, output)."""
        self.serial += 1
        mark = f"weir-guest: {self.serial}: "
        line = f"({command}) </dev/null 2>&1; echo \"{mark}$?\"\n"
        self.shell.sock.sendall(line.encode())
        found = self.shell.read(rb"(?s)(.*?)" + mark.encode() + rb"(\d+)\r?\n", timeout)
        return int(found[2]), found[1].decode(errors="replace").replace("\r", "")

    def on_nic(self, index, command):
        """A command in a device's namespace."""
        return self.sh(f"nsenter -n -t $(cat /tmp/ns{index}) sh -c {shlex.quote(command)}")

    def background(self, index, command, out):
        """The same, which goes on; its output goes to a file in the guest."""
        self.on_nic(index, f"{command} >{out} 2>&1 & echo $! >{out}.pid")

    def ping(self, index, address, size=56, count=3):
        """So many of that size go and all come back."""
        out = self.on_nic(index, f"ping -c {count} -i 0.1 -W 60 -s {size} {address}")
        check(f"{count} packets transmitted, {count} packets received" in out,
              f"{self.name}: ping {address}: {out}")

    def serve(self, index):
        """Be the far end of streams to a device's addresses."""
        self.background(index, f"guest-tool serve {STREAM_PORT}", "serve")
        self.on_nic(index, f"until netstat -ltn | grep -q :{STREAM_PORT}; do sleep 0.1; done")

    def stream(self, index, address, mib):
        """So many MiB each way, at once, every byte checked at its end."""
        self.on_nic(index, f"guest-tool stream {address} {STREAM_PORT} {mib} >stream; "
                           "tail -n 1 stream; grep -q ^ok stream")

    def counter(self, index, protocol, name):
        """A counter of /proc/net/snmp in a device's namespace."""
        lines = [line.split() for line in self.on_nic(index, "cat /proc/net/snmp").splitlines()
                 if line.startswith(protocol + ":")]
        return int(lines[1][lines[0].index(name)])

    def features(self, index):
        """What the driver has negotiated, by bit."""
        out = self.sh(f"cat /tmp/features{index}")
        return sum(1 << bit for bit, on in enumerate(out.strip()) if on == "1")

    def check_intact(self):
        """No checksum was wrong, nothing that a far end received was."""
        for index in range(len(self.nics)):
            for protocol in ("Tcp", "Udp", "Icmp"):
                check_equal(self.counter(index, protocol, "InCsumErrors"), 0,
                            f"{self.name}: wrong checksums of {protocol} at device {index}")
        out = self.sh("cat serve 2>/dev/null || true")
        check("corrupt" not in out, f"{self.name}: a stream was corrupt: {out}")
        log = self.console()
        check(not re.search(r"BUG:|WARNING:|Oops|bad gso|hw csum failure", log),
              f"{self.name}: the kernel complains: {log[-2000:]}")

    def console(self):
        """What the kernel said so far."""
        with open(f"{self.ws.path}/{self.name}.console", encoding="utf-8",
                  errors="replace") as f:
            return f.read()

    def power_off(self):
        """End the guest as its owner would."""
        self.shell.sock.sendall(b"poweroff -f\n")
        check(self.wait(COMMAND_S) == 0, f"{self.name}: exit code {self.popen.returncode}")


class Stream:
    """A stream that goes on until it is ended; it outlives what happens to the network."""

    def __init__(self, vm, index, address):
        self.vm, self.index = vm, index
        vm.background(index, f"guest-tool stream {address} {STREAM_PORT} 0", "endless")

    def received(self):
        """MiB so far."""
        out = self.vm.sh("tail -n 1 endless")
        check(out == "" or out.endswith(" MiB\n"), f"{self.vm.name}: the stream ended: {out}")
        return int(out.split()[0]) if out else 0

    def advance(self, mib=3):
        """Wait until it is so much further than now."""
        goal = self.received() + mib
        wait_for(lambda: self.received() >= goal, f"{mib} MiB more", timeout=BOOT_S)

    def end(self):
        """End it; all that came was right."""
        self.vm.sh("kill -TERM $(cat endless.pid)")
        wait_for(lambda: "bytes in" in self.vm.sh("tail -n 1 endless"), "the stream's end")
        out = self.vm.sh("tail -n 1 endless")
        check(out.startswith("ok: "), f"{self.vm.name}: the stream: {out}")
