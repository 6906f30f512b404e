// SPDX-License-Identifier: GPL-2.0

// error: E0505
// message: cannot move out of `region` because it is borrowed

//! Pinned pages are given back to their region.

use kernel::prelude::*;
use swapvma_driver::Region;

/// Uses a pin after its region.
pub fn pin(region: Region) -> Result<usize> {
    let pinned = region.pin(0, 1)?;
    drop(region);
    Ok(pinned.len())
}
