// SPDX-License-Identifier: GPL-2.0

//! Region: the memory object, shared by any number of mappings and processes.
//!
//! A region lives as long as its file is open; whoever works on it without
//! being called through the file or a mapping holds an [`OpenRegion`]. Its pages
//! change state in [`pages`] and nowhere else.

mod pages;

pub(crate) use self::pages::Leaving;

use crate::{
    ages::Ages,
    ahead::Ahead,
    atomic::Word,
    attached::{
        Attached,
        Drivers, //
    },
    deadline::now_ns,
    entry::{
        Address,
        Locked as LockedEntry,
        Slot,
        State,
        Stored, //
    },
    error::Result,
    folio::{
        Folio,
        Mapping, //
    },
    fs::{
        OpenFile,
        RegionFile, //
    },
    inflight::{
        InFlight,
        Ticket, //
    },
    integrity::Integrity,
    limit::{
        Residency,
        BATCH_PAGES, //
    },
    lockdep,
    oom,
    owner::Share,
    priority::Priority,
    quota::Quota,
    range::pages_of,
    read::Read,
    record::{
        self,
        Record, //
    },
    regions,
    seal::Mode,
    stats::Counters,
    swapper::Work,
    table::Table,
    wait::{
        Signals,
        WaitQueue, //
    }, //
};
use core::ops::Range;
use kernel::{
    list::{
        impl_list_arc_safe,
        impl_list_item,
        AtomicTracker,
        ListLinks,
        TryNewListArc, //
    },
    prelude::*,
    sync::{
        Arc,
        SpinLock, //
    },
};

/// The memory object.
#[pin_data]
pub(crate) struct Region {
    /// Names the region in debugfs.
    pub(crate) id: u64,
    /// The drivers, and their handles for this region.
    #[pin]
    pub(crate) drivers: Drivers,
    /// Where each page is.
    pub(crate) table: Table,
    /// The resident limit.
    pub(crate) residency: Residency,
    /// With regard to other regions of the owner.
    pub(crate) priority: Priority,
    /// What its stored pages are verified with, if they are.
    pub(crate) integrity: Option<Pin<KBox<Integrity>>>,
    /// What happened.
    pub(crate) counters: Counters,
    /// Mappings, and tasks that wait for one of them to go away.
    pub(crate) mappings: Word,
    /// The region's inode and its file, while it is open.
    pub(crate) file: RegionFile,
    /// Orders changes of the size.
    #[pin]
    sizing: SpinLock<()>,
    /// Who pays for the pages.
    pub(crate) share: Share,
    /// Records of the resident pages.
    #[pin]
    pub(crate) ages: Ages,
    /// The swapper was asked to bring the region below its limit.
    pub(crate) kicked: Word,
    /// Pages that the swapper looked at since it last made room.
    pub(crate) scanned: Word,
    /// Clean pages are to be had before somebody wants them: how many to look at for
    /// that.
    pub(crate) tended: Word,
    /// Tasks that wait for the swapper to bring the region below its limit.
    pub(crate) limit_waiters: Word,
    /// A scan of all pages made no room: faults go over the limit.
    pub(crate) stalled: Word,
    /// Until when memory pressure expects nothing of the region: a scan of all pages
    /// brought none.
    pub(crate) barren_until: Word,
    /// Waiting for memory was in vain: allocations may have a task killed.
    pub(crate) starved: Word,
    #[pin]
    inflight: SpinLock<InFlight>,
    /// Batches in flight: what `close` looks at first.
    in_swapout: Word,
    /// The driver in whose queue the region is: its address, or 0.
    pub(crate) queued: Word,
    /// Who may have taken slots out of the table that are yet to be discarded.
    pub(crate) movers: Word,
    /// What faults bring along.
    pub(crate) ahead: Ahead,
    /// What the swapper is asked to do.
    #[pin]
    pub(crate) work: SpinLock<Work>,
    /// Tasks that wait for the limit, a read or a batch.
    #[pin]
    pub(crate) wait: WaitQueue,
    /// Tasks that wait for a request.
    #[pin]
    pub(crate) answered: WaitQueue,
    #[pin]
    queue_links: ListLinks,
    #[pin]
    tracker: AtomicTracker,
}

