// SPDX-License-Identifier: GPL-2.0

//! The map of slots against an array of booleans.

use super::holds;
use crate::{
    atomic::Word,
    slots::{
        blank,
        words,
        Slots,
        CLUSTER, //
    },
};
use proptest::{
    collection::vec,
    prelude::*, //
};

type Map = Slots<Vec<Word>>;

fn map(len: u64) -> Map {
    let count = words(len).expect("a few");
    Slots::new((0..count).map(|i| Word::new(blank(i, len))).collect(), len)
}

#[derive(Clone, Debug)]
enum Operation {
    Take(u64),
    Give(u64),
    Discard(u64),
}

fn any_operations() -> impl Strategy<Value = Vec<Operation>> {
    let operation = prop_oneof![
        3 => (1u64..70).prop_map(Operation::Take),
        3 => (0u64..300).prop_map(Operation::Give),
        1 => (0u64..300).prop_map(Operation::Discard),
    ];
    vec(operation, 1..200)
}

#[test]
fn a_map_is_an_array() {
    holds((1u64..280, any_operations()), |(len, operations)| {
        let map = map(len);
        let mut used = vec![false; len as usize];
        for operation in operations {
            match operation {
                Operation::Take(max) => match map.take(max) {
                    Some(run) => {
                        prop_assert!(run.end - run.start <= max.min(CLUSTER));
                        prop_assert!(!run.is_empty() && run.end <= len);
                        for slot in run {
                            prop_assert!(!std::mem::replace(&mut used[slot as usize], true));
                        }
                    }
                    None => prop_assert!(used.iter().all(|used| *used)),
                },
                Operation::Give(slot) => {
                    let was = used.get_mut(slot as usize).map(std::mem::take);
                    prop_assert_eq!(map.give(slot), was.unwrap_or(false));
                }
                Operation::Discard(slot) => {
                    let start = slot - slot % CLUSTER;
                    let cluster = start..len.min(start + CLUSTER);
                    let free = slot < len && cluster.clone().all(|slot| !used[slot as usize]);
                    prop_assert_eq!(map.claim(slot), free.then_some(cluster));
                    if free {
                        map.release(start);
                    }
                }
            }
            let count = used.iter().filter(|used| **used).count();
            prop_assert_eq!(map.used(), count as u64);
        }
        Ok(())
    });
}

/// A batch gets slots side by side, in one cluster after the other.
#[test]
fn an_empty_map_is_filled_in_order() {
    let map = map(10 * CLUSTER);
    for batch in 0..10 {
        let start = batch * CLUSTER;
        assert_eq!(map.take(CLUSTER), Some(start..start + CLUSTER));
    }
    assert_eq!(map.take(1), None);
    assert!(map.give(5));
    assert_eq!(map.take(CLUSTER), Some(5..6));
}

/// What was given back last is not what is taken next.
#[test]
fn the_cursor_goes_round() {
    let map = map(3 * CLUSTER);
    assert_eq!(map.take(1), Some(0..1));
    assert!(map.give(0));
    assert_eq!(map.take(2), Some(1..3));
    while map.take(CLUSTER).is_some_and(|run| run.end != 3 * CLUSTER) {}
    assert_eq!(map.take(CLUSTER), Some(0..1));
}

/// Nobody takes a slot of a cluster that is being discarded.
#[test]
fn a_claimed_cluster_is_nobodys() {
    let map = map(2 * CLUSTER);
    assert_eq!(map.claim(3), Some(0..CLUSTER));
    assert_eq!(map.claim(3), None);
    assert_eq!(map.take(1), Some(CLUSTER..CLUSTER + 1));
    while map.take(CLUSTER).is_some() {}
    assert_eq!(map.used(), CLUSTER);
    map.release(0);
    assert_eq!(map.take(CLUSTER), Some(0..CLUSTER));
}

#[test]
fn what_follows_is_counted() {
    let map = map(2 * CLUSTER);
    assert_eq!(map.take(5), Some(0..5));
    assert_eq!(map.following(0, 8), 4);
    assert_eq!(map.following(0, 2), 2);
    assert_eq!(map.following(4, 8), 0);
    while map.take(CLUSTER).is_some() {}
    assert_eq!(map.following(CLUSTER - 1, 8), 0);
    assert_eq!(map.following(CLUSTER - 3, 8), 2);
    assert_eq!(map.following(2 * CLUSTER, 8), 0);
}
