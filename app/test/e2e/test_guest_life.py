#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""Linux guests that are paused, reset, rebooted and killed, and switches that are."""
from guest import Nic, Stream, Vm
from harness import check, check_equal, main, wait_for
from netweir import BOTH_BY_DMA, Switch

PORT = "tso=1,legacy-ol-flags=1," + BOTH_BY_DMA
MIB = 4


def new_switch(ws, name="switch", client=0):
    return Switch(ws, [f"client={client},{PORT}"] * 2, engine="", paired=True, name=name)


def two_nics(ws, **kw):
    return Vm(ws, "vm", [Nic(ws.socket(f"w{n}"), n, **kw) for n in (0, 1)]).boot()


def link_events(switch, port):
    return switch.log().count(f"Port {port}: link state change event")


def paused_and_continued(ws):
    """A guest that stands still for a while goes on with its stream; its link stays up or
    comes back, and nothing is lost."""
    switch = new_switch(ws)
    vm = two_nics(ws)
    vm.serve(1)
    stream = Stream(vm, 0, vm.nics[1].address)
    for _ in range(5):
        stream.advance()
        vm.qmp("stop")
        wait_for(lambda: switch.queue_sum("in_flight") == 0, "no packet in flight")
        vm.qmp("cont")
        for port in (0, 1):
            wait_for(lambda port=port: switch.link_up(port), f"link of port {port}")
    stream.advance()
    stream.end()
    vm.check_intact()
    switch.check_no_errors()
    check_equal([switch.port(port)["connections"] for port in (0, 1)], [1, 1], "connections")
    vm.power_off()
    switch.stop()


def switch_killed(ws, client):
    """A switch killed in mid traffic, thrice: with the next one the stream goes on."""
    switch = new_switch(ws, client=client)
    vm = two_nics(ws, listens=client == 1)
    vm.serve(1)
    stream = Stream(vm, 0, vm.nics[1].address)
    for number in range(3):
        stream.advance()
        switch.kill9()
        switch = new_switch(ws, f"switch{number}", client)
        for port in (0, 1):
            wait_for(lambda port=port: switch.link_up(port), f"link of port {port}")
    stream.advance()
    stream.end()
    vm.check_intact()
    switch.check_no_errors()
    vm.power_off()
    switch.stop()


def switch_killed_qemu_connects(ws):
    """The ports listen, QEMU connects and connects again."""
    switch_killed(ws, client=0)


def switch_killed_qemu_listens(ws):
    """QEMU listens, the ports connect: what is started later finds the guest there."""
    switch_killed(ws, client=1)


def restarted(ws, how):
    """Two guests; one is restarted in mid traffic, in some way, twice. The other's link
    does not notice, and each life of the first talks to it."""
    switch = new_switch(ws)
    nics = [Nic(ws.socket(f"w{n}"), n) for n in (0, 1)]
    far, near = (Vm(ws, f"vm{n}", [nics[n]], memory=192, cpus=1) for n in (1, 0))
    far.boot().serve(0)
    near.boot()
    events = link_events(switch, 1)
    for number in range(2):
        Stream(near, 0, nics[1].address).advance()
        near = how(ws, near, number).boot()
        wait_for(lambda: switch.link_up(0), "the link of the guest that came back")
        near.ping(0, nics[1].address)
        near.stream(0, nics[1].address, MIB)
    check(switch.link_up(1), "the other guest has no link")
    check_equal(link_events(switch, 1), events, "its link's events")
    near.check_intact()
    far.check_intact()
    switch.check_no_errors()
    switch.check_none_parted(0)
    for vm in (near, far):
        vm.power_off()
    switch.stop()


def reset(_, vm, __):
    vm.qmp("system_reset")
    return vm


def reboot(_, vm, __):
    vm.shell.sock.sendall(b"reboot -f\n")
    return vm


def kill(ws, vm, number):
    vm.kill9()
    return Vm(ws, f"vm0-{number}", vm.nics, memory=192, cpus=1)


def guest_reset(ws):
    """QEMU's reset button."""
    restarted(ws, reset)


def guest_reboots(ws):
    """The kernel restarts the machine."""
    restarted(ws, reboot)


def qemu_killed(ws):
    """The machine is gone at once, and another one is in its place."""
    restarted(ws, kill)


main("guest_life_e2e", [
    paused_and_continued,
    switch_killed_qemu_connects,
    switch_killed_qemu_listens,
    guest_reset,
    guest_reboots,
    qemu_killed,
])
