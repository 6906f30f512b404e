// SPDX-License-Identifier: GPL-2.0

//! Wait queues, killable and with timeouts, which the kernel crate's `CondVar`
//! does not offer, and turns, which come in order.
//!
//! C headers: [`include/linux/wait.h`](srctree/include/linux/wait.h),
//! [`include/linux/semaphore.h`](srctree/include/linux/semaphore.h)

use crate::{
    bindings as ours,
    error::{
        code,
        Result, //
    }, //
};
use core::{
    mem::MaybeUninit,
    pin::Pin, //
};
use kernel::{
    bindings,
    prelude::*,
    str::CStr,
    sync::LockClassKey,
    types::Opaque, //
};

/// A queue of tasks that wait for conditions.
#[pin_data]
pub(crate) struct WaitQueue {
    #[pin]
    head: Opaque<bindings::wait_queue_head>,
}

// SAFETY: A wait queue has its own lock; it may be used from any task.
unsafe impl Send for WaitQueue {}
// SAFETY: As above.
unsafe impl Sync for WaitQueue {}

const KILLABLE: u32 = bindings::TASK_UNINTERRUPTIBLE | bindings::TASK_WAKEKILL;

/// Which signals end a wait.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Signals {
    /// None. For waits that something else bounds.
    Ignore,
    /// Those that kill the task.
    Kill,
    /// The same; the task holds no lock, and may be frozen while it waits.
    Freezable,
    /// None, for a kernel thread that has nothing to do.
    Idle,
}

impl WaitQueue {
    /// Creates a queue; `name` and `key` are what lockdep prints for its lock.
    pub(crate) fn new(name: &'static CStr, key: Pin<&'static LockClassKey>) -> impl PinInit<Self> {
        pin_init!(Self {
            head <- Opaque::ffi_init(move |slot| {
                // SAFETY: `slot` is valid for a queue that is pinned from now
                // on; the name and the key live for ever.
                unsafe { bindings::__init_waitqueue_head(slot, name.as_char_ptr(), key.as_ptr()) }
            }),
        })
    }

    /// Wakes all waiters, if there are any. Any context: the lock is taken with
    /// interrupts off.
    pub(crate) fn wake_all(&self) {
        // The kernel turns them off itself.
        #[cfg(CONFIG_LOCKDEP)]
        let _irqs_off = crate::lockdep::IrqsOff::enter();
        // SAFETY: The queue was initialised.
        unsafe { ours::swapvma_wake_all(self.head.get()) };
    }

    /// Sleeps until `done` returns true. May sleep; `done` is called in the
    /// waiting state and must not sleep.
    ///
    /// The waker makes the condition true before [`WaitQueue::wake_all`].
    ///
    /// # Errors
    ///
    /// `EINTR` if a signal of `signals` came first.
    pub(crate) fn wait(&self, signals: Signals, done: impl FnMut() -> bool) -> Result {
        self.wait_timeout(signals, None, done).map(|_| ())
    }

    /// As [`WaitQueue::wait`], for at most `ms` milliseconds if given. Returns
    /// whether the condition came true.
    pub(crate) fn wait_timeout(
        &self,
        signals: Signals,
        ms: Option<u64>,
        mut done: impl FnMut() -> bool,
    ) -> Result<bool> {
        if done() {
            return Ok(true);
        }
        let state = match signals {
            Signals::Ignore => bindings::TASK_UNINTERRUPTIBLE,
            Signals::Idle => bindings::TASK_UNINTERRUPTIBLE | bindings::TASK_NOLOAD,
            Signals::Kill => KILLABLE,
            Signals::Freezable => KILLABLE | bindings::TASK_FREEZABLE,
        };
        let mut left = ms.map_or(isize::MAX, |ms| {
            kernel::time::msecs_to_jiffies(u32::try_from(ms).unwrap_or(u32::MAX)) as isize
        });
        let mut entry = MaybeUninit::<bindings::wait_queue_entry>::uninit();
        // SAFETY: The entry is valid for writing and stays in this frame until
        // `finish_wait`.
        unsafe { bindings::init_wait_entry(entry.as_mut_ptr(), 0) };
        let result = loop {
            // SAFETY: Queue and entry are initialised.
            let signal = unsafe {
                bindings::prepare_to_wait_event(self.head.get(), entry.as_mut_ptr(), state as c_int)
            };
            if done() {
                break Ok(true);
            }
            if signal != 0 {
                break Err(code::EINTR);
            }
            if left == 0 {
                break Ok(false);
            }
            // SAFETY: Process context; the task state is set.
            left = unsafe { bindings::schedule_timeout(left) };
        };
        // SAFETY: Queue and entry are those of `prepare_to_wait_event`.
        unsafe { bindings::finish_wait(self.head.get(), entry.as_mut_ptr()) };
        result
    }
}

/// What one task has at a time. The others wait in the order in which they came.
///
/// Lockdep does not see it: whoever waits has said before what that is for.
#[pin_data]
pub(crate) struct Turn {
    #[pin]
    semaphore: Opaque<bindings::semaphore>,
}

// SAFETY: A semaphore has its own lock; it may be used from any task.
unsafe impl Send for Turn {}
// SAFETY: As above.
unsafe impl Sync for Turn {}

impl Turn {
    /// Nobody has it.
    pub(crate) fn new() -> impl PinInit<Self> {
        pin_init!(Self {
            semaphore <- Opaque::ffi_init(|slot| {
                // SAFETY: `slot` is valid for a semaphore that is pinned from now on.
                unsafe { ours::swapvma_semaphore_init(slot) }
            }),
        })
    }

    /// Waits for the turn, and has it until the value is dropped. May sleep.
    ///
    /// # Errors
    ///
    /// `EINTR` if a signal of `signals` came first.
    pub(crate) fn wait(&self, signals: Signals) -> Result<HasTurn<'_>> {
        let semaphore = self.semaphore.get();
        if signals == Signals::Kill {
            // SAFETY: The semaphore was initialised.
            if unsafe { bindings::down_killable(semaphore) } != 0 {
                return Err(code::EINTR);
            }
        } else {
            // SAFETY: As above.
            unsafe { bindings::down(semaphore) };
        }
        Ok(HasTurn(self))
    }
}

/// The caller has the turn.
#[must_use = "the next one gets the turn when this is dropped"]
pub(crate) struct HasTurn<'a>(&'a Turn);

impl Drop for HasTurn<'_> {
    fn drop(&mut self) {
        // SAFETY: The semaphore was initialised, and is this caller's.
        unsafe { bindings::up(self.0.semaphore.get()) };
    }
}
