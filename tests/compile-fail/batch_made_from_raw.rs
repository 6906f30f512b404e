// SPDX-License-Identifier: GPL-2.0

// error: E0624
// message: associated function `from_raw` is private

//! Batches come from swapvma, also for those who write unsafe code.

use core::ptr::NonNull;
use swapvma_driver::Batch;

/// Makes a batch of nothing.
pub fn make() -> Batch {
    // SAFETY: It is not.
    unsafe { Batch::from_raw(NonNull::dangling()) }
}
