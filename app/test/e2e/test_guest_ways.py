#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""What users do to a Linux guest's network besides using it."""
from guest import Nic, Stream, Vm
from guest_pair import TSO_PORT, check_features, end, exchange, two_nics
from harness import check, check_equal, main, wait_for
from netweir import BOTH_BY_DMA, Switch, dmas

PORT = TSO_PORT + BOTH_BY_DMA
LEGACY = "disable-modern=on,disable-legacy=off"
JUMBO_MTU = 9000
# the longest ping that is one frame: without the headers of IPv4 and ICMP
JUMBO_PING = JUMBO_MTU - 28
REBINDS = 5


def legacy(ws, args, on=(), off=()):
    """A device of virtio 0.9."""
    switch = Switch(ws, [PORT] * 2, engine="", paired=True)
    vm = two_nics(ws, switch, f"{LEGACY},{args}")
    check_features(vm, ["CSUM", *on], ["VERSION_1", *off])
    exchange(vm)
    end(vm, switch)


def legacy_device(ws):
    """Virtio 0.9 as in old guests."""
    legacy(ws, "mrg_rxbuf=on", on=["MRG_RXBUF"])


def legacy_device_not_mergeable(ws):
    """The same without mergeable buffers: headers of 10 bytes."""
    legacy(ws, "mrg_rxbuf=off", off=["MRG_RXBUF"])


def jumbo_frames_not_mergeable(ws):
    """host_mtu=9000 and no mergeable buffers: the guest takes the MTU, frames fill it."""
    switch = Switch(ws, [BOTH_BY_DMA] * 2, engine="", paired=True,
                    app=["--enable-scatter", f"--max-pkt-len={JUMBO_MTU + 18}"])
    vm = two_nics(ws, switch, f"host_mtu={JUMBO_MTU},mrg_rxbuf=off")
    check_features(vm, ["MTU"], ["MRG_RXBUF"])
    for index in (0, 1):
        out = vm.on_nic(index, f"ip link show net{index}")
        check(f"mtu {JUMBO_MTU} " in out, f"the guest's MTU: {out}")
    before = switch.queues(0)["rxq0"]["packets"]
    vm.ping(0, vm.nics[1].address, JUMBO_PING, count=10)
    frames = switch.queues(0)["rxq0"]["packets"] - before
    check(frames < 20, f"{frames} frames for ten pings: they were cut")
    exchange(vm, (56, JUMBO_PING, 20000))
    end(vm, switch)


def channels_changed_under_traffic(ws):
    """Pairs of queues taken into use and out of it while streams go on."""
    switch = Switch(ws, [f"{TSO_PORT}queues=4,{dmas(4)}"] * 2, engine="", paired=True,
                    app=["--rxq=4", "--txq=4"])
    vm = two_nics(ws, switch, pairs=4)
    vm.serve(1)
    stream = Stream(vm, 0, vm.nics[1].address)
    for pairs in (4, 1, 3, 2, 4, 2, 1, 4):
        for index in (0, 1):
            out = vm.on_nic(index, f"guest-tool channels net{index} {pairs}")
            check_equal(out.strip(), f"{pairs} of 4", "queue pairs")
        stream.advance(1)
        vm.stream(0, vm.nics[1].address6, 1)
    stream.end()
    vm.check_intact()
    vm.power_off()
    switch.check_no_errors()
    switch.check_none_parted(0, 1)
    switch.stop()


def driver_unbound_and_bound(ws):
    """The guest's driver lets go of the device, and of the PCI function, and takes it again."""
    switch = Switch(ws, [PORT] * 2, engine="", paired=True)
    vm = two_nics(ws, switch)
    vm.serve(1)
    near, far = vm.nics
    device = vm.sh("basename $(readlink -f /sys/class/net/net0/device)").strip()
    function = vm.sh("basename $(readlink -f /sys/class/net/net0/device/..)").strip()
    for number in range(REBINDS):
        bus, what, driver = (("virtio", device, "virtio_net"),
                             ("pci", function, "virtio-pci"))[number % 2]
        vm.stream(0, far.address, 2)
        vm.background(0, f"ping -f -c 1000000 {far.address}", "flood")
        vm.sh(f"echo {what} >/sys/bus/{bus}/drivers/{driver}/unbind; true")
        vm.sh("kill $(cat flood.pid) || true")
        wait_for(lambda: not switch.link_up(0), "the link to go")
        vm.sh(f"echo {what} >/sys/bus/{bus}/drivers/{driver}/bind")
        vm.sh(f"nic-up 0 {near.mac} {near.address} {near.address6}")
        wait_for(lambda: switch.link_up(0), "the link to come back")
        device = vm.sh("basename $(readlink -f /sys/class/net/net0/device)").strip()
        vm.ping(0, far.address)
    exchange_after(vm)
    check_equal(switch.port(0)["connections"], 1, "QEMU's connections")
    end(vm, switch)


def exchange_after(vm):
    """Streams both ways once more, the far end being there already."""
    for address in (vm.nics[1].address, vm.nics[1].address6):
        vm.stream(0, address, 2)
    vm.check_intact()


def addresses_and_filters_set(ws):
    """What goes by QEMU's control queue: another MAC address, receive modes."""
    switch = Switch(ws, [PORT] * 2, engine="", paired=True)
    vm = two_nics(ws, switch)
    vm.serve(1)
    stream = Stream(vm, 0, vm.nics[1].address)
    # one that has not begun finds no route while the other end is down
    stream.advance(1)
    for number in range(3):
        mac = f"52:54:00:00:01:{number:02x}"
        vm.on_nic(1, f"ip link set net1 down; ip link set net1 address {mac}; "
                     "ip link set net1 up")
        check(mac in vm.on_nic(1, "ip link show net1"), f"the address is not {mac}")
        for mode in ("promisc", "allmulti", "-promisc", "-allmulti"):
            vm.on_nic(1, f"ifconfig net1 {mode}")
        vm.on_nic(0, f"ip neigh flush dev net0; ping -c 1 -W 60 {vm.nics[1].address}")
        stream.advance(1)
    stream.end()
    vm.check_intact()
    end(vm, switch)


def two_guests_by_mac_forwarding(ws):
    """Two guests on one switch that writes the other's address into each frame, and in
    doing so forgets what was to be offloaded."""
    nics = [Nic(ws.socket(f"w{n}"), n) for n in (0, 1)]
    switch = Switch(ws, [BOTH_BY_DMA] * 2, engine="", paired=True, app=[
        "--forward-mode=mac", *(f"--eth-peer={n},{nics[n].mac}" for n in (0, 1))])
    near, far = (Vm(ws, f"vm{n}", [nics[n]], memory=192, cpus=1) for n in (0, 1))
    far.boot().serve(0)
    near.boot()
    for size in (0, 1472, 20000):
        near.ping(0, nics[1].address, size)
        far.ping(0, nics[0].address, size)
    near.stream(0, nics[1].address, 8)
    for vm in (near, far):
        vm.check_intact()
        vm.power_off()
    switch.check_copies(by_dma=True)
    switch.stop()


main("guest_ways_e2e", [
    legacy_device,
    legacy_device_not_mergeable,
    jumbo_frames_not_mergeable,
    channels_changed_under_traffic,
    driver_unbound_and_bound,
    addresses_and_filters_set,
    two_guests_by_mac_forwarding,
])
