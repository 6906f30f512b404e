// SPDX-License-Identifier: GPL-2.0

//! Table: a region's page table, a 512-way radix of entries whose levels are
//! filled lazily.
//!
//! Like the block map of ext2, a table has a leaf of its own for the first 512
//! pages and one tree each of depth two, three and four for what follows, so
//! that a small region costs one page and no index ever moves when a region
//! grows. A level is published with one cmpxchg; finding it already there is
//! success, never an error: the lazy page directories of 2001 got that wrong.
//! Readers take no lock.
//!
//! A level that holds nothing is freed when its range is punched. Each entry in it
//! is first turned from empty to dead; whoever meets a dead one takes it for the
//! empty one that it was, or walks again to fill the level in anew. The memory goes
//! after a grace period, which a walk is too short to outlast: nobody has an entry
//! in hand across a sleep.
//!
//! This file is pure logic: the same source runs on the host.

use crate::{
    atomic::{
        seen,
        spin_wait,
        Blank,
        LazyArray,
        Mortal,
        Rare,
        ReadScope,
        Reading,
        Retired,
        Spare,
        SpinScope,
        Word,
        FANOUT, //
    },
    entry::{
        Entry,
        Locked,
        State, //
    },
    error::{
        code,
        Result, //
    },
    flaw::{
        self,
        Flaw, //
    },
};
use core::{
    ops::Range,
    slice, //
};

type Leaf = LazyArray<Entry, FANOUT>;
type Double = LazyArray<Leaf, FANOUT>;
type Triple = LazyArray<Double, FANOUT>;
type Quad = LazyArray<Triple, FANOUT>;

/// Pages that a table can address.
pub(crate) const MAX_PAGES: u64 = Leaf::PAGES + Double::PAGES + Triple::PAGES + Quad::PAGES;

/// A tree of levels, down to the single entry.
trait Tree: Sized + 'static {
    /// Pages that the tree addresses.
    const PAGES: u64;

    /// Returns the entry of page `at`, if the levels above it are there.
    fn find<'a>(&'a self, at: u64, reading: &'a Reading) -> Option<&'a Entry>;

    /// Returns the entries from page `at` of `trees` on, up to the end of a leaf.
    fn row<'a>(trees: &'a [Self], at: u64, reading: &'a Reading) -> Option<&'a [Entry]>;

    /// Fills in a missing level above page `at` from `spare` and counts it in
    /// `levels`. Returns whether none is missing.
    fn fill(&self, at: u64, spare: &mut Option<Spare>, levels: &Word, reading: &Reading) -> bool;

    /// Returns the first page at or after `at` whose leaf is there.
    fn next(&self, at: u64, reading: &Reading) -> Option<u64>;

    /// Takes away the lowest level above page `at`, if it is empty.
    fn retire_above(&self, at: u64, reading: &Reading) -> Option<Retired>;
}

impl Tree for Entry {
    const PAGES: u64 = 1;

    #[inline]
    fn find<'a>(&'a self, _at: u64, _reading: &'a Reading) -> Option<&'a Entry> {
        Some(self)
    }

    #[inline]
    fn row<'a>(trees: &'a [Self], at: u64, _reading: &'a Reading) -> Option<&'a [Entry]> {
        trees.get(at as usize..)
    }

    #[inline]
    fn fill(&self, _at: u64, _spare: &mut Option<Spare>, _levels: &Word, _: &Reading) -> bool {
        true
    }

    #[inline]
    fn next(&self, _at: u64, _reading: &Reading) -> Option<u64> {
        Some(0)
    }

    fn retire_above(&self, _at: u64, _reading: &Reading) -> Option<Retired> {
        None
    }
}

impl<T: Tree + Blank + Mortal> Tree for LazyArray<T, FANOUT> {
    const PAGES: u64 = FANOUT as u64 * T::PAGES;

    #[inline]
    fn find<'a>(&'a self, at: u64, reading: &'a Reading) -> Option<&'a Entry> {
        self.get(reading)?
            .get((at / T::PAGES) as usize)?
            .find(at % T::PAGES, reading)
    }

    #[inline]
    fn row<'a>(trees: &'a [Self], at: u64, reading: &'a Reading) -> Option<&'a [Entry]> {
        let tree = trees.get((at / Self::PAGES) as usize)?;
        T::row(tree.get(reading)?, at % Self::PAGES, reading)
    }

