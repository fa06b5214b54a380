# SPDX-License-Identifier: BSD-3-Clause
"""A vhost-user frontend that can be as wrong as it likes.

Frontend speaks the protocol byte by byte; Ring lays out a split virtqueue in a
GuestMemory, PackedRing a packed one. Used as they are meant they make a good guest: good_guest() connects,
sends frames to a port whose switch loops them back, and compares. Everything can
also be sent or written directly, and nothing here checks that it makes sense.
"""
import array
import mmap
import os
import socket
import struct

from harness import TIMEOUT_S, check, check_equal, wait_for

GET_FEATURES, SET_FEATURES, SET_OWNER, RESET_OWNER, SET_MEM_TABLE = 1, 2, 3, 4, 5
SET_VRING_NUM, SET_VRING_ADDR, SET_VRING_BASE, GET_VRING_BASE = 8, 9, 10, 11
SET_VRING_KICK, SET_VRING_CALL, SET_VRING_ERR = 12, 13, 14
GET_PROTOCOL_FEATURES, SET_PROTOCOL_FEATURES, GET_QUEUE_NUM, SET_VRING_ENABLE = 15, 16, 17, 18
SET_LOG_BASE, SET_MTU, ADD_MEM_REG, REM_MEM_REG = 6, 20, 37, 38
SET_VRING_ENDIAN, GET_INFLIGHT_FD, SET_INFLIGHT_FD = 23, 31, 32
LAST_REQUEST = 44
VERSION, REPLY, NEED_REPLY = 1, 4, 8

F_MRG_RXBUF, F_INDIRECT, F_EVENT_IDX = 1 << 15, 1 << 28, 1 << 29
F_LOG_ALL, F_PROTOCOL, F_VERSION_1, F_PACKED = 1 << 26, 1 << 30, 1 << 32, 1 << 34
FEATURES = F_MRG_RXBUF | F_INDIRECT | F_PROTOCOL | F_VERSION_1
PF_LOG_SHMFD, PF_REPLY_ACK = 1 << 1, 1 << 3
PF_INFLIGHT, PF_CONFIGURE_MEM_SLOTS = 1 << 12, 1 << 15

NEXT, WRITE, INDIRECT = 1, 2, 4  # flags of a descriptor
AVAIL, USED = 1 << 7, 1 << 15    # ... of a packed ring
WRAP = 1 << 15                   # the wrap counter beside an index
RX, TX = 0, 1                    # rings, as the guest calls them
HDR_LEN = 12                     # virtio_net_hdr with num_buffers

MEM_LEN = 2 << 20
GPA, UVA = 0x40000000, 0x7f0000000000
RING_SIZE = 16
BUF_LEN = 2048


def u64(value):
    return struct.pack("=Q", value)


def state(index, num):
    return struct.pack("=II", index, num)


def region(gpa=GPA, length=MEM_LEN, user=UVA, offset=0):
    return struct.pack("=QQQQ", gpa, length, user, offset)


def table(*regions):
    return struct.pack("=II", len(regions), 0) + b"".join(regions)


def mem_reg(one):
    return u64(0) + one


def ring_addr(index, desc, used, avail, flags=0, log=0):
    return struct.pack("=IIQQQQ", index, flags, desc, used, avail, log)


