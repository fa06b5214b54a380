#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""A switch that is killed in mid traffic, and the next one, which goes on.

The guests number their frames, and see each buffer given back once, in order.
"""
import os
import threading
import time

from harness import TIMEOUT_S, check, check_equal, main, wait_for
from netweir import BOTH_BY_DMA, Guest, Switch, exchange
import vhost_user as vu

KILLS = 5
FRAMES = 400    # between two kills
WINDOW = 8      # frames that a guest has under way: fewer than it has buffers
# what a switch may have taken and not passed on: a burst of its loop, and the
# window of each direction
IN_HAND = 32 + 2 * vu.RING_SIZE


class Numbered:
    """A guest that outlives its switch: numbers out, numbers in."""

    def __init__(self, path, packed):
        self.path = path
        self.features = vu.FEATURES | (vu.F_PACKED if packed else 0)
        self.frontend = None
        self.home = vu.Frontend(path)  # owns the descriptors of memory and area
        self.memory = vu.GuestMemory(self.home)
        kind = vu.PackedRing if packed else vu.Ring
        self.rx, self.tx = (kind(self.memory, i) for i in (vu.RX, vu.TX))
        self.area = self.area_fd = None
        self.sent = self.given = self.taken = 0
        self.got = []
        self.home.sock.close()

    def connect(self):
        """As after any backend's start: the same memory, rings and area."""
        if self.frontend is not None:
            self.frontend.__exit__()
        self.frontend = vu.Frontend(self.path)
        self.frontend.negotiate(self.features, pf=vu.PF_REPLY_ACK | vu.PF_INFLIGHT)
        self.frontend.share(self.memory)
        if self.area is None:
            self.area, self.area_fd = self.frontend.inflight_get(2, vu.RING_SIZE)
        self.frontend.inflight_set(self.area, self.area_fd)
        if not self.rx.next:
            self.rx.offer_all_for_writing()
        for ring in (self.rx, self.tx):
            self.frontend.start(ring)

    def close(self):
        self.frontend.__exit__()
        os.close(self.area_fd)
        self.memory.bytes.close()
        self.home.__exit__()

    def send(self):
        slot = self.sent % vu.RING_SIZE
        data = bytes(vu.HDR_LEN) + b"\xff" * 6 + b"\x02guest" + b"\x88\xb5" + \
            self.sent.to_bytes(8, "little") + bytes(100)
        at = self.tx.buffer(slot)
        self.memory.bytes[at:at + len(data)] = data
        self.tx.describe(slot, at, len(data))
        self.tx.offer(slot)
        self.sent += 1

    def look(self):
        """Take what the switch has given back, in either ring."""
        while self.given & 0xffff != self.tx.nr_used():
            head, _ = self.tx.used_entry(self.given)
            check_equal(head, self.given % vu.RING_SIZE, "the buffer that was given back")
            self.given += 1
        check(self.given <= self.sent, "more was given back than was sent")
        while self.taken & 0xffff != self.rx.nr_used():
            head, length = self.rx.used_entry(self.taken)
            check_equal(head, self.taken % vu.RING_SIZE, "the buffer that was filled")
            check_equal(length, vu.HDR_LEN + 14 + 108, "its length")
            at = self.rx.buffer(head) + vu.HDR_LEN + 14
            self.got.append(int.from_bytes(self.memory.bytes[at:at + 8], "little"))
            self.taken += 1
            self.rx.offer(head)

    def under_way(self):
        last = self.got[-1] + 1 if self.got else 0
        return self.sent - max(last, self.resent)

    resent = 0  # frames before it are not waited for: a dead switch may have had them

    def run(self, frames, killer=None):
        """Frames out and in, so many. With a killer, then until it has done its work."""
        deadline, until = time.monotonic() + TIMEOUT_S, self.sent + frames
        while self.sent < until or (killer is not None and killer.is_alive()):
            if killer is not None and self.sent == until - 1:
                until = self.sent   # a dead switch may leave no room for one more
                killer.start()
            if self.under_way() < WINDOW and self.sent - self.given < vu.RING_SIZE:
                self.send()
            self.look()
            check(time.monotonic() < deadline, f"{self.sent} sent, {self.given} given back, "
                                               f"{len(self.got)} received")

    def finish(self):
        """All that was sent is given back, and the last frame has come."""
        def done():
            self.look()
            return self.given == self.sent and self.got[-1] == self.sent - 1
        wait_for(done, "the last frame")


def killed_and_resumed(ws, port, engine, packed=False):
    """Kill a switch under a guest with an area, again and again."""
    guest = Numbered.__new__(Numbered)
    for number in range(KILLS + 1):
        switch = Switch(ws, [port], engine=engine, name=f"switch{number}")
        if number == 0:
            guest.__init__(ws.socket("w0"), packed)
            switch.wait_waiting()
        guest.connect()
        # frames that nobody gave back come from the ring; the others are lost
        guest.resent = guest.given if number else 0
        if number < KILLS:
            killer = threading.Thread(target=switch.kill9)
            guest.run(FRAMES, killer)
            killer.join()
            guest.look()
        else:
            guest.run(FRAMES)
    guest.finish()
    check(all(a < b for a, b in zip(guest.got, guest.got[1:])), "a frame came twice, or late")
    missing = guest.sent - len(guest.got)
    check(missing <= KILLS * IN_HAND, f"{missing} of {guest.sent} frames were lost")
    print(f"    {guest.sent} frames, {KILLS} kills, {missing} lost in the switches' hands")
    switch.check_no_errors()
    guest.close()
    switch.stop()


def killed_switch_resumed_by_cpu(ws):
    """Copies by CPU: numbers go up, every buffer comes back once and in order."""
    killed_and_resumed(ws, "", None)


def killed_switch_resumed_by_dma(ws):
    """The same with copies under way when the switch dies."""
    killed_and_resumed(ws, BOTH_BY_DMA, "mode=thread,delay_us=200")


def killed_packed_resumed_by_cpu(ws):
    """Packed rings, whose place the area keeps."""
    killed_and_resumed(ws, "", None, packed=True)


def killed_packed_resumed_by_dma(ws):
    """The same with copies under way."""
    killed_and_resumed(ws, BOTH_BY_DMA, "mode=thread,delay_us=200", packed=True)


def killed_under_virtio_user(ws):
    """A stock virtio-user that listens sees nothing twice, changed or out of order."""
    guest = None
    for number in range(KILLS + 1):
        switch = Switch(ws, ["client=1" + ("," + BOTH_BY_DMA if number % 2 else "")],
                        engine="mode=thread,delay_us=50", name=f"switch{number}")
        if guest is None:
            guest = Guest(ws, "guest", [(ws.socket("w0"), "queue_size=1024,server=1")],
                          gen="size=60-1514,window=200", lossy=True).begin()
        wait_for(switch.link_up, "the link")
        exchange([guest], 2000)
        guest.check_whole()
        if number < KILLS:
            switch.kill9()
    guest.stop()
    switch.stop()


main("net_weir_recover_e2e", [
    killed_switch_resumed_by_cpu,
    killed_switch_resumed_by_dma,
    killed_packed_resumed_by_cpu,
    killed_packed_resumed_by_dma,
    killed_under_virtio_user,
])
