// SPDX-License-Identifier: GPL-2.0

// error: E0596
// message: cannot borrow `*read` as mutable

//! Only the owner of a read fills its page.

use swapvma_driver::Read;

/// Writes to the page of somebody else's read.
pub fn fill(read: &Read) {
    read.bytes().fill(0);
}
