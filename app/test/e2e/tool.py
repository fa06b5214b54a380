# SPDX-License-Identifier: BSD-3-Clause
"""What programs in devtools have in common that run testpmds: arguments, and their ends."""
import argparse
import os
import signal
import sys

from harness import SIGNALS, Failed, Skip, Workspace, interrupt


def at_least(lowest):
    """An argument's type: a number from `lowest` on."""
    def number(text):
        if not text.isascii() or not text.isdigit() or int(text) < lowest:
            raise argparse.ArgumentTypeError(f"'{text}': wants a number from {lowest} on")
        return int(text)
    return number


def writable(path):
    """An argument's type: a file that can be written, which is left as it is."""
    there = os.path.exists(path)
    try:
        with open(path, "ab"):
            pass
        if not there:
            os.remove(path)
    except OSError as e:
        raise argparse.ArgumentTypeError(f"{path}: {e.strerror}") from e
    return path


def run(name, work):
    """The answer of work(workspace). What keeps it from its end is told in a line, behind the
    logs of its processes, and ends the program; so does a signal."""
    for number in SIGNALS:
        signal.signal(number, interrupt)
    with Workspace() as ws:
        try:
            return work(ws)
        except (Failed, Skip, OSError) as e:
            ws.show_logs()
            sys.exit(f"{name}: cannot be run: {e}")