impl_list_arc_safe! {
    impl ListArcSafe<0> for Region { tracked_by tracker: AtomicTracker; }
}
impl_list_item! {
    impl ListItem<0> for Region { using ListLinks { self.queue_links }; }
}

/// A region that stays open.
#[derive(Clone)]
pub(crate) struct OpenRegion {
    // Dropped first: the last reference to a region goes with its file.
    region: Arc<Region>,
    _file: OpenFile,
}

impl OpenRegion {
    /// Joins a region and a reference to its file.
    pub(crate) fn new(region: Arc<Region>, file: OpenFile) -> Self {
        Self {
            region,
            _file: file,
        }
    }
}

impl core::ops::Deref for OpenRegion {
    type Target = Arc<Region>;

    fn deref(&self) -> &Arc<Region> {
        &self.region
    }
}

/// Where a page is, with references to what the entry refers to.
pub(crate) enum Found {
    /// Nowhere: it reads as zeroes.
    Empty,
    /// In memory.
    Page(Folio),
    /// With the driver, or a fill word.
    Swapped(Stored),
    /// Being read.
    Reading(Arc<Read>),
    /// Lost to a memory error.
    Poisoned,
}

impl Region {
    /// Creates a region around a new file. May sleep and allocate.
    pub(crate) fn new(
        attached: Arc<Attached>,
        file: RegionFile,
        limit: u64,
        mode: Option<Mode>,
    ) -> Result<Arc<Region>> {
        if mode.is_some() {
            attached.driver().stage()?;
        }
        let id = regions::next_id();
        let share = Share::new(attached.owner().clone(), id)?;
        let region = Arc::pin_init(
            try_pin_init!(Region {
                id,
                drivers <- Drivers::new(attached),
                table: Table::new(),
                residency: Residency::new(limit),
                priority: Priority::new(),
                integrity: mode.map(Integrity::new).transpose()?,
                counters: Counters::new(),
                mappings: Word::new(0),
                file,
                sizing <- kernel::new_spinlock!((), "swapvma_size"),
                share,
                ages <- Ages::new(),
                inflight <- kernel::new_spinlock!(InFlight::new(), "swapvma_inflight"),
                kicked: Word::new(0),
                scanned: Word::new(0),
                tended: Word::new(0),
                limit_waiters: Word::new(0),
                stalled: Word::new(0),
                barren_until: Word::new(0),
                starved: Word::new(0),
                in_swapout: Word::new(0),
                queued: Word::new(0),
                movers: Word::new(0),
                ahead: Ahead::new(),
                work <- kernel::new_spinlock!(Work::new(), "swapvma_work"),
                wait <- WaitQueue::new(c"swapvma_region_wait", kernel::static_lock_class!()),
                answered <- WaitQueue::new(c"swapvma_region_wait", kernel::static_lock_class!()),
                queue_links <- ListLinks::new(),
                tracker <- AtomicTracker::new(),
            }? Error),
            GFP_KERNEL,
        )?;
        regions::insert(&region)?;
        Ok(region)
    }

    /// Takes the region off tree and queue: its file is being released. Its pages
    /// are gone already.
    pub(crate) fn forget(&self) {
        regions::remove(self);
        if regions::count() == 0 {
            // Nobody needs what processors have at hand.
            record::shrink();
        }
        self.drivers.for_each(|attached| {
            attached.driver().forget(self);
        });
    }

    /// Adds a driver to the end of the list. May sleep and allocate.
    ///
    /// # Errors
    ///
    /// `EEXIST` if it is there; `ENOSPC` for too many; `ENOMEM`.
    pub(crate) fn add_driver(&self, attached: &Arc<Attached>) -> Result {
        if self.integrity.is_some() {
            attached.driver().stage()?;
        }
        self.drivers.add(attached)
    }

