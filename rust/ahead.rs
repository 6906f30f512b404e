// SPDX-License-Identifier: GPL-2.0

//! Ahead: how many of the pages that follow a fault brings along.
//!
//! Faults that go forward meet the page after those that the last one brought
//! along. Each that does brings along more than that, and each that does not has
//! the next ones bring along less: faults that go back and forth bring along
//! nothing.
//!
//! This file is pure logic: the same source runs on the host. Several faults at a
//! time may mistake each other for their own past, and bring along too many pages
//! or too few.

use crate::atomic::Word;

/// Most pages that a fault deals with: the page itself, and those after it.
const WINDOW_MAX: u64 = 64;

/// By how much the window grows at a hit.
const GROWTH: u64 = 4;

/// By how much it shrinks at a miss.
const DECAY: u64 = 16;

/// What the last faults of a region brought along.
pub(crate) struct Ahead {
    /// The page after those.
    next: Word,
    /// Pages that the last fault was to deal with, itself included; 0 if faults do
    /// not go forward.
    window: Word,
}

impl Ahead {
    /// No fault yet.
    pub(crate) fn new() -> Self {
        Self {
            next: Word::new(0),
            window: Word::new(0),
        }
    }

    /// There is a fault at page `index`. Returns how many of the pages that follow it
    /// is to bring along. Any context.
    pub(crate) fn note(&self, index: u64) -> u64 {
        let window = self.window.load();
        if self.next.load() != index {
            self.window.store_release(window / DECAY);
            return 0;
        }
        // The first one may be by chance.
        let grown = (window * GROWTH).clamp(1, WINDOW_MAX);
        self.window.store_release(grown);
        grown - 1
    }

    /// As [`Ahead::note`], for a page that is in memory. It may be one that was brought
    /// along and could not be mapped: that is no miss.
    pub(crate) fn note_resident(&self, index: u64) -> u64 {
        let (next, window) = (self.next.load(), self.window.load());
        match next.checked_sub(index) {
            Some(left) if (1..=window).contains(&left) => left - 1,
            _ => self.note(index),
        }
    }

    /// What the fault brought along ends before page `next`.
    pub(crate) fn expect(&self, next: u64) {
        self.next.store_release(next);
    }

    /// Returns how many pages after page `index`, the fault at which comes again, it
    /// brought along.
    pub(crate) fn brought(&self, index: u64) -> u64 {
        let next = self.next.load();
        next.saturating_sub(index.saturating_add(1)).min(WINDOW_MAX)
    }
}
