// SPDX-License-Identifier: GPL-2.0

//! Entry and record change together (R6): whoever has the entry bit finds a record
//! on the list if and only if the entry has it, and whoever found a record earlier
//! looks at the entry again. Steps and their order are those of `Region::install`,
//! `Region::take` and `swapper::clock`.
//!
//! At most 4 preemptions with 2 threads, 3 with 3.

use super::{
    explore,
    explore_with,
    join,
    spawn,
    step,
    Steps::Coarse, //
};
use crate::{
    atomic::Blank,
    entry::{
        Address,
        Entry,
        Locked,
        State, //
    },
    flaw::{
        self,
        Flaw, //
    },
};
use std::{
    cell::RefCell,
    sync::Arc, //
};

/// A region of one page, the list of its records and the pool of all records.
struct Region {
    entry: Entry,
    list: RefCell<Vec<u64>>,
    /// Records that an entry stands for, or that are about to be given back.
    in_use: RefCell<Vec<u64>>,
    made: RefCell<u64>,
}

// SAFETY: Loom runs one thread at a time, and the cells are not borrowed across
// a point where it switches.
unsafe impl Sync for Region {}
// SAFETY: As above.
unsafe impl Send for Region {}

impl Region {
    fn new() -> Arc<Self> {
        let region = Self {
            entry: Entry::blank(),
            list: RefCell::default(),
            in_use: RefCell::default(),
            made: RefCell::default(),
        };
        region.make();
        Arc::new(region)
    }

    /// A page comes into memory, unless there is one.
    fn make(&self) {
        *self.made.borrow_mut() += 1;
        let record = *self.made.borrow() * 16;
        self.in_use.borrow_mut().push(record);
        step();
        let mut locked = self.entry.lock_alone();
        if locked.get() != State::Empty {
            drop(locked);
            self.give_back(record);
            return;
        }
        locked.set(State::Resident(Address::new(record).expect("aligned")));
        if flaw::is(Flaw::ListedLater) {
            drop(locked);
            step();
            self.list.borrow_mut().push(record);
            return;
        }
        self.list.borrow_mut().push(record);
    }

    /// The page leaves memory, if there is one.
    fn punch(&self) {
        step();
        let mut locked = self.entry.lock_alone();
        let Some(record) = record_of(&locked) else {
            return;
        };
        if flaw::is(Flaw::ListedLonger) {
            locked.set(State::Empty);
            drop(locked);
            step();
            self.unlist(record);
        } else {
            self.unlist(record);
            locked.set(State::Empty);
            drop(locked);
        }
        step();
        self.give_back(record);
    }

    /// The swapper finds a record on the list, and the page in its entry, and takes
    /// that out of memory.
    fn swapout(&self) {
        step();
        let Some(found) = self.list.borrow().first().copied() else {
            return;
        };
        step();
        let mut locked = self.entry.lock_alone();
        self.assert_together(&locked);
        let current = record_of(&locked);
        let record = if flaw::is(Flaw::StaleRecord) {
            found
        } else {
            let Some(current) = current else { return };
            current
        };
        assert!(
            self.in_use.borrow().contains(&record),
            "a record was used that had been given back"
        );
        self.unlist(record);
        locked.set(State::Empty);
        drop(locked);
        step();
        self.give_back(record);
    }

    fn unlist(&self, record: u64) {
        self.list.borrow_mut().retain(|other| *other != record);
    }

    fn give_back(&self, record: u64) {
        let mut in_use = self.in_use.borrow_mut();
        let at = in_use.iter().position(|other| *other == record);
        in_use.remove(at.expect("a record was given back twice"));
    }

    fn assert_together(&self, locked: &Locked<'_>) {
        let list = self.list.borrow();
        let on_record: Vec<u64> = record_of(locked).into_iter().collect();
        assert_eq!(*list, on_record, "entry and list do not agree");
    }

    /// Nothing goes on: what there is agrees.
    fn assert_quiet(&self) {
        let locked = self.entry.lock_alone();
        self.assert_together(&locked);
        assert_eq!(*self.in_use.borrow(), *self.list.borrow(), "leaked");
    }
}

fn record_of(locked: &Locked<'_>) -> Option<u64> {
    match locked.get() {
        State::Resident(record) => Some(record.get()),
        _ => None,
    }
}

fn punch_and_swapout() {
    let region = Region::new();
    let swapper = spawn(&region, Region::swapout);
    region.punch();
    join([swapper]);
    region.assert_quiet();
}

/// The page is another one when the swapper comes to it.
fn replace_and_swapout() {
    let region = Region::new();
    let swapper = spawn(&region, Region::swapout);
    region.punch();
    region.make();
    join([swapper]);
    region.assert_quiet();
}

fn make_punch_and_swapout() {
    let region = Region::new();
    let others = [
        spawn(&region, Region::swapout),
        spawn(&region, Region::make),
    ];
    region.punch();
    join(others);
    region.assert_quiet();
}

#[test]
fn a_record_goes_with_its_entry() {
    explore(Coarse, 4, punch_and_swapout);
    explore(Coarse, 4, replace_and_swapout);
    explore(Coarse, 3, make_punch_and_swapout);
}

#[test]
#[should_panic(expected = "entry and list do not agree")]
fn a_record_that_is_listed_longer_is_noticed() {
    explore_with(&[Flaw::ListedLonger], Coarse, 4, punch_and_swapout);
}

#[test]
#[should_panic(expected = "entry and list do not agree")]
fn a_record_that_is_listed_later_is_noticed() {
    explore_with(&[Flaw::ListedLater], Coarse, 4, replace_and_swapout);
}

#[test]
#[should_panic(expected = "a record was used that had been given back")]
fn a_stale_record_is_noticed() {
    explore_with(&[Flaw::StaleRecord], Coarse, 4, punch_and_swapout);
}
