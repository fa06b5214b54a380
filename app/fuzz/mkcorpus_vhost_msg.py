#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""Write the seeds of fuzz_vhost_msg: conversations in the bytes it reads.

usage: mkcorpus_vhost_msg.py FOLDER

Finds are kept beside the seeds, under names of their own.
"""
import os
import struct
import sys

GET_FEATURES, SET_FEATURES, SET_OWNER, RESET_OWNER, SET_MEM_TABLE = range(1, 6)
SET_LOG_BASE, SET_LOG_FD, NUM, ADDR, BASE, GET_BASE, KICK, CALL, ERR = range(6, 15)
GET_PF, SET_PF, GET_QUEUE_NUM, ENABLE, RARP, MTU, BACKEND_FD = range(15, 22)
GET_CONFIG, SET_CONFIG, GET_INFLIGHT, SET_INFLIGHT = 24, 25, 31, 32
IOTLB = 22
ADVISE, LISTEN, END = 28, 29, 30
RESET_DEVICE, MAX_SLOTS, ADD_REG, REM_REG, SET_STATUS, GET_STATUS = 34, 36, 37, 38, 39, 40

ACK = 0x9
ONE_FILE, OTHER_FILE, SHORT_FILE, NO_FILE, SOCKET = 0x01, 0x11, 0x21, 0x31, 0x41
USER = 0x7f0000000000
PROTOCOL, VERSION_1, PACKED, LOG_ALL = 1 << 30, 1 << 32, 1 << 34, 1 << 26
PLATFORM = 1 << 33
# MQ, LOG_SHMFD, RARP, REPLY_ACK, MTU, BACKEND_REQ, CONFIG, RESET, SLOTS, STATUS
# ... and INFLIGHT_SHMFD, GET_VRING_BASE_INFLIGHT, PAGEFAULT
PF = 0x11B33F


def msg(request, payload=b'', flags=1, fds=0, result=0):
    size = bytes([len(payload)]) if len(payload) < 255 \
        else b'\xff' + struct.pack('<H', len(payload))
    return bytes([request, flags, fds, result]) + size + payload


def u64(value):
    return struct.pack('<Q', value)


def state(index, num):
    return struct.pack('<II', index, num)


def addr(index, flags=0):
    at = USER + index * 0x10000
    return struct.pack('<IIQQQQ', index, flags, at, at + 0x8000, at + 0x4000, 0)


def region(gpa, length, user, offset=0):
    return struct.pack('<QQQQ', gpa, length, user, offset)


def table(*regions):
    return struct.pack('<II', len(regions), 0) + b''.join(regions)


def slot(*r):
    return u64(0) + region(*r)


def ring(index, num=256, base=0):
    return (msg(CALL, u64(index), fds=NO_FILE) + msg(NUM, state(index, num)) +
            msg(BASE, state(index, base)) + msg(ADDR, addr(index)) +
            msg(KICK, u64(index), fds=NO_FILE) + msg(ENABLE, state(index, 1)))


def area(length, rings, size, offset=0):
    return struct.pack('<QQHHI', length, offset, rings, size, 0)


def start(features, pf=PF):
    return (msg(SET_OWNER) + msg(GET_FEATURES) + msg(GET_PF) +
            msg(SET_PF, u64(pf)) + msg(SET_FEATURES, u64(features)))


def iotlb(iova, size, user=0, perm=0, kind=3):
    return msg(IOTLB, struct.pack('<QQQBB6x', iova, size, user, perm, kind), ACK)


def stop(*rings):
    return b''.join(msg(ENABLE, state(r, 0)) + msg(GET_BASE, state(r, 0)) for r in rings)


def wire(request, payload=b'', flags=1):
    return struct.pack('<III', request, flags, len(payload)) + payload


def piece(data, fds=0):
    return bytes([fds, len(data)]) + data


WHOLE = table(region(0, 0x1000000, USER))
OFFER = bytes([0, 1])
SPLIT = PROTOCOL | VERSION_1

SEEDS = {
    'virtio_user': OFFER + start(SPLIT) +
    msg(SET_MEM_TABLE, WHOLE, ACK, ONE_FILE) + ring(0) + ring(1) +
    msg(SET_STATUS, u64(15), ACK) + msg(SET_MEM_TABLE, WHOLE, ACK, ONE_FILE) +
    stop(0, 1) + ring(0) + msg(SET_STATUS, u64(0)) + msg(GET_STATUS),
    'packed': OFFER + start(SPLIT | PACKED) +
    msg(SET_MEM_TABLE, WHOLE, ACK, ONE_FILE) + ring(0, 100, 0x8000) +
    stop(0) + ring(0, 100, 0x80058005) + msg(RESET_DEVICE, flags=ACK),
    'slots': OFFER + start(SPLIT) + msg(MAX_SLOTS) + msg(GET_QUEUE_NUM) +
    msg(ADD_REG, slot(0x100000000, 0x10000, USER + 0x10000), ACK, ONE_FILE) +
    msg(ADD_REG, slot(0, 0x10000, USER), ACK, OTHER_FILE) + ring(0) +
    msg(REM_REG, slot(0, 0x10000, USER), ACK, 0, 0xf0) +
    msg(REM_REG, slot(0, 0x10000, USER), ACK, ONE_FILE) +
    msg(ADD_REG, slot(0x8000, 0x10000, USER), ACK, SHORT_FILE) +
    msg(ADD_REG, slot(0x8000, 0x1000, USER), ACK, SHORT_FILE, 0xf0),
    'tables': OFFER + start(SPLIT) +
    msg(SET_MEM_TABLE, table(region(0x10000, 0x1000, USER), region(0, 0x1000, USER + 0x1000)),
        1, 0x02) + ring(0, 1) +
    msg(SET_MEM_TABLE, table(region(0, 0x2000, USER), region(0x1000, 0x1000, USER + 0x9000)),
        ACK, 0x12) +
    msg(SET_MEM_TABLE, table(), ACK, 0, 0xf0) + msg(SET_MEM_TABLE, table(), ACK),
    'migrate': OFFER + start(SPLIT) + msg(SET_MEM_TABLE, WHOLE, 1, ONE_FILE) + ring(0) +
    msg(SET_LOG_BASE, u64(0x1000) + u64(0), 1, ONE_FILE) + msg(SET_LOG_FD, fds=NO_FILE) +
    msg(ADDR, addr(0, 1)) + msg(SET_FEATURES, u64(SPLIT | LOG_ALL)) +
    msg(RARP, u64(0x665544332212)) + msg(MTU, u64(1500), ACK) +
    msg(BACKEND_FD, b'', ACK, SOCKET) + msg(BACKEND_FD, b'', ACK, NO_FILE),
    'config': bytes([8, 0]) + start(SPLIT) +
    msg(GET_CONFIG, struct.pack('<III', 0, 12, 0) + bytes(12)) +
    msg(SET_CONFIG, struct.pack('<III', 4, 4, 1) + bytes(4), ACK) +
    msg(GET_CONFIG, struct.pack('<III', 250, 12, 0) + bytes(12)),
    'inflight': OFFER + start(SPLIT) + msg(GET_INFLIGHT, area(0, 4, 256)) +
    msg(SET_INFLIGHT, area(4 * 4160, 4, 256), ACK, ONE_FILE) +
    msg(GET_INFLIGHT, area(0, 2, 64)[:20], 1, 0, 0xf0) +
    msg(SET_INFLIGHT, area(1 << 16, 2, 1024, 64), ACK, OTHER_FILE) +
    msg(SET_INFLIGHT, area(1 << 16, 2, 1024), ACK, SHORT_FILE) +
    msg(SET_FEATURES, u64(SPLIT | PACKED)) + msg(GET_INFLIGHT, area(0, 4, 100)) +
    msg(SET_INFLIGHT, area(4 * 3264, 4, 100), ACK, ONE_FILE),
    'iommu': bytes([0x10, 1]) + start(SPLIT | PLATFORM) +
    msg(SET_MEM_TABLE, WHOLE, ACK, ONE_FILE) + ring(0) +
    iotlb(0xfff00000, 0x1000, USER, 1, 2) + iotlb(0xfff00000, 0x1000) +
    iotlb(0, 0x1000, USER + 0x1000000, 3, 2) + iotlb(0, 0) + iotlb(0x1000, 0, USER, 3, 2) +
    iotlb(0, 0x1000, USER, 1, 1) + stop(0),
    'postcopy': OFFER + start(SPLIT) + msg(ADVISE) + msg(LISTEN, flags=ACK) +
    msg(SET_MEM_TABLE, WHOLE, 1, ONE_FILE) + msg(SET_MEM_TABLE, u64(0)) + ring(0) +
    msg(ADD_REG, slot(0x100000000, 0x10000, USER + 0x10000000), 1, OTHER_FILE) +
    msg(ADD_REG, u64(0), ACK) + msg(0, u64(0)) + msg(ADVISE) + msg(LISTEN, flags=ACK) +
    msg(REM_REG, slot(0x100000000, 0x10000, USER + 0x10000000), ACK) +
    msg(END, flags=ACK) + msg(0, u64(0)),
    'stream': bytes([0x20, 1]) + piece(wire(SET_OWNER) + wire(GET_FEATURES)) +
    piece(wire(SET_FEATURES, u64(SPLIT))[:7]) + piece(wire(SET_FEATURES, u64(SPLIT))[7:]) +
    piece(wire(SET_MEM_TABLE, WHOLE)[:12], ONE_FILE) + piece(wire(SET_MEM_TABLE, WHOLE)[12:]) +
    piece(wire(KICK, u64(0), ACK), NO_FILE) + piece(wire(CALL, u64(0)), NO_FILE),
    'stream_broken': bytes([0x20, 1]) + piece(wire(SET_FEATURES, u64(SPLIT))[:9], 0x34),
    'old': bytes([1, 0]) + msg(SET_OWNER) + msg(SET_FEATURES, u64(VERSION_1)) +
    msg(SET_MEM_TABLE, WHOLE, 1, ONE_FILE) + msg(NUM, state(0, 8)) + msg(ADDR, addr(0)) +
    msg(KICK, u64(0x100)) + msg(RESET_OWNER) + msg(ERR, u64(1), fds=NO_FILE),
}


def main():
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    for name, data in SEEDS.items():
        with open(os.path.join(sys.argv[1], name), 'wb') as f:
            f.write(data)


if __name__ == '__main__':
    main()
