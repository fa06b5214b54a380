#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""net_weir in stock OVS-DPDK, which is neither built nor started for it."""
from guest import Nic, Stream, Vm
from harness import check_equal, main, wait_for
from netweir import BOTH_BY_DMA, Guest, exchange, settle
from ovs import Ovs

SMALL, LARGE = "size=60-1514,window=100", "size=60-9000,window=30"
JUMBO_MTU = 9000


def checked_by_generators(ws, gen, mtu):
    """Two guests' packets to each other, by CPU one way and by DMA the other: all whole,
    all counted by OVS."""
    ovs = Ovs(ws, engine="")
    for number, args in enumerate(("", BOTH_BY_DMA)):
        ovs.add_port(number, args, mtu)
    ovs.cross(0, 1)
    guests = [Guest(ws, f"guest{n}", [(ws.socket(f"w{n}"), "queue_size=1024")], gen=gen,
                    core=1, mem_mib=64) for n in (0, 1)]
    # what is sent to a port without a guest is dropped
    wait_for(lambda: ovs.link_up(0) and ovs.link_up(1), "the links in the database")
    for guest in guests:
        guest.begin()
    exchange(guests, 3000)
    check_equal(settle(guests), 0, "packets dropped")
    for number, guest in enumerate(guests):
        s = ovs.statistics(number)
        check_equal(s["rx_packets"], guest.totals("tx")[0], f"packets received: {s}")
        check_equal(s["tx_dropped"] + s["tx_errors"] + s["rx_errors"], 0, f"drops: {s}")
    for guest in guests:
        guest.stop()
    ovs.stop()


def frames_of_every_size(ws):
    """With OVS's usual MTU."""
    checked_by_generators(ws, SMALL, 1500)


def jumbo_frames(ws):
    """With mtu_request=9000: a frame is in one long mbuf."""
    checked_by_generators(ws, LARGE, JUMBO_MTU)


def linux_guest(ws):
    """A Linux guest on two ports of a learning bridge. A port is removed and added, and
    vswitchd is killed and started again: its stream goes on."""
    ovs = Ovs(ws, engine="")
    for number in (0, 1):
        ovs.add_port(number, BOTH_BY_DMA)
    vm = Vm(ws, "vm", [Nic(ws.socket(f"w{n}"), n) for n in (0, 1)]).boot()
    for index, other in ((0, vm.nics[1]), (1, vm.nics[0])):
        vm.ping(index, other.address)
        vm.ping(index, other.address6, 1000)
    vm.serve(1)
    stream = Stream(vm, 0, vm.nics[1].address)
    stream.advance()
    ovs.vsctl("del-port", "br0", "w1")
    ovs.add_port(1, BOTH_BY_DMA)
    stream.advance()
    ovs.switchd.kill9()
    ovs.start()
    stream.advance()
    stream.end()
    vm.check_intact()
    wait_for(lambda: ovs.link_up(0) and ovs.link_up(1), "the links in the database")
    vm.power_off()
    ovs.stop()


main("ovs_e2e", [frames_of_every_size, jumbo_frames, linux_guest])
