// SPDX-License-Identifier: GPL-2.0

//! The table against a map of states and a set of levels.

use super::{
    entry::any_state,
    holds, //
};
use crate::{
    atomic::{
        limit_allocations,
        FANOUT, //
    },
    entry::{
        Address,
        Slot,
        State,
        Stored, //
    },
    error::code,
    table::{
        Table,
        MAX_PAGES, //
    },
};
use proptest::{
    collection::vec,
    prelude::*,
    sample::Index, //
};
use std::{
    collections::{
        BTreeMap,
        BTreeSet, //
    },
    ops::Range,
};

const WIDTH: u64 = FANOUT as u64;

/// Depths of the trees and the pages they hold.
fn trees() -> [(u32, Range<u64>); 4] {
    let mut first = 0;
    [1, 2, 3, 4].map(|depth| {
        let pages = first..first + WIDTH.pow(depth);
        first = pages.end;
        (depth, pages)
    })
}

/// The levels above page `index`, each named by its depth, the pages below it
/// and its first page.
fn levels_of(index: u64) -> impl Iterator<Item = (u32, u64, u64)> {
    let (depth, pages) = trees()
        .into_iter()
        .find(|(_, pages)| pages.contains(&index))
        .expect("a page of the table");
    (1..=depth).map(move |height| {
        let below = WIDTH.pow(height);
        let at = index - pages.start;
        (depth, below, pages.start + at / below * below)
    })
}

/// What a table should hold.
#[derive(Default)]
struct Model {
    states: BTreeMap<u64, State>,
    levels: BTreeSet<(u32, u64, u64)>,
}

impl Model {
    fn fill(&mut self, index: u64) {
        self.levels.extend(levels_of(index));
    }

    /// Removes the levels that hold nothing, from the lowest on.
    fn trim(&mut self, pages: Range<u64>) {
        let mut index = pages.start;
        while let Some(at) = self.next(index).filter(|&at| at < pages.end) {
            for level in levels_of(at) {
                if !self.is_blank(level) {
                    break;
                }
                self.levels.remove(&level);
            }
            index = at - at % WIDTH + WIDTH;
        }
    }

    fn is_blank(&self, (depth, below, first): (u32, u64, u64)) -> bool {
        let pages = first..first + below;
        if below == WIDTH {
            let mut states = self.states.range(pages);
            return states.all(|(_, &state)| state == State::Empty);
        }
        let children = (depth, below / WIDTH, pages.start)..(depth, below / WIDTH, pages.end);
        self.levels.range(children).next().is_none()
    }

    fn leaf_of(&self, index: u64) -> bool {
        levels_of(index).all(|level| self.levels.contains(&level))
    }

    fn next(&self, index: u64) -> Option<u64> {
        self.levels
            .iter()
            .filter(|&&(_, below, first)| below == WIDTH && first + WIDTH > index)
            .map(|&(_, _, first)| first.max(index))
            .min()
    }
}

/// Few enough leaves that operations meet: the borders of the trees, and a
/// handful of leaves of each.
fn any_index() -> impl Strategy<Value = u64> {
    let within = trees().map(|(_, pages)| {
        (
            any::<Index>(),
            0u64..4,
            prop_oneof![0..3u64, WIDTH - 3..WIDTH],
        )
            .prop_map(move |(far, leaf, at)| {
                let leaves = (pages.end - pages.start) / WIDTH;
                let middle = far.index(2) as u64 * (leaves / 2);
                pages.start + (middle + leaf) % leaves * WIDTH + at
            })
    });
    let [single, double, triple, quad] = within;
    let borders: Vec<u64> = trees()
        .into_iter()
        .flat_map(|(_, pages)| [pages.start, pages.end - 1])
        .collect();
    prop_oneof![
        single,
        double,
        triple,
        quad,
        proptest::sample::select(borders)
    ]
}

#[derive(Clone, Debug)]
enum Operation {
    Set(u64, State),
    Find(u64),
    Next(u64),
    Trim(Range<u64>),
}

