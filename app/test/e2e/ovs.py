# SPDX-License-Identifier: BSD-3-Clause
"""Stock OVS-DPDK with net_weir ports, by hand: nothing of the system's is touched."""
import os
import re
import subprocess

from harness import (Failed, Process, Skip, check, need_built, need_hugepages, need_program,
                     wait_for)
from netweir import WEIR_PLUGINS

VSWITCHD = "/usr/lib/openvswitch-switch-dpdk/ovs-vswitchd-dpdk"
SCHEMA = "/usr/share/openvswitch/vswitch.ovsschema"
MEM_MIB, LIMIT_MIB = 64, 300


class Ovs:
    """A database, a vswitchd with DPDK and weir's drivers, and a userspace bridge br0.

    engine  arguments of dma_weir0; None: there is none
    core    which of the CPUs allowed to us polls
    """

    def __init__(self, ws, engine=None, core=0):
        need_program("ovs-vsctl")
        if not os.path.exists(VSWITCHD):
            raise Skip(f"no {VSWITCHD} (package openvswitch-switch-dpdk)")
        need_hugepages(LIMIT_MIB)
        for soname in WEIR_PLUGINS:
            need_built(soname)
        self.ws, self.folder = ws, os.path.join(ws.path, "ovs")
        os.mkdir(self.folder)
        self.env = {name: self.folder for name in
                    ("OVS_RUNDIR", "OVS_LOGDIR", "OVS_DBDIR", "OVS_SYSCONFDIR")}
        database, socket = (os.path.join(self.folder, f) for f in ("conf.db", "db.sock"))
        self.run("ovsdb-tool", "create", database, SCHEMA)
        self.db = f"unix:{socket}"
        self.server = Process(ws, "ovsdb", ["ovsdb-server", database, f"--remote=p{self.db}"],
                              env=self.env)
        wait_for(lambda: os.path.exists(socket), "the database")
        cpus = sorted(os.sched_getaffinity(0))
        mask = hex(1 << cpus[core % len(cpus)])
        extra = ["--no-pci", f"--file-prefix {os.path.basename(ws.path)}"]
        extra += [f"-d {soname}" for soname in WEIR_PLUGINS]
        if engine is not None:
            extra.append("--vdev " + ",".join(filter(None, ("dma_weir0", engine))))
        self.vsctl("--no-wait", "init")
        self.vsctl("--no-wait", "set", "Open_vSwitch", ".", "other_config:dpdk-init=true",
                   f"other_config:dpdk-socket-mem={MEM_MIB}",
                   f"other_config:dpdk-socket-limit={LIMIT_MIB}",
                   f"other_config:dpdk-lcore-mask={mask}", f"other_config:pmd-cpu-mask={mask}",
                   f"other_config:dpdk-extra={' '.join(extra)}")
        self.control = os.path.join(self.folder, "vswitchd.ctl")
        self.start()
        self.vsctl("add-br", "br0", "--", "set", "bridge", "br0", "datapath_type=netdev")
        check(self.vsctl("get", "Open_vSwitch", ".", "dpdk_initialized") == "true",
              "OVS has not initialised DPDK")

    def start(self):
        """Start vswitchd, which sets up what is in the database."""
        self.switchd = Process(self.ws, "vswitchd", [VSWITCHD, self.db,
                                                     f"--unixctl={self.control}"], env=self.env)

    def run(self, *command):
        """A command of OVS's; its output."""
        p = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                           env=dict(os.environ, **self.env), timeout=60, check=False)
        if p.returncode:
            raise Failed(f"{' '.join(command)}: {p.stdout.strip()}")
        return p.stdout.strip()

    def vsctl(self, *words):
        return self.run("ovs-vsctl", f"--db={self.db}", "--timeout=30", *words)

    def appctl(self, *words):
        return self.run("ovs-appctl", "-t", self.control, *words)

    def add_port(self, number, args="", mtu=1500):
        """net_weirN, on the workspace's socket wN, as port N + 1 of the bridge."""
        devargs = ",".join(filter(None, (f"net_weir{number}",
                                         f"iface={self.ws.socket(f'w{number}')}", args)))
        self.vsctl("add-port", "br0", f"w{number}", "--", "set", "Interface", f"w{number}",
                   "type=dpdk", f"ofport_request={number + 1}", f"mtu_request={mtu}",
                   f"options:dpdk-devargs=\"{devargs}\"")
        error = self.vsctl("get", "Interface", f"w{number}", "error")
        check(error == "[]", f"port {number}: {error}")

    def cross(self, one, other):
        """All that comes from either of two ports goes to the other."""
        self.run("ovs-ofctl", "del-flows", "br0")
        for a, b in ((one, other), (other, one)):
            self.run("ovs-ofctl", "add-flow", "br0", f"in_port={a + 1},actions=output:{b + 1}")

    def statistics(self, number):
        """OVS's statistics of a port, as they are now, and some of the driver's own."""
        text = self.run("ovs-ofctl", "--protocols=OpenFlow13", "dump-ports", "br0",
                        str(number + 1))
        found = re.findall(r"(rx|tx) pkts=(\d+), bytes=(\d+), drop=(\d+), errs=(\d+)", text)
        return {f"{way}_{name}": int(value) for way, *values in found
                for name, value in zip(("packets", "bytes", "dropped", "errors"), values)}

    def link_up(self, number):
        return self.vsctl("get", "Interface", f"w{number}", "link_state") == "up"

    def stop(self):
        self.appctl("exit", "--cleanup")
        check(self.switchd.wait() == 0, f"vswitchd's exit code {self.switchd.popen.returncode}")
        self.server.kill9()
