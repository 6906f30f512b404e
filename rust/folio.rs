// SPDX-License-Identifier: GPL-2.0

//! Folios: the pages of a region, always of order 0, and what a reference, the
//! folio lock and a frozen reference count allow.
//!
//! A region's page carries the region's mapping and its index but is never in
//! the page cache. It is in the region's table for as long as `folio->mapping`
//! is set: from before anybody else can see it until that is cleared under the
//! folio lock.
//!
//! C header: [`include/linux/mm.h`](srctree/include/linux/mm.h)

use crate::{
    bindings as ours,
    error::{
        code,
        Result, //
    },
    fill::Fill,
    lockdep,
    range::PAGE_BYTES, //
};
use core::ptr::NonNull;
use kernel::bindings;

/// Bytes of a page.
pub(crate) const PAGE_SIZE: usize = PAGE_BYTES as usize;

/// The bytes of one page.
pub(crate) type PageBytes = [u8; PAGE_SIZE];

/// References that a page of a table has when nobody else uses it: the table's
/// and the caller's.
const UNUSED: i32 = 2;

/// The address space of a region: what `unmap_mapping_pages` walks.
///
/// # Invariants
///
/// The pointer is that of a region's inode, which lives as long as the region
/// is open.
#[derive(Clone, Copy)]
pub(crate) struct Mapping(NonNull<bindings::address_space>);

// SAFETY: An address space is used from any task; its functions lock it.
unsafe impl Send for Mapping {}
// SAFETY: As above.
unsafe impl Sync for Mapping {}

impl Mapping {
    /// Wraps an address space.
    ///
    /// # Safety
    ///
    /// `mapping` outlives the region that uses it.
    pub(crate) unsafe fn from_raw(mapping: NonNull<bindings::address_space>) -> Self {
        // INVARIANT: By the safety requirement.
        Self(mapping)
    }

    /// Removes `count` pages from `first` from the page tables of every
    /// process. `cows` also removes private copies (truncation). May sleep.
    pub(crate) fn unmap(self, first: u64, count: u64, cows: bool) {
        // Every CPU that runs one of the processes flushes its TLB.
        lockdep::remote_wait();
        // SAFETY: By the type invariant the mapping is valid.
        unsafe {
            bindings::unmap_mapping_pages(self.0.as_ptr(), first as usize, count as usize, cows)
        };
    }

    /// Whether an mlock keeps some of the pages from `first` to `last` in memory. May
    /// sleep.
    pub(crate) fn has_locked(self, first: u64, last: u64) -> bool {
        // SAFETY: By the type invariant the mapping is valid.
        unsafe { ours::swapvma_mapping_locked(self.0.as_ptr(), first as usize, last as usize) }
    }

    /// Makes the next store to page `index` fault. The folio is locked, so
    /// that no fault makes it writable meanwhile. May sleep.
    pub(crate) fn write_protect(self, index: u64, folio: &Locked) {
        lockdep::remote_wait();
        // SAFETY: By the type invariant the mapping is valid, and the folio is
        // the page at `index`.
        unsafe { ours::swapvma_write_protect(self.0.as_ptr(), index as usize, folio.0.as_ptr()) };
    }
}

/// A counted reference to a page.
///
/// # Invariants
///
/// Owns one reference.
pub(crate) struct Folio(NonNull<bindings::folio>);

// SAFETY: References to pages may be passed to and used from any task.
unsafe impl Send for Folio {}
// SAFETY: As above.
unsafe impl Sync for Folio {}

impl Folio {
    /// Takes another reference to a page that somebody holds one to.
    ///
    /// # Safety
    ///
    /// `folio` is valid and has a reference for the duration of the call.
    pub(crate) unsafe fn get(folio: NonNull<bindings::folio>) -> Self {
        // SAFETY: By the safety requirement.
        unsafe { ours::swapvma_folio_get(folio.as_ptr()) };
        // INVARIANT: The call above took the reference.
        Self(folio)
    }

    /// Takes over a reference.
    ///
    /// # Safety
    ///
    /// The caller gives up one reference to `folio`.
    pub(crate) unsafe fn from_raw(folio: NonNull<bindings::folio>) -> Self {
        // INVARIANT: By the safety requirement.
        Self(folio)
    }

    /// Gives the reference to the caller.
    pub(crate) fn into_raw(self) -> NonNull<bindings::folio> {
        let folio = self.0;
        core::mem::forget(self);
        folio
    }

    /// Returns the node of the page's memory.
    pub(crate) fn nid(&self) -> i32 {
        // SAFETY: By the type invariant the folio is valid.
        unsafe { ours::swapvma_folio_nid(self.0.as_ptr()) }
    }

    /// Returns the page.
    pub(crate) fn as_ptr(&self) -> *mut bindings::folio {
        self.0.as_ptr()
    }

