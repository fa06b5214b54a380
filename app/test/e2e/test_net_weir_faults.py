#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""The fault campaign: engines that fail and stand still under traffic both ways.

Every code that a device can fail with, at every place of a burst from 0 to 31; every kind
of standing still, at places from the first to the last. On the models of I/OAT and DSA
under DPDK's own drivers, and on dma_weir. net_wgen makes the packets and checks every
byte of what comes back: none may be lost, changed, twice or out of order, whatever
happens; no address may be touched that is not mapped; and at the end the engine copies
as before.

The cases that are named `whole` take minutes and are in the suite `long`.
"""
from harness import check, check_equal, main, wait_for
from netweir import Guest, Switch, exchange, settle
from softswitch import SoftSwitch

PLACES = 32
FEW_PLACES = (0, 1, 15, 31)
GEN = "size=60-9000,window=128"
# milliseconds; faults of one kind follow each other, and each stall takes so long
WATCHDOG = 100
# so many faults at once are too few for the engine to be put aside
AT_ONCE = 8
# CHANERR: every bit that is defined, of addresses, lengths, data, descriptors, interrupts
IOAT_CODES = [1 << bit for bit in range(19)]
# what a completion record can say, see test_net_weir_dsa.py
DSA_CODES = (0x03, 0x83, 0x06, 0x10, 0x11, 0x12, 0x13, 0x14, 0x16, 0x18, 0x19, 0x1c, 0x1d, 0x1f,
             0x20, 0x21, 0x22)


class FaultySwitch(SoftSwitch):
    """A switch with one software PCI device, and commands to that."""

    def __init__(self, ws, kind, bdf, engines, take):
        self.bdf = bdf
        super().__init__(ws, [f"dmas=[txq0@{bdf}{engines[0]};rxq0@{bdf}{engines[1]}],"
                              f"dma-watchdog={WATCHDOG}"],
                         make=[f"--{kind}", "1"], take=[bdf + take])

    def plan(self, text):
        check_equal(self.ask(f"{self.bdf} {text}"), "ok\n", f"the answer to {text}")

    def count(self, what):
        return self.device(self.bdf)[what]


def ioat(ws):
    return FaultySwitch(ws, "ioat", "0000:00:04.0", ("", ""), "")


def dsa(ws):
    return FaultySwitch(ws, "dsa", "0000:00:05.0", ("-q0", "-q1"), ",max_queues=2")


def guest_of(ws, number=0):
    return Guest(ws, f"guest{number}", [(ws.socket("w0"), "queues=1,queue_size=1024")],
                 gen=f"{GEN},seed=1").begin()


def wait_used(switch):
    """The engine is given copies again, and does them."""
    before = switch.count("work")
    wait_for(lambda: switch.count("work") > before + 1000, "the engine's being used")


def end(switch, guest):
    """It works as before, and nothing was lost on the way."""
    switch.plan("clear")
    wait_used(switch)
    exchange([guest], 1000)
    check_equal(settle([guest], switch), 0, "packets dropped")
    check_equal(switch.count("faults"), 0, "addresses that were not mapped")
    guest.stop()
    switch.stop()


def each_code_at_each_place(switch, guest, codes):
    for code in codes:
        for first in range(0, PLACES, AT_ONCE):
            before = switch.count("errors")
            switch.plan("fail " + "+".join(f"@{place}:{code:#x}"
                                           for place in range(first, first + AT_ONCE)))
            wait_for(lambda before=before: switch.count("errors") >= before + AT_ONCE,
                     f"errors {code:#x} from place {first} on")
            exchange([guest], 50)
    check(switch.queue_sum("dma_errors") >= PLACES * len(codes), "errors were not counted")


def stands_for_a_while(switch, guest, place, ms):
    """It goes on by itself, sooner or later than the watchdog looks."""
    switch.plan(f"delay @{place}:{ms * 1000}")
    exchange([guest], 300)
    # else what stands next may be what stood still
    wait_used(switch)


def stands_until_resumed(switch, guest, place):
    """It is put aside, does not let itself be stopped, and goes on one day."""
    mark = switch.log_mark()
    switch.plan(f"stall @{place}")
    wait_for(lambda: switch.count("stalled"), "the stall")
    switch.wait_log("its oldest copy does not end", mark)
    switch.plan("resume")
    exchange([guest], 300)
    wait_used(switch)


def stands_and_fails(switch, guest, place, code):
    """What it had in its hands when it stood still fails when it goes on."""
    switch.plan(f"fail @{place}:{code:#x}")
    stands_until_resumed(switch, guest, place)


def each_stall_at(switch, guest, places, code):
    for place in places:
        stands_for_a_while(switch, guest, place, WATCHDOG // 4)
        stands_for_a_while(switch, guest, place, 3 * WATCHDOG)
        stands_until_resumed(switch, guest, place)
        stands_and_fails(switch, guest, place, code)


def campaign(ws, make, codes, places):
    switch = make(ws)
    guest = guest_of(ws)
    exchange([guest], 500)
    each_code_at_each_place(switch, guest, codes)
    each_stall_at(switch, guest, places, codes[0])
    end(switch, guest)


def ioat_fails_and_stalls(ws):
    campaign(ws, ioat, IOAT_CODES, FEW_PLACES)


def dsa_fails_and_stalls(ws):
    campaign(ws, dsa, DSA_CODES, FEW_PLACES)


def ioat_whole(ws):
    campaign(ws, ioat, IOAT_CODES, range(PLACES))


def dsa_whole(ws):
    campaign(ws, dsa, DSA_CODES, range(PLACES))


# of dma_weir, whose faults are arguments: each status at each place in turn, in order and
# not; giving up at a place; and kinds of standing still
WEIR_FEW = [
    "fail_at=turn,fail_code=6,reorder=1",
    "mode=thread,delay_us=50,fail_at=3,halt=1",
    "mode=thread,stall_after=500",
]
WEIR_WHOLE = [
    *(f"fail_at=turn,fail_code={code},reorder={code % 2}" for code in range(1, 14)),
    *(f"mode=thread,delay_us=20,fail_at={place},fail_code=6,halt=1" for place in range(PLACES)),
    "mode=thread,stall_after=500,reorder=1",
    "mode=thread,stall_after=500,fail_nth=40",
    "mode=thread,delay_us=300000",
    "mode=thread,fail_nth=1",
    "mode=thread,fail_nth=2,halt=1",
]


def dma_weir_runs(ws, kinds):
    for number, args in enumerate(kinds):
        switch = Switch(ws, [f"dmas=[txq0@dma_weir0;rxq0@dma_weir0],dma-watchdog={WATCHDOG}"],
                        engine=args, name=f"switch{number}")
        guest = guest_of(ws, number)
        exchange([guest], 2000)
        check_equal(settle([guest], switch), 0, f"packets dropped with {args}")
        check(switch.queue_sum("dma_errors") + switch.queue_sum("cpu_copies") > 0,
              f"nothing went wrong with {args}")
        check_equal(switch.engine("faults"), 0, f"faults with {args}")
        guest.stop()
        switch.stop()


def dma_weir_fails_and_stalls(ws):
    dma_weir_runs(ws, WEIR_FEW)


def dma_weir_whole(ws):
    dma_weir_runs(ws, WEIR_WHOLE)


main("net_weir_faults_e2e", [
    ioat_fails_and_stalls,
    dsa_fails_and_stalls,
    dma_weir_fails_and_stalls,
    ioat_whole,
    dsa_whole,
    dma_weir_whole,
])
