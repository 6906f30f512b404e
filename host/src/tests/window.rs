// SPDX-License-Identifier: GPL-2.0

//! Sets of windows against sets of numbers.

use super::holds;
use crate::window::{
    Free,
    Set, //
};
use proptest::{
    collection::vec,
    prelude::*,
    sample::Index, //
};
use std::collections::BTreeSet;

/// Returns the windows of a set.
fn windows_of(mut set: Set) -> BTreeSet<usize> {
    std::iter::from_fn(|| set.pop()).collect()
}

fn set_of(windows: &BTreeSet<usize>) -> Set {
    let mut set = Set::below(0);
    windows.iter().for_each(|&index| set.insert(index));
    set
}

fn any_windows() -> impl Strategy<Value = BTreeSet<usize>> {
    vec(0..Set::CAPACITY, 0..Set::CAPACITY).prop_map(|windows| windows.into_iter().collect())
}

#[test]
fn a_set_is_a_set_of_numbers() {
    holds(any_windows(), |windows| {
        let set = set_of(&windows);
        prop_assert_eq!(set.len(), windows.len());
        prop_assert_eq!(windows_of(set), windows);
        Ok(())
    });
}

#[test]
fn windows_come_out_in_order() {
    holds(any_windows(), |windows| {
        let mut set = set_of(&windows);
        for index in windows {
            prop_assert_eq!(set.pop(), Some(index));
        }
        prop_assert_eq!(set.pop(), None);
        Ok(())
    });
}

#[test]
fn what_is_in_one_set_only_is_a_difference() {
    holds((any_windows(), any_windows()), |(all, others)| {
        let rest: BTreeSet<usize> = all.difference(&others).copied().collect();
        prop_assert_eq!(windows_of(set_of(&all).without(set_of(&others))), rest);
        Ok(())
    });
}

#[test]
fn sets_below_a_number_end_there() {
    for count in (0..Set::CAPACITY + 3).chain([usize::MAX]) {
        let expected: BTreeSet<usize> = (0..count.min(Set::CAPACITY)).collect();
        assert_eq!(windows_of(Set::below(count)), expected);
    }
}

#[test]
fn a_window_that_cannot_be_is_not_inserted() {
    for index in [Set::CAPACITY, Set::CAPACITY + 1, 1 << 32, usize::MAX] {
        let mut set = Set::below(0);
        set.insert(index);
        assert_eq!(set.len(), 0);
    }
}

#[derive(Clone, Debug)]
enum Operation {
    Take(usize),
    Give(Index),
}

#[test]
fn free_windows_are_taken_all_or_none() {
    let operation = prop_oneof![
        3 => (0usize..8).prop_map(Operation::Take),
        2 => any::<Index>().prop_map(Operation::Give),
    ];
    let strategy = (any_windows(), vec(operation, 1..64));
    holds(strategy, |(windows, operations)| {
        let free = Free::new(set_of(&windows));
        let mut left = windows;
        let mut taken: Vec<Set> = Vec::new();
        for operation in operations {
            match operation {
                Operation::Take(count) => {
                    let expected: BTreeSet<usize> = left.iter().copied().take(count).collect();
                    let set = free.take(count);
                    prop_assert_eq!(set.is_some(), expected.len() == count);
                    if let Some(set) = set {
                        prop_assert_eq!(windows_of(set), expected.clone());
                        left.retain(|index| !expected.contains(index));
                        taken.push(set);
                    }
                }
                Operation::Give(which) if !taken.is_empty() => {
                    let set = taken.swap_remove(which.index(taken.len()));
                    free.give(set);
                    left.extend(windows_of(set));
                }
                Operation::Give(_) => (),
            }
        }
        Ok(())
    });
}

#[test]
fn real_threads_never_share_a_window() {
    const WINDOWS: usize = 6;
    let free = Free::new(Set::below(WINDOWS));
    let users: Vec<_> = (0..WINDOWS).map(|_| std::sync::Mutex::new(())).collect();
    let work = || {
        for turn in 0..10_000 {
            let Some(set) = free.take(turn % 4) else {
                continue;
            };
            let held: Vec<_> = windows_of(set)
                .into_iter()
                .map(|index| users[index].try_lock().expect("a window of one's own"))
                .collect();
            drop(held);
            free.give(set);
        }
    };
    std::thread::scope(|threads| {
        for _ in 0..3 {
            threads.spawn(work);
        }
    });
    assert_eq!(free.take(WINDOWS), Some(Set::below(WINDOWS)));
}