    /// Takes the folio lock if it is free.
    pub(crate) fn try_lock(self) -> core::result::Result<Locked, Self> {
        // SAFETY: By the type invariant the folio is valid.
        if unsafe { ours::swapvma_folio_trylock(self.0.as_ptr()) } {
            // INVARIANT: The lock was just taken.
            Ok(Locked(self))
        } else {
            Err(self)
        }
    }

    /// Takes the folio lock. May sleep; whoever holds it never waits for a
    /// driver.
    pub(crate) fn lock(self) -> Locked {
        lockdep::wait_for_folio();
        // SAFETY: By the type invariant the folio is valid.
        unsafe { ours::swapvma_folio_lock(self.0.as_ptr()) };
        // INVARIANT: The lock was just taken.
        Locked(self)
    }

    /// As [`Folio::lock`], unless the task is killed.
    ///
    /// # Errors
    ///
    /// `EINTR`.
    pub(crate) fn lock_killable(self) -> Result<Locked> {
        lockdep::wait_for_folio();
        // SAFETY: By the type invariant the folio is valid.
        if unsafe { ours::swapvma_folio_lock_killable(self.0.as_ptr()) } != 0 {
            return Err(code::EINTR);
        }
        // INVARIANT: The lock was just taken.
        Ok(Locked(self))
    }

    /// Whether an mlock or a pin keeps the page in memory.
    pub(crate) fn is_unevictable(&self) -> bool {
        // SAFETY: By the type invariant the folio is valid.
        unsafe { ours::swapvma_folio_unevictable(self.0.as_ptr()) }
    }

    /// Whether somebody besides the table, the caller and page tables has a
    /// reference. Stale on return.
    pub(crate) fn is_held(&self) -> bool {
        // SAFETY: By the type invariant the folio is valid.
        unsafe { ours::swapvma_folio_held(self.0.as_ptr(), UNUSED) }
    }

    /// Whether the page may be pinned for I/O.
    pub(crate) fn is_pinned(&self) -> bool {
        // SAFETY: By the type invariant the folio is valid.
        unsafe { ours::swapvma_folio_pinned(self.0.as_ptr()) }
    }

    /// Pins the page, as GUP does for I/O. The pin outlives this reference.
    pub(crate) fn pin(&self) {
        // SAFETY: By the type invariant the folio is valid.
        unsafe { ours::swapvma_folio_pin(self.0.as_ptr()) };
    }

    /// Undoes [`Folio::pin`].
    pub(crate) fn unpin(&self) {
        // SAFETY: By the type invariant the folio is valid; `self` keeps it.
        unsafe { ours::swapvma_folio_unpin(self.0.as_ptr()) };
    }

    /// Returns the index that the page has or had in its region.
    pub(crate) fn index(&self) -> u64 {
        // SAFETY: By the type invariant the folio is valid.
        unsafe { ours::swapvma_folio_index(self.0.as_ptr()) as u64 }
    }

    /// Whether a memory error hit the page.
    pub(crate) fn is_poisoned(&self) -> bool {
        // SAFETY: By the type invariant the folio is valid.
        unsafe { ours::swapvma_folio_hwpoison(self.0.as_ptr()) }
    }

    /// Whether a page table maps the page.
    pub(crate) fn is_mapped(&self) -> bool {
        // SAFETY: By the type invariant the folio is valid.
        unsafe { ours::swapvma_folio_mapped(self.0.as_ptr()) }
    }

    /// Whether the page changed since it was last written or read.
    pub(crate) fn is_dirty(&self) -> bool {
        // SAFETY: By the type invariant the folio is valid.
        unsafe { ours::swapvma_folio_test_dirty(self.0.as_ptr()) }
    }

    /// Whether the page may repeat a word. Stale on return.
    pub(crate) fn may_repeat(&self) -> bool {
        // SAFETY: By the type invariant the folio is valid.
        unsafe { ours::swapvma_folio_may_repeat(self.0.as_ptr()) }
    }

    /// Marks the page as changed.
    pub(crate) fn set_dirty(&self) {
        // SAFETY: By the type invariant the folio is valid.
        unsafe { ours::swapvma_folio_set_dirty(self.0.as_ptr()) };
    }

    /// Returns the content.
    ///
    /// # Safety
    ///
    /// Nobody else accesses it for `'a`.
    #[allow(clippy::mut_from_ref)]
    pub(crate) unsafe fn bytes_mut<'a>(&self) -> &'a mut PageBytes {
        // SAFETY: By the type invariant the folio is valid; on 64-bit all
        // memory is mapped.
        let address = unsafe { ours::swapvma_folio_address(self.0.as_ptr()) };
        // SAFETY: By the safety requirement.
        unsafe { &mut *address.cast::<PageBytes>() }
    }

