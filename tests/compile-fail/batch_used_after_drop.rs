// SPDX-License-Identifier: GPL-2.0

// error: E0382
// message: borrow of moved value: `batch`

//! A batch is complete once it was dropped.

use swapvma_driver::Batch;

/// Asks a batch that the swapper may be using again.
pub fn swapout(batch: Batch) -> usize {
    drop(batch);
    batch.len()
}
