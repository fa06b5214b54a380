# SPDX-License-Identifier: BSD-3-Clause
"""What a port may meet within a minute: frontends for the soak, each with one idea.

Each takes the path of a port whose switch loops it, a random.Random, and nothing else;
it comes, does something, and goes.
"""
import mmap
import struct

from harness import check, check_equal, wait_for
from vhost_user import (ADD_MEM_REG, BUF_LEN, F_LOG_ALL, FEATURES, Frontend, GET_VRING_BASE,
                        GPA, Guest, GuestMemory, HDR_LEN, MEM_LEN, NEED_REPLY, PF_LOG_SHMFD,
                        PF_CONFIGURE_MEM_SLOTS, PF_REPLY_ACK, REM_MEM_REG, REPLY, RING_SIZE,
                        Ring, RX, SET_FEATURES, SET_LOG_BASE, SET_VRING_ADDR, SET_VRING_BASE,
                        SET_VRING_CALL, SET_VRING_ENABLE, SET_VRING_KICK, SET_VRING_NUM, TX,
                        UVA, VERSION, mem_reg, region, ring_addr, state, u64)

PAGE = 4096
SLOT_STEP = 64 << 20
SLOT_LENGTHS = (PAGE, 1 << 20, 2 << 20, 8 << 20)


class Talker:
    """A Guest that goes on for longer than its rings are."""

    def __init__(self, guest):
        self.guest = guest
        self.sent = self.came = 0  # frames
        self.taken = 0             # used entries

    def send(self, gpa=None):
        """A frame of any length, from its buffer or from where it was placed."""
        tx, slot = self.guest.tx, self.sent % RING_SIZE
        length = HDR_LEN + self.length(self.sent)
        if gpa is None:
            data = self.guest.frame(self.sent, length - HDR_LEN)
            at = tx.buffer(slot)
            self.guest.memory.bytes[at:at + len(data)] = data
        tx.describe(slot, tx.buffer(slot), length, gpa=gpa)
        tx.offer(slot)
        self.sent += 1

    @staticmethod
    def length(number):
        return 60 + number * 97 % 1400

    def receive(self):
        """The next frame, which is what was sent."""
        self.guest.expect(self.came, self.length(self.came), at=self.taken)
        head, _ = self.guest.rx.used_entry(self.taken)
        self.guest.rx.offer(head)
        self.taken += 1
        self.came += 1

    def catch_up(self):
        """What the switch had in its hands when a ring stopped it may have dropped. What
        comes is what was sent, in order, and another one comes for certain."""
        rx, memory = self.guest.rx, self.guest.memory.bytes
        self.send()
        while self.came < self.sent:
            wait_for(lambda: rx.nr_used() > self.taken, "a frame sent after the start")
            head, used = rx.used_entry(self.taken)
            came = memory[rx.buffer(head) + HDR_LEN:rx.buffer(head) + used]
            number = next((n for n in range(self.came, self.sent) if
                           self.guest.frame(n, self.length(n))[HDR_LEN:] == came), None)
            check(number is not None, f"a frame is none of {self.came} to {self.sent - 1}")
            rx.offer(head)
            self.taken += 1
            self.came = number + 1

    def exchange(self, frames, under_way=4):
        for _ in range(frames):
            self.send()
            if self.sent - self.came >= under_way:
                self.receive()
        while self.came < self.sent:
            self.receive()


def acknowledged(frontend, request, payload, fds=()):
    check_equal(frontend.ask(request, payload, fds, flags=VERSION | NEED_REPLY), 0,
                f"the result of request {request}")


def removed(frontend, slot):
    """A slot goes. The answer is no where a lcore was kept from ending its burst for as
    long as one waits for it, by a machine with too much to do; then the slot is there
    still, and the next request is as good as the first."""
    wait_for(lambda: frontend.ask(REM_MEM_REG, mem_reg(region(*slot)),
                                  flags=VERSION | NEED_REPLY) == 0, "a slot to go")


def good(path, rng):
    """Frames in numbers."""
    with Guest(path).start() as guest:
        Talker(guest).exchange(rng.randrange(20, 200))


def vanishing(path, rng):
    """One that is gone with frames under way."""
    with Guest(path).start() as guest:
        talker = Talker(guest)
        for _ in range(rng.randrange(1, RING_SIZE)):
            talker.send()


def growing(path, rng):
    """Slots of memory that come and go between frames and under them."""
    with Guest(path).start() as guest:
        talker, slots = Talker(guest), []
        for number in range(rng.randrange(4, 12)):
            length = rng.choice(SLOT_LENGTHS)
            slot = (GPA + (number + 1) * SLOT_STEP, length, UVA + (number + 1) * SLOT_STEP)
            fd = guest.frontend.memfd(length)
            acknowledged(guest.frontend, ADD_MEM_REG, mem_reg(region(*slot)), [fd])
            slots.append(slot)
            with mmap.mmap(fd, length) as memory:
                data = guest.frame(talker.sent, talker.length(talker.sent))
                memory[:len(data)] = data
                talker.send(gpa=slot[0])
                talker.receive()
            for _ in range(3):
                talker.send()
            if rng.random() < 0.6:
                gone = slots.pop(rng.randrange(len(slots)))
                removed(guest.frontend, gone)
            for _ in range(3):
                talker.receive()
        talker.exchange(20)


