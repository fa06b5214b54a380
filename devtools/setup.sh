#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-3-Clause
#
# Make a Debian machine (12 or later) able to build weir:
#
#     devtools/setup.sh [BUILD_DIR]            packages and driver headers
#     devtools/setup.sh --hugepages N_MB       have N_MB of free huge pages
#     devtools/setup.sh --vm                   what devtools/vm runs
#
# Installs the packages that are missing, as root; then, if DPDK's driver
# headers (ethdev_driver.h, ...) are not beside its other headers, takes them
# from the source package of the very version that is installed and keeps them
# in BUILD_DIR/dpdk-sdk/VERSION, where meson looks for them. The source package
# comes through a list of package sources of our own, derived from the
# system's; the system's lists are not touched. With nothing missing it answers
# at once and needs no network.
#
# Other scripts source this file for setup_packages, setup_vm, setup_sdk,
# setup_hugepages and restore_hugepages.

set -euo pipefail

setup_top=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)

# What the build, the tests and the demo run; dpkg names.
setup_package_list=(
	build-essential clang clang-format libclang-rt-dev meson ninja-build pkg-config
	python3 python3-pyelftools libdpdk-dev dpdk dpdk-dev libnuma-dev
	dpkg-dev procps
)

say() {
	printf 'setup: %s\n' "$*"
}

die() {
	# of the script that was called: demo.sh and test.sh use this file
	printf '%s: error: %s\n' "${0##*/}" "$*" >&2
	exit 1
}

installed() {
	local state
	state=$(dpkg-query -W -f '${db:Status-Status}' "$1" 2>/dev/null) || return 1
	[[ $state == installed ]]
}

missing_packages() {
	local p
	for p in "${setup_package_list[@]}"; do
		installed "$p" || printf '%s\n' "$p"
	done
}

