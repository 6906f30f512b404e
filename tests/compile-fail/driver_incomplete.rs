// SPDX-License-Identifier: GPL-2.0

// error: E0046
// message: missing: `discard`

//! Every mandatory callback is there.

use kernel::prelude::*;
use swapvma_driver::prelude::*;

/// A driver that never forgets.
pub struct Driven;

impl Driver for Driven {
    const NAME: &'static CStr = c"driven";
    type Handle = ();

    fn attach(_args: &Attach<'_>) -> Result<Self::Handle> {
        Err(EINVAL)
    }

    fn swapout(_handle: (), _batch: Batch) {}

    fn swapin(_handle: (), _read: Read) {}
}
