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
    AtomicU64,
    AtomicUsize, //
};
use std::{
    cell::Cell,
    marker::PhantomData,
    ops::Deref,
    ptr::{
        self,
        NonNull, //
    },
    sync::atomic::Ordering, //
};

/// Entries of a leaf, and children of an inner level: fewer for loom, which
/// explores what happens to each.
pub(crate) const FANOUT: usize = if cfg!(loom) { 2 } else { 512 };

/// One turn of a spinning loop.
#[cfg(loom)]
pub(crate) use crate::model::turn as spin_wait;
/// One turn of a spinning loop.
#[cfg(not(loom))]
pub(crate) use std::hint::spin_loop as spin_wait;

/// What becomes of levels so seldom that a test of the kernel sees to it.
#[derive(Clone, Copy)]
pub(crate) enum Rare {
    DeadEntry,
    Going,
}

/// Counts what came, in the kernel. Loom comes by everything.
pub(crate) fn seen(_what: Rare) {}

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

/// Shows that a section is under way which a grace period waits for.
pub(crate) struct Reading(PhantomData<*mut ()>);

/// Sections that read what may be freed after them, of all threads: the kernel
/// turns preemption off, here they are counted.
#[cfg(not(loom))]
static READERS: AtomicUsize = AtomicUsize::new(0);

#[cfg(not(loom))]
fn enter() {
    READERS.fetch_add(1, Ordering::SeqCst);
}

#[cfg(not(loom))]
fn leave() {
    READERS.fetch_sub(1, Ordering::SeqCst);
}

/// Waits until no section is under way: more than a grace period has to.
#[cfg(not(loom))]
fn wait_for_grace_period() {
    while READERS.load(Ordering::SeqCst) != 0 {
        std::thread::yield_now();
    }
}

#[cfg(loom)]
use crate::model::grace::{
    enter,
    leave,
    wait as wait_for_grace_period, //
};

/// A section that reads what may be freed after it.
pub(crate) struct ReadScope(Reading);

impl ReadScope {
    /// Begins the section.
    pub(crate) fn enter() -> Self {
        enter();
        Self(Reading(PhantomData))
    }
}

impl Drop for ReadScope {
    fn drop(&mut self) {
        leave();
    }
}

impl Deref for ReadScope {
    type Target = Reading;

    fn deref(&self) -> &Reading {
        &self.0
    }
}

thread_local! {
    static SPINNING: Cell<usize> = const { Cell::new(0) };
}

/// A section that spins: counted.
pub(crate) struct SpinScope(Reading);

impl SpinScope {
    /// Begins the section before spinning.
    pub(crate) fn enter() -> Self {
        enter();
        SPINNING.set(SPINNING.get() + 1);
        Self(Reading(PhantomData))
    }

    /// Counts the sections of this thread; of all threads of a loom model.
    pub(crate) fn depth() -> usize {
        SPINNING.get()
    }

    /// Joins the section and what `find` finds in it, in `owner`.
    pub(crate) fn guard<'a, O, T>(
        self,
        owner: &'a O,
        find: impl for<'s> FnOnce(&'s O, &'s Reading) -> Option<&'s T>,
    ) -> Option<Guarded<'a, T>> {
        let value = NonNull::from(find(owner, &self)?);
        // INVARIANT: The reference lasts as long as the owner is borrowed and the
        // section lasts, which is here.
        Some(Guarded {
            value,
            _scope: self,
            _owner: PhantomData,
        })
    }
}

impl Drop for SpinScope {
    fn drop(&mut self) {
        SPINNING.set(SPINNING.get() - 1);
        leave();
    }
}

impl Deref for SpinScope {
    type Target = Reading;

    fn deref(&self) -> &Reading {
        &self.0
    }
}

/// What was found in a spinning section, and the section.
///
/// # Invariants
///
/// The value was found in the section.
pub(crate) struct Guarded<'a, T> {
    value: NonNull<T>,
    _scope: SpinScope,
    _owner: PhantomData<&'a T>,
}

