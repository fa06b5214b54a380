#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""A week in ten minutes: all that may happen to a switch, at random, and again.

    test_soak.py [--minutes N] [--seed N]

The switch, a stock testpmd that loops each port, lives several lives, each but the
last ended by kill -9 in mid traffic. In each of them things happen (see ACTIONS) one
after the other:

    port 0  the witness: its packets are verified, and none may be missing
    port 1  guests that are killed; an engine that copies late, out of order, and fails
    port 2  guests that are killed; an engine that hangs and has to be reset
    port 3  a guest that listens, whose port is stopped, detached, attached
    port 4  frontends of soak_frontend.py: memory that comes and goes, migration, mistakes
    others  ports that are added and removed

When all has happened once, and again at the end of the life, the guests that are to be
killed are gone, the others stand still, and the switch is looked at from outside. It
has to hold at the end what it held then: memory, descriptors, threads, mappings, the
DMA address space, mbufs.
"""
import argparse
import os
import random
import re
import sys
import time

from harness import check, check_equal, main, wait_for
from netweir import BOTH_BY_DMA, Guest, Switch, dmas, exchange
import soak_frontend

LIFE_S = 150
WITNESS, LATE, HANGS, LISTENS, FRONTENDS, FIRST_MORE = range(6)
ENGINES = {"dma_weir0": "mode=thread,delay_us=30",
           "dma_weir1": "mode=thread,delay_us=50,reorder=1,fail_nth=150",
           "dma_weir2": "mode=thread,stall_after=5000"}
GEN = "size=60-1514,window=100"
KILLED_GEN = "size=60-9000,window=30"
# of what virtio-user may be asked to be
VIRTIO_USER = ("queue_size=256", "queue_size=1024,mrg_rxbuf=1,in_order=0",
               "queue_size=1024,packed_vq=1", "queue_size=512,packed_vq=1,in_order=0")
MORE_PORTS = ("queues=1", BOTH_BY_DMA, "dmas=[rxq0@dma_weir1]", "packed=0,dmas=[txq0@dma_weir2]",
              "queues=2," + dmas(2), "tso=1,ctrl-vq=1")
# what a heap may keep of some hundred ports, guests and engines
RSS_GROWTH_KIB = 2048


def one_pair(engine):
    return f"dmas=[txq0@{engine};rxq0@{engine}]"


PORTS = (f"client=1,{one_pair('dma_weir0')}", one_pair("dma_weir1"), one_pair("dma_weir2"),
         f"client=1,{one_pair('dma_weir0')}", BOTH_BY_DMA)


class SoakSwitch(Switch):
    """A switch with an engine of each kind, and what one asks of it from outside."""

    def __init__(self, ws, name):
        vdevs = [arg for engine in list(ENGINES)[1:]
                 for arg in ("--vdev", f"{engine},{ENGINES[engine]}")]
        super().__init__(ws, PORTS, engine=ENGINES["dma_weir0"], name=name, eal=vdevs,
                         app=["--enable-scatter"])

    def stopped(self, *lines):
        """Commands for which nothing may be forwarded."""
        self.command("stop")
        answers = [self.command(line) for line in lines]
        self.command("start")
        return answers

    def mbufs(self):
        """Those of its pool that are in use, caches of lcores not counted."""
        text = self.command("dump_mempool mb_pool_0")
        size, cached, free = (int(re.search(rf"{name}=(\d+)", text)[1]) for name in
                              (" size", "total_cache_count", "common_pool_count"))
        return size - cached - free

    def held(self):
        """What has to be the same at another time, and memory, which may be a little more."""
        r = self.resources()
        owners = [owner for *_, owner in self.maps()]
        return {"descriptors": r.fds, "threads": r.threads, "mbufs": self.mbufs(),
                "regions of EAL's": owners.count("0"),
                "regions of guests": len(owners) - owners.count("0")}, r


class Soak:
    """All who take part, and what may happen to them."""

    def __init__(self, ws, rng):
        self.ws, self.rng = ws, rng
        self.switch = None
        self.count = {}
        self.names = 0
        self.witness = self.listens = None
        self.killed = {}

    # ---- what happens

    def guest_killed(self, rng):
        """A guest is killed in mid traffic, and another one is in its place."""
        port = rng.choice((LATE, HANGS))
        self.kill(port)
        self.replace(port, rng)

    def port_stopped(self, rng):
        """A port is stopped and started."""
        port = rng.choice((LATE, HANGS, LISTENS))
        self.switch.stopped(f"port stop {port}", f"port start {port}")

    def queues_stopped(self, rng):
        """Queues are stopped and started."""
        port, ways = rng.choice((LATE, HANGS, LISTENS)), ["rxq", "txq"]
        rng.shuffle(ways)
        self.switch.stopped(*(f"port {port} {way} 0 {what}" for what in ("stop", "start")
                              for way in ways))

    def port_replaced(self, rng):
        """A port is detached and attached while its guest waits."""
        engine = rng.choice(list(ENGINES))
        args = f"net_weir3,iface={self.ws.socket('w3')},client=1,{one_pair(engine)}"
        said = self.switch.stopped("port stop 3", "port detach 3", f"port attach {args}",
                                   "port start 3", "set portlist 0,1,2,3,4")
        check("Port 3 is attached" in said[2], f"not attached: {said[2]}")
        self.wait_link(LISTENS)

    def port_added(self, rng):
        """A port is added, serves a frontend, and is removed."""
        path = self.ws.socket("more")
        said = self.switch.stopped(f"port attach net_weir{FIRST_MORE},iface={path},"
                                   f"{rng.choice(MORE_PORTS)}", f"port start {FIRST_MORE}",
                                   f"set portlist 0,1,2,3,4,{FIRST_MORE}")
        check(f"Port {FIRST_MORE} is attached" in said[0], f"not attached: {said[0]}")
        rng.choice((soak_frontend.good, soak_frontend.growing))(path, rng)
        self.switch.stopped(f"port stop {FIRST_MORE}", f"port detach {FIRST_MORE}",
                            "set portlist 0,1,2,3,4")
        check(not os.path.exists(path), "a socket was left")

    def frontend(self, rng, what):
        """One of soak_frontend.py's comes and goes."""
        try:
            what(self.ws.socket("w4"), rng)
        finally:
            self.switch.wait_waiting(FRONTENDS)

    # ---- how

    def wait_link(self, port):
        wait_for(lambda: self.switch.link_up(port), f"the link of port {port}")

    def listener(self, port):
        """A guest that outlives its switch."""
        return Guest(self.ws, f"listens{port}",
                     [(self.ws.socket(f"w{port}"), "queue_size=1024,server=1")], gen=GEN,
                     mem_mib=64).begin()

    def kill(self, port):
        guest = self.killed.pop(port)
        guest.check_whole()
        guest.kill9()
        self.switch.wait_waiting(port)

    def replace(self, port, rng):
        self.names += 1
        guest = Guest(self.ws, f"killed{port}-{self.names}",
                      [(self.ws.socket(f"w{port}"), rng.choice(VIRTIO_USER))], gen=KILLED_GEN,
                      mem_mib=64)
        self.killed[port] = guest.begin()
        self.wait_link(port)
        exchange([guest], 100)

    def happen(self, name, action):
        """Let something happen; the witness's packets go on, and nobody's are changed."""
        seed = self.rng.getrandbits(32)
        try:
            action(random.Random(seed))
            exchange([self.witness], 50)
            for guest in (self.witness, self.listens, *self.killed.values()):
                guest.check_whole()
        except Exception as e:
            raise type(e)(f"{name} (the {sum(self.count.values()) + 1}th): {e}") from e
        self.count[name] = self.count.get(name, 0) + 1

    def at_rest(self):
        """Nobody is on the ports of those who are killed, the others stand still; what the
        switch holds now."""
        for port in list(self.killed):
            self.kill(port)
        for guest in (self.witness, self.listens):
            guest.pause()
        wait_for(lambda: self.switch.queue_sum("in_flight") == 0, "no packet in flight")
        wait_for(lambda: self.lost() == self.lost_before,
                 f"all packets of the witness but {self.lost_before}")
        wait_for(lambda: self.switch.mbufs() == 0, "no mbuf in use")
        return self.switch.held()

    def go_on(self):
        for guest in (self.witness, self.listens):
            guest.resume()
        for port in (LATE, HANGS):
            self.replace(port, self.rng)

    def lost(self):
        """The witness's packets that have not come, at this time."""
        made, whole = self.witness.totals("tx", "rx_ok")
        return made - whole

    lost_before = 0  # with the switches that were killed

    def settle_witness(self):
        """How many died with the switch before: after a while no more come."""
        self.witness.pause()
        last = None
        while (now := self.witness.totals("tx", "rx_ok")) != last:
            last = now
            time.sleep(0.5)
        self.lost_before = self.lost()
        self.witness.resume()

    # ---- a life

    def live(self, number, until):
        """A switch from its start until a time."""
        self.switch = SoakSwitch(self.ws, f"switch{number}")
        if number == 0:
            self.witness, self.listens = (self.listener(port) for port in (WITNESS, LISTENS))
        for port in (WITNESS, LISTENS):
            self.wait_link(port)
        self.settle_witness()
        for port in (LATE, HANGS):
            if port not in self.killed:
                self.replace(port, self.rng)
        for name, action in ACTIONS:
            self.happen(name, lambda rng, action=action: action(self, rng))
        (before, memory), steps = self.at_rest(), 0
        self.go_on()
        while time.monotonic() < until:
            name, action = self.rng.choice(ACTIONS)
            self.happen(name, lambda rng, action=action: action(self, rng))
            steps += 1
        # its port has traffic all the time, so it must come
        wait_for(lambda: "dma_weir2: its oldest copy does not end" in self.switch.log(),
                 "an engine that hangs", timeout=120)
        after, memory_after = self.at_rest()
        check_equal(after, before, f"what the switch holds after {steps} steps")
        grown = memory_after.rss_kib - memory.rss_kib
        check(grown < RSS_GROWTH_KIB, f"{grown} KiB of memory more: {memory}, {memory_after}")
        self.check_engines()
        print(f"    life {number}: {steps} steps, {grown} KiB more, "
              f"{memory_after.maps - memory.maps} mappings more", flush=True)

    def check_engines(self):
        """No address was refused by the IOMMU; the engines did what they are there for."""
        for engine in ENGINES:
            check_equal(self.switch.engine("faults", engine), 0, f"IOMMU faults of {engine}")
        space = self.switch.telemetry("/weir/maps")
        for what in ("iommu_faults", "iommu_broken", "eal_failures"):
            check_equal(space[what], 0, what)
        check(self.switch.engine("injected", "dma_weir1") > 0, "no copy failed")

    def end(self):
        self.switch.stop()
        for guest in (self.witness, self.listens, *self.killed.values()):
            guest.stop()


