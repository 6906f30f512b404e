// SPDX-License-Identifier: GPL-2.0

//! Every state survives the word, and the entry bit excludes.

use super::holds;
use crate::{
    atomic::{
        Blank,
        SpinScope, //
    },
    entry::{
        Address,
        Entry,
        Slot,
        State,
        Stored,
        SLOT_BITS, //
    },
};
use proptest::prelude::*;

const LAST_ADDRESS: u64 = !0xf;
const LAST_SLOT: u64 = (1 << SLOT_BITS) - 1;

fn address(address: u64) -> Address {
    Address::new(address).expect("a non-zero multiple of 16")
}

fn slot(slot: u64) -> State {
    State::Swapped(Stored::Slot(Slot::new(slot).expect("a small slot")))
}

fn fill(word: u32) -> State {
    State::Swapped(Stored::Fill(word))
}

fn any_address() -> impl Strategy<Value = Address> {
    (1..=LAST_ADDRESS >> 4).prop_map(|at| address(at << 4))
}

/// Any state, the extremes more often than chance would have them.
pub(super) fn any_state() -> impl Strategy<Value = State> {
    prop_oneof![
        Just(State::Empty),
        any_address().prop_map(State::Resident),
        any_address().prop_map(State::Writing),
        any_address().prop_map(State::Reading),
        prop_oneof![Just(0), Just(LAST_SLOT), 0..=LAST_SLOT].prop_map(slot),
        prop_oneof![Just(0), Just(u32::MAX), any::<u32>()].prop_map(fill),
        Just(State::Poisoned),
    ]
}

fn set(entry: &Entry, state: State) {
    entry.lock().set(state);
}

fn survives(entry: &Entry, state: State) {
    set(entry, state);
    assert_eq!(entry.peek(), state);
    assert_eq!(entry.lock().get(), state);
}

#[test]
fn extremes_survive_the_word() {
    let entry = Entry::blank();
    assert_eq!(entry.peek(), State::Empty);
    for at in [16, 32, 1 << 63, LAST_ADDRESS] {
        survives(&entry, State::Resident(address(at)));
        survives(&entry, State::Writing(address(at)));
        survives(&entry, State::Reading(address(at)));
    }
    for at in [0, 1, 1 << 31, 1 << 32, LAST_SLOT] {
        survives(&entry, slot(at));
    }
    for word in [0, 1, u32::MAX] {
        survives(&entry, fill(word));
    }
    survives(&entry, State::Poisoned);
    survives(&entry, State::Empty);
}

#[test]
fn slot_and_fill_of_one_number_differ() {
    let entry = Entry::blank();
    for number in [0, 1, u32::MAX] {
        set(&entry, slot(number.into()));
        assert_ne!(entry.peek(), fill(number));
        set(&entry, fill(number));
        assert_ne!(entry.peek(), slot(number.into()));
    }
}

#[test]
fn addresses_are_aligned_and_not_null() {
    assert_eq!(Address::new(0), None);
    for bit in 0..4 {
        assert_eq!(Address::new(LAST_ADDRESS | 1 << bit), None);
        assert_eq!(Address::new(1 << bit), None);
    }
    for bit in 4..64 {
        assert_eq!(address(1 << bit).get(), 1 << bit);
    }
}

#[test]
fn slots_are_bounded() {
    assert_eq!(Slot::new(LAST_SLOT).map(Slot::get), Some(LAST_SLOT));
    assert_eq!(Slot::new(LAST_SLOT + 1), None);
    assert_eq!(Slot::new(u64::MAX), None);
}

#[test]
fn any_state_survives_the_word_and_the_bit() {
    holds((any_state(), any_state()), |(first, second)| {
        let entry = Entry::blank();
        set(&entry, first);
        let mut locked = entry.lock();
        prop_assert_eq!(locked.get(), first);
        prop_assert_eq!(entry.peek(), first, "the bit shows in the state");
        locked.set(second);
        prop_assert_eq!(locked.get(), second);
        prop_assert_eq!(entry.peek(), first, "the state is out before the bit is");
        drop(locked);
        prop_assert_eq!(entry.peek(), second);
        Ok(())
    });
}

#[test]
fn a_failed_try_lock_changes_nothing() {
    holds((any_state(), any_state()), |(first, second)| {
        let entry = Entry::blank();
        set(&entry, first);
        let mut locked = entry.lock();
        prop_assert!(entry.try_lock().is_none());
        prop_assert!(entry.try_lock().is_none(), "the first attempt unlocked");
        locked.set(second);
        drop(locked);
        prop_assert_eq!(entry.peek(), second);
        prop_assert_eq!(entry.try_lock().map(|locked| locked.get()), Some(second));
        Ok(())
    });
}

#[test]
fn sections_that_spin_end() {
    let entry = Entry::blank();
    assert_eq!(SpinScope::depth(), 0);
    let locked = entry.lock();
    assert_eq!(SpinScope::depth(), 1);
    assert!(entry.try_lock().is_none());
    assert_eq!(SpinScope::depth(), 1, "a failed attempt is still spinning");
    drop(locked);
    assert_eq!(SpinScope::depth(), 0);
    drop(entry.try_lock());
    assert_eq!(SpinScope::depth(), 0);
}

#[test]
fn the_bit_counts_right_with_real_threads() {
    const TURNS: u64 = 20_000;
    let entry = Entry::blank();
    let turn = || {
        for _ in 0..TURNS {
            let mut locked = entry.lock();
            let next = match locked.get() {
                State::Swapped(Stored::Slot(slot)) => slot.get() + 1,
                _ => 1,
            };
            locked.set(slot(next));
        }
    };
    std::thread::scope(|threads| {
        for _ in 0..3 {
            threads.spawn(turn);
        }
    });
    assert_eq!(entry.peek(), slot(3 * TURNS));
}