def stopping(path, rng):
    """Rings stopped with frames under way, and started where they were."""
    with Guest(path).start() as guest:
        talker = Talker(guest)
        for _ in range(rng.randrange(3, 10)):
            for _ in range(rng.randrange(RING_SIZE // 2)):
                talker.send()
            bases = [stop(guest.frontend, ring) for ring in (RX, TX)]
            for ring, base in zip((guest.rx, guest.tx), bases):
                resume(guest.frontend, ring, base)
            talker.catch_up()


def stop(frontend, index):
    """GET_VRING_BASE; its answer."""
    frontend.send(GET_VRING_BASE, state(index, 0))
    answer = frontend.receive()
    check(answer is not None and answer[:2] == (GET_VRING_BASE, VERSION | REPLY),
          f"GET_VRING_BASE is answered with {answer}")
    return struct.unpack("=II", answer[2])[1]


def resume(frontend, ring, base, log=False):
    """Start a ring where it was, with writes to its used ring logged."""
    frontend.send(SET_VRING_NUM, state(ring.index, RING_SIZE))
    frontend.send(SET_VRING_BASE, state(ring.index, base))
    frontend.send(SET_VRING_ADDR, address(ring, log))
    frontend.send(SET_VRING_CALL, u64(ring.index), [frontend.eventfd()])
    frontend.send(SET_VRING_KICK, u64(ring.index), [frontend.eventfd()])
    frontend.send(SET_VRING_ENABLE, state(ring.index, 1))


def address(ring, log):
    return ring_addr(ring.index, ring.uva(ring.desc), ring.uva(ring.used),
                     ring.uva(ring.avail), int(log), GPA + ring.used if log else 0)


def migrating(path, rng):
    """One whose memory is copied while frames come, by the dirty log, and that goes on
    from the copy behind a new connection."""
    with Guest(path, pf=PF_REPLY_ACK | PF_CONFIGURE_MEM_SLOTS | PF_LOG_SHMFD).start() as guest:
        talker = Talker(guest)
        talker.exchange(rng.randrange(1, 40))
        log_len = (GPA + MEM_LEN) // PAGE // 8
        log_fd = guest.frontend.memfd(log_len)
        with mmap.mmap(log_fd, log_len) as log:
            guest.frontend.ask(SET_LOG_BASE, u64(log_len) + u64(0), [log_fd])
            acknowledged(guest.frontend, SET_FEATURES, u64(FEATURES | F_LOG_ALL))
            for ring in (guest.rx, guest.tx):
                acknowledged(guest.frontend, SET_VRING_ADDR, address(ring, True))
            copy = bytearray(guest.memory.bytes[:])
            talker.exchange(rng.randrange(1, 60))
            for _ in range(rng.randrange(RING_SIZE // 2)):
                talker.send()
            bases = [stop(guest.frontend, index) for index in (RX, TX)]
            marked = [page for page in range(MEM_LEN // PAGE)
                      if log[(GPA // PAGE + page) // 8] >> (GPA // PAGE + page) % 8 & 1]
        for at in (page * PAGE for page in marked):
            copy[at:at + PAGE] = guest.memory.bytes[at:at + PAGE]
        check_copied(guest, copy)
        move(path, guest, talker, bases)


def check_copied(guest, copy):
    """What the port alone writes is in the copy as it is."""
    for start, length in ((guest.rx.used, PAGE), (guest.tx.used, PAGE),
                          (guest.rx.buffers, RING_SIZE * BUF_LEN)):
        for at in range(start, start + length, PAGE):
            check(copy[at:at + PAGE] == guest.memory.bytes[at:at + PAGE],
                  f"the page at {at:#x} was written and is not in the log")


def move(path, guest, talker, bases):
    """Go on behind a new connection, in memory that has the same in it."""
    old = guest.frontend
    old.sock.close()
    guest.frontend = connect_again(path)
    memory = GuestMemory(guest.frontend)
    memory.bytes[:] = guest.memory.bytes[:]
    guest.memory.bytes.close()
    guest.memory = memory
    old.__exit__()
    guest.frontend.negotiate()
    guest.frontend.share(memory)
    rings = [Ring(memory, index) for index in (RX, TX)]
    for ring, before, base in zip(rings, (guest.rx, guest.tx), bases):
        ring.next = before.next
        resume(guest.frontend, ring, base)
    guest.rx, guest.tx = rings
    talker.catch_up()
    talker.exchange(20)


def connect_again(path):
    """The port takes the next peer when it is done with the last one."""
    def connected():
        try:
            return Frontend(path)
        except ConnectionRefusedError:
            return None
    return wait_for(connected, "a connection")


def hostile(path, rng):
    """A mistake that costs it the connection."""
    with Guest(path).start() as guest:
        Talker(guest).exchange(rng.randrange(1, 10))
        tx, frontend = guest.tx, guest.frontend
        what = rng.randrange(4)
        if what == 0:      # a buffer that is nowhere
            tx.describe(0, 0, 100, gpa=GPA + (1 << 40))
            tx.offer(0)
        elif what == 1:    # a chain without an end
            tx.describe(0, tx.buffer(0), 100, flags=1, following=0)
            tx.offer(0)
        elif what == 2:    # more chains than there are entries
            guest.memory.put(tx.avail + 2, "H", tx.next + 1000 & 0xffff)
        else:
            frontend.raw(rng.randbytes(200))
        frontend.closed()


ALL = (good, vanishing, growing, stopping, migrating, hostile)
