// SPDX-License-Identifier: GPL-2.0

// error: E0308
// message: expected `&VmaNew`, found `&VmaRef`

//! A region is mapped from a device's mmap hook, and not over a mapping that is
//! in use.

use kernel::{
    mm::virt::VmaRef,
    prelude::*, //
};
use swapvma_driver::Region;

/// Turns any mapping into one of the region.
pub fn remap(region: &Region, vma: &VmaRef) -> Result {
    region.mmap(vma, 0)
}
