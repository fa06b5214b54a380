#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""Run a command of weir-perf for two rounds and check its report, not its figures.

    test_report.py WEIR_PERF COMMAND ROW...

The JSON has exactly these rows, in this order, each with all its members, finite and
positive, and the printed table names them too. Exit code: 77 if weir-perf cannot run here.
"""
import json
import math
import os
import subprocess
import sys
import tempfile

ROUNDS = 2


def figures(row):
    """Every number of a row."""
    return [row[key] for key in ("weir", "peer", "ratio")] + row["spread"]


def complaints(report, output, command, names):
    """What is wrong with a report."""
    if report["command"] != command:
        yield f"it is of the command {report['command']}"
    found = [row["name"] for row in report["rows"]]
    if found != names:
        yield f"it has the rows {found}, not {names}"
    for row in report["rows"]:
        name = row["name"]
        if row["rounds"] != ROUNDS or not row["unit"] or len(row["spread"]) != 2:
            yield f"{name}: not {ROUNDS} rounds, no unit or no spread: {row}"
        if not all(math.isfinite(x) and x > 0 for x in figures(row)):
            yield f"{name}: figures are not positive: {row}"
        if name not in output:
            yield f"{name}: not in the table"


def main():
    program, command, names = sys.argv[1], sys.argv[2], sys.argv[3:]
    with tempfile.TemporaryDirectory() as tmp:
        path = os.path.join(tmp, "report.json")
        done = subprocess.run([program, command, "--rounds", str(ROUNDS), "--json", path],
                              stdout=subprocess.PIPE, text=True, check=False,
                              env=dict(os.environ, TMPDIR=tmp))
        print(done.stdout, flush=True)
        if done.returncode:
            sys.exit(done.returncode)
        with open(path, encoding="ascii") as f:
            report = json.load(f)
        wrong = list(complaints(report, done.stdout, command, names))
        left = [name for name in os.listdir(tmp) if name != "report.json"]
    for line in wrong:
        print(f"  FAILED  {line}")
    if left:
        print(f"  FAILED  left behind: {left}")
    sys.exit(1 if wrong or left else 0)


if __name__ == "__main__":
    main()