fn any_operation() -> impl Strategy<Value = Operation> {
    prop_oneof![
        (any_index(), any_state()).prop_map(|(index, state)| Operation::Set(index, state)),
        any_index().prop_map(|index| Operation::Set(index, State::Empty)),
        (any_index(), any_index())
            .prop_map(|(one, other)| { Operation::Trim(one.min(other)..one.max(other) + 1) }),
        any_index().prop_map(Operation::Find),
        any_index().prop_map(Operation::Next),
    ]
}

#[test]
fn a_table_is_a_map() {
    holds(vec(any_operation(), 1..64), |operations| {
        let table = Table::new();
        let mut model = Model::default();
        for operation in operations {
            match operation {
                Operation::Set(index, state) => {
                    table.lock_filled(index).expect("memory").set(state);
                    model.fill(index);
                    model.states.insert(index, state);
                    table.fill(index).expect("already filled");
                    let found = table.lock(index).expect("just filled");
                    prop_assert_eq!(found.get(), state);
                }
                Operation::Find(index) => {
                    let state = model.states.get(&index).copied().unwrap_or(State::Empty);
                    let found = table.lock(index).map(|entry| entry.get());
                    prop_assert_eq!(found, model.leaf_of(index).then_some(state));
                    prop_assert_eq!(table.peek(index), state);
                }
                Operation::Next(index) => {
                    prop_assert_eq!(table.next(index), model.next(index));
                }
                Operation::Trim(pages) => {
                    table.trim(pages.clone());
                    model.trim(pages);
                }
            }
            prop_assert_eq!(table.levels(), model.levels.len() as u64);
        }
        for (&index, &state) in &model.states {
            prop_assert_eq!(table.peek(index), state);
        }
        Ok(())
    });
}

#[test]
fn no_two_pages_share_an_entry() {
    let table = Table::new();
    let indexes: BTreeSet<u64> = trees()
        .into_iter()
        .flat_map(|(_, pages)| {
            let last = pages.end - 1;
            let first = pages.start;
            [first, first + 1, first + 511, last - 511, last]
        })
        .collect();
    let state = |index| State::Swapped(Stored::Slot(Slot::new(index).expect("small")));
    for &index in &indexes {
        table.lock_filled(index).expect("memory").set(state(index));
    }
    for &index in &indexes {
        assert_eq!(table.peek(index), state(index));
    }
}

#[test]
fn a_small_region_costs_one_level() {
    let table = Table::new();
    assert_eq!(table.levels(), 0);
    assert!(table.lock(0).is_none());
    assert_eq!(table.next(0), None);
    for index in 0..WIDTH {
        table.fill(index).expect("memory");
    }
    assert_eq!(table.levels(), 1);
    assert_eq!(table.next(WIDTH - 1), Some(WIDTH - 1));
    assert_eq!(table.next(WIDTH), None);
    table.fill(WIDTH).expect("memory");
    assert_eq!(table.levels(), 3);
}

#[test]
fn trees_end_where_they_should() {
    let [.., (_, quad)] = trees();
    assert_eq!(MAX_PAGES, quad.end);
    let table = Table::new();
    table.fill(MAX_PAGES - 1).expect("memory");
    assert_eq!(table.levels(), 4);
    assert_eq!(table.next(0), Some(MAX_PAGES - WIDTH));
    assert_eq!(table.next(MAX_PAGES - 1), Some(MAX_PAGES - 1));
}

#[test]
fn a_page_past_the_end_is_refused_and_costs_nothing() {
    for index in [MAX_PAGES, MAX_PAGES + 1, 1 << 63, u64::MAX] {
        let table = Table::new();
        assert_eq!(table.fill(index).err(), Some(code::EFBIG));
        assert_eq!(table.levels(), 0);
        assert!(table.lock(index).is_none());
        assert_eq!(table.next(index), None);
        table.fill(MAX_PAGES - 1).expect("memory");
        assert_eq!(table.fill(index).err(), Some(code::EFBIG));
        assert!(table.lock(index).is_none());
        assert_eq!(table.next(index), None);
        table.trim(0..u64::MAX);
        assert_eq!(table.levels(), 0);
    }
}

