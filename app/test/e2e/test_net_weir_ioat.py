#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""net_weir's copies by hardware engines: the stock I/OAT driver on the model of it.

The switch runs in the software VFIO, whose IOMMU knows what EAL has mapped and what
weir has. An address that neither has is a fault, counted by the device.
"""
import os

from harness import BUILD_ROOT, check, check_equal, main, wait_for
from netweir import UNWATCHED, Guest, dmas, exchange, settle
from softswitch import SoftSwitch

DEVICES = ["0000:00:04.0", "0000:00:04.1"]
BY_IOAT = dmas(1, DEVICES[0])
ONLY_BY_IOAT = f"{UNWATCHED},{BY_IOAT}"
GEN = "size=60-9000,window=128"


class IoatSwitch(SoftSwitch):
    """A switch with software I/OAT devices, `devices` of which EAL takes.

    soft  options of devtools/softvfio
    """

    def __init__(self, ws, ports, devices=1, soft=(), **kw):
        super().__init__(ws, ports, make=["--ioat", "2", *soft], take=DEVICES[:devices],
                         hide=[] if devices else DEVICES, **kw)

    def device(self, bdf=DEVICES[0]):
        return super().device(bdf)


def guest_of(ws, number=0, args="queues=1,queue_size=1024", gen=GEN):
    return Guest(ws, f"guest{number}", [(ws.socket(f"w{number}"), args)],
                 gen=f"{gen},seed={number + 1}")


def all_by_device(ws, iova):
    """Every byte is copied by the device, and it meets no address that is not mapped."""
    switch = IoatSwitch(ws, [ONLY_BY_IOAT], iova=iova, name=f"switch-{iova}")
    switch.check_space([DEVICES[0]] * 2, 0)
    check("guest memory is mapped in EAL's VFIO container (vfio/type1" in switch.log(),
          "the log does not tell of the container")
    guest = guest_of(ws)
    exchange([guest.begin()], 5000)
    switch.check_space([DEVICES[0]] * 2, switch.port()["memory_slots"])
    # its address has what no key of an answer may have
    check_equal({key: d["name"] for key, d in switch.telemetry("/weir/copy").items()
                 if isinstance(d, dict)}, {"0000_00_04_0": DEVICES[0]}, "the engines")
    check_equal(switch.telemetry("/weir/copy", DEVICES[0])["queues"], 2, "the engine's queues")
    check_equal(settle([guest], switch), 0, "packets dropped")
    switch.check_copies(by_dma=True, by_cpu=False)
    made, device = guest.totals("tx")[0], switch.device()
    check(device["work"] >= 2 * made, f"{made} packets by {device}")
    check_equal((device["errors"], device["faults"]), (0, 0), "errors and faults")
    guest.stop()
    switch.wait_waiting()
    switch.check_space([DEVICES[0]] * 2, 0)
    switch.stop()


def all_by_device_with_virtual_iovas(ws):
    all_by_device(ws, "va")


def all_by_device_with_physical_iovas(ws):
    """EAL's memory by physical address, the guest's by virtual, in one container."""
    all_by_device(ws, "pa")


def container_that_eal_does_not_tell(ws):
    """Where EAL opens another container when it is asked for its own: that is found, and the
    other is closed."""
    switch = IoatSwitch(ws, [ONLY_BY_IOAT],
                        preload=f"{BUILD_ROOT}/app/test/e2e/libweir_old_vfio.so")
    switch.check_space([DEVICES[0]] * 2, 0)
    guest = guest_of(ws)
    exchange([guest.begin()], 5000)
    check_equal(settle([guest], switch), 0, "packets dropped")
    switch.check_copies(by_dma=True, by_cpu=False)
    check_equal(switch.device()["faults"], 0, "faults")
    folder = f"/proc/{switch.client.pid}/fd"
    fds = [os.readlink(f"{folder}/{fd}") for fd in os.listdir(folder)]
    check_equal(len([fd for fd in fds if "vfio-container" in fd]), 1, "containers that are open")
    guest.stop()
    switch.stop()


def errors_of_the_device_lose_nothing(ws):
    """Copies that the device fails, in bursts too, are done again by CPU; it goes on."""
    switch = IoatSwitch(ws, [BY_IOAT])
    guest = guest_of(ws).begin()
    for code in ("0x1", "0x2", "0x80"):
        at = switch.device()["work"] + 100
        plan = "+".join(f"{at + n}:{code}" for n in (0, 1, 2, 50, 400))
        errors = switch.device()["errors"]
        check_equal(switch.ask(f"{DEVICES[0]} fail {plan}"), "ok\n", "the answer")
        wait_for(lambda errors=errors: switch.device()["errors"] >= errors + 5,
                 f"5 errors {code}")
        exchange([guest], 1000)
    check_equal(settle([guest], switch), 0, "packets dropped")
    check(switch.queue_sum("dma_errors") >= 15, "errors were not counted")
    check_equal(switch.device()["faults"], 0, "faults")
    guest.stop()
    switch.stop()


def two_guests_with_a_device_each(ws):
    """Two ports, two devices, one container; guests come and go."""
    switch = IoatSwitch(ws, [f"{UNWATCHED},{dmas(1, bdf)}" for bdf in DEVICES], devices=2,
                        paired=True)
    guests = [guest_of(ws, i, gen="size=60-1514,window=200") for i in (0, 1)]
    for guest in guests:
        guest.begin()
    exchange(guests, 5000)
    check_equal(settle(guests, switch), 0, "packets dropped")
    switch.check_copies(by_dma=True, by_cpu=False)
    guests[0].kill9()
    switch.wait_waiting(0)
    switch.check_space([bdf for bdf in DEVICES for _ in "rt"], 1)
    again = guest_of(ws, 0, gen="size=60-1514,window=200")
    wait_for(switch.link_up, "the link's being up")
    switch.check_space([bdf for bdf in DEVICES for _ in "rt"], 2)
    again.stop()
    guests[1].stop()
    check_equal([switch.device(bdf)["faults"] for bdf in DEVICES], [0, 0], "faults")
    switch.stop()


def device_beside_software_engine(ws):
    """One port by each kind of engine: both see both guests, each by its own IOMMU."""
    switch = IoatSwitch(ws, [ONLY_BY_IOAT, dmas(1)], engine="", paired=True)
    guests = [guest_of(ws, i, gen="size=60-1514,window=200") for i in (0, 1)]
    for guest in guests:
        guest.begin()
    exchange(guests, 5000)
    switch.check_space([DEVICES[0]] * 2, 2)
    check_equal(settle(guests, switch), 0, "packets dropped")
    switch.check_copies(by_dma=True, by_cpu=False)
    check_equal(switch.device()["faults"], 0, "faults")
    for process in (*guests, switch):
        process.stop()


def device_comes_late_and_goes(ws):
    """The device, and EAL's container with it, appears while a port by software is at work:
    that port's guest is mapped there as long as there is a port by hardware. Twice: the
    container has forgotten all meanwhile."""
    switch = IoatSwitch(ws, [dmas(1)], engine="", devices=0)
    guest = guest_of(ws, 0, gen="size=60-1514,window=200").begin()
    exchange([guest])
    for name in ("net_weir7", "net_weir8"):
        switch.check_space([], 1)
        # it finds no ethdev, and does not mind
        switch.command(f"port attach {DEVICES[0]}")
        switch.command(f"port attach {name},iface={ws.socket(name)},{BY_IOAT}")
        switch.command("port start 1")
        check_equal(switch.telemetry("/weir/ports", name)["state"], "waiting", "the state")
        switch.check_space([DEVICES[0]] * 2, 1)
        exchange([guest])
        for line in ("stop", "set portlist 0", "start", "port stop 1", "port close 1"):
            switch.command(line)
        switch.check_space([], 1)
        switch.command(f"device detach {DEVICES[0]}")
        wait_for(lambda: not switch.telemetry("/dmadev/list")[1:], "the device's end")
        exchange([guest])
    check_equal(settle([guest], switch), 0, "packets dropped")
    switch.check_no_errors()
    guest.stop()
    switch.stop()


def device_goes_and_comes_back(ws):
    """A device is asked for in mid traffic, twice: packets go on by CPU, and by the device when
    it is back. The port, its guest and the guest's memory stay."""
    switch = IoatSwitch(ws, [BY_IOAT])
    guest = guest_of(ws).begin()
    exchange([guest], 1000)
    for _ in range(2):
        mark = switch.log_mark()
        check_equal(switch.ask(f"{DEVICES[0]} request"), "ok\n", "the request")
        switch.wait_log(f"{DEVICES[0]}: it is going to be removed", mark)
        switch.command(f"device detach {DEVICES[0]}")
        check_equal(switch.telemetry("/dmadev/list"), [], "dmadevs")
        exchange([guest], 1000)
        # it finds no ethdev, and does not mind
        switch.command(f"port attach {DEVICES[0]}")
        switch.wait_log(f"{DEVICES[0]}: test copies arrive, in use again", mark)
        work = switch.device()["work"]
        exchange([guest], 1000)
        check(switch.device()["work"] > work + 1000, "the device is not used again")
    check_equal(settle([guest], switch), 0, "packets dropped")
    check_equal(switch.device()["faults"], 0, "faults")
    guest.stop()
    switch.stop()


