#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""net_weir under the stock testpmd: packets through it, whole and accounted for."""
import os

from harness import check, check_equal, main, wait_for
from netweir import (BOTH_BY_DMA, UNWATCHED, WEIR_PLUGINS, Guest, Switch, dmas, exchange,
                     settle)
from testpmd import TestPmd, huge_folder

VIRTIO_USER = "queues=1,queue_size=1024"


def two_guests(ws, gen="size=60-1514,window=400"):
    """A guest on each of the two ports of a switch."""
    return [Guest(ws, f"guest{i}", [(ws.socket(f"w{i}"), VIRTIO_USER)],
                  gen=f"{gen},seed={i + 1}") for i in (0, 1)]


def issue_command_line_moves_packets(ws):
    """The README's switch: both ways by DMA, whole; link events; nothing left in flight."""
    switch = Switch(ws, [f"queues=1,{BOTH_BY_DMA}"], engine="")
    check(not switch.link_up(), "the link is up before there is a guest")
    check_equal(switch.port()["state"], "waiting", "the port's state")
    mark = switch.log_mark()
    guest = Guest(ws, "guest", [(ws.socket("w0"), VIRTIO_USER)], gen="size=60-9000,window=128")
    switch.wait_log("Port 0: link state change event", mark)
    wait_for(switch.link_up, "the link's being up")
    port = switch.port()
    check_equal((port["state"], port["link"], port["last_error"]), ("connected", "up", ""),
                "the port's state")
    check(port["memory_bytes"] >= 128 << 20, f"the guest's memory is not there: {port}")
    exchange([guest.begin()], 10000)
    check_equal(settle([guest], switch), 0, "packets dropped")
    switch.check_copies(by_dma=True, by_cpu=False)
    x = switch.xstats()
    made = guest.totals("tx")[0]
    for way in ("rx", "tx"):
        check(x[f"{way}_q0_dma_copies"] >= made, f"too few copies by DMA: {x}")
        check_equal([x[f"{way}_q0_packets"], x[f"{way}_good_packets"], x[f"{way}_q0_cpu_copies"],
                     x[f"{way}_q0_dma_errors"], x[f"{way}_q0_in_flight"]],
                    [made, made, 0, 0, 0], f"{way} xstats")
    check_equal(switch.stats()["ibytes"], switch.stats()["obytes"], "bytes in and out")
    mark = switch.log_mark()
    guest.stop()
    switch.wait_log("Port 0: link state change event", mark)
    switch.wait_waiting()
    switch.stop()
    check(not os.path.exists(ws.socket("w0")), "the socket is still there")


def copies_by_cpu_whole(ws):
    """Without an engine the CPU copies, and no address space is made."""
    switch = Switch(ws, ["queues=1"])
    guest = Guest(ws, "guest", [(ws.socket("w0"), VIRTIO_USER)], gen="size=60-9000,window=128")
    exchange([guest.begin()])
    check_equal(settle([guest], switch), 0, "packets dropped")
    switch.check_copies(by_dma=False, by_cpu=True)
    guest.stop()
    switch.stop()


# what is answered of the address space, and of the engines that are in use
KEYS = {
    "/weir/maps": "regions iommu_entries iommu_faults iommu_broken eal_failures maps",
    "/weir/memory": "memory",
    "/weir/space": "iova_mode eal_regions guest_regions eal_backends guest_backends "
                   "eal_tables_kib eal_tables_on_nodes guest_tables_kib guest_tables_on_nodes "
                   "model_eal_entries model_guest_entries model_faults container "
                   "container_lost container_guest_entries engines",
    "/weir/copy": "watchdog_us",
}


def answers_have_the_same_keys(ws):
    """With an engine and without one; and without a port."""
    none = TestPmd(ws, "none", vdevs=["net_null0"], plugins=WEIR_PLUGINS)
    check_equal(none.telemetry("/weir/ports"), {}, "the ports")
    cpu, dma = Switch(ws, name="cpu"), Switch(ws, [BOTH_BY_DMA], engine="", name="dma")
    for command, keys in KEYS.items():
        wanted = {key: [] if key in ("maps", "memory", "engines") else 0 for key in keys.split()}
        for pmd in (none, cpu):
            answer = pmd.telemetry(command)
            check_equal(set(answer), set(wanted), f"{pmd.name}: the keys of {command}")
            check(all(answer[key] == zero for key, zero in wanted.items()
                      if not isinstance(answer[key], str) and key != "watchdog_us"),
                  f"{pmd.name}: there is something in {answer}")
        check_equal(set(dma.telemetry(command)) - {"dma_weir0", "next"}, set(wanted),
                    f"the keys of {command}")
    for pmd in (none, cpu, dma):
        pmd.stop()


