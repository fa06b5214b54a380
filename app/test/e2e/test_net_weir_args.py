#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""net_weir's device arguments: net_vhost's keep their meaning, bad ones are named."""
import json
import re
import subprocess

from harness import (BUILD_ROOT, Process, check, check_equal, main, need_built, need_program,
                     wait_for)
from netweir import BOTH_BY_DMA, WEIR_PLUGINS, Guest, Switch, exchange, settle
from testpmd import TestPmd, huge_folder

VIRTIO_NET_F_TSO = sum(1 << bit for bit in (7, 8, 11, 12))  # GUEST and HOST, IPv4 and 6
RX_OFFLOADS, TX_OFFLOADS = 0x1c, 0x2c  # checksums of UDP and TCP; and LRO; and TSO
ALL_OF_VHOST = "queues=1,client=0,iommu-support=0,postcopy-support=0,tso=1,linear-buffer=0," \
               "ext-buffer=0,legacy-ol-flags=1"


def in_place_of_net_vhost(ws):
    """A command line of net_vhost's works when only the driver's name is changed."""
    path = ws.socket("w0")
    for driver in ("net_vhost", "net_weir"):
        host = TestPmd(ws, driver, vdevs=[f"{driver}0,iface={path},{ALL_OF_VHOST}"],
                       plugins=WEIR_PLUGINS, app=["--forward-mode=io", "--no-flush-rx"])
        host.command("start")
        guest = Guest(ws, driver + "_guest", [(path, "queue_size=1024")],
                      gen="size=60-1514,window=128")
        wait_for(host.link_up, f"{driver}: link")
        exchange([guest.begin()])
        check_equal(settle([guest]), 0, f"{driver}: packets dropped")
        guest.stop()
        host.stop()


def buffers_linear_or_external(ws):
    """linear-buffer=1 drops what one mbuf does not hold, ext-buffer=1 carries it in one."""
    switch = Switch(ws, ["linear-buffer=1", "linear-buffer=1,ext-buffer=1"], engine="")
    long, short = "size=3000-9000,window=0,count=500", "size=60-1514,window=128"
    guest = Guest(ws, "long", [(ws.socket(f"w{i}"), "queue_size=1024") for i in (0, 1)], gen=long)
    guest.begin()
    wait_for(lambda: guest.totals("tx")[0] == 1000, "all packets made")
    settle([guest], switch)
    carried = [switch.stats(port)["ipackets"] for port in (0, 1)]
    dropped = [switch.stats(port)["ierrors"] for port in (0, 1)]
    check(carried[0] == 0 and dropped[0] > 0, f"linear: carried {carried}, dropped {dropped}")
    check(carried[1] > 0 and dropped[1] == 0, f"external: carried {carried}, dropped {dropped}")
    guest.stop()
    guest = Guest(ws, "short", [(ws.socket(f"w{i}"), "queue_size=1024") for i in (0, 1)],
                  gen=short)
    exchange([guest.begin()])
    settle([guest], switch)
    check_equal(switch.stats(0)["ierrors"], dropped[0], "short packets dropped")
    guest.stop()
    switch.stop()


def threshold_tuned_under_traffic(ws):
    """Copies go both ways while they are measured, and every packet arrives."""
    switch = Switch(ws, [BOTH_BY_DMA + ",dma-threshold=auto"], engine="mode=thread")
    guest = Guest(ws, "guest", [(ws.socket("w0"), "queue_size=1024")],
                  gen="size=60-1514,window=200").begin()
    exchange([guest], 5000)
    check_equal(settle([guest], switch), 0, "packets dropped")
    for name in ("rx_q0", "tx_q0"):
        check(f"{name}_dma_threshold" in switch.xstats(0), f"no threshold of {name}")
    switch.check_copies(by_dma=True, by_cpu=True)
    guest.stop()
    switch.stop()


def tso_negotiated(ws):
    """tso=1 offers TSO both ways, and an application may ask for it; without it is not there."""
    switch = Switch(ws, ["tso=1", "tso=0"])
    for port, wanted in ((0, VIRTIO_NET_F_TSO), (1, 0)):
        guest = TestPmd(ws, f"guest{port}", core=1,
                        vdevs=[f"net_virtio_user0,path={ws.socket(f'w{port}')},mrg_rxbuf=1"],
                        app=[f"--rx-offloads={RX_OFFLOADS:#x}", f"--tx-offloads={TX_OFFLOADS:#x}"]
                        if wanted else [])
        wait_for(lambda port=port: switch.link_up(port), f"link of port {port}")
        features = int(switch.port(port)["features"], 16)
        check_equal(features & VIRTIO_NET_F_TSO, wanted, f"TSO in the features {features:#x}")
        offloads = switch.command(f"show port {port} tx_offload capabilities")
        check_equal("TCP_TSO" in offloads, wanted != 0, "TCP_TSO among the capabilities")
        guest.stop()
    switch.stop()


