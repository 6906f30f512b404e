// SPDX-License-Identifier: GPL-2.0

//! Memory cgroups: who pays for an allocation.
//!
//! Without the memory controller there is no cgroup, and nothing of this does
//! anything. An allocation with `__GFP_ACCOUNT` is charged to the cgroup of the
//! innermost [`Charging`], or to its closest ancestor that was not removed.
//!
//! C header: [`include/linux/memcontrol.h`](srctree/include/linux/memcontrol.h)

use crate::{
    bindings as ours,
    error::Result, //
};
use kernel::{
    bindings,
    error::{
        from_err_ptr,
        to_result, //
    },
    prelude::*,
    str::CStr,
    types::NotThreadSafe, //
};

/// Returns the user that the calling task runs as, by the number that the initial user
/// namespace has for it.
pub(crate) fn user_of_current() -> u32 {
    // SAFETY: No precondition.
    unsafe { ours::swapvma_user_of_current() }
}

/// Returns that number of a user that the calling task calls `uid`.
///
/// # Errors
///
/// `EINVAL` if there is none.
pub(crate) fn find_user(uid: u32) -> Result<u32> {
    let mut user = 0;
    // SAFETY: The pointer is valid through the call.
    to_result(unsafe { ours::swapvma_user_find(uid, &mut user) })?;
    Ok(user)
}

/// A reference to a memory cgroup.
///
/// # Invariants
///
/// Null, or a cgroup of which this value owns a reference.
pub(crate) struct Memcg(*mut bindings::mem_cgroup);

// SAFETY: References to cgroups may be used from any task.
unsafe impl Send for Memcg {}
// SAFETY: As above.
unsafe impl Sync for Memcg {}

impl Memcg {
    /// Returns the cgroup of the calling process.
    pub(crate) fn of_current() -> Self {
        // SAFETY: No precondition.
        // INVARIANT: The call takes the reference.
        Self(unsafe { ours::swapvma_memcg_of_current() })
    }

    /// Returns the cgroup of the innermost [`Charging`], or that of the calling
    /// process.
    pub(crate) fn charged() -> Self {
        // SAFETY: No precondition.
        // INVARIANT: The call takes the reference.
        Self(unsafe { ours::swapvma_memcg_charged() })
    }

    /// Returns the cgroup that has the id, which is also the number of its directory's
    /// inode. May sleep.
    ///
    /// # Errors
    ///
    /// `ENOENT`; `ENODEV` if the cgroup, or the machine, has no memory controller.
    pub(crate) fn find(id: u64) -> Result<Self> {
        // SAFETY: The path may be null.
        let found = unsafe { ours::swapvma_memcg_find(id, core::ptr::null()) };
        // INVARIANT: The call took the reference.
        from_err_ptr(found).map(Self)
    }

    /// As [`Memcg::find`], by the path from the root of the hierarchy.
    pub(crate) fn find_path(path: &CStr) -> Result<Self> {
        // SAFETY: The path is a string.
        let found = unsafe { ours::swapvma_memcg_find(0, path.as_char_ptr()) };
        // INVARIANT: The call took the reference.
        from_err_ptr(found).map(Self)
    }

    /// Returns the cgroup that this one is in.
    pub(crate) fn parent(&self) -> Option<Self> {
        // SAFETY: By the type invariant.
        let parent = unsafe { ours::swapvma_memcg_get_parent(self.0) };
        // INVARIANT: The call took the reference.
        (!parent.is_null()).then_some(Self(parent))
    }

    /// Whether this stands for no cgroup: there is no memory controller.
    pub(crate) fn is_none(&self) -> bool {
        self.0.is_null()
    }

    /// Whether the cgroup was removed, and only what belongs to it is left.
    pub(crate) fn is_removed(&self) -> bool {
        // SAFETY: By the type invariant.
        unsafe { ours::swapvma_memcg_is_removed(self.0) }
    }

    /// Returns the cgroup.
    pub(crate) fn as_ptr(&self) -> *mut bindings::mem_cgroup {
        self.0
    }

    /// Returns what no other cgroup has while this reference exists.
    pub(crate) fn key(&self) -> usize {
        self.0 as usize
    }

    /// Returns its id, the number of its directory's inode.
    pub(crate) fn id(&self) -> u64 {
        // SAFETY: By the type invariant.
        unsafe { ours::swapvma_memcg_id(self.0) }
    }

    /// Whether it, or one that it is in, has no room for `pages` more pages.
    pub(crate) fn is_short(&self, pages: u64) -> bool {
        // SAFETY: By the type invariant.
        unsafe { ours::swapvma_memcg_is_short(self.0, pages as usize, false) }
    }

    /// Has the cgroup pay for what the calling task allocates.
    pub(crate) fn charge(&self) -> Charging<'_> {
        Charging {
            // SAFETY: By the type invariant; `Drop` ends it while `self` exists.
            before: unsafe { ours::swapvma_memcg_enter(self.0) },
            _memcg: self,
            _task: NotThreadSafe,
        }
    }
}

impl Clone for Memcg {
    fn clone(&self) -> Self {
        // SAFETY: By the type invariant.
        unsafe { ours::swapvma_memcg_get(self.0) };
        // INVARIANT: The call took the reference.
        Self(self.0)
    }
}

impl Drop for Memcg {
    fn drop(&mut self) {
        // SAFETY: By the type invariant there is a reference to give up.
        unsafe { ours::swapvma_memcg_put(self.0) };
    }
}

/// A section whose allocations a cgroup pays for. Sections may nest.
pub(crate) struct Charging<'a> {
    before: *mut bindings::mem_cgroup,
    _memcg: &'a Memcg,
    _task: NotThreadSafe,
}

impl Drop for Charging<'_> {
    fn drop(&mut self) {
        // SAFETY: What the enclosing section began with, in the same task.
        unsafe { ours::swapvma_memcg_enter(self.before) };
    }
}

/// A section in which the calling task waits for memory, as pressure stall
/// information counts it. Sections may nest.
pub(crate) struct Stall(usize, NotThreadSafe);

impl Stall {
    /// Enters the section.
    pub(crate) fn enter() -> Self {
        // SAFETY: No precondition; `Drop` leaves the section in the same task.
        Self(unsafe { ours::swapvma_stall_begin() }, NotThreadSafe)
    }
}

impl Drop for Stall {
    fn drop(&mut self) {
        // SAFETY: What `enter` got, in the same task.
        unsafe { ours::swapvma_stall_end(self.0) };
    }
}
