#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""The harness itself, on stock drivers: net_vhost and net_virtio_user."""
import glob
import importlib.machinery
import importlib.util
import os
import re
import signal
import subprocess
import sys

from harness import (BUILD_ROOT, SOURCE_ROOT, Failed, Process, Skip, Workspace, check,
                     check_equal, main, wait_for)
from testpmd import TestPmd


def pair(ws, host_mode="rxonly", guest_mode="txonly"):
    """A host with a vhost port and a guest that is its peer."""
    path = ws.socket("w0")
    host = TestPmd(ws, "host", core=0, vdevs=[f"net_vhost0,iface={path},queues=1"],
                   app=["--forward-mode=" + host_mode])
    guest = TestPmd(ws, "guest", core=1,
                    vdevs=[f"net_virtio_user0,path={path},queues=1,queue_size=1024"],
                    app=["--forward-mode=" + guest_mode])
    wait_for(host.link_up, "the host's link up")
    return host, guest


def testpmd_command_answers(ws):
    """Output is returned whole and without echo or prompt; an orderly end is one."""
    one = TestPmd(ws, "one", vdevs=["net_null0"])
    text = one.command("show port summary all")
    check(text.startswith("Number of available ports: 1\n"), f"unexpected: {text!r}")
    check("net_null0" in text and "testpmd>" not in text, f"unexpected: {text!r}")
    check("0" in one.command("show port info 0"), "no port 0")
    one.stop()
    check(not one.alive(), "alive after stop()")


def testpmd_pair_moves_packets(ws):
    """Packets pass, and telemetry on either side counts them."""
    host, guest = pair(ws)
    host.command("start")
    guest.command("start")
    wait_for(lambda: host.stats()["ipackets"] > 100000, "100000 packets")
    guest.command("stop")
    check(guest.stats()["opackets"] >= 100000, f"the guest says {guest.stats()}")
    check("rx_good_packets" in host.xstats(), "no xstats")
    check_equal(host.telemetry("/eal/params")[0], "dpdk-testpmd", "the first EAL argument")
    guest.stop()
    host.stop()


def peer_killed_is_seen(ws):
    """kill9() ends a peer at once; the other side lives, and its link goes down."""
    host, guest = pair(ws)
    host.command("start")
    guest.command("start")
    mark = host.log_mark()
    guest.kill9()
    check_equal(guest.popen.returncode, -signal.SIGKILL, "the guest's exit code")
    host.wait_log("vhost peer closed", mark)
    wait_for(lambda: not host.link_up(), "the host's link down")
    host.stop()


def resources_are_plausible(ws):
    """A map, a descriptor and a thread more are seen as such."""
    program = "import os,sys,threading\nprint('ready', flush=True)\n" \
              "sys.stdin.readline()\nf = os.open('/dev/zero', os.O_RDONLY)\n" \
              "threading.Thread(target=sys.stdin.readline).start()\n" \
              "x = bytearray(b'1') * (64 << 20)\nprint('grown', flush=True)\n"
    child = Process(ws, "child", [sys.executable, "-c", program])
    child.wait_log("ready")
    before = child.resources()
    child.popen.stdin.write(b"\n")
    child.wait_log("grown")
    after = child.resources()
    check_equal(after.fds, before.fds + 1, "the number of descriptors")
    check_equal(after.threads, before.threads + 1, "the number of threads")
    check(after.maps > before.maps, "no map more")
    check(after.rss_kib - before.rss_kib >= 60 << 10, f"{before} then {after}")


def start_that_fails_is_told(ws):
    """A testpmd that ends instead of prompting fails the case and says so."""
    try:
        TestPmd(ws, "bad", vdevs=["net_nonesuch0"])
    except Failed as e:
        check(re.search(r"bad ended with \d+ before", str(e)), f"unexpected: {e}")
        return
    raise Failed("a device that does not exist was accepted")


def workspace_leaves_nothing(ws):
    """Leaving a workspace ends its processes, their children too, and its folder."""
    with Workspace() as inner:
        shell = Process(inner, "shell", ["sh", "-c", "sleep 1000 & echo child $!; cat"])
        child = int(shell.wait_log(r"child (\d+)\n")[1])
        check(running(shell.pid) and running(child), "not running")
    check(not running(shell.pid), "the process lives")
    wait_for(lambda: not running(child), "the end of the process's child")
    check(not os.path.exists(inner.path), "the folder is still there")