# arguments, and what the log says of them
BAD_ARGS = [
    ("", "argument 'iface' is missing"),
    ("queues=1", "argument 'iface' is missing"),
    ("iface=", "argument 'iface='"),
    ("iface={path},queues=0", "argument 'queues=0'"),
    ("iface={path},queues=129", "argument 'queues=129'"),
    ("iface={path},queues=1x", "argument 'queues=1x'"),
    ("iface={path},queues=-1", "argument 'queues=-1'"),
    ("iface={path},queues=", "argument 'queues='"),
    ("iface={path},queues=1,queues=2", "argument 'queues=2'"),
    ("iface={path},client=2", "argument 'client=2'"),
    ("iface={path},client", "argument 'client'"),
    ("iface={path},tso=yes", "argument 'tso=yes'"),
    ("iface={path},ctrl-vq=2", "argument 'ctrl-vq=2'"),
    ("iface={path},queues=128,ctrl-vq=1", "argument 'ctrl-vq=1': .*queues=128"),
    ("iface={path},rss=2,ctrl-vq=1", "argument 'rss=2'"),
    ("iface={path},rss=1", "argument 'rss=1': wants ctrl-vq=1"),
    ("iface={path},mac=02:00:00:00:00", "argument 'mac=02:00:00:00:00'"),
    ("iface={path},mac=03:00:00:00:00:01", "argument 'mac=03:00:00:00:00:01'"),
    ("iface={path},ctrl-vq=1,guest-mac=03:00:00:00:00:01", "argument 'guest-mac=03:00:00"),
    ("iface={path},guest-mac=02:00:00:00:00:01", "argument 'guest-mac': wants ctrl-vq=1"),
    ("iface={path},ctrl-vq=1,guest-mtu=67", "argument 'guest-mtu=67'"),
    ("iface={path},ctrl-vq=1,guest-mtu=65536", "argument 'guest-mtu=65536'"),
    ("iface={path},guest-mtu=9000", "argument 'guest-mtu': wants ctrl-vq=1"),
    ("iface={path},linear-buffer=2", "argument 'linear-buffer=2'"),
    ("iface={path},ext-buffer=on", "argument 'ext-buffer=on'"),
    ("iface={path},legacy-ol-flags=9", "argument 'legacy-ol-flags=9'"),
    ("iface={path},iommu-support=2", "argument 'iommu-support=2'"),
    ("iface={path},inband-notifications=2", "argument 'inband-notifications=2'"),
    ("iface={path},postcopy-support=2", "argument 'postcopy-support=2'"),
    ("iface={path},dma-threshold=-5", "argument 'dma-threshold=-5'"),
    ("iface={path},dma-threshold=4294967296", "argument 'dma-threshold=4294967296'"),
    ("iface={path},dmas=txq0@dma_weir0", "argument 'dmas=txq0@dma_weir0'"),
    ("iface={path},dmas=[txq0]", r"argument 'dmas=\[txq0\]'"),
    ("iface={path},dmas=[txq0@]", r"argument 'dmas=\[txq0@\]'"),
    ("iface={path},dmas=[txqx@dma_weir0]", r"argument 'dmas=\[txqx@dma_weir0\]'"),
    ("iface={path},dmas=[q0@dma_weir0]", r"argument 'dmas=\[q0@dma_weir0\]'"),
    ("iface={path},dmas=[txq0@a;txq0@]", r"argument 'dmas=\[txq0@a;txq0@\]'"),
    ("iface={path},dmas=[" + ";".join(["txq0@a"] * 9) + "]", "up to 8 dmadevs a queue"),
    ("iface={path},dma-watchdog=1s", "argument 'dma-watchdog=1s'"),
    ("iface={path},dma-threshold=automatic", "argument 'dma-threshold=automatic'"),
    ("iface={path},dma-policy=far", "argument 'dma-policy=far'"),
    ("iface={path},dmas=[txq1@dma_weir0]", "argument 'dmas': txq1@dma_weir0: .* queues=1"),
    ("iface={path},dmas=[rxq1@dma_weir0;txq3@a]", "argument 'dmas': rxq1@dma_weir0: .* queues=1"),
    ("iface={path},", "argument '': there is a ',' too many"),
    ("iface={path},,tso=1", "argument '': there is a ',' too many"),
    ("iface={path},colour=blue", "argument 'colour=blue': no such argument"),
    ("iface=" + "x" * 108, "argument 'iface=x*': wants .* of up to 107 bytes"),
    ("iface=" + "x" * 400, r"argument 'iface=x*\.\.\.': wants .* of up to 107 bytes"),
]


def bad_arguments_named(ws):
    """A device with a typing error is not made, the log names the argument; others work."""
    pmd = TestPmd(ws, "bad", vdevs=["net_null0"], plugins=WEIR_PLUGINS)
    for args, wanted in BAD_ARGS:
        mark = pmd.log_mark()
        pmd.command("port attach " + ",".join(
            filter(None, ("net_weir7", args.format(path=ws.socket("bad"))))))
        log = pmd.log(mark)
        check(re.search("WEIR: net_weir7: .*" + wanted, log), f"'{args}': no such message in {log}")
    text = pmd.command("show port summary all")
    check(text.startswith("Number of available ports: 1\n"), f"there is a device: {text}")
    pmd.stop()


