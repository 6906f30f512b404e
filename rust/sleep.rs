// SPDX-License-Identifier: GPL-2.0

//! Sleep of the system: suspend, hibernation, and the return from it.
//!
//! What a driver writes after a hibernation image was made is not known to the system
//! that the image brings back. So the swappers are frozen, as kernel threads that
//! write to file systems are: after all of user space, and after memory was made for
//! the image, to which they contribute; between two batches, so that none is in
//! flight then. The workqueues are frozen with them. Nobody waits for a swapper
//! meanwhile: user space is frozen, memory pressure expects nothing, and a kernel
//! thread that faults goes over the limit.
//!
//! A driver that does not answer would have all of user space frozen in vain. It is
//! found out before that, and the system stays awake.
//!
//! C headers: [`include/linux/freezer.h`](srctree/include/linux/freezer.h),
//! [`include/linux/suspend.h`](srctree/include/linux/suspend.h)

use crate::{
    batch::Phase,
    bindings as ours,
    deadline::now_ns,
    driver::{
        self,
        Registered, //
    },
    error::{
        code,
        Result, //
    },
    fault,
    flaw::{
        self,
        Flaw, //
    },
    lockdep,
    notifier::Notifier,
    regions, //
};
use kernel::{
    bindings,
    prelude::*,
    time::{
        delay::fsleep,
        Delta, //
    },
};

/// How long a driver has to answer what it got before the system was to sleep. The
/// freezer has 20 s.
const PATIENCE_NS: u64 = 10_000_000_000;

/// Milliseconds between two looks.
const PERIOD_MS: i64 = 10;

/// The calling kernel thread, a swapper, is frozen when the others are that write.
pub(crate) fn set_freezable() {
    if !flaw::is(Flaw::Sleepless) {
        // SAFETY: Process context, no lock held.
        unsafe { ours::swapvma_set_freezable() };
    }
}

/// Whether the calling kernel thread is to be frozen. Does not sleep.
pub(crate) fn is_near() -> bool {
    // SAFETY: A task may always ask about itself.
    unsafe { ours::swapvma_task_freezing(kernel::current!().as_ptr()) }
}

/// Whether the calling task is to leave its system call with `ERESTARTNOINTR` because
/// it is to be frozen: it enters it again afterwards. Does not sleep.
pub(crate) fn is_awaited() -> bool {
    // SAFETY: No precondition.
    unsafe { ours::swapvma_leave_to_freeze() }
}

/// The calling swapper, which has no batch, sleeps until the system is awake again. No
/// lock held.
pub(crate) fn rest() {
    // Who still waits for a swapper is no task of user space.
    for region in regions::each() {
        region.wait.wake_all();
    }
    // SAFETY: Process context, no lock held.
    unsafe { ours::swapvma_freeze() };
}

/// Waits until each driver has answered what it has now. No lock held.
///
/// # Errors
///
/// `EBUSY` if one does not within its time, or did not earlier; `EINTR` if the task was
/// killed.
fn settle() -> Result {
    lockdep::wait_for_swapout();
    let begin = now_ns();
    loop {
        let now = now_ns();
        let (mut any_busy, mut result) = (false, Ok(()));
        driver::for_each(|driver| {
            let is_abandoned = driver.batch.phase() == Phase::Abandoned;
            let is_busy = is_abandoned || is_busy_since(driver, begin);
            if is_abandoned || is_busy && now.saturating_sub(begin) > PATIENCE_NS {
                pr_warn!(
                    "driver {} does not answer: the system does not sleep\n",
                    driver.name()
                );
                result = Err(code::EBUSY);
            }
            any_busy = any_busy || is_busy;
        });
        if result.is_err() || !any_busy {
            return result;
        }
        if fault::is_killed() {
            return Err(code::EINTR);
        }
        fsleep(Delta::from_millis(PERIOD_MS));
    }
}

/// Whether the driver has a batch that began before `begin`.
fn is_busy_since(driver: &Registered, begin: u64) -> bool {
    let since = driver.batch_since.load();
    driver.batch.phase() != Phase::Idle && since != 0 && since < begin
}

/// # Safety
///
/// Called by the core as a notifier is.
unsafe extern "C" fn notify(
    _block: *mut bindings::notifier_block,
    event: c_ulong,
    _data: *mut c_void,
) -> c_int {
    let result = match event as u32 {
        bindings::PM_SUSPEND_PREPARE
        | bindings::PM_HIBERNATION_PREPARE
        | bindings::PM_RESTORE_PREPARE => settle(),
        _ => Ok(()),
    };
    let ok = bindings::NOTIFY_OK as c_int;
    match result {
        Ok(()) => ok,
        // As notifier_from_errno() does.
        Err(error) => bindings::NOTIFY_STOP_MASK as c_int | (ok - error.to_errno()),
    }
}

/// Has the core ask before the system goes to sleep. May sleep.
pub(crate) fn notifier() -> impl PinInit<Notifier, Error> {
    // SAFETY: Both are of the same chain, whose arguments `notify` expects.
    unsafe {
        Notifier::new(
            notify,
            ours::swapvma_register_pm_notifier,
            ours::swapvma_unregister_pm_notifier,
        )
    }
}
