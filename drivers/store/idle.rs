// SPDX-License-Identifier: GPL-2.0

//! Idle: the end of the transfers of a disk.
//!
//! A disk can be taken down when its last transfer has ended. A device that does
//! not answer may leave a discard without an end for ever, and whoever closes the
//! region, an exiting task for instance, is not to wait for that. So a thread
//! keeps the disk until then, and the module too. It is there from the start: a
//! task that is being killed cannot create one.
//!
//! C header: [`include/linux/completion.h`](srctree/include/linux/completion.h)

use super::atomic::Word;
use kernel::{
    bindings,
    error::from_err_ptr,
    prelude::*,
    sync::Arc,
    types::{
        ForeignOwnable,
        Opaque, //
    }, //
};

/// Milliseconds that whoever takes a disk down waits.
const PATIENCE_MS: c_uint = 1000;

/// How many transfers there are, one more while there may be new ones.
#[pin_data]
pub(crate) struct Idle {
    pending: Word,
    /// The last transfer ended.
    #[pin]
    done: Opaque<bindings::completion>,
    /// What was kept until then is gone.
    #[pin]
    gone: Opaque<bindings::completion>,
}

// SAFETY: A completion is for any number of tasks.
unsafe impl Send for Idle {}
// SAFETY: As above.
unsafe impl Sync for Idle {}

/// One transfer, until it is dropped. Any context.
pub(crate) struct Busy(Arc<Idle>);

impl Drop for Busy {
    fn drop(&mut self) {
        if self.0.pending.sub(1) == 1 {
            complete(&self.0.done);
        }
    }
}

fn new_completion() -> impl PinInit<Opaque<bindings::completion>> {
    // SAFETY: `at` is where a completion goes, and is pinned.
    Opaque::ffi_init(|at| unsafe { bindings::init_completion(at) })
}

fn complete(completion: &Opaque<bindings::completion>) {
    // SAFETY: Those of `Idle`, the only ones, were initialised.
    unsafe { bindings::complete_all(completion.get()) };
}

impl Idle {
    /// No transfers so far. May sleep and allocate.
    ///
    /// # Errors
    ///
    /// `ENOMEM`.
    pub(crate) fn new() -> Result<Arc<Self>> {
        let idle = pin_init!(Self {
            // The one more; see `leave`.
            pending: Word::new(1),
            done <- new_completion(),
            gone <- new_completion(),
        });
        Arc::pin_init(idle, GFP_KERNEL)
    }

    /// Begins a transfer.
    pub(crate) fn enter(self: &Arc<Self>) -> Busy {
        self.pending.add(1);
        Busy(self.clone())
    }

    /// There are no new transfers. Process context. Waits for the last one to
    /// end; if there is something that is kept, for a moment only.
    pub(crate) fn leave(self: &Arc<Self>, kept: bool) {
        // Takes the one more away: the last transfer completes, or this.
        drop(Busy(self.clone()));
        if !kept {
            self.wait();
        } else if !self.wait_a_moment() {
            pr_warn!("a device does not answer: it and the module are kept until it does\n");
        }
    }

    /// Keeps `value` until the last transfer has ended. May sleep and allocate.
    ///
    /// # Errors
    ///
    /// `ENOMEM`; `EINTR` if the task is being killed.
    pub(crate) fn keep<T: Send + 'static>(self: &Arc<Self>, value: T) -> Result {
        let kept = Kept {
            value,
            idle: self.clone(),
        };
        let kept = KBox::new(kept, GFP_KERNEL)?.into_foreign();
        // SAFETY: `run` takes over the box; the name is constant.
        let task = unsafe {
            bindings::kthread_create_on_node(
                Some(Kept::<T>::run),
                kept,
                bindings::NUMA_NO_NODE,
                c"swapvma_idle".as_char_ptr(),
            )
        };
        let task = from_err_ptr(task).inspect_err(|_: &Error| {
            // SAFETY: The thread was not created: the box is still here.
            drop(unsafe { KBox::<Kept<T>>::from_foreign(kept) });
        })?;
        // SAFETY: Whoever attaches a region holds the module.
        unsafe { bindings::__module_get(crate::THIS_MODULE.as_ptr()) };
        // SAFETY: The task was just created.
        unsafe { bindings::wake_up_process(task) };
        Ok(())
    }

    /// Waits for what is kept to be gone. Returns whether it is.
    fn wait_a_moment(&self) -> bool {
        // SAFETY: No precondition.
        let moment = unsafe { bindings::__msecs_to_jiffies(PATIENCE_MS) };
        // SAFETY: The completion was initialised; process context.
        unsafe { bindings::wait_for_completion_timeout(self.gone.get(), moment) != 0 }
    }

    /// Waits for the last transfer, as those do who are idle.
    fn wait(&self) {
        // SAFETY: The completion was initialised; process context.
        unsafe { bindings::wait_for_completion_state(self.done.get(), bindings::TASK_IDLE) };
    }
}

/// What a thread keeps.
struct Kept<T> {
    value: T,
    idle: Arc<Idle>,
}

impl<T: Send + 'static> Kept<T> {
    /// # Safety
    ///
    /// Runs as a thread, with the box of a `Self`, which is its own, and with a
    /// reference to the module.
    unsafe extern "C" fn run(kept: *mut c_void) -> c_int {
        // SAFETY: By the safety requirement.
        let kept = unsafe { KBox::<Self>::from_foreign(kept) };
        let Self { value, idle } = KBox::into_inner(kept);
        idle.wait();
        drop(value);
        complete(&idle.gone);
        drop(idle);
        // SAFETY: By the safety requirement; nothing is left on the stack.
        unsafe { bindings::__module_put_and_kthread_exit(crate::THIS_MODULE.as_ptr(), 0) }
    }
}
