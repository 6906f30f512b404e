// SPDX-License-Identifier: GPL-2.0

//! The pages that records are in.
//!
//! Pages are allocated and freed without the lock of the pool.

use super::Record;
use crate::{
    bitmap::{
        Bitmap,
        CAPACITY, //
    },
    error::{
        code,
        Result, //
    },
    folio::PAGE_SIZE,
};
use core::ptr::{
    self,
    NonNull, //
};
use kernel::{
    bindings,
    prelude::*,
    types::Opaque, //
};

/// A page of records.
#[repr(C, align(16))]
struct Chunk {
    bitmap: Bitmap,
    next: *mut Chunk,
    prev: *mut Chunk,
    _pad: [u64; 4],
    records: [Opaque<Record>; CAPACITY],
}

const _: () = assert!(size_of::<Chunk>() == PAGE_SIZE);

/// The pages that have a free record, as a list of raw pointers.
pub(super) struct Pool {
    first: *mut Chunk,
    /// Pages in all.
    pub(super) pages: u64,
    /// Records that were taken.
    pub(super) taken: u64,
    /// Pages of which no record is: those that two tasks added where one would
    /// have done.
    pub(super) empty: u64,
}

// SAFETY: Chunks belong to the pool, which locks them.
unsafe impl Send for Pool {}

kernel::sync::global_lock! {
    // Lockdep prints the name.
    #[allow(non_upper_case_globals)]
    // SAFETY: `init` initialises it before anything else runs.
    pub(super) unsafe(uninit) static swapvma_records: SpinLock<Pool> = Pool {
        first: ptr::null_mut(),
        pages: 0,
        taken: 0,
        empty: 0,
    };
}

/// Initialises the pool.
///
/// # Safety
///
/// Called once, at module load, before anything else of this file.
pub(super) unsafe fn init() {
    // SAFETY: By the safety requirement.
    unsafe { swapvma_records.init() };
}

/// Adds a page. May sleep and allocate: before any lock.
///
/// # Errors
///
/// `ENOMEM`.
pub(super) fn grow() -> Result {
    // SAFETY: No precondition.
    let page = unsafe { bindings::get_free_pages_noprof(bindings::GFP_KERNEL, 0) };
    let chunk = page as *mut Chunk;
    if chunk.is_null() {
        return Err(code::ENOMEM);
    }
    // SAFETY: The page is this caller's.
    unsafe { (&raw mut (*chunk).bitmap).write(Bitmap::new()) };
    let mut pool = swapvma_records.lock();
    pool.pages += 1;
    pool.empty += 1;
    // SAFETY: The chunk's bitmap is initialised; `link` writes the links.
    pool.link(unsafe { &mut *chunk });
    Ok(())
}

/// Pages that left the pool. Dropping it frees them: without a lock.
///
/// # Invariants
///
/// A list of pages that no record is in use of and that the pool does not have.
pub(super) struct Gone(*mut Chunk, u64);

impl Gone {
    /// No page.
    pub(super) fn none() -> Self {
        // INVARIANT: The list is empty.
        Self(ptr::null_mut(), 0)
    }

    /// Returns how many pages there are.
    pub(super) fn pages(&self) -> u64 {
        self.1
    }
}

impl Drop for Gone {
    fn drop(&mut self) {
        // SAFETY: By the type invariant.
        while let Some(chunk) = unsafe { self.0.as_mut() } {
            self.0 = chunk.next;
            // SAFETY: By the type invariant nobody uses the page.
            unsafe { bindings::free_pages(ptr::from_mut(chunk) as usize, 0) };
        }
    }
}

impl Pool {
    /// Takes a record, if one is free.
    pub(super) fn take(&mut self) -> Option<NonNull<Record>> {
        // SAFETY: Chunks on the list are valid, and the lock is held.
        let chunk = unsafe { self.first.as_mut() }?;
        let was_empty = chunk.bitmap.is_empty();
        let i = chunk.bitmap.take()?;
        self.taken += 1;
        self.empty -= u64::from(was_empty);
        if chunk.bitmap.is_full() {
            self.unlink(chunk);
        }
        NonNull::new(chunk.records.get(i)?.get())
    }

    /// Gives a record back. Its page goes to `gone` if it was the last one.
    pub(super) fn give(&mut self, record: NonNull<Record>, gone: &mut Gone) {
        let chunk = (record.as_ptr() as usize & !(PAGE_SIZE - 1)) as *mut Chunk;
        // SAFETY: The record lies in a chunk of the pool, whose lock is held.
        let chunk = unsafe { &mut *chunk };
        let i = (record.as_ptr() as usize - chunk.records.as_ptr() as usize) / size_of::<Record>();
        let was_full = chunk.bitmap.is_full();
        if !chunk.bitmap.give(i) {
            kernel::pr_err_once!("record {} given back twice\n", i);
            return;
        }
        self.taken -= 1;
        if was_full {
            self.link(chunk);
        }
        if chunk.bitmap.is_empty() {
            self.remove(chunk, gone);
        }
    }

    /// Removes the pages that are empty.
    pub(super) fn remove_empty(&mut self, gone: &mut Gone) {
        let mut chunk = self.first;
        while self.empty != 0 {
            // SAFETY: Chunks on the list are valid, and the lock is held.
            let Some(at) = (unsafe { chunk.as_mut() }) else {
                return;
            };
            chunk = at.next;
            if at.bitmap.is_empty() {
                self.empty -= 1;
                self.remove(at, gone);
            }
        }
    }

    fn remove(&mut self, chunk: &mut Chunk, gone: &mut Gone) {
        self.unlink(chunk);
        self.pages -= 1;
        // INVARIANT: No record of the chunk is in use, and it is off the list.
        chunk.next = gone.0;
        gone.0 = chunk;
        gone.1 += 1;
    }

    fn link(&mut self, chunk: &mut Chunk) {
        chunk.prev = ptr::null_mut();
        chunk.next = self.first;
        // SAFETY: The list's chunks are valid while its lock is held.
        if let Some(next) = unsafe { self.first.as_mut() } {
            next.prev = chunk;
        }
        self.first = chunk;
    }

    fn unlink(&mut self, chunk: &mut Chunk) {
        // SAFETY: As in `link`.
        match unsafe { chunk.prev.as_mut() } {
            Some(prev) => prev.next = chunk.next,
            None => self.first = chunk.next,
        }
        // SAFETY: As in `link`.
        if let Some(next) = unsafe { chunk.next.as_mut() } {
            next.prev = chunk.prev;
        }
    }
}
