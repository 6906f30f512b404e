// SPDX-License-Identifier: GPL-2.0

//! Lockdep: the waits and sections that are no locks, made visible.
//!
//! C header: [`include/linux/lockdep.h`](srctree/include/linux/lockdep.h)

use crate::bindings;
use kernel::types::NotThreadSafe;

pub(crate) use bindings::swapvma_callback as Callback;

/// A driver's callback runs: whoever waits for it waits for this section.
pub(crate) struct InCallback(Callback, NotThreadSafe);

impl InCallback {
    /// Enters the section.
    pub(crate) fn enter(callback: Callback) -> Self {
        // SAFETY: No precondition; `Drop` leaves the section in the same task.
        unsafe { bindings::swapvma_callback_acquire(callback) };
        Self(callback, NotThreadSafe)
    }
}

impl Drop for InCallback {
    fn drop(&mut self) {
        // SAFETY: `enter` entered the section, and the type is not `Send`.
        unsafe { bindings::swapvma_callback_release(self.0) };
    }
}

/// Tells lockdep that the caller is about to wait for batches in flight. Called
/// with the caller's locks held. May sleep.
pub(crate) fn wait_for_swapout() {
    // SAFETY: No precondition.
    unsafe { bindings::swapvma_callback_wait(Callback::SWAPVMA_IN_SWAPOUT) };
}

/// Tells lockdep that the caller is about to wait for the swapper, which calls
/// swapout and discard. As [`wait_for_swapout`].
pub(crate) fn wait_for_swapper() {
    wait_for_swapout();
    // SAFETY: No precondition.
    unsafe { bindings::swapvma_callback_wait(Callback::SWAPVMA_IN_DISCARD) };
}

/// Tells lockdep that the caller is about to wait for a read. As
/// [`wait_for_swapout`].
pub(crate) fn wait_for_swapin() {
    // SAFETY: No precondition.
    unsafe { bindings::swapvma_callback_wait(Callback::SWAPVMA_IN_SWAPIN) };
}

/// Tells lockdep that the caller is about to wait for a folio lock.
pub(crate) fn wait_for_folio() {
    // SAFETY: No precondition.
    unsafe { bindings::swapvma_folio_wait_annotate() };
}

/// Takes the locks that reclaim can reach once in the blessed order, so that a
/// wrong order is reported on its first use. At module load.
pub(crate) fn prime() {
    // SAFETY: Process context with no lock held.
    unsafe { bindings::swapvma_lockdep_prime() };
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
