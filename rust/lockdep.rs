// SPDX-License-Identifier: GPL-2.0

//! Lockdep: the waits and sections that are no locks, made visible.
//!
//! Whoever may come to wait says so before it is known whether it comes to it, so
//! that a lock that must not be held there is reported the first time.
//!
//! C header: [`include/linux/lockdep.h`](srctree/include/linux/lockdep.h)

use crate::bindings;
use kernel::types::NotThreadSafe;

#[cfg(CONFIG_LOCKDEP)]
pub(crate) use crate::api::lockdep::IrqsOff;
pub(crate) use crate::api::lockdep::{
    remote_wait,
    Callback,
    InCallback, //
};

fn wait_for(callback: bindings::swapvma_callback) {
    if cfg!(CONFIG_LOCKDEP) {
        // SAFETY: No precondition.
        unsafe { bindings::swapvma_callback_wait(callback) };
    }
}

/// Tells lockdep that the caller is about to wait for batches in flight. Called
/// with the caller's locks held. May sleep.
pub(crate) fn wait_for_swapout() {
    wait_for(bindings::swapvma_callback::SWAPVMA_IN_SWAPOUT);
}

/// Tells lockdep that the caller is about to wait for the swapper, which calls
/// swapout and discard. As [`wait_for_swapout`].
pub(crate) fn wait_for_swapper() {
    wait_for_swapout();
    wait_for(bindings::swapvma_callback::SWAPVMA_IN_DISCARD);
}

/// Tells lockdep that the caller is about to wait for a read. As
/// [`wait_for_swapout`].
pub(crate) fn wait_for_swapin() {
    wait_for(bindings::swapvma_callback::SWAPVMA_IN_SWAPIN);
}

/// Tells lockdep that the caller is about to wait for regions to be detached from
/// their driver. As [`wait_for_swapout`].
pub(crate) fn wait_for_detach() {
    wait_for(bindings::swapvma_callback::SWAPVMA_IN_DETACH);
}

/// Tells lockdep that the caller is about to wait for a folio lock.
pub(crate) fn wait_for_folio() {
    if cfg!(CONFIG_LOCKDEP) {
        // SAFETY: No precondition.
        unsafe { bindings::swapvma_folio_wait() };
    }
}

/// Tells lockdep that the caller is about to bring a page into memory, for which
/// it may wait for the limit, for a read and for a folio lock. As
/// [`wait_for_swapout`].
pub(crate) fn wait_for_page() {
    wait_for_swapper();
    wait_for_swapin();
    wait_for_folio();
}

/// Who reserves windows, and whose they are.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Reserver {
    /// A task, of the subsystem's own.
    Task,
    /// The swapper, of the subsystem's own.
    Swapper,
    /// The driver `ram`, of its own.
    Ram,
}

impl Reserver {
    fn to_c(self) -> bindings::swapvma_reservation {
        match self {
            Self::Task => bindings::swapvma_reservation::SWAPVMA_RESERVED_BY_TASK,
            Self::Swapper => bindings::swapvma_reservation::SWAPVMA_RESERVED_BY_SWAPPER,
            Self::Ram => bindings::swapvma_reservation::SWAPVMA_RESERVED_BY_RAM,
        }
    }
}

/// The calling task has windows, or waits for them. It neither passes them on to
/// another task nor asks for more.
pub(crate) struct Reserving(Reserver, NotThreadSafe);

impl Reserving {
    /// Tells lockdep, before the wait. May sleep.
    pub(crate) fn enter(who: Reserver) -> Self {
        if cfg!(CONFIG_LOCKDEP) {
            // SAFETY: No precondition; `Drop` releases in the same task.
            unsafe { bindings::swapvma_reservation_acquire(who.to_c()) };
        }
        Self(who, NotThreadSafe)
    }
}

impl Drop for Reserving {
    fn drop(&mut self) {
        if cfg!(CONFIG_LOCKDEP) {
            // SAFETY: `enter` acquired it, and the type is not `Send`.
            unsafe { bindings::swapvma_reservation_release(self.0.to_c()) };
        }
    }
}

/// A section in which allocations do not enter reclaim (`PF_MEMALLOC`).
pub(crate) struct NoReclaim(u32, NotThreadSafe);

impl NoReclaim {
    /// Enters the section.
    pub(crate) fn enter() -> Self {
        // SAFETY: No precondition; `Drop` restores the flags in the same task.
        Self(unsafe { bindings::swapvma_noreclaim_save() }, NotThreadSafe)
    }
}

impl Drop for NoReclaim {
    fn drop(&mut self) {
        // SAFETY: The flags are those that `enter` saved in this task.
        unsafe { bindings::swapvma_noreclaim_restore(self.0) };
    }
}

/// A section in which a task in a [`NoReclaim`] section is no exception: what it
/// allocates is charged only if there is room. Nothing in it enters reclaim.
pub(crate) struct NoException(u32, NotThreadSafe);

impl NoException {
    /// Enters the section.
    pub(crate) fn enter() -> Self {
        // SAFETY: No precondition; `Drop` restores the flags in the same task.
        Self(unsafe { bindings::swapvma_memalloc_leave() }, NotThreadSafe)
    }
}

impl Drop for NoException {
    fn drop(&mut self) {
        // SAFETY: The flags are those that `enter` saved in this task.
        unsafe { bindings::swapvma_memalloc_return(self.0) };
    }
}

/// For priming: the calling task allocates, and the allocation reclaims.
pub(crate) struct Reclaim(NotThreadSafe);

impl Reclaim {
    /// Enters the section. May sleep.
    pub(crate) fn enter() -> Self {
        // SAFETY: No precondition; `Drop` leaves the section in the same task.
        unsafe { bindings::swapvma_reclaim_begin() };
        Self(NotThreadSafe)
    }
}

impl Drop for Reclaim {
    fn drop(&mut self) {
        // SAFETY: `enter` entered the section, and the type is not `Send`.
        unsafe { bindings::swapvma_reclaim_end() };
    }
}

/// For priming: the calling task holds a folio lock.
pub(crate) struct FolioLock(NotThreadSafe);

impl FolioLock {
    /// Enters the section.
    pub(crate) fn enter() -> Self {
        // SAFETY: No precondition; `Drop` leaves the section in the same task.
        unsafe { bindings::swapvma_folio_begin() };
        Self(NotThreadSafe)
    }
}

impl Drop for FolioLock {
    fn drop(&mut self) {
        // SAFETY: `enter` entered the section, and the type is not `Send`.
        unsafe { bindings::swapvma_folio_end() };
    }
}

/// What a fault holds.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum FaultLockKind {
    /// The mmap_lock.
    Mm,
    /// The lock of a VMA.
    Vma,
}

/// For priming: the calling task holds what a fault holds.
pub(crate) struct FaultLock(FaultLockKind, NotThreadSafe);

impl FaultLock {
    /// Takes the lock; `None` in a task without an mm. May sleep.
    pub(crate) fn enter(kind: FaultLockKind) -> Option<Self> {
        // SAFETY: No lock held; `Drop` releases the lock in the same task.
        unsafe { bindings::swapvma_fault_lock(kind == FaultLockKind::Vma) }
            .then_some(Self(kind, NotThreadSafe))
    }
}

impl Drop for FaultLock {
    fn drop(&mut self) {
        // SAFETY: `enter` took the lock, and the type is not `Send`.
        unsafe { bindings::swapvma_fault_unlock(self.0 == FaultLockKind::Vma) };
    }
}
