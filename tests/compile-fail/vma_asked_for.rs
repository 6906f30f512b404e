// SPDX-License-Identifier: GPL-2.0

// error: E0599
// message: no method named `vma` found for struct `Batch`

//! No callback gets a VMA.

use swapvma_driver::Batch;

/// Looks for the mapping.
pub fn swapout(batch: Batch) {
    let _ = batch.vma();
}
