// SPDX-License-Identifier: GPL-2.0

//! Read: one swapin in flight, shared by every fault on its page.
//!
//! The entry is `Reading` and owns a reference for as long. A read that succeeds
//! publishes the page; one that fails leaves the entry as it is, marked as
//! failed, so that each fault that shared it, and whose retry comes next, ends
//! in SIGBUS; the first of them sets the entry back to `Swapped`. A punch or a
//! truncation replaces the entry, and the late read then discards its slot
//! itself. Nobody waits for a driver to do that.

use crate::{
    atomic::Word,
    entry::{
        Address,
        Entry,
        Locked as LockedEntry,
        Slot,
        State,
        Stored, //
    },
    error::{
        code,
        Result, //
    },
    folio::NewPage,
    lockdep,
    reader,
    record,
    region::{
        OpenRegion,
        Region, //
    },
    wait::Signals, //
};
use kernel::{
    prelude::*,
    sync::{
        Arc,
        SpinLock, //
    },
    workqueue::{
        impl_has_work,
        new_work,
        Work,
        WorkItem, //
    },
};

const PENDING: u64 = 0;
const DONE: u64 = 1;
const FAILED: u64 = 2;

/// What a read fills.
pub(crate) struct Target {
    pub(crate) page: NewPage,
    pub(crate) record: record::Unused,
}

/// A swapin in flight.
#[pin_data]
#[repr(align(16))]
pub(crate) struct Read {
    index: u64,
    source: Slot,
    status: Word,
    /// For a reader thread: what to fill, and the region, open.
    #[pin]
    job: SpinLock<Option<(OpenRegion, Target)>>,
    #[pin]
    work: Work<Read>,
}

impl_has_work! {
    impl HasWork<Self> for Read { self.work }
}

impl WorkItem for Read {
    type Pointer = Arc<Read>;

    fn run(this: Arc<Read>) {
        let job = this.job.lock().take();
        if let Some((region, target)) = job {
            // The waiters read the outcome.
            let _ = this.run_in(&region, target);
        }
    }
}

impl Read {
    /// Begins to read page `index` from a slot: the entry becomes `Reading`.
    /// `None` if it changed meanwhile. May sleep and allocate.
    pub(crate) fn start(entry: &Entry, index: u64, from: Slot) -> Result<Option<Arc<Read>>> {
        let read = Arc::pin_init(
            pin_init!(Read {
                index,
                source: from,
                status: Word::new(PENDING),
                job <- kernel::new_spinlock!(None, "swapvma_read"),
                work <- new_work!("swapvma_read"),
            }),
            GFP_KERNEL,
        )?;
        let mut locked = entry.lock();
        if locked.get() != State::Swapped(Stored::Slot(from)) {
            drop(locked);
            return Ok(None);
        }
        let address = Arc::into_raw(read.clone()) as u64;
        match Address::new(address) {
            Some(address) => locked.set(State::Reading(address)),
            None => {
                drop(locked);
                // SAFETY: The reference was given up two lines above.
                drop(unsafe { Arc::from_raw(address as *const Read) });
                return Err(code::EINVAL);
            }
        }
        Ok(Some(read))
    }

    /// Returns the read that a locked entry refers to.
    pub(crate) fn get(_entry: &LockedEntry<'_>, address: Address) -> Arc<Read> {
        // SAFETY: The entry owns a reference, which the entry bit keeps there.
        let read = unsafe { kernel::sync::ArcBorrow::from_raw(address.get() as *const Read) };
        read.into()
    }

    /// Gives a locked entry another state and returns the reference that it had
    /// to this read.
    fn replace(&self, entry: &mut LockedEntry<'_>, then: State) -> Option<Arc<Read>> {
        let State::Reading(address) = entry.get() else {
            return None;
        };
        if address.get() != core::ptr::from_ref(self) as u64 {
            return None;
        }
        entry.set(then);
        // SAFETY: The entry owned a reference and refers to the read no more.
        Some(unsafe { Arc::from_raw(address.get() as *const Read) })
    }

