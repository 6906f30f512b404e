// SPDX-License-Identifier: GPL-2.0

// error: E0423
// message: cannot initialize a tuple struct which contains private fields

//! Reads come from swapvma.

use core::ptr::NonNull;
use swapvma_driver::Read;

/// Makes a read of nothing.
pub fn make() -> Read {
    Read(NonNull::dangling())
}
