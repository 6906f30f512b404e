// SPDX-License-Identifier: GPL-2.0

// error: E0277
// message: `Cell<u64>` cannot be shared between threads safely

//! Callbacks of one region run at the same time.

use core::cell::Cell;
use kernel::prelude::*;
use swapvma_driver::{
    prelude::*,
    Borrowed, //
};

/// A driver whose handle counts without a lock.
pub struct Driven;

impl Driver for Driven {
    const NAME: &'static CStr = c"driven";
    type Handle = KBox<Cell<u64>>;

    fn attach(_args: &Attach<'_>) -> Result<Self::Handle> {
        Err(EINVAL)
    }

    fn swapout(_handle: Borrowed<'_, Self>, _batch: Batch) {}

    fn swapin(_handle: Borrowed<'_, Self>, _read: Read) {}

    fn discard(_handle: Borrowed<'_, Self>, _slot: Slot) {}
}