def device_vanishes(ws):
    """It is gone at once, without being asked for. Packets go on by CPU, and none is lost; DPDK's
    driver, which would crash, is not called any more."""
    switch = IoatSwitch(ws, [BY_IOAT])
    guest = guest_of(ws).begin()
    exchange([guest], 1000)
    mark = switch.log_mark()
    check_equal(switch.ask(f"{DEVICES[0]} unplug"), "ok\n", "the answer")
    switch.wait_log(f"{DEVICES[0]}: it is going to be removed", mark)
    exchange([guest], 1000)
    check_equal(settle([guest], switch), 0, "packets dropped")
    guest.stop()
    switch.wait_waiting()
    switch.kill9()


def unplug(switch, bdf=DEVICES[0]):
    """Take the device that the switch's first port works with."""
    mark = switch.log_mark()
    check_equal(switch.ask(f"{bdf} request"), "ok\n", "the request")
    switch.wait_log(f"{bdf}: it is going to be removed", mark)
    switch.command(f"device detach {bdf}")
    wait_for(lambda: switch.telemetry("/dmadev/list") == [], "the device's end")
    return mark


def guest_comes_while_the_device_is_away(ws):
    """The container has no device: guests are served by CPU, and by the device when it is back,
    which sees the memory of those who have come meanwhile."""
    switch = IoatSwitch(ws, [BY_IOAT])
    guest = guest_of(ws).begin()
    exchange([guest], 1000)
    mark = unplug(switch)
    exchange([guest], 1000)
    guest.stop()
    switch.wait_waiting()
    guest = Guest(ws, "again", [(ws.socket("w0"), "queues=1,queue_size=1024")],
                  gen=f"{GEN},seed=3").begin()
    exchange([guest], 1000)
    switch.command(f"port attach {DEVICES[0]}")
    switch.wait_log(f"{DEVICES[0]}: test copies arrive, in use again", mark)
    work = switch.device()["work"]
    exchange([guest], 2000)
    check(switch.device()["work"] > work + 1000, "the device is not used again")
    check_equal(settle([guest], switch), 0, "packets dropped")
    check_equal(switch.device()["faults"], 0, "faults")
    switch.check_space([DEVICES[0]] * 2, switch.port()["memory_slots"])
    guest.stop()
    switch.stop()


