// SPDX-License-Identifier: GPL-2.0

//! Bitmap of the records in one page of the record pool.
//!
//! This file is pure logic: the same source runs on the host.

/// Bits of a bitmap.
pub(crate) const CAPACITY: usize = 84;

/// Which records of a page are in use.
pub(crate) struct Bitmap([u64; 2]);

const WORD: usize = u64::BITS as usize;

impl Bitmap {
    const FULL: [u64; 2] = [u64::MAX, (1 << (CAPACITY - WORD)) - 1];

    /// All free.
    pub(crate) const fn new() -> Self {
        Self([0; 2])
    }

    /// Takes the first free record; `None` if there is none.
    pub(crate) fn take(&mut self) -> Option<usize> {
        let mut words = self.0.iter_mut().zip(Self::FULL).enumerate();
        let (i, (word, _)) = words.find(|(_, (word, full))| **word != *full)?;
        let free = word.trailing_ones();
        *word |= 1 << free;
        Some(i * WORD + free as usize)
    }

    /// Gives record `i` back. Returns whether it was in use: giving back twice
    /// is a bug of the caller and changes nothing.
    #[must_use]
    pub(crate) fn give(&mut self, i: usize) -> bool {
        let Some(word) = self.0.get_mut(i / WORD) else {
            return false;
        };
        let bit = 1 << (i % WORD);
        let was_in_use = *word & bit != 0;
        *word &= !bit;
        was_in_use
    }

    /// Whether no record is in use.
    pub(crate) fn is_empty(&self) -> bool {
        self.0 == [0; 2]
    }

    /// Whether no record is free.
    pub(crate) fn is_full(&self) -> bool {
        self.0 == Self::FULL
    }
}
