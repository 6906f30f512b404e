// SPDX-License-Identifier: GPL-2.0

//! Read: one swapin in flight, shared by every fault on its page.
//!
//! The entry is `Reading` and owns a reference for as long. A read that succeeds
//! publishes the page; one that fails leaves the entry as it is, marked as
//! failed, so that each fault that shared it, and whose retry comes next, ends
//! in SIGBUS; the first of them sets the entry back to `Swapped`. A punch or a
//! truncation replaces the entry, and the late read then discards its slot
//! itself. Nobody waits for a driver to do that.
//!
//! The driver has a token and completes it in any context. If that happens
//! before its callback returns, the task that called it publishes the page,
//! otherwise a reader thread does. A read that misses the driver's deadline
//! fails for whoever waits for it; it still owns its page, and publishes it if
//! the answer comes after all.

mod boundary;

use crate::{
    atomic::Word,
    attached::Attached,
    bindings as ours,
    deadline,
    entry::{
        Address,
        Locked as LockedEntry,
        Slot,
        State,
        Stored, //
    },
    error::{
        code,
        Result, //
    },
    folio::{
        NewPage,
        PAGE_SIZE, //
    },
    lockdep,
    reader,
    record,
    region::{
        OpenRegion,
        Region, //
    },
    report,
    seal::{
        Words,
        SEAL_WORDS, //
    },
    wait::Signals,
    window::Reservation, //
};
use kernel::{
    prelude::*,
    sync::{
        Arc,
        SpinLock,
        UniqueArc, //
    },
    workqueue::{
        impl_has_work,
        new_work,
        Work,
        WorkItem, //
    },
};

/// What became of a read, for those who wait for it.
const PENDING: u64 = 0;
const DONE: u64 = 1;
const FAILED: u64 = 2;

/// Where a read is.
const NEW: u64 = 0;
/// In the driver's callback.
const CALLED: u64 = 1;
/// The callback returned without an answer.
const AWAY: u64 = 2;
/// The driver answered.
const ANSWERED: u64 = 3;

/// What a read fills.
pub(crate) struct Target {
    pub(crate) page: NewPage,
    /// What the driver fills instead, in a region with integrity: it may still
    /// write to it when the page was verified. Outside the limit: it goes with the
    /// read.
    pub(crate) staging: Option<NewPage>,
    pub(crate) record: record::Unused,
}

/// What a reader needs to publish a read, or to begin it. The task that calls the driver
/// keeps that to itself for as long as there may be an answer at once.
struct Job {
    target: Target,
    region: OpenRegion,
}

/// A read that is over, and that nobody else has: the next one can be made of it.
pub(crate) type Spare = Pin<UniqueArc<Read>>;

/// A swapin in flight.
#[pin_data]
#[repr(align(16))]
pub(crate) struct Read {
    index: u64,
    source: Slot,
    attached: Arc<Attached>,
    /// What tells that the page is what was stored.
    seal: [Word; SEAL_WORDS],
    /// Bytes that the driver has to return.
    length: Word,
    /// Address of the page for the driver to fill.
    page: Word,
    /// When it began, in ticks.
    since: u64,
    phase: Word,
    /// Whether the driver failed to read it.
    error: Word,
    /// The deadline passed.
    late: Word,
    status: Word,
    #[pin]
    job: SpinLock<Option<Job>>,
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
        let Some(Job { target, region }) = job else {
            return;
        };
        // Nobody kills a reader.
        let _ = if this.phase.load() == NEW {
            this.call(&region, target)
        } else {
            this.publish(&region, target)
        };
    }
}

fn stored_in(slot: Slot) -> State {
    State::Swapped(Stored::Slot(slot))
}

/// A read in the hands of its driver.
pub(crate) struct Token(Arc<Read>);

impl Token {
    /// Turns the token into what the boundary passes to `swapin`.
    pub(crate) fn into_raw(self) -> *mut ours::swapvma_read {
        Arc::into_raw(self.0).cast_mut().cast()
    }
}

