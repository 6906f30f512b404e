// SPDX-License-Identifier: GPL-2.0

//! Workqueues of the module, which go before it does.
//!
//! With a rescuer: there is always a thread for what somebody waits for. Frozen while
//! the system sleeps, see [`crate::sleep`].
//!
//! C header: [`include/linux/workqueue.h`](srctree/include/linux/workqueue.h)

use crate::{
    bindings as ours,
    error::{
        code,
        Result, //
    },
    lockdep,
};
use core::ptr::{
    self,
    NonNull, //
};
use kernel::{
    bindings,
    prelude::*,
    str::CStr,
    sync::atomic::{
        Acquire,
        Atomic,
        Release, //
    },
    workqueue::{
        Queue,
        RawWorkItem, //
    },
};

/// A workqueue that is there from its creation until [`Running`] is dropped.
pub(crate) struct Workqueue(Atomic<*mut bindings::workqueue_struct>);

impl Workqueue {
    /// None yet.
    pub(crate) const fn new() -> Self {
        Self(Atomic::new(ptr::null_mut()))
    }

    /// Creates the workqueue. May sleep and allocate.
    ///
    /// # Errors
    ///
    /// `ENOMEM`.
    pub(crate) fn run(&self, name: &CStr) -> Result<Running> {
        // SAFETY: The name is copied.
        let queue = unsafe { ours::swapvma_alloc_workqueue(name.as_char_ptr()) };
        let queue = NonNull::new(queue).ok_or(code::ENOMEM)?;
        self.0.store(queue.as_ptr(), Release);
        // INVARIANT: It was just created.
        Ok(Running(queue))
    }

    /// Has a thread do the work. Any context, while the workqueue runs.
    pub(crate) fn enqueue<W, const ID: u64>(&self, work: W) -> W::EnqueueOutput
    where
        W: RawWorkItem<ID> + Send + 'static,
    {
        // SAFETY: The callers' regions and drivers keep the module, and what it runs.
        let queue = unsafe { Queue::from_raw(self.0.load(Acquire)) };
        queue.enqueue(work)
    }

    /// Waits until what was enqueued before is done. No lock held; may sleep.
    pub(crate) fn flush(&self) {
        lockdep::remote_wait();
        // SAFETY: As in `enqueue`.
        unsafe { bindings::__flush_workqueue(self.0.load(Acquire)) };
    }
}

/// A workqueue, for as long as the value lives.
///
/// # Invariants
///
/// The workqueue was created and not destroyed.
pub(crate) struct Running(NonNull<bindings::workqueue_struct>);

// SAFETY: A workqueue may be destroyed by any task.
unsafe impl Send for Running {}
// SAFETY: As above.
unsafe impl Sync for Running {}

impl Drop for Running {
    fn drop(&mut self) {
        lockdep::remote_wait();
        // SAFETY: By the type invariant. This waits for the last work.
        unsafe { bindings::destroy_workqueue(self.0.as_ptr()) };
    }
}