#[test]
fn a_fill_that_runs_out_of_memory_can_be_repeated() {
    for (depth, pages) in trees() {
        let table = Table::new();
        for level in 0..depth {
            limit_allocations(Some(0));
            assert_eq!(table.fill(pages.start).err(), Some(code::ENOMEM));
            assert_eq!(table.levels(), u64::from(level));
            assert!(table.lock(pages.start).is_none());
            assert_eq!(table.next(0), None);
            limit_allocations(Some(1));
            assert_eq!(table.fill(pages.start).is_ok(), level + 1 == depth);
        }
        limit_allocations(Some(0));
        assert!(
            table.fill(pages.start).is_ok(),
            "what is there needs no memory"
        );
        limit_allocations(None);
        assert_eq!(table.levels(), u64::from(depth));
    }
}

#[test]
fn threads_that_fill_together_get_the_same_entries() {
    let indexes: Vec<u64> = trees()
        .into_iter()
        .flat_map(|(_, pages)| {
            (0..32).map(move |i| pages.start + (pages.end - pages.start) / 32 * i)
        })
        .collect();
    let mut model = Model::default();
    indexes.iter().for_each(|&index| model.fill(index));
    let state = |index| State::Swapped(Stored::Slot(Slot::new(index).expect("small")));
    for _ in 0..20 {
        let table = Table::new();
        let fill = || {
            for &index in &indexes {
                table.lock_filled(index).expect("memory").set(state(index));
            }
        };
        std::thread::scope(|threads| {
            threads.spawn(fill);
            fill();
        });
        for &index in &indexes {
            assert_eq!(table.peek(index), state(index));
        }
        assert_eq!(table.levels(), model.levels.len() as u64);
    }
}

/// Pages come and go in two threads, each with its own, while a third frees what
/// levels it can: no page is lost.
#[test]
fn threads_that_fill_and_free_lose_nothing() {
    const ROUNDS: u64 = 2000;
    let table = Table::new();
    let work = |mine: u64| {
        for round in 0..ROUNDS {
            let index = (round % 3) * WIDTH + mine;
            table
                .lock_filled(index)
                .expect("memory")
                .set(State::Poisoned);
            std::thread::yield_now();
            let mut entry = table.lock(index).expect("it holds something");
            assert_eq!(entry.get(), State::Poisoned);
            entry.set(State::Empty);
            drop(entry);
            table.trim(index..index + 1);
        }
    };
    std::thread::scope(|threads| {
        let others = [threads.spawn(|| work(0)), threads.spawn(|| work(511))];
        while others.iter().any(|other| !other.is_finished()) {
            table.trim(0..4 * WIDTH);
        }
    });
    table.trim(0..MAX_PAGES);
    assert_eq!(table.levels(), 0);
}

#[test]
fn resident_pages_are_locked_and_no_others() {
    let table = Table::new();
    // From the end of one leaf into the next one.
    let (first, wanted) = (500, 0x5555_5555_5555_5555u64);
    let mut expected = Vec::new();
    for i in 0..64 {
        let state = match i % 3 {
            0 => State::Resident(Address::new(16 * (i + 1)).unwrap()),
            1 => State::Writing(Address::new(16 * (i + 1)).unwrap()),
            _ => State::Poisoned,
        };
        table.lock_filled(first + i).unwrap().set(state);
        if i % 3 == 0 && wanted >> i & 1 != 0 {
            expected.push((first + i, state));
        }
    }
    let found = table.resident(first, wanted);
    let is_found = |&(index, _): &(u64, State)| found >> (index - first) & 1 != 0;
    assert!(expected.iter().all(is_found));
    assert_eq!(found.count_ones() as usize, expected.len());
    let mut seen = Vec::new();
    table.lock_resident(first, wanted, |index, entry| {
        seen.push((index, entry.get()))
    });
    assert_eq!(seen, expected);
    // The entry bits were given back; where no leaf is, there is nothing.
    table.lock_resident(first, wanted, |index, _| assert_eq!(index % 2, 0));
    table.lock_resident(MAX_PAGES - 64, u64::MAX, |_, _| unreachable!());
    assert_eq!(table.resident(MAX_PAGES - 64, u64::MAX), 0);
    assert_eq!(Table::new().resident(0, u64::MAX), 0);
    Table::new().lock_resident(0, u64::MAX, |_, _| unreachable!());
}
