// SPDX-License-Identifier: GPL-2.0

//! Pages of one region on a block device: what the drivers `block` and `file`
//! have in common.
//!
//! A swapout gives the pages of the batch slots side by side, as far as there
//! are any, answers them, and submits one bio for each run of slots; the last of
//! these to end hands the batch back. Nothing is allocated but from pools that
//! were filled when the region was created, and no lock is taken.
//!
//! Each transfer has a [`Lease`] of the disk, which is taken down when all of them
//! have ended, and not in interrupt context; see [`Idle`].

use super::{
    atomic::Word,
    bio::{
        self,
        BioSet,
        Op, //
    },
    device::Device,
    extents::{
        self,
        Extent,
        SLOT_SECTORS, //
    },
    idle::{
        Busy,
        Idle, //
    },
    mempool::{
        Pool,
        Shared, //
    },
    slots::{
        self,
        Slots, //
    },
    transfer::{
        Discard,
        Fill,
        Flight,
        Write, //
    },
};
use kernel::{
    page::PAGE_SIZE,
    prelude::*,
    sync::Arc, //
};
use swapvma_driver::{
    Answer,
    Batch,
    Read,
    Slot, //
};

/// The smallest disk: what one batch needs.
const SLOTS_MIN: u64 = slots::CLUSTER;

/// Pages that are worth reading along: they came in the same bio.
const HINT_MAX: u32 = 8;

const _: () = assert!(SLOT_SECTORS * 512 == PAGE_SIZE as u64);

/// A device with the slots of one region.
#[pin_data]
pub(crate) struct Disk {
    extents: KVVec<Extent>,
    slots: Slots<KVVec<Word>>,
    /// Whether the device is told of slots that nobody needs.
    discard: bool,
    flights: Arc<Pool<Flight>>,
    #[pin]
    writes: BioSet<Write>,
    #[pin]
    reads: BioSet<Fill>,
    #[pin]
    discards: BioSet<Discard>,
    // Dropped last: the bios of the sets above are for it.
    device: Device,
}

impl Disk {
    fn new(device: Device, extents: KVVec<Extent>, discard: bool) -> Result<Arc<Self>> {
        let len = extents.last().map_or(0, |last| last.slot + last.len);
        if len < SLOTS_MIN {
            return Err(EINVAL);
        }
        if len >> Slot::BITS != 0 {
            return Err(EFBIG);
        }
        let count = slots::words(len).ok_or(EFBIG)?;
        let mut words = KVVec::with_capacity(count, GFP_KERNEL | __GFP_NOWARN)?;
        for i in 0..count {
            words.push(Word::new(slots::blank(i, len)), GFP_KERNEL)?;
        }
        let slots = Slots::new(words, len);
        let discard = discard && device.can_discard();
        let flights = Pool::new(1)?;
        Arc::pin_init(
            try_pin_init!(Self {
                extents,
                slots,
                discard,
                flights,
                writes <- BioSet::new(),
                reads <- BioSet::new(),
                discards <- BioSet::new(),
                device,
            }? Error),
            GFP_KERNEL,
        )
    }

    pub(crate) fn device(&self) -> &Device {
        &self.device
    }

    pub(crate) fn writes(&self) -> &BioSet<Write> {
        &self.writes
    }

    pub(crate) fn reads(&self) -> &BioSet<Fill> {
        &self.reads
    }

    pub(crate) fn discards(&self) -> &BioSet<Discard> {
        &self.discards
    }

    /// Gives a slot back. Any context.
    pub(crate) fn give(&self, slot: u64) {
        if !self.slots.give(slot) {
            kernel::pr_err_once!("a slot was given back that was not in use\n");
        }
    }

    /// The slots of a cluster from `start` on were discarded. Any context.
    pub(crate) fn release(&self, start: u64) {
        self.slots.release(start);
    }

    /// Takes slots for the pages of a batch and answers them.
    fn allot(&self, batch: &mut Batch) -> Allotment {
        let mut all = Allotment {
            slots: [0; BATCH],
            len: 0,
        };
        let len = batch.len().min(BATCH);
        while all.len < len {
            let Some(run) = self.slots.take((len - all.len) as u64) else {
                break;
            };
            for slot in run {
                if let Some(place) = all.slots.get_mut(all.len) {
                    *place = slot;
                }
                batch.answer(all.len, Slot::try_from(slot));
                all.len += 1;
            }
        }
        for i in all.len..len {
            batch.answer(i, Answer::NoSpace);
        }
        all
    }

