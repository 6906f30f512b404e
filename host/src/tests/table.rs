// SPDX-License-Identifier: GPL-2.0

//! The table against a map of states and a set of levels.

use super::{
    entry::any_state,
    holds, //
};
use crate::{
    atomic::limit_allocations,
    entry::{
        Entry,
        State, //
    },
    error::code,
    table::{
        Table,
        FANOUT,
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
    ptr,
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
}

fn any_operation() -> impl Strategy<Value = Operation> {
    prop_oneof![
        (any_index(), any_state()).prop_map(|(index, state)| Operation::Set(index, state)),
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
                    let entry = table.fill(index).expect("memory");
                    entry.lock().set(state);
                    model.fill(index);
                    model.states.insert(index, state);
                    let again = table.fill(index).expect("already filled");
                    prop_assert!(ptr::eq(again, entry), "fill is not idempotent");
                    let found = table.find(index).expect("just filled");
                    prop_assert!(ptr::eq(found, entry), "find and fill differ");
                }
                Operation::Find(index) => {
                    let state = model.states.get(&index).copied().unwrap_or(State::Empty);
                    let found = table.find(index).map(Entry::peek);
                    prop_assert_eq!(found, model.leaf_of(index).then_some(state));
                }
                Operation::Next(index) => {
                    prop_assert_eq!(table.next(index), model.next(index));
                }
            }
            prop_assert_eq!(table.levels(), model.levels.len() as u64);
        }
        for (&index, &state) in &model.states {
            prop_assert_eq!(table.find(index).map(Entry::peek), Some(state));
        }
        Ok(())
    });
}

#[test]
fn no_two_pages_share_an_entry() {
    let table = Table::new();
    let mut entries = BTreeMap::new();
    for (_, pages) in trees() {
        let last = pages.end - 1;
        for index in [
            pages.start,
            pages.start + 1,
            pages.start + 511,
            last - 511,
            last,
        ] {
            let entry: *const Entry = table.fill(index).expect("memory");
            assert!(entries
                .insert(entry, index)
                .is_none_or(|other| other == index));
        }
    }
}

#[test]
fn a_small_region_costs_one_level() {
    let table = Table::new();
    assert_eq!(table.levels(), 0);
    assert!(table.find(0).is_none());
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
        assert!(table.find(index).is_none());
        assert_eq!(table.next(index), None);
        table.fill(MAX_PAGES - 1).expect("memory");
        assert_eq!(table.fill(index).err(), Some(code::EFBIG));
        assert!(table.find(index).is_none());
        assert_eq!(table.next(index), None);
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
            assert!(table.find(pages.start).is_none());
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
    for _ in 0..20 {
        let table = Table::new();
        let fill = || -> Vec<usize> {
            let entries = indexes
                .iter()
                .map(|&index| table.fill(index).expect("memory"));
            entries.map(|entry| ptr::from_ref(entry).addr()).collect()
        };
        let (first, second) = std::thread::scope(|threads| {
            let other = threads.spawn(fill);
            (fill(), other.join().expect("no panic"))
        });
        assert_eq!(first, second);
        assert_eq!(table.levels(), model.levels.len() as u64);
    }
}
