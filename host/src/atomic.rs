// SPDX-License-Identifier: GPL-2.0

//! Atomics for the pure logic, over `std` or loom: the host's version of
//! `rust/atomic.rs`, of the same interface and order.
//!
//! Loom has no constant constructors, so [`Word::new`] is not `const` here.

#[cfg(loom)]
use crate::model::{
    cell::AtomicU64,
    step, //
};
use crate::{
    error::{
        code,
        Result, //
    },
    flaw::{
        self,
        Flaw, //
    },
};
#[cfg(loom)]
use loom::sync::atomic::AtomicPtr;
#[cfg(not(loom))]
use std::sync::atomic::{
    AtomicPtr,
    AtomicU64, //
};
use std::{
    cell::Cell,
    marker::PhantomData,
    ptr,
    sync::atomic::Ordering, //
};

/// One turn of a spinning loop.
#[cfg(loom)]
pub(crate) use crate::model::turn as spin_wait;
/// One turn of a spinning loop.
#[cfg(not(loom))]
pub(crate) use std::hint::spin_loop as spin_wait;

/// What loom interleaves; threads of the host need no such hint.
#[cfg(not(loom))]
fn step() {}

/// A 64-bit word that several contexts change.
pub(crate) struct Word(AtomicU64);

impl Word {
    /// A word with an initial value.
    pub(crate) fn new(value: u64) -> Self {
        Self(AtomicU64::new(value))
    }

    /// Reads the word (acquire).
    pub(crate) fn load(&self) -> u64 {
        self.0.load(Ordering::Acquire)
    }

    /// Writes the word (release).
    pub(crate) fn store_release(&self, value: u64) {
        let order = if flaw::is(Flaw::RelaxedStore) {
            Ordering::Relaxed
        } else {
            Ordering::Release
        };
        self.0.store(value, order);
    }

    /// Replaces `old` by `new` (full order). `Err` has the value found.
    pub(crate) fn cmpxchg(&self, old: u64, new: u64) -> std::result::Result<u64, u64> {
        self.exchange(old, new, Ordering::SeqCst)
    }

    /// Replaces `old` by `new` (acquire): for taking a lock.
    pub(crate) fn cmpxchg_acquire(&self, old: u64, new: u64) -> std::result::Result<u64, u64> {
        self.exchange(old, new, Ordering::Acquire)
    }

    /// Adds and returns the value before (full order).
    pub(crate) fn add(&self, value: u64) -> u64 {
        self.0.fetch_add(value, Ordering::SeqCst)
    }

    /// Subtracts and returns the value before (full order).
    pub(crate) fn sub(&self, value: u64) -> u64 {
        self.0.fetch_sub(value, Ordering::SeqCst)
    }

    fn exchange(&self, old: u64, new: u64, order: Ordering) -> std::result::Result<u64, u64> {
        if flaw::is(Flaw::TornCmpxchg) {
            let now = self.0.load(Ordering::SeqCst);
            if now != old {
                return Err(now);
            }
            self.0.store(new, Ordering::SeqCst);
            return Ok(now);
        }
        self.0.compare_exchange(old, new, order, Ordering::Relaxed)
    }
}

thread_local! {
    static SPINNING: Cell<usize> = const { Cell::new(0) };
}

/// A section that spins: counted, where the kernel turns preemption off.
pub(crate) struct SpinScope(PhantomData<*mut ()>);

impl SpinScope {
    /// Begins the section before spinning.
    pub(crate) fn enter() -> Self {
        SPINNING.set(SPINNING.get() + 1);
        Self(PhantomData)
    }

    /// Counts the sections of this thread; of all threads of a loom model.
    pub(crate) fn depth() -> usize {
        SPINNING.get()
    }
}

impl Drop for SpinScope {
    fn drop(&mut self) {
        SPINNING.set(SPINNING.get() - 1);
    }
}

thread_local! {
    static ALLOCATIONS: Cell<Option<usize>> = const { Cell::new(None) };
}

/// Lets the next `count` arrays of this thread be allocated and then fails;
/// `None` never fails.
pub(crate) fn limit_allocations(count: Option<usize>) {
    ALLOCATIONS.set(count);
}

fn allocate<T: Blank, const N: usize>() -> Result<Box<[T; N]>> {
    match ALLOCATIONS.get() {
        Some(0) => return Err(code::ENOMEM),
        Some(left) => ALLOCATIONS.set(Some(left - 1)),
        None => (),
    }
    Ok(Box::new(std::array::from_fn(|_| T::blank())))
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
/// The pointer is null, or owns a [`Box`] that lives as long as `self`.
pub(crate) struct LazyArray<T, const N: usize>(AtomicPtr<[T; N]>);

// SAFETY: Sharing a `LazyArray` shares and, by the last drop, sends its `T`s.
unsafe impl<T: Send + Sync, const N: usize> Send for LazyArray<T, N> {}
// SAFETY: As above; the pointer itself is atomic.
unsafe impl<T: Send + Sync, const N: usize> Sync for LazyArray<T, N> {}

impl<T, const N: usize> Blank for LazyArray<T, N> {
    fn blank() -> Self {
        // INVARIANT: The pointer is null.
        Self(AtomicPtr::new(ptr::null_mut()))
    }
}

impl<T: Blank, const N: usize> LazyArray<T, N> {
    /// Returns the array if it is there. Any context.
    pub(crate) fn get(&self) -> Option<&[T; N]> {
        step();
        // SAFETY: By the type invariant, a non-null pointer is valid for as
        // long as `self` is borrowed; the load pairs with the release of
        // publication.
        unsafe { self.0.load(Ordering::Acquire).as_ref() }
    }

    /// Returns the array, allocating and publishing it if it is missing. Two
    /// callers get the same array: the loser frees its copy. `filled` runs in
    /// the winner. May sleep.
    pub(crate) fn get_or_fill(&self, filled: impl FnOnce()) -> Result<&[T; N]> {
        let array = Box::into_raw(allocate()?);
        // INVARIANT: The pointer owns the box that was just given up.
        match self.publish(array) {
            Ok(_) => filled(),
            Err(_) if flaw::is(Flaw::LoserForgets) => (),
            Err(_) if flaw::is(Flaw::PresentIsError) => {
                // SAFETY: As below.
                drop(unsafe { Box::from_raw(array) });
                return Err(code::EINVAL);
            }
            // SAFETY: Publication failed, so the box is still this caller's.
            Err(_) => drop(unsafe { Box::from_raw(array) }),
        }
        self.get().ok_or(code::EINVAL)
    }

    fn publish(&self, array: *mut [T; N]) -> std::result::Result<*mut [T; N], *mut [T; N]> {
        step();
        if flaw::is(Flaw::PlainPublication) {
            self.0.store(array, Ordering::SeqCst);
            return Ok(ptr::null_mut());
        }
        let order = if flaw::is(Flaw::RelaxedPublication) {
            Ordering::Relaxed
        } else {
            Ordering::SeqCst
        };
        self.0
            .compare_exchange(ptr::null_mut(), array, order, Ordering::Relaxed)
    }
}

impl<T, const N: usize> Drop for LazyArray<T, N> {
    fn drop(&mut self) {
        #[cfg(loom)]
        let array = self.0.with_mut(|array| *array);
        #[cfg(not(loom))]
        let array = *self.0.get_mut();
        if !array.is_null() {
            // SAFETY: By the type invariant the pointer owns a box, and nobody
            // else can reach it any more.
            drop(unsafe { Box::from_raw(array) });
        }
    }
}
