// SPDX-License-Identifier: GPL-2.0

//! The bitmap against an array of booleans.

use super::holds;
use crate::bitmap::{
    Bitmap,
    CAPACITY, //
};
use proptest::{
    collection::vec,
    prelude::*, //
};

/// A bitmap with the records of `used` in use.
fn with(used: &[bool; CAPACITY]) -> Bitmap {
    let mut bitmap = Bitmap::new();
    while bitmap.take().is_some() {}
    for (i, _) in used.iter().enumerate().filter(|(_, used)| !**used) {
        assert!(bitmap.give(i));
    }
    bitmap
}

fn agrees(bitmap: &Bitmap, used: &[bool; CAPACITY]) {
    assert_eq!(bitmap.is_empty(), used.iter().all(|used| !used));
    assert_eq!(bitmap.is_full(), used.iter().all(|used| *used));
}

fn take(bitmap: &mut Bitmap, used: &mut [bool; CAPACITY]) {
    let free = used.iter().position(|used| !used);
    assert_eq!(bitmap.take(), free);
    if let Some(free) = free {
        used[free] = true;
    }
    agrees(bitmap, used);
}

fn give(bitmap: &mut Bitmap, used: &mut [bool; CAPACITY], i: usize) {
    let was = used.get(i).copied().unwrap_or(false);
    assert_eq!(bitmap.give(i), was);
    if was {
        used[i] = false;
    }
    agrees(bitmap, used);
}

/// Every record, and some that are none.
fn positions() -> impl Iterator<Item = usize> {
    (0..CAPACITY + 50).chain([usize::MAX])
}

#[test]
fn filling_and_emptying_visits_every_record_in_order() {
    let mut bitmap = Bitmap::new();
    let mut used = [false; CAPACITY];
    agrees(&bitmap, &used);
    for _ in 0..CAPACITY + 2 {
        take(&mut bitmap, &mut used);
    }
    for i in positions() {
        give(&mut bitmap, &mut used, i);
        give(&mut bitmap, &mut used, i);
    }
    assert!(bitmap.is_empty());
}

#[test]
fn every_pair_of_records_is_independent() {
    for one in 0..CAPACITY {
        for other in 0..CAPACITY {
            for in_use in [false, true] {
                let mut used = [!in_use; CAPACITY];
                used[one] = in_use;
                used[other] = in_use;
                take(&mut with(&used), &mut used.clone());
                for i in [one, other, (one + 1) % CAPACITY] {
                    give(&mut with(&used), &mut used.clone(), i);
                }
            }
        }
    }
}

#[test]
fn every_position_can_be_given_back_in_any_map() {
    for free in 0..=CAPACITY {
        for i in positions() {
            let mut used = [true; CAPACITY];
            used[..free].fill(false);
            give(&mut with(&used), &mut used, i);
        }
    }
}

#[test]
fn a_bitmap_is_an_array() {
    let operation = prop_oneof![
        3 => Just(None),
        2 => (0..CAPACITY + 4).prop_map(Some),
    ];
    holds(vec(operation, 1..400), |operations| {
        let mut bitmap = Bitmap::new();
        let mut used = [false; CAPACITY];
        for operation in operations {
            match operation {
                None => take(&mut bitmap, &mut used),
                Some(i) => give(&mut bitmap, &mut used, i),
            }
        }
        Ok(())
    });
}
