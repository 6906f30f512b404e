// SPDX-License-Identifier: GPL-2.0

//! Entry: one 64-bit word per page of a region.
//!
//! The word says where the page is. Whoever changes it, or follows the address
//! in it, holds the entry bit: a spinning lock in the word itself, so that two
//! pages never share a lock. The record of a resident page changes in the same
//! critical section as its entry; see `Documentation/locking.rst`.
//!
//! ```text
//!  63                                              4  3   2   0
//! +-------------------------------------------------+----+-----+
//! | address of the record or read, 16-byte aligned  |    |     |
//! | or slot << 5, or fill << 5 | FILL               |lock|state|
//! +-------------------------------------------------+----+-----+
//! ```
//!
//! This file is pure logic: the same source runs on the host under loom and
//! proptest.

use crate::{
    atomic::{
        spin_wait,
        Blank,
        Guarded,
        Mortal,
        Word, //
    },
    fill::{
        Fill,
        FILL_BITS, //
    },
};

const STATE_MASK: u64 = 0b111;
const LOCKED: u64 = 1 << 3;
const FILL: u64 = 1 << 4;
const STORED_SHIFT: u32 = 5;
const ADDRESS_MASK: u64 = !0xf;

const EMPTY: u64 = 0;
const RESIDENT: u64 = 1;
const WRITING: u64 = 2;
const SWAPPED: u64 = 3;
const READING: u64 = 4;
const POISONED: u64 = 5;
const DEAD: u64 = 6;

const _: () = assert!(STORED_SHIFT + FILL_BITS <= u64::BITS);
const _: () = assert!(STORED_SHIFT + SLOT_BITS + DRIVER_BITS <= u64::BITS);

/// Bits of a slot, the driver's name for one stored page.
pub(crate) const SLOT_BITS: u32 = 56;

/// Bits for the driver in the list of a region.
const DRIVER_BITS: u32 = 3;

/// Address of an object that an entry refers to, a multiple of 16.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Address(u64);

impl Address {
    /// Wraps `address`; `None` unless it is a non-zero multiple of 16.
    pub(crate) fn new(address: u64) -> Option<Self> {
        (address != 0 && address & !ADDRESS_MASK == 0).then_some(Self(address))
    }

    /// Returns the address.
    pub(crate) fn get(self) -> u64 {
        self.0
    }
}

/// A slot below 2^[`SLOT_BITS`], and which of the region's drivers it is of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Slot(u64);

impl Slot {
    /// Wraps `slot` of the first driver; `None` if it is too large.
    pub(crate) fn new(slot: u64) -> Option<Self> {
        (slot >> SLOT_BITS == 0).then_some(Self(slot))
    }

    /// Returns the driver's number for it.
    pub(crate) fn get(self) -> u64 {
        self.0 & ((1 << SLOT_BITS) - 1)
    }

    /// Returns the slot of the same number of driver `which`; `None` if there
    /// cannot be so many drivers.
    pub(crate) fn of_driver(self, which: usize) -> Option<Self> {
        (which >> DRIVER_BITS == 0).then_some(Self((which as u64) << SLOT_BITS | self.get()))
    }

    /// Returns which of the region's drivers has it.
    pub(crate) fn driver(self) -> usize {
        (self.0 >> SLOT_BITS) as usize
    }

    /// Returns number and driver in one word.
    pub(crate) fn to_word(self) -> u64 {
        self.0
    }

    /// Undoes [`Slot::to_word`]; `None` for other words.
    pub(crate) fn from_word(word: u64) -> Option<Self> {
        (word >> (SLOT_BITS + DRIVER_BITS) == 0).then_some(Self(word))
    }
}

/// What a page that is not in memory consists of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stored {
    /// The driver has it in this slot.
    Slot(Slot),
    /// It is this word, repeated.
    Fill(Fill),
}

/// Where a page of a region is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum State {
    /// Nowhere: it reads as zeroes.
    Empty,
    /// In memory; the record says which page.
    Resident(Address),
    /// In memory and in a batch in flight.
    Writing(Address),
    /// With the driver, or a fill word.
    Swapped(Stored),
    /// Being read from the driver; the address is that of the read.
    Reading(Address),
    /// Lost to a memory error.
    Poisoned,
    /// Empty, and its level is about to go.
    Dead,
}

impl State {
    /// Whether the page is in `slot`.
    pub(crate) fn is_stored_in(self, slot: Option<Slot>) -> bool {
        matches!((self, slot), (State::Swapped(Stored::Slot(at)), Some(slot)) if at == slot)
    }

    fn encode(self) -> u64 {
        match self {
            State::Empty => EMPTY,
            State::Resident(record) => record.0 | RESIDENT,
            State::Writing(record) => record.0 | WRITING,
            State::Swapped(Stored::Slot(slot)) => (slot.0 << STORED_SHIFT) | SWAPPED,
            State::Swapped(Stored::Fill(fill)) => fill.bits() << STORED_SHIFT | FILL | SWAPPED,
            State::Reading(read) => read.0 | READING,
            State::Poisoned => POISONED,
            State::Dead => DEAD,
        }
    }

    fn decode(word: u64) -> Self {
        let address = Address(word & ADDRESS_MASK);
        let stored = word >> STORED_SHIFT;
        match word & STATE_MASK {
            RESIDENT => State::Resident(address),
            WRITING => State::Writing(address),
            SWAPPED if word & FILL != 0 => State::Swapped(Stored::Fill(Fill::from_bits(stored))),
            SWAPPED => State::Swapped(Stored::Slot(Slot(stored))),
            READING => State::Reading(address),
            POISONED => State::Poisoned,
            DEAD => State::Dead,
            _ => State::Empty,
        }
    }
}

/// The entry of one page.
#[repr(transparent)]
pub(crate) struct Entry(Word);

impl Blank for Entry {
    fn blank() -> Self {
        Self(Word::new(EMPTY))
    }
}

impl Entry {
    /// Returns the state without the entry bit. It may be stale on return, and
    /// an address in it must not be followed. Any context.
    #[inline]
    pub(crate) fn peek(&self) -> State {
        State::decode(self.0.load())
    }

    /// Takes the entry bit. Spins, never sleeps; the holder does neither. `None`
    /// if the entry is dead.
    #[inline]
    pub(crate) fn lock(this: Guarded<'_, Self>) -> Option<Locked<'_>> {
        loop {
            let word = this.0.load() & !LOCKED;
            if word == DEAD {
                return None;
            }
            if this.0.cmpxchg_acquire(word, word | LOCKED).is_ok() {
                return Some(Locked { entry: this, word });
            }
            spin_wait();
        }
    }
}

impl Mortal for Entry {
    fn kill(&self) -> bool {
        self.0.cmpxchg(EMPTY, DEAD).is_ok()
    }

    fn revive(&self) {
        self.0.store_release(EMPTY);
    }
}

/// The entry bit, held. Dropping it publishes the state and releases the bit.
#[must_use = "the entry unlocks immediately when the guard is unused"]
pub(crate) struct Locked<'a> {
    entry: Guarded<'a, Entry>,
    word: u64,
}

impl Locked<'_> {
    /// Returns the state; an address in it is valid while the bit is held.
    #[inline]
    pub(crate) fn get(&self) -> State {
        State::decode(self.word)
    }

    /// Changes the state. Others see it when the bit is released.
    #[inline]
    pub(crate) fn set(&mut self, state: State) {
        self.word = state.encode();
    }
}

impl Drop for Locked<'_> {
    #[inline]
    fn drop(&mut self) {
        self.entry.0.store_release(self.word);
    }
}
