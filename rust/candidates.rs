// SPDX-License-Identifier: GPL-2.0

//! Candidates: the pages that a batch is made of, before any of them is locked.
//!
//! This file is pure logic: the same source runs on the host.

use crate::limit::BATCH_PAGES;

/// Pages to look at in one batch, by index.
pub(crate) struct Candidates {
    indexes: [u64; BATCH_PAGES],
    len: usize,
}

impl Candidates {
    /// None.
    #[inline]
    pub(crate) fn new() -> Self {
        Self {
            indexes: [0; BATCH_PAGES],
            len: 0,
        }
    }

    /// None any more.
    pub(crate) fn clear(&mut self) {
        self.len = 0;
    }

    /// Adds a page; `false` if there are enough already.
    pub(crate) fn push(&mut self, index: u64) -> bool {
        match self.indexes.get_mut(self.len) {
            Some(slot) => {
                *slot = index;
                self.len += 1;
                true
            }
            None => false,
        }
    }

    /// Adds page `first`, and those after it, for each bit of `pages`. Enough are enough.
    pub(crate) fn push_each(&mut self, first: u64, mut pages: u64) {
        while pages != 0 && self.push(first + u64::from(pages.trailing_zeros())) {
            pages &= pages - 1;
        }
    }

    /// Returns how many there are.
    pub(crate) fn len(&self) -> u64 {
        self.len as u64
    }

    /// Returns for how many more there is room.
    pub(crate) fn room(&self) -> u64 {
        (BATCH_PAGES - self.len) as u64
    }

    /// Returns the pages in order, so that runs of them are seen as such.
    pub(crate) fn sorted(&mut self) -> &[u64] {
        let indexes = self.indexes.get_mut(..self.len).unwrap_or_default();
        indexes.sort_unstable();
        indexes
    }
}

/// Calls `unmap` for each run of consecutive pages.
pub(crate) fn for_each_run(indexes: impl Iterator<Item = u64>, mut unmap: impl FnMut(u64, u64)) {
    let mut run: Option<(u64, u64)> = None;
    for index in indexes {
        run = match run {
            Some((first, count)) if first + count == index => Some((first, count + 1)),
            Some((first, count)) => {
                unmap(first, count);
                Some((index, 1))
            }
            None => Some((index, 1)),
        };
    }
    if let Some((first, count)) = run {
        unmap(first, count);
    }
}
