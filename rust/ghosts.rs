// SPDX-License-Identifier: GPL-2.0

//! Ghosts: when pages left memory, to tell how far a refault is.
//!
//! The distance of a refault is how many pages left between the page and its return:
//! so many more in memory, and it would have been there still. A table of one word
//! for each ghost, found by the page's index, in which later ones overwrite earlier
//! ones: what is overwritten is as if it had been longer ago than can be told.
//!
//! This file is pure logic: the same source runs on the host.

use crate::atomic::Word;

/// Bits of the time; the rest of a word says whose ghost it is.
const TIME_BITS: u32 = 32;
const TIME_MASK: u64 = (1 << TIME_BITS) - 1;

/// Distances are counted in powers of two.
pub(crate) const BUCKETS: usize = 24;

/// Returns the bucket of a distance: 0 for 0, then one more for each doubling.
pub(crate) fn bucket(distance: u64) -> usize {
    let bits = (u64::BITS - distance.leading_zeros()) as usize;
    bits.min(BUCKETS - 1)
}

/// Returns the smallest distance in a bucket.
pub(crate) fn least(bucket: usize) -> u64 {
    (1u64 << bucket) >> 1
}

/// Returns how many ghosts there should be for so many pages in memory: as many,
/// within 128 KiB.
pub(crate) fn table_size(resident: u64) -> usize {
    const MOST: u64 = 1 << 14;
    const LEAST: u64 = 1 << 9;
    resident.clamp(LEAST, MOST).next_power_of_two() as usize
}

fn place(table: &[Word], index: u64) -> Option<(&Word, u64)> {
    // Neighbours are spread, and the bits that choose the place are not in the name.
    let hash = index.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let at = (hash >> 40) as usize & table.len().checked_sub(1)?;
    // Not 0, which is no ghost.
    let name = (hash & TIME_MASK) | 1;
    Some((table.get(at)?, name << TIME_BITS))
}

/// Page `index` leaves as the one of number `time`. Any context.
pub(crate) fn remember(table: &[Word], index: u64, time: u64) {
    if let Some((word, name)) = place(table, index) {
        word.store_release(name | (time & TIME_MASK));
    }
}

/// Returns how many pages left since `index` did, of `time` in all; `None` if that is
/// not known any more. Any context.
pub(crate) fn distance(table: &[Word], index: u64, time: u64) -> Option<u64> {
    let (word, name) = place(table, index)?;
    let found = word.load();
    (found & !TIME_MASK == name).then(|| time.wrapping_sub(found) & TIME_MASK)
}
