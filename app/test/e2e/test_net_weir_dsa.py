#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""net_weir's copies by DSA: the stock idxd driver on the model of it.

Each work queue of a function is a dmadev of its own, 0000:00:05.0-q0 and so on. Whatever
happens to a descriptor, a batch or the function, guests get every packet as it was made,
in order.
"""
from harness import check, check_equal, main, wait_for
from netweir import UNWATCHED, Guest, exchange, settle
from softswitch import SoftSwitch

DSA = "0000:00:05.0"
BY_DSA = f"dmas=[txq0@{DSA}-q0;rxq0@{DSA}-q1]"
ENGINES = [f"{DSA}-q0", f"{DSA}-q1"]
GEN = "size=60-9000,window=128"
# what a completion record can say: page faults of reading and writing, of a batch's list,
# malformed descriptors, the record's address, the device's own errors
CODES = (0x03, 0x83, 0x06, 0x10, 0x11, 0x12, 0x13, 0x14, 0x16, 0x18, 0x19, 0x1c, 0x1d, 0x1f,
         0x20, 0x21, 0x22)


class DsaSwitch(SoftSwitch):
    """A switch with a software DSA function of two work queues."""

    def __init__(self, ws, ports=(BY_DSA,), **kw):
        super().__init__(ws, ports, make=["--dsa", "1"], take=[f"{DSA},max_queues=2"], **kw)

    def device(self, bdf=DSA):
        return super().device(bdf)

    def plan(self, text):
        check_equal(self.ask(f"{DSA} {text}"), "ok\n", f"the answer to {text}")


def guest_of(ws, number=0, gen=GEN):
    return Guest(ws, f"guest{number}", [(ws.socket(f"w{number}"), "queues=1,queue_size=1024")],
                 gen=f"{gen},seed={number + 1}")


def all_by_device(ws):
    """Every byte is copied by the device, and it meets no address that is not mapped."""
    switch = DsaSwitch(ws, [f"{UNWATCHED},{BY_DSA}"])
    switch.check_space(ENGINES, 0)
    guest = guest_of(ws)
    exchange([guest.begin()], 5000)
    switch.check_space(ENGINES, switch.port()["memory_slots"])
    check_equal(settle([guest], switch), 0, "packets dropped")
    switch.check_copies(by_dma=True, by_cpu=False)
    made, device = guest.totals("tx")[0], switch.device()
    check(device["work"] >= 2 * made, f"{made} packets by {device}")
    check_equal((device["errors"], device["faults"]), (0, 0), "errors and faults")
    guest.stop()
    switch.wait_waiting()
    switch.check_space(ENGINES, 0)
    switch.stop()


def failures(first, nr, code):
    return "fail " + "+".join(f"{first + n}:{code:#x}" for n in range(nr))


def errors_of_the_device_lose_nothing(ws):
    """Every code, for twelve in a row. There are about sixty copies to a batch, so that batches
    fail too, and what follows them then; that takes the device out of use for a time."""
    switch = DsaSwitch(ws)
    guest = guest_of(ws).begin()
    exchange([guest], 500)
    for code in CODES:
        for first in (100, 211, 322):
            before = switch.device()["errors"]
            switch.plan(failures(first, 12, code))
            wait_for(lambda before=before: switch.device()["errors"] > before,
                     f"errors {code:#x}")
            exchange([guest], 500)
            switch.plan("clear")
    check_equal(settle([guest], switch), 0, "packets dropped")
    check(switch.queue_sum("dma_errors") >= 3 * len(CODES), "errors were not counted")
    check_equal(switch.device()["faults"], 0, "faults")
    guest.stop()
    switch.stop()


def stalls_lose_nothing(ws):
    """The function stands still, for less than the watchdog waits and for longer: nothing that it
    may still write to is used before it has gone on, and then it is taken back."""
    switch = DsaSwitch(ws)
    guest = guest_of(ws).begin()
    exchange([guest], 500)
    switch.plan("delay 100:20000+300:100000")
    exchange([guest], 2000)
    for _ in range(3):
        mark = switch.log_mark()
        switch.plan("stall 50")
        wait_for(lambda: switch.device()["stalled"], "the stall")
        # the driver says that it is stopped; what was under way is left alone nevertheless
        switch.wait_log("does not stop, its copies stay under way", mark)
        in_flight = switch.queue_sum("in_flight")
        check(in_flight > 0, "nothing is in flight")
        switch.plan("resume")
        exchange([guest], 500)
        before = switch.device()["work"]
        wait_for(lambda before=before: switch.device()["work"] > before + 500,
                 "the device's being used again")
    check_equal(settle([guest], switch), 0, "packets dropped")
    check_equal(switch.device()["faults"], 0, "faults")
    guest.stop()
    switch.stop()


def check_used(switch, guest):
    work = switch.device()["work"]
    exchange([guest], 1000)
    check(switch.device()["work"] > work + 1000, "the device is not used")


def device_goes_and_comes_back(ws):
    """The function is asked for in mid traffic, twice: packets go on by CPU, and by its work
    queues when it is back. The port, its guest and the guest's memory stay."""
    switch = DsaSwitch(ws)
    guest = guest_of(ws).begin()
    exchange([guest], 1000)
    for _ in range(2):
        mark = switch.log_mark()
        switch.plan("request")
        for engine in ENGINES:
            switch.wait_log(f"{engine}: it is going to be removed", mark)
        switch.command(f"device detach {DSA}")
        check_equal(switch.telemetry("/dmadev/list"), [], "dmadevs")
        exchange([guest], 1000)
        # it finds no ethdev, and does not mind
        switch.command(f"port attach {DSA},max_queues=2")
        for engine in ENGINES:
            switch.wait_log(f"{engine}: test copies arrive, in use again", mark)
        check_used(switch, guest)
    check_equal(settle([guest], switch), 0, "packets dropped")
    check_equal(switch.device()["faults"], 0, "faults")
    guest.stop()
    switch.stop()


def device_vanishes(ws):
    """It is gone at once, without being asked for. Packets go on by CPU, and none is lost."""
    switch = DsaSwitch(ws)
    guest = guest_of(ws).begin()
    exchange([guest], 1000)
    mark = switch.log_mark()
    switch.plan("unplug")
    for engine in ENGINES:
        switch.wait_log(f"{engine}: it is going to be removed", mark)
    exchange([guest], 1000)
    # DPDK's driver then keeps one of the two, so that it cannot be attached again
    switch.command(f"device detach {DSA}")
    exchange([guest], 1000)
    check_equal(settle([guest], switch), 0, "packets dropped")
    guest.stop()
    switch.wait_waiting()
    switch.kill9()


main("net_weir_dsa_e2e", [
    all_by_device,
    errors_of_the_device_lose_nothing,
    stalls_lose_nothing,
    device_goes_and_comes_back,
    device_vanishes,
])
