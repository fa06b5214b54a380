#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""The examples, built against the library as it is installed, and run."""
import glob
import os
import re
import shutil
import signal
import subprocess

from harness import (BUILD_ROOT, SOURCE_ROOT, Process, check, check_equal, main, need_built,
                     need_hugepages, need_program, wait_for)
from testpmd import TestPmd


def run(argv, env=None):
    """Run a command that must succeed; its output."""
    p = subprocess.run(argv, env=env, text=True, stdout=subprocess.PIPE,
                       stderr=subprocess.STDOUT, check=False)
    check(p.returncode == 0, f"{' '.join(argv)}: exit code {p.returncode}\n{p.stdout}")
    return p.stdout


def install(ws):
    """Install below the workspace; the folders of the library and of its weir.pc."""
    for program in ("make", "cc", "meson", "pkg-config"):
        need_program(program)
    need_built("libweir.so")
    root = os.path.join(ws.path, "root")
    run(["meson", "install", "-C", BUILD_ROOT, "--no-rebuild", "--quiet", "--destdir", root])
    for folder, _, files in os.walk(root):
        if "weir.pc" in files:
            break
    path = os.path.join(folder, "weir.pc")
    with open(path, encoding="utf-8") as f:
        text = f.read()
    # what a package manager does for files that it puts elsewhere
    prefix = re.search(r"^prefix=(.*)$", text, re.M)[1]
    with open(path, "w", encoding="utf-8") as f:
        f.write(text.replace(f"prefix={prefix}", f"prefix={root}{prefix}", 1))
    return os.path.dirname(folder), folder


COMPILERS = [["gcc", "-std=gnu11", "-xc"], ["g++", "-std=c++17", "-xc++"],
             ["clang", "-std=gnu11", "-xc"], ["clang++", "-std=c++17", "-xc++"]]


def headers_compile_alone(ws):
    """Each installed header by itself, in C and in C++, with weir.pc's flags and no others."""
    env = dict(os.environ, PKG_CONFIG_PATH=install(ws)[1])
    flags = run(["pkg-config", "--cflags", "weir"], env).split()
    folder = run(["pkg-config", "--variable=includedir", "weir"], env).strip()
    headers = glob.glob(os.path.join(folder, "weir", "*.h"))
    check(len(headers) > 10, f"installed headers: {headers}")
    drivers = run(["pkg-config", "--variable=pmddir", "weir"], env).strip()
    check(os.path.exists(os.path.join(drivers, "librte_net_weir.so")), f"no driver in {drivers}")
    there = [cc for cc in COMPILERS if shutil.which(cc[0])]
    check(there, "no compiler")
    source = os.path.join(ws.path, "alone")
    for header in headers:
        with open(source, "w", encoding="utf-8") as f:
            f.write(f"#include <{os.path.basename(header)}>\n")
        for cc in there:
            run([*cc, "-Wall", "-Wextra", "-Werror", "-fsyntax-only", *flags, source])


def build(ws, name):
    """Build an example away from the tree; the command that runs it on what was installed."""
    lib, pkgconfig = install(ws)
    folder = os.path.join(ws.path, name)
    shutil.copytree(os.path.join(SOURCE_ROOT, "examples", name), folder)
    run(["make", "-B", "-C", folder, "CFLAGS=-O2 -Wall -Wextra -Werror"],
        env=dict(os.environ, PKG_CONFIG_PATH=pkgconfig))
    # the harness's own path leads to the build, where the library is as well
    return ["env", "LD_LIBRARY_PATH=" + lib, os.path.join(folder, name)]


def start_port_loop(ws):
    """The example on a socket of ours, and the socket."""
    need_program("dpdk-testpmd")
    need_hugepages(256)
    path = ws.socket("w0")
    cpu = sorted(os.sched_getaffinity(0))[0]
    argv = build(ws, "port_loop") + [
        "--lcores", f"0@{cpu}", "--file-prefix", "echo", "--in-memory", "--no-pci", "-m", "128",
        "--", path]
    echo = Process(ws, "echo", argv)
    echo.wait_log("listening on " + re.escape(path))
    return echo, path


def guest_on(ws, name, path):
    """A guest that receives what it has sent."""
    guest = TestPmd(ws, name, core=1, app=["--forward-mode=io"],
                    vdevs=[f"net_virtio_user0,path={path},queues=1,queue_size=256"])
    wait_for(guest.link_up, "the guest's link up")
    return guest


def chunks_all_as_said(ws):
    """A chunk in the middle goes, the device no longer reaches it, all others stay."""
    p = Process(ws, "chunks", build(ws, "chunks"))
    check_equal(p.wait(), 0, "the exit code")
    log = p.log()
    after = log.partition("\nunmap chunk 3: done\n")[2]
    check(re.search(r"^  100000000-100300000 rw \w+ 100000 1 0\n"
                    r"  100400000-100800000 rw \w+ 100000 1 0\n"
                    r"  device reaches: 012\.4567$", after, re.M), f"unexpected: {log}")
    check("unmap half of chunk 3: Operation not supported" in log, f"unexpected: {log}")
    check(log.endswith("\nall as said\n"), f"unexpected: {log}")


def port_loop_sends_each_frame_back(ws):
    """Of 32 frames 32 come back, with the addresses exchanged."""
    echo, path = start_port_loop(ws)
    guest = guest_on(ws, "guest", path)
    mac = re.search(r"MAC address: (\S+)", guest.command("show port info 0"))[1]
    guest.command("set fwd rxonly")
    guest.command("set verbose 1")
    mark = guest.log_mark()
    guest.command("start tx_first 1")
    wait_for(lambda: guest.stats()["ipackets"] >= 32, "32 frames back")
    guest.command("stop")
    frames = re.findall(r"src=(\S+) - dst=(\S+)", guest.log(mark))
    # testpmd sends to that address unless it is told another
    check_equal(set(frames), {("02:00:00:00:00:00", mac)}, "from where to where they came")
    check_equal(len(frames), 32, "the number of frames")
    guest.stop()
    echo.signal(signal.SIGINT)
    check_equal(echo.wait(), 0, "the exit code")
    check("received 32 frames" in echo.log(), f"unexpected: {echo.log()}")


def port_loop_outlives_its_guests(ws):
    """A guest is killed, the next one works; Ctrl-C ends the example and its socket."""
    echo, path = start_port_loop(ws)
    for name in ("first", "second"):
        mark = echo.log_mark()
        guest = guest_on(ws, name, path)
        guest.command("start tx_first 4")
        wait_for(lambda g=guest: g.stats()["ipackets"] > 100000, "100000 frames back")
        check("link up" in echo.log(mark), f"unexpected: {echo.log(mark)}")
        mark = echo.log_mark()
        guest.kill9()
        echo.wait_log("link down", mark)
    echo.signal(signal.SIGINT)
    check_equal(echo.wait(), 0, "the exit code")
    check(not os.path.exists(path), "the socket is still there")
    received = int(re.search(r"received (\d+) frames", echo.log())[1])
    check(received > 200000, f"{received} frames received of two guests")


if __name__ == "__main__":
    main("examples_e2e", [
        headers_compile_alone,
        chunks_all_as_said,
        port_loop_sends_each_frame_back,
        port_loop_outlives_its_guests,
    ])
