#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""The software VFIO: what its calls answer, and the stock dpdk-test on its devices."""
import glob
import os
import re
import signal

from harness import (BUILD_ROOT, Process, check, check_equal, main, need_built,
                     need_hugepages, need_program, wait_for)
from softswitch import WRAPPER, ask
from testpmd import TestPmd

DEVICES = ["0000:00:04.0", "0000:00:04.1"]
DSA = "0000:00:05.0"
# instead of all there are: with dma_skeleton the test measures that one first, by sleeping
DRIVERS = ["-d", "librte_bus_pci.so", "-d", "librte_mempool_ring.so"]
IOAT_DRIVER = ["-d", "librte_dma_ioat.so"]
DSA_DRIVER = ["-d", "librte_dma_idxd.so"]
# errors that a run provokes on each device, all by a source address of 0: with and without
# fences, at four places three times, then four in one burst, twice
PROVOKED = 2 * (4 * 3 + 2 * 4)


def softvfio(ws, name, options, *command, env=None):
    """A program with software devices."""
    need_built("libweir_softvfio.so")
    return Process(ws, name, [WRAPPER, "--build", BUILD_ROOT, *options, "--", *command],
                   env={"TMPDIR": ws.path, **(env or {})})


class DpdkTest:
    """An interactive dpdk-test on devices of ours; its prompt has been seen.

    devices  their addresses, each with its device arguments
    """

    def __init__(self, ws, name, options, devices, eal=("--iova-mode=va",), driver=IOAT_DRIVER):
        need_program("dpdk-test")
        need_hugepages(128)
        cpu = min(os.sched_getaffinity(0))
        self.ctl = ws.socket(name)
        allow = [arg for bdf in devices for arg in ("-a", bdf)]
        self.process = softvfio(ws, name, ["--ctl", self.ctl, *options], "dpdk-test",
                                f"--lcores=0@{cpu}", "--in-memory", "-m", "128",
                                "--file-prefix", name, "--no-telemetry", *DRIVERS,
                                *driver, *allow, *eal)
        self.process.wait_log("RTE>>")

    def autotest(self):
        """Run dmadev_autotest once: its verdict, and what ran on each device."""
        mark = self.process.log_mark()
        self.process.popen.stdin.write(b"dmadev_autotest\n")
        verdict = self.process.wait_log(r"Test (OK|Failed)\s", mark, 120)[1]
        log = self.process.log(mark).replace("\r", "\n")
        parts = re.findall(r"### Test dmadev instance \d+ \[(0000:[^\]]*)\](.*?)(?=###|\Z)",
                           log, re.S)
        return verdict, {bdf: part for bdf, part in parts}

    def check_passes(self, devices):
        verdict, parts = self.autotest()
        check_equal(sorted(parts), sorted(devices), "the devices that were tested")
        for bdf, part in parts.items():
            ran = re.findall(r"Running (.*?) Tests", part)
            check_equal(ran, ["copy", "burst capacity", "error handling", "fill"],
                        f"what ran on {bdf}")
            check("skipping" not in part, f"something was skipped on {bdf}: {part}")
        check_equal(verdict, "OK", "the verdict")

    def ask(self, command):
        return ask(self.ctl, command)

    def stats(self, bdf):
        return {k: int(v) for k, v in
                (line.split("=") for line in self.ask(f"{bdf} stats").split())}

    def stop(self):
        self.process.popen.stdin.write(b"quit\n")
        check_equal(self.process.wait(), 0, "the exit code")
        check("not understood" not in self.process.log(), "a store was not understood")


def calls_answered_as_by_the_kernel(ws):
    """Containers, groups, devices in every order of calls, as on a real kernel."""
    test = softvfio(ws, "calls", ["--ioat", "1"], f"{BUILD_ROOT}/app/test/weir-test",
                    "vfio_calls_autotest", env={"WEIR_TEST_VFIO": DEVICES[0]})
    check_equal(test.wait(60), 0, "the exit code")
    check(re.search(r"vfio_calls_autotest: \d+ passed, 0 failed, 0 skipped", test.log()),
          "not all passed")


