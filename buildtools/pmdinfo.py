#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""pmdinfo.py OUTPUT.c OBJECT...: describe the drivers in some objects.

DPDK's registration macros leave a driver's name, its arguments, the kernel
modules it wants and the PCI ids it knows in static variables of agreed names.
This reads them out of the compiled objects and writes a C file with one
"PMD_INFO_STRING= {json}" a driver, which dpdk-pmdinfo.py finds in the linked
library. Objects that together hold no driver are an error.
"""
import json
import struct
import sys

from elftools.elf.elffile import ELFFile

# struct rte_pci_id: class, vendor, device, subsystem vendor and device
PCI_ID = "IHHHH"


class Image:
    """The initialised static variables of one ELF object."""

    def __init__(self, stream):
        self.elf = ELFFile(stream)
        self.symbols = {s.name: s
                        for s in self.elf.get_section_by_name(".symtab").iter_symbols()
                        if s["st_info"]["type"] == "STT_OBJECT"}

    def data(self, name):
        symbol = self.symbols[name]
        section = self.elf.get_section(symbol["st_shndx"])
        start = symbol["st_value"]
        return section.data()[start:start + symbol["st_size"]]

    def string(self, name):
        return self.data(name).split(b"\0", 1)[0].decode()

    def pci_ids(self, name):
        order = "<" if self.elf.little_endian else ">"
        ids = []
        table = self.data(name)
        size = struct.calcsize(order + PCI_ID)
        for offset in range(0, len(table) - size + 1, size):
            entry = struct.unpack_from(order + PCI_ID, table, offset)
            if not any(entry):
                break
            ids.append(list(entry[1:]))
        return ids

    def drivers(self):
        for symbol in sorted(self.symbols):
            if not symbol.startswith("this_pmd_name"):
                continue
            name = self.string(symbol)
            info = {"name": name}
            for key, suffix in (("params", "param_string_export"),
                                ("kmod", "kmod_dep_export")):
                if f"__{name}_{suffix}" in self.symbols:
                    info[key] = self.string(f"__{name}_{suffix}")
            table = f"__{name}_pci_tbl_export"
            info["pci_ids"] = (self.pci_ids(self.string(table))
                               if table in self.symbols else [])
            yield info


def c_string(text):
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


def main(output, objects):
    infos = []
    for path in objects:
        with open(path, "rb") as stream:
            infos += Image(stream).drivers()
    if not infos:
        sys.exit(f"no driver is registered in {' '.join(objects)}")
    with open(output, "w", encoding="utf-8") as out:
        for info in infos:
            text = c_string("PMD_INFO_STRING= " + json.dumps(info))
            out.write(f"static const char {info['name']}_pmd_info[] "
                      f"__attribute__((used)) =\n\t{text};\n")


if __name__ == "__main__":
    if len(sys.argv) < 3:
        sys.exit(__doc__.splitlines()[0])
    main(sys.argv[1], sys.argv[2:])
