// SPDX-License-Identifier: GPL-2.0

// error: E0308
// message: expected an array with a size of 4096, found one with a size of 512

//! The copy of a page is a page.

use kernel::prelude::*;
use swapvma_driver::Batch;

/// Copies to a buffer that is too small.
pub fn copy(batch: &Batch) -> Result<[u8; 512]> {
    let mut sector = [0u8; 512];
    batch.copy_page(0, &mut sector)?;
    Ok(sector)
}
