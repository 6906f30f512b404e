// SPDX-License-Identifier: GPL-2.0

//! Fill: pages that repeat one word are stored as that word.
//!
//! This file is pure logic: the same source runs on the host.

/// Returns the 32-bit word that a page repeats, if it does.
///
/// Pages of zeroes and of memset() are by far the most frequent; a page that
/// repeats a wider word goes to the driver.
pub(crate) fn same_filled(words: &[u64]) -> Option<u32> {
    let (&first, rest) = words.split_first()?;
    let fill = first as u32;
    if first != u64::from(fill) << 32 | u64::from(fill) {
        return None;
    }
    // Most pages that differ do so at the end as well: look there first.
    if rest.last().is_some_and(|&last| last != first) {
        return None;
    }
    rest.iter().all(|&word| word == first).then_some(fill)
}
