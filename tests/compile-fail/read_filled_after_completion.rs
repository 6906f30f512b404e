// SPDX-License-Identifier: GPL-2.0

// error: E0505
// message: cannot move out of `read` because it is borrowed

//! Once a read is complete, its page is user space's.

use kernel::prelude::*;
use swapvma_driver::Read;

/// Writes to a page that was given away.
pub fn swapin(mut read: Read) {
    let bytes = read.bytes();
    read.complete(Ok(()));
    bytes.fill(0);
}