    /// Returns the size in bytes.
    pub(crate) fn size(&self) -> u64 {
        self.file.size()
    }

    /// Returns the size in pages, rounded up.
    pub(crate) fn pages(&self) -> u64 {
        pages_of(self.size())
    }

    /// Changes the size in bytes.
    pub(crate) fn resize(&self, bytes: u64) {
        let _sizing = self.sizing.lock();
        self.file.set_size(bytes);
    }

    /// Makes the region at least `bytes` long. Does not sleep: for mmap, which
    /// may not wait for the inode lock.
    pub(crate) fn grow(&self, bytes: u64) {
        let _sizing = self.sizing.lock();
        if bytes > self.size() {
            self.file.set_size(bytes);
        }
    }

    /// Returns what page tables find the region's pages through.
    pub(crate) fn mapping(&self) -> Mapping {
        self.file.mapping()
    }

    /// Returns the bytes that the drivers store for the region.
    pub(crate) fn stored_bytes(&self) -> u64 {
        let mut bytes = 0;
        self.drivers
            .for_each(|attached| bytes += attached.stored_bytes());
        bytes
    }

    /// Returns what limits these.
    pub(crate) fn stored_quota(&self) -> &Quota {
        self.share.owner().accounts().own()
    }

    /// Returns the bytes that the region needs to verify what is stored.
    pub(crate) fn seal_bytes(&self) -> u64 {
        self.integrity.as_ref().map_or(0, |all| all.seal_bytes())
    }