ACTIONS = [(action.__name__, action) for action in (
    Soak.guest_killed, Soak.port_stopped, Soak.queues_stopped, Soak.port_replaced,
    Soak.port_added)]
ACTIONS += [("frontend " + what.__name__, lambda soak, rng, what=what: soak.frontend(rng, what))
            for what in soak_frontend.ALL]


def soak(ws):
    """As many lives as there is time for."""
    print(f"    seed {OPTIONS.seed}, {OPTIONS.minutes} minutes", flush=True)
    everyone = Soak(ws, random.Random(OPTIONS.seed))
    began, total = time.monotonic(), OPTIONS.minutes * 60
    lives = max(2, round(total / LIFE_S))
    for number in range(lives):
        everyone.live(number, began + total * (number + 1) / lives)
        if number + 1 < lives:
            everyone.go_on()
            exchange([everyone.witness, everyone.listens], 50)
            everyone.switch.kill9()
            for guest in everyone.killed.values():
                guest.kill9()
            everyone.killed.clear()
    print("    " + ", ".join(f"{name}: {n}" for name, n in sorted(everyone.count.items())))
    everyone.end()


PARSER = argparse.ArgumentParser(description="a switch to which everything happens")
PARSER.add_argument("--minutes", type=float, default=10)
PARSER.add_argument("--seed", type=int, default=int(
    os.environ.get("WEIR_TEST_SEED", random.SystemRandom().randrange(1 << 32))))
OPTIONS, sys.argv[1:] = PARSER.parse_known_args()
main("soak_e2e", [soak])
