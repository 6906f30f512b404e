// SPDX-License-Identifier: GPL-2.0

//! The smallest swap driver in Rust: it keeps pages in memory, as they are.
//! After `insmod swapvma.ko; insmod rust_minimal.ko`, a line of
//! `/sys/kernel/debug/swapvma/drivers` begins `rust_minimal state=running`.

use kernel::prelude::*;
use swapvma_driver::prelude::*;

struct Minimal;
swapvma_driver::module_swap_driver! {
    type: Minimal,
    name: "rust_minimal",
    description: "The smallest swap driver in Rust",
    license: "GPL",
}

/// Two for each page: the old one lives until the new one is stored.
type Slots = kernel::sync::Mutex<KVVec<Option<Page>>>;

impl Driver for Minimal {
    const NAME: &'static CStr = c"rust_minimal";
    type Handle = Pin<KBox<Slots>>;

    fn attach(args: &Attach<'_>) -> Result<Self::Handle> {
        let mut slots = KVVec::new();
        (0..2 * args.pages()).try_for_each(|_| slots.push(None, GFP_KERNEL | __GFP_NOWARN))?;
        KBox::pin_init(kernel::new_mutex!(slots, "rust_minimal"), GFP_KERNEL)
    }

    fn swapout(slots: Pin<&Slots>, batch: Batch) {
        batch.store_each(|batch, i| {
            let page = batch.copy_to_new(i)?;
            let first = 2 * batch.index(i).ok_or(EINVAL)? as usize;
            for slot in first..first + 2 {
                if let Some(free @ None) = slots.lock().get_mut(slot) {
                    *free = Some(page);
                    return slot.try_into();
                }
            }
            Err(ENOSPC)
        });
    }

    fn swapin(slots: Pin<&Slots>, mut read: Read) {
        if let Some(Some(page)) = slots.lock().get(read.slot().as_usize()) {
            read.fill(page.bytes());
            read.complete(Ok(()));
        }
    }

    fn range_hint(_: Pin<&Slots>, _index: u64, _slot: Slot) -> u32 {
        32 // Pages that are cheap to read along.
    }

    fn discard(slots: Pin<&Slots>, slot: Slot) {
        slots.lock().get_mut(slot.as_usize()).map(Option::take);
    }
}
