// SPDX-License-Identifier: GPL-2.0

//! Atomics for the pure logic; the host tests have a file of the same interface.
//!
//! C header: [`include/linux/atomic.h`](srctree/include/linux/atomic.h)

use kernel::sync::atomic::{
    Acquire,
    Atomic,
    Full,
    Release, //
};

/// A 64-bit word that several contexts change.
pub(crate) struct Word(Atomic<u64>);

impl Word {
    /// A word with an initial value.
    pub(crate) const fn new(value: u64) -> Self {
        Self(Atomic::new(value))
    }

    /// Reads the word (acquire).
    pub(crate) fn load(&self) -> u64 {
        self.0.load(Acquire)
    }

    /// Writes the word (release).
    pub(crate) fn store_release(&self, value: u64) {
        self.0.store(value, Release);
    }

    /// Replaces `old` by `new` (full order). `Err` has the value found.
    pub(crate) fn cmpxchg(&self, old: u64, new: u64) -> Result<u64, u64> {
        self.0.cmpxchg(old, new, Full)
    }

    /// Adds and returns the value before (full order).
    pub(crate) fn add(&self, value: u64) -> u64 {
        self.0.fetch_add(value, Full)
    }

    /// Subtracts and returns the value before (full order).
    pub(crate) fn sub(&self, value: u64) -> u64 {
        self.0.fetch_sub(value, Full)
    }
}
