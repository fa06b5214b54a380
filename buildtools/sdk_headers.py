#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""sdk_headers.py DPDK_SOURCE DEST: copy DPDK's driver headers.

The headers are those that DPDK's own build installs with enable_driver_sdk:
every file that a meson.build under lib/ or drivers/ adds to
driver_sdk_headers. A header that is listed but missing is an error, as is a
tree that lists none of those a vdev driver needs.
"""
import pathlib
import re
import shutil
import sys

ASSIGNMENT = re.compile(r"driver_sdk_headers\s*\+?=\s*(?:files\()?\s*\[?([^\])]*)")
NEEDED = {"bus_vdev_driver.h", "dev_driver.h", "ethdev_driver.h",
          "ethdev_vdev.h", "rte_dmadev_pmd.h"}


def listed(meson_build):
    text = re.sub(r"#.*", "", meson_build.read_text(encoding="utf-8"))
    for values in ASSIGNMENT.findall(text):
        for name in re.findall(r"'([^']+\.h)'", values):
            yield meson_build.parent / name


def main(source, dest):
    headers = [header
               for top in ("lib", "drivers")
               for build in sorted((source / top).rglob("meson.build"))
               for header in listed(build)]
    missing = NEEDED - {h.name for h in headers}
    if missing:
        sys.exit(f"{source}: no {', '.join(sorted(missing))}: is it DPDK's source?")
    dest.mkdir(parents=True, exist_ok=True)
    for header in headers:
        shutil.copy(header, dest)


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit(__doc__.splitlines()[0])
    main(pathlib.Path(sys.argv[1]), pathlib.Path(sys.argv[2]))
