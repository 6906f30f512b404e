// SPDX-License-Identifier: GPL-2.0

//! Fill: pages that repeat one word are stored as that word, in their entry.
//!
//! An entry has room for 57 bits and a kind, which is enough for small and
//! negative numbers, addresses, floating-point numbers without a long tail and
//! whatever memset() makes. A page that repeats another word goes to the driver.
//!
//! This file is pure logic: the same source runs on the host.

/// Bits of a word that an entry can hold besides the kind.
const BITS: u32 = 57;

/// The word repeats its lower half.
const HALVES: u64 = 0 << BITS;
/// The word is the sign extension of what is stored.
const LOW: u64 = 1 << BITS;
/// The word is what is stored, above zeroes.
const HIGH: u64 = 2 << BITS;

/// Bits of an encoded fill.
pub(crate) const FILL_BITS: u32 = BITS + 2;

/// A word that a page repeats, as an entry holds it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Fill(u64);

impl Fill {
    /// Encodes a word, if it fits.
    pub(crate) fn new(word: u64) -> Option<Self> {
        const SPARE: u32 = u64::BITS - BITS;
        let low = (word << SPARE) >> SPARE;
        if word as u32 == (word >> 32) as u32 {
            Some(Self(HALVES | u64::from(word as u32)))
        } else if ((word << SPARE) as i64 >> SPARE) as u64 == word {
            Some(Self(LOW | low))
        } else if word.trailing_zeros() >= SPARE {
            Some(Self(HIGH | word >> SPARE))
        } else {
            None
        }
    }

    /// Returns the word.
    pub(crate) fn word(self) -> u64 {
        const SPARE: u32 = u64::BITS - BITS;
        match self.0 & !((1 << BITS) - 1) {
            LOW => ((self.0 << SPARE) as i64 >> SPARE) as u64,
            HIGH => self.0 << SPARE,
            _ => u64::from(self.0 as u32) << 32 | u64::from(self.0 as u32),
        }
    }

    /// Wraps [`FILL_BITS`] bits that [`Fill::bits`] returned.
    pub(crate) fn from_bits(bits: u64) -> Self {
        Self(bits)
    }

    /// Returns the encoded word.
    pub(crate) fn bits(self) -> u64 {
        self.0
    }

    /// Returns what a page repeats, if it does and an entry can hold it.
    pub(crate) fn of_page(words: &[u64]) -> Option<Self> {
        let (&first, rest) = words.split_first()?;
        // Most pages that differ do so at the end as well: look there first.
        if rest.last().is_some_and(|&last| last != first) {
            return None;
        }
        let fill = Self::new(first)?;
        repeats(words, first).then_some(fill)
    }
}

/// Whether all words are `word`: a row of them at a time, and with one operation for
/// each if they are to be zeroes, as most are.
fn repeats(words: &[u64], word: u64) -> bool {
    const ROW: usize = 32;
    let (rows, rest) = words.as_chunks::<ROW>();
    let is_same = |row: &[u64; ROW]| match word {
        0 => row.iter().fold(0, |any, &other| any | other) == 0,
        _ => row.iter().fold(0, |any, &other| any | (other ^ word)) == 0,
    };
    rows.iter().all(is_same) && rest.iter().all(|&other| other == word)
}
