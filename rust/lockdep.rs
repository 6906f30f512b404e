// SPDX-License-Identifier: GPL-2.0

//! Lockdep: the waits and sections that are no locks, made visible.
//!
//! C header: [`include/linux/lockdep.h`](srctree/include/linux/lockdep.h)

use crate::bindings;
use kernel::types::NotThreadSafe;

/// A driver's callback runs: whoever waits for it waits for this section.
pub(crate) struct InSwapout(NotThreadSafe);

impl InSwapout {
    /// Enters the section.
    pub(crate) fn enter() -> Self {
        // SAFETY: No precondition; `Drop` leaves the section in the same task.
        unsafe { bindings::swapvma_swapout_acquire() };
        Self(NotThreadSafe)
    }
}

impl Drop for InSwapout {
    fn drop(&mut self) {
        // SAFETY: `enter` entered the section, and the type is not `Send`.
        unsafe { bindings::swapvma_swapout_release() };
    }
}

/// Tells lockdep that the caller is about to wait for the swapper. Called
/// before every such wait, with the caller's locks held. May sleep.
pub(crate) fn wait_for_swapper() {
    // SAFETY: No precondition.
    unsafe { bindings::swapvma_wait_annotate() };
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