def engine_missing_named(ws):
    """A dmadev that does not exist keeps the port from starting, and is named."""
    pmd = TestPmd(ws, "missing", plugins=WEIR_PLUGINS,
                  vdevs=[f"net_weir0,iface={ws.socket('w0')},{BOTH_BY_DMA}"])
    check(re.search(r"WEIR: net_weir0: [rt]xq0@dma_weir0: No such device", pmd.log()), "the engine is not named")
    pmd.stop()


def socket_in_use_named(ws):
    """A socket that somebody listens on keeps the second port from starting, and is named."""
    path = ws.socket("w0")
    first = TestPmd(ws, "first", plugins=WEIR_PLUGINS, vdevs=[f"net_weir0,iface={path}"])
    second = TestPmd(ws, "second", plugins=WEIR_PLUGINS, vdevs=[f"net_weir0,iface={path}"])
    check(f"WEIR: net_weir0: argument 'iface={path}': " in second.log(), "no such message")
    second.stop()
    # whose socket it is has not lost it
    guest = TestPmd(ws, "guest", vdevs=[f"net_virtio_user0,path={path}"])
    wait_for(first.link_up, "the first one's link")
    guest.stop()
    first.stop()


def secondary_process_refused(ws):
    """A secondary process gets no port of ours, is told why, and does the primary no harm."""
    need_program("nsenter")
    switch = Switch(ws, memory="files", wrap=huge_folder(ws.path + "/huge"))
    second = TestPmd(ws, "second", plugins=WEIR_PLUGINS, memory="files",
                     wrap=["nsenter", "--mount", "--root", "--target", str(switch.pid)],
                     vdevs=["net_null7", f"net_weir7,iface={ws.socket('w7')}"],
                     eal=["--file-prefix=switch", "--proc-type=secondary"],
                     app=["--num-procs=2", "--proc-id=1"])
    check("WEIR: net_weir7: a secondary process cannot have vhost-user ports" in second.log(),
          "it was not refused")
    # what the primary takes while there is a secondary it tells that of, which has no say
    for device in (f"net_weir8,iface={ws.socket('w8')}", "dma_weir8"):
        check("Failed" not in switch.command(f"port attach {device}"), f"{device} was refused")
    check_equal(switch.telemetry("/weir/ports", "net_weir8")["state"], "idle", "the state")
    second.wait_log("net_weir8: a secondary process cannot have vhost-user ports")
    switch.command("port close 1")
    switch.command("device detach dma_weir8")
    second.stop()
    guest = Guest(ws, "guest", [(ws.socket("w0"), "")], gen="window=100")
    exchange([guest.begin()])
    check_equal(settle([guest], switch), 0, "packets dropped")
    guest.stop()
    switch.stop()


def secondary_process_has_no_space(ws):
    """Nor does it get an engine, or an address space to map guests in."""
    need_program("nsenter")
    switch = Switch(ws, memory="files", wrap=huge_folder(ws.path + "/huge"))
    second = Process(ws, "second",
                     ["nsenter", "--mount", "--root", "--target", str(switch.pid),
                      f"{BUILD_ROOT}/app/test/weir-test", "secondary_autotest"],
                     env={"WEIR_TEST_EAL": "--no-pci --file-prefix=switch --proc-type=secondary "
                                           "--lcores=0"})
    check_equal(second.wait(), 0, "the exit code of the secondary")
    check("2 passed, 0 failed, 0 skipped" in second.log(), "it was no secondary")
    switch.stop()


def pmdinfo_reads_all_drivers(_):
    """dpdk-pmdinfo.py tells each driver's name and arguments."""
    need_program("dpdk-pmdinfo.py")
    paths = [need_built(f"librte_{name}.so") for name in ("dma_weir", "net_weir", "net_wgen")]
    out = subprocess.run(["dpdk-pmdinfo.py", *paths], check=True, capture_output=True, text=True)
    info = {i["name"]: i["params"] for i in json.loads(out.stdout)}
    check_equal(sorted(info), ["dma_weir", "net_weir", "net_wgen"], "the drivers")
    for arg in ("iface=", "queues=", "client=", "tso=", "dmas=", "dma-threshold="):
        check(arg in info["net_weir"], f"{arg} is not among {info['net_weir']}")


main("net_weir_args_e2e", [
    in_place_of_net_vhost,
    buffers_linear_or_external,
    threshold_tuned_under_traffic,
    tso_negotiated,
    bad_arguments_named,
    engine_missing_named,
    socket_in_use_named,
    secondary_process_refused,
    secondary_process_has_no_space,
    pmdinfo_reads_all_drivers,
])
