// SPDX-License-Identifier: GPL-2.0

//! The magazine against a vector.

use super::holds;
use crate::magazine::{
    Magazine,
    CAPACITY,
    HALF, //
};
use proptest::{
    collection::vec,
    prelude::*, //
};

#[derive(Clone, Debug)]
enum Operation {
    Pop,
    Push(u32),
    Look,
}

#[test]
fn a_magazine_is_a_stack() {
    let operation = prop_oneof![
        4 => Just(Operation::Pop),
        5 => any::<u32>().prop_map(Operation::Push),
        1 => Just(Operation::Look),
    ];
    holds(vec(operation, 1..600), |operations| {
        let mut magazine = Magazine::new();
        let (mut stack, mut idle) = (Vec::new(), true);
        for operation in operations {
            match operation {
                Operation::Pop => {
                    prop_assert_eq!(magazine.pop(), stack.pop());
                    idle = false;
                }
                Operation::Push(item) => {
                    let fits = stack.len() < CAPACITY;
                    prop_assert_eq!(magazine.push(item), if fits { Ok(()) } else { Err(item) });
                    stack.extend(fits.then_some(item));
                    idle = false;
                }
                Operation::Look => {
                    prop_assert_eq!(magazine.look_idle(), idle);
                    idle = true;
                }
            }
            prop_assert_eq!(magazine.len(), stack.len());
        }
        Ok(())
    });
}

/// After half of it moved, neither the next to take one nor the next to give one
/// back has to move anything.
#[test]
fn half_a_magazine_has_room_and_records() {
    let mut magazine = Magazine::new();
    for item in 0..CAPACITY {
        magazine.push(item).expect("room");
    }
    magazine.push(CAPACITY).expect_err("it is full");
    for _ in 0..HALF {
        magazine.pop().expect("a record");
    }
    for item in 0..HALF {
        magazine.push(item).expect("room");
    }
    for _ in 0..CAPACITY {
        magazine.pop().expect("a record");
    }
    assert_eq!(magazine.pop(), None);
}