def running(pid):
    """True for a process that exists and is not just waiting to be reaped."""
    try:
        with open(f"/proc/{pid}/stat", encoding="ascii", errors="replace") as f:
            return f.read().rsplit(")", 1)[1].split()[0] != "Z"
    except FileNotFoundError:
        return False


# a process that would not notice by itself: testpmd ends when its input does
HOLD = """
import sys
sys.path.insert(0, {here!r})
import harness
def hold(ws):
    one = harness.Process(ws, "one", ["sleep", "1000"])
    print("held", one.pid, ws.path, flush=True)
    one.wait(1000)
sys.argv[1:] = []
harness.main("hold", [hold])
"""


def interrupted_leaves_nothing(ws):
    """A harness that is told to end, or is killed, takes its processes along."""
    program = HOLD.format(here=os.path.dirname(os.path.abspath(__file__)))
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGKILL):
        # in our workspace, where what a killed one leaves is removed with it
        child = Process(ws, f"hold{number}", [sys.executable, "-c", program],
                        env={"TMPDIR": ws.path})
        m = child.wait_log(r"held (\d+) (\S+)\n")
        pid, path = int(m[1]), m[2]
        check(running(pid) and os.path.isdir(path), "nothing to leave behind")
        child.signal(number)
        wanted = -number if number == signal.SIGKILL else 128 + number
        check_equal(child.wait(), wanted, "the exit code")
        wait_for(lambda: not running(pid), f"the end of sleep after signal {number}")
        check_equal(os.path.exists(path), number == signal.SIGKILL, "the folder's existence")


def output_is_weir_tests(ws):
    """The lines and exit codes are those of weir-test, which one parser reads."""
    program = f"import sys\nsys.path.insert(0, {os.path.dirname(os.path.abspath(__file__))!r})\n" \
              "from harness import *\n" \
              "def good(ws): pass\n" \
              "def bad(ws): check(False, 'wrong')\n" \
              "def dull(ws): raise Skip('no fun')\n" \
              "cases = {'good': good, 'bad': bad, 'dull': dull}\n" \
              "wanted, sys.argv[1:] = sys.argv[1:], []\n" \
              "main('name', [cases[c] for c in wanted])\n"
    for words, code, last in (("good", 0, "name: 1 passed, 0 failed, 0 skipped"),
                              ("good bad dull", 1, "name: 1 passed, 1 failed, 1 skipped"),
                              ("dull", 77, "name: 0 passed, 0 failed, 1 skipped")):
        p = subprocess.run([sys.executable, "-c", program, *words.split()], text=True,
                           stdout=subprocess.PIPE, check=False, cwd=ws.path)
        lines = p.stdout.splitlines()
        check_equal((lines[0], lines[-1], p.returncode), ("name", last, code), words)
        check_equal("  skipped   dull: no fun" in lines, "dull" in words, "the skip's line")
        reasons = [line for line in lines if line.startswith("  FAILED    bad: ")]
        check_equal([line.endswith(": wrong") for line in reasons],
                    [True] if "bad" in words else [], "the failure's line")


class Counters:
    """A testpmd as devtools/run-demo sees it at the end: counters of its two ports."""

    def __init__(self, stats, dropped=(0, 0), xstats=None):
        self.all, self.dropped, self.checks = stats, dropped, xstats

    def stats(self, port):
        return self.all[port]

    def xstats(self, _):
        return self.checks

    def command(self, _):
        return "".join(f"statistics for port {port}\n TX-dropped: {count}\n"
                       for port, count in enumerate(self.dropped))


