// SPDX-License-Identifier: GPL-2.0

//! Windows are taken all or none (R9): no two operations have the same one, no
//! set of reservations deadlocks, no wake-up is lost, whoever needs many is not
//! passed by those who come later, and whoever is killed leaves the others theirs. Steps and their order are those of
//! `Line` in `rust/window.rs`.
//!
//! At most 4 preemptions with 2 threads, 2 with 3.

use super::{
    explore,
    explore_with,
    join,
    spawn,
    wait::{
        Turn,
        WaitQueue, //
    },
    Steps::Fine, //
};
use crate::{
    atomic::Word,
    flaw::{
        self,
        Flaw, //
    },
    window::{
        Free,
        Set, //
    },
};
use loom::cell::UnsafeCell;
use std::{
    cell::Cell,
    mem,
    sync::Arc, //
};

/// A pool of three windows.
struct Pool {
    free: Free,
    waiting: Word,
    turn: Turn,
    queue: WaitQueue,
    buffers: [UnsafeCell<u64>; 3],
    /// How many windows the first of those who wait needs; 0 if nobody waits.
    first_needs: Word,
    /// The operation that needs all windows has them, or had them.
    large: Cell<bool>,
    killed: Word,
}

// SAFETY: Loom checks every access to the buffers, and runs one thread at a time.
unsafe impl Sync for Pool {}
// SAFETY: As above.
unsafe impl Send for Pool {}

impl Pool {
    fn new() -> Arc<Self> {
        Arc::new(Self {
            free: Free::new(Set::below(3)),
            waiting: Word::new(0),
            turn: Turn::new(),
            queue: WaitQueue::new(),
            buffers: Default::default(),
            first_needs: Word::new(0),
            large: Cell::new(false),
            killed: Word::new(0),
        })
    }

    fn try_take(&self, count: usize) -> Option<Set> {
        if self.waiting.load() != 0 && !flaw::is(Flaw::Barges) {
            return None;
        }
        self.free.take(count)
    }

    fn take(&self, count: usize) -> Set {
        let taken = self.take_unless(|| false, count);
        taken.expect("the wait ends when they were taken")
    }

    /// As a task that may be killed while it waits.
    fn take_unless(&self, killed: impl Fn() -> bool, count: usize) -> Option<Set> {
        if let Some(taken) = self.try_take(count) {
            return Some(taken);
        }
        self.waiting.add(1);
        let taken = self.wait_for_turn(killed, count);
        self.waiting.sub(1);
        taken
    }

    fn wait_for_turn(&self, killed: impl Fn() -> bool, count: usize) -> Option<Set> {
        let mut taken = None;
        let turn = self.turn.wait_unless(&killed)?;
        self.first_needs.store_release(count as u64);
        let is_done = self.queue.wait_unless(killed, || {
            taken = self.free.take(count);
            taken.is_some()
        });
        self.first_needs.store_release(0);
        if !is_done && flaw::is(Flaw::DiesWithTurn) {
            mem::forget(turn);
        }
        taken.filter(|_| is_done)
    }

    /// Kills the task that waits unless `killed`.
    fn kill(&self) {
        self.killed.store_release(1);
        self.turn.wake_all();
        self.queue.wake_all();
    }

    fn give(&self, windows: Set) {
        let early = self.waiting.load();
        self.free.give(windows);
        let waiting = if flaw::is(Flaw::LooksBeforeGiving) {
            early
        } else {
            self.waiting.load()
        };
        if waiting != 0 {
            self.queue.wake_all();
        }
    }

    /// Uses windows that were taken.
    fn use_up(&self, set: Set) {
        let mut rest = set;
        while let Some(index) = rest.pop() {
            // SAFETY: The window was taken.
            self.buffers[index].with_mut(|buffer| unsafe { *buffer += 1 });
        }
        self.give(set);
    }

    /// One operation that needs `count` windows, and waits for them.
    fn operate(&self, count: usize) {
        if !flaw::is(Flaw::OneByOne) {
            let set = self.take(count);
            assert_eq!(set.len(), count);
            self.use_up(set);
            return;
        }
        let sets: Vec<_> = (0..count).map(|_| self.take(1)).collect();
        sets.into_iter().for_each(|set| self.use_up(set));
    }

    /// One operation that gives up if there are not enough. Whether it had them.
    fn try_operate(&self, count: usize) -> bool {
        let set = self.free.take(count);
        set.map(|set| self.use_up(set)).is_some()
    }