setup_packages() {
	local missing
	mapfile -t missing < <(missing_packages)
	if ((${#missing[@]} == 0)); then
		say "packages: all there"
		return
	fi
	say "packages: installing ${missing[*]}"
	((EUID == 0)) ||
		die "not root; as root: apt-get install ${missing[*]}"
	command -v apt-get >/dev/null ||
		die "no apt-get here; install what is named above by other means"
	export DEBIAN_FRONTEND=noninteractive
	apt-get update -q ||
		die "apt-get update failed; see above"
	apt-get install -q -y --no-install-recommends "${missing[@]}" ||
		die "apt-get install failed; see above"
}

# What devtools/vm runs. Without it the tests in a virtual machine are skipped.
setup_vm() {
	local missing=()
	command -v qemu-system-x86_64 >/dev/null || missing+=(qemu-system-x86)
	command -v busybox >/dev/null || missing+=(busybox-static)
	((${#missing[@]} > 0)) || return 0
	say "packages: installing ${missing[*]}"
	if ! { ((EUID == 0)) && command -v apt-get >/dev/null && apt-get update -q &&
		DEBIAN_FRONTEND=noninteractive apt-get install -q -y \
			--no-install-recommends "${missing[@]}"; }; then
		say "packages: ${missing[*]} could not be installed, as root, with apt-get"
		return 1
	fi
}

# Driver headers beside DPDK's own, as an upstream build installs them.
sdk_beside_dpdk() {
	local flags
	flags=$(pkg-config --cflags libdpdk)
	# shellcheck disable=SC2086 # a list of options
	"${CC:-cc}" $flags -DALLOW_INTERNAL_API -E -x c -o /dev/null - \
		2>/dev/null <<<'#include <bus_vdev_driver.h>'
}

# The system's package sources, asking for source packages, into folder $1.
private_sources() {
	local dir=$1 f n=0
	mkdir -p "$dir"
	for f in /etc/apt/sources.list /etc/apt/sources.list.d/*.list; do
		[[ -f $f ]] || continue
		n=$((n + 1))
		sed -n 's/^[[:space:]]*deb\(-src\)\?[[:space:]]/deb-src /p' "$f" |
			sort -u >"$dir/from$n.list"
	done
	for f in /etc/apt/sources.list.d/*.sources; do
		[[ -f $f ]] || continue
		n=$((n + 1))
		sed 's/^Types:.*/Types: deb-src/' "$f" >"$dir/from$n.sources"
	done
}

# apt-get with lists, cache and sources below folder $1.
private_apt() {
	local dir=$1
	shift
	apt-get -q -o Dir::Etc::sourcelist=/dev/null -o Dir::Etc::sourceparts="$dir/sources" \
		-o Dir::State::lists="$dir/lists" -o Dir::Cache="$dir/cache" \
		-o APT::Sandbox::User= "$@"
}

# Unpack the source package of libdpdk-dev, version $2, below folder $1.
fetch_dpdk_source() {
	local dir=$1 version=$2
	private_sources "$dir/sources"
	mkdir -p "$dir/lists/partial" "$dir/cache/archives/partial" "$dir/get"
	say "driver headers: reading the lists of source packages"
	# one source among several may fail; what counts is whether dpdk is found
	private_apt "$dir" update >"$dir/log" 2>&1 ||
		say "driver headers: some lists could not be read"
	say "driver headers: getting the source package dpdk $version"
	if ! (cd "$dir/get" &&
		private_apt "$dir" source --download-only "dpdk=$version" >>"$dir/log" 2>&1); then
		tail -n 5 "$dir/log" >&2
		die "the archive has no source package dpdk $version, the version that is" \
			"installed (older point releases go when a new one comes)." \
			"Upgrade libdpdk-dev and run this again, or get DPDK's source of" \
			"that version elsewhere: buildtools/sdk_headers.py SOURCE DIR" \
			"makes the DIR for meson's -Ddriver_headers=DIR"
	fi
	# apt has checked the files against the archive's signature
	if ! dpkg-source --no-check -x "$dir"/get/dpdk_*.dsc "$dir/src" >>"$dir/log" 2>&1; then
		tail -n 5 "$dir/log" >&2
		die "the source package could not be unpacked"
	fi
}

# Driver headers of package version $2 from the archive into folder $1; a
# subshell, so that its trap is its own.
sdk_from_archive() (
	sdk=$1 version=$2
	tmp=$(mktemp -d)
	trap 'rm -rf "$tmp"' EXIT
	fetch_dpdk_source "$tmp" "$version"
	python3 "$setup_top/buildtools/sdk_headers.py" "$tmp/src" "$tmp/headers"
	# complete or not at all: that it is there is what the build looks at
	mkdir -p "${sdk%/*}"
	cp -r "$tmp/headers" "$sdk.new"
	mv -T "$sdk.new" "$sdk"
)

# Driver headers of DPDK $2 into folder $1: another build's, or the archive's.
obtain_sdk() {
	local sdk=$1 version=$2 package other
	for other in "$setup_top"/build*/dpdk-sdk/"$version"; do
		[[ -f $other/bus_vdev_driver.h ]] || continue
		say "driver headers: taking those in ${other%/dpdk-sdk/*}"
		mkdir -p "${sdk%/*}"
		cp -r "$other" "$sdk"
		return
	done
	package=$(dpkg-query -W -f '${source:Version}' libdpdk-dev 2>/dev/null) || package=
	[[ ${package#*:} == "$version"[-+~]* ]] ||
		die "DPDK $version is not a package of this distribution; build it with" \
			"-Denable_driver_sdk=true or use -Ddriver_headers=DIR"
	sdk_from_archive "$sdk" "$package"
}

setup_sdk() {
	local build=$1 version sdk
	version=$(pkg-config --modversion libdpdk) ||
		die "pkg-config does not find libdpdk"
	sdk=$build/dpdk-sdk/$version
	if sdk_beside_dpdk; then
		say "driver headers: beside DPDK $version's own"
	elif [[ -f $sdk/bus_vdev_driver.h ]]; then
		say "driver headers: in $sdk"
	else
		rm -rf "$sdk" "$sdk.new"
		obtain_sdk "$sdk" "$version"
		say "driver headers: $(find "$sdk" -name '*.h' | wc -l) in $sdk"
	fi
}

# Huge pages. What is added is remembered as a number of pages, not as the
# total before, so that two scripts that overlap give back what is theirs.
setup_pool=/sys/kernel/mm/hugepages/hugepages-2048kB
hugepages_added=0

# Have $1 MB of huge pages free, reserving more if need be; says so.
setup_hugepages() {
	local want=$((($1 + 1) / 2)) free total available
	[[ -r $setup_pool/free_hugepages ]] || {
		say "huge pages: this kernel has none of 2 MB"
		return 1
	}
	free=$(<$setup_pool/free_hugepages)
	if ((free >= want)); then
		say "huge pages: $((free * 2)) MB free, $1 MB wanted"
		return
	fi
	total=$(<$setup_pool/nr_hugepages)
	say "huge pages: reserving $(((want - free) * 2)) MB more ($((free * 2)) MB free, $1 MB wanted)"
	available=$(awk '/^MemAvailable:/ { print int($2 / 1024) }' /proc/meminfo)
	if (((want - free) * 2 > available)); then
		say "huge pages: no room for them, $available MB of memory available"
		return 1
	fi
	if ! { echo $((total + want - free)) >$setup_pool/nr_hugepages; } 2>/dev/null; then
		say "huge pages: $setup_pool cannot be written; are you root, outside a container?"
		return 1
	fi
	hugepages_added=$((hugepages_added + $(<$setup_pool/nr_hugepages) - total))
	free=$(<$setup_pool/free_hugepages)
	((free < want)) || return 0
	say "huge pages: only $((free * 2)) MB to be had, $1 MB wanted; too little or too scattered memory"
	restore_hugepages
	return 1
}

# Give back what setup_hugepages added. For a trap: it never fails.
restore_hugepages() {
	local total
	((hugepages_added > 0)) || return 0
	total=$(<$setup_pool/nr_hugepages)
	say "huge pages: giving back $((hugepages_added * 2)) MB"
	echo $((total > hugepages_added ? total - hugepages_added : 0)) \
		>$setup_pool/nr_hugepages || true
	hugepages_added=0
}

setup_main() {
	case ${1:-} in
	--hugepages)
		[[ ${2:-} =~ ^[0-9]+$ ]] || die "--hugepages wants a number of MB"
		setup_hugepages "$2"
		;;
	--vm)
		setup_vm
		;;
	-h | --help)
		sed -n '4,/^$/s/^# \?//p' "${BASH_SOURCE[0]}"
		;;
	-*)
		die "unknown option $1; --help tells what there is"
		;;
	*)
		setup_packages
		setup_sdk "${1:-$setup_top/build}"
		;;
	esac
}

if [[ ${BASH_SOURCE[0]} == "$0" ]]; then
	setup_main "$@"
fi
