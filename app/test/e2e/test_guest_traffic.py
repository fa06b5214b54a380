#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""Linux's own virtio-net driver on both ports of a net_weir switch."""
from guest import Nic, Vm
from harness import Skip, check, check_equal, main, wait_for
from netweir import BOTH_BY_DMA, Switch, dmas

BIT = {"CSUM": 0, "GUEST_CSUM": 1, "GUEST_TSO4": 7, "GUEST_TSO6": 8, "HOST_TSO4": 11,
       "HOST_TSO6": 12, "MRG_RXBUF": 15, "MQ": 22, "VERSION_1": 32, "RING_PACKED": 34}
TSO = ["CSUM", "GUEST_CSUM", "GUEST_TSO4", "GUEST_TSO6", "HOST_TSO4", "HOST_TSO6"]
# frames to be segmented pass from guest to guest as they are
TSO_PORT = "tso=1,legacy-ol-flags=1,"
LONGEST_FRAME = 1514
MIB = 8


def two_nics(ws, switch, args="", pairs=1, **kw):
    """A guest with a device on each port of the switch, which are up."""
    vm = Vm(ws, "vm", [Nic(ws.socket(f"w{n}"), n, args, pairs) for n in (0, 1)], **kw).boot()
    for port in (0, 1):
        wait_for(lambda port=port: switch.link_up(port), f"link of port {port}")
    return vm


def check_features(vm, on=(), off=()):
    """What was negotiated, by name."""
    for index in range(len(vm.nics)):
        features = vm.features(index)
        for name in (*on, *off):
            check_equal(features >> BIT[name] & 1, int(name in on),
                        f"device {index}: feature {name} in {features:#x}")


def exchange(vm, ping_sizes=(0, 56, 1472, 20000)):
    """Pings and streams both ways, of IP in both versions."""
    for index, other in ((0, vm.nics[1]), (1, vm.nics[0])):
        for size in ping_sizes:
            vm.ping(index, other.address, size)
        vm.ping(index, other.address6)
    vm.serve(1)
    for address in (vm.nics[1].address, vm.nics[1].address6):
        vm.stream(0, address, MIB)
    vm.check_intact()


def frame_len(switch, port, queue):
    """How long the frames of a queue are on average."""
    q = switch.queues(port)[queue]
    return q["bytes"] / q["packets"]


def end(vm, switch, by_dma=True):
    """All was copied by whom it should be; everyone ends well."""
    switch.check_copies(by_dma, not by_dma)
    for port in (0, 1):
        check_equal(switch.port(port)["peers_disconnected"], 0, "peers disconnected")
        for name, q in switch.queues(port).items():
            check_equal(q["dropped"], 0, f"frames dropped by {name} of port {port}")
    vm.power_off()
    switch.stop()


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
