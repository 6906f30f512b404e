// SPDX-License-Identifier: GPL-2.0

//! Reader: threads that read for faults that may not give up their lock.
//!
//! A workqueue of our own: with a rescuer, because a fault waits for it, and
//! destroyed before the module goes.
//!
//! C header: [`include/linux/workqueue.h`](srctree/include/linux/workqueue.h)

use crate::{
    bindings as ours,
    error::{
        code,
        Result, //
    },
    lockdep,
    read::Read, //
};
use core::ptr::{
    self,
    NonNull, //
};
use kernel::{
    bindings,
    sync::{
        atomic::{
            Acquire,
            Atomic,
            Release, //
        },
        Arc, //
    },
    workqueue::Queue, //
};

static QUEUE: Atomic<*mut bindings::workqueue_struct> = Atomic::new(ptr::null_mut());

/// Reads in a reader thread. Called while a region is open, and thus the
/// module loaded.
pub(crate) fn enqueue(read: Arc<Read>) {
    let queue = QUEUE.load(Acquire);
    // SAFETY: The queue is there while the module is loaded.
    let queue = unsafe { Queue::from_raw(queue) };
    // A read is queued once.
    let _ = queue.enqueue(read);
}

/// The workqueue, for as long as the value lives.
pub(crate) struct Readers(NonNull<bindings::workqueue_struct>);

// SAFETY: A workqueue may be destroyed by any task.
unsafe impl Send for Readers {}
// SAFETY: As above.
unsafe impl Sync for Readers {}

impl Readers {
    /// Creates the workqueue. May sleep and allocate.
    pub(crate) fn new() -> Result<Self> {
        // SAFETY: No precondition.
        let queue = unsafe { ours::swapvma_alloc_workqueue() };
        let queue = NonNull::new(queue).ok_or(code::ENOMEM)?;
        QUEUE.store(queue.as_ptr(), Release);
        Ok(Self(queue))
    }
}

impl Drop for Readers {
    fn drop(&mut self) {
        lockdep::remote_wait();
        // SAFETY: No region is open any more; this waits for the last work.
        unsafe { bindings::destroy_workqueue(self.0.as_ptr()) };
    }
}
