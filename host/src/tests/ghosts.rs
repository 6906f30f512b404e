// SPDX-License-Identifier: GPL-2.0

//! Refault distances against a list of what left.

use super::holds;
use crate::{
    atomic::Word,
    ghosts::{
        bucket,
        distance,
        least,
        remember,
        table_size,
        BUCKETS, //
    },
};
use proptest::{
    collection::vec,
    prelude::*, //
};

fn empty(size: usize) -> Vec<Word> {
    (0..size).map(|_| Word::new(0)).collect()
}

/// What is told is true, and of what left last nothing is forgotten.
#[test]
fn a_distance_is_the_pages_that_left_since() {
    // Also where the time begins anew.
    let start = prop_oneof![Just(0u64), Just((1 << 32) - 8), any::<u64>()];
    let strategy = (start, vec(0u64..1 << 12, 1..512));
    holds(strategy, |(start, indexes)| {
        let table = empty(512);
        for (i, &index) in indexes.iter().enumerate() {
            remember(&table, index, start.wrapping_add(i as u64));
        }
        let now = start.wrapping_add(indexes.len() as u64);
        for index in 0..1 << 12 {
            let last = indexes.iter().rposition(|&gone| gone == index);
            let want = last.map(|last| (indexes.len() - last) as u64);
            let told = distance(&table, index, now);
            prop_assert!(
                told.is_none() || told == want,
                "{index}: {told:?}, {want:?}"
            );
        }
        let last = *indexes.last().unwrap();
        prop_assert_eq!(distance(&table, last, now), Some(1));
        Ok(())
    });
}

#[test]
fn most_of_a_scan_is_remembered() {
    let table = empty(4096);
    for index in 0..2048 {
        remember(&table, index, index);
    }
    let known = (0..2048).filter(|&index| distance(&table, index, 2048).is_some());
    // Half full: one in five is overwritten.
    assert!(known.count() > 1500);
}

#[test]
fn buckets_double() {
    assert_eq!(bucket(0), 0);
    assert_eq!(bucket(u64::MAX), BUCKETS - 1);
    for i in 0..BUCKETS {
        assert_eq!(bucket(least(i)), i);
        if i > 0 {
            assert_eq!(bucket(least(i) - 1), i - 1);
        }
    }
}

#[test]
fn without_a_table_nothing_is_known() {
    remember(&[], 1, 1);
    assert_eq!(distance(&[], 1, 2), None);
    assert_eq!(distance(&empty(512), 0, 1), None);
}

#[test]
fn a_table_is_bounded() {
    holds(any::<u64>(), |resident| {
        let size = table_size(resident);
        prop_assert!(size.is_power_of_two() && (512..=1 << 14).contains(&size));
        Ok(())
    });
}
