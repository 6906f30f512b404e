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
    fill::Fill,
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

/// Words that an entry can hold, of every kind and at its bounds.
const WORDS: [u64; 12] = [
    0,
    1,
    u64::MAX,
    0x5a5a_5a5a_5a5a_5a5a,
    0xffff_fffe_ffff_fffe,
    (1 << 56) - 1,
    1 << 57,
    1 << 63,
    u64::MAX << 56,
    u64::MAX << 7,
    0x4009_21fb_5444_2d00,
    (1 << 31) << 32 | 1 << 31,
];

fn fill(word: u64) -> State {
    State::Swapped(Stored::Fill(Fill::new(word).expect("a word that fits")))
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
        proptest::sample::select(WORDS.to_vec()).prop_map(fill),
        any::<u32>().prop_map(|word| fill(word.into())),
        Just(State::Poisoned),
    ]
}

fn set(entry: &Entry, state: State) {
    entry.lock_alone().set(state);
}

fn survives(entry: &Entry, state: State) {
    set(entry, state);
    assert_eq!(entry.peek(), state);
    assert_eq!(entry.lock_alone().get(), state);
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
    for word in WORDS {
        survives(&entry, fill(word));
    }
    survives(&entry, State::Poisoned);
    survives(&entry, State::Empty);
}

#[test]
fn slot_and_fill_of_one_number_differ() {
    let entry = Entry::blank();
    for word in WORDS {
        set(&entry, fill(word));
        assert!(matches!(entry.peek(), State::Swapped(Stored::Fill(fill)) if fill.word() == word));
    }
    for number in [0, 1, u64::from(u32::MAX), LAST_SLOT] {
        set(&entry, slot(number));
        assert!(matches!(entry.peek(), State::Swapped(Stored::Slot(slot)) if slot.get() == number));
    }
}

#[test]
fn only_one_slot_stores_a_page() {
    holds((any_state(), any_state()), |(state, other)| {
        let State::Swapped(Stored::Slot(slot)) = other else {
            return Ok(());
        };
        prop_assert_eq!(state.is_stored_in(Some(slot)), state == other);
        prop_assert!(other.is_stored_in(Some(slot)));
        prop_assert!(!other.is_stored_in(None));
        Ok(())
    });
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
        let mut locked = entry.lock_alone();
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
fn sections_that_spin_end() {
    let entry = Entry::blank();
    assert_eq!(SpinScope::depth(), 0);
    let locked = entry.lock_alone();
    assert_eq!(SpinScope::depth(), 1);
    drop(locked);
    assert_eq!(SpinScope::depth(), 0);
}

#[test]
fn the_bit_counts_right_with_real_threads() {
    const TURNS: u64 = 100_000;
    let entry = Entry::blank();
    let begin = std::sync::Barrier::new(3);
    let turn = || {
        begin.wait();
        for _ in 0..TURNS {
            let mut locked = entry.lock_alone();
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

#[test]
fn a_slot_names_its_driver() {
    holds((0..=LAST_SLOT, 0usize..16), |(number, which)| {
        let first = Slot::new(number).expect("a small number");
        prop_assert_eq!(first.driver(), 0);
        let slot = first.of_driver(which);
        prop_assert_eq!(slot.is_some(), which < 8);
        let Some(slot) = slot else {
            return Ok(());
        };
        prop_assert_eq!((slot.get(), slot.driver()), (number, which));
        prop_assert_eq!(slot == first, which == 0);
        prop_assert_eq!(Slot::from_word(slot.to_word()), Some(slot));
        let entry = Entry::blank();
        survives(&entry, State::Swapped(Stored::Slot(slot)));
        Ok(())
    });
    assert_eq!(Slot::from_word(u64::MAX), None);
    assert_eq!(Slot::from_word(1 << 59), None);
}
