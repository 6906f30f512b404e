// SPDX-License-Identifier: GPL-2.0

//! Fronts: a magazine of records for each processor, so that to take a record and
//! to give one back is an operation on memory that no other processor uses.
//!
//! A front has a lock, which its processor hardly ever finds taken. Anybody may
//! empty any front with it: no processor has to be asked, and one that goes away
//! leaves nothing behind that could not be used.

use super::{
    magazine::{
        Magazine,
        HALF, //
    },
    pool::{
        self,
        swapvma_records,
        Gone, //
    },
    Record,
    Unused, //
};
use crate::{
    atomic::Word,
    bindings as ours,
    entry::Address,
    error::{
        code,
        Result, //
    },
};
use core::ptr::NonNull;
use kernel::{
    prelude::*,
    sync::SpinLock, //
};

/// A record in a magazine.
struct Spare(NonNull<Record>);

// SAFETY: A record that nobody uses may be passed between tasks.
unsafe impl Send for Spare {}

type Front = SpinLock<Magazine<Spare>>;

const _: () = assert!(size_of::<Front>() <= size_of::<ours::swapvma_front>());
const _: () = assert!(align_of::<Front>() <= align_of::<ours::swapvma_front>());

/// Returns the front of the processor that this runs on; any other one is as good
/// if the task moves.
fn here() -> &'static Front {
    // SAFETY: No precondition.
    let front: *mut Front = unsafe { ours::swapvma_front_here() }.cast();
    // SAFETY: `init` initialised the front, which lives as long as the module.
    unsafe { &*front }
}

/// Returns the place for the front of a processor, if there may ever be one of this
/// number.
fn place_of(cpu: u32) -> Option<NonNull<Front>> {
    // SAFETY: No precondition.
    NonNull::new(unsafe { ours::swapvma_front_of(cpu) }.cast())
}

/// Returns the front of a processor, online or not.
fn of(cpu: u32) -> Option<&'static Front> {
    // SAFETY: As in `here`.
    place_of(cpu).map(|place| unsafe { place.as_ref() })
}

/// Returns all fronts.
fn all() -> impl Iterator<Item = &'static Front> {
    (0..kernel::cpu::nr_cpu_ids()).filter_map(of)
}

/// Initialises pool and fronts.
///
/// # Safety
///
/// Called once, at module load, before anything else of this file.
pub(crate) unsafe fn init() {
    // SAFETY: By the safety requirement.
    unsafe { pool::init() };
    for place in (0..kernel::cpu::nr_cpu_ids()).filter_map(place_of) {
        let front = kernel::new_spinlock!(Magazine::new(), "swapvma_front");
        // SAFETY: The place is large enough, aligned, and stays where it is; nobody
        // uses it yet.
        let Ok(()) = unsafe { front.__pinned_init(place.as_ptr()) };
    }
}

/// Takes a record. May sleep and allocate: before any lock.
///
/// # Errors
///
/// `ENOMEM`.
pub(crate) fn alloc() -> Result<Unused> {
    alloc_with(pool::grow)
}

/// As [`alloc`]; `grow` adds a page to the pool.
fn alloc_with(grow: impl Fn() -> Result) -> Result<Unused> {
    let record = loop {
        if let Some(record) = take() {
            break record;
        }
        if let Err(error) = grow() {
            break take_anywhere().ok_or(error)?;
        }
    };
    let address = Address::new(record.as_ptr() as u64).ok_or(code::EINVAL)?;
    // INVARIANT: The bit is taken, and no magazine has the record any more.
    Ok(Unused(record, address))
}

/// Takes a record out of the front; fills it by half if it is empty.
fn take() -> Option<NonNull<Record>> {
    let mut front = here().lock();
    if let Some(Spare(record)) = front.pop() {
        return Some(record);
    }
    let mut pool = swapvma_records.lock();
    let record = pool.take()?;
    for _ in 0..HALF {
        let Some(other) = pool.take() else { break };
        // There is room: it was empty.
        let _ = front.push(Spare(other));
    }
    Some(record)
}

/// Takes what some processor has at hand. Nothing goes through the pool: a page of
/// which no record is in use would be freed there, and its records with it.
fn take_anywhere() -> Option<NonNull<Record>> {
    let Spare(record) = all().find_map(|front| front.lock().pop())?;
    Some(record)
}

/// Gives a record back, and half of the others if the front is full.
pub(super) fn free(record: NonNull<Record>) {
    let mut gone = Gone::none();
    let mut front = here().lock();
    let Err(Spare(record)) = front.push(Spare(record)) else {
        return;
    };
    let mut pool = swapvma_records.lock();
    pool.give(record, &mut gone);
    for _ in 0..HALF {
        if let Some(Spare(other)) = front.pop() {
            pool.give(other, &mut gone);
        }
    }
}

/// Returns the records in use and the pages that hold records.
pub(crate) fn usage() -> (u64, u64) {
    let spare: usize = all().map(|front| front.lock().len()).sum();
    let pool = swapvma_records.lock();
    (pool.taken.saturating_sub(spare as u64), pool.pages)
}

/// Gives back what a front has, to the pool.
fn empty(front: &mut Magazine<Spare>, gone: &mut Gone) {
    let mut pool = swapvma_records.lock();
    while let Some(Spare(record)) = front.pop() {
        pool.give(record, gone);
    }
}

/// Gives back all pages in which no record is in use. Does not sleep.
pub(crate) fn shrink() {
    let mut gone = Gone::none();
    all().for_each(|front| empty(&mut front.lock(), &mut gone));
    swapvma_records.lock().remove_empty(&mut gone);
}

/// Gives back pages that are empty, and what one processor has at hand: the next
/// one each time, unless it took records or gave some back since its last turn. For
/// memory pressure. Does not sleep. Returns how many pages.
pub(crate) fn shrink_idle() -> u64 {
    static TURN: Word = Word::new(0);
    let cpus = u64::from(kernel::cpu::nr_cpu_ids());
    let mut gone = Gone::none();
    let cpu = TURN.add(1).checked_rem(cpus).unwrap_or(0) as u32;
    if let Some(front) = of(cpu) {
        let mut front = front.lock();
        if front.look_idle() {
            empty(&mut front, &mut gone);
        }
    }
    swapvma_records.lock().remove_empty(&mut gone);
    gone.pages()
}

/// Returns the pages that [`shrink_idle`] frees at once.
pub(crate) fn empty_pages() -> u64 {
    swapvma_records.lock().empty
}

#[kunit_tests(swapvma_front)]
mod tests {
    use super::*;
    use crate::bitmap::CAPACITY;

    #[test]
    fn without_memory_the_records_of_others_will_do() -> Result {
        let no_memory = || Err(code::ENOMEM);
        shrink();
        let before = usage();
        assert!(alloc_with(no_memory).is_err());
        // All records of a page, with a processor that needs none. There may be one
        // processor only.
        let other = all().find(|&front| !core::ptr::eq(front, here()));
        let other = other.unwrap_or_else(here);
        pool::grow()?;
        for _ in 0..CAPACITY {
            let record = swapvma_records.lock().take().ok_or(EINVAL)?;
            assert!(other.lock().push(Spare(record)).is_ok());
        }
        let mut taken = KVec::with_capacity(CAPACITY, GFP_KERNEL)?;
        for _ in 0..CAPACITY {
            taken.push(alloc_with(no_memory)?, GFP_KERNEL)?;
        }
        assert!(alloc_with(no_memory).is_err());
        drop(taken);
        shrink();
        assert_eq!(usage(), before);
        Ok(())
    }
}
