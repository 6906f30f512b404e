# SPDX-License-Identifier: GPL-2.0
#
# Included by the Kbuild file of a module that uses swapvma, a driver for
# instance, from where "make headers_install" put it:
#
#	include $(SWAPVMA)/swapvma.mk
#	obj-m += my_driver.o
#
# It gives C files <swapvma/driver.h> and <swapvma/region.h>, gives Rust files
# the crate swapvma_driver, and tells modpost of the symbols of swapvma.ko. A
# module with Kbuild files in several directories includes it in each of them
# that has objects, and in the topmost.

swapvma-dir := $(patsubst %/,%,$(dir $(abspath $(lastword $(MAKEFILE_LIST)))))
ifeq ($(SWAPVMA_IN_TREE),)
swapvma-include := $(swapvma-dir)/include
swapvma-crate := $(swapvma-dir)/rust
swapvma-bindings := $(swapvma-crate)/bindings_generated.rs
swapvma-symvers := $(swapvma-dir)/Module.symvers
KBUILD_EXTRA_SYMBOLS += $(swapvma-symvers)
else
# The samples, built along with swapvma.ko; see its topmost Kbuild file.
swapvma-include := $(SWAPVMA_IN_TREE)/include
swapvma-crate := $(swapvma-dir)
swapvma-bindings := $(SWAPVMA_IN_TREE_OBJ)/rust/api/bindings_generated.rs
swapvma-symvers :=
endif

ccflags-y += -I$(swapvma-include)

# Crates that lie beside the Kbuild file.
swapvma-roots := $(notdir $(wildcard $(src)/*.rs))

# Kbuild also reads this file to clean up and for modpost; only Makefile.build
# knows of libraries.
ifeq ($(origin lib-m),file)
swapvma-missing := $(filter-out $(wildcard $(swapvma-symvers)),$(swapvma-symvers))
ifneq ($(swapvma-missing),)
$(error $(swapvma-missing) is missing: run "make headers_install INSTALL_HDR_PATH=$(swapvma-dir)" in swapvma)
endif
ifneq ($(swapvma-roots),)
ifneq ($(CONFIG_RUST),y)
$(error $(swapvma-roots): the kernel has no CONFIG_RUST)
endif
endif
endif

ifneq ($(swapvma-roots),)
# Nothing is linked with the crate: the code of its functions is generated in
# the module that uses them, from the metadata.
swapvma-rmeta := $(obj)/libswapvma_driver.rmeta
rustflags-y += --extern=swapvma_driver=$(swapvma-rmeta)
RUSTFLAGS_REMOVE_libswapvma_driver.o := --extern=swapvma_driver=$(swapvma-rmeta)

quiet_cmd_swapvma_rmeta = $(RUSTC_OR_CLIPPY_QUIET) [M] $@
      cmd_swapvma_rmeta = SWAPVMA_BINDINGS=$(swapvma-bindings) $(rust_common_cmd) \
		--crate-name swapvma_driver -Zalways-encode-mir --emit=metadata=$@ $<

targets += libswapvma_driver.rmeta
$(swapvma-rmeta): private part-of-module := y
$(swapvma-rmeta): $(swapvma-crate)/lib.rs $(swapvma-bindings) FORCE
	+$(call if_changed_dep,swapvma_rmeta)

$(patsubst %.rs,$(obj)/%.o,$(swapvma-roots)): $(swapvma-rmeta)
endif
