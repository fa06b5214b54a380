#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""A Linux guest that moves to another QEMU in mid traffic, and back.

    QEMU before --- net_weir0, net_weir1 <-+ the switch: packets go from
    QEMU after  --- net_weir2, net_weir3 <-+ 0 to 1 and back, from 2 to 3 and back

What a port writes to the guest's memory while that is copied has to be in the dirty
log: a page that is not would be an old one afterwards, and the stream would show it.
"""
from guest import Nic, QmpError, Stream, Vm
from harness import Skip, check, check_equal, main, wait_for
from netweir import BOTH_BY_DMA, Switch

PORT = "tso=1,legacy-ol-flags=1"
MIGRATE_S = 240
HOPS = 3
# copies of memory until the rest can be sent in so short a time
LIMITS = {"max-bandwidth": 1 << 32, "downtime-limit": 3000}


def new_vm(ws, hop, **kw):
    """The guest's next QEMU, on the ports that the one before is not on."""
    nics = [Nic(ws.socket(f"w{2 * (hop % 2) + n}"), n) for n in (0, 1)]
    return Vm(ws, f"vm{hop}", nics, memory=192, **kw)


def status(vm):
    return vm.qmp("query-migrate").get("status", "none")


def set_capability(vm, name):
    vm.qmp("migrate-set-capabilities", capabilities=[{"capability": name, "state": True}])


def start(vm, path):
    """Begin to migrate; skip the case where QEMU says that this backend cannot."""
    vm.qmp("migrate-set-parameters", **LIMITS)
    try:
        vm.qmp("migrate", uri=f"unix:{path}")
    except QmpError as e:
        if "backend lacks" in str(e) or "disabled" in str(e):
            raise Skip(f"QEMU refuses: {e}") from e
        raise


def wait_moved(old, new):
    """Wait for the end of a migration; the guest lives in the new QEMU then."""
    def over():
        check(status(old) not in ("failed", "cancelled"),
              f"migration: {old.qmp('query-migrate')}")
        return status(old) == "completed"
    wait_for(over, "the end of the migration", timeout=MIGRATE_S)
    wait_for(lambda: new.qmp("query-status")["status"] == "running", "the guest to run again")
    new.take_over(old)
    old.qmp("quit")
    check_equal(old.wait(), 0, "the exit code of the old QEMU")


def move(ws, switch, vm, stream, hop, postcopy=False):
    """One migration; the new Vm, whose traffic goes on."""
    new = new_vm(ws, hop, machine=["-incoming", "defer"])
    path = ws.socket(f"migrate{hop}")
    if postcopy:
        for each in (vm, new):
            set_capability(each, "postcopy-ram")
    new.qmp("migrate-incoming", uri=f"unix:{path}")
    start(vm, path)
    if postcopy:
        wait_for(lambda: status(vm) != "setup", "the migration to begin")
        vm.qmp("migrate-start-postcopy")
    wait_moved(vm, new)
    for port in (0, 1):
        switch.wait_waiting(2 * ((hop - 1) % 2) + port)
        wait_for(lambda port=port: switch.link_up(2 * (hop % 2) + port), f"link of port {port}")
    stream.vm = new
    stream.advance()
    return new


def migrate(ws, args, engine=None, postcopy=False):
    """Hops between two pairs of ports, with a stream and pings all the way."""
    switch = Switch(ws, [args] * 4, engine=engine, paired=True)
    if "argument 'postcopy-support=1'" in switch.log():
        raise Skip("net_weir does not offer postcopy")
    vm = new_vm(ws, 0).boot()
    vm.serve(1)
    stream = Stream(vm, 0, vm.nics[1].address)
    stream.advance()
    for hop in range(1, HOPS + 1):
        vm = move(ws, switch, vm, stream, hop, postcopy)
        vm.ping(0, vm.nics[1].address)
        vm.check_intact()
    stream.end()
    switch.check_no_errors()
    for port in range(4):
        switch.check_none_parted(port)
    vm.power_off()
    switch.stop()


def precopy_by_cpu(ws):
    """Memory is copied first; net_weir's copies are done by CPU."""
    migrate(ws, PORT)


def precopy_by_dma(ws):
    """The same, by DMA: a page is logged when its copy is done."""
    migrate(ws, f"{PORT},{BOTH_BY_DMA}", engine="delay_us=100")


def postcopy(ws):
    """Memory is copied when the guest, or the port, touches it in its new place."""
    migrate(ws, f"{PORT},postcopy-support=1", postcopy=True)


main("guest_migrate_e2e", [precopy_by_cpu, precopy_by_dma, postcopy])
