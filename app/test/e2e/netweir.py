# SPDX-License-Identifier: BSD-3-Clause
"""A switch and its guests: stock testpmds, and the books that are kept of their packets.

    generator net_wgen0 <-> net_virtio_user0 --- socket --- net_weir0 <-+ the switch
         the guest, one process                                         |  forwards
    generator net_wgen0 <-> net_virtio_user0 --- socket --- net_weir1 <-+

A guest's generator makes packets and checks, byte by byte, what comes back: its own
from a port that is looped, the other guest's from a pair of ports. settle() stops the
generators, waits until every packet is accounted for, and fails if one was changed,
lost without being counted as dropped, duplicated or reordered.
"""
import re

from harness import check, check_equal, need_built, wait_for
from testpmd import TestPmd

WEIR_PLUGINS = ["librte_dma_weir.so", "librte_net_weir.so"]
# without it testpmd throws away what it receives before it forwards
APP = ["--no-flush-rx", "--forward-mode=io"]
JUMBO = ["--mbuf-size=9344", "--total-num-mbufs=6144"]
# a window that is full is never taken for lost: nothing may be lost unseen
PATIENT = "timeout_ms=60000"
BOTH_BY_DMA = "dmas=[txq0@dma_weir0;rxq0@dma_weir0]"
# no copy by CPU, however seldom the engine's thread gets to run
UNWATCHED = "dma-watchdog=0"


def dmas(queues, engine="dma_weir0"):
    """The dmas= argument that gives all queues to one engine."""
    return "dmas=[" + ";".join(f"{way}{q}@{engine}" for q in range(queues)
                               for way in ("txq", "rxq")) + "]"


class Switch(TestPmd):
    """A testpmd with net_weir ports, which forwards.

    ports   each one's device arguments beyond iface=
    engine  arguments of dma_weir0; None: there is none
    more    other devices, with their arguments
    paired  packets go from port 0 to 1 and back, from 2 to 3...; else each port to itself
    """

    def __init__(self, ws, ports=("",), engine=None, paired=False, name="switch", app=(),
                 more=(), **kw):
        for soname in WEIR_PLUGINS:
            need_built(soname)
        self.nr_ports = len(ports)
        vdevs = [] if engine is None else [",".join(filter(None, ("dma_weir0", engine)))]
        vdevs += more
        vdevs += [",".join(filter(None, (f"net_weir{i}", f"iface={ws.socket(f'w{i}')}", args)))
                  for i, args in enumerate(ports)]
        topology = "paired" if paired else "loop"
        super().__init__(ws, name, vdevs=vdevs, plugins=WEIR_PLUGINS,
                         app=[*APP, f"--port-topology={topology}", *app], **kw)
        self.command("start")

    def port(self, number=0):
        """What /weir/ports says of one port, and of each of its queues."""
        return self.telemetry("/weir/ports", f"net_weir{number}")

    def queues(self, number=0):
        return {name: q for name, q in self.port(number).items() if isinstance(q, dict)}

    def queue_sum(self, counter):
        """A counter of all queues of all ports."""
        return sum(q[counter] for i in range(self.nr_ports) for q in self.queues(i).values())

    def engine(self, counter, name="dma_weir0"):
        """A counter of all channels of an engine."""
        total, vchan = 0, 0
        while (one := self.telemetry("/weir/dma_weir", name, vchan)) is not None:
            total += one[counter]
            vchan += 1
        return total

    def maps(self):
        """The DMA address space, regions as lists: iovas, rights, hva, chunk, count, owner."""
        lines, after = [], []
        while True:
            answer = self.telemetry("/weir/maps", *after)
            lines += [line.split() for line in answer["maps"]]
            if "next" not in answer:
                check_equal(len(lines), answer["regions"], "the number of regions")
                return lines
            after = [answer["next"]]

    def check_copies(self, by_dma=True, by_cpu=False):
        """Who has copied; and whoever it was, without an error or a fault."""
        for port in range(self.nr_ports):
            for name, q in self.queues(port).items():
                for counter, wanted in (("dma_copies", by_dma), ("cpu_copies", by_cpu)):
                    check_equal(q[counter] != 0, wanted, f"port {port} {name}: {counter} of {q}")
        self.check_no_errors()

    def check_no_errors(self):
        """No copy failed, no address was refused; without traffic none stays under way."""
        check_equal(self.queue_sum("dma_errors"), 0, "the number of DMA errors")
        wait_for(lambda: self.queue_sum("in_flight") == 0, "no packet in flight")
        if self.telemetry("/weir/dma_weir"):
            check_equal(self.engine("faults"), 0, "the number of IOMMU faults")
            wait_for(lambda: self.engine("in_flight") == 0, "no copy in flight")
            space = self.telemetry("/weir/maps")
            for what in ("iommu_faults", "iommu_broken", "eal_failures"):
                check_equal(space[what], 0, what)

    def check_none_parted(self, *ports):
        """The ports parted with no peer for what it did; else why is shown."""
        for port in ports:
            state = self.port(port)
            check_equal((state["peers_disconnected"], state["last_error"]), (0, ""),
                        f"peers that port {port} parted with")

    def wait_waiting(self, port=0):
        """The port has no peer, maps nothing of one, and waits for the next."""
        def free():
            p = self.port(port)
            return p["state"] == "waiting" and p["memory_bytes"] == 0 and p["link"] == "down"
        wait_for(free, f"port {port} without a peer and its memory")


