#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-3-Clause
#
# Set this machine up and run every test:
#
#     devtools/test.sh [--quick | --long] [--build DIR]
#
#     --quick      only the unit tests of the first build
#     --long       fuzz and random tests for ten times as long, the suite `long`,
#                  devtools/build-matrix
#     --build DIR  where the builds go: DIR/gcc, DIR/asan, ... (default: build)
#
# The tests themselves are devtools/run-tests; it tells what there is. The last
# line is `N passed, N failed, N skipped`, with the reason of each skip and
# failure above it; exit code 0 if nothing failed. However it ends, it takes its
# processes and temporary files along and gives back the huge pages it reserved.

set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
top=$PWD

# shellcheck source=devtools/setup.sh
. devtools/setup.sh

usage() {
	sed -n '4,/^$/s/^# \?//p' "$top/devtools/test.sh"
}

# What the checks and models run, on top of what the build and the tests need.
setup_package_list+=(clang-tidy cppcheck shellcheck git spin util-linux)

hugepages_mb=1024
build=$top/build
options=()
quick=false
while (($# > 0)); do
	case $1 in
	--quick)
		quick=true
		options+=("$1")
		;;
	--long)
		options+=("$1")
		setup_package_list+=(debootstrap)
		;;
	--build)
		[[ -n ${2:-} ]] || die "--build wants a folder"
		build=$(realpath -m -- "$2")
		shift
		;;
	-h | --help)
		usage
		exit 0
		;;
	*)
		die "unknown option $1; --help tells what there is"
		;;
	esac
	shift
done

tmp=$(mktemp -d "${TMPDIR:-/tmp}/weir-test-XXXXXXXX")
engine=

on_exit() {
	trap '' INT TERM HUP
	restore_hugepages
	local sum="0 passed, 1 failed, 0 skipped"
	[[ ! -s $tmp/sum ]] || sum=$(<"$tmp/sum")
	rm -rf "$tmp"
	printf '%s\n' "$sum"
}

# The engine ends what it started, and then itself.
on_signal() {
	trap '' INT TERM HUP
	if [[ -n $engine ]]; then
		kill -TERM "$engine" 2>/dev/null || true
		wait "$engine" || true
	fi
	exit 130
}
trap on_exit EXIT
trap on_signal INT TERM HUP

setup_packages
setup_sdk "$build"
sdk=$build/dpdk-sdk/$(pkg-config --modversion libdpdk)
[[ ! -d $sdk ]] || options+=(--driver-headers "$sdk")
if ! $quick; then
	setup_vm || true
	setup_hugepages "$hugepages_mb" || true
fi

# in the background, since only then a signal is handled at once
mkdir "$tmp/t"
TMPDIR=$tmp/t devtools/run-tests --build "$build" --sum "$tmp/sum" "${options[@]}" &
engine=$!
code=0
wait "$engine" || code=$?
engine=
exit "$code"
