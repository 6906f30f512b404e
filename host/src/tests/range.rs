// SPDX-License-Identifier: GPL-2.0

//! Ranges against arithmetic that cannot overflow.

use super::{
    counterexample,
    holds, //
};
use crate::{
    error::{
        code,
        Result, //
    },
    limit,
    range::{
        limit_pages,
        page_range,
        pages_of,
        region_pages,
        whole_pages,
        PAGE_BYTES, //
    },
    table::MAX_PAGES,
};
use proptest::prelude::*;
use std::ops::Range;

const PAGE: u128 = PAGE_BYTES as u128;

/// Any number of bytes, mostly close to where something changes.
fn any_bytes() -> impl Strategy<Value = u64> {
    let places = [
        0,
        PAGE_BYTES,
        2 * PAGE_BYTES,
        limit::BATCH_PAGES as u64 * PAGE_BYTES,
        MAX_PAGES * PAGE_BYTES,
        1 << 63,
        u64::MAX - 2 * PAGE_BYTES + 1,
        u64::MAX,
    ];
    let near = (
        proptest::sample::select(places.to_vec()),
        0u64..5000,
        any::<bool>(),
    )
        .prop_map(|(place, by, up)| {
            if up {
                place.saturating_add(by)
            } else {
                place.saturating_sub(by)
            }
        });
    let pages = (0..=u64::MAX / PAGE_BYTES).prop_map(|pages| pages * PAGE_BYTES);
    let few = (0u64..200).prop_map(|pages| pages * PAGE_BYTES);
    prop_oneof![
        4 => proptest::sample::select(places.to_vec()),
        4 => near,
        2 => pages,
        6 => few,
        1 => any::<u64>(),
    ]
}

fn aligned(bytes: u64) -> bool {
    bytes % PAGE_BYTES == 0
}

fn expected_range(offset: u64, length: u64, size: u64) -> Result<Range<u64>> {
    let end = u128::from(offset) + u128::from(length);
    let room = u128::from(size).div_ceil(PAGE) * PAGE;
    let wraps = end > u128::from(u64::MAX);
    if length == 0 || !aligned(offset) || !aligned(length) || wraps || end > room {
        return Err(code::EINVAL);
    }
    Ok(offset / PAGE_BYTES..(end / PAGE) as u64)
}

type PageRange = fn(u64, u64, u64) -> Result<Range<u64>>;

fn agrees(
    page_range: PageRange,
) -> impl Fn((u64, u64, u64)) -> std::result::Result<(), TestCaseError> {
    move |(offset, length, size)| {
        let expected = expected_range(offset, length, size);
        prop_assert_eq!(page_range(offset, length, size), expected);
        Ok(())
    }
}

#[test]
fn page_ranges_never_overflow() {
    let strategy = (any_bytes(), any_bytes(), any_bytes());
    holds(strategy, agrees(page_range));
}

#[test]
fn the_property_notices_an_end_that_wraps() {
    let wrapping: PageRange = |offset, length, size| {
        let end = offset.wrapping_add(length);
        let bad = length == 0 || !aligned(offset) || !aligned(length);
        if bad || end > pages_of(size).wrapping_mul(PAGE_BYTES) {
            return Err(code::EINVAL);
        }
        Ok(offset / PAGE_BYTES..end / PAGE_BYTES)
    };
    let strategy = (any_bytes(), any_bytes(), any_bytes());
    assert!(counterexample(strategy, agrees(wrapping)).is_some());
}

#[test]
fn pages_are_rounded_up() {
    holds(any_bytes(), |bytes| {
        let expected = u128::from(bytes).div_ceil(PAGE);
        prop_assert_eq!(u128::from(pages_of(bytes)), expected);
        Ok(())
    });
}

