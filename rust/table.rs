// SPDX-License-Identifier: GPL-2.0

//! Table: a region's page table, a 512-way radix of entries whose levels are
//! filled lazily.
//!
//! Like the block map of ext2, a table has a leaf of its own for the first 512
//! pages and one tree each of depth two, three and four for what follows, so
//! that a small region costs one page and no index ever moves when a region
//! grows. A level is published with one cmpxchg; finding it already there is
//! success, never an error: the lazy page directories of 2001 got that wrong.
//! Readers take no lock. Levels live as long as the table.
//!
//! This file is pure logic: the same source runs on the host.

use crate::{
    atomic::{
        Blank,
        LazyArray,
        Word, //
    },
    entry::Entry,
    error::{
        code,
        Result, //
    },
};

/// Entries of a leaf, and children of an inner level.
pub(crate) const FANOUT: usize = 512;

type Leaf = LazyArray<Entry, FANOUT>;
type Double = LazyArray<Leaf, FANOUT>;
type Triple = LazyArray<Double, FANOUT>;
type Quad = LazyArray<Triple, FANOUT>;

/// Pages that a table can address.
pub(crate) const MAX_PAGES: u64 = Leaf::PAGES + Double::PAGES + Triple::PAGES + Quad::PAGES;

/// A tree of levels, down to the single entry.
trait Tree {
    /// Pages that the tree addresses.
    const PAGES: u64;

    /// Returns the entry of page `at`, if the levels above it are there.
    fn find(&self, at: u64) -> Option<&Entry>;

    /// Returns the entry of page `at`, filling in missing levels and counting
    /// them in `levels`.
    fn fill(&self, at: u64, levels: &Word) -> Result<&Entry>;

    /// Returns the first page at or after `at` whose leaf is there.
    fn next(&self, at: u64) -> Option<u64>;
}

impl Tree for Entry {
    const PAGES: u64 = 1;

    #[inline]
    fn find(&self, _at: u64) -> Option<&Entry> {
        Some(self)
    }

    #[inline]
    fn fill(&self, _at: u64, _levels: &Word) -> Result<&Entry> {
        Ok(self)
    }

    #[inline]
    fn next(&self, _at: u64) -> Option<u64> {
        Some(0)
    }
}

impl<T: Tree + Blank> Tree for LazyArray<T, FANOUT> {
    const PAGES: u64 = FANOUT as u64 * T::PAGES;

    #[inline]
    fn find(&self, at: u64) -> Option<&Entry> {
        self.get()?
            .get((at / T::PAGES) as usize)?
            .find(at % T::PAGES)
    }

    #[inline]
    fn fill(&self, at: u64, levels: &Word) -> Result<&Entry> {
        let children = match self.get() {
            Some(children) => children,
            None => self.get_or_fill(|| {
                levels.add(1);
            })?,
        };
        children
            .get((at / T::PAGES) as usize)
            .ok_or(code::EFBIG)?
            .fill(at % T::PAGES, levels)
    }

    fn next(&self, at: u64) -> Option<u64> {
        let first = (at / T::PAGES) as usize;
        for (i, child) in self.get()?.iter().enumerate().skip(first) {
            let within = if i == first { at % T::PAGES } else { 0 };
            if let Some(found) = child.next(within) {
                return Some(i as u64 * T::PAGES + found);
            }
        }
        None
    }
}

/// The page table of a region.
pub(crate) struct Table {
    single: Leaf,
    double: Double,
    triple: Triple,
    quad: Quad,
    levels: Word,
}

impl Table {
    /// An empty table: no level is there.
    pub(crate) fn new() -> Self {
        Self {
            single: LazyArray::blank(),
            double: LazyArray::blank(),
            triple: LazyArray::blank(),
            quad: LazyArray::blank(),
            levels: Word::new(0),
        }
    }

    /// Returns the entry of page `index`, or `None` if its leaf was never
    /// filled: the page is empty. Any context.
    #[inline]
    pub(crate) fn find(&self, index: u64) -> Option<&Entry> {
        if index < Leaf::PAGES {
            return self.single.find(index);
        }
        let index = index - Leaf::PAGES;
        if index < Double::PAGES {
            return self.double.find(index);
        }
        let index = index - Double::PAGES;
        if index < Triple::PAGES {
            return self.triple.find(index);
        }
        self.quad.find(index - Triple::PAGES)
    }

    /// Returns the entry of page `index`, filling in missing levels. May sleep
    /// and allocate: the caller holds no lock that reclaim can reach.
    ///
    /// # Errors
    ///
    /// `ENOMEM`; `EFBIG` from [`MAX_PAGES`] on.
    #[inline]
    pub(crate) fn fill(&self, index: u64) -> Result<&Entry> {
        if index < Leaf::PAGES {
            return self.single.fill(index, &self.levels);
        }
        let index = index - Leaf::PAGES;
        if index < Double::PAGES {
            return self.double.fill(index, &self.levels);
        }
        let index = index - Double::PAGES;
        if index < Triple::PAGES {
            return self.triple.fill(index, &self.levels);
        }
        let index = index - Triple::PAGES;
        if index >= Quad::PAGES {
            return Err(code::EFBIG);
        }
        self.quad.fill(index, &self.levels)
    }

    /// Returns the first page at or after `index` whose leaf is there, so that
    /// a walk skips what was never touched. Any context.
    pub(crate) fn next(&self, index: u64) -> Option<u64> {
        fn after<T: Tree>(tree: &T, base: u64, index: u64) -> Option<u64> {
            let at = index.saturating_sub(base);
            if at >= T::PAGES {
                return None;
            }
            Some(base + tree.next(at)?)
        }

        let double = Leaf::PAGES;
        let triple = double + Double::PAGES;
        let quad = triple + Triple::PAGES;
        after(&self.single, 0, index)
            .or_else(|| after(&self.double, double, index))
            .or_else(|| after(&self.triple, triple, index))
            .or_else(|| after(&self.quad, quad, index))
    }

    /// Counts the levels that are there, each of one page. Any context.
    pub(crate) fn levels(&self) -> u64 {
        self.levels.load()
    }
}
