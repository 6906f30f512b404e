// SPDX-License-Identifier: GPL-2.0

//! The entry bit is a lock: what its holder did is seen by the next holder.
//!
//! At most 3 preemptions with 2 threads, 2 with 3.

use super::{
    explore,
    explore_with,
    Steps::Fine, //
};
use crate::{
    atomic::{
        Blank,
        SpinScope, //
    },
    entry::{
        Entry,
        Locked,
        Slot,
        State,
        Stored, //
    },
    flaw::Flaw,
};
use loom::{
    cell::UnsafeCell,
    thread, //
};
use std::sync::Arc;

/// An entry, and a record that changes under its bit.
struct Guarded {
    entry: Entry,
    record: UnsafeCell<u64>,
}

// SAFETY: Loom checks every access to the cell; that is what the model is for.
unsafe impl Sync for Guarded {}

impl Guarded {
    /// Counts in the record and in the state.
    fn count(&self, locked: &mut Locked<'_>) {
        // SAFETY: The entry bit is held.
        let record = self.record.with_mut(|record| unsafe {
            *record += 1;
            *record
        });
        let slot = Slot::new(record).expect("a small number");
        locked.set(State::Swapped(Stored::Slot(slot)));
    }

    fn counted(&self) -> u64 {
        // SAFETY: As above.
        let record = self.record.with(|record| unsafe { *record });
        match self.entry.lock_alone().get() {
            State::Swapped(Stored::Slot(slot)) => assert_eq!(slot.get(), record, "lost count"),
            other => panic!("lost count: {other:?}"),
        }
        record
    }
}

fn guarded() -> Arc<Guarded> {
    Arc::new(Guarded {
        entry: Entry::blank(),
        record: UnsafeCell::new(0),
    })
}

fn two_lock() {
    let guarded = guarded();
    let other = thread::spawn({
        let guarded = guarded.clone();
        move || guarded.count(&mut guarded.entry.lock_alone())
    });
    guarded.count(&mut guarded.entry.lock_alone());
    other.join().expect("no panic");
    assert_eq!(guarded.counted(), 2, "lost count");
    assert_eq!(SpinScope::depth(), 0);
}

fn three_lock() {
    let guarded = guarded();
    let others = [(), ()].map(|()| {
        let guarded = guarded.clone();
        thread::spawn(move || guarded.count(&mut guarded.entry.lock_alone()))
    });
    guarded.count(&mut guarded.entry.lock_alone());
    for other in others {
        other.join().expect("no panic");
    }
    assert_eq!(guarded.counted(), 3, "lost count");
    assert_eq!(SpinScope::depth(), 0);
}

/// A reader without the bit sees a state that somebody left, never half of one
/// and never a later one before an earlier.
fn one_peeks() {
    let guarded = guarded();
    let counts = thread::spawn({
        let guarded = guarded.clone();
        move || {
            for _ in 0..2 {
                guarded.count(&mut guarded.entry.lock_alone());
            }
        }
    });
    let peeks = thread::spawn(move || {
        let peek = || match guarded.entry.peek() {
            State::Empty => 0,
            State::Swapped(Stored::Slot(slot)) => slot.get(),
            other => panic!("nobody left {other:?}"),
        };
        let (first, second) = (peek(), peek());
        assert!(
            first <= second && second <= 2,
            "peeked {first}, then {second}"
        );
    });
    counts.join().expect("no panic");
    peeks.join().expect("no panic");
}

#[test]
fn the_bit_excludes() {
    explore(Fine, 3, two_lock);
}

#[test]
fn the_bit_excludes_three() {
    explore(Fine, 2, three_lock);
}

#[test]
fn peeking_goes_forward() {
    explore(Fine, 3, one_peeks);
}

#[test]
#[should_panic(expected = "Causality violation")]
fn a_torn_lock_is_noticed() {
    explore_with(&[Flaw::TornCmpxchg], Fine, 3, two_lock);
}

#[test]
#[should_panic(expected = "Causality violation")]
fn an_unlock_without_release_is_noticed() {
    explore_with(&[Flaw::RelaxedStore], Fine, 3, two_lock);
}
