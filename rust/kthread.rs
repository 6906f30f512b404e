// SPDX-License-Identifier: GPL-2.0

//! Kernel threads, which the kernel crate has no abstraction for.
//!
//! C header: [`include/linux/kthread.h`](srctree/include/linux/kthread.h)

use crate::{
    error::{
        Error,
        Result, //
    },
    lockdep,
};
use core::ptr::NonNull;
use kernel::{
    bindings,
    error::from_err_ptr,
    prelude::*,
    str::CStr,
    sync::Arc, //
};

/// What a kernel thread does.
pub(crate) trait Main: Send + Sync + 'static {
    /// Runs in the thread until [`should_stop`].
    fn main(self: Arc<Self>);
}

/// A running kernel thread. Dropping it stops it and waits.
///
/// # Invariants
///
/// The task was created by [`Thread::spawn`] and has not been stopped; it does
/// not end before it is.
pub(crate) struct Thread {
    task: NonNull<bindings::task_struct>,
    arg: *mut c_void,
    forget: unsafe fn(*mut c_void),
}

// SAFETY: A task may be stopped from any other task.
unsafe impl Send for Thread {}
// SAFETY: As above.
unsafe impl Sync for Thread {}

impl Thread {
    /// Starts a thread called `swapvma/` and `name`. May sleep and allocate.
    pub(crate) fn spawn<T: Main>(name: &CStr, arg: Arc<T>) -> Result<Self> {
        let arg = Arc::into_raw(arg).cast_mut();
        // SAFETY: `run` takes over the reference in `arg`; the name is copied.
        let task = unsafe {
            bindings::kthread_create_on_node(
                Some(run::<T>),
                arg.cast(),
                bindings::NUMA_NO_NODE,
                c"swapvma/%s".as_char_ptr(),
                name.as_char_ptr(),
            )
        };
        let task = from_err_ptr(task).inspect_err(|_: &Error| {
            // SAFETY: The thread was not created, so the reference is still here.
            drop(unsafe { Arc::from_raw(arg.cast_const()) });
        })?;
        // SAFETY: The task was just created.
        unsafe { bindings::wake_up_process(task) };
        // INVARIANT: `run` ends only after `should_stop`.
        Ok(Self {
            task: NonNull::new(task).ok_or(EINVAL)?,
            arg: arg.cast(),
            forget: forget::<T>,
        })
    }
}

impl Drop for Thread {
    fn drop(&mut self) {
        lockdep::remote_wait();
        // SAFETY: By the type invariant the task is there and not yet stopped.
        let result = unsafe { bindings::kthread_stop(self.task.as_ptr()) };
        if result == EINTR.to_errno() {
            // SAFETY: The thread was stopped before it ran.
            unsafe { (self.forget)(self.arg) };
        }
    }
}

/// Lets others run, in a loop that may be long.
pub(crate) fn cond_resched() {
    // SAFETY: Process context.
    unsafe { crate::bindings::swapvma_cond_resched() };
}

/// Whether somebody waits for the calling kernel thread to end.
pub(crate) fn should_stop() -> bool {
    // SAFETY: Called from kernel threads.
    unsafe { bindings::kthread_should_stop() }
}

/// # Safety
///
/// `arg` is what `spawn` gave up, and `run` was not called.
unsafe fn forget<T: Main>(arg: *mut c_void) {
    // SAFETY: By the safety requirement.
    drop(unsafe { Arc::from_raw(arg.cast::<T>().cast_const()) });
}

/// # Safety
///
/// Called once by the new thread with the reference that `spawn` gave up.
unsafe extern "C" fn run<T: Main>(arg: *mut c_void) -> c_int {
    // SAFETY: By the safety requirement.
    let arg = unsafe { Arc::from_raw(arg.cast::<T>().cast_const()) };
    arg.main();
    0
}
