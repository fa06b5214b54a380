# SPDX-License-Identifier: BSD-3-Clause
"""A Linux guest with a device on each of a switch's two ports, and its traffic."""
from guest import Nic, Vm
from harness import check_equal, wait_for

BIT = {"CSUM": 0, "GUEST_CSUM": 1, "MTU": 3, "GUEST_TSO4": 7, "GUEST_TSO6": 8, "HOST_TSO4": 11,
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
        switch.check_none_parted(port)
        for name, q in switch.queues(port).items():
            check_equal(q["dropped"], 0, f"frames dropped by {name} of port {port}")
    vm.power_off()
    switch.stop()