def container_lost_between_two_devices(ws):
    """One device goes, another comes with a guest of its own, and the first is back: the
    container had forgotten the first guest's memory, and nobody had asked it meanwhile."""
    switch = IoatSwitch(ws, [BY_IOAT])
    guests = [guest_of(ws).begin()]
    exchange(guests, 1000)
    mark = unplug(switch)
    switch.command(f"port attach {DEVICES[1]}")
    switch.command(f"port attach net_weir7,iface={ws.socket('w7')},{dmas(1, DEVICES[1])}")
    switch.command("port start 1")
    guests.append(guest_of(ws, 7).begin())
    wait_for(lambda: switch.telemetry("/weir/ports", "net_weir7")["memory_slots"] > 0,
             "the second guest's memory")
    switch.command(f"port attach {DEVICES[0]}")
    switch.wait_log(f"{DEVICES[0]}: test copies arrive, in use again", mark)
    work = switch.device()["work"]
    exchange(guests[:1], 2000)
    check(switch.device()["work"] > work + 1000, "the device is not used again")
    check_equal([switch.device(bdf)["faults"] for bdf in DEVICES], [0, 0], "faults")
    for process in (*guests, switch):
        process.stop()


def full_container_refuses_the_guest(ws):
    """EAL has taken all entries but a few: a guest is refused, and the log says why."""
    switch = IoatSwitch(ws, [BY_IOAT], soft=["--limit", "1"])
    mark = switch.log_mark()
    Guest(ws, "guest", [(ws.socket("w0"), "queues=1")])
    found = switch.wait_log(r"vfio/type1\S* cannot hold \[.*\]: entries it may have (\d+)", mark)
    check_equal(found[1], "0", "entries left")
    switch.check_space([DEVICES[0]] * 2, 0)
    check(not switch.link_up(), "the link is up without the guest's memory")
    switch.stop()


main("net_weir_ioat_e2e", [
    all_by_device_with_virtual_iovas,
    all_by_device_with_physical_iovas,
    container_that_eal_does_not_tell,
    errors_of_the_device_lose_nothing,
    two_guests_with_a_device_each,
    device_beside_software_engine,
    device_comes_late_and_goes,
    device_goes_and_comes_back,
    device_vanishes,
    guest_comes_while_the_device_is_away,
    container_lost_between_two_devices,
    full_container_refuses_the_guest,
])
