// SPDX-License-Identifier: GPL-2.0

//! What is stored never exceeds a quota, and in the end exactly that is charged.
//! Steps and their order are those of `Attached` in `rust/attached.rs`.
//!
//! At most 3 preemptions, 2 where three steps of each follow one another.

use super::{
    explore,
    explore_with,
    join,
    spawn,
    Steps::Fine, //
};
use crate::{
    atomic::Word,
    flaw::{
        self,
        Flaw, //
    },
    quota::{
        Meter,
        Quota, //
    },
    range::PAGE_BYTES, //
};
use std::sync::Arc;

/// What one driver stores of one region.
struct Store {
    meter: Meter,
    bytes: Word,
}

impl Store {
    fn new() -> Self {
        Self {
            meter: Meter::new(),
            bytes: Word::new(0),
        }
    }
}

/// Two regions, each in a cgroup of its own below one that has room for a page.
struct Tree {
    parent: Quota,
    children: [Quota; 2],
    stores: [Store; 2],
}

impl Tree {
    fn new(pages: u64) -> Arc<Self> {
        let tree = Self {
            parent: Quota::new(),
            children: [Quota::new(), Quota::new()],
            stores: [Store::new(), Store::new()],
        };
        tree.parent.set_limit(pages * PAGE_BYTES);
        Arc::new(tree)
    }

    fn quotas(&self, i: usize) -> impl Iterator<Item = &Quota> + Clone {
        [&self.children[i], &self.parent].into_iter()
    }

    fn stored(&self) -> u64 {
        self.stores.iter().map(|store| store.bytes.load()).sum()
    }

    fn settle(&self, i: usize) {
        let store = &self.stores[i];
        store.meter.settle(self.quotas(i), || store.bytes.load());
    }

    /// A batch of `pages` pages, of each of which the driver makes `bytes`.
    fn swapout(&self, i: usize, pages: u64, bytes: u64) {
        let store = &self.stores[i];
        let granted = store.meter.reserve(self.quotas(i), pages);
        if flaw::is(Flaw::SettlesEarly) {
            self.settle(i);
        }
        store.bytes.add(granted * bytes);
        assert!(self.stored() <= self.parent.limit(), "overshot the quota");
        if !flaw::is(Flaw::SettlesEarly) {
            self.settle(i);
        }
    }

    fn discard(&self, i: usize, bytes: u64) {
        let store = &self.stores[i];
        let look = || store.meter.look(self.quotas(i), || store.bytes.load());
        if flaw::is(Flaw::LooksBeforeDiscard) {
            look();
        }
        store.bytes.sub(bytes);
        if !flaw::is(Flaw::LooksBeforeDiscard) {
            look();
        }
    }

    fn check(&self) {
        assert_eq!(self.parent.used(), self.stored(), "charged something else");
        for (child, store) in self.children.iter().zip(&self.stores) {
            assert_eq!(child.used(), store.bytes.load(), "charged something else");
        }
    }
}

/// Two swapouts where there is room for one page.
fn two_batches() {
    let tree = Tree::new(1);
    let other = spawn(&tree, |tree| tree.swapout(1, 1, PAGE_BYTES));
    tree.swapout(0, 1, PAGE_BYTES);
    join([other]);
    tree.check();
}

/// Somebody gives up a copy while a batch of the same region is stored.
fn a_discard_beside_a_batch() {
    let tree = Tree::new(2);
    tree.swapout(0, 1, 100);
    let other = spawn(&tree, |tree| tree.discard(0, 100));
    tree.swapout(0, 1, 1000);
    join([other]);
    tree.check();
    assert_eq!(tree.parent.used(), 1000);
}

/// Two give up copies at the same time.
fn two_discards() {
    let tree = Tree::new(2);
    tree.swapout(0, 2, 100);
    let other = spawn(&tree, |tree| tree.discard(0, 100));
    tree.discard(0, 100);
    join([other]);
    tree.check();
    assert_eq!(tree.parent.used(), 0);
}

#[test]
fn batches_do_not_overshoot() {
    explore(Fine, 3, two_batches);
}

#[test]
fn discards_are_counted_beside_batches() {
    explore(Fine, 2, a_discard_beside_a_batch);
}

#[test]
fn discards_are_counted_once() {
    explore(Fine, 3, two_discards);
}

#[test]
#[should_panic(expected = "overshot the quota")]
fn a_load_and_a_store_are_noticed() {
    explore_with(&[Flaw::TornCmpxchg], Fine, 3, two_batches);
}

#[test]
#[should_panic(expected = "overshot the quota")]
fn settling_early_is_noticed() {
    explore_with(&[Flaw::SettlesEarly], Fine, 3, two_batches);
}

#[test]
#[should_panic(expected = "charged something else")]
fn a_change_that_is_lost_is_noticed() {
    explore_with(&[Flaw::TornCmpxchg], Fine, 3, two_discards);
}

#[test]
#[should_panic(expected = "charged something else")]
fn looking_too_early_is_noticed() {
    explore_with(&[Flaw::LooksBeforeDiscard], Fine, 3, two_discards);
}
