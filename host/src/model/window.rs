// SPDX-License-Identifier: GPL-2.0

//! Windows are taken all or none (R9): no two operations have the same one, and
//! of two that cannot both have theirs one goes on.
//!
//! At most 4 preemptions with 2 threads, 2 with 3.

use super::{
    explore,
    explore_with,
    join,
    spawn,
    Steps::Fine, //
};
use crate::{
    flaw::Flaw,
    window::{
        Free,
        Set, //
    },
};
use loom::cell::UnsafeCell;
use std::sync::Arc;

/// A pool of three windows.
struct Pool {
    free: Free,
    buffers: [UnsafeCell<u64>; 3],
}

// SAFETY: Loom checks every access to the buffers; that is what the model is for.
unsafe impl Sync for Pool {}
// SAFETY: As above.
unsafe impl Send for Pool {}

impl Pool {
    fn new() -> Arc<Self> {
        Arc::new(Self {
            free: Free::new(Set::below(3)),
            buffers: Default::default(),
        })
    }

    /// One operation that needs `count` windows. Returns whether it had them.
    fn operate(&self, count: usize) -> bool {
        let Some(set) = self.free.take(count, Set::below(3)) else {
            return false;
        };
        assert_eq!(set.len(), count);
        let mut rest = set;
        while let Some(index) = rest.pop() {
            // SAFETY: The window was taken.
            self.buffers[index].with_mut(|buffer| unsafe { *buffer += 1 });
        }
        self.free.give(set);
        true
    }

    fn assert_free(&self) {
        let all = self.free.take(3, Set::below(3));
        assert_eq!(all, Some(Set::below(3)), "windows were lost");
    }
}

fn two_operate() {
    let pool = Pool::new();
    let other = spawn(&pool, |pool| {
        pool.operate(2);
    });
    pool.operate(2);
    join([other]);
    pool.assert_free();
}

fn three_operate() {
    let pool = Pool::new();
    let others = [
        spawn(&pool, |pool| assert!(pool.operate(1))),
        spawn(&pool, |pool| assert!(pool.operate(1))),
    ];
    assert!(pool.operate(1), "there is a window for each");
    join(others);
    pool.assert_free();
}

#[test]
fn operations_share_no_window() {
    explore(Fine, 4, two_operate);
}

#[test]
fn who_finds_enough_gets_them() {
    explore(Fine, 2, three_operate);
}

#[test]
#[should_panic(expected = "windows were lost")]
fn a_torn_take_is_noticed() {
    explore_with(&[Flaw::TornCmpxchg], Fine, 4, two_operate);
}
