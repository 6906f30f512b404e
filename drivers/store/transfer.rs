// SPDX-License-Identifier: GPL-2.0

//! What bios transfer: a part of a batch, a page that is read back, and the news
//! that nobody needs some slots.

use super::{
    atomic::Word,
    bio::{
        BioSet,
        Transfer, //
    },
    device::Device,
    disk::{
        Disk,
        Lease, //
    },
    mempool::Shared,
};
use core::{
    ops::Range,
    ptr::NonNull, //
};
use kernel::{
    bindings,
    prelude::*, //
};
use swapvma_driver::{
    Answer,
    Batch,
    Read, //
};

/// A batch on its way to the device, shared by the bios that write it.
///
/// Each page was answered before the first bio. The last one to end, which has
/// the batch for itself, answers anew those that were not written.
pub(crate) struct Flight {
    // Dropped first: a batch that is back may be the last of the region.
    lease: Lease,
    /// One bit for each page that was answered as stored.
    due: u64,
    /// One bit for each page that was written.
    written: Word,
    batch: Batch,
}

impl Flight {
    /// A batch of which the pages in `due` are to be written.
    pub(crate) fn new(lease: Lease, batch: Batch, due: u64) -> Self {
        Self {
            lease,
            due,
            written: Word::new(0),
            batch,
        }
    }
}

impl Drop for Flight {
    fn drop(&mut self) {
        let lost = self.due & !self.written.load();
        for i in bits(lost) {
            self.batch.answer(i, Answer::Failed);
        }
    }
}

/// Returns which bits of a word are set.
fn bits(word: u64) -> impl Iterator<Item = usize> {
    (0..64).filter(move |i| word & (1 << i) != 0)
}

/// Pages of a batch side by side on the device.
pub(crate) struct Write {
    flight: Shared<Flight>,
    /// The first page.
    first: u16,
    /// Their slots.
    slots: Range<u64>,
}

impl Write {
    /// The pages of a batch from `first` on, as many as there are slots.
    pub(crate) fn new(flight: Shared<Flight>, first: u16, slots: Range<u64>) -> Self {
        Self {
            flight,
            first,
            slots,
        }
    }

    fn disk(&self) -> &Disk {
        self.flight.lease.disk()
    }
}

// SAFETY: The lease that the flight holds keeps the disk, with device and set,
// where it is. The batch owns its pages, and is dropped with the flight.
unsafe impl Transfer for Write {
    fn device(&self) -> &Device {
        self.disk().device()
    }

    fn set(&self) -> &BioSet<Self> {
        self.disk().writes()
    }

    fn len(&self) -> u16 {
        (self.slots.end - self.slots.start) as u16
    }

    fn page(&mut self, i: u16) -> Option<NonNull<bindings::page>> {
        self.flight
            .batch
            .page(usize::from(self.first.checked_add(i)?))
    }

    fn end(self, result: Result) {
        if result.is_err() {
            for slot in self.slots.clone() {
                self.disk().give(slot);
            }
            return;
        }
        let pages = u64::MAX
            .checked_shr(64 - u32::from(self.len()))
            .and_then(|pages| pages.checked_shl(u32::from(self.first)));
        // Each page is in one bio: its bit is not set yet.
        self.flight.written.add(pages.unwrap_or(0));
    }
}

/// A page that is read back.
pub(crate) struct Fill {
    // Dropped first, as with a flight.
    lease: Lease,
    read: Read,
}

impl Fill {
    pub(crate) fn new(lease: Lease, read: Read) -> Self {
        Self { lease, read }
    }
}

// SAFETY: The lease keeps the disk, with device and set, where it is. The read
// owns its page, which nobody else sees before it is complete.
unsafe impl Transfer for Fill {
    fn device(&self) -> &Device {
        self.lease.disk().device()
    }

    fn set(&self) -> &BioSet<Self> {
        self.lease.disk().reads()
    }

    fn len(&self) -> u16 {
        1
    }

    fn page(&mut self, _i: u16) -> Option<NonNull<bindings::page>> {
        Some(self.read.page())
    }

    fn end(self, result: Result) {
        let Self { lease, read } = self;
        drop(lease);
        read.complete(result);
    }
}

/// The news that nobody needs a cluster of slots, which are free afterwards.
pub(crate) struct Discard {
    lease: Lease,
    /// The first slot of the cluster.
    start: u64,
}

impl Discard {
    pub(crate) fn new(lease: Lease, start: u64) -> Self {
        Self { lease, start }
    }
}

// SAFETY: The lease keeps the disk, with device and set, where it is. There are
// no pages.
unsafe impl Transfer for Discard {
    fn device(&self) -> &Device {
        self.lease.disk().device()
    }

    fn set(&self) -> &BioSet<Self> {
        self.lease.disk().discards()
    }

    fn len(&self) -> u16 {
        0
    }

    fn page(&mut self, _i: u16) -> Option<NonNull<bindings::page>> {
        None
    }

    // Whether the device listened or not: nobody needs the slots.
    fn end(self, _result: Result) {
        self.lease.disk().release(self.start);
    }
}