class Guest(TestPmd):
    """A testpmd that forwards between generators and virtio-user ports, pair by pair.

    ports  (socket, arguments of its net_virtio_user beyond path=) of each pair
    gen    arguments of each net_wgen
    jumbo  an mbuf holds the longest frame: where one may not go into several buffers
    lossy  packets are lost that nobody can count, with a switch that is killed
    """

    def __init__(self, ws, name, ports, gen="", core=1, jumbo=False, lossy=False, app=(),
                 eal=(), **kw):
        need_built("librte_net_wgen.so")
        self.lossy = lossy
        timeout = "" if lossy else PATIENT
        self.gens = [2 * i for i in range(len(ports))]
        vdevs = []
        for i, (path, args) in enumerate(ports):
            vdevs += [",".join(filter(None, (f"net_wgen{i}", "yield=1", timeout, gen))),
                      ",".join(filter(None, (f"net_virtio_user{i}", f"path={path}", args)))]
        super().__init__(ws, name, vdevs=vdevs, plugins=["librte_net_wgen.so"], core=core,
                         eal=["--log-level=pmd.net.virtio.init:info", *eal],
                         app=[*APP, *(JUMBO if jumbo else ["--enable-scatter"]), *app], **kw)

    def begin(self):
        self.command("start")
        return self

    def pause(self):
        """Make no packet more; what is on the way goes on."""
        for port in self.gens:
            self.command(f"set link-down port {port}")

    def resume(self):
        for port in self.gens:
            self.command(f"set link-up port {port}")

    def received(self):
        """Packets that came and were as they had been made, at the pair with the fewest."""
        return min(self.xstats(port)["gen_rx_ok"] for port in self.gens)

    def check_whole(self):
        """Nothing came that was changed, twice, out of order, or nobody's."""
        for port in self.gens:
            s = self.xstats(port)
            for name in ("corrupt", "foreign", "dup", "reordered", "restarts"):
                check_equal(s[f"gen_rx_{name}"], 0, f"{self.name} port {port}: {name} of {s}")
            if not self.lossy:
                check_equal(s["gen_window_resets"], 0, "windows taken for lost")

    def totals(self, *names):
        """Sums over the generators."""
        stats = [self.xstats(port) for port in self.gens]
        return [sum(s["gen_" + name] for s in stats) for name in names]


def tx_dropped(pmd):
    """Packets that its forwarding loop could not pass on since its start."""
    text = pmd.command("show fwd stats all")
    total = text[text.index("Accumulated"):]
    return int(re.search(r"TX-dropped: (\d+)", total)[1])


def exchange(guests, packets=5000):
    """Wait until each pair of each guest has received so many more packets, whole."""
    before = [g.received() for g in guests]
    for guest, old in zip(guests, before):
        wait_for(lambda guest=guest, old=old: guest.received() >= old + packets,
                 f"{packets} packets more at {guest.name}")


def settle(guests, switch=None):
    """Stop making packets and account for every one; how many were dropped, and counted.

    With a switch, drops of its loop and its ports are counted too; without, there may
    be none.
    """
    for guest in guests:
        guest.pause()

    def books():
        made = sum(guest.totals("tx")[0] for guest in guests)
        whole = sum(guest.totals("rx_ok")[0] for guest in guests)
        dropped = 0
        if made != whole and switch is not None:
            dropped = sum(map(tx_dropped, guests)) + tx_dropped(switch)
            dropped += switch.queue_sum("dropped")
        return made, whole, dropped

    def balanced():
        made, whole, dropped = books()
        return made == whole + dropped and [dropped]

    try:
        dropped = wait_for(balanced, "books that balance", timeout=15)[0]
    except Exception as e:
        made, whole, dropped = books()
        raise type(e)(f"{e}: {made} made, {whole} came whole, {dropped} dropped") from e
    for guest in guests:
        guest.check_whole()
        check(guest.totals("rx_lost")[0] <= dropped, f"{guest.name} misses more than was dropped")
    return dropped
