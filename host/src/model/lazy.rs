// SPDX-License-Identifier: GPL-2.0

//! Lazy levels are idempotent (R7): two threads that fill at once get the same
//! array, one copy is freed, and a reader sees nothing or all of it.
//!
//! At most 3 preemptions, 2 or 3 threads; arrays of 2 stand for levels of 512.

use super::{
    explore,
    explore_with,
    Steps::Fine, //
};
use crate::{
    atomic::{
        Blank,
        LazyArray, //
    },
    error::Result,
    flaw::Flaw,
};
use loom::{
    cell::UnsafeCell,
    thread, //
};
use std::{
    cell::Cell,
    ptr,
    sync::{
        atomic::{
            AtomicUsize,
            Ordering, //
        },
        Arc, //
    }, //
};

thread_local! {
    static ALIVE: Cell<usize> = const { Cell::new(0) };
}

const BLANK: u64 = 0x5eed;

/// An element that loom knows to be written when it is made, and that is
/// counted while it lives.
struct Element(UnsafeCell<u64>);

// SAFETY: Loom checks every access to the cell.
unsafe impl Send for Element {}
// SAFETY: As above.
unsafe impl Sync for Element {}

impl Blank for Element {
    fn blank() -> Self {
        ALIVE.set(ALIVE.get() + 1);
        let element = Self(UnsafeCell::new(0));
        // SAFETY: Nobody else has the element.
        element.0.with_mut(|value| unsafe { *value = BLANK });
        element
    }
}

impl Element {
    fn read(&self) -> u64 {
        // SAFETY: The array it is in was published, and nobody writes any more.
        self.0.with(|value| unsafe { *value })
    }
}

impl Drop for Element {
    fn drop(&mut self) {
        ALIVE.set(ALIVE.get() - 1);
    }
}

type Leaf = LazyArray<Element, 2>;
type Double = LazyArray<Leaf, 2>;

/// Two levels, filled as `Table::fill` fills them.
struct Tree {
    root: Double,
    levels: AtomicUsize,
}

fn fill<'a, T: Blank>(level: &'a LazyArray<T, 2>, levels: &AtomicUsize) -> Result<&'a [T; 2]> {
    match level.get() {
        Some(children) => Ok(children),
        None => level.get_or_fill(|| {
            levels.fetch_add(1, Ordering::Relaxed);
        }),
    }
}

impl Tree {
    fn fill(&self, at: usize) -> Result<&Element> {
        let leaves = fill(&self.root, &self.levels)?;
        let elements = fill(&leaves[at / 2], &self.levels)?;
        Ok(&elements[at % 2])
    }

    fn find(&self, at: usize) -> Option<&Element> {
        Some(&self.root.get()?[at / 2].get()?[at % 2])
    }
}

/// Fills elements `one` and `other` at once and expects `levels` at the end.
fn fill_together(one: usize, other: usize, levels: usize) {
    ALIVE.set(0);
    let tree = Arc::new(Tree {
        root: Double::blank(),
        levels: AtomicUsize::new(0),
    });
    let fill = |at: usize| {
        let tree = tree.clone();
        move || {
            let element = tree.fill(at).expect("already present is success");
            assert_eq!(element.read(), BLANK);
            ptr::from_ref(element).addr()
        }
    };
    let filler = thread::spawn(fill(other));
    let element = fill(one)();
    let others = filler.join().expect("no panic");
    let found = |at| ptr::from_ref(tree.find(at).expect("filled")).addr();
    assert!(
        element == found(one) && others == found(other),
        "lost a level"
    );
    assert_eq!(
        tree.levels.load(Ordering::Relaxed),
        levels,
        "levels that were published"
    );
    drop(tree);
    assert_eq!(ALIVE.get(), 0, "a copy was not freed");
}

fn two_fill() {
    fill_together(1, 1, 2);
}

fn two_fill_two_leaves() {
    fill_together(0, 2, 3);
}

fn two_fill_and_one_reads() {
    ALIVE.set(0);
    let leaf = Arc::new(Leaf::blank());
    let filler = || {
        let leaf = leaf.clone();
        move || {
            leaf.get_or_fill(|| ()).expect("already present is success");
        }
    };
    let fillers = [thread::spawn(filler()), thread::spawn(filler())];
    for element in leaf.get().into_iter().flatten() {
        assert_eq!(element.read(), BLANK);
    }
    for filler in fillers {
        filler.join().expect("no panic");
    }
    drop(leaf);
    assert_eq!(ALIVE.get(), 0, "a copy was not freed");
}

#[test]
fn fillers_share_a_level() {
    explore(Fine, 3, two_fill);
}

#[test]
fn fillers_of_two_leaves_share_the_root() {
    explore(Fine, 3, two_fill_two_leaves);
}

#[test]
fn readers_see_nothing_or_all() {
    explore(Fine, 3, two_fill_and_one_reads);
}

#[test]
#[should_panic(expected = "already present is success")]
fn the_bug_of_2001_is_noticed() {
    explore_with(&[Flaw::PresentIsError], Fine, 3, two_fill);
}

#[test]
#[should_panic(expected = "levels that were published")]
fn a_plain_publication_is_noticed() {
    explore_with(&[Flaw::PlainPublication], Fine, 3, two_fill);
}

#[test]
#[should_panic(expected = "Causality violation")]
fn a_publication_without_release_is_noticed() {
    explore_with(&[Flaw::RelaxedPublication], Fine, 3, two_fill_and_one_reads);
}

#[test]
#[should_panic(expected = "a copy was not freed")]
fn a_forgotten_copy_is_noticed() {
    explore_with(&[Flaw::LoserForgets], Fine, 3, two_fill);
}