#[test]
fn region_sizes_fit_a_table() {
    holds(any_bytes(), |bytes| {
        let expected = match bytes {
            0 => Err(code::EINVAL),
            _ if !aligned(bytes) => Err(code::EINVAL),
            _ if bytes / PAGE_BYTES > MAX_PAGES => Err(code::EFBIG),
            _ => Ok(bytes / PAGE_BYTES),
        };
        prop_assert_eq!(region_pages(bytes), expected);
        Ok(())
    });
}

#[test]
fn limits_are_between_a_batch_and_the_size() {
    holds((any_bytes(), any_bytes()), |(bytes, size)| {
        let smallest = limit::BATCH_PAGES as u64 * PAGE_BYTES;
        let expected = if bytes == limit::NONE {
            Ok(limit::NONE)
        } else if aligned(bytes) && (smallest..=size).contains(&bytes) {
            Ok(bytes / PAGE_BYTES)
        } else {
            Err(code::EINVAL)
        };
        prop_assert_eq!(limit_pages(bytes, size), expected);
        Ok(())
    });
}

#[test]
fn each_bad_size_has_its_error() {
    assert_eq!(region_pages(0), Err(code::EINVAL));
    assert_eq!(region_pages(PAGE_BYTES - 1), Err(code::EINVAL));
    assert_eq!(region_pages(u64::MAX), Err(code::EINVAL));
    assert_eq!(region_pages((MAX_PAGES + 1) * PAGE_BYTES), Err(code::EFBIG));
    assert_eq!(region_pages(MAX_PAGES * PAGE_BYTES), Ok(MAX_PAGES));
    assert_eq!(region_pages(PAGE_BYTES), Ok(1));
}

#[test]
fn each_bad_range_has_its_error() {
    let size = 10 * PAGE_BYTES;
    let bad = [
        (0, 0),
        (1, PAGE_BYTES),
        (0, PAGE_BYTES + 1),
        (0, size + PAGE_BYTES),
        (size, PAGE_BYTES),
        (u64::MAX - PAGE_BYTES + 1, PAGE_BYTES),
        (u64::MAX - PAGE_BYTES + 1, 2 * PAGE_BYTES),
    ];
    for (offset, length) in bad {
        assert_eq!(page_range(offset, length, size), Err(code::EINVAL));
    }
    assert_eq!(page_range(0, size, size), Ok(0..10));
    assert_eq!(page_range(size - PAGE_BYTES, PAGE_BYTES, size), Ok(9..10));
    assert_eq!(
        page_range(0, size, size - 1),
        Ok(0..10),
        "the last page may be part of one"
    );
}

#[test]
fn the_largest_size_does_not_overflow() {
    let last = u64::MAX / PAGE_BYTES * PAGE_BYTES;
    assert_eq!(page_range(0, last, u64::MAX), Ok(0..u64::MAX / PAGE_BYTES));
    assert_eq!(page_range(last, PAGE_BYTES, u64::MAX), Err(code::EINVAL));
}

#[test]
fn each_bad_limit_has_its_error() {
    let batch = limit::BATCH_PAGES as u64 * PAGE_BYTES;
    let size = 4 * batch;
    for bytes in [
        0,
        PAGE_BYTES,
        batch - PAGE_BYTES,
        batch + 1,
        size + PAGE_BYTES,
        u64::MAX - 1,
    ] {
        assert_eq!(limit_pages(bytes, size), Err(code::EINVAL));
    }
    assert_eq!(limit_pages(batch, size), Ok(limit::BATCH_PAGES as u64));
    assert_eq!(limit_pages(size, size), Ok(4 * limit::BATCH_PAGES as u64));
    assert_eq!(limit_pages(limit::NONE, size), Ok(limit::NONE));
}

#[test]
fn parts_of_pages_are_refused() {
    assert_eq!(whole_pages(0), Ok(0));
    assert_eq!(whole_pages(3 * PAGE_BYTES), Ok(3));
    for bytes in [1, PAGE_BYTES - 1, 3 * PAGE_BYTES + 1, u64::MAX] {
        assert_eq!(whole_pages(bytes), Err(code::EINVAL));
    }
}