impl<T> Deref for Guarded<'_, T> {
    type Target = T;

    fn deref(&self) -> &T {
        // SAFETY: By the type invariant the value lasts as long as the section,
        // which ends with `self`.
        unsafe { self.value.as_ref() }
    }
}

thread_local! {
    static ALLOCATIONS: Cell<Option<usize>> = const { Cell::new(None) };
    static ALIVE: Cell<usize> = const { Cell::new(0) };
}

/// Lets the next `count` arrays of this thread be allocated and then fails;
/// `None` never fails.
pub(crate) fn limit_allocations(count: Option<usize>) {
    ALLOCATIONS.set(count);
}

/// Counts the arrays and the memory for them that this thread has not freed; all
/// threads of a loom model are one.
#[cfg(loom)]
pub(crate) fn alive() -> usize {
    ALIVE.get()
}

/// Memory for an array.
pub(crate) struct Spare(());

impl Spare {
    /// Allocates it.
    pub(crate) fn new() -> Result<Self> {
        match ALLOCATIONS.get() {
            Some(0) => return Err(code::ENOMEM),
            Some(left) => ALLOCATIONS.set(Some(left - 1)),
            None => (),
        }
        ALIVE.set(ALIVE.get().wrapping_add(1));
        Ok(Self(()))
    }
}

impl Drop for Spare {
    fn drop(&mut self) {
        // Arrays may be freed by another thread than made them.
        ALIVE.set(ALIVE.get().wrapping_sub(1));
    }
}

/// A value that stands for nothing, which new levels are filled with.
pub(crate) trait Blank {
    /// Returns it.
    fn blank() -> Self;
}

/// What can be told never to hold anything again.
pub(crate) trait Mortal {
    /// Kills what is blank; `false` if it is not, or dead already.
    fn kill(&self) -> bool;

    /// Makes what the caller killed blank again.
    fn revive(&self);
}

/// The entries or children of a level. Loom sees it written when it is made and
/// when it is freed, and read when it is looked up.
struct Array<T, const N: usize> {
    items: [T; N],
    #[cfg(loom)]
    life: loom::cell::UnsafeCell<()>,
    _memory: Spare,
}

impl<T: Blank, const N: usize> Array<T, N> {
    fn new(memory: Spare) -> Box<Self> {
        let array = Self {
            items: std::array::from_fn(|_| T::blank()),
            #[cfg(loom)]
            life: loom::cell::UnsafeCell::new(()),
            _memory: memory,
        };
        array.write();
        Box::new(array)
    }
}

impl<T, const N: usize> Array<T, N> {
    fn write(&self) {
        #[cfg(loom)]
        self.life.with_mut(|_| ());
    }

    fn read(&self) -> &[T; N] {
        #[cfg(loom)]
        self.life.with(|_| ());
        &self.items
    }
}

/// An array that is allocated when it is first needed, and can be freed when
/// everything in it is blank.
///
/// # Invariants
///
/// The pointer is null, [`dead`], or owns a [`Box`] that is not freed before a
/// grace period has passed since it was replaced.
pub(crate) struct LazyArray<T, const N: usize>(AtomicPtr<Array<T, N>>);

// SAFETY: Sharing a `LazyArray` shares and, by the last drop, sends its `T`s.
unsafe impl<T: Send + Sync, const N: usize> Send for LazyArray<T, N> {}
// SAFETY: As above; the pointer itself is atomic.
unsafe impl<T: Send + Sync, const N: usize> Sync for LazyArray<T, N> {}

/// The pointer of an array that is not there and will not be.
const fn dead<T, const N: usize>() -> *mut Array<T, N> {
    ptr::without_provenance_mut(1)
}

impl<T, const N: usize> Blank for LazyArray<T, N> {
    fn blank() -> Self {
        // INVARIANT: The pointer is null.
        Self(AtomicPtr::new(ptr::null_mut()))
    }
}

impl<T, const N: usize> Mortal for LazyArray<T, N> {
    fn kill(&self) -> bool {
        if flaw::is(Flaw::LooksInsteadOfKilling) {
            return self.0.load(Ordering::Acquire).is_null();
        }
        step();
        // INVARIANT: There is no array.
        let killed =
            self.0
                .compare_exchange(ptr::null_mut(), dead(), Ordering::SeqCst, Ordering::Relaxed);
        killed.is_ok()
    }

