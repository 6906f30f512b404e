// SPDX-License-Identifier: GPL-2.0

// error: E0505
// message: cannot move out of `page` because it is borrowed

//! The bytes of a page live as long as the page.

use swapvma_driver::Page;

/// Reads a page that was freed.
pub fn first(page: Page) -> u8 {
    let bytes = page.bytes();
    drop(page);
    bytes[0]
}
