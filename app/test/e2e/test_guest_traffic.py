#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""Linux's own virtio-net driver on both ports of a net_weir switch."""
from guest_pair import (BIT, LONGEST_FRAME, TSO, TSO_PORT, check_features, end, exchange,
                        frame_len, two_nics)
from harness import Skip, check, check_equal, main
from netweir import BOTH_BY_DMA, Switch, dmas


def segmentation_by_dma(ws):
    """Ping, and TCP in frames of many segments both ways, mergeable buffers, copies by DMA."""
    switch = Switch(ws, [TSO_PORT + BOTH_BY_DMA] * 2, engine="", paired=True)
    vm = two_nics(ws, switch)
    check_features(vm, [*TSO, "MRG_RXBUF", "VERSION_1"])
    check("tso" in vm.on_nic(0, "guest-tool offloads net0"), "the driver does not use TSO")
    exchange(vm)
    for port in (0, 1):
        for queue in ("rxq0", "txq0"):
            length = frame_len(switch, port, queue)
            check(length > 2 * LONGEST_FRAME, f"port {port} {queue}: {length} bytes a frame")
    end(vm, switch)


def not_mergeable(ws):
    """The same without mergeable buffers: a chain of its own for each frame."""
    switch = Switch(ws, [TSO_PORT + BOTH_BY_DMA] * 2, engine="", paired=True)
    vm = two_nics(ws, switch, "mrg_rxbuf=off")
    check_features(vm, TSO, ["MRG_RXBUF"])
    exchange(vm)
    check(frame_len(switch, 0, "txq0") > 2 * LONGEST_FRAME, "no frame of many segments")
    end(vm, switch)


def not_mergeable_small(ws):
    """A buffer for each frame, and none for longer ones: no segmentation for the guest."""
    switch = Switch(ws, ["", ""], paired=True)
    vm = two_nics(ws, switch, "mrg_rxbuf=off")
    check_features(vm, ["CSUM", "GUEST_CSUM"], ["MRG_RXBUF", *TSO[2:]])
    exchange(vm)
    end(vm, switch, by_dma=False)


def checksums_completed(ws):
    """Guests leave checksums to the port, and check themselves what they receive."""
    switch = Switch(ws, [BOTH_BY_DMA] * 2, engine="", paired=True)
    vm = two_nics(ws, switch, "guest_csum=off")
    check_features(vm, ["CSUM", "MRG_RXBUF"], TSO[1:])
    exchange(vm)
    check(frame_len(switch, 0, "txq0") <= LONGEST_FRAME, "frames of many segments")
    end(vm, switch)


def queue_pairs(ws):
    """Four pairs of queues: one in use, then all of them, then two."""
    switch = Switch(ws, [f"{TSO_PORT}queues=4,{dmas(4)}"] * 2, engine="", paired=True,
                    app=["--rxq=4", "--txq=4"])
    vm = two_nics(ws, switch, pairs=4)
    check_features(vm, ["MQ"])
    vm.serve(1)
    for pairs in (1, 4, 2):
        for index in (0, 1):
            out = vm.on_nic(index, f"guest-tool channels net{index} {pairs}")
            check_equal(out.strip(), f"{pairs} of 4", "queue pairs")
        # flows spread over the queues by their ports
        for _ in range(pairs):
            vm.stream(0, vm.nics[1].address, 4)
        vm.on_nic(0, " & ".join(["guest-tool stream fd00::2 5000 4 >/dev/null"] * 4) + "; wait")
    for port in (0, 1):
        used = sum(q["packets"] > 0 for q in switch.queues(port).values())
        check(used > 2, f"port {port}: {used} queues were used")
    vm.check_intact()
    vm.power_off()
    switch.check_no_errors()
    switch.stop()


def packed_rings(ws):
    """Rings in the packed format, if the port offers them."""
    switch = Switch(ws, [TSO_PORT + BOTH_BY_DMA] * 2, engine="", paired=True)
    vm = two_nics(ws, switch, "packed=on")
    if not vm.features(0) >> BIT["RING_PACKED"] & 1:
        raise Skip("net_weir does not offer packed rings")
    exchange(vm)
    end(vm, switch)


main("guest_traffic_e2e", [
    segmentation_by_dma,
    not_mergeable,
    not_mergeable_small,
    checksums_completed,
    queue_pairs,
    packed_rings,
])