    fn revive(&self) {
        if flaw::is(Flaw::LooksInsteadOfKilling) {
            return;
        }
        step();
        // INVARIANT: There is no array.
        self.0.store(ptr::null_mut(), Ordering::Release);
    }
}

impl<T: Blank, const N: usize> LazyArray<T, N> {
    /// Returns the array if it is there.
    pub(crate) fn get<'a>(&'a self, _reading: &'a Reading) -> Option<&'a [T; N]> {
        step();
        let array = self.0.load(Ordering::Acquire);
        if array == dead() {
            return None;
        }
        // SAFETY: By the type invariant, the array is valid for as long as the
        // section lasts in which it was found; the load pairs with the release
        // of publication.
        Some(unsafe { array.as_ref() }?.read())
    }

    /// Publishes an array of blanks, unless it is there: that is success, too, and
    /// the memory comes back, as it does if the array is dead.
    pub(crate) fn publish(&self, spare: Spare) -> Option<Spare> {
        let array = Box::into_raw(Array::new(spare));
        // INVARIANT: The pointer owns the box that was just given up.
        match self.exchange(array) {
            Ok(_) => None,
            Err(_) if flaw::is(Flaw::PresentIsError) => panic!("already present is success"),
            Err(_) if flaw::is(Flaw::LoserForgets) => {
                // SAFETY: Publication failed, so the box is still this caller's.
                std::mem::forget(unsafe { Box::from_raw(array) }._memory);
                Spare::new().ok()
            }
            Err(_) => {
                // SAFETY: As above.
                let Array { _memory, .. } = *unsafe { Box::from_raw(array) };
                Some(_memory)
            }
        }
    }

    fn exchange(&self, array: *mut Array<T, N>) -> std::result::Result<(), ()> {
        step();
        if flaw::is(Flaw::PlainPublication) {
            self.0.store(array, Ordering::SeqCst);
            return Ok(());
        }
        let order = if flaw::is(Flaw::RelaxedPublication) {
            Ordering::Relaxed
        } else {
            Ordering::SeqCst
        };
        self.0
            .compare_exchange(ptr::null_mut(), array, order, Ordering::Relaxed)
            .map(|_| ())
            .map_err(|_| ())
    }
}

impl<T: Blank + Mortal + 'static, const N: usize> LazyArray<T, N> {
    /// Takes the array away if everything in it is blank. What is in it is dead
    /// while this looks.
    pub(crate) fn retire(&self) -> Option<Retired> {
        let scope = ReadScope::enter();
        let items = self.get(&scope)?;
        for (i, item) in items.iter().enumerate() {
            if !item.kill() {
                items.iter().take(i).for_each(Mortal::revive);
                return None;
            }
        }
        step();
        let array = self.0.load(Ordering::Relaxed);
        // INVARIANT: Nobody else takes it away, since only one can kill all that
        // is in it; `Retired` waits for the grace period.
        self.0.store(ptr::null_mut(), Ordering::Release);
        // SAFETY: By the type invariant the pointer owned a box.
        let array = unsafe { Box::from_raw(array) };
        Some(Retired(Some(Box::new(move || array.write()))))
    }
}

/// An array that was taken away. Dropping it frees it after a grace period.
pub(crate) struct Retired(Option<Box<dyn FnOnce()>>);

impl Drop for Retired {
    fn drop(&mut self) {
        if !flaw::is(Flaw::NoGracePeriod) {
            wait_for_grace_period();
        }
        if let Some(free) = self.0.take() {
            free();
        }
    }
}

impl<T, const N: usize> Drop for LazyArray<T, N> {
    fn drop(&mut self) {
        #[cfg(loom)]
        let array = self.0.with_mut(|array| *array);
        #[cfg(not(loom))]
        let array = *self.0.get_mut();
        if !array.is_null() && array != dead() {
            // SAFETY: By the type invariant the pointer owns a box, and nobody
            // else can reach it any more.
            drop(unsafe { Box::from_raw(array) });
        }
    }
}
