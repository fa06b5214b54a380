#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""net_weir's copies by DSA: the stock idxd driver on the model of it.

Each work queue of a function is a dmadev of its own, 0000:00:05.0-q0 and so on. Whatever
happens to a descriptor, a batch or the function, guests get every packet as it was made,
in order.
"""
from harness import check, check_equal, main
from netweir import Guest, exchange, settle
from softswitch import SoftSwitch

DSA = "0000:00:05.0"
BY_DSA = f"dmas=[txq0@{DSA}-q0;rxq0@{DSA}-q1]"
ENGINES = [f"{DSA}-q0", f"{DSA}-q1"]
GEN = "size=60-9000,window=128"


class DsaSwitch(SoftSwitch):
    """A switch with a software DSA function of two work queues."""

    def __init__(self, ws, ports=(BY_DSA,), **kw):
        super().__init__(ws, ports, make=["--dsa", "1"], take=[f"{DSA},max_queues=2"], **kw)

    def device(self, bdf=DSA):
        return super().device(bdf)


def guest_of(ws, number=0, gen=GEN):
    return Guest(ws, f"guest{number}", [(ws.socket(f"w{number}"), "queues=1,queue_size=1024")],
                 gen=f"{gen},seed={number + 1}")


def all_by_device(ws):
    """Every byte is copied by the device, and it meets no address that is not mapped."""
    switch = DsaSwitch(ws)
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


main("net_weir_dsa_e2e", [
    all_by_device,
])
