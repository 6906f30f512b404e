// SPDX-License-Identifier: GPL-2.0

//! Slots of the `ram` driver.

use super::holds;
use crate::slot::{
    decode,
    encode,
    LEN_MAX,
    OFFSET_END,
    SLOT_BITS, //
};
use proptest::prelude::*;

fn any_offset() -> impl Strategy<Value = u64> {
    prop_oneof![
        (0..OFFSET_END / 8).prop_map(|offset| offset * 8),
        0..OFFSET_END + 64,
        any::<u64>(),
        Just(OFFSET_END - 8),
        Just(u64::MAX - 7),
    ]
}

fn any_len() -> impl Strategy<Value = usize> {
    prop_oneof![0..LEN_MAX + 2, Just(LEN_MAX), Just(usize::MAX)]
}

#[test]
fn an_object_comes_back_or_has_no_slot() {
    holds((any_offset(), any_len()), |(offset, len)| {
        let fits = offset % 8 == 0 && offset < OFFSET_END && (1..=LEN_MAX).contains(&len);
        let expected = fits.then_some((offset, len));
        prop_assert_eq!(encode(offset, len).map(decode), expected);
        Ok(())
    });
}

#[test]
fn every_slot_stands_for_an_object() {
    holds(0u64..1 << SLOT_BITS, |slot| {
        let (offset, len) = decode(slot);
        prop_assert_eq!(encode(offset, len), Some(slot));
        Ok(())
    });
}

#[test]
fn every_length_has_its_slot() {
    for len in 1..=LEN_MAX {
        for offset in [0, 8, OFFSET_END - 8] {
            assert_eq!(encode(offset, len).map(decode), Some((offset, len)));
        }
    }
    assert_eq!(encode(0, 0), None);
    assert_eq!(encode(0, LEN_MAX + 1), None);
}
