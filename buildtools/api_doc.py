#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""Run Doxygen and fail on what it complains of: api_doc.py DOXYGEN DOXYFILE

A member of a struct may go without a comment where its name and type say it all; whatever
else is public may not.
"""
import re
import subprocess
import sys

PLAIN_MEMBER = re.compile(r"Member \S+ \(variable\) of (struct|union) \w+ is not documented\.$")


def main(doxygen, doxyfile):
    p = subprocess.run([doxygen, doxyfile], stderr=subprocess.PIPE, text=True, check=False)
    wrong = [line for line in p.stderr.splitlines() if not PLAIN_MEMBER.search(line)]
    print("".join(line + "\n" for line in wrong), end="")
    return 1 if p.returncode or wrong else 0


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit("usage: api_doc.py DOXYGEN DOXYFILE")
    sys.exit(main(*sys.argv[1:]))
