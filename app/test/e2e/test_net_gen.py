#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""net_wgen in the stock testpmd: what it makes, it finds whole again."""
import json
import subprocess

from harness import check, check_equal, main, need_built, need_program, wait_for
from testpmd import TestPmd

SONAME = "librte_net_wgen.so"
CLEAN = ("gen_rx_corrupt", "gen_rx_foreign", "gen_rx_lost", "gen_rx_dup", "gen_rx_reordered",
         "gen_rx_restarts")
# without it testpmd throws away what it receives before it forwards
APP = ["--no-flush-rx", "--forward-mode=io", "--enable-scatter"]


def testpmd(ws, name, vdevs, core=0):
    need_built(SONAME)
    return TestPmd(ws, name, vdevs=vdevs, plugins=[SONAME], app=APP, core=core)


def pause_and_drain(pmd, ports):
    """Stop making packets; wait until every one made has been checked."""
    for port in ports:
        pmd.command(f"set link-down port {port}")

    def drained():
        stats = [pmd.xstats(port) for port in ports]
        return (sum(s["gen_tx"] for s in stats) ==
                sum(s["gen_rx_ok"] for s in stats)) and stats

    stats = wait_for(drained, "every packet made is checked")
    for port, s in zip(ports, stats):
        for name in CLEAN:
            check_equal(s[name], 0, f"port {port}: {name}")
    return stats


def two_generators_find_each_other_whole(ws):
    """Fixed, mixed and chained sizes, open and closed loop, straight from one to the other."""
    for args in ("size=60", "size=imix,window=64,streams=4", "size=60-9000,window=100"):
        with_name = args.split(",", maxsplit=1)[0].replace("=", "")
        pmd = testpmd(ws, with_name, [f"net_wgen0,{args}", f"net_wgen1,{args},seed=5"])
        pmd.command("start")
        wait_for(lambda: min(pmd.xstats(p)["gen_rx_ok"] for p in (0, 1)) > 100000,
                 f"100000 packets each way with {args}")
        stats = pause_and_drain(pmd, (0, 1))
        check_equal(stats[0]["gen_tx"], stats[1]["gen_rx_ok"], "packets from 0 to 1")
        pmd.stop()


def loop_through_virtio_whole(ws):
    """A guest's packets through net_virtio_user, a stock net_vhost that returns them, and back."""
    path = ws.socket("w0")
    host = TestPmd(ws, "host", core=0, vdevs=[f"net_vhost0,iface={path},queues=1"],
                   app=["--forward-mode=io"])
    guest = testpmd(ws, "guest", core=1, vdevs=[
        "net_wgen0,size=60-1514,window=128,yield=1",
        f"net_virtio_user0,path={path},queues=1,queue_size=1024"])
    wait_for(host.link_up, "the host's link up")
    host.command("start")
    guest.command("start")
    wait_for(lambda: guest.xstats()["gen_rx_ok"] > 100000, "100000 packets around")
    pause_and_drain(guest, (0,))
    guest.stop()
    host.stop()


def pause_and_count_are_exact(ws):
    """A count is made and no packet more; a generator that waits makes none."""
    pmd = testpmd(ws, "count", ["net_wgen0,count=5000,window=0",
                                "net_wgen1,start=0"])
    pmd.command("start")
    wait_for(lambda: pmd.xstats(1)["gen_rx_ok"] == 5000, "5000 packets")
    pause_and_drain(pmd, (0, 1))
    check_equal(pmd.xstats(0)["gen_tx"], 5000, "what was to be 5000")
    check_equal(pmd.xstats(1)["gen_tx"], 0, "what was not started")
    pmd.stop()


def bad_argument_named(ws):
    """With a typing error there is no device, and the log names the argument."""
    pmd = testpmd(ws, "bad", ["net_wgen0,sizes=60"])
    check("argument 'sizes=60': no such argument" in pmd.log(), "no such message")
    check("net_wgen0" not in pmd.command("show port summary all"), "there is a device")
    pmd.stop()


def pmdinfo_readable(_):
    """dpdk-pmdinfo.py tells the driver's name and arguments."""
    need_program("dpdk-pmdinfo.py")
    path = need_built(SONAME)
    out = subprocess.run(["dpdk-pmdinfo.py", path], check=True, capture_output=True, text=True)
    info = json.loads(out.stdout)
    check_equal([i["name"] for i in info], ["net_wgen"], "the drivers in it")
    check("window=" in info[0]["params"], f"parameters: {info[0]['params']}")


main("net_gen_e2e", [
    two_generators_find_each_other_whole,
    loop_through_virtio_whole,
    pause_and_count_are_exact,
    bad_argument_named,
    pmdinfo_readable,
])
