#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""Ports that are stopped, guests that come, go and are killed; packets all the while."""
import os
import signal

from harness import check, check_equal, main, wait_for
from netweir import BOTH_BY_DMA, Guest, Switch, dmas, exchange, settle

VIRTIO_USER = "queue_size=1024"
KILLS, KILLS_BEFORE = 50, 10
# what 40 guests may leave in a heap and its caches: less than one page of 2 MiB
RSS_GROWTH_KIB = 1024


def one_port(ws, port=BOTH_BY_DMA, engine="mode=thread", virtio_user=VIRTIO_USER):
    """A switch with a port, and a guest that exchanges packets with it."""
    switch = Switch(ws, [port], engine=engine)
    guest = Guest(ws, "guest", [(ws.socket("w0"), virtio_user)], gen="size=60-1514,window=200")
    guest.begin()
    wait_for(switch.link_up, "the link")
    exchange([guest], 1000)
    return switch, guest


def guests_killed_in_traffic(ws):
    """Fifty guests, killed one after the other in mid traffic; each one's successor works.

    Each has a port whose copies are done late by DMA and one whose copies are done by
    CPU. The ports let go of the memory, listen again, and hold no more than before. A
    guest beside them misses nothing.
    """
    switch = Switch(ws, ["", BOTH_BY_DMA, BOTH_BY_DMA], engine="mode=thread,delay_us=50")
    witness = Guest(ws, "witness", [(ws.socket("w2"), VIRTIO_USER)],
                    gen="size=60-1514,window=200").begin()
    before = mapped = None
    for number in range(KILLS):
        guest = Guest(ws, f"guest{number}", [(ws.socket(f"w{i}"), VIRTIO_USER) for i in (0, 1)],
                      gen="size=60-1514,window=200", mem_mib=64)
        exchange([guest.begin()], 300)
        guest.check_whole()
        mark = switch.log_mark()
        guest.kill9()
        for port in (0, 1):
            switch.wait_log(f"WEIR: net_weir{port}: link down", mark)
            switch.wait_waiting(port)
            check_equal(switch.port(port)["connections"], number + 1, f"peers of port {port}")
        switch.check_none_parted(0)
        if number + 1 == KILLS_BEFORE:
            before, mapped = switch.resources(), switch.maps()
    after = switch.resources()
    check_equal(switch.maps(), mapped, "the DMA address space")
    for what in ("fds", "maps", "threads"):
        check_equal(getattr(after, what), getattr(before, what), f"{what} after {KILLS} guests")
    check(after.rss_kib - before.rss_kib < RSS_GROWTH_KIB, f"memory: {before} then {after}")
    exchange([witness], 1000)
    check_equal(settle([witness], switch), 0, "packets of the witness dropped")
    check_equal(switch.log().count("Port 2: link state change event"), 1, "its link's events")
    switch.check_no_errors()
    witness.stop()
    switch.stop()


def port_stop_and_start_lose_nothing(ws):
    """A port that is stopped leaves packets where they are, and goes on with them."""
    switch, guest = one_port(ws, engine="mode=thread,delay_us=500")
    for _ in range(10):
        switch.command("stop")
        switch.command("port stop 0")
        check_equal(switch.port()["link"], "down", "the link of a stopped port")
        switch.command("port start 0")
        switch.command("start")
        wait_for(switch.link_up, "the link")
        exchange([guest], 500)
    check_equal(settle([guest], switch), 0, "packets dropped")
    check(switch.queue_sum("rewound") > 0, "no packet was under way when the port was stopped")
    guest.stop()
    switch.stop()


def queues_set_up_again(ws):
    """Queues set up anew, and fewer and more of them, under a guest that goes on."""
    switch = Switch(ws, ["queues=2," + dmas(2)], engine="", app=["--rxq=2", "--txq=2"])
    guest = Guest(ws, "guest", [(ws.socket("w0"), "queues=2,queue_size=512")],
                  gen="size=60-1514,window=200", app=["--rxq=2", "--txq=2"])
    guest.begin()
    exchange([guest], 1000)
    for number in (1, 2, 2):
        switch.command("stop")
        switch.command("port stop all")
        for way in ("rxq", "txq"):
            switch.command(f"port config all {way} {number}")
        switch.command("port start all")
        switch.command("start")
        wait_for(switch.link_up, "the link")
        exchange([guest], 500)
    settle([guest], switch)
    switch.check_no_errors()
    guest.stop()
    switch.stop()


def port_detached_and_attached(ws):
    """A port taken out of a running switch and put back; its guest connects again."""
    # a guest that listens is one that survives its switch's port
    switch = Switch(ws, ["client=1," + BOTH_BY_DMA, BOTH_BY_DMA], engine="mode=thread")
    guest = Guest(ws, "guest", [(ws.socket("w0"), VIRTIO_USER + ",server=1")],
                  gen="size=60-1514,window=200").begin()
    witness = Guest(ws, "witness", [(ws.socket("w1"), VIRTIO_USER)],
                    gen="size=60-1514,window=200").begin()
    exchange([guest, witness], 500)
    before = None
    for _ in range(3):
        switch.command("stop")
        for line in ("port stop 0", "port detach 0", "set portlist 1", "start"):
            switch.command(line)
        check_equal(list(switch.telemetry("/weir/ports")), ["net_weir1"], "the ports")
        exchange([witness], 200)
        switch.command("stop")
        text = switch.command(f"port attach net_weir0,iface={ws.socket('w0')},client=1,"
                              f"{BOTH_BY_DMA}")
        check("Port 0 is attached" in text, f"not attached: {text}")
        for line in ("port start 0", "set portlist 0,1", "start"):
            switch.command(line)
        wait_for(lambda: switch.link_up(0), "the link of the new port")
        exchange([guest, witness], 200)
        if before is None:
            before = switch.resources()
    after = switch.resources()
    check_equal((after.fds, after.threads), (before.fds, before.threads), "what is held")
    check_equal(settle([witness], switch), 0, "packets of the witness dropped")
    for p in (guest, witness, switch):
        p.stop()