    /// Reads and publishes, or fails. No lock held; may sleep.
    ///
    /// # Errors
    ///
    /// What the driver answers.
    pub(crate) fn run_in(&self, region: &Region, target: Target) -> Result {
        let Target { mut page, record } = target;
        let result = region.attached.swapin(self.index, self.source, &mut page);
        let owned = self.publish(region, page, record, &result);
        if !owned {
            // Punched meanwhile: nobody else knows the slot any more.
            region.attached.discard(self.source);
        }
        region.wait.wake_all();
        result
    }

    /// Applies the outcome to the entry. Returns whether the entry was still
    /// this read's.
    fn publish(
        &self,
        region: &Region,
        page: NewPage,
        record: record::Unused,
        result: &Result,
    ) -> bool {
        let Some(entry) = region.table.find(self.index) else {
            return false;
        };
        let mut locked = entry.lock();
        if result.is_err() {
            self.status.store_release(FAILED);
            let owned = self.is_at(&locked);
            drop(locked);
            region.residency.release();
            region.counters.read_failures.count(1);
            return owned;
        }
        self.status.store_release(DONE);
        let Some(this) = self.replace(&mut locked, State::Empty) else {
            drop(locked);
            region.residency.release();
            return false;
        };
        if self.index >= region.pages() {
            // A truncation is on its way to this entry; see `Region::install`.
            drop(locked);
            drop(this);
            region.residency.release();
            region.counters.swapped.sub(1);
            return false;
        }
        let page = region.install_locked(&mut locked, self.index, page, record, Some(self.source));
        drop(locked);
        drop(page);
        drop(this);
        region.counters.swapped.sub(1);
        region.counters.swapins.count(1);
        true
    }

    fn is_at(&self, entry: &LockedEntry<'_>) -> bool {
        matches!(entry.get(), State::Reading(address)
            if address.get() == core::ptr::from_ref(self) as u64)
    }

    /// Reads in a reader thread and waits for it, for a fault that holds its
    /// lock and may not give it up.
    ///
    /// # Errors
    ///
    /// `EINTR` if the task was killed meanwhile; `EIO`.
    pub(crate) fn run_elsewhere(self: &Arc<Self>, region: OpenRegion, target: Target) -> Result {
        let waiter = region.clone();
        *self.job.lock() = Some((region, target));
        reader::enqueue(self.clone());
        self.wait(&waiter)
    }

    /// Waits until the read is over.
    ///
    /// # Errors
    ///
    /// `EINTR` if the task was killed meanwhile; `EIO` if the read failed.
    pub(crate) fn wait(&self, region: &Region) -> Result {
        lockdep::wait_for_swapin();
        region
            .wait
            .wait(Signals::Kill, || self.status.load() != PENDING)?;
        if self.has_failed() {
            return Err(code::EIO);
        }
        Ok(())
    }

    /// Whether the read failed.
    pub(crate) fn has_failed(&self) -> bool {
        self.status.load() == FAILED
    }

    /// Sets the entry of a failed read back, so that the next fault reads again.
    pub(crate) fn reset(&self, entry: &Entry) {
        let mut locked = entry.lock();
        let this = self.replace(&mut locked, State::Swapped(Stored::Slot(self.source)));
        drop(locked);
        drop(this);
    }

    /// The page is punched: the entry becomes `Empty`. `None` if it was not this
    /// read's any more; otherwise the slot, if nobody else will discard it.
    pub(crate) fn punch(&self, entry: &Entry) -> Option<Option<Slot>> {
        let mut locked = entry.lock();
        let this = self.replace(&mut locked, State::Empty)?;
        // Decided under the entry bit, as in `publish`.
        let failed = self.has_failed();
        drop(locked);
        drop(this);
        Some(failed.then_some(self.source))
    }
}
