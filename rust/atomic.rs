// SPDX-License-Identifier: GPL-2.0

//! Atomics for the pure logic: what entries, tables and counters are made of.
//!
//! The host tests have a file of the same interface over `std` and loom.
//!
//! C header: [`include/linux/atomic.h`](srctree/include/linux/atomic.h)

use crate::{
    bindings as ours,
    error::{
        code,
        Result, //
    },
};
use core::{
    mem::MaybeUninit,
    ptr, //
};
use kernel::{
    prelude::*,
    sync::atomic::{
        Acquire,
        Atomic,
        Full,
        Relaxed,
        Release, //
    },
    types::NotThreadSafe, //
};

/// A 64-bit word that several contexts change.
#[repr(transparent)]
pub(crate) struct Word(Atomic<u64>);

impl Word {
    /// A word with an initial value.
    #[inline]
    pub(crate) const fn new(value: u64) -> Self {
        Self(Atomic::new(value))
    }

    /// Reads the word (acquire).
    #[inline]
    pub(crate) fn load(&self) -> u64 {
        self.0.load(Acquire)
    }

    /// Writes the word (release).
    #[inline]
    pub(crate) fn store_release(&self, value: u64) {
        self.0.store(value, Release);
    }

    /// Replaces `old` by `new` (full order). `Err` has the value found.
    #[inline]
    pub(crate) fn cmpxchg(&self, old: u64, new: u64) -> core::result::Result<u64, u64> {
        self.0.cmpxchg(old, new, Full)
    }

    /// Replaces `old` by `new` (acquire): for taking a lock.
    #[inline]
    pub(crate) fn cmpxchg_acquire(&self, old: u64, new: u64) -> core::result::Result<u64, u64> {
        self.0.cmpxchg(old, new, Acquire)
    }

    /// Adds and returns the value before (full order).
    #[inline]
    pub(crate) fn add(&self, value: u64) -> u64 {
        self.0.fetch_add(value, Full)
    }

    /// Subtracts and returns the value before (full order).
    #[inline]
    pub(crate) fn sub(&self, value: u64) -> u64 {
        self.0.fetch_sub(value, Full)
    }

    /// Adds to a statistic (no order).
    #[inline]
    pub(crate) fn count(&self, value: u64) {
        self.0.add(value, Relaxed);
    }
}

/// One turn of a spinning loop.
#[inline]
pub(crate) fn spin_wait() {
    core::hint::spin_loop();
}

/// A section that spins: preemption is off, and lockdep knows that an entry bit
/// is held.
pub(crate) struct SpinScope(NotThreadSafe);

impl SpinScope {
    /// Begins the section before spinning.
    #[inline]
    pub(crate) fn enter() -> Self {
        // SAFETY: No precondition; `Drop` ends the section on the same CPU.
        unsafe { ours::swapvma_entry_acquire() };
        Self(NotThreadSafe)
    }
}

impl Drop for SpinScope {
    #[inline]
    fn drop(&mut self) {
        // SAFETY: The constructor began the section, and the type is not `Send`.
        unsafe { ours::swapvma_entry_release() };
    }
}

/// A value that stands for nothing, which new levels are filled with.
pub(crate) trait Blank {
    /// Returns it.
    fn blank() -> Self;
}

/// An array that is allocated when it is first needed and then stays.
///
/// # Invariants
///
/// The pointer is null, or owns a [`KBox`] that lives as long as `self`.
pub(crate) struct LazyArray<T, const N: usize>(Atomic<*mut [T; N]>);

// SAFETY: Sharing a `LazyArray` shares and, by the last drop, sends its `T`s.
unsafe impl<T: Send + Sync, const N: usize> Send for LazyArray<T, N> {}
// SAFETY: As above; the pointer itself is atomic.
unsafe impl<T: Send + Sync, const N: usize> Sync for LazyArray<T, N> {}

impl<T, const N: usize> Blank for LazyArray<T, N> {
    fn blank() -> Self {
        // INVARIANT: The pointer is null.
        Self(Atomic::new(ptr::null_mut()))
    }
}

impl<T: Blank, const N: usize> LazyArray<T, N> {
    /// Returns the array if it is there. Any context.
    #[inline]
    pub(crate) fn get(&self) -> Option<&[T; N]> {
        // SAFETY: By the type invariant, a non-null pointer is valid for as
        // long as `self` is borrowed; the load pairs with the release of
        // publication.
        unsafe { self.0.load(Acquire).as_ref() }
    }

    /// Returns the array, allocating and publishing it if it is missing. Two
    /// callers get the same array: the loser frees its copy. `filled` runs in
    /// the winner. May sleep.
    pub(crate) fn get_or_fill(&self, filled: impl FnOnce()) -> Result<&[T; N]> {
        let mut array = KBox::<[T; N]>::new_uninit(GFP_KERNEL_ACCOUNT)?;
        let first: *mut MaybeUninit<T> = array.as_mut_ptr().cast();
        for i in 0..N {
            // SAFETY: `i` is within the array, which `first` points at.
            unsafe { first.add(i).write(MaybeUninit::new(T::blank())) };
        }
        // SAFETY: The loop initialised every element.
        let array = unsafe { array.assume_init() };
        let array = KBox::into_raw(array);
        // INVARIANT: The pointer owns the box that was just given up.
        match self.0.cmpxchg(ptr::null_mut(), array, Full) {
            Ok(_) => filled(),
            // SAFETY: Publication failed, so the box is still this caller's.
            Err(_) => drop(unsafe { KBox::from_raw(array) }),
        }
        self.get().ok_or(code::EINVAL)
    }
}

impl<T, const N: usize> Drop for LazyArray<T, N> {
    fn drop(&mut self) {
        let array = *self.0.get_mut();
        if !array.is_null() {
            // SAFETY: By the type invariant the pointer owns a box, and nobody
            // else can reach it any more.
            drop(unsafe { KBox::from_raw(array) });
        }
    }
}

#[kunit_tests(swapvma_atomic)]
mod tests {
    use super::*;
    use crate::{
        entry::{
            Entry,
            State,
            Stored, //
        },
        fill::Fill,
        table::{
            Table,
            MAX_PAGES, //
        },
    };

    #[test]
    fn levels_are_filled_once() -> Result {
        let table = Table::new();
        assert!(table.find(0).is_none());
        let entry: *const Entry = table.fill(511)?;
        assert!(core::ptr::eq(entry, table.fill(511)?));
        assert_eq!(table.levels(), 1);
        table.fill(512)?;
        assert_eq!(table.levels(), 3);
        table.fill(MAX_PAGES - 1)?;
        assert_eq!(table.levels(), 7);
        assert_eq!(table.fill(MAX_PAGES).err(), Some(code::EFBIG));
        assert_eq!(table.next(1024), Some(MAX_PAGES - 512));
        Ok(())
    }

    #[test]
    fn entries_keep_what_they_are_given() -> Result {
        let table = Table::new();
        let entry = table.fill(7)?;
        assert_eq!(entry.peek(), State::Empty);
        let fill = Fill::new(u64::MAX).ok_or(code::EINVAL)?;
        let mut locked = entry.lock();
        locked.set(State::Swapped(Stored::Fill(fill)));
        assert_eq!(entry.peek(), State::Empty);
        drop(locked);
        assert_eq!(entry.peek(), State::Swapped(Stored::Fill(fill)));
        Ok(())
    }
}
