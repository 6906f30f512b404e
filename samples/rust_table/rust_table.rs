// SPDX-License-Identifier: GPL-2.0

//! A module that keeps a table of its own in a region, in Rust.
//!
//! The region is made when the module is loaded and dropped when it is unloaded.
//! Of 4 MiB, 256 KiB are in memory at most, and the first page always: it is pinned.
//!
//! ```text
//! # insmod swapvma.ko; insmod rust_table.ko
//! # grep -o 'size=4194304 limit=[0-9]* resident=[0-9]*' /sys/kernel/debug/swapvma/regions
//! size=4194304 limit=262144 resident=64
//! # rmmod rust_table; dmesg | tail -n 1
//! [   12.345678] rust_table: 1024 pages, 0 wrong
//! ```
//!
//! What to take from it: a region that lives as long as the module has no owner. One
//! that is made for an open file has; see `rust_buffer`.

use kernel::{
    page::PAGE_SIZE,
    prelude::*, //
};
use swapvma_driver::{
    Params,
    Pinned,
    Region, //
};

module! {
    type: Table,
    name: "rust_table",
    authors: ["The swapvma maintainers"],
    description: "A table in swappable memory",
    license: "GPL",
}

const PAGES: u64 = 1024;
const LIMIT: u64 = 64;

struct Table {
    /// The number of pages that were filled.
    first: Pinned,
    region: Region,
}

impl Table {
    /// Where a page has its number.
    fn offset(page: u64) -> usize {
        (page as usize * size_of::<u64>()) % PAGE_SIZE
    }

    fn fill(&mut self) -> Result {
        for page in 1..PAGES {
            let number = page.to_ne_bytes();
            self.region
                .pin(page, 1)?
                .copy_from(0, Self::offset(page), &number)?;
            self.first.copy_from(0, 0, &number)?;
        }
        Ok(())
    }

    fn read(&self, page: u64) -> Result<u64> {
        let mut number = [0; size_of::<u64>()];
        self.region
            .pin(page, 1)?
            .copy_to(0, Self::offset(page), &mut number)?;
        Ok(u64::from_ne_bytes(number))
    }
}

impl kernel::Module for Table {
    fn init(_module: &'static ThisModule) -> Result<Self> {
        let region = Region::new(
            None,
            &Params {
                limit: LIMIT * PAGE_SIZE as u64,
                ..Params::new(PAGES * PAGE_SIZE as u64)
            },
        )?;
        let first = region.pin(0, 1)?;
        let mut table = Self { first, region };
        table.fill()?;
        Ok(table)
    }
}

impl Drop for Table {
    fn drop(&mut self) {
        let mut filled = [0; size_of::<u64>()];
        let there = self.first.copy_to(0, 0, &mut filled).is_ok()
            && u64::from_ne_bytes(filled) == PAGES - 1;
        let wrong = (1..PAGES).filter(|&page| self.read(page) != Ok(page));
        let wrong = wrong.count() + usize::from(!there);
        pr_info!("{PAGES} pages, {wrong} wrong\n");
    }
}
