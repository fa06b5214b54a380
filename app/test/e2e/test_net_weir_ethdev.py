#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""What testpmd's commands ask of an ethdev, asked of net_weir, with packets on the way."""
import re

from harness import check, check_equal, main, need_built, wait_for
from netweir import BOTH_BY_DMA, WEIR_PLUGINS, Guest, Switch, dmas, exchange, settle
from testpmd import TestPmd

PAIRS = 2
VIRTIO_USER = f"queues={PAIRS},queue_size=1024"
QUEUES = [f"--rxq={PAIRS}", f"--txq={PAIRS}"]
# its messages would get into the middle of the prompt
QUIET = ["--mask-event=queue_state"]


def traffic(ws, port):
    """A switch with a port of two pairs, and a guest on it."""
    switch = Switch(ws, [f"queues={PAIRS},{port}"], engine="", app=[*QUEUES, *QUIET])
    guest = Guest(ws, "guest", [(ws.socket("w0"), VIRTIO_USER)], app=QUEUES,
                  gen="size=60-1514,window=200").begin()
    exchange([guest], 1000)
    return switch, guest


def shown(switch, what, queue=0):
    """A table of "Name: value" lines."""
    return dict(re.findall(r"^([A-Z][^:\n]*): (.*)$", switch.command(f"show {what} info 0 {queue}"),
                           re.M))


def queues_and_modes_shown(ws):
    """show rxq/txq info: what was set up, the state, and who copies."""
    switch, guest = traffic(ws, dmas(PAIRS))
    rx, tx = shown(switch, "rxq"), shown(switch, "txq", 1)
    check_equal(rx["RX scattered packets"], "on", f"scatter of {rx}")
    check_equal(rx["Rx queue state"], "started", f"state of {rx}")
    check_equal(tx["Tx queue state"], "started", f"state of {tx}")
    check(rx["Mempool"] != "NULL", f"no pool in {rx}")
    for table in (rx, tx):
        check_equal(table["Burst mode"], "copies by dma_weir0", f"burst mode of {table}")
    guest.stop()
    switch.stop()


def queues_stopped_under_traffic(ws):
    """port 0 rxq 0 stop: its packets wait; the other queue's go on; nothing is lost."""
    switch, guest = traffic(ws, dmas(PAIRS))
    for _ in range(3):
        switch.command("stop")
        switch.command("port 0 rxq 1 stop")
        switch.command("port 0 txq 1 stop")
        check_equal(shown(switch, "rxq", 1)["Rx queue state"], "stopped", "the state of rxq 1")
        check_equal(switch.queues()["rxq1"]["ring"], "stopped", "the ring of rxq 1")
        check_equal(switch.queues()["rxq0"]["ring"], "running", "the ring of rxq 0")
        check(switch.link_up(), "the link is down")
        switch.command("port 0 rxq 1 start")
        switch.command("port 0 txq 1 start")
        switch.command("start")
        exchange([guest], 1000)
    settle([guest], switch)
    switch.check_no_errors()
    guest.stop()
    switch.stop()


def settings_taken(ws):
    """MTU, MAC, promiscuous and multicast modes, counters: testpmd has no complaint."""
    switch, guest = traffic(ws, BOTH_BY_DMA)
    for line in ("port config mtu 0 9000", "mac_addr set 0 02:00:00:00:00:77",
                 "set promisc 0 on", "set promisc 0 off", "set allmulti 0 on",
                 "set allmulti 0 off", "clear port stats 0", "clear port xstats 0"):
        said = switch.command(line)
        check(not re.search("fail|error|invalid|not supported", said, re.I), f"{line}: {said}")
    text = switch.command("show port info 0")
    check("MTU: 9000" in text and "02:00:00:00:00:77" in text.lower(), f"not kept: {text}")
    check_equal(switch.command("mcast_addr add 0 01:00:5e:00:00:01").strip(), "", "a group")
    exchange([guest], 1000)
    settle([guest], switch)
    guest.stop()
    switch.stop()


def all_queues(pmd):
    """What /weir/ports says of each queue of net_weir0, of which it tells 16 pairs at a time."""
    queues, after = {}, []
    while True:
        answer = pmd.telemetry("/weir/ports", "net_weir0", *after)
        queues.update((name, q) for name, q in answer.items() if isinstance(q, dict))
        if "next" not in answer:
            return queues
        after = [answer["next"]]


def many_queues_told_in_parts(ws):
    """128 pairs: telemetry tells of 16 at a time, and where to go on."""
    need_built("librte_net_weir.so")
    pmd = TestPmd(ws, "many", vdevs=[f"net_weir0,iface={ws.socket('w0')},queues=128"],
                  plugins=WEIR_PLUGINS, app=["--rxq=128", "--txq=128"])
    check_equal(sorted(all_queues(pmd)), sorted(f"{way}q{i}" for i in range(128) for way in ("rx", "tx")),
                "the queues")
    check_equal(pmd.telemetry("/weir/ports", "net_weir0", "x"), None, "a pair x")
    pmd.stop()