    /// Copies another page to this one, which nobody else uses. Others may change
    /// the other page meanwhile; a memory error in it is an error, not a machine
    /// check.
    ///
    /// # Errors
    ///
    /// `EIO` on a memory error.
    pub(crate) fn copy_from(&self, from: &Folio) -> Result {
        // SAFETY: By the type invariant the folio is valid; on 64-bit all
        // memory is mapped.
        let to = unsafe { ours::swapvma_folio_address(self.0.as_ptr()) };
        // SAFETY: Both are a page long.
        let left = unsafe { ours::swapvma_folio_copy(to, from.0.as_ptr()) };
        if left == 0 {
            Ok(())
        } else {
            Err(code::EIO)
        }
    }

    /// Copies the page to `to`. Others, a device for instance, may change the page
    /// meanwhile; a memory error in it is an error, not a machine check.
    ///
    /// # Errors
    ///
    /// `EIO` on a memory error.
    pub(crate) fn copy_to(&self, to: &mut PageBytes) -> Result {
        // SAFETY: By the type invariant the folio is valid; `to` is a page long.
        let left = unsafe { ours::swapvma_folio_copy(to.as_mut_ptr().cast(), self.0.as_ptr()) };
        if left == 0 {
            Ok(())
        } else {
            Err(code::EIO)
        }
    }
}

impl Drop for Folio {
    fn drop(&mut self) {
        // SAFETY: By the type invariant there is a reference to give up.
        unsafe { ours::swapvma_folio_put(self.0.as_ptr()) };
    }
}

/// What an allocation of a page may do to get one.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Effort {
    /// Take what is free, and does not exceed the limit of who pays for it.
    Quick,
    /// Reclaim, and fail rather than have a task killed.
    Patient,
    /// Whatever helps.
    Firm,
}

/// A page that is new: nobody else can see it.
pub(crate) struct NewPage(Folio);

impl NewPage {
    /// Allocates a page, of zeroes or of any content. The cgroup that is charged pays
    /// for it. May sleep and reclaim unless it is to be [`Effort::Quick`].
    ///
    /// # Errors
    ///
    /// `ENOMEM`.
    pub(crate) fn new(zero: bool, effort: Effort) -> Result<Self> {
        let effort = match effort {
            Effort::Quick => ours::swapvma_effort::SWAPVMA_EFFORT_QUICK,
            Effort::Patient => ours::swapvma_effort::SWAPVMA_EFFORT_PATIENT,
            Effort::Firm => ours::swapvma_effort::SWAPVMA_EFFORT_FIRM,
        };
        // SAFETY: No precondition.
        let folio = unsafe { ours::swapvma_folio_alloc(zero, effort) };
        let folio = NonNull::new(folio).ok_or(code::ENOMEM)?;
        // SAFETY: The allocation gave its one reference.
        Ok(Self(unsafe { Folio::from_raw(folio) }))
    }

    /// Returns the node of the page's memory.
    pub(crate) fn nid(&self) -> i32 {
        self.0.nid()
    }

    /// Returns the page as any other.
    pub(crate) fn into_folio(self) -> Folio {
        self.0
    }

    /// Returns the content.
    pub(crate) fn bytes(&mut self) -> &mut PageBytes {
        // SAFETY: The folio is valid; on 64-bit all memory is mapped.
        let address = unsafe { ours::swapvma_folio_address(self.0.as_ptr()) };
        // SAFETY: The address is that of a page that only `self` can see.
        unsafe { &mut *address.cast::<PageBytes>() }
    }

    /// Returns the page for a driver to read into.
    pub(crate) fn as_page(&mut self) -> *mut bindings::page {
        // SAFETY: By the type invariant the folio is valid.
        unsafe { ours::swapvma_folio_page(self.0.as_ptr()) }
    }

    /// Fills the page with zeroes.
    pub(crate) fn clear(&mut self) {
        // SAFETY: By the type invariant the folio is valid; only `self` can see it.
        unsafe { ours::swapvma_folio_clear(self.0.as_ptr()) };
    }

    /// Fills the page with a word.
    pub(crate) fn fill(&mut self, word: u64) {
        for chunk in self.bytes().chunks_exact_mut(size_of::<u64>()) {
            chunk.copy_from_slice(&word.to_ne_bytes());
        }
    }

    /// Locks the page, once, before others can see it.
    pub(crate) fn lock(&self) -> Locked {
        // SAFETY: Nobody else can see the folio.
        unsafe { ours::swapvma_folio_set_locked(self.0.as_ptr()) };
        // SAFETY: `self` holds a reference.
        // INVARIANT: The lock was just taken.
        Locked(unsafe { Folio::get(self.0 .0) })
    }

