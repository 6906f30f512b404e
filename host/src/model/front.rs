// SPDX-License-Identifier: GPL-2.0

//! Fronts (R5): processors that have records at hand, and the pool that these come
//! from. No record is handed out twice, none is lost, no page goes while one of its
//! records is in use, and who finds no memory gets what others have. Steps and their
//! order are those of `rust/record/front.rs`, magazines and bitmaps are the same.
//!
//! At most 3 preemptions with 2 threads, 2 with 3.

use super::{
    explore,
    explore_with,
    join,
    spawn,
    step,
    Steps::Coarse, //
};
use crate::{
    bitmap::{
        self,
        Bitmap, //
    },
    flaw::{
        self,
        Flaw, //
    },
    magazine::{
        self,
        Magazine,
        HALF, //
    },
};
use loom::{
    cell::UnsafeCell,
    sync::{
        Mutex,
        MutexGuard, //
    }, //
};
use std::{
    cell::RefCell,
    collections::{
        BTreeMap,
        BTreeSet, //
    },
    sync::Arc, //
};

/// Records have numbers, those of a page from a multiple of this.
const PER_PAGE: usize = 128;

/// The records that a processor has at hand.
struct Front {
    lock: Mutex<()>,
    records: UnsafeCell<Magazine<usize>>,
}

impl Front {
    fn new() -> Self {
        Self {
            lock: Mutex::new(()),
            records: UnsafeCell::new(Magazine::new()),
        }
    }

    /// What anybody does with a front.
    fn with<T>(&self, f: impl FnOnce(&mut Magazine<usize>) -> T) -> T {
        step();
        let _lock = self.lock.lock().expect("no panic");
        // SAFETY: Loom checks that nobody else accesses it.
        self.records.with_mut(|records| f(unsafe { &mut *records }))
    }

    /// What a task does with the front of its processor.
    fn with_own<T>(&self, f: impl FnOnce(&mut Magazine<usize>) -> T) -> T {
        if !flaw::is(Flaw::FrontUnlocked) {
            return self.with(f);
        }
        step();
        // SAFETY: As above.
        self.records.with_mut(|records| f(unsafe { &mut *records }))
    }
}

/// The pages that records are in.
#[derive(Default)]
struct Pool {
    pages: BTreeMap<usize, Bitmap>,
    /// Pages that ever were.
    made: usize,
    taken: usize,
}

impl Pool {
    fn grow(&mut self) {
        self.made += 1;
        self.pages.insert(self.made, Bitmap::new());
    }

    fn take(&mut self) -> Option<usize> {
        let (page, i) = self
            .pages
            .iter_mut()
            .find_map(|(page, bitmap)| Some((page, bitmap.take()?)))?;
        self.taken += 1;
        Some(page * PER_PAGE + i)
    }

    fn give(&mut self, record: usize) {
        let page = record / PER_PAGE;
        let bitmap = self.pages.get_mut(&page).expect("the page is there");
        assert!(bitmap.give(record % PER_PAGE), "it was given back twice");
        self.taken -= 1;
        if bitmap.is_empty() {
            self.pages.remove(&page);
        }
    }

    fn empty_pages(&self) -> Vec<usize> {
        let empty = self.pages.iter().filter(|(_, bitmap)| bitmap.is_empty());
        empty.map(|(page, _)| *page).collect()
    }

    fn remove(&mut self, pages: Vec<usize>) {
        for page in pages {
            let bitmap = self.pages.remove(&page).expect("one shrinks");
            assert!(bitmap.is_empty(), "a page went with a record in use");
        }
    }
}

struct Machine {
    fronts: [Front; 2],
    pool: Mutex<Pool>,
    /// Records that tasks have.
    in_use: RefCell<BTreeSet<usize>>,
}

// SAFETY: Loom checks every access to the fronts, and runs one thread at a time; the
// cell is not borrowed across a point where it switches.
unsafe impl Sync for Machine {}
// SAFETY: As above.
unsafe impl Send for Machine {}

impl Machine {
    fn new() -> Arc<Self> {
        Arc::new(Self {
            fronts: [Front::new(), Front::new()],
            pool: Mutex::default(),
            in_use: RefCell::default(),
        })
    }

    /// A machine of which one processor has `count` records at hand, in full pages
    /// and the rest.
    fn with_at_hand(cpu: usize, count: usize) -> Arc<Self> {
        let machine = Self::new();
        for _ in 0..count {
            let mut pool = machine.pool();
            if pool.taken % bitmap::CAPACITY == 0 {
                pool.grow();
            }
            let record = pool.take().expect("the page has one");
            drop(pool);
            let pushed = machine.fronts[cpu].with(|front| front.push(record));
            pushed.expect("room");
        }
        machine
    }