def threshold_splits_copies(ws):
    """Short pieces by CPU and long ones by DMA, and the order of packets is kept."""
    switch = Switch(ws, [f"{BOTH_BY_DMA},dma-threshold=700"], engine="delay_us=30")
    guest = Guest(ws, "guest", [(ws.socket("w0"), VIRTIO_USER)], gen="size=60-1514,window=128")
    exchange([guest.begin()])
    check_equal(settle([guest], switch), 0, "packets dropped")
    switch.check_copies(by_dma=True, by_cpu=True)
    guest.stop()
    switch.stop()


def two_guests_exchange_packets(ws, engine="", **kw):
    """Two ports, two guests, both ways, as many as there are: all are received."""
    port = dmas(1) if engine is not None else ""
    switch = Switch(ws, [port, port], engine=engine, paired=True, **kw)
    guests = two_guests(ws)
    for guest in guests:
        guest.begin()
    exchange(guests, 20000)
    check_equal(settle(guests, switch), 0, "packets dropped")
    # what one made the other has, not just the sum
    for a, b in (guests, guests[::-1]):
        check_equal(a.totals("tx"), b.totals("rx_ok"), f"packets from {a.name} to {b.name}")
    switch.check_copies(by_dma=engine is not None, by_cpu=engine is None)
    for p in (*guests, switch):
        p.stop()


def two_guests_by_cpu(ws):
    """Guest to guest with no engine."""
    two_guests_exchange_packets(ws, engine=None)


def two_guests_by_thread(ws):
    """Guest to guest with an engine that runs beside the lcore, late and out of order."""
    two_guests_exchange_packets(ws, engine="mode=thread,delay_us=20,reorder=1")


def failing_engine_loses_nothing(ws):
    """Copies that the engine fails are done again by CPU, and counted."""
    switch = Switch(ws, [BOTH_BY_DMA], engine="fail_nth=100")
    guest = Guest(ws, "guest", [(ws.socket("w0"), VIRTIO_USER)], gen="size=60-9000,window=128")
    exchange([guest.begin()])
    check_equal(settle([guest], switch), 0, "packets dropped")
    check(switch.queue_sum("dma_errors") > 0, "no error was counted")
    check_equal(switch.engine("faults"), 0, "the number of IOMMU faults")
    guest.stop()
    switch.stop()


def engine_hangs_again_and_again(ws):
    """An engine that stands still is reset and taken back; packets go by CPU meanwhile."""
    switch = Switch(ws, [BOTH_BY_DMA], engine="mode=thread,stall_after=50000")
    guest = Guest(ws, "guest", [(ws.socket("w0"), VIRTIO_USER)], gen="size=60-1514,window=200").begin()
    for _ in range(3):
        mark = switch.log_mark()
        switch.wait_log("WEIR: dma_weir0: its oldest copy does not end", mark)
        switch.wait_log("WEIR: dma_weir0: test copies arrive, in use again", mark)
        exchange([guest], 1000)
    check_equal(settle([guest], switch), 0, "packets dropped")
    check(switch.queue_sum("dma_copies") > 3 * 50000, "the engine was not used again")
    check(switch.queue_sum("cpu_copies") > 0, "nothing was copied by CPU")
    guest.stop()
    switch.stop()


def flood_is_accounted_for(ws):
    """More than can be carried: what is not received has been counted as dropped."""
    port = dmas(1)
    switch = Switch(ws, [port, port], engine="", paired=True)
    guests = two_guests(ws, gen="size=60-1514,window=0,count=100000")
    for guest in guests:
        guest.begin()
    wait_for(lambda: sum(g.totals("tx")[0] for g in guests) == 200000, "all packets made")
    settle(guests, switch)
    switch.check_copies(by_dma=True, by_cpu=False)
    for p in (*guests, switch):
        p.stop()