def engine_detached_and_attached(ws):
    """An engine is taken away under traffic, and put back; copies follow it.

    The port has two engines for one of its queues and one for the other; the second
    time they both go, and packets are copied by CPU.
    """
    switch = Switch(ws, ["dmas=[txq0@dma_weir0;txq0@dma_weir1;rxq0@dma_weir0],"
                         "dma-watchdog=700"],
                    engine="mode=thread,delay_us=50", more=["dma_weir1,mode=thread"])
    guest = Guest(ws, "guest", [(ws.socket("w0"), VIRTIO_USER)], gen="size=60-1514,window=200")
    guest.begin()
    exchange([guest], 1000)

    def copies(counter, queue):
        return switch.queues()[queue][counter]

    def wait_more(counter, queue):
        old = copies(counter, queue)
        wait_for(lambda: copies(counter, queue) > old + 1000, f"{counter} of {queue}")

    check_equal(switch.telemetry("/weir/copy")["watchdog_us"], 700000, "the watchdog")
    one = switch.telemetry("/weir/copy", "dma_weir0")
    check_equal((one["state"], one["queues"], one["channels_used"]), ("up", 2, 2), f"{one}")
    check(one["vchan0"]["submitted"] != 0 and one["vchan1"]["submitted"] != 0, f"copies of {one}")
    for gone in (["dma_weir0"], ["dma_weir0", "dma_weir1"]):
        for name in gone:
            mark = switch.log_mark()
            switch.command(f"device detach {name}")
            switch.wait_log(f"WEIR: {name}: it is going to be removed", mark)
            state = switch.telemetry("/weir/copy", name)["state"]
            check(state in ("gone", "down"), f"{name} is {state}")
        exchange([guest], 2000)
        wait_more("cpu_copies", "rxq0")
        wait_more("cpu_copies" if len(gone) == 2 else "dma_copies", "txq0")
        for name in gone:
            mark = switch.log_mark()
            switch.command(f"port attach {name},mode=thread")
            switch.wait_log(f"WEIR: {name}: test copies arrive, in use again", mark)
        exchange([guest], 2000)
        wait_more("dma_copies", "rxq0")
        wait_more("dma_copies", "txq0")
        one = switch.telemetry("/weir/copy", "dma_weir0")
        check(one["resets"] != 0, f"{one}")
    check_equal(settle([guest], switch), 0, "packets dropped")
    switch.check_no_errors()
    guest.stop()
    switch.stop()


def guest_listens_port_connects(ws):
    """client=1: whichever comes first, whoever goes, they find each other again."""
    switch = Switch(ws, ["client=1," + BOTH_BY_DMA], engine="")
    for number in (0, 1):
        guest = Guest(ws, f"guest{number}", [(ws.socket("w0"), VIRTIO_USER + ",server=1")],
                      gen="size=60-1514,window=200").begin()
        wait_for(switch.link_up, "the link")
        exchange([guest], 1000)
        check_equal(settle([guest], switch), 0, "packets dropped")
        if number == 0:
            guest.kill9()
            switch.wait_waiting()
            # one that listens does so at a path that is free only
            os.unlink(ws.socket("w0"))
    guest.resume()
    switch.kill9()
    second = Switch(ws, ["client=1," + BOTH_BY_DMA], engine="", name="second")
    wait_for(second.link_up, "the link to the second switch")
    exchange([guest], 1000)
    guest.pause()
    second.check_copies()
    guest.stop()
    second.stop()


def quit_under_traffic(ws):
    """Told to quit while packets flow, a switch ends well and leaves no socket."""
    for number, how in enumerate(("quit", signal.SIGINT, signal.SIGTERM)):
        switch = Switch(ws, [BOTH_BY_DMA], engine="mode=thread,delay_us=100",
                        name=f"switch{number}")
        guest = Guest(ws, f"guest{number}", [(ws.socket("w0"), VIRTIO_USER)],
                      gen="size=60-1514,window=200").begin()
        exchange([guest], 500)
        if how == "quit":
            switch.stop()
        else:
            switch.signal(how)
            # testpmd tidies up; of the signal some versions die after all
            check(switch.wait() in (0, -how), f"{how}: exit code {switch.popen.returncode}")
        check(not os.path.exists(ws.socket("w0")), f"{how}: the socket is still there")
        check(guest.alive(), f"{how}: the guest has died")
        guest.kill9()


def switch_killed_socket_taken_over(ws):
    """A switch that was killed leaves a socket; the next one takes it over."""
    first, guest = one_port(ws)
    first.kill9()
    check(os.path.exists(ws.socket("w0")), "no socket was left")
    guest.kill9()
    second = Switch(ws, [BOTH_BY_DMA], engine="", name="second")
    guest = Guest(ws, "next", [(ws.socket("w0"), VIRTIO_USER)], gen="window=100").begin()
    exchange([guest], 1000)
    check_equal(settle([guest], second), 0, "packets dropped")
    guest.stop()
    second.stop()


main("net_weir_life_e2e", [
    guests_killed_in_traffic,
    port_stop_and_start_lose_nothing,
    queues_set_up_again,
    port_detached_and_attached,
    engine_detached_and_attached,
    guest_listens_port_connects,
    quit_under_traffic,
    switch_killed_socket_taken_over,
])
