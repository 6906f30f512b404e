// SPDX-License-Identifier: GPL-2.0

// error: E0382
// message: use of moved value: `read`

//! A read is completed once.

use kernel::prelude::*;
use swapvma_driver::Read;

/// Completes a read that is complete.
pub fn swapin(read: Read) {
    read.complete(Ok(()));
    read.complete(Err(EIO));
}