    /// Returns the name of how stored pages are verified, for debugfs and fdinfo.
    pub(crate) fn integrity_name(&self) -> &'static str {
        match self.integrity.as_ref().map(|integrity| integrity.mode()) {
            None => "none",
            Some(Mode::Checksum) => "checksum",
            Some(Mode::Encrypt) => "encrypt",
        }
    }

    /// Runs `f`, which takes slots out of the table and then discards them. Their
    /// driver is not removed meanwhile.
    pub(crate) fn moving<T>(&self, f: impl FnOnce() -> T) -> T {
        self.movers.add(1);
        let result = f();
        self.movers.sub(1);
        result
    }

    /// Has a driver forget a slot that no entry and no record has any more. May
    /// sleep: no folio lock, and no batch in flight, waits for it.
    pub(crate) fn discard(&self, slot: Slot) {
        if let Some(attached) = self.drivers.get(slot.driver()) {
            attached.discard(slot);
        }
    }

    /// Returns the number of batches in flight.
    pub(crate) fn in_swapout(&self) -> u64 {
        self.in_swapout.load()
    }

    /// Enters a batch of `pages` in flight, before it unmaps anything. `None`
    /// while too many are.
    pub(crate) fn enter_flight(&self, pages: Range<u64>) -> Option<Ticket> {
        // First, so that whoever sees none may rely on it.
        self.in_swapout.add(1);
        let ticket = self.inflight.lock().enter(pages);
        if ticket.is_none() {
            self.in_swapout.sub(1);
        }
        ticket
    }

    /// Takes a batch out of flight, after its answers were applied or it was
    /// abandoned, and wakes whoever waits for it.
    pub(crate) fn leave_flight(&self, ticket: Ticket) {
        let left = self.inflight.lock().leave(ticket);
        if left {
            self.in_swapout.sub(1);
            self.wait.wake_all();
        }
    }

    /// Waits for the batches in flight that overlap `pages`; those that enter
    /// later do not concern the caller. Returns whether it slept. Bounded by
    /// the driver's deadline.
    pub(crate) fn wait_flights(&self, pages: Range<u64>) -> bool {
        self.wait_flights_after(pages, || ())
    }

    /// As [`Region::wait_flights`], but calls `begin` before it sleeps.
    pub(crate) fn wait_flights_after(&self, pages: Range<u64>, begin: impl FnOnce()) -> bool {
        // Always, so that a lock that must not be held here is reported even
        // if no batch is in flight.
        lockdep::wait_for_swapout();
        if self.in_swapout.load() == 0 {
            return false;
        }
        let horizon = {
            let inflight = self.inflight.lock();
            if !inflight.overlaps(&pages, u64::MAX) {
                return false;
            }
            inflight.horizon()
        };
        begin();
        // Without signals, the only error, this returns when the condition holds.
        let _ = self.wait.wait(Signals::Ignore, || {
            !self.inflight.lock().overlaps(&pages, horizon)
        });
        true
    }

    /// Returns the record address that `Writing` and `Resident` share, if the
    /// entry is being written by batch `seq`. Under the entry bit.
    pub(crate) fn written_by(entry: &LockedEntry<'_>, seq: u64) -> Option<Address> {
        match entry.get() {
            State::Writing(record) if Record::of(entry)?.is_written_by(seq) => Some(record),
            _ => None,
        }
    }

    /// Whether nobody can bring the region below its limit for now: faults go
    /// over it.
    pub(crate) fn is_stalled(&self) -> bool {
        let home = self.drivers.home();
        self.stalled.load() != 0 || !home.is_some_and(|home| home.driver().is_awake())
    }

    /// Pages can leave that could not before: who needs room waits for it again. Any
    /// context but hard interrupt.
    pub(crate) fn expect_room(self: &Arc<Self>) {
        self.stalled.store_release(0);
        self.barren_until.store_release(0);
        // Who was just told that nothing will come may look only now, and wait. After the
        // store: `add` is a full barrier, as that of who waits is.
        if self.limit_waiters.add(0) != 0 {
            self.kick();
        }
    }

    /// Whether it is worth while to wait for the swapper to bring pages of the region.
    pub(crate) fn is_promising(&self) -> bool {
        let is_barren = self.barren_until.load() > now_ns();
        let home = self.drivers.home();
        !is_barren
            && home.is_some_and(|home| {
                home.driver().is_awake() && !oom::is_hanging(&home.driver().batch_since)
            })
    }

    /// Takes each spinning lock once, for lockdep.
    pub(crate) fn prime(&self) {
        drop(self.table.lock(0));
        drop(self.inflight.lock());
        drop(self.work.lock());
        self.drivers.home();
        self.wait.wake_all();
        self.answered.wake_all();
    }

    /// Asks the swapper to bring the region below its limit. Any context but
    /// hard interrupt.
    pub(crate) fn kick(self: &Arc<Self>) {
        if self.kicked.cmpxchg(0, 1).is_ok() && !self.enqueue() {
            self.kicked.store_release(0);
        }
    }

    /// Has the swapper see to it that there are clean pages. Any context but hard
    /// interrupt.
    pub(crate) fn tend(self: &Arc<Self>) {
        self.tend_on(self.to_tend());
    }

    /// As [`Region::tend`], unless none of the pages to look at is `left`.
    pub(crate) fn tend_on(self: &Arc<Self>, left: u64) {
        if left != 0 && self.tended.cmpxchg(0, left).is_ok() {
            self.enqueue();
        }
    }

    /// Returns how many pages to look at for clean ones: each of them twice. Those of a
    /// region of which all are in use never stay cold.
    pub(crate) fn to_tend(&self) -> u64 {
        2 * self.residency.resident() + BATCH_PAGES as u64
    }

    /// Has the swapper of the region's home look after it. Any context but hard
    /// interrupt. Returns whether there is one.
    pub(crate) fn enqueue(self: &Arc<Self>) -> bool {
        while let Some(home) = self.drivers.home() {
            home.driver().enqueue(self);
            // Should the driver have left meanwhile, nobody may come by its queue.
            // That it has, or that the region is in the queue: `swapper::leave` and
            // this see one at least, by the queue's lock.
            if self.drivers.is_home(home.driver()) || !home.driver().forget(self) {
                return true;
            }
        }
        false
    }
}
