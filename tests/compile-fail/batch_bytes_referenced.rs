// SPDX-License-Identifier: GPL-2.0

// error: E0599
// message: no method named `bytes` found

//! User space may write to the pages of a batch: no reference to the bytes.

use swapvma_driver::Batch;

/// Reads bytes that may change meanwhile.
pub fn first(batch: &Batch) -> u8 {
    batch.bytes(0)[0]
}
