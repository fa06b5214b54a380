#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""net_weir against all that a stock net_virtio_user can be asked to be.

One switch, which outlives its guests, has a port whose copies are done by CPU and one
whose copies are done by DMA; each guest has a pair of ports on both.
"""
from harness import check, check_equal, main, wait_for
from netweir import BOTH_BY_DMA, Guest, Switch, dmas, exchange, settle

VIRTIO_NET_F_MRG_RXBUF = 1 << 15
VIRTIO_NET_F_MQ = 1 << 22
VIRTIO_RING_F_INDIRECT_DESC = 1 << 28
VIRTIO_F_RING_PACKED = 1 << 34
VIRTIO_F_IN_ORDER = 1 << 35

SMALL, LARGE = "size=60-1514,window=200", "size=60-9000,window=40"


def run_guest(ws, switch, name, virtio_user, gen, **kw):
    """A guest's traffic over both ports, whole; the features it negotiated, and its log."""
    guest = Guest(ws, name, [(ws.socket(f"w{i}"), virtio_user) for i in (0, 1)], gen=gen,
                  **kw)
    for port in (0, 1):
        wait_for(lambda port=port: switch.link_up(port), f"{name}: link of port {port}")
    exchange([guest.begin()], 2000)
    check_equal(settle([guest], switch), 0, f"{name}: packets dropped")
    switch.check_no_errors()
    features = [int(switch.port(port)["features"], 16) for port in (0, 1)]
    check_equal(features[0], features[1], "the second port's features")
    guest.stop()
    return features[0], guest.log()


def check_bits(features, wanted, name):
    """Each feature is negotiated or not, as wanted."""
    for bit, on in wanted.items():
        check_equal(features & bit != 0, on, f"{name}: feature {bit:#x} in {features:#x}")


def ring_layouts(ws):
    """Mergeable or not, in order or not, vectorized, through each of the driver's paths."""
    switch = Switch(ws, ["", BOTH_BY_DMA], engine="")
    # mrg_rxbuf, in_order, further arguments, generator, the path the driver took
    table = [(1, 1, "", LARGE, "inorder"),
             (1, 0, "", LARGE, "mergeable buffer"),  # chains in indirect tables
             (0, 1, "", LARGE, "inorder"),
             (0, 0, "", LARGE, "standard"),
             (0, 0, ",vectorized=1", SMALL, "vectorized")]
    for number, (merge, order, more, gen, path) in enumerate(table):
        name = f"guest{number}"
        features, log = run_guest(ws, switch, name, f"queue_size=1024,mrg_rxbuf={merge},"
                                                    f"in_order={order}{more}", gen, jumbo=not merge)
        check(f"using {path} Rx path on port 1" in log, f"{name}: not the {path} Rx path")
        check_bits(features, {VIRTIO_NET_F_MRG_RXBUF: merge == 1, VIRTIO_F_IN_ORDER: order == 1,
                              VIRTIO_RING_F_INDIRECT_DESC: True}, name)
    check_equal(switch.port()["connections"], len(table), "guests so far")
    switch.check_no_errors()
    switch.stop()


def packed_rings(ws):
    """The same with packed rings, one of them of a size that is no power of two."""
    switch = Switch(ws, ["", BOTH_BY_DMA], engine="")
    # mrg_rxbuf, in_order, queue_size, further arguments, generator
    table = [(1, 1, 1024, "", LARGE),
             (1, 0, 1000, "", LARGE),
             (0, 1, 256, "", LARGE),
             (0, 0, 1024, ",vectorized=1", SMALL)]
    for number, (merge, order, size, more, gen) in enumerate(table):
        name = f"guest{number}"
        features, _ = run_guest(ws, switch, name,
                                f"packed_vq=1,queue_size={size},mrg_rxbuf={merge},"
                                f"in_order={order}{more}", gen, jumbo=not merge)
        check_bits(features, {VIRTIO_F_RING_PACKED: True, VIRTIO_F_IN_ORDER: order == 1,
                              VIRTIO_NET_F_MRG_RXBUF: merge == 1}, name)
    switch.stop()
    switch = Switch(ws, ["packed=0", "packed=0," + BOTH_BY_DMA], engine="", name="split")
    features, _ = run_guest(ws, switch, "refused", "packed_vq=1,queue_size=256", SMALL)
    check_bits(features, {VIRTIO_F_RING_PACKED: False}, "refused")
    switch.stop()


def queue_sizes(ws):
    """Rings of 256 and of 1024 entries, and of 64, which wrap at once."""
    switch = Switch(ws, ["", BOTH_BY_DMA], engine="mode=thread")
    for size in (64, 256, 1024):
        for order in (0, 1):
            window = min(size // 5, 128)
            run_guest(ws, switch, f"guest{size}-{order}",
                      f"queue_size={size},mrg_rxbuf=1,in_order={order}",
                      f"size=60-9000,window={window}")
    switch.stop()


def queue_pairs(ws):
    """Four pairs of queues, each with its own channel of the engine, all of them used."""
    switch = Switch(ws, ["queues=4", "queues=4," + dmas(4)], engine="",
                    app=["--rxq=4", "--txq=4"])
    features, _ = run_guest(ws, switch, "guest", "queues=4,queue_size=512", SMALL,
                            app=["--rxq=4", "--txq=4"])
    check_bits(features, {VIRTIO_NET_F_MQ: True}, "guest")
    for port in (0, 1):
        queues = switch.queues(port)
        check_equal(len(queues), 8, f"the number of queues of port {port}")
        for name, q in queues.items():
            check(q["packets"] > 0, f"port {port} {name} moved nothing")
    # one that uses fewer than it is offered
    run_guest(ws, switch, "single", "queues=1,queue_size=512", SMALL)
    switch.stop()


def small_pages(ws):
    """A guest whose memory is in 4 KiB pages, and one with files for pages is as any other."""
    switch = Switch(ws, ["", BOTH_BY_DMA], engine="")
    run_guest(ws, switch, "small", "queue_size=256", SMALL, memory="small")
    switch.stop()


main("net_weir_guests_e2e", [ring_layouts, packed_rings, queue_sizes, queue_pairs, small_pages])