def demo_accounts_for_each_packet(_):
    """What a guest itself drops is counted; what nobody has counted is told."""
    loader = importlib.machinery.SourceFileLoader(
        "run_demo", os.path.join(SOURCE_ROOT, "devtools/run-demo"))
    demo = importlib.util.module_from_spec(importlib.util.spec_from_loader("run_demo", loader))
    loader.exec_module(demo)

    def complaints(made, guest_dropped, sent, switch_dropped, received, lost):
        zero = dict.fromkeys(("gen_rx_corrupt", "gen_rx_foreign", "gen_rx_dup",
                              "gen_rx_reordered"), 0)
        sender = Counters([{"opackets": sent}], (guest_dropped, 0), {"gen_tx": made})
        switch = Counters([{"ipackets": sent, "ierrors": 0, "oerrors": 0},
                           {"opackets": received, "oerrors": 0}])
        receiver = Counters([{"ipackets": received}], xstats={
            **zero, "gen_rx_ok": received, "gen_rx_lost": lost})
        return demo.account(switch, sender, receiver, 0, 1, {1: switch_dropped})["complaints"]

    check_equal(complaints(1000, 0, 1000, 0, 1000, 0), [], "complaints of a clean run")
    check_equal(complaints(1000, 30, 970, 20, 950, 50), [], "complaints when drops are counted")
    check_equal(complaints(1000, 0, 970, 0, 970, 0), ["the guest did not send what it made"],
                "complaints of 30 that nobody dropped")
    check_equal(complaints(1000, 30, 970, 0, 970, 31), ["packets are missing that nobody dropped"],
                "complaints of one more lost")


def tool(ws, name, *args, env=None):
    """The exit code and the output of a program of devtools that ends at once."""
    p = subprocess.run([os.path.join(SOURCE_ROOT, "devtools", name), *args], text=True,
                       stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False, cwd=ws.path,
                       env=dict(os.environ, **(env or {})))
    return p.returncode, p.stdout


def tools_name_what_is_wrong(ws):
    """Before anything runs, in a line and not in a traceback."""
    for name, args, wanted in (
            ("run-demo", ["--seconds", "0"], "--seconds: '0': wants a number from 1 on"),
            ("run-demo", ["--seconds", "-1"], "--seconds: '-1': wants a number from 1 on"),
            ("run-demo", ["--json", "/nonexist/x"], "--json: /nonexist/x: No such file"),
            ("bench-testpmd", ["--rounds", "1"], "--rounds: '1': wants a number from 2 on"),
            ("bench-testpmd", ["--json", "/nonexist/x"], "--json: /nonexist/x: No such file")):
        code, out = tool(ws, name, *args)
        check(code == 2 and wanted in out, f"{name} {args}: {code}, {out}")
    for name in ("run-demo", "bench-testpmd"):
        code, out = tool(ws, name, "--json", "new", env={"WEIR_BUILD_ROOT": ws.path})
        check(code == 1 and re.search(r"cannot be run: librte_\w+\.so is not in", out) and
              "Traceback" not in out, f"{name} without a build: {code}, {out}")
        check(not os.path.exists(os.path.join(ws.path, "new")), "a file was left behind")


def weir_test_leaves_nothing(ws):
    """weir-test's files are in TMPDIR, and go however it ends."""
    program = os.path.join(BUILD_ROOT, "app/test/weir-test")
    if not os.path.exists(program):
        raise Skip(f"{program} was not built")
    code, said = tool(ws, program, "--help")
    check(code == 0 and said.startswith("usage: weir-test "), f"--help: {code}, {said}")
    for number in (0, signal.SIGINT, signal.SIGKILL):
        folder = os.path.join(ws.path, f"tmp{number}")
        os.mkdir(folder)
        test = Process(ws, f"test{number}", [program, "port_autotest"], env={"TMPDIR": folder})
        wait_for(lambda folder=folder: glob.glob(f"{folder}/weir-test-*/*.sock"), "a socket")
        if number != 0:
            test.signal(number)
        check_equal(test.wait(120), -number, "the exit code")
        wait_for(lambda folder=folder: not os.listdir(folder), "an empty folder")


if __name__ == "__main__":
    main("harness_e2e", [
        output_is_weir_tests,
        demo_accounts_for_each_packet,
        tools_name_what_is_wrong,
        weir_test_leaves_nothing,
        workspace_leaves_nothing,
        resources_are_plausible,
        start_that_fails_is_told,
        testpmd_command_answers,
        testpmd_pair_moves_packets,
        peer_killed_is_seen,
        interrupted_leaves_nothing,
    ])