    fn pool(&self) -> MutexGuard<'_, Pool> {
        self.pool.lock().expect("no panic")
    }

    fn take(&self, cpu: usize) -> Option<usize> {
        self.fronts[cpu].with_own(|front| {
            if let Some(record) = front.pop() {
                return Some(record);
            }
            let mut pool = self.pool();
            let record = pool.take()?;
            for _ in 0..HALF {
                let Some(other) = pool.take() else { break };
                front.push(other).expect("it was empty");
            }
            Some(record)
        })
    }

    fn take_anywhere(&self) -> Option<usize> {
        if flaw::is(Flaw::ShrinksForOne) {
            self.shrink();
            return self.take(0);
        }
        self.fronts
            .iter()
            .find_map(|front| front.with(Magazine::pop))
    }

    /// Takes a record, as a task on a processor; with `memory` for more, or without.
    fn alloc(&self, cpu: usize, memory: bool) -> Option<usize> {
        let record = loop {
            if let Some(record) = self.take(cpu) {
                break record;
            }
            if !memory {
                break self.take_anywhere()?;
            }
            step();
            self.pool().grow();
        };
        let is_new = self.in_use.borrow_mut().insert(record);
        assert!(is_new, "a record was handed out twice");
        Some(record)
    }

    /// Gives a record back.
    fn free(&self, cpu: usize, record: usize) {
        assert!(self.in_use.borrow_mut().remove(&record));
        self.fronts[cpu].with_own(|front| {
            let Err(record) = front.push(record) else {
                return;
            };
            let mut pool = self.pool();
            pool.give(record);
            for _ in 0..HALF {
                pool.give(front.pop().expect("it was full"));
            }
        });
    }

    fn alloc_and_free(&self, cpu: usize) {
        let record = self.alloc(cpu, true).expect("there is memory");
        self.free(cpu, record);
    }

    fn shrink(&self) {
        for front in &self.fronts {
            front.with(|front| {
                let mut pool = self.pool();
                while let Some(record) = front.pop() {
                    pool.give(record);
                }
            });
        }
        step();
        let mut pool = self.pool();
        let empty = pool.empty_pages();
        if flaw::is(Flaw::LooksAtPageEarly) {
            drop(pool);
            step();
            pool = self.pool();
        }
        pool.remove(empty);
    }

    /// Nothing goes on: what is not in use is at hand or in the pool.
    fn assert_none_lost(&self) {
        let at_hand: usize = self
            .fronts
            .iter()
            .map(|front| front.with(|front| front.len()))
            .sum();
        let in_use = self.in_use.borrow().len();
        assert_eq!(self.pool().taken, in_use + at_hand, "a record was lost");
        self.shrink();
        assert_eq!(self.pool().taken, in_use, "a record was lost");
        assert!(in_use != 0 || self.pool().pages.is_empty());
    }
}

/// Each on its processor: one finds nothing at hand, the other one no room.
fn both_go_to_the_pool() {
    let machine = Machine::with_at_hand(1, magazine::CAPACITY);
    let extra = machine.pool().take().expect("the page has more");
    machine.in_use.borrow_mut().insert(extra);
    let other = spawn(&machine, move |machine| machine.free(1, extra));
    let record = machine.alloc(0, true).expect("there is memory");
    join([other]);
    machine.free(0, record);
    machine.assert_none_lost();
}

/// Both on one processor, of which one was moved away in between.
fn both_on_one() {
    let machine = Machine::with_at_hand(0, 1);
    let other = spawn(&machine, |machine| machine.alloc_and_free(0));
    let record = machine.alloc(0, true).expect("there is memory");
    machine.free(1, record);
    join([other]);
    machine.assert_none_lost();
}

fn use_and_shrink() {
    let machine = Machine::with_at_hand(0, 1);
    let other = spawn(&machine, |machine| {
        machine.alloc_and_free(0);
        machine.alloc_and_free(1);
    });
    machine.shrink();
    join([other]);
    machine.assert_none_lost();
}

fn two_use_and_shrink() {
    let machine = Machine::with_at_hand(1, 1);
    let others = [
        spawn(&machine, |machine| machine.alloc_and_free(0)),
        spawn(&machine, |machine| machine.alloc_and_free(1)),
    ];
    machine.shrink();
    join(others);
    machine.assert_none_lost();
}

/// There is no memory, and another processor has more than it needs.
fn no_memory() {
    let machine = Machine::with_at_hand(1, bitmap::CAPACITY);
    let other = spawn(&machine, |machine| {
        let record = machine.alloc(1, false);
        machine.free(1, record.expect("it was at hand"));
    });
    let record = machine.alloc(0, false);
    let record = record.expect("who found no memory got nothing of what others have");
    join([other]);
    machine.free(0, record);
    machine.assert_none_lost();
}

#[test]
fn no_record_is_lost_or_handed_out_twice() {
    explore(Coarse, 3, both_go_to_the_pool);
    explore(Coarse, 3, both_on_one);
    explore(Coarse, 3, use_and_shrink);
    explore(Coarse, 2, two_use_and_shrink);
}

#[test]
fn without_memory_the_records_of_others_will_do() {
    explore(Coarse, 3, no_memory);
}

#[test]
#[should_panic(expected = "Causality violation")]
fn a_front_without_a_lock_is_noticed() {
    explore_with(&[Flaw::FrontUnlocked], Coarse, 3, use_and_shrink);
}

#[test]
#[should_panic(expected = "a page went with a record in use")]
fn a_page_that_was_empty_before_is_noticed() {
    explore_with(&[Flaw::LooksAtPageEarly], Coarse, 3, use_and_shrink);
}

#[test]
#[should_panic(expected = "who found no memory got nothing of what others have")]
fn freeing_before_taking_is_noticed() {
    explore_with(&[Flaw::ShrinksForOne], Coarse, 3, no_memory);
}
