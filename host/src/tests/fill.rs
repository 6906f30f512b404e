// SPDX-License-Identifier: GPL-2.0

//! Words that an entry can hold, and the pages that repeat them.

use super::holds;
use crate::fill::{
    Fill,
    FILL_BITS, //
};
use proptest::{
    collection::vec,
    prelude::*, //
};

const PAGE_WORDS: usize = 512;

/// Whether a word is of a kind that an entry can hold: twice the same half, or
/// 57 bits with the sign, or with zeroes below.
fn fits(word: u64) -> bool {
    let halves = word as u32 == (word >> 32) as u32;
    let signed = (-(1i128 << 56)..1 << 56).contains(&i128::from(word as i64));
    let round = word % (1 << 7) == 0;
    halves || signed || round
}

fn any_word() -> impl Strategy<Value = u64> {
    let power = (0u32..64).prop_map(|bit| 1u64 << bit);
    prop_oneof![
        any::<u64>(),
        any::<u32>().prop_map(|half| u64::from(half) << 32 | u64::from(half)),
        (any::<u64>(), 0u32..64).prop_map(|(word, by)| word >> by),
        (any::<u64>(), 0u32..64).prop_map(|(word, by)| word << by),
        (any::<i64>(), 0u32..64).prop_map(|(word, by)| (word >> by) as u64),
        (power.clone(), -2i64..3).prop_map(|(word, by)| word.wrapping_add_signed(by)),
        power.prop_map(|word| word.wrapping_neg()),
    ]
}

#[test]
fn a_word_comes_back_or_does_not_fit() {
    holds(any_word(), |word| {
        prop_assert_eq!(Fill::new(word).map(Fill::word), fits(word).then_some(word));
        Ok(())
    });
}

#[test]
fn bits_stand_for_the_word_and_fit_an_entry() {
    holds(any_word(), |word| {
        let Some(fill) = Fill::new(word) else {
            return Ok(());
        };
        prop_assert_eq!(fill.bits() >> FILL_BITS, 0);
        prop_assert_eq!(Fill::from_bits(fill.bits()), fill);
        Ok(())
    });
}

#[test]
fn every_byte_of_memset_fits() {
    for byte in 0..=u8::MAX {
        let word = u64::from_ne_bytes([byte; 8]);
        assert_eq!(Fill::new(word).map(Fill::word), Some(word));
    }
}

#[test]
fn a_page_repeats_a_word_or_does_not() {
    let words = (any_word(), vec((0..PAGE_WORDS, any_word()), 0..3));
    holds(words, |(word, changes)| {
        let mut page = [word; PAGE_WORDS];
        for (at, other) in changes {
            page[at] = other;
        }
        let repeats = page.iter().all(|other| *other == page[0]);
        let expected = (repeats && fits(page[0])).then_some(page[0]);
        prop_assert_eq!(Fill::of_page(&page).map(Fill::word), expected);
        Ok(())
    });
}

#[test]
fn one_other_word_anywhere_is_seen() {
    for word in [0, u64::MAX, 0x0101_0101_0101_0101] {
        let mut page = [word; PAGE_WORDS];
        assert_eq!(Fill::of_page(&page).map(Fill::word), Some(word));
        for at in 0..PAGE_WORDS {
            page[at] ^= 1 << (at % 64);
            assert_eq!(Fill::of_page(&page), None);
            page[at] = word;
        }
    }
    assert_eq!(Fill::of_page(&[]), None);
    assert_eq!(Fill::of_page(&[7]).map(Fill::word), Some(7));
}
