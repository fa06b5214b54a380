#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""Frontends that break the protocol or their rings, and what becomes of their port.

Each is disconnected or refused with a message that names what it did, and its port
serves the next guest. A stock guest on another port exchanges packets all the time,
through the same engine, and must not miss one.
"""
import os
import random
import socket
import struct
import time

from harness import Failed, check, check_equal, main, wait_for
from netweir import BOTH_BY_DMA, Guest, Switch, exchange, settle
from vhost_user import (ADD_MEM_REG, F_PROTOCOL, GET_FEATURES, GET_VRING_BASE,
                        GPA, HDR_LEN, INDIRECT, LAST_REQUEST, MEM_LEN, NEED_REPLY, NEXT,
                        REM_MEM_REG, REPLY, RING_SIZE, RX, SET_FEATURES, SET_LOG_BASE,
                        SET_MEM_TABLE, SET_MTU, SET_PROTOCOL_FEATURES, SET_VRING_ADDR,
                        SET_VRING_BASE, SET_VRING_CALL, SET_VRING_ENABLE, SET_VRING_ENDIAN,
                        SET_VRING_KICK,
                        SET_VRING_NUM, TX, UVA, VERSION, WRITE, Frontend, GuestMemory,
                        good_guest, mem_reg, region, ring_addr, state, table, u64)
from vhost_user import Guest as RawGuest

SEED = int(os.environ.get("WEIR_SEED", random.SystemRandom().randrange(1 << 32)))
GARBAGE_S = 4


class Bench:
    """A switch whose port 0 is for the hostile; port 1's guest is the witness."""

    def __init__(self, ws):
        self.switch = Switch(ws, [BOTH_BY_DMA, BOTH_BY_DMA], engine="mode=thread,delay_us=20")
        self.path = ws.socket("w0")
        self.witness = Guest(ws, "witness", [(ws.socket("w1"), "queue_size=1024")],
                             gen="size=60-1514,window=200").begin()
        exchange([self.witness], 100)
        good_guest(self.path)
        self.switch.wait_waiting()
        self.before = self.switch.resources()

    def expect(self, name, pattern, mark):
        """The log names what was wrong; the port is free again."""
        try:
            self.switch.wait_log(f"WEIR: net_weir0: peer disconnected: .*({pattern})", mark)
            self.switch.wait_waiting()
        except Failed as e:
            raise Failed(f"{name}: {e}") from e

    def close(self):
        """The port works, the witness missed nothing, and nothing was kept."""
        good_guest(self.path)
        self.switch.wait_waiting()
        exchange([self.witness], 500)
        check_equal(settle([self.witness], self.switch), 0, "packets of the witness dropped")
        check_equal(self.switch.port(1)["connections"], 1, "the witness's connections")
        check_equal(self.switch.log().count("Port 1: link state change event"), 1,
                    "changes of the witness's link")
        self.switch.check_no_errors()
        after = self.switch.resources()
        for what in ("fds", "maps", "threads"):
            check_equal(getattr(after, what), getattr(self.before, what), what)
        self.witness.stop()
        self.switch.stop()


def two_files(f):
    return [f.memfd(), f.memfd()]


def negotiated(f):
    f.negotiate()
    return f


