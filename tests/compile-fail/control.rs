// SPDX-License-Identifier: GPL-2.0

// ok

//! What is allowed compiles: without this, every other test would pass if the
//! compiler could not find the crate.

use core::mem::swap;
use kernel::{
    mm::virt::VmaNew,
    prelude::*,
    sync::{
        Arc,
        SpinLock, //
    },
};
use swapvma_driver::{
    lockdep::{
        remote_wait,
        Callback,
        InCallback,
        IrqsOff, //
    },
    prelude::*,
    Borrowed,
    Params,
    Pinned,
    Region, //
};

/// A driver that answers from another context.
pub struct Driven;

/// What waits for a device.
#[pin_data]
pub struct Queue {
    #[pin]
    batch: SpinLock<Option<Batch>>,
    #[pin]
    read: SpinLock<Option<Read>>,
}

impl Driver for Driven {
    const NAME: &'static CStr = c"driven";
    const DEADLINE_MS: u32 = 100;
    const STABLE: bool = true;
    type Handle = Arc<Queue>;

    fn attach(args: &Attach<'_>) -> Result<Self::Handle> {
        if args.pages() > 1 << 20 || !args.algorithm().is_empty() || !args.options().is_empty() {
            return Err(EINVAL);
        }
        Arc::pin_init(
            pin_init!(Queue {
                batch <- kernel::new_spinlock!(None),
                read <- kernel::new_spinlock!(None),
            }),
            GFP_KERNEL,
        )
    }

    fn swapout(queue: Borrowed<'_, Self>, batch: Batch) {
        *queue.batch.lock() = Some(batch);
    }

    fn swapin(queue: Borrowed<'_, Self>, read: Read) {
        *queue.read.lock() = Some(read);
    }

    fn discard(_queue: Borrowed<'_, Self>, _slot: Slot) {}

    fn range_hint(_queue: Borrowed<'_, Self>, _index: u64, _slot: Slot) -> u32 {
        7
    }
}

/// Completes what there is.
pub fn done(queue: &Queue) {
    let batch = queue.batch.lock().take();
    if let Some(mut batch) = batch {
        batch.answer(0, Slot::new(5).ok_or(EINVAL));
        batch.answer(1, Answer::NoSpace);
    }
    let read = queue.read.lock().take();
    if let Some(read) = read {
        read.complete(Err(EIO));
    }
}

/// Completes it in a worker, which then waits for other CPUs.
pub fn work(queue: &Queue) {
    let callback = InCallback::enter(Callback::Swapout);
    done(queue);
    drop(callback);
    drop(IrqsOff::enter());
    remote_wait();
}

/// Registers the driver.
pub fn init(module: &'static ThisModule) -> Result<Registration<Driven>> {
    Registration::new(module)
}

/// Exchanges bytes of two pages of a region.
pub fn exchange(region: &Region) -> Result {
    let mut pinned = region.pin(0, 2)?;
    let (mut a, mut b) = ([0; 8], [0; 8]);
    pinned.copy_to(0, 0, &mut a)?;
    pinned.copy_to(1, 0, &mut b)?;
    swap(&mut a, &mut b);
    pinned.copy_from(0, 0, &a)?;
    pinned.copy_from(1, 0, &b)
}

/// Maps a new region that holds its module.
pub fn mmap(module: &'static ThisModule, vma: &VmaNew) -> Result {
    Region::new(Some(module), &Params::new(1 << 20))?.mmap(vma, 0)
}

/// Keeps pages of a new region that holds no module.
pub fn keep() -> Result<Pinned> {
    Region::new(None, &Params::new(1 << 20))?.pin(0, 1)
}
