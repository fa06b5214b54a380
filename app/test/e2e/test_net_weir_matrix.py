#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""net_weir and every kind of ring that a stock net_virtio_user makes.

    split, packed  x  mergeable or not  x  in order or not, and vectorized
                   x  1 or 4 queue pairs  x  virtio-user as client and as server

A case is a layout and a number of queues: one switch with a port for each of the rest.
Guests come one after the other, each with a pair of ports for every ring it can have
side by side: mergeable buffers want small mbufs, the others such as hold any frame.
"""
import collections

from harness import Skip, check, check_equal, main, wait_for
from netweir import Guest, Switch, exchange, settle

VIRTIO_NET_F_MRG_RXBUF = 1 << 15
VIRTIO_NET_F_MQ = 1 << 22
VIRTIO_F_RING_PACKED = 1 << 34
VIRTIO_F_IN_ORDER = 1 << 35

PACKETS = 1500

Ring = collections.namedtuple("Ring", "merge order vector path")

# what to ask for, and the receive path that the driver takes then; vectors are for
# buffers that are not merged, in order if packed and not in order if split
RINGS = {
    False: [Ring(1, 1, 0, "inorder"), Ring(1, 0, 0, "mergeable buffer"),
            Ring(0, 1, 0, "inorder"), Ring(0, 0, 0, "standard"),
            Ring(0, 0, 1, "vectorized")],
    True: [Ring(1, 1, 0, "packed ring mergeable buffer"),
           Ring(1, 0, 0, "packed ring mergeable buffer"),
           Ring(0, 1, 0, "packed ring standard"), Ring(0, 0, 0, "packed ring standard"),
           Ring(0, 1, 1, "packed ring vectorized")],
}


def check_ring(switch, port, ring, packed, queues, name):
    """The guest got what it asked for, and each of its queues has moved packets."""
    features = int(switch.port(port)["features"], 16)
    for what, bit, on in (("mergeable", VIRTIO_NET_F_MRG_RXBUF, ring.merge),
                          ("in order", VIRTIO_F_IN_ORDER, ring.order),
                          ("packed", VIRTIO_F_RING_PACKED, packed),
                          ("more than one queue", VIRTIO_NET_F_MQ, queues > 1)):
        check_equal(features & bit != 0, bool(on), f"{name}: {what}, of features {features:#x}")
    for queue, q in switch.queues(port).items():
        check(q["packets"] > 0, f"{name}: {queue} moved nothing")


def run_guest(ws, switch, ports, packed, queues, server):
    """A guest with a ring of each kind: traffic on all of them, whole.

    ports  {number of the switch's port: Ring}, all of them mergeable or none
    """
    merge = next(iter(ports.values())).merge
    name = f"guest-{'server' if server else 'client'}-{'merge' if merge else 'single'}"
    common = f"queues={queues},queue_size=256,packed_vq={int(packed)},server={int(server)}"
    guest = Guest(ws, name, [(ws.socket(f"w{number}"), f"{common},mrg_rxbuf={ring.merge},"
                              f"in_order={ring.order},vectorized={ring.vector}")
                             for number, ring in ports.items()],
                  gen="size=60-9000,window=24" if merge else "size=60-1514,window=60",
                  jumbo=not merge, app=[f"--rxq={queues}", f"--txq={queues}"],
                  eal=["--force-max-simd-bitwidth=512"])
    for number in ports:
        wait_for(lambda number=number: switch.link_up(number), f"{name}: link of {number}")
    exchange([guest.begin()], PACKETS)
    check_equal(settle([guest], switch), 0, f"{name}: packets dropped")
    for number, ring in ports.items():
        check_ring(switch, number, ring, packed, queues, f"{name}: {ring}")
    guest.stop()
    for number in ports:
        switch.wait_waiting(number)
    return guest.log()


def check_paths(log, ports):
    """The driver took the paths that were meant to be tested."""
    for pair, ring in enumerate(ports.values()):
        check(f"using {ring.path} Rx path on port {2 * pair + 1}" in log,
              f"{ring}: not the {ring.path} Rx path")


def need_packed(ws):
    """Skip the case unless net_weir has packed rings."""
    switch = Switch(ws, [""], name="probe")
    guest = Guest(ws, "asks", [(ws.socket("w0"), "queues=1,packed_vq=1")])
    wait_for(switch.link_up, "the link of the one that asks")
    features = int(switch.port()["features"], 16)
    guest.stop()
    switch.stop()
    if features & VIRTIO_F_RING_PACKED == 0:
        raise Skip("net_weir does not offer VIRTIO_F_RING_PACKED")


def matrix(ws, packed, queues):
    """Every ring of a layout, with the guest as client and as server."""
    rings = RINGS[packed]
    if packed:
        need_packed(ws)
    # ports for guests that are clients, then as many for those that are servers
    switch = Switch(ws, [f"queues={queues},client={int(server)}" for server in (0, 1)
                         for _ in rings], app=[f"--rxq={queues}", f"--txq={queues}"])
    for server in (False, True):
        for merge in (1, 0):
            ports = {number + len(rings) * server: ring for number, ring in enumerate(rings)
                     if ring.merge == merge}
            check_paths(run_guest(ws, switch, ports, packed, queues, server), ports)
    switch.check_no_errors()
    switch.stop()


def split_one_queue(ws):
    """Split rings, one queue pair."""
    matrix(ws, False, 1)


def split_four_queues(ws):
    """Split rings, four queue pairs."""
    matrix(ws, False, 4)


def packed_one_queue(ws):
    """Packed rings, one queue pair."""
    matrix(ws, True, 1)


def packed_four_queues(ws):
    """Packed rings, four queue pairs."""
    matrix(ws, True, 4)


main("net_weir_matrix_e2e", [split_one_queue, split_four_queues, packed_one_queue,
                             packed_four_queues])