    fn fill(&self, at: u64, spare: &mut Option<Spare>, levels: &Word, reading: &Reading) -> bool {
        if self.get(reading).is_none() {
            let Some(level) = spare.take() else {
                return false;
            };
            *spare = self.publish(level);
            if spare.is_none() {
                levels.add(1);
            } else if flaw::is(Flaw::PresentIsError) {
                return false;
            }
        }
        self.get(reading)
            .and_then(|children| children.get((at / T::PAGES) as usize))
            .is_some_and(|child| child.fill(at % T::PAGES, spare, levels, reading))
    }

    fn next(&self, at: u64, reading: &Reading) -> Option<u64> {
        let first = (at / T::PAGES) as usize;
        for (i, child) in self.get(reading)?.iter().enumerate().skip(first) {
            let within = if i == first { at % T::PAGES } else { 0 };
            if let Some(found) = child.next(within, reading) {
                return Some(i as u64 * T::PAGES + found);
            }
        }
        None
    }

    fn retire_above(&self, at: u64, reading: &Reading) -> Option<Retired> {
        let child = self.get(reading)?.get((at / T::PAGES) as usize)?;
        child
            .retire_above(at % T::PAGES, reading)
            .or_else(|| self.retire())
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

/// Calls a method of the tree that page `index` is in, with the page's place in
/// it; past the last tree it is `otherwise`.
macro_rules! in_tree {
    ($table:ident, $index:expr, $otherwise:expr, |$tree:ident, $at:ident| $call:expr) => {{
        let mut $at = $index;
        if $at < Leaf::PAGES {
            let $tree = &$table.single;
            $call
        } else if {
            $at -= Leaf::PAGES;
            $at < Double::PAGES
        } {
            let $tree = &$table.double;
            $call
        } else if {
            $at -= Double::PAGES;
            $at < Triple::PAGES
        } {
            let $tree = &$table.triple;
            $call
        } else if {
            $at -= Triple::PAGES;
            $at < Quad::PAGES
        } {
            let $tree = &$table.quad;
            $call
        } else {
            $otherwise
        }
    }};
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

    #[inline]
    fn find<'a>(&'a self, index: u64, reading: &'a Reading) -> Option<&'a Entry> {
        in_tree!(self, index, None, |tree, at| tree.find(at, reading))
    }

    /// Returns the state of page `index`, which may be stale on return: empty if
    /// its leaf is not there. An address in it must not be followed. Any context.
    #[inline]
    pub(crate) fn peek(&self, index: u64) -> State {
        let reading = ReadScope::enter();
        match self.find(index, &reading).map(Entry::peek) {
            Some(State::Dead) => {
                seen(Rare::DeadEntry);
                State::Empty
            }
            found => found.unwrap_or(State::Empty),
        }
    }

    /// Takes the entry bit of page `index`; `None` if its leaf is not there: the
    /// page is empty. Spins, never sleeps; the holder does neither.
    #[inline]
    pub(crate) fn lock(&self, index: u64) -> Option<Locked<'_>> {
        let found = SpinScope::enter().guard(self, |table, reading| table.find(index, reading));
        Entry::lock(found?)
    }

    #[inline]
    fn row<'a>(&'a self, index: u64, reading: &'a Reading) -> Option<&'a [Entry]> {
        in_tree!(self, index, None, |tree, at| Tree::row(
            slice::from_ref(tree),
            at,
            reading
        ))
    }

    /// Calls `visit` with the entries whose leaf is there of page `first`, and of those
    /// after it, for each bit of `pages`.
    #[inline]
    fn each<'a>(
        &'a self,
        first: u64,
        mut pages: u64,
        reading: &'a Reading,
        mut visit: impl FnMut(u64, &'a Entry),
    ) {
        let (mut start, mut row): (u64, &[Entry]) = (first, &[]);
        while pages != 0 {
            let index = first + u64::from(pages.trailing_zeros());
            pages &= pages - 1;
            if index - start >= row.len() as u64 {
                start = index;
                row = self.row(index, reading).unwrap_or_default();
            }
            if let Some(entry) = row.get((index - start) as usize) {
                visit(index, entry);
            }
        }
    }

    /// Returns for which bits of `pages` page `first`, and those after it, are resident.
    /// As [`Table::peek`].
    pub(crate) fn resident(&self, first: u64, pages: u64) -> u64 {
        let reading = ReadScope::enter();
        let mut resident = 0;
        self.each(first, pages, &reading, |index, entry| {
            if matches!(entry.peek(), State::Resident(_)) {
                resident |= 1 << (index - first);
            }
        });
        resident
    }

    /// Calls `visit` with the entry bit of those pages that are resident: page
    /// `first`, and those after it, for each bit of `pages`. As [`Table::lock`];
    /// `visit` takes no lock but that of an LRU list.
    pub(crate) fn lock_resident(
        &self,
        first: u64,
        pages: u64,
        mut visit: impl FnMut(u64, &Locked<'_>),
    ) {
        let reading = ReadScope::enter();
        self.each(first, pages, &reading, |index, entry| {
            if !matches!(entry.peek(), State::Resident(_)) {
                return;
            }
            let guarded = SpinScope::enter().guard(entry, |entry, _| Some(entry));
            if let Some(entry) = guarded.and_then(Entry::lock) {
                visit(index, &entry);
            }
        });
    }

    /// As [`Table::lock`], but fills in the levels above the page. May sleep and
    /// allocate first.
    ///
    /// # Errors
    ///
    /// Those of [`Table::fill`].
    #[allow(dead_code, reason = "tests make pages in one step")]
    pub(crate) fn lock_filled(&self, index: u64) -> Result<Locked<'_>> {
        loop {
            if let Some(entry) = self.lock(index) {
                return Ok(entry);
            }
            self.fill(index)?;
            // Unless it was missing, it was dead: for a moment.
            spin_wait();
        }
    }

    /// Fills in the levels above page `index`. They may be gone again on return if
    /// nobody made the page anything but empty. May sleep and allocate: the caller
    /// holds no lock that reclaim can reach.
    ///
    /// # Errors
    ///
    /// `ENOMEM`; `EFBIG` from [`MAX_PAGES`] on.
    #[inline]
    pub(crate) fn fill(&self, index: u64) -> Result {
        self.fill_with(index, Spare::new)
    }

    /// As [`Table::fill`], with memory from `spare`, which decides what context
    /// the caller may be in.
    pub(crate) fn fill_with(&self, index: u64, mut new: impl FnMut() -> Result<Spare>) -> Result {
        if index >= MAX_PAGES {
            return Err(code::EFBIG);
        }
        let mut spare = None;
        loop {
            let filled = {
                let reading = ReadScope::enter();
                let (spare, levels) = (&mut spare, &self.levels);
                in_tree!(self, index, false, |tree, at| tree
                    .fill(at, spare, levels, &reading))
            };
            if filled {
                return Ok(());
            }
            if spare.is_some() {
                if flaw::is(Flaw::PresentIsError) {
                    return Err(code::ENOMEM);
                }
                // A level is about to go.
                seen(Rare::Going);
                spin_wait();
            } else {
                spare = Some(new()?);
            }
        }
    }

    /// Returns the first page at or after `index` whose leaf is there, so that
    /// a walk skips what was never touched. Any context.
    pub(crate) fn next(&self, index: u64) -> Option<u64> {
        fn after<T: Tree>(tree: &T, base: u64, index: u64, reading: &Reading) -> Option<u64> {
            let at = index.saturating_sub(base);
            if at >= T::PAGES {
                return None;
            }
            Some(base + tree.next(at, reading)?)
        }

        let reading = &*ReadScope::enter();
        let double = Leaf::PAGES;
        let triple = double + Double::PAGES;
        let quad = triple + Triple::PAGES;
        after(&self.single, 0, index, reading)
            .or_else(|| after(&self.double, double, index, reading))
            .or_else(|| after(&self.triple, triple, index, reading))
            .or_else(|| after(&self.quad, quad, index, reading))
    }

    /// Frees the levels above a range of pages that hold nothing any more. May
    /// sleep for a grace period.
    pub(crate) fn trim(&self, pages: Range<u64>) {
        let mut index = pages.start;
        while let Some(at) = self.next(index).filter(|&at| at < pages.end) {
            while let Some(level) = self.retire(at) {
                self.levels.sub(1);
                // Sleeps.
                drop(level);
            }
            index = (at | (FANOUT as u64 - 1)) + 1;
        }
    }

    fn retire(&self, index: u64) -> Option<Retired> {
        let reading = ReadScope::enter();
        in_tree!(self, index, None, |tree, at| tree
            .retire_above(at, &reading))
    }

    /// Counts the levels that are there, each of one page. Any context.
    pub(crate) fn levels(&self) -> u64 {
        self.levels.load()
    }
}
