#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""Verify a Promela model with spin, and that its broken variants are found wrong.

    check_model.py MODEL [--size NAME=N,...]... [--wrong VARIANT]...

Every state of the model is looked at for each --size, with these macros defined: no
assertion may fail and nobody may wait for ever. Then for each --wrong, at the first size,
spin has to find an assertion that fails; a model that cannot fail proves nothing.

Prints a line a case and a sum, as weir-test does. Exit code: 0 passed, 1 failed, 77 there
is no spin or no C compiler.
"""
import argparse
import os
import re
import shutil
import subprocess
import sys
import tempfile

DEPTH, HASH_BITS = 200000, 24
CFLAGS = ["-O2", "-w", "-DSAFETY", "-DCOLLAPSE", "-DVECTORSZ=2048", "-DMEMLIM=4096"]


def run(command, folder):
    """A command's output, both streams; its exit code is no matter to spin."""
    return subprocess.run(command, cwd=folder, stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, text=True, check=False).stdout


def search(model, macros, compiler):
    """What a search of all states prints."""
    with tempfile.TemporaryDirectory() as folder:
        shutil.copy(model, os.path.join(folder, "model.pml"))
        out = run(["spin", "-a", *(f"-D{m}" for m in macros), "model.pml"], folder)
        out += run([compiler, *CFLAGS, "-o", "pan", "pan.c"], folder)
        if not os.path.exists(os.path.join(folder, "pan")):
            return out
        return out + run(["./pan", f"-m{DEPTH}", f"-w{HASH_BITS}"], folder)


def verified(out):
    """True if all states were looked at and none was wrong."""
    return (re.search(r"errors: 0$", out, re.M) is not None and "not completed" not in out
            and "max search depth too small" not in out)


def caught(out):
    return re.search(r"^pan:\d+: assertion violated", out, re.M) is not None


def states(out):
    found = re.search(r"(\d+) states, stored", out)
    return found[1] if found else "?"


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model")
    parser.add_argument("--size", action="append", default=[], metavar="NAME=N,...")
    parser.add_argument("--wrong", action="append", default=[], metavar="VARIANT")
    args = parser.parse_args()
    compiler = shutil.which("cc") or shutil.which("gcc") or shutil.which("clang")
    if shutil.which("spin") is None or compiler is None:
        print("spin or a C compiler is not installed: no model was checked")
        sys.exit(77)
    sizes = [size.split(",") for size in args.size] or [[]]
    cases = [(", ".join(size) or "as it is", size, verified) for size in sizes]
    cases += [(f"{wrong} is found wrong", [*sizes[0], wrong], caught) for wrong in args.wrong]
    failed = 0
    for name, macros, is_right in cases:
        out = search(args.model, macros, compiler)
        right = is_right(out)
        failed += not right
        print(f"  {'ok     ' if right else 'FAILED '}   {name}: {states(out)} states", flush=True)
        if not right:
            print(out, flush=True)
    name = os.path.splitext(os.path.basename(args.model))[0]
    print(f"{name}_model: {len(cases) - failed} passed, {failed} failed, 0 skipped")
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
