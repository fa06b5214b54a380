# SPDX-License-Identifier: BSD-3-Clause
"""A switch whose copies go to hardware engines that devtools/softvfio models."""
import os
import socket

from harness import BUILD_ROOT, SOURCE_ROOT, check_equal, need_built, need_program
from netweir import Switch

WRAPPER = os.path.join(SOURCE_ROOT, "devtools/softvfio")


def ask(ctl, command):
    """A command to a running program's software devices, and its answer."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as s:
        s.settimeout(10)
        s.connect(ctl)
        s.send(command.encode())
        return s.recv(4096).decode()


class SoftSwitch(Switch):
    """A switch with software PCI devices.

    make  options of devtools/softvfio that make the devices, and others
    take  those that EAL probes, each with its device arguments
    hide  addresses that EAL leaves alone; only without take
    preload  a library
    """

    def __init__(self, ws, ports, make, take=(), hide=(), iova="va", name="switch", preload="",
                 **kw):
        need_built("libweir_softvfio.so")
        need_program("dpdk-testpmd")
        self.ctl = ws.socket(name + "-ctl")
        # its folder goes with the workspace, also if nobody is left to remove it
        env = [f"TMPDIR={ws.path}", *([f"LD_PRELOAD={preload}"] if preload else [])]
        wrap = ["env", *env, WRAPPER, "--build", BUILD_ROOT, *make,
                "--ctl", self.ctl, "--"]
        hidden = [arg for bdf in hide for arg in ("-b", bdf)]
        super().__init__(ws, ports, name=name, pci=take, wrap=wrap,
                         eal=[f"--iova-mode={iova}", *hidden], **kw)

    def ask(self, command):
        return ask(self.ctl, command)

    def device(self, bdf):
        """What a device has counted."""
        return {k: int(v) for k, v in
                (line.split("=") for line in self.ask(f"{bdf} stats").split())}

    def space(self):
        return self.telemetry("/weir/space")

    def check_space(self, engines, guests):
        """Who is let into the address space, and in how many entries guests are there."""
        space = self.space()
        check_equal(sorted(space["engines"]), sorted(engines), "the engines")
        check_equal(space["container"] != "none", engines != [], f"a container in {space}")
        check_equal((space["container_guest_entries"], space["model_guest_entries"]),
                    (guests if engines else 0, guests), f"entries of guests in {space}")
        check_equal((space["container_lost"], space["model_faults"]), (0, 0), "lost, faults")
