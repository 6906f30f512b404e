# SPDX-License-Identifier: GPL-2.0
#
# The entry for users. Kbuild, which builds the module, reads ./Kbuild in
# preference to this file. Each target sets up what it needs and is missing:
# Debian packages, and in ~/.cache/swapvma the tools and the test kernel.

MAKEFLAGS += --no-print-directory
.DEFAULT_GOAL := help

# Variables of the command line reach the scripts through the environment:
# KDIR, RUSTC, BINDGEN, LLVM, V.
INSTALL_HDR_PATH ?= build/headers

## demo	see swapvma at work in a guest
demo:
	@demo/run

## test	all of the suite in a guest, lint and host tests beside it
test:
	@scripts/test

## test-all	test, then the long stages; goes on where it was interrupted
test-all:
	@scripts/test --all

## bench	measure against the peers in a guest
bench:
	@bench/run

## module	swapvma.ko, the drivers and the samples, against KDIR=... or the test kernel
module:
	+@scripts/build-module modules

## top	swapvma-top, which shows what regions do, in build/tools/release
top:
	@scripts/build-top

## headers_install	what drivers elsewhere are built with, in INSTALL_HDR_PATH
headers_install:
	+@scripts/install-headers "$(INSTALL_HDR_PATH)"

## lint	rustfmt, clippy, checkpatch, shellcheck
lint:
	@scripts/lint

## lockgraph	draw what lockdep saw of the locks, for Documentation/
lockgraph:
	@scripts/lockgraph

## doc	rustdoc of the module and of the crate for drivers, in build/doc
doc:
	@scripts/doc

## setup	what every target needs, without the kernels
setup:
	@scripts/setup

## kernel	the test kernel that is the default KDIR
kernel:
	@scripts/build-kernel debug

## clean	remove what was built here
clean:
	@scripts/clean

## clean-cache	remove the tools and kernels in ~/.cache/swapvma
clean-cache:
	@scripts/clean --cache

## help	this list
help:
	@echo "swapvma: memory that a driver maps and the kernel swaps out through it"
	@echo
	@sed -n 's/^## //p' $(firstword $(MAKEFILE_LIST)) | \
		while IFS='	' read -r name text; do printf '  make %-16s %s\n' "$$name" "$$text"; done
	@echo
	@echo "The first run sets up and builds a kernel; later ones start at once."
	@echo "scripts/vm --help tells how to run a command of your own in a guest."

.PHONY: demo test test-all bench module top headers_install lint lockgraph doc setup kernel clean clean-cache help
