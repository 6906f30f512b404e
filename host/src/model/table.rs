// SPDX-License-Identifier: GPL-2.0

//! Levels of a table are filled and freed without a lock (R7): who fills at the
//! same time gets the same level, a reader sees nothing or all of it and never
//! what was freed, and a page that somebody made is never in a level that goes.
//!
//! The table is the kernel's own, with levels of 2 instead of 512; at most 2 or 3
//! preemptions, 2 or 3 threads. Pages 0 and 1 are in the leaf of their own, 2 to 5
//! in the leaves of the tree of depth two.

use super::{
    explore,
    explore_with,
    grace,
    join,
    spawn,
    Steps::Fine, //
};
use crate::{
    atomic::{
        alive,
        SpinScope, //
    },
    entry::State,
    flaw::Flaw,
    table::Table,
};
use std::sync::Arc;

const MADE: State = State::Poisoned;

/// Runs `scenario` on a table that nobody uses yet, checks how many levels are
/// left, and that nothing is leaked.
fn with_table(levels: impl FnOnce(&Table) -> u64, scenario: impl FnOnce(&Arc<Table>)) {
    grace::start();
    let before = alive();
    let table = Arc::new(Table::new());
    scenario(&table);
    assert_eq!(table.levels(), levels(&table), "levels that are left");
    assert_eq!(SpinScope::depth(), 0);
    let arrays = alive() - before;
    assert_eq!(arrays as u64, table.levels(), "a copy was not freed");
    drop(table);
    assert_eq!(alive(), before, "a level was not freed");
}

fn make(table: &Table, index: u64) {
    table.lock_filled(index).expect("there is memory").set(MADE);
}

fn empty(table: &Table, index: u64) {
    if let Some(mut entry) = table.lock(index) {
        entry.set(State::Empty);
    }
}

fn assert_made(table: &Table, index: u64) {
    assert_eq!(table.peek(index), MADE, "lost a page");
}

/// Two threads make pages at the same time.
fn two_make(one: u64, other: u64, levels: u64) {
    with_table(
        |_| levels,
        |table| {
            let maker = spawn(table, move |table| make(table, other));
            make(table, one);
            join([maker]);
            assert_made(table, one);
            assert_made(table, other);
        },
    );
}

/// One makes a page, another looks for it.
fn one_looks() {
    with_table(
        |_| 1,
        |table| {
            let maker = spawn(table, |table| make(table, 0));
            let looker = spawn(table, |table| {
                assert!(matches!(table.peek(0), State::Empty | MADE));
            });
            join([maker, looker]);
        },
    );
}

/// A level goes while somebody looks at a page in it.
fn trimmed_while_read() {
    with_table(
        |_| 0,
        |table| {
            table.fill(2).expect("there is memory");
            let trimmer = spawn(table, |table| table.trim(2..4));
            assert_eq!(table.peek(2), State::Empty);
            assert_eq!(table.peek(2), State::Empty);
            join([trimmer]);
        },
    );
}

/// A level goes while somebody makes a page in it.
fn trimmed_while_made(index: u64, levels: u64) {
    with_table(
        |_| levels,
        |table| {
            table.fill(index).expect("there is memory");
            let trimmer = spawn(table, move |table| table.trim(index..index + 1));
            make(table, index);
            join([trimmer]);
            assert_made(table, index);
        },
    );
}

/// A level is emptied and goes, while its neighbour is made.
fn neighbour_made() {
    with_table(
        |_| 2,
        |table| {
            make(table, 2);
            let puncher = spawn(table, |table| {
                empty(table, 2);
                table.trim(2..4);
            });
            make(table, 4);
            join([puncher]);
            assert_eq!(table.peek(2), State::Empty);
            assert_made(table, 4);
        },
    );
}

/// Two want a level to go.
fn trimmed_twice() {
    with_table(
        |table| table.next(0).map_or(0, |_| 1),
        |table| {
            table.fill(0).expect("there is memory");
            let trimmer = spawn(table, |table| table.trim(0..2));
            table.trim(0..2);
            join([trimmer]);
        },
    );
}

#[test]
fn makers_share_a_level() {
    explore(Fine, 2, || two_make(0, 1, 1));
}

#[test]
fn makers_of_two_leaves_share_the_root() {
    explore(Fine, 2, || two_make(2, 4, 3));
}

#[test]
fn readers_see_nothing_or_all() {
    explore(Fine, 2, one_looks);
}

#[test]
fn readers_never_see_what_was_freed() {
    explore(Fine, 3, trimmed_while_read);
}

#[test]
fn a_page_is_not_lost_with_its_level() {
    explore(Fine, 2, || trimmed_while_made(0, 1));
}

#[test]
fn a_page_is_not_lost_with_its_levels() {
    explore(Fine, 2, || trimmed_while_made(2, 2));
}

#[test]
fn a_neighbour_keeps_the_root() {
    explore(Fine, 2, neighbour_made);
}

#[test]
fn a_level_goes_once() {
    explore(Fine, 2, trimmed_twice);
}

#[test]
#[should_panic(expected = "already present is success")]
fn the_bug_of_2001_is_noticed() {
    explore_with(&[Flaw::PresentIsError], Fine, 2, || two_make(0, 1, 1));
}

#[test]
#[should_panic(expected = "levels that are left")]
fn a_plain_publication_is_noticed() {
    explore_with(&[Flaw::PlainPublication], Fine, 2, || two_make(0, 1, 1));
}

#[test]
#[should_panic(expected = "Causality violation")]
fn a_publication_without_release_is_noticed() {
    explore_with(&[Flaw::RelaxedPublication], Fine, 2, one_looks);
}

#[test]
#[should_panic(expected = "a copy was not freed")]
fn a_forgotten_copy_is_noticed() {
    explore_with(&[Flaw::LoserForgets], Fine, 2, || two_make(0, 1, 1));
}

#[test]
#[should_panic(expected = "Causality violation")]
fn a_level_freed_at_once_is_noticed() {
    explore_with(&[Flaw::NoGracePeriod], Fine, 3, trimmed_while_read);
}

#[test]
#[should_panic(expected = "lost a page")]
fn an_entry_that_is_killed_whatever_it_is_is_noticed() {
    explore_with(&[Flaw::TornCmpxchg], Fine, 2, || trimmed_while_made(0, 1));
}

#[test]
#[should_panic(expected = "levels that are left")]
fn a_level_that_only_looked_empty_is_noticed() {
    explore_with(&[Flaw::LooksInsteadOfKilling], Fine, 2, neighbour_made);
}
