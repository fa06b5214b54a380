#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""Write the seeds of fuzz_ring: queues at work, in the bytes it reads.

usage: mkcorpus_ring.py FOLDER

Finds are kept beside the seeds, under names of their own.
"""
import os
import struct
import sys

BURST, OFFER, POKE, DESC, IDX, RESTART, CREDIT, COLLECT, AREA = range(9)
TX, DMA, MERGEABLE, CSUM, TSO, PACKED, TWO, HASH = 1, 2, 4, 8, 16, 32, 64, 128
LINEAR, EXT_BUF, LEGACY, EVENT_IDX, SHORT_HDR, SMALL, FAILS, ANY = 1, 2, 4, 8, 16, 32, 64, 128
NEXT, WRITE, INDIRECT = 1, 2, 4
SLOT, DATA = 0x4000, 0x400
SIZE_LOG2, KEPT, LOG = 4, 16, 32


def conf(flags, flags2=0, threshold=0, base=0, memory=b'', more=0):
    return struct.pack('<BBBBHH', SIZE_LOG2 | more, flags, flags2, threshold, base,
                       len(memory) // 16) + memory


def step(op, a=0, b=0, c=0, d=0):
    return struct.pack('<BBHHH', op, a, b, c, d)


def desc(addr, length, flags=0, following=0):
    return struct.pack('<QIHH', addr, length, flags, following)


def ipv4_tcp(payload):
    header = (b'\x02WEIR\x01\x02WEIR\x02\x08\x00' + b'\x45\x00' +
              struct.pack('>H', 40 + payload) + bytes(5) + b'\x06' + bytes(10))
    return header + struct.pack('>HHIIBBHHH', 1, 2, 3, 4, 0x50, 16, 99, 0, 0)


def memory(table, at_data=b''):
    """Descriptors, and what lies at DATA."""
    image = table + bytes(DATA - len(table)) + at_data
    return image + bytes(-len(image) % 16)


def table_rx(flags=0):
    """Chains of one, of three, and of an indirect table of two."""
    return (desc(DATA, 200, flags) +
            desc(DATA, 12, flags | NEXT, 2) + desc(DATA + 12, 90, flags | NEXT, 3) +
            desc(SLOT - 20, 40, flags) +
            desc(6 * 16, 2 * 16, INDIRECT) + desc(DATA, 1500, flags) +
            desc(DATA, 12, flags | NEXT, 1) + desc(DATA, 7000, flags))


def packed(addr, length, flags=0, number=0):
    return struct.pack('<QIHH', addr, length, number, flags)


def table_packed(flags=0):
    """Chains of one, of three, and of an indirect table of two, and their last one."""
    return (packed(DATA, 200, flags, 7) +
            packed(DATA, 12, flags | NEXT) + packed(DATA + 12, 90, flags | NEXT) +
            packed(SLOT - 20, 40, flags, 1) +
            packed(6 * 16, 2 * 16, INDIRECT, 2) + packed(DATA, 1500, flags, 3) +
            packed(DATA, 12, flags) + packed(DATA, 7000, flags))


def seeds_packed():
    hdr = struct.pack('<BBHHHHH', 1, 1, 54, 40, 34, 16, 0)
    image = memory(table_packed(), hdr + ipv4_tcp(200))
    room = memory(table_packed(WRITE))
    # any function that is made for a mode, and the one for all of them
    for name, flags, flags2 in (('plain', 0, 0), ('csum', CSUM, EVENT_IDX),
                                ('dma', DMA, SMALL), ('any', DMA, ANY)):
        rx = step(OFFER, 5) + step(CREDIT, 0, 1) + step(BURST, 32) + step(BURST, 32)
        rx += step(IDX, 0, 0x8080) + step(CREDIT, 0xff) + step(BURST, 32) + step(RESTART)
        yield 'rx_packed_' + name, conf(PACKED | flags, flags2, 2, 0x8000, image) + rx
    for name, flags, flags2 in (('plain', 0, 0), ('merge', MERGEABLE, EVENT_IDX),
                                ('dma', DMA | MERGEABLE, 0), ('any', MERGEABLE, ANY)):
        tx = step(OFFER, 5) + step(CREDIT, 0, 1) + step(BURST, 3, 0, 100)
        tx += step(COLLECT) + step(CREDIT, 0xff) + step(BURST, 2, 0, 1001)
        tx += step(OFFER, 9) + step(BURST, 9, 0, 700) + step(RESTART)
        yield 'tx_packed_' + name, conf(PACKED | flags | TX, flags2, 2, 0x800e, room) + tx


def seeds_more():
    """With an in-flight area, a dirty log, a hash in the header."""
    hdr = struct.pack('<BBHHHHH', 1, 1, 54, 40, 34, 16, 0)
    image = memory(table_packed(), hdr + ipv4_tcp(200))
    room = memory(table_packed(WRITE))
    plain = memory(b''.join(packed(DATA + 512 * i, 512, WRITE, i) for i in range(16)))
    for name, flags, more in (('kept', 0, KEPT), ('kept_dma', DMA, KEPT | LOG)):
        rx = step(OFFER, 5) + step(CREDIT, 0, 1) + step(BURST, 32) + step(BURST, 1)
        rx += step(CREDIT, 0xff) + step(RESTART, 2) + step(OFFER, 9) + step(BURST, 32)
        # an entry is marked, its chain is of one descriptor; and no longer free
        rx += step(AREA, 0, 12, 1, 1) + step(AREA, 0, 32, 1, 1) + step(AREA, 0, 36, 0, 1)
        rx += step(AREA, 0, 52, 300) + step(AREA, 0, 56, DATA) + step(RESTART, 2)
        yield 'rx_packed_' + name, conf(PACKED | flags, 0, 2, 0x8003, image, more) + rx
    for name, flags, more in (('kept', 0, KEPT), ('kept_dma', DMA, KEPT | LOG),
                              ('log', 0, LOG), ('hash', HASH, 0), ('hash_log', HASH | DMA, LOG)):
        tx = step(OFFER, 12) + step(CREDIT, 0, 1) + step(BURST, 3, 0, 1200)
        tx += step(COLLECT) + step(CREDIT, 0xff) + step(RESTART, 2) + step(BURST, 4, 0, 1001)
        yield 'tx_packed_' + name, conf(PACKED | MERGEABLE | flags | TX, 0, 2, 0x8003, plain,
                                        more) + tx
        yield 'tx_' + name, conf(MERGEABLE | flags | TX, 0, 2, 3, room, more) + tx


def seeds():
    hdr = struct.pack('<BBHHHHH', 1, 1, 54, 40, 34, 16, 0)
    image = memory(table_rx(), hdr + ipv4_tcp(200))
    room = memory(table_rx(WRITE))
    heads = step(OFFER, 0, 0) + step(OFFER, 0, 1) + step(OFFER, 0, 4)
    for name, flags, flags2 in (('plain', 0, 0), ('csum', CSUM, 0),
                                ('legacy', CSUM, LEGACY), ('linear', 0, LINEAR | SMALL),
                                ('extbuf', 0, LINEAR | EXT_BUF | SMALL),
                                ('short', 0, SHORT_HDR), ('dma', DMA, SMALL),
                                ('dma_fails', DMA, FAILS)):
        rx = heads + step(CREDIT, 0, 1) + step(BURST, 32) + step(BURST, 32)
        rx += step(CREDIT, 0xff) + step(BURST, 32) + step(RESTART)
        yield 'rx_' + name, conf(flags, flags2, 2, 65530, image) + rx
    for name, flags, flags2 in (('plain', 0, 0), ('merge', MERGEABLE, EVENT_IDX),
                                ('csum', MERGEABLE | CSUM, 0),
                                ('tso', MERGEABLE | CSUM | TSO, 0),
                                ('dma', DMA | MERGEABLE, 0),
                                ('dma_fails', DMA | MERGEABLE, FAILS)):
        tx = heads + step(CREDIT, 0, 1) + step(BURST, 3, 5 << 2 | 1, 100)
        tx += step(COLLECT) + step(CREDIT, 0xff) + step(BURST, 2, 0x20, 3001)
        tx += step(OFFER, 12, 0) + step(BURST, 9, 0, 700) + step(RESTART)
        yield 'tx_' + name, conf(flags | TX, flags2, 2, 65530, room) + tx


def main(folder):
    os.makedirs(folder, exist_ok=True)
    for name, data in (*seeds(), *seeds_packed(), *seeds_more()):
        with open(os.path.join(folder, name), 'wb') as out:
            out.write(data)


if __name__ == '__main__':
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    main(sys.argv[1])