    /// Gives the page its place in a region. The reference is the table's.
    pub(crate) fn attach(self, mapping: Mapping, index: u64) -> Folio {
        // SAFETY: Nobody else can see the folio, and the mapping is valid.
        unsafe { ours::swapvma_folio_attach(self.0.as_ptr(), mapping.0.as_ptr(), index as usize) };
        self.0
    }
}

/// A page of which the caller holds the folio lock and a reference.
///
/// # Invariants
///
/// The folio lock is held by this value.
#[must_use = "the folio unlocks immediately when the guard is unused"]
pub(crate) struct Locked(Folio);

impl core::ops::Deref for Locked {
    type Target = Folio;

    fn deref(&self) -> &Folio {
        &self.0
    }
}

impl Locked {
    /// Whether the page is in the table of the region of `mapping`.
    pub(crate) fn is_attached(&self, mapping: Mapping) -> bool {
        // SAFETY: By the type invariants both are valid.
        unsafe { ours::swapvma_folio_attached(self.0.as_ptr(), mapping.0.as_ptr()) }
    }

    /// Unlocks the page and keeps the reference.
    pub(crate) fn unlock(self) -> Folio {
        let folio = self.leave_locked();
        // SAFETY: By the type invariant the lock is held.
        unsafe { bindings::folio_unlock(folio.as_ptr()) };
        folio
    }

    /// Leaves the page locked: somebody else unlocks it.
    pub(crate) fn leave_locked(self) -> Folio {
        // SAFETY: `self` is forgotten, so its reference has one owner.
        let folio = unsafe { core::ptr::read(&self.0) };
        core::mem::forget(self);
        folio
    }

    /// Forgets that the page changed, before it is written.
    pub(crate) fn clear_dirty(&self) {
        // SAFETY: By the type invariant the folio is valid and locked.
        unsafe { ours::swapvma_folio_clear_dirty(self.0.as_ptr()) };
    }

    /// Freezes the reference count if nobody but the table and the caller uses
    /// the page: no page table, no pin, no munmap whose flush is pending.
    pub(crate) fn freeze(self) -> core::result::Result<Frozen, Self> {
        // SAFETY: By the type invariant the folio is valid.
        if unsafe { ours::swapvma_folio_ref_freeze(self.0.as_ptr(), UNUSED) } {
            // INVARIANT: The count was just frozen.
            Ok(Frozen(self))
        } else {
            Err(self)
        }
    }

    /// Zeroes the bytes from `from` to `to` of the page.
    pub(crate) fn zero(&self, from: usize, to: usize) {
        // SAFETY: By the type invariant the folio is valid.
        unsafe { ours::swapvma_folio_zero(self.0.as_ptr(), from, to) };
    }

    /// Takes the page out of its region. The table's reference is the
    /// caller's to drop.
    pub(crate) fn detach(&self) {
        // SAFETY: By the type invariant the folio is valid and locked.
        unsafe { ours::swapvma_folio_detach(self.0.as_ptr()) };
    }
}

impl Drop for Locked {
    fn drop(&mut self) {
        // SAFETY: By the type invariant the lock is held.
        unsafe { bindings::folio_unlock(self.0.as_ptr()) };
    }
}

/// A locked page that nobody else can reach: its content and its dirty bit are
/// final.
///
/// # Invariants
///
/// The reference count is frozen at zero and stood for two references.
pub(crate) struct Frozen(Locked);

impl core::ops::Deref for Frozen {
    type Target = Locked;

    fn deref(&self) -> &Locked {
        &self.0
    }
}

impl Frozen {
    /// Returns the word that the page repeats, if it does.
    pub(crate) fn same_filled(&self) -> Option<Fill> {
        // SAFETY: The folio is valid; on 64-bit all memory is mapped.
        let address = unsafe { ours::swapvma_folio_address(self.0.as_ptr()) };
        // SAFETY: The address is that of a page that, its count being frozen,
        // nobody changes.
        let words = unsafe { &*address.cast::<[u64; PAGE_SIZE / 8]>() };
        Fill::of_page(words)
    }

    /// Lets others use the page again.
    pub(crate) fn thaw(self) -> Locked {
        // SAFETY: By the type invariant the count is frozen.
        unsafe { ours::swapvma_folio_ref_unfreeze(self.0.as_ptr(), UNUSED) };
        // SAFETY: `self` is forgotten, so the lock has one owner.
        let locked = unsafe { core::ptr::read(&self.0) };
        core::mem::forget(self);
        locked
    }
}

impl Drop for Frozen {
    fn drop(&mut self) {
        // SAFETY: By the type invariant the count is frozen.
        unsafe { ours::swapvma_folio_ref_unfreeze(self.0.as_ptr(), UNUSED) };
    }
}