    fn assert_free(&self) {
        assert_eq!(self.waiting.load(), 0);
        let all = self.free.take(3);
        assert_eq!(all, Some(Set::below(3)), "windows were lost");
    }
}

fn two_try() {
    let pool = Pool::new();
    let other = spawn(&pool, |pool| {
        pool.try_operate(2);
    });
    pool.try_operate(2);
    join([other]);
    pool.assert_free();
}

fn three_try() {
    let pool = Pool::new();
    let others = [
        spawn(&pool, |pool| assert!(pool.try_operate(1))),
        spawn(&pool, |pool| assert!(pool.try_operate(1))),
    ];
    assert!(pool.try_operate(1), "there is a window for each");
    join(others);
    pool.assert_free();
}

/// Operations that cannot all have their windows at once.
fn two_operate(counts: [usize; 2]) {
    let pool = Pool::new();
    let other = spawn(&pool, move |pool| pool.operate(counts[0]));
    pool.operate(counts[1]);
    join([other]);
    pool.assert_free();
}

fn three_operate(counts: [usize; 3]) {
    let pool = Pool::new();
    let others = [
        spawn(&pool, move |pool| pool.operate(counts[0])),
        spawn(&pool, move |pool| pool.operate(counts[1])),
    ];
    pool.operate(counts[2]);
    join(others);
    pool.assert_free();
}

/// One operation needs all, while another gives its own back. A third one that
/// comes when it is the first's turn does not pass it.
fn large_and_small() {
    let pool = Pool::new();
    let first = pool.take(1);
    let others = [
        spawn(&pool, |pool| {
            let set = pool.take(3);
            pool.large.set(true);
            pool.use_up(set);
        }),
        spawn(&pool, move |pool| pool.use_up(first)),
    ];
    let waits = pool.first_needs.load() == 3;
    let set = pool.take(1);
    assert!(!waits || pool.large.get(), "one who came later was first");
    pool.use_up(set);
    join(others);
    pool.assert_free();
}

/// One of two who wait is killed, wherever that finds it.
fn one_is_killed() {
    let pool = Pool::new();
    let first = pool.take(2);
    let others = [
        spawn(&pool, |pool| {
            let taken = pool.take_unless(|| pool.killed.load() != 0, 2);
            taken.into_iter().for_each(|set| pool.use_up(set));
        }),
        spawn(&pool, |pool| pool.operate(3)),
    ];
    pool.kill();
    pool.use_up(first);
    join(others);
    pool.assert_free();
}

#[test]
fn operations_share_no_window() {
    explore(Fine, 4, two_try);
}

#[test]
fn who_finds_enough_gets_them() {
    explore(Fine, 2, three_try);
}

#[test]
fn no_two_operations_deadlock() {
    for counts in [[2, 2], [3, 1], [3, 3]] {
        explore(Fine, 3, move || two_operate(counts));
    }
}

#[test]
fn no_three_operations_deadlock() {
    for counts in [[2, 2, 2], [3, 1, 2], [3, 3, 3]] {
        explore(Fine, 2, move || three_operate(counts));
    }
}

#[test]
fn who_needs_many_is_not_passed() {
    explore(Fine, 2, large_and_small);
}

#[test]
fn who_is_killed_leaves_the_queue() {
    explore(Fine, 2, one_is_killed);
}

#[test]
#[should_panic(expected = "deadlock")]
fn dying_with_the_turn_is_noticed() {
    explore_with(&[Flaw::DiesWithTurn], Fine, 2, one_is_killed);
}

#[test]
#[should_panic(expected = "windows were lost")]
fn dying_with_windows_is_noticed() {
    explore_with(&[Flaw::DiesWithWindows], Fine, 2, one_is_killed);
}

#[test]
#[should_panic(expected = "windows were lost")]
fn a_torn_take_is_noticed() {
    explore_with(&[Flaw::TornCmpxchg], Fine, 4, two_try);
}

#[test]
#[should_panic(expected = "deadlock")]
fn taking_one_by_one_is_noticed() {
    explore_with(&[Flaw::OneByOne], Fine, 2, || two_operate([2, 3]));
}

#[test]
#[should_panic(expected = "deadlock")]
fn a_lost_wake_up_is_noticed() {
    explore_with(&[Flaw::LooksBeforeGiving], Fine, 4, || two_operate([2, 2]));
}

#[test]
#[should_panic(expected = "one who came later was first")]
fn passing_who_waits_is_noticed() {
    explore_with(&[Flaw::Barges], Fine, 2, large_and_small);
}
