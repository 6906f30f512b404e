// SPDX-License-Identifier: GPL-2.0

// error: E0277
// message: `*mut u8` cannot be sent between threads safely

//! A handle is dropped by another task than the one that made it.

use kernel::prelude::*;
use swapvma_driver::{
    prelude::*,
    Borrowed, //
};

/// A driver whose handle has a pointer of one task.
pub struct Driven;

impl Driver for Driven {
    const NAME: &'static CStr = c"driven";
    type Handle = KBox<*mut u8>;

    fn attach(_args: &Attach<'_>) -> Result<Self::Handle> {
        Err(EINVAL)
    }

    fn swapout(_handle: Borrowed<'_, Self>, _batch: Batch) {}

    fn swapin(_handle: Borrowed<'_, Self>, _read: Read) {}

    fn discard(_handle: Borrowed<'_, Self>, _slot: Slot) {}
}
