# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash disable=SC2034
# Sourced by the scripts here: paths, toolchain, messages, locks, progress.

set -euo pipefail

ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd -P)
SCRIPTS=$ROOT/scripts
BUILD=$ROOT/build
CACHE=${XDG_CACHE_HOME:-$HOME/.cache}/swapvma

# The kernel and the module must come from one rustc, and a rustup shim may
# stand earlier in the caller's PATH.
PATH=/usr/sbin:/usr/bin:/sbin:/bin:$PATH
export PATH ROOT CACHE BUILD
unset RUSTUP_TOOLCHAIN

LLVM_VERSION=19
BINDGEN_VERSION=0.72.1
VNG_VERSION=1.42
RUSTC=${RUSTC:-/usr/bin/rustc}
BINDGEN=${BINDGEN:-$CACHE/tools/bindgen/bin/bindgen}
VNG=$CACHE/tools/vng/bin/vng

say() { printf '%s\n' "$*" >&2; }

# die REASON [REMEDY]
die() {
	printf '%s: error: %s\n' "${0##*/}" "$1" >&2
	[ $# -lt 2 ] || printf '%s\n' "  $2" >&2
	exit 1
}

# A recursive make splits its file names at these characters.
case $ROOT$CACHE in
*[[:space:]:]*) die "white space or a colon in the path of the checkout or the cache" "$ROOT, $CACHE" ;;
esac

# with_lock NAME: held until this process ends.
with_lock() {
	mkdir -p "$CACHE/lock"
	exec {lock_fd}>"$CACHE/lock/$1"
	flock -n "$lock_fd" && return
	say "waiting for another make that holds $1"
	flock "$lock_fd"
}

# progress WHAT DONE TOTAL: one line that is rewritten on a terminal, and a
# line every 15 s elsewhere.
progress_last=-15
progress() {
	local percent=0
	[ "$3" -eq 0 ] || percent=$(($2 * 100 / $3))
	if [ -t 2 ]; then
		printf '\r%s: %d of %d (%d%%)\033[K' "$1" "$2" "$3" "$percent" >&2
	elif [ $((SECONDS - progress_last)) -ge 15 ]; then
		progress_last=$SECONDS
		say "$1: $2 of $3 ($percent%)"
	fi
}

progress_end() { [ ! -t 2 ] || printf '\r\033[K' >&2; }

# run_logged LOG COMMAND...: quiet unless it fails.
run_logged() {
	local log=$1
	shift
	mkdir -p "${log%/*}"
	if ! "$@" >"$log" 2>&1 </dev/null; then
		tail -n 20 "$log" >&2
		die "failed: ${*:1:4} ... (all of its output is in $log)"
	fi
}

# kernel_source: the directory of the first kernel of scripts/kernels that is
# unpacked; empty and false when there is none.
kernel_source() {
	local version package suite
	while read -r version package suite; do
		case $version in '#'* | '') continue ;; esac
		if [ -e "$CACHE/src/$package/Makefile" ]; then
			echo "$CACHE/src/$package"
			return
		fi
	done <"$SCRIPTS/kernels"
	return 1
}

# kernel_args KDIR: sets KARGS, the arguments that every make in a kernel tree
# gets. A tree built by gcc keeps its compiler; KDIR is empty for a new tree.
kernel_args() {
	local bin=${RUSTC%/*}
	KARGS=(RUSTC="$RUSTC" HOSTRUSTC="$RUSTC" RUSTDOC="$bin/rustdoc"
		RUSTFMT="$bin/rustfmt" CLIPPY_DRIVER="$bin/clippy-driver"
		BINDGEN="$BINDGEN")
	if [ -z "$1" ] || grep -qx 'CONFIG_CC_IS_CLANG=y' "$1/.config"; then
		KARGS+=(LLVM="${LLVM:--$LLVM_VERSION}")
	fi
}

# copy_module CHECKOUT DIR: the sources of the modules and the samples, for
# a build whose objects are not to mix with those of the checkout. What an earlier
# build in DIR left stays.
copy_module() {
	local pattern exclude=()
	for pattern in '*.o' '*.ko' '*.mod' '*.mod.c' '*.rmeta' '*_generated.*' '.*.cmd' \
		Module.symvers modules.order; do
		exclude+=(--exclude "$pattern")
	done
	mkdir -p "$2"
	(cd "$1" && rsync -a --delete "${exclude[@]}" Kbuild drivers rust samples include "$2/")
}

# kvm_works IMAGE: a /dev/kvm that opens may still abort or hang a guest (nested, without what
# the processor claims), so the verdict is a boot of IMAGE, once per boot of this machine.
kvm_works() {
	local image=$1 verdict
	verdict=$CACHE/kvm-$(</proc/sys/kernel/random/boot_id)
	if [ ! -e "$verdict" ]; then
		rm -f "$CACHE"/kvm-*
		if [ -r /dev/kvm ] && [ -w /dev/kvm ] && timeout -k 1 20 qemu-system-x86_64 \
			-accel kvm -cpu host -m 256 -nodefaults -nographic -no-reboot -serial stdio \
			-kernel "$image" -append "console=ttyS0 panic=-1" </dev/null 2>/dev/null |
			grep -ca "Unable to mount root fs" >/dev/null; then
			echo y >"$verdict"
		else
			echo n >"$verdict"
		fi
	fi
	[ "$(<"$verdict")" = y ]
}