def autotest_passes_with_trapped_registers(ws):
    """Two devices, each with its errors and no other; stopped and started again."""
    test = DpdkTest(ws, "trap", ["--ioat", "2"], DEVICES)
    for run in (1, 2):
        test.check_passes(DEVICES)
        for bdf in DEVICES:
            stats = test.stats(bdf)
            check_equal(stats["errors"], run * PROVOKED, f"{bdf}'s errors")
            check_equal(stats["faults"], run * PROVOKED, f"{bdf}'s faults")
            check(stats["work"] > 50000 * run, f"{bdf} has done little: {stats}")
    check("could not be suspended" not in test.process.log(), "a channel was not stopped")
    test.stop()


def autotest_passes_with_polled_registers(ws):
    """Doorbells polled, errors still in order; far fewer stores are trapped."""
    test = DpdkTest(ws, "poll", ["--ioat", "1", "--args", "regs=poll"], DEVICES[:1])
    test.check_passes(DEVICES[:1])
    stats = test.stats(DEVICES[0])
    check_equal(stats["errors"], PROVOKED, "errors")
    check_equal(stats["faults"], PROVOKED, "faults")
    test.stop()


def autotest_passes_in_one_group(ws):
    """Two functions in one IOMMU group; EAL finds out by itself that iovas are virtual."""
    test = DpdkTest(ws, "group", ["--ioat", "2", "--args", "group=7"], DEVICES, eal=())
    check("Selected IOVA mode 'VA'" in test.process.log(), "not in VA mode")
    test.check_passes(DEVICES)
    test.stop()


def autotest_passes_on_dsa(ws):
    """The idxd driver's work queues, each a dmadev, by MOVDIR64B; twice."""
    test = DpdkTest(ws, "dsa", ["--dsa", "1"], [f"{DSA},max_queues=2"], driver=DSA_DRIVER)
    for run in (1, 2):
        test.check_passes([f"{DSA}-q0", f"{DSA}-q1"])
        stats = test.stats(DSA)
        check_equal((stats["errors"], stats["faults"]), (run * 2 * PROVOKED,) * 2,
                    "errors and faults")
        check(stats["work"] > 100000 * run, f"it has done little: {stats}")
    check(not re.search("IDXD: .*(ERR|rror|ailed|imeout)", test.process.log()), "driver errors")
    test.stop()


def fault_of_dsa_is_noticed(ws):
    """A descriptor that fails makes the test fail, and so does one that never ends. Once each:
    the driver keeps its counters, which the next test wants to be 0."""
    for name, plan, counted in (("dsafail", "fail=5:0x10", "errors"), ("dsastall", "stall=7",
                                                                       "stalled")):
        test = DpdkTest(ws, name, ["--dsa", "1", "--args", plan], [f"{DSA},max_queues=1"],
                        driver=DSA_DRIVER)
        check_equal(test.autotest()[0], "Failed", f"the verdict with {plan}")
        check_equal(test.stats(DSA)[counted], 1, counted)
        test.stop()


def planned_fault_is_noticed(ws):
    """One descriptor that fails, and one that never ends, make the test fail."""
    test = DpdkTest(ws, "fault", ["--ioat", "1", "--args", "fail=5:0x2"], DEVICES[:1])
    check_equal(test.autotest()[0], "Failed", "the verdict with a failed descriptor")
    stats = test.stats(DEVICES[0])
    check_equal((stats["errors"], stats["faults"]), (1, 0), "errors and faults")
    test.check_passes(DEVICES[:1])
    check_equal(test.ask(f"{DEVICES[0]} stall 7"), "ok\n", "the answer")
    check_equal(test.autotest()[0], "Failed", "the verdict with a stalled device")
    check_equal(test.stats(DEVICES[0])["stalled"], 1, "stalled")
    test.check_passes(DEVICES[:1])
    test.stop()


def commands_are_answered(ws):
    test = DpdkTest(ws, "ctl", ["--ioat", "2"], DEVICES)
    check_equal(test.ask("devices"), "".join(f"{bdf} ioat\n" for bdf in DEVICES), "devices")
    for good in ("fail 1:1+2:0xffff", "delay 3:1", "stall 9", "cost 0", "clear", "resume"):
        check_equal(test.ask(f"{DEVICES[0]} {good}"), "ok\n", good)
    for bad in ("fail 1", "fail 0:1", "delay x:1", "stall 1:1", "cost", "nonsense", ""):
        check(test.ask(f"{DEVICES[0]} {bad}").startswith("error: "), f"'{bad}' was taken")
    check(test.ask("0000:00:05.0 stats").startswith("error: "), "a device that is not there")
    # what was planned has been dropped again
    test.check_passes(DEVICES)
    test.stop()


