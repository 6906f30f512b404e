// SPDX-License-Identifier: GPL-2.0

//! Driver `shmem`: keeps cold pages in shared memory, which the kernel swaps out
//! as it does tmpfs.
//!
//! ```text
//! # insmod swapvma.ko; insmod swapvma_shmem.ko
//! # grep shmem /sys/kernel/debug/swapvma/drivers
//! shmem state=running regions=0 ...
//! ```
//!
//! A region is created with the driver `shmem`; `Documentation/stores.rst`
//! describes its option. What it holds is seen as `Shmem` in `/proc/meminfo`,
//! and as swap in use once the kernel needs the memory.
//!
//! A page that is stored takes as much memory as it gives back, until the kernel
//! swaps it out. So the driver takes only what is free: when memory is short it
//! answers "kept", and kswapd, which that wakes, makes room.

mod store;

use crate::store::{
    atomic::Word,
    options,
    shared_memory::SharedMemory,
    slots::{
        self,
        Slots, //
    }, //
};
use kernel::{
    page::PAGE_SIZE,
    prelude::*, //
};
use swapvma_driver::prelude::*;

struct Shmem;

swapvma_driver::module_swap_driver! {
    type: Shmem,
    name: "swapvma_shmem",
    description: "Swap driver that keeps cold pages in shared memory",
    license: "GPL",
}

/// A region's file; a slot is an offset in it, in pages.
struct Region {
    file: SharedMemory,
    slots: Slots<KVVec<Word>>,
}

impl Region {
    /// A region of `len` slots. The file is sparse: a slot that is free takes no
    /// memory but for its bit.
    fn new(len: u64) -> Result<Self> {
        let file = SharedMemory::new(c"swapvma", len)?;
        let count = slots::words(len).ok_or(EFBIG)?;
        let mut words = KVVec::with_capacity(count, GFP_KERNEL | __GFP_NOWARN)?;
        for i in 0..count {
            words.push(Word::new(slots::blank(i, len)), GFP_KERNEL)?;
        }
        Ok(Self {
            file,
            slots: Slots::new(words, len),
        })
    }

    /// Stores page `i` of a batch.
    fn store(&self, batch: &Batch, i: usize) -> Result<Slot> {
        let slot = self.slots.take(1).ok_or(ENOSPC)?.start;
        let stored = self.file.store(slot, |page| batch.copy_page(i, page));
        if let Err(error) = stored {
            self.file.punch(slot);
            self.slots.give(slot);
            return Err(error);
        }
        Slot::try_from(slot)
    }
}

impl Driver for Shmem {
    const NAME: &'static CStr = c"shmem";
    type Handle = KBox<Region>;

    fn attach(args: &Attach<'_>) -> Result<Self::Handle> {
        let [size] = options::parse(args.options().to_bytes(), &[b"size"]).ok_or(EINVAL)?;
        if !args.algorithm().is_empty() {
            return Err(EINVAL);
        }
        // The old copy of a page lives until the new one is stored, and a region
        // may grow.
        let len = match size {
            Some(size) => options::bytes(size).ok_or(EINVAL)? / PAGE_SIZE as u64,
            None => args.pages().saturating_mul(2),
        };
        if len == 0 {
            return Err(EINVAL);
        }
        Ok(KBox::new(Region::new(len)?, GFP_KERNEL)?)
    }

    fn swapout(region: &Region, batch: Batch) {
        batch.store_each(|batch, i| region.store(batch, i));
    }

    fn swapin(region: &Region, mut read: Read) {
        let slot = read.slot().get();
        let result = region.file.load(slot, read.bytes());
        read.complete(result);
    }

    fn discard(region: &Region, slot: Slot) {
        region.file.punch(slot.get());
        region.slots.give(slot.get());
    }

    fn stored_bytes(region: &Region) -> u64 {
        region.slots.used() * PAGE_SIZE as u64
    }
}
