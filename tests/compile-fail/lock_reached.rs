// SPDX-License-Identifier: GPL-2.0

// error: E0616
// message: field `0` of struct `Batch` is private

//! What is behind a batch, its locks included, is swapvma's.

use swapvma_driver::Batch;

/// Takes what a batch is made of.
pub fn swapout(batch: &Batch) {
    let _ = batch.0;
}