def device_goes_and_comes_back(ws):
    """EAL is told of a removal, one that is asked for and one that has happened; stock testpmd
    detaches the device, and attaches it when it is back."""
    bdf, ctl = DEVICES[0], ws.socket("ctl")
    pmd = TestPmd(ws, "plug", vdevs=["net_null0"], pci=[bdf], eal=["--iova-mode=va"],
                  app=["--hot-plug"],
                  wrap=["env", f"TMPDIR={ws.path}", WRAPPER, "--build", BUILD_ROOT, "--ioat", "1",
                        "--ctl", ctl, "--"])

    def attach():
        pmd.command(f"port attach {bdf}")
        return pmd.telemetry("/dmadev/list")

    for way in ("request", "unplug"):
        check_equal(pmd.telemetry("/dmadev/list"), [0], "dmadevs")
        mark = pmd.log_mark()
        check_equal(ask(ctl, f"{bdf} {way}"), "ok\n", way)
        # what testpmd's callback says of a device that is no port
        pmd.wait_log(f"can not get port by device {bdf}", mark)
        check(ask(ctl, f"{bdf} plug").startswith("error: "), "plugged in while it is open")
        pmd.command(f"device detach {bdf}")
        check_equal(pmd.telemetry("/dmadev/list"), [], "dmadevs after the detachment")
        if way == "unplug":
            check_equal(attach(), [], "dmadevs without the device")
            check_equal(ask(ctl, f"{bdf} plug"), "ok\n", "plug")
        check_equal(attach(), [0], "dmadevs with the device")
    pmd.stop()


def entry_limit_reaches_eal(ws):
    """EAL maps all its memory as one entry with virtual iovas, page by page with physical."""
    need_program("dpdk-test")
    need_hugepages(128)
    few = softvfio(ws, "few", ["--ioat", "1", "--limit", "3"], "dpdk-test", "--in-memory", "-m",
                   "128", "-a", DEVICES[0], "--iova-mode=pa", "--lcores=0@0",
                   "--file-prefix", "few", *DRIVERS, *IOAT_DRIVER, env={"DPDK_TEST": "dmadev_autotest"})
    few.wait(60)
    check("No space left on device" in few.log(), "the fourth entry was not refused")


def wrapper_leaves_nothing(ws):
    """Exit codes and signals pass; the tree is gone, whatever the end was."""
    show = 'ls $SYSFS_PCI_DEVICES; test -d /sys/module/vfio_pci; exit 7'
    test = softvfio(ws, "exit", ["--ioat", "2"], "sh", "-c", show)
    check_equal(test.wait(), 7, "the exit code")
    check_equal(test.log().split(), DEVICES, "what sysfs shows")
    test = softvfio(ws, "kill", ["--ioat", "1"], "sleep", "100")
    wait_for(lambda: glob.glob(f"{ws.path}/softvfio-*/sys"), "the tree")
    test.signal(signal.SIGTERM)
    check_equal(test.wait(), 128 + signal.SIGTERM, "the exit code after SIGTERM")
    test = softvfio(ws, "typo", ["--device", "ioat@0000:00:04.0,regs=fast"], "true")
    check_equal(test.wait(), 125, "the exit code after a typing error")
    check("'regs=fast'" in test.log(), "it does not say what is wrong")
    check_equal(glob.glob(f"{ws.path}/softvfio-*"), [], "what is left")


main("softvfio_e2e", [
    calls_answered_as_by_the_kernel,
    autotest_passes_with_trapped_registers,
    autotest_passes_with_polled_registers,
    autotest_passes_in_one_group,
    autotest_passes_on_dsa,
    fault_of_dsa_is_noticed,
    planned_fault_is_noticed,
    commands_are_answered,
    device_goes_and_comes_back,
    entry_limit_reaches_eal,
    wrapper_leaves_nothing,
])