class Frontend:
    """A connection to a port. Leaving it closes everything."""

    def __init__(self, path):
        self.fds = []
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(TIMEOUT_S)
        self.sock.connect(path)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.sock.close()
        for fd in self.fds:
            os.close(fd)

    def memfd(self, length=MEM_LEN):
        """A file of zeros."""
        fd = os.memfd_create("guest")
        self.fds.append(fd)
        os.ftruncate(fd, length)
        return fd

    def eventfd(self):
        fd = os.eventfd(0)
        self.fds.append(fd)
        return fd

    def raw(self, data, fds=()):
        """Send bytes and descriptors. False: the other side has closed."""
        rights = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", fds))] if fds else []
        try:
            self.sock.sendmsg([data], rights)
            return True
        except (BrokenPipeError, ConnectionResetError):
            return False

    def send(self, request, payload=b"", fds=(), flags=VERSION, size=None):
        """Send a message; `size` is what its header says, if not the truth."""
        length = len(payload) if size is None else size
        return self.raw(struct.pack("=III", request, flags, length) + payload, fds)

    def receive(self):
        """A reply's request, flags and payload; None: the other side has closed."""
        head = self.exactly(12)
        if head is None:
            return None
        request, flags, length = struct.unpack("=III", head)
        return request, flags, self.exactly(length)

    def exactly(self, length):
        data = b""
        while len(data) < length:
            try:
                more = self.sock.recv(length - len(data))
            except ConnectionResetError:
                return None
            if not more:
                return None
            data += more
        return data

    def ask(self, request, payload=b"", fds=(), flags=VERSION):
        """Send a question; the 64 bits of its answer."""
        self.send(request, payload, fds, flags)
        answer = self.receive()
        check(answer is not None, f"the port closed instead of answering request {request}")
        check_equal(answer[:2], (request, VERSION | REPLY), "the reply's header")
        return struct.unpack("=Q", answer[2])[0]

    def closed(self):
        """Wait until the other side closes; what it says before is thrown away."""
        try:
            while self.sock.recv(65536):
                pass
        except ConnectionResetError:
            pass
        except socket.timeout:
            check(False, "the port did not close the connection")

    def negotiate(self, features=FEATURES, pf=PF_REPLY_ACK | PF_CONFIGURE_MEM_SLOTS):
        offered = self.ask(GET_FEATURES)
        check_equal(features & ~offered, 0, "features that are not offered")
        self.send(SET_OWNER)
        self.send(SET_PROTOCOL_FEATURES, u64(pf))
        self.send(SET_FEATURES, u64(features))

    def share(self, memory):
        """Give the port the memory; with the answer it is mapped."""
        check_equal(self.ask(SET_MEM_TABLE, table(region()), [memory.fd],
                             flags=VERSION | NEED_REPLY), 0, "SET_MEM_TABLE's result")

    def inflight_get(self, rings, size):
        """Ask for an area to recover from; its description and its descriptor."""
        self.send(GET_INFLIGHT_FD, struct.pack("=QQHHI", 0, 0, rings, size, 0))
        answer, fds, _, _ = socket.recv_fds(self.sock, 12 + 24, 1)
        check_equal(len(answer), 12 + 24, "the length of GET_INFLIGHT_FD's answer")
        check_equal(len(fds), 1, "the number of its descriptors")
        return answer[12:], fds[0]

    def inflight_set(self, area, fd):
        """Give an area back."""
        check_equal(self.ask(SET_INFLIGHT_FD, area, [fd], flags=VERSION | NEED_REPLY), 0,
                    "SET_INFLIGHT_FD's result")

    def start(self, ring, **wrong):
        """Start a ring; `wrong` replaces addresses."""
        where = {"desc": ring.uva(ring.desc), "used": ring.uva(ring.used),
                 "avail": ring.uva(ring.avail), **wrong}
        self.send(SET_VRING_NUM, state(ring.index, RING_SIZE))
        self.send(SET_VRING_BASE, state(ring.index, ring.base))
        self.send(SET_VRING_ADDR, ring_addr(ring.index, **where))
        self.send(SET_VRING_CALL, u64(ring.index), [self.eventfd()])
        self.send(SET_VRING_KICK, u64(ring.index), [self.eventfd()])
        self.send(SET_VRING_ENABLE, state(ring.index, 1))


class GuestMemory:
    """A mapped memfd; a frontend closes the descriptor."""

    def __init__(self, frontend, length=MEM_LEN):
        self.fd = frontend.memfd(length)
        self.bytes = mmap.mmap(self.fd, length)

    def put(self, offset, fmt, *values):
        # not pack_into(), which writes zeroes first: the other side is looking
        data = struct.pack("=" + fmt, *values)
        self.bytes[offset:offset + len(data)] = data

    def get(self, offset, fmt):
        return struct.unpack_from("=" + fmt, self.bytes, offset)[0]


class Ring:
    """A virtqueue of RING_SIZE entries and a buffer each, at a place of its own."""

    base = 0  # where it begins, as the protocol has it

    def __init__(self, memory, index):
        self.memory, self.index = memory, index
        base = 0x10000 * (index + 1)
        self.desc, self.avail, self.used = base, base + 0x1000, base + 0x2000
        self.table, self.buffers = base + 0x3000, base + 0x4000
        self.next = 0  # avail.idx

    @staticmethod
    def uva(offset):
        return UVA + offset

    def buffer(self, number):
        return self.buffers + number * BUF_LEN

    def describe(self, number, offset, length, flags=0, following=0, table_at=None, gpa=None):
        """Write a descriptor, into the ring's table or one at an offset."""
        where = (self.desc if table_at is None else table_at) + 16 * number
        self.memory.put(where, "QIHH", GPA + offset if gpa is None else gpa, length, flags,
                        following)

    def offer(self, *heads):
        """Make chains available."""
        for head in heads:
            self.memory.put(self.avail + 4 + 2 * (self.next % RING_SIZE), "H", head)
            self.next = self.next + 1 & 0xffff
        self.memory.put(self.avail + 2, "H", self.next)

    def nr_used(self):
        return self.memory.get(self.used + 2, "H")

    def used_entry(self, number):
        """Head and length of a used entry."""
        at = self.used + 4 + 8 * (number % RING_SIZE)
        return self.memory.get(at, "I"), self.memory.get(at + 4, "I")

    def offer_all_for_writing(self):
        for i in range(RING_SIZE):
            self.describe(i, self.buffer(i), BUF_LEN, WRITE)
        self.offer(*range(RING_SIZE))


