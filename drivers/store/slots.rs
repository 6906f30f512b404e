// SPDX-License-Identifier: GPL-2.0

//! Which slots of a store are in use: a bitmap without locks.
//!
//! The pages of one batch get slots side by side, from a cursor that goes round,
//! so that they are one write to the device. A slot is given back in any
//! context, hard interrupts included. 64 slots, one word of the map, are a
//! *cluster*; when its last slot is given back, the caller may take the cluster
//! for itself for as long as it tells the device that nobody needs it.
//!
//! This file is pure logic: the same source runs on the host.

use super::atomic::Word;
use core::ops::{
    Deref,
    Range, //
};

/// Slots of a cluster.
pub(crate) const CLUSTER: u64 = 64;

/// The map. `S` holds the words: a vector, on the host as in the kernel.
///
/// # Invariants
///
/// Bits past the last slot are set, so that nobody takes them.
pub(crate) struct Slots<S> {
    words: S,
    len: u64,
    /// Where the next search begins.
    cursor: Word,
    /// Slots in use; those of a cluster that is being discarded are not.
    used: Word,
}

/// Returns how many words `len` slots need; `None` if they are too many.
pub(crate) fn words(len: u64) -> Option<usize> {
    usize::try_from(len.div_ceil(CLUSTER)).ok()
}

/// Returns the initial value of word `i`: the bits past the last slot.
pub(crate) fn blank(i: usize, len: u64) -> u64 {
    let left = len.saturating_sub((i as u64).saturating_mul(CLUSTER));
    if left >= CLUSTER {
        0
    } else {
        u64::MAX << left
    }
}

impl<S: Deref<Target = [Word]>> Slots<S> {
    /// A map of `len` slots in words that are [`blank`].
    pub(crate) fn new(words: S, len: u64) -> Self {
        // INVARIANT: So are the bits of a blank word.
        Self {
            words,
            len,
            cursor: Word::new(0),
            used: Word::new(0),
        }
    }

    /// Returns how many slots are in use.
    pub(crate) fn used(&self) -> u64 {
        self.used.load()
    }

    /// Takes up to `max` free slots side by side, at most a cluster; `None` if
    /// there are none.
    pub(crate) fn take(&self, max: u64) -> Option<Range<u64>> {
        if max == 0 || self.used() >= self.len {
            return None;
        }
        let cursor = self.cursor.load();
        let first = usize::try_from(cursor / CLUSTER).ok()?;
        // The word of the cursor comes twice: from the cursor on, and whole.
        for round in 0..=self.words.len() {
            let i = (first + round) % self.words.len();
            let from = if round == 0 { cursor % CLUSTER } else { 0 };
            if let Some(run) = self.take_in(i, from, max) {
                self.cursor.store_release(run.end % self.len);
                return Some(run);
            }
        }
        None
    }

    /// Takes the first free slots of word `i` from bit `from` on.
    fn take_in(&self, i: usize, from: u64, max: u64) -> Option<Range<u64>> {
        let word = self.words.get(i)?;
        let mut old = word.load();
        loop {
            let free = !old & (u64::MAX << from);
            if free == 0 {
                return None;
            }
            let first = free.trailing_zeros();
            let run = u64::from((free >> first).trailing_ones()).min(max);
            let mask = (u64::MAX >> (CLUSTER - run)) << first;
            match word.cmpxchg(old, old | mask) {
                Ok(_) => {
                    self.used.add(run);
                    let start = i as u64 * CLUSTER + u64::from(first);
                    return Some(start..start + run);
                }
                Err(now) => old = now,
            }
        }
    }

    /// Gives a slot back. Any context. Returns whether it was in use: giving
    /// back twice is a bug of the caller and changes nothing.
    pub(crate) fn give(&self, slot: u64) -> bool {
        let Some((word, bit)) = self.find(slot) else {
            return false;
        };
        let mut old = word.load();
        while old & bit != 0 {
            match word.cmpxchg(old, old & !bit) {
                Ok(_) => {
                    self.used.sub(1);
                    return true;
                }
                Err(now) => old = now,
            }
        }
        false
    }

    /// Takes the whole cluster of `slot` if none of it is in use, and returns
    /// its slots. They are free again after [`Slots::release`].
    pub(crate) fn claim(&self, slot: u64) -> Option<Range<u64>> {
        let (word, _) = self.find(slot)?;
        let start = slot - slot % CLUSTER;
        let blank = blank(usize::try_from(slot / CLUSTER).ok()?, self.len);
        word.cmpxchg(blank, u64::MAX).ok()?;
        Some(start..self.len.min(start + CLUSTER))
    }

    /// Frees the cluster that [`Slots::claim`] took and that begins at `start`.
    /// Any context.
    pub(crate) fn release(&self, start: u64) {
        let Ok(i) = usize::try_from(start / CLUSTER) else {
            return;
        };
        if let Some(word) = self.words.get(i) {
            word.store_release(blank(i, self.len));
        }
    }

    /// Returns how many slots that follow `slot` are in use, at most `max`; does
    /// not look past the cluster.
    pub(crate) fn following(&self, slot: u64, max: u32) -> u32 {
        let Some((word, _)) = self.find(slot) else {
            return 0;
        };
        let after = word.load().checked_shr(slot as u32 % 64 + 1).unwrap_or(0);
        after.trailing_ones().min(max)
    }

    fn find(&self, slot: u64) -> Option<(&Word, u64)> {
        if slot >= self.len {
            return None;
        }
        let word = self.words.get(usize::try_from(slot / CLUSTER).ok()?)?;
        Some((word, 1 << (slot % CLUSTER)))
    }
}