def many_ports_told_in_parts(ws):
    """20 ports: telemetry tells of 16 at a time, and where to go on."""
    need_built("librte_net_weir.so")
    pmd = TestPmd(ws, "ports", vdevs=[f"net_weir{i},iface={ws.socket(f'w{i}')}" for i in range(20)],
                  plugins=WEIR_PLUGINS)
    parts, ports = [pmd.telemetry("/weir/ports")], {}
    while "next" in parts[-1]:
        parts.append(pmd.telemetry("/weir/ports", "", parts[-1]["next"]))
    for part in parts:
        ports.update((name, port) for name, port in part.items() if name != "next")
    check_equal(len(parts), 2, "the parts")
    check_equal(sorted(ports), sorted(f"net_weir{i}" for i in range(20)), "the ports")
    check_equal(pmd.telemetry("/weir/ports", "", 20), {}, "ports behind the last")
    check_equal(pmd.telemetry("/weir/ports", "", "x"), None, "a port x")
    pmd.stop()


def link_unplugged(ws):
    """set link-down: packets wait in the guest, and none is lost; link-up: they go on."""
    switch, guest = traffic(ws, dmas(PAIRS))
    for _ in range(3):
        switch.command("set link-down port 0")
        wait_for(lambda: not switch.link_up(), "the link down")
        check_equal(switch.queues()["rxq0"]["ring"], "stopped", "the ring of rxq 0")
        switch.command("set link-up port 0")
        wait_for(switch.link_up, "the link up")
        exchange([guest], 1000)
    check_equal(switch.port()["connections"], 1, "peers")
    settle([guest], switch)
    switch.check_no_errors()
    guest.stop()
    switch.stop()


def port_reset(ws):
    """port 0 reset: it is as new, and the guest, which listens, is served again."""
    switch = Switch(ws, [f"client=1,{BOTH_BY_DMA}"], engine="", app=QUIET)
    guest = Guest(ws, "guest", [(ws.socket("w0"), "server=1,queue_size=1024")],
                  gen="size=60-1514,window=200", lossy=True).begin()
    for _ in range(3):
        wait_for(switch.link_up, "the link")
        exchange([guest], 1000)
        for line in ("stop", "port stop 0", "port reset 0"):
            said = switch.command(line)
            check("ailed" not in said, f"{line}: {said}")
        wait_for(lambda: not switch.link_up(), "the link down")
        said = switch.command("port start 0")
        check("ail" not in said, f"port start 0: {said}")
        check_equal(switch.stats()["ipackets"], 0, "packets of before the reset")
        switch.command("start")
    wait_for(switch.link_up, "the link")
    exchange([guest], 1000)
    guest.pause()
    guest.check_whole()
    switch.check_no_errors()
    guest.stop()
    switch.stop()


def vlan_strip_switched(ws):
    """vlan set strip on and off under traffic, whose packets have no tag."""
    switch, guest = traffic(ws, dmas(PAIRS))
    for state in ("on", "off", "on", "off"):
        said = switch.command(f"vlan set strip {state} 0")
        check(not re.search("fail|error|not supported", said, re.I), f"strip {state}: {said}")
        check(f"strip {state}" in switch.command("show port info 0"), f"strip is not {state}")
        check_equal("VLAN strip" in shown(switch, "rxq")["Burst mode"], state == "on",
                    f"the burst mode with strip {state}")
        exchange([guest], 1000)
    settle([guest], switch)
    guest.stop()
    switch.stop()


def many_queues_and_few_used(ws):
    """64 pairs, of which a guest uses the 8 that virtio-user can have."""
    switch = Switch(ws, ["queues=64," + dmas(64)], engine="", app=["--rxq=64", "--txq=64", *QUIET])
    guest = Guest(ws, "guest", [(ws.socket("w0"), "queues=8,queue_size=256")],
                  app=["--rxq=8", "--txq=8"], gen="size=60-1514,window=400").begin()
    exchange([guest])
    queues = all_queues(switch)
    for way in ("rx", "tx"):
        carried = [n for n in range(64) if queues[f"{way}q{n}"]["packets"] != 0]
        check_equal(carried, list(range(8)), f"{way} queues that have carried packets")
    settle([guest], switch)
    switch.check_no_errors()
    guest.stop()
    switch.stop()


def many_ports(ws):
    """16 ports, as many as a testpmd can have guests for."""
    number = 16
    switch = Switch(ws, [BOTH_BY_DMA] * number, engine="", app=QUIET)
    guests = [Guest(ws, f"guest{half}",
                    [(ws.socket(f"w{i}"), "") for i in range(8 * half, 8 * half + 8)],
                    gen="size=60-1514,window=32", mem_mib=96).begin() for half in (0, 1)]
    exchange(guests, 500)
    check_equal([n for n in range(number) if not switch.link_up(n)], [], "links that are down")
    for guest in guests:
        settle([guest], switch)
        guest.stop()
    for port in range(number):
        switch.wait_waiting(port)
    switch.check_no_errors()
    switch.stop()


main("net_weir_ethdev_e2e", [
    queues_and_modes_shown,
    queues_stopped_under_traffic,
    settings_taken,
    many_queues_told_in_parts, many_ports_told_in_parts,
    link_unplugged,
    port_reset,
    vlan_strip_switched,
    many_queues_and_few_used,
    many_ports,
])