class PackedRing(Ring):
    """The same of a packed virtqueue, chains being of one descriptor."""

    base = WRAP

    def __init__(self, memory, index):
        super().__init__(memory, index)
        self.chains = {}
        self.avail_pos = self.used_pos = 0  # running on, over all rounds
        self.got = []

    @staticmethod
    def wrap(pos):
        return pos // RING_SIZE % 2 == 0

    def describe(self, number, offset, length, flags=0, **_):
        self.chains[number] = (GPA + offset, length, flags)

    def offer(self, *heads):
        for head in heads:
            addr, length, flags = self.chains[head]
            where = self.desc + 16 * (self.avail_pos % RING_SIZE)
            self.memory.put(where, "QIH", addr, length, head)
            self.memory.put(where + 14, "H", flags | (AVAIL if self.wrap(self.avail_pos) else USED))
            self.avail_pos += 1
            self.next = self.next + 1 & 0xffff

    def nr_used(self):
        while True:
            where = self.desc + 16 * (self.used_pos % RING_SIZE)
            both = AVAIL | USED
            if self.memory.get(where + 14, "H") & both != (both if self.wrap(self.used_pos) else 0):
                return len(self.got) & 0xffff
            self.got.append((self.memory.get(where + 12, "H"), self.memory.get(where + 8, "I")))
            self.used_pos += 1

    def used_entry(self, number):
        return self.got[number]


class Guest:
    """A frontend with both rings of the first pair running, its buffers offered."""

    def __init__(self, path, features=FEATURES, pf=PF_REPLY_ACK | PF_CONFIGURE_MEM_SLOTS):
        self.frontend = Frontend(path)
        self.frontend.negotiate(features, pf)
        self.memory = GuestMemory(self.frontend)
        self.frontend.share(self.memory)
        self.rx, self.tx = (Ring(self.memory, i) for i in (RX, TX))

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.frontend.__exit__()
        self.memory.bytes.close()

    def start(self):
        self.rx.offer_all_for_writing()
        for ring in (self.rx, self.tx):
            self.frontend.start(ring)
        return self

    def frame(self, number, length=200):
        """A frame, behind its virtio header."""
        body = bytes((number + i) & 0xff for i in range(length - 14))
        return bytes(HDR_LEN) + b"\xff" * 6 + b"\x02guest" + b"\x88\xb5" + body

    def place(self, number, length=200):
        """Write a frame into a buffer of the tx ring; its length there."""
        data, at = self.frame(number, length), self.tx.buffer(number)
        self.memory.bytes[at:at + len(data)] = data
        return len(data)

    def expect(self, number, length=200, at=None):
        """Wait for the frame to come back, which is checked byte by byte."""
        at = number if at is None else at
        wait_for(lambda: self.rx.nr_used() > at, "the frame's return")
        head, used = self.rx.used_entry(at)
        wanted = self.frame(number, length)
        check_equal(used, len(wanted), "the length of the frame that came back")
        where = self.rx.buffer(head)
        check(self.memory.bytes[where + HDR_LEN:where + used] == wanted[HDR_LEN:],
              "the frame came back changed")


def good_guest(path):
    """Frames in one buffer, in a chain, and through an indirect table, there and back."""
    with Guest(path).start() as guest:
        tx = guest.tx
        length = guest.place(0)
        tx.describe(0, tx.buffer(0), length)
        length = guest.place(1)
        tx.describe(1, tx.buffer(1), HDR_LEN, NEXT, 2)
        tx.describe(2, tx.buffer(1) + HDR_LEN, 30, NEXT, 3)
        tx.describe(3, tx.buffer(1) + HDR_LEN + 30, length - HDR_LEN - 30)
        length = guest.place(2)
        tx.describe(0, tx.buffer(2), 40, NEXT, 1, table_at=tx.table)
        tx.describe(1, tx.buffer(2) + 40, length - 40, table_at=tx.table)
        tx.describe(4, tx.table, 32, INDIRECT)
        tx.offer(0, 1, 4)
        for number in range(3):
            guest.expect(number)
        wait_for(lambda: tx.nr_used() == 3, "the buffers' return")
