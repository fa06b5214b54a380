#!/bin/sh
# SPDX-License-Identifier: BSD-3-Clause
#
# run.sh TARGET CORPUS [OPTION...]: fuzz for a while, from the corpus on. Inputs
# that find something new go to a folder that is thrown away, one that crashes to
# the current folder, with its name in the output.
set -eu
target=$1 corpus=$2
shift 2
new=$(mktemp -d)
trap 'rm -rf "$new"' EXIT
trap 'exit 130' INT TERM HUP
# the last of several -max_total_time counts
"$target" -max_total_time=30 "$@" "$new" "$corpus"
