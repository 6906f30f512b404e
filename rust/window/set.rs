// SPDX-License-Identifier: GPL-2.0

//! Sets of windows: which are free, and which somebody holds.
//!
//! This file is pure logic: the same source runs on the host.

use crate::atomic::Word;

/// Windows, one bit each.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Set(u64);

impl Set {
    /// Windows that a set can hold.
    pub(crate) const CAPACITY: usize = u64::BITS as usize;

    /// The windows below `count`; all if `count` is larger than the capacity.
    pub(crate) const fn below(count: usize) -> Self {
        if count >= Self::CAPACITY {
            Self(u64::MAX)
        } else {
            Self((1 << count) - 1)
        }
    }

    /// Returns the number of windows.
    pub(crate) const fn len(self) -> usize {
        self.0.count_ones() as usize
    }

    /// Takes the lowest window out; `None` if the set is empty.
    pub(crate) fn pop(&mut self) -> Option<usize> {
        let index = self.0.trailing_zeros() as usize;
        // Clears the lowest bit that is set.
        self.0 &= self.0.checked_sub(1)?;
        Some(index)
    }

    /// The windows that are in this set and not in `other`.
    pub(crate) const fn without(self, other: Self) -> Self {
        Self(self.0 & !other.0)
    }

    /// Adds window `index`, if a set can hold it.
    pub(crate) fn insert(&mut self, index: usize) {
        if index < Self::CAPACITY {
            self.0 |= 1 << index;
        }
    }

    /// The lowest `count` windows of the set; `None` if it has fewer.
    fn lowest(self, count: usize) -> Option<Self> {
        let mut rest = self;
        for _ in 0..count {
            rest.pop()?;
        }
        Some(Self(self.0 ^ rest.0))
    }
}

/// The windows that are free.
pub(crate) struct Free(Word);

impl Free {
    /// All of `windows` are free.
    pub(crate) fn new(windows: Set) -> Self {
        Self(Word::new(windows.0))
    }

    /// Takes `count` free windows, the lowest ones, or none. Any context.
    pub(crate) fn take(&self, count: usize) -> Option<Set> {
        let mut free = self.0.load();
        loop {
            let taken = Set(free).lowest(count)?;
            match self.0.cmpxchg(free, free ^ taken.0) {
                Ok(_) => return Some(taken),
                Err(now) => free = now,
            }
        }
    }

    /// Gives back what [`Free::take`] returned. Any context.
    pub(crate) fn give(&self, windows: Set) {
        self.0.add(windows.0);
    }
}
