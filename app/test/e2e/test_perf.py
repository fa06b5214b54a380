#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""weir-perf: that it runs, and what it says of its own reports. No timing is looked at.

What weir-perf vhost measures it has compared byte by byte before, so that a row is a
test of the path as well.
"""
import json
import os
import re
import subprocess

from harness import BUILD_ROOT, Skip, check, check_equal, main

LENGTHS = (64, 256, 512, 1518)


def weir_perf(ws, *args, code=0):
    """Run it to its end, which has to be this one; what it printed."""
    program = os.path.join(BUILD_ROOT, "app/perf/weir-perf")
    if not os.path.exists(program):
        raise Skip(f"{program} was not built")
    p = subprocess.run([program, *args], stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                       text=True, cwd=ws.path, env=dict(os.environ, RUNTIME_DIRECTORY=ws.run),
                       timeout=300, check=False)
    if p.returncode == 77:
        raise Skip(p.stdout.strip())
    check_equal(p.returncode, code, f"the exit code, after '{p.stdout}'")
    return p.stdout


def rows_of(ws, *args):
    """Two rounds of weir-perf vhost; its rows by name, and what it printed."""
    path = os.path.join(ws.path, "report.json")
    said = weir_perf(ws, "vhost", "--rounds", "2", "--json", path, "--", "--no-huge", *args)
    with open(path, encoding="utf-8") as f:
        return {row["name"]: row for row in json.load(f)["rows"]}, said


def vhost_rows_complete(ws):
    """Every row is there, or the backend was said not to have what it takes."""
    rows, said = rows_of(ws)
    for ring in ("split", "packed"):
        wanted = [f"{ring} {op} {n} B" for op in ("enqueue", "dequeue") for n in LENGTHS]
        wanted += [f"{ring} {op} {what}" for op in ("enqueue", "dequeue")
                   for what in ("8 ports 64 B", "TSO 64 KiB")] + [f"{ring} idle poll"]
        if f'rows "{ring} ..." are left out' in said:
            check(ring == "packed", f"{ring} rings are left out: {said}")
            continue
        for name in wanted:
            check(name in rows, f"no row '{name}' in {list(rows)}")
    for name, row in rows.items():
        check(row["rounds"] == 2 and row["weir"] > 0 and row["peer"] > 0, f"{name}: {row}")


def vhost_rows_chosen(ws):
    """--only chooses, --control measures net_vhost, which has packed rings, --count does not
    measure."""
    rows, _ = rows_of(ws, "--control", "--only", "packed enqueue 2")
    check_equal(list(rows), ["packed enqueue 256 B"], "the rows")
    rows, said = rows_of(ws, "--only", "split idle", "--count", "3")
    check_equal(rows, {}, "the rows")
    check("3 bursts" in said, said)


def report(ws, name, ratios, rounds=9):
    """A report with rows of these names and (first quartile, median, third quartile)."""
    path = os.path.join(ws.path, name)
    rows = [{"name": row, "unit": "ns", "rounds": rounds, "weir": median, "peer": 1, "ratio": median,
             "spread": [low, high]} for row, (low, median, high) in ratios.items()]
    with open(path, "w", encoding="utf-8") as f:
        json.dump({"command": "vhost", "rows": rows}, f)
    return path


def compare_knows_noise(ws):
    """Slower and faster is what is so beyond the quartiles, and by more than chance."""
    old = report(ws, "old", {"a": (0.9, 1.0, 1.1), "b": (0.999, 1, 1.001), "c": (0.9, 1, 1.1),
                             "gone": (1, 1, 1)})
    new = report(ws, "new", {"a": (1.0, 1.2, 1.3), "b": (1.008, 1.01, 1.02), "c": (0.6, 0.7, 0.8),
                             "fresh": (1, 1, 1)})
    check_equal(weir_perf(ws, "compare", old, old).splitlines()[-1],
                "0 faster, 0 slower, 4 same", "a report beside itself")
    said = weir_perf(ws, "compare", old, new)
    for line in ("gone +only before", "fresh +only after", "1 faster, 0 slower, 2 same"):
        check(re.search(f"^{line}$", said, re.M), f"no '{line}' in {said}")
    check(weir_perf(ws, "compare", new, old, code=1).endswith("0 faster, 1 slower, 2 same\n"),
          "c has become slower")
    few = report(ws, "few", {"a": (1.2, 1.2, 1.2)}, rounds=1)
    check(weir_perf(ws, "compare", old, few).endswith(
        "0 faster, 0 slower, 0 same, 1 of fewer than 8 rounds\n"), "one round says nothing")


def compare_refuses_what_is_no_report(ws):
    """A file that is none, or says what cannot be, is named and is an error."""
    good = report(ws, "good", {"a": (1, 1, 1)})
    with open(good, encoding="utf-8") as f:
        text = f.read()
    bad = os.path.join(ws.path, "bad")
    texts = ["", "{}", "[]", "{" * 100, "[" * 10000, text[:-1], text + "x", text + "\0x",
             text.replace('"ratio": 1', '"ratio": nan'), text.replace("[1, 1]", "[2, 1]"),
             text.replace('"ratio"', '"other"'), text.replace('"a"', '"a\\n"'),
             text.replace('"unit": "ns"', f'"unit": {"[" * 50}1{"]" * 50}')]
    for number, wrong in enumerate(texts):
        with open(bad, "w", encoding="utf-8") as f:
            f.write(wrong)
        said = weir_perf(ws, "compare", good, bad, code=2)
        check(said.startswith(f"{bad}: "), f"text {number}: {said}")
    check(f"{ws.path}/none: No such file" in weir_perf(ws, "compare", f"{ws.path}/none", good,
                                                       code=2), "a file that is not there")
    check("usage: weir-perf compare OLD.json NEW.json" in weir_perf(ws, "compare", good, code=2),
          "one report alone")


# arguments, and what is said of them before anything is measured
WRONG = [
    (["nosuch"], "there is no command 'nosuch'"),
    (["vhost", "--rounds", "x"], "--rounds x: wants a number from 1 to"),
    (["vhost", "--rounds", "0"], "--rounds 0: wants a number from 1 to"),
    (["vhost", "--rounds", "-5"], "--rounds -5: wants a number from 1 to"),
    (["vhost", "--rounds", "99999999999"], "--rounds 99999999999: wants a number from 1 to"),
    (["vhost", "--json", "/nonexist/x"], "--json /nonexist/x: No such file"),
    (["vhost", "--", "--cpu", "x"], "--cpu x: no CPU that may be used"),
    (["copy", "--", "--cpu", "9999"], "--cpu 9999: no CPU that may be used"),
    (["vhost", "--", "--count", "x"], "usage: weir-perf vhost"),
    (["map", "--", "--bogus"], "weir-perf map: takes no '--bogus'"),
    (["hotplug", "--", "--gib", "0"], "usage: weir-perf hotplug"),
]


def arguments_are_checked(ws):
    """What is wrong is named, by exit code 2; help is what was asked for."""
    for args, wanted in WRONG:
        said = weir_perf(ws, *args, code=2)
        check(wanted in said, f"{args}: no '{wanted}' in {said}")
    for args, wanted in ((["-h"], "usage: weir-perf COMMAND"),
                         (["vhost", "--help"], "  --control "), (["copy", "-h"], "  --latency "),
                         (["map", "--help"], "usage: weir-perf map")):
        check(wanted in weir_perf(ws, *args), f"{args}: no '{wanted}'")
    path = os.path.join(ws.path, "report.json")
    said = weir_perf(ws, "vhost", "--rounds", "1", "--json", path, "--", "--no-huge", "--only",
                     "nosuch", code=2)
    check("no row has 'nosuch' in its name" in said, said)
    check(not os.path.exists(path), "a report without rows was written")


main("perf_e2e", [vhost_rows_complete, vhost_rows_chosen, compare_knows_noise,
                  arguments_are_checked, compare_refuses_what_is_no_report])