# What a frontend sends that is no message, and what the log says of it.
NOT_MESSAGES = {
    "garbage": (lambda f: f.raw(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"), "header"),
    "version 0": (lambda f: f.send(GET_FEATURES, flags=0), "version is not 1"),
    "version 3": (lambda f: f.send(GET_FEATURES, flags=3), "version is not 1"),
    "unknown flags": (lambda f: f.send(GET_FEATURES, flags=VERSION | 0x80), "unknown flags"),
    "a reply": (lambda f: f.send(GET_FEATURES, flags=VERSION | REPLY), "says reply"),
    "half a header": (lambda f: f.raw(b"\1\0\0\0\1\0") and f.sock.shutdown(socket.SHUT_WR),
                      "middle of a message"),
    "half a payload": (lambda f: f.send(SET_FEATURES, b"1234", size=8) and
                       f.sock.shutdown(socket.SHUT_WR), "middle of a message"),
    "payload of 4 GiB": (lambda f: f.send(SET_FEATURES, b"12345678", size=0xffffffff),
                         "longer than any message"),
    "request 0": (lambda f: f.send(0), "0 is not known"),
    "request 9999": (lambda f: f.send(9999), "9999 is not known"),
    "unsupported request": (lambda f: f.send(SET_VRING_ENDIAN),
                            "CROSS_ENDIAN was not offered"),
}

# Messages whose size, descriptors or place in the conversation are wrong.
MISSHAPEN = {
    "features too short": (lambda f: f.send(SET_FEATURES, b"1234"), "SET_FEATURES: payload of 4"),
    "features too long": (lambda f: f.send(SET_FEATURES, bytes(16)), "SET_FEATURES: payload of 16"),
    "features not offered": (lambda f: f.send(SET_FEATURES, u64(1 << 60)),
                             "SET_FEATURES: 0x1000000000000000 was not offered"),
    "protocol features not offered": (lambda f: f.send(SET_PROTOCOL_FEATURES, u64(1 << 40)),
                                      "SET_PROTOCOL_FEATURES: 0x10000000000 was not offered"),
    "descriptor with features": (lambda f: f.send(SET_FEATURES, u64(0), [f.memfd()]),
                                 "SET_FEATURES: 1 descriptors"),
    "no descriptor with a table": (lambda f: f.send(SET_MEM_TABLE, table(region())),
                                   "SET_MEM_TABLE: 0 descriptors for 1 regions"),
    "two descriptors for one region": (
        lambda f: f.send(SET_MEM_TABLE, table(region()), two_files(f)),
        "SET_MEM_TABLE: 2 descriptors for 1 regions"),
    "100 descriptors": (lambda f: f.send(SET_MEM_TABLE, table(region()), 100 * [f.memfd()]),
                        "SET_MEM_TABLE: 100 descriptors"),
    "table shorter than it says": (
        lambda f: f.send(SET_MEM_TABLE, struct.pack("=II", 5, 0) + region(), [f.memfd()]),
        "SET_MEM_TABLE: payload of 40 bytes for 5 regions"),
    "region count that overflows": (
        lambda f: f.send(SET_MEM_TABLE, struct.pack("=II", 0x08000001, 0) + region(),
                         [f.memfd()]), "SET_MEM_TABLE: payload of 40 bytes"),
    "no descriptor with a region": (lambda f: negotiated(f).send(ADD_MEM_REG, mem_reg(region())),
                                    "ADD_MEM_REG: 0 descriptors"),
    "region before it was negotiated": (
        lambda f: f.send(ADD_MEM_REG, mem_reg(region()), [f.memfd()]),
        "ADD_MEM_REG: CONFIGURE_MEM_SLOTS was not negotiated"),
    "region never added": (lambda f: negotiated(f).send(REM_MEM_REG, mem_reg(region())),
                           "REM_MEM_REG: no region at guest"),
    "log that was not negotiated": (
        lambda f: f.send(SET_LOG_BASE, u64(4096) + u64(0), [f.memfd()]), "SET_LOG_BASE: LOG_SHMFD"),
    "no descriptor with a kick": (lambda f: f.send(SET_VRING_KICK, u64(0)),
                                  "SET_VRING_KICK: ring 0: 0 descriptors"),
    "descriptor where it said none": (
        lambda f: f.send(SET_VRING_CALL, u64(0x100), [f.eventfd()]),
        "SET_VRING_CALL: ring 0: 1 descriptors, not 0"),
    "kick of unknown bits": (lambda f: f.send(SET_VRING_KICK, u64(1 << 33), [f.eventfd()]),
                             "SET_VRING_KICK: .*unknown bits"),
    "ring 2 of 2": (lambda f: f.send(SET_VRING_NUM, state(2, 16)),
                    "SET_VRING_NUM: ring 2: only 2 are offered"),
    "ring 2^32 - 1": (lambda f: f.send(SET_VRING_ENABLE, state(0xffffffff, 1)),
                      "SET_VRING_ENABLE: ring 4294967295"),
    "ring size 0": (lambda f: f.send(SET_VRING_NUM, state(0, 0)), "SET_VRING_NUM: ring 0: 0 is"),
    "ring size 48": (lambda f: f.send(SET_VRING_NUM, state(0, 48)), "48 is not a power of two"),
    "ring size 65536": (lambda f: f.send(SET_VRING_NUM, state(0, 65536)),
                        "65536 is not 1 to 32768"),
    "ring base 65536": (lambda f: f.send(SET_VRING_BASE, state(0, 65536)), "more than 16 bits"),
    "ring enabled twice over": (lambda f: f.send(SET_VRING_ENABLE, state(0, 2)),
                                "2 is neither 0 nor 1"),
    "descriptors not aligned": (lambda f: f.send(SET_VRING_ADDR, ring_addr(0, 8, 16, 32)),
                                "SET_VRING_ADDR: ring 0: descriptors at 0x8"),
    "MTU of 3": (lambda f: f.send(SET_MTU, u64(3)), "NET_SET_MTU: 3 is not"),
}

TOP = (1 << 64) - 4096
# SET_MEM_TABLE's regions and files, and what the log says of them.
TABLES = {
    "size 0": ([region(length=0)], "size is 0"),
    "address not aligned": ([region(gpa=GPA + 1)], "not aligned to 4096"),
    "size not aligned": ([region(length=MEM_LEN - 1)], "not aligned to 4096"),
    "guest address wraps": ([region(gpa=TOP)], "region at guest 0xfffffffffffff000: .*wraps"),
    "user address wraps": ([region(user=TOP)], "region at user 0xfffffffffffff000: .*wraps"),
    "offset wraps": ([region(offset=TOP)], "no file is that long"),
    "larger than its file": ([region(length=2 * MEM_LEN)], "file has only 0x200000 bytes"),
    "ends beyond its file": ([region(offset=4096)], "file has only 0x200000 bytes"),
    "overlap for the guest": ([region(), region(gpa=GPA + MEM_LEN - 4096, user=UVA + (1 << 32))],
                              "overlaps that at guest"),
    "overlap for the user": ([region(), region(gpa=GPA + (1 << 32), user=UVA + MEM_LEN - 4096)],
                             "overlaps that at user"),
    "the same twice": ([region(), region()], "overlaps that at guest"),
}


def bad_messages(ws):
    """What is no message, or a message of the wrong shape, is named."""
    bench = Bench(ws)
    for name, (send, pattern) in {**NOT_MESSAGES, **MISSHAPEN}.items():
        mark = bench.switch.log_mark()
        with Frontend(bench.path) as f:
            send(f)
            f.closed()
        bench.expect(name, pattern, mark)
    bench.close()


def bad_answer_asked_for(ws):
    """A frontend that wants answers gets a refusal instead of being disconnected."""
    bench = Bench(ws)
    with Frontend(bench.path) as f:
        f.negotiate()
        for name, (regions, pattern) in TABLES.items():
            mark = bench.switch.log_mark()
            fds = [f.memfd() for _ in regions]
            check_equal(f.ask(SET_MEM_TABLE, table(*regions), fds, VERSION | NEED_REPLY), 1,
                        f"the answer to {name}")
            bench.switch.wait_log("WEIR: net_weir0: refused: SET_MEM_TABLE: .*" + pattern, mark)
        check_equal(bench.switch.port()["memory_bytes"], 0, "memory that was taken in")
        # nobody is the worse for it
        f.share(GuestMemory(f))
        check_equal(bench.switch.port()["memory_bytes"], MEM_LEN, "memory that was taken in")
    bench.switch.wait_waiting()
    bench.close()


def read_only(f):
    """A descriptor of a file as long as it should be, without the right to write."""
    f.fds.append(os.open(f"/proc/self/fd/{f.memfd()}", os.O_RDONLY))
    return f.fds[-1]


def bad_memory(ws):
    """Regions that overlap, wrap, exceed their file, or are no files."""
    bench = Bench(ws)

    def refused(name, regions, fds, pattern):
        mark = bench.switch.log_mark()
        with Frontend(bench.path) as f:
            f.negotiate()
            f.send(SET_MEM_TABLE, table(*regions), fds(f))
            f.closed()
        bench.expect(name, "SET_MEM_TABLE: .*" + pattern, mark)

    for name, (regions, pattern) in TABLES.items():
        refused(name, regions, lambda f, regions=regions: [f.memfd() for _ in regions], pattern)
    refused("an eventfd", [region()], lambda f: [f.eventfd()], "descriptor is nothing to map")
    refused("a socket", [region()], lambda f: [f.sock.fileno()], "descriptor is nothing to map")
    with open("/dev/null", "r+b") as null:
        refused("/dev/null", [region()], lambda _: [null.fileno()], "No such device")
    refused("a file that may only be read", [region()], lambda f: [read_only(f)],
            "Permission denied")
    bench.close()


def out_of_order(ws):
    """Messages that are good and come at the wrong time."""
    bench = Bench(ws)

    def refused(name, talk, pattern):
        mark = bench.switch.log_mark()
        with RawGuest(bench.path).start() as g:
            wait_for(bench.switch.link_up, "the link")
            talk(g.frontend)
            g.frontend.closed()
        bench.expect(name, pattern, mark)

    refused("features of a running ring", lambda f: f.send(SET_FEATURES, u64(F_PROTOCOL)),
            "SET_FEATURES: .* would change while rings run")
    refused("size of a running ring", lambda f: f.send(SET_VRING_NUM, state(0, 64)),
            "SET_VRING_NUM: ring 0 runs")
    refused("base of a running ring", lambda f: f.send(SET_VRING_BASE, state(1, 5)),
            "SET_VRING_BASE: ring 1 runs")
    # rings before memory are no fault; they do not run, and the peer goes as it came
    with Frontend(bench.path) as f:
        f.negotiate()
        for index in (RX, TX):
            f.send(SET_VRING_NUM, state(index, RING_SIZE))
            f.send(SET_VRING_ADDR, ring_addr(index, UVA, UVA + 0x1000, UVA + 0x2000))
            f.send(SET_VRING_KICK, u64(index), [f.eventfd()])
            f.send(SET_VRING_ENABLE, state(index, 1))
        f.ask(GET_FEATURES)
        check(not bench.switch.link_up(), "the link is up without memory")
    bench.switch.wait_waiting()
    # a ring whose parts are outside of the memory
    for part, name in (("desc", "descriptors"), ("avail", "available ring"),
                       ("used", "used ring")):
        for where in (UVA - 4096, UVA + MEM_LEN - 16, UVA + MEM_LEN, 0, (1 << 64) - 16):
            mark = bench.switch.log_mark()
            with RawGuest(bench.path) as g:
                g.frontend.start(g.tx, **{part: where})
                g.frontend.closed()
            bench.expect(name, f"SET_VRING_KICK: ring 1: ({name}|a range that wraps), "
                               ".* in no region", mark)
    bench.close()


def chain(*descs):
    """Writes descriptors from 0 on, (offset or gpa, length, flags, next), and offers 0."""
    def lay(g, ring):
        for i, (where, length, flags, following) in enumerate(descs):
            ring.describe(i, 0, length, flags, following,
                          gpa=where if where >= MEM_LEN else GPA + where)
        ring.offer(0)
    return lay


def indirect(length, *descs, gpa=None):
    """As chain(), in an indirect table whose descriptor says it is so long."""
    def lay(g, ring):
        at = ring.table if gpa is None else gpa - GPA
        for i, (where, size, flags, following) in enumerate(descs):
            ring.describe(i, where, size, flags, following, table_at=at)
        ring.describe(0, at, length, INDIRECT, gpa=gpa)
        ring.offer(0)
    return lay


def offer(*heads):
    return lambda g, ring: ring.offer(*heads)


def jump(distance):
    """avail.idx that has run away."""
    def lay(g, ring):
        g.memory.put(ring.avail + 2, "H", distance + ring.next & 0xffff)
    return lay


# What the transmit ring says, and the fault it is.
BROKEN_TX = {
    "head beyond the table": (offer(RING_SIZE), "the head of a chain is not in"),
    "head of 65535": (offer(0xffff), "the head of a chain is not in"),
    "avail.idx runs away": (jump(RING_SIZE + 1), "avail.idx is more than a ring ahead"),
    "avail.idx runs backwards": (jump(0xffff), "avail.idx is more than a ring ahead"),
    "next beyond the table": (chain((0, 100, NEXT, RING_SIZE)), "next is not in its table"),
    "chain of itself": (chain((0, 100, NEXT, 0)), "a chain loops"),
    "chain that loops": (chain((0, 100, NEXT, 1), (0, 100, NEXT, 0)), "a chain loops"),
    "address outside": (chain((GPA + MEM_LEN, 100, 0, 0)), "outside guest memory"),
    "address 0": (chain((MEM_LEN, 100, 0, 0)), "outside guest memory"),
    "buffer that leaves": (chain((MEM_LEN - 50, 100, 0, 0)), "outside guest memory"),
    "buffer that wraps": (chain(((1 << 64) - 50, 100, 0, 0)), "outside guest memory"),
    "buffer of 4 GiB": (chain((0, 0xffffffff, 0, 0)), "outside guest memory"),
    "second outside": (chain((0, 100, NEXT, 1), (GPA - 4096, 100, 0, 0)), "outside guest memory"),
    "writable": (chain((0, 100, WRITE, 0)), "wrong direction"),
    "second writable": (chain((0, 100, NEXT, 1), (0, 100, WRITE, 0)), "wrong direction"),
    "table of 0 bytes": (indirect(0), "bad length or address"),
    "table of 17 bytes": (indirect(17, (0, 100, 0, 0)), "bad length or address"),
    "table outside": (indirect(32, gpa=GPA + MEM_LEN), "bad length or address"),
    "table that wraps": (indirect(32, gpa=(1 << 64) - 16), "bad length or address"),
    "table that leaves": (indirect(64, (0, 100, NEXT, 1), gpa=GPA + MEM_LEN - 16),
                          "bad length or address"),
    "table that loops": (indirect(32, (0, 100, NEXT, 1), (0, 100, NEXT, 0)), "a chain loops"),
    "table in a table": (indirect(16, (0, 16, INDIRECT, 0)), "inside an indirect table"),
    "table's next": (indirect(32, (0, 100, NEXT, 5)), "next is not in its table"),
}
# And the receive ring, when a frame is to be written there.
BROKEN_RX = {
    "head beyond the table": (offer(RING_SIZE), "the head of a chain is not in"),
    "avail.idx runs away": (jump(5 * RING_SIZE), "avail.idx is more than a ring ahead"),
    "chain of itself": (chain((0, 4, WRITE | NEXT, 0)), "a chain loops"),
    "address outside": (chain((GPA + MEM_LEN, 2048, WRITE, 0)), "outside guest memory"),
    "buffer that leaves": (chain((MEM_LEN - 50, 2048, WRITE, 0)), "outside guest memory"),
    "read-only": (chain((0, 2048, 0, 0)), "wrong direction"),
    "table in a table": (indirect(16, (0, 16, INDIRECT, 0)), "inside an indirect table"),
}


def broken_rings(ws):
    """Chains that loop, point outside, or are none: in either ring."""
    bench = Bench(ws)
    for name, (lay, pattern) in BROKEN_TX.items():
        mark = bench.switch.log_mark()
        with RawGuest(bench.path).start() as g:
            lay(g, g.tx)
            g.frontend.closed()
        bench.expect(name, "ring 1: .*" + pattern, mark)
    for name, (lay, pattern) in BROKEN_RX.items():
        mark = bench.switch.log_mark()
        with RawGuest(bench.path) as g:
            lay(g, g.rx)
            for ring in (g.rx, g.tx):
                g.frontend.start(ring)
            wait_for(bench.switch.link_up, "the link")
            g.tx.describe(0, g.tx.buffer(0), g.place(0))
            g.tx.offer(0)
            g.frontend.closed()
        bench.expect(name, "ring 0: .*" + pattern, mark)
    bench.close()


def odd_frames_dropped(ws):
    """Frames too short or too long are dropped and counted, and the next ones pass."""
    bench = Bench(ws)
    with RawGuest(bench.path).start() as g:
        tx = g.tx
        before = bench.switch.stats()["ierrors"]
        tx.describe(0, tx.buffer(0), 0)
        tx.describe(1, tx.buffer(0), HDR_LEN)
        tx.describe(2, tx.buffer(0), HDR_LEN + 13)
        tx.describe(3, 0, MEM_LEN)
        tx.describe(4, tx.buffer(4), g.place(4))
        tx.offer(0, 1, 2, 3, 4)
        g.expect(4, at=0)
        wait_for(lambda: bench.switch.stats()["ierrors"] == before + 4, "four frames dropped")
        check_equal(tx.nr_used(), 5, "chains given back")
    bench.switch.wait_waiting()
    bench.close()


def memory_taken_back(ws):
    """A guest that cuts its memory's file short while engine and lcores work there."""
    bench = Bench(ws)
    for length in (0, 0x24000):  # nothing is left; the rings are, and not the tx buffers
        mark = bench.switch.log_mark()
        with RawGuest(bench.path).start() as g:
            wait_for(bench.switch.link_up, "the link")
            for i in range(8):
                g.tx.describe(i, g.tx.buffer(i), g.place(i))
            os.ftruncate(g.memory.fd, length)
            if length != 0:
                g.tx.offer(*range(8))
            g.frontend.closed()
        bench.expect(f"cut to {length:#x}", "guest memory 0x40000000-0x401fffff is gone", mark)
    bench.close()


def peer_that_stays_silent(ws):
    """A peer that sends half a message and waits holds up its own port and no other."""
    bench = Bench(ws)
    with Frontend(bench.path) as f:
        f.raw(b"\1\0\0\0\1\0")
        exchange([bench.witness], 500)
        check_equal(bench.switch.port()["state"], "connected", "the state of its port")
        # a second one is turned away, since the first may yet go on
        with Frontend(bench.path) as second:
            second.closed()
        f.raw(b"\0\0\0\0\0\0")
        check(f.receive() is not None, "the message is not answered when it is whole")
    bench.switch.wait_waiting()
    bench.close()


def peer_that_never_reads(ws):
    """A peer that asks and does not read the answers is parted with when the socket is full."""
    bench = Bench(ws)
    mark = bench.switch.log_mark()
    with Frontend(bench.path) as f:
        f.sock.setblocking(False)

        def parted():
            try:
                while f.send(GET_FEATURES):
                    pass
                return True
            except BlockingIOError:  # the switch has not read them yet
                return False
        wait_for(parted, "the connection's end")
    bench.expect("deaf", "no answer can be sent", mark)
    bench.close()


class Noise:
    """Seeded talk that makes sense here and there."""

    def __init__(self, path, rand):
        self.rand, self.f = rand, Frontend(path)
        if rand.random() < 0.7:
            self.f.negotiate()
        if rand.random() < 0.5:
            self.memory = GuestMemory(self.f)
            self.f.send(SET_MEM_TABLE, table(region()), [self.memory.fd])
            # rings in noise: whatever they say is to be a fault or nothing
            self.memory.bytes[:0x40000] = rand.randbytes(0x40000)

    def number(self):
        return self.rand.choice((0, 1, 2, 16, 255, 256, 4096, GPA, UVA, UVA + 0x1000, MEM_LEN,
                                 1 << 31, (1 << 32) - 1, 1 << 63, (1 << 64) - 1,
                                 self.rand.getrandbits(64)))

    def payload(self, request):
        r = self.rand
        if request == SET_MEM_TABLE:
            return table(*(region(self.number(), self.number(), self.number(), self.number())
                           for _ in range(r.randrange(4))))
        if request == SET_VRING_ADDR:
            return ring_addr(r.randrange(3), *(UVA + 16 * r.randrange(0x8000)
                                               for _ in range(3)))
        if request in (SET_VRING_NUM, SET_VRING_BASE, SET_VRING_ENABLE, GET_VRING_BASE):
            return state(r.randrange(3), r.choice((0, 1, 1, 16, 64, self.number() & 0xffffffff)))
        if request in (SET_VRING_KICK, SET_VRING_CALL):
            return u64(r.randrange(3))
        return r.choice((b"", u64(self.number()), r.randbytes(r.randrange(80))))

    def message(self):
        """Send one. False: the port has closed."""
        r, request = self.rand, self.rand.randrange(LAST_REQUEST + 2)
        fds = [self.f.eventfd() if r.random() < 0.5 else self.f.memfd()
               for _ in range(r.choice((0, 0, 0, 1, 1, 2)))]
        if request in (SET_VRING_KICK, SET_VRING_CALL) and r.random() < 0.8:
            fds = [self.f.eventfd()]
        flags = VERSION | r.choice((0, 0, NEED_REPLY, r.getrandbits(8)))
        size = None if r.random() < 0.9 else r.getrandbits(r.choice((4, 8, 32)))
        return self.f.send(request, self.payload(request), fds, flags, size)


def random_talk(ws):
    """Random messages, some of them good, over rings full of noise."""
    bench = Bench(ws)
    print(f"    seed {SEED}", flush=True)
    rand, end = random.Random(SEED), time.monotonic() + GARBAGE_S
    first = peers = bench.switch.port()["connections"]
    while time.monotonic() < end:
        noise = Noise(bench.path, rand)
        with noise.f:
            for _ in range(rand.randrange(1, 60)):
                if not noise.message():
                    break
        peers += 1
        # one after the other: a second peer is turned away
        wait_for(lambda: bench.switch.port()["connections"] == peers, "the peer's turn")
        bench.switch.wait_waiting()
    check(peers > first + 10, f"only {peers - first} peers")
    bench.close()


main("net_weir_hostile_e2e", [
    bad_messages,
    bad_answer_asked_for,
    bad_memory,
    out_of_order,
    broken_rings,
    odd_frames_dropped,
    memory_taken_back,
    peer_that_stays_silent,
    peer_that_never_reads,
    random_talk,
])
