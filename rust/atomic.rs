// SPDX-License-Identifier: GPL-2.0

//! Atomics for the pure logic: what entries, tables and counters are made of.
//!
//! The host tests have a file of the same interface over `std` and loom.
//!
//! C header: [`include/linux/atomic.h`](srctree/include/linux/atomic.h)

use crate::{bindings as ours, error::Result};
use core::{
    marker::PhantomData,
    mem::MaybeUninit,
    ops::Deref,
    ptr::{
        self,
        NonNull, //
    },
};
use kernel::{
    page::PAGE_SIZE,
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

/// Entries of a leaf, and children of an inner level: a page of them.
pub(crate) const FANOUT: usize = 512;

/// One turn of a spinning loop.
#[inline]
pub(crate) fn spin_wait() {
    core::hint::spin_loop();
}

/// What becomes of levels so seldom that a test sees to it.
#[derive(Clone, Copy)]
pub(crate) enum Rare {
    /// Who brings a level finds that it is there already.
    Present,
    /// A level is found dead.
    DeadLevel,
    /// An entry is found dead without its bit.
    DeadEntry,
    /// Who fills in levels waits for one to go.
    Going,
}

impl Rare {
    /// All of them, in order.
    pub(crate) const ALL: [Self; 4] =
        [Self::Present, Self::DeadLevel, Self::DeadEntry, Self::Going];
}

/// How often each came.
static SEEN: [Word; Rare::ALL.len()] = [const { Word::new(0) }; Rare::ALL.len()];

/// Counts what came, in kernels with KUnit. Any context.
#[inline]
pub(crate) fn seen(what: Rare) {
    if cfg!(CONFIG_KUNIT = "y") {
        if let Some(seen) = SEEN.get(what as usize) {
            seen.count(1);
        }
    }
}

/// Returns how often each of [`Rare::ALL`] came.
#[cfg(CONFIG_KUNIT = "y")]
pub(crate) fn all_seen() -> [u64; Rare::ALL.len()] {
    SEEN.each_ref().map(Word::load)
}

/// Shows that preemption is off, which a grace period of RCU waits for.
pub(crate) struct Reading(NotThreadSafe);

/// A section that reads what may be freed after it.
pub(crate) struct ReadScope(Reading);

impl ReadScope {
    /// Begins the section. Any context.
    #[inline]
    pub(crate) fn enter() -> Self {
        // SAFETY: No precondition; `Drop` ends the section on the same CPU.
        unsafe { ours::swapvma_rcu_enter() };
        Self(Reading(NotThreadSafe))
    }
}

impl Drop for ReadScope {
    #[inline]
    fn drop(&mut self) {
        // SAFETY: The constructor began the section, and the type is not `Send`.
        unsafe { ours::swapvma_rcu_leave() };
    }
}

impl Deref for ReadScope {
    type Target = Reading;

    #[inline]
    fn deref(&self) -> &Reading {
        &self.0
    }
}

/// A section that spins: also, lockdep knows that an entry bit is held.
pub(crate) struct SpinScope(Reading);

impl SpinScope {
    /// Begins the section before spinning. Not in interrupts.
    #[inline]
    pub(crate) fn enter() -> Self {
        // SAFETY: No precondition; `Drop` ends the section on the same CPU.
        unsafe { ours::swapvma_entry_acquire() };
        Self(Reading(NotThreadSafe))
    }
}

impl Drop for SpinScope {
    #[inline]
    fn drop(&mut self) {
        // SAFETY: The constructor began the section, and the type is not `Send`.
        unsafe { ours::swapvma_entry_release() };
    }
}

impl Deref for SpinScope {
    type Target = Reading;

    #[inline]
    fn deref(&self) -> &Reading {
        &self.0
    }
}

impl SpinScope {
    /// Joins the section and what `find` finds in it, in `owner`.
    #[inline]
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

/// What was found in a spinning section, and the section. `'a` is the life of
/// what it was found in.
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

    #[inline]
    fn deref(&self) -> &T {
        // SAFETY: By the type invariant the value lasts as long as the section,
        // which ends with `self`.
        unsafe { self.value.as_ref() }
    }
}

/// A section without interrupts.
struct IrqScope(Reading, usize);

impl IrqScope {
    fn enter() -> Self {
        // SAFETY: No precondition; `Drop` restores the flags on the same CPU.
        let flags = unsafe { ours::swapvma_irq_save() };
        Self(Reading(NotThreadSafe), flags)
    }
}

impl Drop for IrqScope {
    fn drop(&mut self) {
        // SAFETY: The flags are those that `enter` saved on this CPU.
        unsafe { ours::swapvma_irq_restore(self.1) };
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

/// Memory for an array.
pub(crate) struct Spare(KBox<MaybeUninit<Level>>);

type Level = [u64; PAGE_SIZE / size_of::<u64>()];

impl Spare {
    /// Allocates it. May sleep.
    ///
    /// # Errors
    ///
    /// `ENOMEM`.
    pub(crate) fn new() -> Result<Self> {
        Ok(Self(KBox::new_uninit(GFP_KERNEL_ACCOUNT)?))
    }
}

/// An array that is allocated when it is first needed, and can be freed when
/// everything in it is blank.
///
/// Nobody takes a lock to read it. It is read in a section without preemption,
/// and freed after all such sections that could see it.
///
/// # Invariants
///
/// The pointer is null, [`dead`], or owns a [`KBox`] of a [`Level`] that is not
/// freed before a grace period has passed since it was replaced.
pub(crate) struct LazyArray<T, const N: usize>(Atomic<*mut [T; N]>);

// SAFETY: Sharing a `LazyArray` shares and, by the last drop, sends its `T`s.
unsafe impl<T: Send + Sync, const N: usize> Send for LazyArray<T, N> {}
// SAFETY: As above; the pointer itself is atomic.
unsafe impl<T: Send + Sync, const N: usize> Sync for LazyArray<T, N> {}

/// The pointer of an array that is not there and will not be.
const fn dead<T, const N: usize>() -> *mut [T; N] {
    ptr::without_provenance_mut(1)
}

impl<T, const N: usize> Blank for LazyArray<T, N> {
    fn blank() -> Self {
        // INVARIANT: The pointer is null.
        Self(Atomic::new(ptr::null_mut()))
    }
}

impl<T, const N: usize> Mortal for LazyArray<T, N> {
    fn kill(&self) -> bool {
        // INVARIANT: There is no array.
        self.0.cmpxchg(ptr::null_mut(), dead(), Full).is_ok()
    }

    fn revive(&self) {
        // INVARIANT: There is no array.
        self.0.store(ptr::null_mut(), Release);
    }
}

impl<T: Blank, const N: usize> LazyArray<T, N> {
    /// Returns the array if it is there. Any context.
    #[inline]
    pub(crate) fn get<'a>(&'a self, _reading: &'a Reading) -> Option<&'a [T; N]> {
        let array = self.0.load(Acquire);
        if array == dead() {
            seen(Rare::DeadLevel);
            return None;
        }
        // SAFETY: By the type invariant, the array is valid for as long as the
        // section lasts in which it was found; the load pairs with the release
        // of publication.
        unsafe { array.as_ref() }
    }

    /// Publishes an array of blanks, unless it is there: that is success, too, and
    /// the memory comes back, as it does if the array is dead. Any context.
    pub(crate) fn publish(&self, spare: Spare) -> Option<Spare> {
        const {
            assert!(size_of::<[T; N]>() == size_of::<Level>());
            assert!(align_of::<T>() <= align_of::<Level>());
        }
        let level = KBox::into_raw(spare.0);
        let first: *mut T = level.cast();
        for i in 0..N {
            // SAFETY: `i` is within the array, for which a level has room.
            unsafe { first.add(i).write(T::blank()) };
        }
        // INVARIANT: The pointer owns the box that was just given up.
        match self.0.cmpxchg(ptr::null_mut(), level.cast(), Full) {
            Ok(_) => None,
            Err(found) => {
                if found != dead() {
                    seen(Rare::Present);
                }
                // SAFETY: Publication failed, so the box is still this caller's.
                Some(Spare(unsafe { KBox::from_raw(level) }))
            }
        }
    }
}

impl<T: Blank + Mortal, const N: usize> LazyArray<T, N> {
    /// Takes the array away if everything in it is blank. Any context. What is in
    /// it is dead while this looks; whoever meets that walks again, so interrupts
    /// are off.
    pub(crate) fn retire(&self) -> Option<Retired> {
        let scope = IrqScope::enter();
        let array = self.get(&scope.0)?;
        for (i, child) in array.iter().enumerate() {
            if !child.kill() {
                array.iter().take(i).for_each(Mortal::revive);
                return None;
            }
        }
        let array = self.0.load(Relaxed);
        // INVARIANT: Nobody else takes it away, since only one can kill all that
        // is in it; `Retired` waits for the grace period.
        self.0.store(ptr::null_mut(), Release);
        NonNull::new(array.cast()).map(Retired)
    }
}

/// An array that was taken away. Dropping it frees it after a grace period, and
/// may sleep.
///
/// # Invariants
///
/// Owns a box of a [`Level`] that no pointer leads to any more.
pub(crate) struct Retired(NonNull<Level>);

impl Drop for Retired {
    fn drop(&mut self) {
        // SAFETY: By the type invariant; whoever found the array before is in a
        // section that a grace period waits for.
        unsafe { ours::swapvma_free_after_rcu(self.0.as_ptr().cast()) };
    }
}

impl<T, const N: usize> Drop for LazyArray<T, N> {
    fn drop(&mut self) {
        let array = *self.0.get_mut();
        if array.is_null() || array == dead() {
            return;
        }
        // SAFETY: By the type invariant the array is there, and nobody else can
        // reach it any more.
        unsafe { ptr::drop_in_place(array) };
        // SAFETY: By the type invariant the pointer owns a box of a level, of
        // which nothing is left to drop.
        drop(unsafe { KBox::from_raw(array.cast::<Level>()) });
    }
}

#[kunit_tests(swapvma_atomic)]
mod tests {
    use super::*;
    use crate::{
        entry::{
            State,
            Stored, //
        },
        error::code,
        fill::Fill,
        table::{
            Table,
            MAX_PAGES, //
        },
    };

    fn poison(table: &Table, index: u64) -> Result {
        table.lock_filled(index)?.set(State::Poisoned);
        Ok(())
    }

    #[test]
    fn levels_are_filled_once() -> Result {
        let table = Table::new();
        assert!(table.lock(0).is_none());
        table.fill(511)?;
        poison(&table, 511)?;
        assert_eq!(table.peek(511), State::Poisoned);
        assert_eq!(table.peek(510), State::Empty);
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
        let fill = Fill::new(u64::MAX).ok_or(code::EINVAL)?;
        let mut locked = table.lock_filled(7)?;
        locked.set(State::Swapped(Stored::Fill(fill)));
        assert_eq!(table.peek(7), State::Empty);
        drop(locked);
        assert_eq!(table.peek(7), State::Swapped(Stored::Fill(fill)));
        Ok(())
    }

    #[test]
    fn empty_levels_are_freed() -> Result {
        let table = Table::new();
        for index in [0, 600, 5000, MAX_PAGES - 1] {
            poison(&table, index)?;
        }
        assert_eq!(table.levels(), 1 + 3 + 4);
        // Nothing of what holds something goes.
        table.trim(0..MAX_PAGES);
        assert_eq!(table.levels(), 1 + 3 + 4);
        for (index, left) in [(600, 1 + 2 + 4), (MAX_PAGES - 1, 1 + 2), (5000, 1), (0, 0)] {
            table.lock_filled(index)?.set(State::Empty);
            table.trim(index..index + 1);
            assert_eq!(table.levels(), left);
            assert_eq!(table.peek(index), State::Empty);
        }
        poison(&table, 5000)?;
        assert_eq!(table.levels(), 2);
        Ok(())
    }

    /// What an interrupt does to a table, and what it found.
    struct Interrupt<'a> {
        table: &'a Table,
        index: u64,
        spares: KVec<Spare>,
        found: State,
        result: Result,
    }

    /// # Safety
    ///
    /// `arg` is an [`Interrupt`] that nobody else uses.
    unsafe extern "C" fn populate(arg: *mut c_void) {
        // SAFETY: By the safety requirement.
        let this = unsafe { &mut *arg.cast::<Interrupt<'_>>() };
        this.found = this.table.peek(this.index);
        let spares = &mut this.spares;
        this.result = this
            .table
            .fill_with(this.index, || spares.pop().ok_or(code::ENOMEM));
    }

    #[test]
    fn interrupts_look_up_and_populate() -> Result {
        let table = Table::new();
        for index in [3, 700, 1 << 20, 3] {
            let mut spares = KVec::new();
            for _ in 0..4 {
                spares.push(Spare::new()?, GFP_KERNEL)?;
            }
            let mut interrupt = Interrupt {
                table: &table,
                index,
                spares,
                found: State::Dead,
                result: Err(code::EINVAL),
            };
            // SAFETY: The interrupt is over when the function returns.
            unsafe { ours::swapvma_run_in_interrupt(Some(populate), (&raw mut interrupt).cast()) };
            interrupt.result?;
            assert_eq!(interrupt.found, table.peek(index));
            poison(&table, index)?;
        }
        assert_eq!(table.levels(), 1 + 2 + 3);
        assert_eq!(table.peek(1 << 20), State::Poisoned);
        Ok(())
    }
}
