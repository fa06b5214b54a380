#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""Checksums and segmentation from guest to guest, all of them the stock testpmd.

    file -> net_pcap | csum | net_virtio_user -- net_weir0 | io | net_weir1 -- net_virtio_user
                                                                       | io | net_pcap -> file

The first guest leaves checksums to its device, and asks it to segment; what comes into
the second file is looked at frame by frame.
"""
import ipaddress
import random
import struct

from harness import check, check_equal, main, wait_for
from netweir import Switch
from testpmd import TestPmd

PCAP_HEADER = struct.pack("<IHHiIII", 0xa1b2c3d4, 2, 4, 0, 0, 65535, 1)
ETH = bytes.fromhex("020000000002" "020000000001")
MSS = 500
TCP, UDP = 6, 17
# on both of the switch's ports: what the one receives the other can send on as it is
PORT = "tso=1,legacy-ol-flags=1"


def ones_sum(data):
    """The Internet checksum's sum, folded."""
    if len(data) % 2:
        data += b"\0"
    total = sum(struct.unpack(f">{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xffff) + (total >> 16)
    return total


def frame(v6, proto, flow, payload):
    """A frame with checksums that are wrong; UDP's is not 0, which would mean none."""
    if proto == TCP:
        l4 = struct.pack(">HHIIBBHHH", 1000 + flow, 80, 7000, 1, 5 << 4, 0x18, 512, 0, 0)
    else:
        l4 = struct.pack(">HHHH", 1000 + flow, 80, 8 + len(payload), 1)
    l4 += payload
    if v6:
        ip = struct.pack(">IHBB", 6 << 28, len(l4), proto, 64)
        ip += ipaddress.ip_address("fd00::1").packed + ipaddress.ip_address("fd00::2").packed
        return ETH + b"\x86\xdd" + ip + l4
    ip = struct.pack(">BBHHHBBH4s4s", 0x45, 0, 20 + len(l4), 1, 0, 64, proto, 0,
                     bytes([10, 0, 0, 1]), bytes([10, 0, 0, 2]))
    return ETH + b"\x08\x00" + ip + l4


def make_frames():
    """One frame a flow: both versions, both transports, lengths around a segment's."""
    rnd = random.Random(1)
    sizes = [1, 2, MSS - 1, MSS, MSS + 1, 2 * MSS, 2 * MSS + 1, 1301]
    kinds = [(v6, proto) for v6 in (False, True) for proto in (TCP, UDP)]
    return [frame(v6, proto, flow * 10 + kind, rnd.randbytes(size))
            for flow, size in enumerate(sizes) for kind, (v6, proto) in enumerate(kinds)]


def pcap_write(path, frames):
    with open(path, "wb") as f:
        f.write(PCAP_HEADER)
        for number, data in enumerate(frames):
            f.write(struct.pack("<IIII", number, 0, len(data), len(data)) + data)


def pcap_read(path):
    with open(path, "rb") as f:
        data = f.read()
    frames, at = [], len(PCAP_HEADER)
    while at < len(data):
        size = struct.unpack_from("<I", data, at + 8)[0]
        frames.append(data[at + 16:at + 16 + size])
        at += 16 + size
    return frames


def parse(data, sums="ip l4"):
    """(flow, TCP's number or None, payload) of a frame; those of its checksums are right."""
    v6 = data[12:14] == b"\x86\xdd"
    check(v6 or data[12:14] == b"\x08\x00", f"{data.hex()} is not IP")
    if v6:
        size, proto = struct.unpack_from(">HB", data, 18)
        addresses, l4 = data[22:54], data[54:54 + size]
    else:
        size, proto = struct.unpack_from(">H", data, 16)[0] - 20, data[23]
        addresses, l4 = data[26:34], data[34:34 + size]
        if "ip" in sums:
            check_equal(ones_sum(data[14:34]), 0xffff, f"the sum of the IP header, {data.hex()}")
    if "l4" in sums:
        pseudo = addresses + struct.pack(">II", len(l4), proto)
        check_equal(ones_sum(pseudo + l4), 0xffff, f"the checksum of {data.hex()}")
    flow = struct.unpack_from(">H", l4)[0]
    if proto == TCP:
        return flow, struct.unpack_from(">I", l4, 4)[0], l4[(l4[12] >> 4) * 4:]
    return flow, None, l4[8:]


def sender(ws, path, mss):
    """A guest that reads the file, and leaves checksums and segments to its device."""
    guest = TestPmd(ws, "sender", core=1,
                    vdevs=[f"net_pcap0,rx_pcap={path},tx_pcap={ws.path}/back.pcap",
                           f"net_virtio_user0,path={ws.socket('w0')},queue_size=1024"],
                    app=["--no-flush-rx"])
    guest.command("port stop 1")
    guest.command("csum set tcp hw 1")
    guest.command("csum set udp hw 1")
    if mss:
        guest.command(f"tso set {mss} 1")
    guest.command("port start 1")
    guest.command("set fwd csum")
    return guest


def receiver(ws, path, takes_segments):
    """A guest that writes what it receives; it completes nothing."""
    guest = TestPmd(ws, "receiver", core=0,
                    vdevs=["net_pcap0,rx_pcap=" + ws.path + f"/none.pcap,tx_pcap={path}",
                           f"net_virtio_user0,path={ws.socket('w1')},queue_size=1024"],
                    app=["--no-flush-rx"])
    if takes_segments:
        guest.command("port stop 1")
        for offload in ("tcp_lro", "tcp_cksum", "udp_cksum"):
            guest.command(f"port config 1 rx_offload {offload} on")
        guest.command("port config 1 max-lro-pkt-size 9000")
        guest.command("port start 1")
    guest.command("set fwd io")
    guest.command("start")
    return guest


def carry(ws, mss, takes_segments, expect):
    """Send the frames; what came, by flow, checked."""
    sent = make_frames()
    pcap_write(ws.path + "/in.pcap", sent)
    pcap_write(ws.path + "/none.pcap", [])
    switch = Switch(ws, [PORT, PORT], paired=True)
    to = receiver(ws, ws.path + "/out.pcap", takes_segments)
    wait_for(lambda: switch.link_up(1), "the receiver's link")
    guest = sender(ws, ws.path + "/in.pcap", mss)
    wait_for(lambda: switch.link_up(0), "the sender's link")
    features = int(switch.port(0)["features"], 16)
    check(features & 1, "the sender leaves no checksums to its device")
    guest.command("start")
    wait_for(lambda: to.stats(0)["opackets"] >= expect, f"{expect} frames")
    for pmd in (guest, to, switch):
        pmd.stop()
    got = pcap_read(ws.path + "/out.pcap")
    check_equal(len(got), expect, "the number of frames")
    # who takes segments has checksums to complete
    sums = "ip" if takes_segments else "ip l4"
    return [parse(data, "") for data in sent], [parse(data, sums) for data in got]


def nr_segments(mss):
    """Frames that TCP's are cut into, and UDP's, which are not."""
    return sum(1 if seq is None or not mss else -(-len(payload) // mss)
               for _, seq, payload in (parse(data, "") for data in make_frames()))


def check_same(sent, got, size):
    """Each flow's payload came, in order, in segments of that size but for the last."""
    for flow, seq, payload in sent:
        parts = [(s, p) for f, s, p in got if f == flow]
        check_equal(b"".join(p for _, p in parts), payload, f"the payload of flow {flow}")
        at = seq
        for number, (s, part) in enumerate(parts):
            check_equal(s, at, f"flow {flow}: the number of segment {number}")
            check(seq is None or not size or number + 1 == len(parts) or len(part) == size,
                  f"flow {flow}: a segment of {len(part)}")
            at = None if at is None else at + len(part)


def checksums_completed(ws):
    """A guest leaves checksums to its device, the other takes none that are not complete."""
    check_same(*carry(ws, 0, False, nr_segments(0)), 0)


def frames_cut_for_who_cannot(ws):
    """A guest asks for segments of 500 bytes; the other's driver takes no long frames."""
    check_same(*carry(ws, MSS, False, nr_segments(MSS)), MSS)


def frames_whole_for_who_can(ws):
    """The other guest takes them as they are: one frame a flow."""
    check_same(*carry(ws, MSS, True, nr_segments(0)), 0)


main("net_weir_offload_e2e", [
    checksums_completed,
    frames_cut_for_who_cannot,
    frames_whole_for_who_can,
])
