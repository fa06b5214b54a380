#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-3-Clause
#
# The main job, from a fresh machine: two guests, a switch between them with a
# vhost-user port each and one DMA engine that does the copies, verified packets
# both ways.
#
#     devtools/demo.sh [--seconds N] [--json FILE] [--build DIR]
#
#     --seconds N  how long traffic runs (default 10)
#     --json FILE  write the table and the verdict there as well
#     --build DIR  where the build goes: DIR/gcc (default: build)
#
# Installs what is missing and reserves huge pages if too few are free, builds,
# and runs devtools/run-demo, which tells what is run and shown. Exit code 0 if
# the verdict is good. However it ends, it takes its processes, sockets and the
# huge pages it reserved along.

set -euo pipefail
invoked_from=$PWD
cd "$(dirname "${BASH_SOURCE[0]}")/.."
top=$PWD

# shellcheck source=devtools/setup.sh
. devtools/setup.sh

# Of each process 128 MB, of each guest's port the same once more: see run-demo.
hugepages_mb=768
build=$top/build
options=()
while (($# > 0)); do
	case $1 in
	--seconds)
		[[ ${2:-} =~ ^[1-9][0-9]*$ ]] || die "--seconds wants a number from 1 on"
		options+=("$1" "$2")
		shift
		;;
	--json)
		[[ -n ${2:-} ]] || die "--json wants a file"
		options+=("$1" "$(cd "$invoked_from" && realpath -m -- "$2")")
		shift
		;;
	--build)
		[[ -n ${2:-} ]] || die "--build wants a folder"
		build=$(cd "$invoked_from" && realpath -m -- "$2")
		shift
		;;
	-h | --help)
		sed -n '4,/^$/s/^# \?//p' "$top/devtools/demo.sh"
		exit 0
		;;
	*)
		die "unknown option $1; --help tells what there is"
		;;
	esac
	shift
done

runner=

on_exit() {
	trap '' INT TERM HUP
	restore_hugepages
}

on_signal() {
	trap '' INT TERM HUP
	if [[ -n $runner ]]; then
		kill -TERM "$runner" 2>/dev/null || true
		wait "$runner" || true
	fi
	exit 130
}
trap on_exit EXIT
trap on_signal INT TERM HUP

setup_packages
setup_sdk "$build"
setup_hugepages "$hugepages_mb" ||
	die "the demo needs $hugepages_mb MB of huge pages"

setup_options=()
sdk=$build/dpdk-sdk/$(pkg-config --modversion libdpdk)
[[ ! -d $sdk ]] || setup_options+=("-Ddriver_headers=$sdk")
say "building in $build/gcc"
if [[ ! -f $build/gcc/build.ninja ]]; then
	meson setup "$build/gcc" "${setup_options[@]}" >"$build/demo-setup.log" 2>&1 ||
		{
			tail -n 20 "$build/demo-setup.log" >&2
			die "the build could not be configured"
		}
fi
ninja --quiet -C "$build/gcc" || die "the build failed"

# in the background, since only then a signal is handled at once
WEIR_BUILD_ROOT=$build/gcc devtools/run-demo "${options[@]}" &
runner=$!
code=0
wait "$runner" || code=$?
runner=
exit "$code"