    /// Writes the pages that have slots, run by run.
    fn write(&self, flight: &Shared<Flight>, allotted: &Allotment) {
        let mut rest = allotted.slots();
        let mut first = 0u16;
        while let Some(&slot) = rest.first() {
            let place = extents::locate(&self.extents, slot, rest.len() as u64);
            let (sector, max) = place.unwrap_or((u64::MAX, 1));
            let run = run_length(rest).min(max as usize);
            // CAST: At most a batch.
            let write = Write::new(flight.clone(), first, slot..slot + run as u64);
            bio::submit(Op::Write, sector, write);
            first += run as u16;
            rest = rest.get(run..).unwrap_or(&[]);
        }
    }
}

/// Pages of the largest batch.
const BATCH: usize = 64;

/// The slots of the first pages of a batch.
struct Allotment {
    slots: [u64; BATCH],
    len: usize,
}

impl Allotment {
    fn slots(&self) -> &[u64] {
        self.slots.get(..self.len).unwrap_or(&[])
    }

    /// Returns one bit for each page that has a slot.
    fn mask(&self) -> u64 {
        // CAST: At most a batch.
        u64::MAX.checked_shr((BATCH - self.len) as u32).unwrap_or(0)
    }
}

/// Returns how many slots follow each other from the first one on.
fn run_length(slots: &[u64]) -> usize {
    let pairs = slots.iter().zip(slots.iter().skip(1));
    1 + pairs.take_while(|(one, next)| **one + 1 == **next).count()
}

/// A disk, lent to one transfer.
pub(crate) struct Lease {
    // Dropped first: whoever waits has the last reference.
    disk: Arc<Disk>,
    _busy: Busy,
}

impl Lease {
    pub(crate) fn disk(&self) -> &Disk {
        &self.disk
    }
}

/// What a driver keeps for a region.
pub(crate) struct Region {
    disk: Arc<Disk>,
    idle: Arc<Idle>,
    /// Whether there may be transfers that nobody waits for: discards. Batches
    /// and reads hold the region.
    kept: bool,
}

impl Region {
    /// A region whose slots are where `extents` say. With `discard` the device
    /// is told of slots that nobody needs, if it can be told.
    ///
    /// # Errors
    ///
    /// `EINVAL` if there are too few slots, `EFBIG` for too many, `ENOMEM`.
    pub(crate) fn new(device: Device, extents: KVVec<Extent>, discard: bool) -> Result<KBox<Self>> {
        let disk = Disk::new(device, extents, discard)?;
        let idle = Idle::new()?;
        let kept = false;
        let mut region = KBox::new(Self { disk, idle, kept }, GFP_KERNEL)?;
        if region.disk.discard {
            region.idle.keep(region.disk.clone())?;
            region.kept = true;
        }
        Ok(region)
    }

    fn lease(&self) -> Lease {
        Lease {
            disk: self.disk.clone(),
            _busy: self.idle.enter(),
        }
    }

    /// As [`Driver::swapout`](swapvma_driver::Driver::swapout).
    pub(crate) fn swapout(&self, mut batch: Batch) {
        // A region has one batch at a time, for which there is always room.
        let Ok(room) = self.disk.flights.reserve() else {
            return;
        };
        let allotted = self.disk.allot(&mut batch);
        let flight = room.fill(Flight::new(self.lease(), batch, allotted.mask()));
        self.disk.write(&flight, &allotted);
    }

    /// As [`Driver::swapin`](swapvma_driver::Driver::swapin).
    pub(crate) fn swapin(&self, read: Read) {
        match extents::locate(&self.disk.extents, read.slot().get(), 1) {
            Some((sector, _)) => bio::submit(Op::Read, sector, Fill::new(self.lease(), read)),
            None => read.complete(Err(EIO)),
        }
    }

    /// As [`Driver::discard`](swapvma_driver::Driver::discard).
    pub(crate) fn discard(&self, slot: Slot) {
        self.disk.give(slot.get());
        if !self.disk.discard {
            return;
        }
        let Some(cluster) = self.disk.slots.claim(slot.get()) else {
            return;
        };
        let len = cluster.end - cluster.start;
        match extents::locate(&self.disk.extents, cluster.start, len) {
            Some((sector, len)) => {
                // CAST: At most the sectors of a cluster.
                let discard = Op::Discard((len * SLOT_SECTORS) as u32);
                bio::submit(discard, sector, Discard::new(self.lease(), cluster.start));
            }
            None => self.disk.release(cluster.start),
        }
    }

    /// As [`Driver::range_hint`](swapvma_driver::Driver::range_hint): what is
    /// stored behind the page mostly left memory along with it.
    pub(crate) fn range_hint(&self, slot: Slot) -> u32 {
        self.disk.slots.following(slot.get(), HINT_MAX)
    }

    /// As [`Driver::stored_bytes`](swapvma_driver::Driver::stored_bytes).
    pub(crate) fn stored_bytes(&self) -> u64 {
        self.disk.slots.used() * PAGE_SIZE as u64
    }
}

impl Drop for Region {
    fn drop(&mut self) {
        self.idle.leave(self.kept);
    }
}
