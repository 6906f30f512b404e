// SPDX-License-Identifier: GPL-2.0

// error: E0521
// message: borrowed data escapes outside of function

//! The handle is dropped when the region is gone.

use swapvma_driver::Batch;

/// Would be a worker that runs later.
fn later(_store: &'static u64, batch: Batch) {
    drop(batch);
}

/// Lets somebody use the handle after the call.
pub fn swapout(store: &u64, batch: Batch) {
    later(store, batch);
}
