#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""Write the seeds of fuzz_iotlb: guests behind a vIOMMU, in the bytes it reads.

usage: mkcorpus_iotlb.py FOLDER

Finds are kept beside the seeds, under names of their own.
"""
import os
import struct
import sys

(MAP, UNMAP, MESSAGE, SERVE, RX, TX, SEND, POST, OFFER, POKE, RESTART, MEMORY) = range(12)
PACKED, DMA, ALL = 1, 2, 4
RO, WO, RW = 1, 2, 3
WRITE = 2


def step(op, a=0, b=0, c=0, d=0):
    return struct.pack('<BBHHH', op, a, b, c, d)


def traffic(length=300):
    """A frame each way, as far as it comes."""
    return (step(SEND, 0, 0, length) + step(SEND, 2, 0, length) + step(SERVE, 1) +
            step(RX, 32) + step(SERVE, 1) + step(RX, 32) + step(POST) + step(TX, 3, 0, length) +
            step(SERVE, 1) + step(TX, 3, 0, length))


def seeds():
    # rings' parts and their buffers: 36 pages each, of the receiving ring first
    asked = step(SERVE, 1) * 3
    for name, conf in (('split', 0), ('packed', PACKED), ('split_dma', DMA),
                       ('packed_dma', PACKED | DMA)):
        yield name, bytes([conf]) + asked + traffic() * 2 + step(RESTART, 1) + traffic(3000)
        yield name + '_unmapped', bytes([conf | ALL]) + traffic() + b''.join(
            step(UNMAP, 3, page) + traffic() for page in (4, 40, 36, 0, 8))
        yield name + '_moved', bytes([conf | ALL]) + traffic() + b''.join(
            step(MAP, 2, page, 100 + page, RW) + traffic() + step(MAP, 2, page, page, RW)
            for page in (5, 41, 0, 36))
        yield name + '_wrong', bytes([conf | ALL]) + (
            step(MAP, 60, 4, 4, RO) + traffic() + step(MAP, 60, 40, 40, WO) + traffic() +
            step(SERVE, 0) + step(SERVE, 2) + traffic())
        yield name + '_raw', bytes([conf | ALL]) + (
            step(OFFER, 1, 40 * 256, 70) + step(OFFER, 0, 5 * 256, 2000, WRITE) + step(RX, 3) +
            step(TX, 3, 0, 500) + step(MESSAGE, 0x32, 0, 0, 4096) +
            step(MESSAGE, 0x13, 7 * 256, 0, 256) + step(POKE, 0, 0, 0xffff, 0xffff) + traffic())
        yield name + '_memory', bytes([conf | ALL]) + (
            step(MEMORY) + traffic() + step(RESTART, 3) + step(MEMORY) + step(UNMAP, 255) +
            traffic() + step(RESTART, 2) + asked + traffic())


def main(folder):
    os.makedirs(folder, exist_ok=True)
    for name, data in seeds():
        with open(os.path.join(folder, name), 'wb') as out:
            out.write(data)


if __name__ == '__main__':
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    main(sys.argv[1])
