#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""Linux guests whose memory grows and shrinks under traffic.

What a guest sends is in its new memory: pages of a file there go out as they are. What
it receives is in memory that was plugged for its kernel, where such a case has that.
"""
import re

from guest import BOOT_S, Nic, QmpError, STREAM_PORT, Stream, Vm
from harness import check, check_equal, main, wait_for
from netweir import Switch, dmas

MIB = 1 << 20
BASE_MIB, DIMM_MIB, FILE_MIB = 256, 256, 8
PAGES_PER_MIB = 256
ROUNDS = 2
ONLINE = "/sys/devices/system/memory/auto_online_blocks"


def begin(ws, pairs=1, **kw):
    """A switch and a guest that can grow, with a stream that goes on."""
    switch = Switch(ws, [f"tso=1,legacy-ol-flags=1,queues={pairs},{dmas(pairs)}"] * 2,
                    engine="", paired=True, app=[f"--rxq={pairs}", f"--txq={pairs}"])
    nics = [Nic(ws.socket(f"w{n}"), n, pairs=pairs) for n in (0, 1)]
    vm = Vm(ws, "vm", nics, memory=BASE_MIB, more_memory=2048, **kw).boot()
    vm.serve(1)
    stream = Stream(vm, 0, nics[1].address)
    stream.advance()
    return switch, vm, stream


def end(switch, vm, stream):
    stream.advance()
    stream.end()
    vm.check_intact()
    check_equal([switch.port(port)["connections"] for port in (0, 1)], [1, 1], "connections")
    switch.check_copies(by_dma=True)
    vm.power_off()
    switch.stop()


def check_slots(switch, slots, mib):
    """Each port has so many slots of guest memory, of so many MiB together."""
    for port in (0, 1):
        p = switch.port(port)
        check_equal((p["memory_slots"], p["memory_bytes"]), (slots, mib * MIB),
                    f"port {port}: slots of guest memory and their bytes")


def zone(vm, name):
    """Pages (free, managed) of one of the kernel's zones."""
    text = vm.sh(f"sed -n '/zone *{name}/,/managed/p' /proc/zoneinfo")
    return [int(re.search(rf"{word} +(\d+)", text)[1]) for word in ("free", "managed")]


def plug(vm, number):
    vm.qmp("object-add", qom_type="memory-backend-memfd", id=f"m{number}",
           size=DIMM_MIB * MIB, share=True)
    vm.qmp("device_add", driver="pc-dimm", id=f"dimm{number}", memdev=f"m{number}")


def unplug(vm, number):
    """The guest may be unable at first, while pages are on their way to the network."""
    def gone():
        vm.qmp("device_del", id=f"dimm{number}")
        return vm.wait_one_of("DEVICE_DELETED", "MEM_UNPLUG_ERROR") == "DEVICE_DELETED"
    wait_for(gone, f"dimm{number} unplugged", timeout=BOOT_S)
    vm.qmp("object-del", id=f"m{number}")


def send_from_movable(vm):
    """A stream out of memory that may be taken away again, and is for movable pages."""
    vm.sh("rm -f /tmp/file")
    free, _ = zone(vm, "Movable")
    vm.on_nic(0, f"guest-tool stream {vm.nics[1].address6} {STREAM_PORT} {FILE_MIB} /tmp/file "
                 ">from-file; tail -n 1 from-file; grep -q ^ok from-file")
    used = free - zone(vm, "Movable")[0]
    check(used > FILE_MIB * PAGES_PER_MIB // 2, f"only {used} pages sent are in new memory")


def dimms(ws):
    """pc-dimm modules plugged and unplugged, with two pairs of queues."""
    switch, vm, stream = begin(ws, pairs=2)
    check_slots(switch, 1, BASE_MIB)
    vm.sh(f"echo online_kernel >{ONLINE}")
    plug(vm, 0)
    wait_for(lambda: "zone   Normal" in vm.sh("cat /proc/zoneinfo") and
             zone(vm, "Normal")[1] > DIMM_MIB * PAGES_PER_MIB // 2, "memory for the kernel")
    stream.advance()
    free, managed = zone(vm, "Normal")
    check(free < managed, "the kernel uses none of its new memory")
    vm.sh(f"echo online_movable >{ONLINE}")
    for _ in range(ROUNDS):
        for number in (1, 2):
            plug(vm, number)
            wait_for(lambda n=number: zone(vm, "Movable")[1] >= n * DIMM_MIB * PAGES_PER_MIB,
                     "movable memory")
            stream.advance(1)
        check_slots(switch, 4, BASE_MIB + 3 * DIMM_MIB)
        send_from_movable(vm)
        for number in (2, 1):
            unplug(vm, number)
            stream.advance(1)
        check_slots(switch, 2, BASE_MIB + DIMM_MIB)
    end(switch, vm, stream)


def virtio_mem(ws):
    """A virtio-mem device resized up and down."""
    backend = f"memory-backend-memfd,id=vmem,size={4 * DIMM_MIB}M,share=on"
    switch, vm, stream = begin(ws, machine=[
        "-object", backend, "-device", "virtio-mem-pci,id=vmem0,memdev=vmem,requested-size=0"])
    vm.sh(f"echo online_movable >{ONLINE}")
    for mib in (256, 1024, 128, 0, 512, 0):
        try:
            vm.qmp("qom-set", path="/machine/peripheral/vmem0", property="requested-size",
                   value=mib * MIB)
        except QmpError as e:
            check(False, f"to {mib} MiB: {e}")
        wait_for(lambda mib=mib: vm.qmp("qom-get", path="/machine/peripheral/vmem0",
                                        property="size") == mib * MIB,
                 f"{mib} MiB", timeout=BOOT_S)
        stream.advance(1)
        if mib > 0:
            wait_for(lambda mib=mib: zone(vm, "Movable")[1] >= mib * PAGES_PER_MIB // 2,
                     "movable memory")
            send_from_movable(vm)
    end(switch, vm, stream)


main("guest_memory_e2e", [dimms, virtio_mem])
