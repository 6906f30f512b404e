// SPDX-License-Identifier: GPL-2.0

// error: E0382
// message: use of moved value: `batch`

//! A batch has one owner, so that it is completed once.

use kernel::prelude::*;
use swapvma_driver::Batch;

/// Hands the same batch to two workers.
pub fn swapout(queue: &mut KVec<Batch>, batch: Batch) -> Result {
    queue.push(batch, GFP_KERNEL)?;
    queue.push(batch, GFP_KERNEL)?;
    Ok(())
}
