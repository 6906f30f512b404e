// SPDX-License-Identifier: GPL-2.0

//! What faults bring along.

use super::holds;
use crate::ahead::Ahead;
use proptest::{
    collection::vec,
    prelude::*, //
};

/// Faults at `index` and brings along what it is to. Returns the next page.
fn fault(ahead: &Ahead, index: u64) -> u64 {
    let next = index + 1 + ahead.note(index);
    ahead.expect(next);
    next
}

#[test]
fn faults_that_go_forward_bring_along_more_and_more() {
    let ahead = Ahead::new();
    let mut index = 1000;
    let mut windows = Vec::new();
    for _ in 0..7 {
        let next = fault(&ahead, index);
        windows.push(next - index);
        assert_eq!(ahead.brought(index), next - index - 1);
        index = next;
    }
    assert_eq!(windows, [1, 1, 4, 16, 64, 64, 64]);
}

#[test]
fn faults_elsewhere_bring_along_nothing() {
    let ahead = Ahead::new();
    for index in 0..100 {
        assert_eq!(fault(&ahead, 5000 - 7 * index), 5001 - 7 * index);
    }
}

#[test]
fn two_misses_end_a_run() {
    let ahead = Ahead::new();
    let mut index = 0;
    for _ in 0..10 {
        index = fault(&ahead, index);
    }
    for at in [9000, 7000] {
        assert_eq!(fault(&ahead, at), at + 1);
    }
    // As at the beginning.
    assert_eq!(fault(&ahead, 7001), 7002);
    assert_eq!(fault(&ahead, 7002), 7006);
}

#[test]
fn what_was_brought_along_is_no_miss() {
    let ahead = Ahead::new();
    let mut index = 0;
    for _ in 0..10 {
        index = fault(&ahead, index);
    }
    // The last ten of them are not mapped, say.
    assert_eq!(ahead.note_resident(index - 10), 9);
    assert_eq!(fault(&ahead, index), index + 64);
    // A page before those is.
    assert_eq!(ahead.note_resident(index - 1), 0);
    assert_eq!(ahead.note(index + 64), 15);
}

#[test]
fn no_fault_brings_along_more_than_a_window() {
    let faults = vec(
        prop_oneof![4 => Just(None), 1 => any::<u64>().prop_map(Some)],
        1..200,
    );
    holds(faults, |faults| {
        let ahead = Ahead::new();
        let mut index = 0u64;
        for other in faults {
            index = other.unwrap_or(index);
            let pages = ahead.note(index);
            prop_assert!(pages < 64);
            index = index.saturating_add(1 + pages);
            ahead.expect(index);
            prop_assert!(ahead.brought(index.saturating_sub(1 + pages)) <= 64);
        }
        Ok(())
    });
}
