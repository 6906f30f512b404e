// SPDX-License-Identifier: GPL-2.0

// error: E0603
// message: module `bindings` is private

//! The functions of the boundary are reached through the safe layer only.

use core::ptr::NonNull;

/// Completes what it does not have.
pub fn complete() {
    // SAFETY: It is not.
    unsafe { swapvma_driver::bindings::swapvma_batch_complete(NonNull::dangling().as_ptr()) };
}
