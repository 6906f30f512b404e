// SPDX-License-Identifier: GPL-2.0

//! Deadline: what happens to a batch that its driver does not answer.
//!
//! A thread of its own looks, because the swapper may be the one that sleeps in
//! the driver. An abandoned batch leaves its pages resident and dirty, keeps its
//! references until the driver gives it back, and quarantines the driver. The
//! waiters go on: they never protected memory, only the driver's expectations.

use crate::{
    atomic::Word,
    batch::Phase,
    driver::{
        self,
        Registered, //
    },
    kthread::{
        self,
        Thread, //
    },
    swapper,
    wait::{
        Signals,
        WaitQueue, //
    },
    writeback, //
};
use kernel::{
    bindings,
    prelude::*,
    sync::Arc,
    time::{
        ClockSource,
        Monotonic, //
    },
};

/// Milliseconds between two looks while batches are in flight.
const PERIOD_MS: u64 = 100;

/// Looks without a batch in flight after which the thread waits to be armed.
const IDLE_LOOKS: u32 = 20;

static ARMED: Word = Word::new(0);

kernel::sync::global_lock! {
    // Lockdep prints the name.
    #[allow(non_upper_case_globals)]
    // SAFETY: `Watch::new` initialises it before anything else runs.
    unsafe(uninit) static swapvma_watch: SpinLock<Option<Arc<Watch>>> = None;
}

/// Initialises the handle of the thread.
///
/// # Safety
///
/// Called once, at module load, before anything else of this file.
pub(crate) unsafe fn init() {
    // SAFETY: By the safety requirement.
    unsafe { swapvma_watch.init() };
}

/// Nanoseconds of the monotonic clock.
pub(crate) fn now_ns() -> u64 {
    u64::try_from(Monotonic::ktime_get()).unwrap_or(0)
}

/// Ticks of the timer, which cost less to read than [`now_ns`].
pub(crate) fn ticks() -> u64 {
    // SAFETY: The counter is there for as long as the kernel, which changes it in one
    // step.
    unsafe { (&raw const bindings::jiffies).read_volatile() as u64 }
}

/// Milliseconds since [`ticks`] returned `ticks`.
pub(crate) fn ms_since(ticks: u64) -> u64 {
    let passed = self::ticks().saturating_sub(ticks);
    // SAFETY: No precondition.
    unsafe { bindings::jiffies64_to_msecs(passed) }
}

/// A batch is in flight from here on.
pub(crate) fn arm() {
    if ARMED.cmpxchg(0, 1).is_ok() {
        if let Some(watch) = &*swapvma_watch.lock() {
            watch.wait.wake_all();
        }
    }
}

/// Takes the batch away from a driver that missed its deadline.
pub(crate) fn abandon(driver: &Registered) {
    let batch = &driver.batch;
    let flight = {
        // The lock keeps flight and batch together: `submit` sets both under it.
        let flight = driver.flight.lock();
        let Some(flight) = &*flight else {
            return;
        };
        if !batch.is_overdue(now_ns())
            || !(batch.advance(Phase::Running, Phase::Abandoned)
                || batch.advance(Phase::Done, Phase::Late))
        {
            return;
        }
        // No other batch follows until `abandoning` is over: the items stay those of
        // this one.
        driver.abandoning.store_release(1);
        driver.set_quarantined();
        flight.clone()
    };
    let (seq, len) = (batch.seq(), batch.len());
    for index in (0..len).filter_map(|i| batch.index(i)) {
        writeback::release(&flight.region, seq, index);
        flight.region.counters.writing.sub(1);
    }
    flight.region.counters.abandoned.count(1);
    driver.abandoned.count(1);
    pr_err!(
        "driver {} did not answer {} pages within {} ms: quarantined, the pages stay in memory\n",
        driver.name(),
        len,
        driver.deadline_ms()
    );
    flight.region.leave_flight(flight.ticket);
    driver.batch.wait.wake_all();
    // Whoever waits for this swapper waits no more.
    swapper::leave(driver);
    driver.abandoning.store_release(0);
}

/// The thread that looks.
#[pin_data]
pub(crate) struct Watch {
    #[pin]
    wait: WaitQueue,
}

impl kthread::Main for Watch {
    fn main(self: Arc<Self>) {
        let mut idle = 0;
        while !kthread::should_stop() {
            if ARMED.load() == 0 {
                let _ = self.wait.wait(Signals::Idle, || {
                    ARMED.load() != 0 || kthread::should_stop()
                });
                idle = 0;
                continue;
            }
            let _ = self
                .wait
                .wait_timeout(Signals::Idle, Some(PERIOD_MS), kthread::should_stop);
            idle = if look() { 0 } else { idle + 1 };
            if idle > IDLE_LOOKS {
                ARMED.store_release(0);
                // A batch that was submitted meanwhile saw the thread armed.
                if look() {
                    ARMED.store_release(1);
                }
            }
        }
    }
}

/// Looks at every driver's batch. Returns whether one is in flight.
fn look() -> bool {
    let mut busy = false;
    let now = now_ns();
    driver::for_each(|driver| {
        if matches!(driver.batch.phase(), Phase::Running | Phase::Done) {
            busy = true;
            if driver.batch.is_overdue(now) {
                abandon(driver);
            }
        }
    });
    busy
}

/// Runs the thread for as long as the value lives.
pub(crate) struct Running {
    _thread: Thread,
}

impl Running {
    /// Starts the thread.
    pub(crate) fn new() -> Result<Self> {
        let watch = Arc::pin_init(
            pin_init!(Watch {
                wait <- WaitQueue::new(c"swapvma_deadline_wait", kernel::static_lock_class!()),
            }),
            GFP_KERNEL,
        )?;
        let thread = Thread::spawn(c"deadline", watch.clone())?;
        *swapvma_watch.lock() = Some(watch);
        Ok(Self { _thread: thread })
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let watch = swapvma_watch.lock().take();
        drop(watch);
    }
}
