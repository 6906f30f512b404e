// SPDX-License-Identifier: GPL-2.0

// error: E0133
// message: is unsafe and requires unsafe

//! User space may write to the pages of a batch: no reference to one.

use swapvma_driver::Batch;

/// Refers to a page that others use.
pub fn page(batch: &Batch) -> Option<&kernel::bindings::page> {
    batch.page(0).map(|page| page.as_ref())
}
