#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""Linux behind a vIOMMU: its DMA API maps and unmaps every buffer that net_weir copies."""
from guest import Nic, Vm
from harness import check, main, wait_for
from netweir import BOTH_BY_DMA, Switch

ACCESS_PLATFORM = 33
PORT = "iommu-support=1,tso=1,legacy-ol-flags=1"
MIB = 1


def patient_switch(ws, engine=None):
    """A switch that offers a frame again for 2 s.

    A guest may be without a translated buffer for a moment, or without a ring: each page
    costs a round trip to an emulator. What is thrown away meanwhile, one frame in four
    where all translations go ten times a second, leaves TCP next to nothing.
    """
    port = PORT if engine is None else PORT + "," + BOTH_BY_DMA
    switch = Switch(ws, [port] * 2, engine=engine, paired=True)
    for line in ("stop", "set fwd io retry", "set burst tx delay 500 retry 4000", "start"):
        switch.command(line)
    return switch


def two_nics(ws, switch, kernel, args=""):
    """A guest whose devices are behind its IOMMU, which are up."""
    nics = [Nic(ws.socket(f"w{n}"), n, args, iommu=True) for n in (0, 1)]
    vm = Vm(ws, "vm", nics, iommu=kernel).boot()
    for port in (0, 1):
        wait_for(lambda port=port: switch.link_up(port), f"link of port {port}")
        check(vm.features(port) >> ACCESS_PLATFORM & 1, "the driver uses no IOMMU")
    check("DMAR" in vm.console() or vm.sh("ls /sys/class/iommu").strip() != "",
          "the guest has found no IOMMU")
    return vm


def exchange(vm):
    """Pings and streams both ways."""
    for index, other in ((0, vm.nics[1]), (1, vm.nics[0])):
        for size in (0, 56, 1472, 20000):
            vm.ping(index, other.address, size)
    vm.serve(1)
    vm.stream(0, vm.nics[1].address, MIB)
    vm.check_intact()


def end(vm, switch, by_dma):
    """Translations came and went, all was copied by whom it should be."""
    for port in (0, 1):
        state = switch.port(port)
        print(f"    port {port}: misses {state['iotlb_misses']}, updates "
              f"{state['iotlb_updates']}, invalidations {state['iotlb_invalidations']}")
        check(state["iotlb_updates"] > 0, f"port {port}: nothing was translated")
        switch.check_none_parted(port)
    switch.check_copies(by_dma, not by_dma)
    vm.power_off()
    switch.stop()


def strict(ws):
    """Each buffer is unmapped when the driver gets it back, and the IOTLB flushed."""
    switch = patient_switch(ws)
    vm = two_nics(ws, switch, "iommu.strict=1")
    exchange(vm)
    for port in (0, 1):
        check(switch.port(port)["iotlb_invalidations"] > 100, "hardly anything was unmapped")
    end(vm, switch, by_dma=False)


def lazy_by_dma(ws):
    """All translations, those of the rings too, go whenever some buffers are unmapped."""
    switch = patient_switch(ws, engine="")
    vm = two_nics(ws, switch, "iommu.strict=0")
    exchange(vm)
    end(vm, switch, by_dma=True)


def strict_packed_by_dma(ws):
    """Packed rings, chains in indirect tables, copies by DMA."""
    switch = patient_switch(ws, engine="")
    vm = two_nics(ws, switch, "iommu.strict=1", "packed=on,mrg_rxbuf=off")
    exchange(vm)
    end(vm, switch, by_dma=True)


main("guest_iommu_e2e", [
    strict,
    lazy_by_dma,
    strict_packed_by_dma,
])
