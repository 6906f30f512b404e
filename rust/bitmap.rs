// SPDX-License-Identifier: GPL-2.0

//! Bitmap of the records in one page of the record pool.
//!
//! This file is pure logic: the same source runs on the host.

/// Bits of a bitmap.
pub(crate) const CAPACITY: usize = 84;

/// Which records of a page are in use.
pub(crate) struct Bitmap(u128);

impl Bitmap {
    const FULL: u128 = (1 << CAPACITY) - 1;

    /// All free.
    pub(crate) const fn new() -> Self {
        Self(0)
    }

    /// Takes the first free record; `None` if there is none.
    pub(crate) fn take(&mut self) -> Option<usize> {
        let free = (!self.0).trailing_zeros();
        if free as usize >= CAPACITY {
            return None;
        }
        self.0 |= 1 << free;
        Some(free as usize)
    }

    /// Gives record `i` back. Returns whether it was in use: giving back twice
    /// is a bug of the caller and changes nothing.
    #[must_use]
    pub(crate) fn give(&mut self, i: usize) -> bool {
        if i >= CAPACITY || self.0 & (1 << i) == 0 {
            return false;
        }
        self.0 &= !(1 << i);
        true
    }

    /// Whether no record is in use.
    pub(crate) fn is_empty(&self) -> bool {
        self.0 == 0
    }

    /// Whether no record is free.
    pub(crate) fn is_full(&self) -> bool {
        self.0 == Self::FULL
    }
}