def guest_memory_shown_and_gone(ws):
    """/weir/maps and /weir/ports show each guest's memory while it is there, and only then."""
    def bytes_by_owner():
        total = {}
        for iovas, _, _, _, _, owner in switch.maps():
            first, end = (int(x, 16) for x in iovas.split("-"))
            total[owner] = total.get(owner, 0) + end - first
        return total

    switch = Switch(ws, [BOTH_BY_DMA, BOTH_BY_DMA, ""], engine="")
    before = bytes_by_owner()
    check_equal(list(before), ["0"], "whose memory is mapped before there is a guest")
    check_equal(sorted(switch.telemetry("/weir/ports")), ["net_weir0", "net_weir1", "net_weir2"],
                "the ports")
    guests = [Guest(ws, f"guest{i}", [(ws.socket(f"w{i}"), "")]).begin() for i in range(3)]
    exchange(guests, 100)
    for port in range(3):
        p = switch.port(port)
        check((p["state"], p["link"], p["memory_slots"]) == ("connected", "up", 1) and
              p["memory_bytes"] >= 128 << 20, f"port {port}: {p}")
    # the third port's memory is for the CPU alone
    mapped = bytes_by_owner()
    check_equal(sorted(b for owner, b in mapped.items() if owner != "0"),
                [switch.port(i)["memory_bytes"] for i in (0, 1)], "guest memory in the map")
    for line in switch.maps():
        if line[-1] == "0":
            continue
        # the memory behind it is one file of huge pages, all there, on some node
        iovas, page, nodes, absent, *name = switch.telemetry(
            "/weir/memory", "0x" + line[0].split("-")[0])["memory"][0].split(" ")
        check_equal((iovas, page), (line[0], "200000"), "a guest's addresses and pages")
        check(absent == f"0/{sum(int(n.split(':')[1]) for n in nodes.split(','))}" and
              "memfd" in name[0], f"memory behind a guest: {nodes} {absent} {name}")
    guests[0].kill9()
    switch.wait_waiting(0)
    check_equal(len(bytes_by_owner()), 2, "owners when one is gone")
    exchange(guests[1:], 100)
    for number in (1, 2):
        guests[number].stop()
        switch.wait_waiting(number)
    check_equal(bytes_by_owner(), before, "what is mapped when all are gone")
    switch.check_no_errors()
    switch.stop()


def odd_names_are_answered(ws):
    """Names and a path with characters that telemetry does not take as they are."""
    path = ws.socket("\u00e4\"x\\")
    switch = Switch(ws, more=["dma_weir-1.b", f"net_weir-a,iface={path},{dmas(1, 'dma_weir-1.b')}"])
    ports, shown = switch.telemetry("/weir/ports"), path.replace("\u00e4", "??")
    check_equal({key: p["name"] for key, p in ports.items()},
                {"net_weir0": "net_weir0", "net_weir_a": "net_weir-a"}, "the ports")
    for port in (ports["net_weir_a"], switch.telemetry("/weir/ports", "net_weir-a")):
        check_equal((port["name"], port["iface"]), ("net_weir-a", shown), "the name and the path")
    check_equal(switch.telemetry("/weir/copy")["dma_weir_1_b"]["name"], "dma_weir-1.b",
                "the engine's name")
    check_equal(switch.telemetry("/weir/copy", "dma_weir-1.b")["queues"], 2, "its queues")
    switch.stop()


def check_modes(ws, modes):
    """A switch in each mode of IOVAs and memory, a guest with memory small or huge."""
    for number, (iova, memory) in enumerate(modes):
        wrap = huge_folder(f"{ws.path}/huge{number}") if memory == "files" else ()
        switch = Switch(ws, [f"client=0,{UNWATCHED},{BOTH_BY_DMA}"], engine="mode=thread", wrap=wrap,
                        name=f"switch{number}", memory=memory, eal=["--iova-mode=" + iova])
        guest = Guest(ws, f"guest{number}", [(ws.socket("w0"), VIRTIO_USER)],
                      gen="size=60-9000,window=128", memory="small" if memory == "small" else "huge")
        exchange([guest.begin()])
        check_equal(settle([guest], switch), 0, f"packets dropped with {iova}, {memory}")
        switch.check_copies(by_dma=True, by_cpu=False)
        guest.stop()
        switch.stop()


def memory_and_iova_modes(ws):
    """IOVAs physical or virtual; anonymous memory in huge pages or small."""
    check_modes(ws, (("pa", "huge"), ("va", "huge"), ("va", "small")))


def memory_of_files(ws):
    """IOVAs physical or virtual; memory of files in huge pages."""
    check_modes(ws, (("va", "files"), ("pa", "files")))


main("net_weir_e2e", [
    issue_command_line_moves_packets,
    copies_by_cpu_whole,
    answers_have_the_same_keys,
    threshold_splits_copies,
    two_guests_exchange_packets,
    two_guests_by_cpu,
    two_guests_by_thread,
    failing_engine_loses_nothing,
    engine_hangs_again_and_again,
    flood_is_accounted_for,
    guest_memory_shown_and_gone,
    odd_names_are_answered,
    memory_and_iova_modes,
    memory_of_files,
])
