#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""dma_weir under DPDK's own dmadev_autotest, in the stock dpdk-test."""
import json
import os
import re
import subprocess

from harness import (Failed, Process, check, check_equal, main, need_built, need_hugepages,
                     need_program)
from testpmd import TestPmd

SONAME = "librte_dma_weir.so"
HUGE = ["--in-memory", "-m", "256"]
NO_HUGE = ["--no-huge", "--no-shconf", "-m", "256"]
# in line, beside the lcore, out of order, late
ENGINES = ["", ",mode=thread", ",reorder=1", ",delay_us=20", ",mode=thread,reorder=1,delay_us=20"]


def dpdk_test(ws, name, vdev, memory, iova):
    """Run dmadev_autotest with one engine; what it printed about it, all, and its code.

    dpdk-test first tries the API on a dma_skeleton of its own, whose thread has 50 ms for
    a copy; on a busy machine that may be too little, and dma_weir0 does not get its turn.
    """
    need_program("dpdk-test")
    need_built(SONAME)
    cpu = min(os.sched_getaffinity(0))
    argv = ["dpdk-test", "--no-pci", f"--lcores=0@{cpu}", "--no-telemetry", *memory,
            f"--iova-mode={iova}", "-d", SONAME, "--vdev", vdev]
    for attempt in range(3):
        test = Process(ws, f"{name}-{attempt}", argv, env={"DPDK_TEST": "dmadev_autotest"})
        code = test.wait(120)
        log = test.log().replace("\r", "\n")
        part = re.search(r"### Test dmadev instance \d+ \[dma_weir0\](.*?)(?:###|\Z)", log, re.S)
        if part:
            return part[1], log, code
    raise Failed("dma_weir0 was not tested")


def check_passed(ws, name, args, memory, iova):
    part, log, code = dpdk_test(ws, name, "dma_weir0" + args, memory, iova)
    # later versions write sg_copy for "sg copy", and have more of them
    ran = {name.replace("_", " ") for name in re.findall(r"DMA Dev \d+: Running (.*?) Tests", part)}
    # an iova of 0 cannot be relied on to be a bad one where iovas are physical
    wanted = {"copy", "burst capacity", "fill"} | ({"error handling"} if iova == "va" else set())
    check(wanted <= ran, f"with '{args}' it did not run {wanted - ran}")
    check("Test OK" in log and "Test Failed" not in log, f"with '{args}' it failed")
    check_equal(code, 0, f"the exit code with '{args}'")


def check_engines(ws, memory, iova):
    for number, args in enumerate(ENGINES):
        check_passed(ws, f"{iova}{number}", args, memory, iova)


def autotest_passes_with_virtual_iovas(ws):
    """Copies, errors, fills; every engine; huge pages."""
    need_hugepages(256)
    check_engines(ws, HUGE, "va")


def autotest_passes_with_physical_iovas(ws):
    """The same where an iova is a physical address."""
    need_hugepages(256)
    check_engines(ws, HUGE, "pa")


def autotest_passes_without_huge_pages(ws):
    """The same in 4 KiB pages."""
    check_engines(ws, NO_HUGE, "va")


def autotest_fails_with_failing_engine(ws):
    """An engine told to fail is found out: the test above can fail."""
    part, log, _ = dpdk_test(ws, "failing", "dma_weir0,fail_nth=1000", NO_HUGE, "va")
    check("error" in part.lower(), f"no error in {part}")
    check("Test Failed" in log, "dmadev_autotest did not fail")


def telemetry_counts_each_vchan(ws):
    """An engine in use tells its counters; what does not exist has none."""
    need_built("librte_net_weir.so")
    dmas = "dmas=[txq0@dma_weir0;rxq0@dma_weir0]"
    pmd = TestPmd(ws, "host", plugins=[SONAME, "librte_net_weir.so"],
                  vdevs=["dma_weir0", f"net_weir0,iface={ws.socket('w0')},queues=1,{dmas}"])
    check_equal(pmd.telemetry("/weir/dma_weir"), ["dma_weir0"], "the engines")
    counters = pmd.telemetry("/weir/dma_weir", "dma_weir0", 0)
    check(counters["descriptors"] > 0, f"the first vchan has {counters}")
    check_equal(counters["faults"], 0, "faults")
    for nonsense in (("dma_weir0",), ("dma_weir0", 64), ("dma_weir1", 0), ("dma_weir0", "x")):
        check_equal(pmd.telemetry("/weir/dma_weir", *nonsense), None, f"the answer to {nonsense}")
    pmd.stop()


def pmdinfo_readable(_):
    """dpdk-pmdinfo.py tells the driver's name and arguments."""
    need_program("dpdk-pmdinfo.py")
    out = subprocess.run(["dpdk-pmdinfo.py", need_built(SONAME)], check=True,
                         capture_output=True, text=True)
    info = json.loads(out.stdout)
    check_equal([i["name"] for i in info], ["dma_weir"], "the drivers in it")
    check("mode=" in info[0]["params"], f"parameters: {info[0]['params']}")


main("dmadev_e2e", [
    autotest_passes_with_virtual_iovas,
    autotest_passes_with_physical_iovas,
    autotest_passes_without_huge_pages,
    autotest_fails_with_failing_engine,
    telemetry_counts_each_vchan,
    pmdinfo_readable,
])
