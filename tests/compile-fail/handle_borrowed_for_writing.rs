// SPDX-License-Identifier: GPL-2.0

// error: E0053
// message: method `swapout` has an incompatible type for trait

//! The handle is borrowed for reading: other callbacks run at the same time.

use kernel::prelude::*;
use swapvma_driver::prelude::*;

/// A driver that counts without a lock.
pub struct Driven;

impl Driver for Driven {
    const NAME: &'static CStr = c"driven";
    type Handle = KBox<u64>;

    fn attach(_args: &Attach<'_>) -> Result<Self::Handle> {
        Err(EINVAL)
    }

    fn swapout(count: &mut u64, _batch: Batch) {
        *count += 1;
    }

    fn swapin(_count: &u64, _read: Read) {}

    fn discard(_count: &u64, _slot: Slot) {}
}