impl Read {
    fn new(attached: Arc<Attached>, index: u64, from: Slot) -> Result<Spare> {
        let read = UniqueArc::pin_init(
            pin_init!(Read {
                index,
                source: from,
                attached,
                seal: [const { Word::new(0) }; SEAL_WORDS],
                length: Word::new(PAGE_SIZE as u64),
                page: Word::new(0),
                since: deadline::ticks(),
                phase: Word::new(NEW),
                error: Word::new(0),
                late: Word::new(0),
                status: Word::new(PENDING),
                job <- kernel::new_spinlock!(None, "swapvma_read"),
                work <- new_work!("swapvma_read_work"),
            }),
            GFP_KERNEL,
        )?;
        Ok(read)
    }

    /// Makes the read one of another page of the region, from the same driver.
    fn renew(mut spare: Spare, index: u64, from: Slot) -> Spare {
        let this = spare.as_mut().project();
        *this.index = index;
        *this.source = from;
        *this.since = deadline::ticks();
        // The region being the same, so is what `start` sets; the others are set before
        // they are looked at.
        *this.phase = Word::new(NEW);
        *this.late = Word::new(0);
        *this.status = Word::new(PENDING);
        spare
    }

    /// Begins to read page `index` from a slot: the entry becomes `Reading`.
    /// `None` if it changed meanwhile. May sleep and allocate, unless `spare` will do,
    /// which was a read of the same region.
    ///
    /// # Errors
    ///
    /// `ENOMEM`; `EIO` if the driver is gone.
    pub(crate) fn start(
        region: &Region,
        index: u64,
        from: Slot,
        spare: Option<Spare>,
    ) -> Result<Option<Arc<Read>>> {
        let read: Arc<Read> = match spare {
            Some(spare) if spare.attached.place() == from.driver() => {
                Self::renew(spare, index, from)
            }
            _ => {
                let Some(attached) = region.drivers.get(from.driver()) else {
                    // Drained meanwhile; the entry says something else then.
                    let locked = region.table.lock(index);
                    let stays = locked.is_some_and(|locked| locked.get() == stored_in(from));
                    return if stays { Err(code::EIO) } else { Ok(None) };
                };
                Self::new(attached, index, from)?
            }
        }
        .into();
        let Some(mut locked) = region.table.lock(index) else {
            return Ok(None);
        };
        if locked.get() != stored_in(from) || read.attached.is_gone() {
            drop(locked);
            return Ok(None);
        }
        if let Some(integrity) = &region.integrity {
            let seal = integrity.seal_of(index);
            for (word, kept) in read.seal.iter().zip(seal) {
                word.store_release(kept);
            }
            read.length.store_release(integrity.length(seal) as u64);
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
        if !self.is_at(entry) {
            return None;
        }
        entry.set(then);
        // SAFETY: The entry owned a reference and refers to the read no more.
        Some(unsafe { Arc::from_raw(core::ptr::from_ref(self)) })
    }

    fn is_at(&self, entry: &LockedEntry<'_>) -> bool {
        matches!(entry.get(), State::Reading(address)
            if address.get() == core::ptr::from_ref(self) as u64)
    }

    /// Reads in the calling task and waits for the answer. No lock held.
    ///
    /// # Errors
    ///
    /// As [`Read::wait`].
    pub(crate) fn run_in(self: &Arc<Self>, region: &OpenRegion, target: Target) -> Result {
        let is_over = self.begin(region, target);
        self.end(is_over, region)
    }

    /// Calls the driver in the calling task. Returns whether the read is over: if not,
    /// it goes on by itself. No lock held.
    pub(crate) fn begin(self: &Arc<Self>, region: &OpenRegion, mut target: Target) -> bool {
        self.prepare(region, &mut target);
        self.call(region, target)
    }

    /// Waits for the answer to what [`Read::begin`] began, unless it is over. No lock
    /// held.
    ///
    /// # Errors
    ///
    /// As [`Read::wait`].
    pub(crate) fn end(&self, is_over: bool, region: &Region) -> Result {
        if is_over {
            return self.outcome();
        }
        self.wait(region)
    }

    /// Reads in a reader thread, for which the caller may [`Read::wait`]. Does
    /// not sleep.
    pub(crate) fn run_elsewhere(self: &Arc<Self>, region: OpenRegion, mut target: Target) {
        self.prepare(&region, &mut target);
        self.leave_to_others(region, target);
        reader::enqueue(self.clone());
    }

    /// Somebody else will publish the read.
    fn leave_to_others(&self, region: OpenRegion, target: Target) {
        *self.job.lock() = Some(Job { target, region });
    }

    fn prepare(&self, region: &Region, target: &mut Target) {
        let page = target.staging.as_mut().unwrap_or(&mut target.page);
        if !self.attached.driver().fills() {
            // What it does not fill is nobody's memory.
            page.clear();
        }
        let driver = self.attached.driver().name();
        report::swapin_begin(region.id, self.index, self.source.get(), driver);
        self.page.store_release(page.as_page() as u64);
    }

    /// Calls the driver. Returns whether the read is over.
    fn call(self: &Arc<Self>, region: &OpenRegion, mut target: Target) -> bool {
        self.phase.store_release(CALLED);
        self.attached.swapin(Token(self.clone()));
        if self.phase.load() == CALLED {
            self.leave_to_others(region.clone(), target);
            if self.phase.cmpxchg(CALLED, AWAY).is_ok() {
                return false;
            }
            // Answered at the same moment.
            let job = self.job.lock().take();
            let Some(job) = job else { return true };
            target = job.target;
        }
        self.publish(region, target)
    }

    /// The driver answered. Any context.
    fn complete(self: Arc<Self>, error: i32) {
        // Unregistration waits for this section, not for the caller's context: what
        // may be the last reference goes within it.
        let _rcu = kernel::sync::rcu::read_lock();
        let this = self;
        this.error.store_release(u64::from(error != 0));
        if this.phase.cmpxchg(CALLED, ANSWERED).is_ok() {
            // The caller of the callback goes on, and has a reference.
            return;
        }
        if this.phase.cmpxchg(AWAY, ANSWERED).is_ok() {
            reader::enqueue(this);
        } else {
            kernel::pr_err_once!("a driver completed a read that it did not have\n");
        }
    }

    /// Applies the driver's answer. Process context; may sleep for windows. Returns
    /// whether it did: whoever is killed meanwhile leaves that to a reader, for all
    /// who share the read.
    fn publish(self: &Arc<Self>, region: &OpenRegion, mut target: Target) -> bool {
        let windows = self.reserve(region);
        if matches!(windows, Err(code::EINTR)) {
            drop(windows);
            self.leave_to_others(region.clone(), target);
            reader::enqueue(self.clone());
            return false;
        }
        let is_read = self.error.load() == 0 && self.is_genuine(region, &mut target, windows);
        let result = if is_read { Ok(()) } else { Err(code::EIO) };
        report::swapin_end(region.id, self.index, self.source.get(), result);
        let owned = if is_read {
            self.succeed(region, target)
        } else {
            self.fail(region)
        };
        if !owned {
            // Punched meanwhile: nobody else knows the slot any more.
            self.attached.discard(self.source);
        }
        region.wait.wake_all();
        true
    }

    /// Reserves the windows that it takes to publish the page, if any.
    fn reserve<'a>(&self, region: &'a Region) -> Result<Option<Reservation<'a>>> {
        let opens = region.integrity.as_ref().filter(|_| self.error.load() == 0);
        opens
            .map(|integrity| integrity.reserve_to_open())
            .transpose()
    }

    /// Whether the driver returned what it was given, and turns that into the page.
    fn is_genuine(
        &self,
        region: &Region,
        target: &mut Target,
        windows: Result<Option<Reservation<'_>>>,
    ) -> bool {
        let Some(integrity) = &region.integrity else {
            return true;
        };
        let mut seal: Words = [0; SEAL_WORDS];
        for (word, kept) in seal.iter_mut().zip(&self.seal) {
            *word = kept.load();
        }
        let (Some(staging), Ok(Some(windows))) = (target.staging.take(), windows) else {
            return false;
        };
        // Whatever else goes wrong says nothing of what the driver returned.
        let genuine = integrity.open(
            &windows,
            region.id,
            self.index,
            seal,
            &staging.into_folio(),
            target.page.bytes(),
        );
        if genuine == Ok(false) {
            region.counters.corrupt_pages.count(1);
            let (slot, driver) = (self.source.get(), self.attached.driver());
            report::corrupt(region.id, self.index, slot, driver.name());
        }
        genuine == Ok(true)
    }

    /// The page could not be read. Returns whether the entry was still this
    /// read's.
    fn fail(&self, region: &Region) -> bool {
        let owned = {
            let locked = region.table.lock(self.index);
            self.status.store_release(FAILED);
            locked.is_some_and(|locked| self.is_at(&locked))
        };
        region.residency.release(1);
        if self.late.load() == 0 {
            region.counters.read_failures.count(1);
        }
        owned
    }

    /// The page was read. As [`Read::fail`].
    fn succeed(&self, region: &Region, target: Target) -> bool {
        let Target { page, record, .. } = target;
        let locked = region.table.lock(self.index);
        self.status.store_release(DONE);
        let Some(mut locked) = locked else {
            region.residency.release(1);
            return false;
        };
        let Some(this) = self.replace(&mut locked, State::Empty) else {
            drop(locked);
            region.residency.release(1);
            return false;
        };
        if self.index >= region.pages() {
            // A truncation is on its way to this entry; see `Region::install`.
            region.vacated(self.index);
            drop(locked);
            drop(this);
            region.residency.release(1);
            region.counters.swapped.sub(1);
            return false;
        }
        let source = Some(self.source);
        region.install_locked(&mut locked, self.index, page, record, source, true);
        drop(locked);
        drop(this);
        region.counters.swapped.sub(1);
        region.counters.swapins.count(1);
        true
    }

    /// Waits until the read is over, at most until the driver's deadline.
    ///
    /// # Errors
    ///
    /// `EINTR` if the task was killed meanwhile; `EIO` if the read failed.
    pub(crate) fn wait(&self, region: &Region) -> Result {
        lockdep::wait_for_swapin();
        let over = || self.status.load() != PENDING || self.late.load() != 0;
        let took = deadline::ms_since(self.since);
        let left = self.attached.driver().deadline_ms().saturating_sub(took);
        if !region.wait.wait_timeout(Signals::Kill, Some(left), over)? {
            self.miss_deadline(region);
        }
        self.outcome()
    }

    fn miss_deadline(&self, region: &Region) {
        if self.late.cmpxchg(0, 1).is_err() || self.status.load() != PENDING {
            return;
        }
        region.counters.read_failures.count(1);
        let driver = self.attached.driver();
        if driver.quarantine() {
            pr_err!(
                "driver {} did not read page {} within {} ms: quarantined\n",
                driver.name(),
                self.index,
                driver.deadline_ms()
            );
        }
        region.wait.wake_all();
    }

    fn outcome(&self) -> Result {
        if self.has_failed() {
            return Err(code::EIO);
        }
        Ok(())
    }

    /// Whether the read failed, or is late.
    pub(crate) fn has_failed(&self) -> bool {
        match self.status.load() {
            PENDING => self.late.load() != 0,
            status => status == FAILED,
        }
    }

    /// Returns where the page is read from.
    pub(crate) fn source(&self) -> Slot {
        self.source
    }

    /// Sets the entry of a failed read back, so that the next fault reads again.
    /// The entry of one that is late stays until the driver answers.
    pub(crate) fn reset(&self, region: &Region) {
        if self.status.load() != FAILED {
            return;
        }
        let Some(mut locked) = region.table.lock(self.index) else {
            return;
        };
        let this = self.replace(&mut locked, State::Swapped(Stored::Slot(self.source)));
        drop(locked);
        drop(this);
    }

    /// The page is punched: the entry becomes `Empty`. `None` if it was not this
    /// read's any more; otherwise the slot, if nobody else will discard it.
    pub(crate) fn punch(&self, region: &Region) -> Option<Option<Slot>> {
        let mut locked = region.table.lock(self.index)?;
        let this = self.replace(&mut locked, State::Empty)?;
        region.vacated(self.index);
        // Decided under the entry bit, as in `fail`.
        let failed = self.status.load() == FAILED;
        drop(locked);
        drop(this);
        Some(failed.then_some(self.source))
    }
}
