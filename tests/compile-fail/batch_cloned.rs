// SPDX-License-Identifier: GPL-2.0

// error: E0599
// message: no method named `clone` found for struct `Batch`

//! A batch cannot be cloned.

use swapvma_driver::Batch;

/// Makes two tokens of one.
pub fn swapout(batch: Batch) -> (Batch, Batch) {
    (batch.clone(), batch)
}
