# SPDX-License-Identifier: BSD-3-Clause
"""The stock dpdk-testpmd and its telemetry, for end-to-end tests."""
import json
import os
import re
import socket

from harness import (Failed, Process, TIMEOUT_S, check, check_equal, need_hugepages,
                     need_private_mounts, need_program)

# it is written letter by letter: another thread's lines may come in between
PROMPT = r"(?:\r?\n|Port \d+: [^\n]*\n|[A-Z_]+: [^\n]*\n)*".join("testpmd> ")

# one file for all memory: vhost-user passes at most 8 descriptors
MEMORY = {
    "huge": ["--in-memory", "--single-file-segments"],
    # files in a folder that secondary processes find; see huge_folder()
    "files": ["--single-file-segments"],
    "small": ["--no-huge", "--no-shconf"],
}


def huge_folder(path):
    """A wrap for memory="files": a mount of huge pages that ends with the process."""
    need_private_mounts()
    return ["unshare", "--mount", "sh", "-c",
            'mkdir -p "$0" && mount -t hugetlbfs -o pagesize=2M none "$0" && exec "$@"', path]


class Telemetry:
    """A client of a DPDK process's telemetry socket (protocol v2)."""

    def __init__(self, path):
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.sock.settimeout(TIMEOUT_S)
        try:
            self.sock.connect(path)
            hello = json.loads(self.sock.recv(1024))
        except OSError as e:
            self.sock.close()
            raise Failed(f"telemetry at {path}: {e}") from e
        self.max_len = hello["max_output_len"]
        self.pid = hello["pid"]

    def query(self, command, *params):
        """The answer to `/command,param,...`, without its outer level."""
        self.sock.send(",".join((command, *map(str, params))).encode())
        return json.loads(self.sock.recv(self.max_len))[command]

    def close(self):
        self.sock.close()


class TestPmd(Process):
    """An interactive testpmd, at its prompt when the constructor returns.

    vdevs    --vdev arguments
    plugins  sonames of drivers in the build (librte_net_weir.so): EAL refuses paths
             below folders that all may write to, names on the library path it takes
    core     which of the CPUs allowed to us runs both of its lcores
    mem_mib  memory it takes
    memory   what that is made of, a key of MEMORY
    pci      addresses of the PCI devices it takes; None: it does without PCI
    eal, app further arguments of either kind
    wrap     a command to run it under
    """

    def __init__(self, ws, name, vdevs=(), plugins=(), core=0, mem_mib=128, memory="huge",
                 pci=None, eal=(), app=(), wrap=()):
        need_program("dpdk-testpmd")
        if memory != "small":
            need_hugepages(mem_mib)
        cpus = sorted(os.sched_getaffinity(0))
        cpu = cpus[core % len(cpus)]
        argv = [*wrap, "dpdk-testpmd", "--lcores", f"0@{cpu},1@{cpu}", "--file-prefix", name,
                "-m", str(mem_mib), *MEMORY[memory]]
        argv += ["--no-pci"] if pci is None else [arg for bdf in pci for arg in ("-a", bdf)]
        for soname in plugins:
            argv += ["-d", soname]
        for vdev in vdevs:
            argv += ["--vdev", vdev]
        super().__init__(ws, name, [*argv, *eal, "--", "-i", "--total-num-mbufs=16384", *app])
        self.client = None
        self.wait_log(PROMPT)

    def command(self, line, timeout=TIMEOUT_S):
        """Type a line at the prompt; what was printed until the next prompt."""
        mark = self.log_mark()
        self.popen.stdin.write(line.encode() + b"\n")
        self.wait_log(PROMPT, mark, timeout)
        # the line itself comes back as an echo
        printed = self.log(mark).replace("\r", "").split("\n", 1)[-1]
        return re.split(PROMPT, printed)[0]

    def telemetry(self, command, *params):
        """Ask its telemetry, see Telemetry.query()."""
        if self.client is None:
            self.client = Telemetry(f"{self.ws.run}/dpdk/{self.name}/dpdk_telemetry.v2")
        return self.client.query(command, *params)

    def stats(self, port=0):
        """ethdev's basic statistics: ipackets, opackets, ibytes, imissed, ..."""
        return self.telemetry("/ethdev/stats", port)

    def xstats(self, port=0):
        return self.telemetry("/ethdev/xstats", port)

    def link_up(self, port=0):
        return self.telemetry("/ethdev/link_status", port)["status"] == "UP"

    def stop(self):
        """Quit in an orderly way, which must end with exit code 0."""
        check(self.alive(), f"{self.name} has ended before, with {self.popen.returncode}")
        self.popen.stdin.write(b"quit\n")
        check_equal(self.wait(), 0, f"the exit code of {self.name}")

    def kill9(self):
        super().kill9()
        if self.client is not None:
            self.client.close()
            self.client = None
