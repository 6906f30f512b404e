// SPDX-License-Identifier: GPL-2.0

//! Drain: everything that a driver stores moves elsewhere, so that it can go.
//!
//! Page by page, a page is brought into memory within its region's resident
//! limit, its copy is given up, and the swapper of the region's next driver
//! writes it again. A region without another driver keeps its pages in memory,
//! as far as its limit allows. Whoever stops a drain finds every page in one
//! place or the other; draining again goes on with what is left.

use crate::{
    atomic::Word,
    attached::{
        Attached,
        Wanted, //
    },
    batch::Operation,
    driver::{
        self,
        Registered, //
    },
    entry::{
        Slot,
        State,
        Stored, //
    },
    error::{
        code,
        Result, //
    },
    fault,
    kthread,
    limit::BATCH_PAGES,
    lockdep,
    populate::{
        self,
        Patience, //
    },
    record::Record,
    region::{
        Found,
        OpenRegion, //
    },
    regions,
    report,
    sleep,
    swapper,
    wait::Signals, //
};
use kernel::{
    str::CStr,
    sync::Arc,
    time::{
        delay::fsleep,
        Delta, //
    },
};

/// Progress of moving away what a driver stores.
pub(crate) struct Drain {
    state: Word,
    moved: Word,
    /// Regions that use the driver no more and did not detach yet.
    leaving: Word,
}

impl Drain {
    const IDLE: u64 = 0;
    const RUNNING: u64 = 1;
    const CANCELLED: u64 = 2;

    /// None yet.
    pub(crate) fn new() -> Self {
        Self {
            state: Word::new(Self::IDLE),
            moved: Word::new(0),
            leaving: Word::new(0),
        }
    }

    /// Begins; `false` while somebody else is at it.
    pub(crate) fn begin(&self) -> bool {
        let begun = self.state.cmpxchg(Self::IDLE, Self::RUNNING).is_ok();
        if begun {
            self.moved.store_release(0);
        }
        begun
    }

    /// Ends, done or not.
    pub(crate) fn end(&self) {
        self.state.store_release(Self::IDLE);
    }

    /// Asks for an end.
    pub(crate) fn cancel(&self) {
        // Without a drain there is nothing to cancel.
        let _ = self.state.cmpxchg(Self::RUNNING, Self::CANCELLED);
    }

    /// Whether the end was asked for.
    pub(crate) fn is_cancelled(&self) -> bool {
        self.state.load() == Self::CANCELLED
    }

    /// Whether a drain is under way.
    pub(crate) fn is_running(&self) -> bool {
        self.state.load() != Self::IDLE
    }

    /// A page was moved.
    pub(crate) fn count(&self) {
        self.moved.count(1);
    }

    /// Returns the pages moved by the last drain.
    pub(crate) fn moved(&self) -> u64 {
        self.moved.load()
    }

    /// A region uses the driver no more. It detaches when the last task that is about
    /// to call the driver for it is done.
    pub(crate) fn leave(&self) {
        self.leaving.add(1);
    }

    /// Such a region detached.
    pub(crate) fn left(&self) {
        self.leaving.sub(1);
    }

    /// Whether all of them detached.
    pub(crate) fn have_all_left(&self) -> bool {
        self.leaving.load() == 0
    }
}

/// Moves everything that the driver called `name` stores, to the driver `to` or,
/// if that is empty, to whatever other driver each region has. No lock held;
/// sleeps until it is done and the regions detached: the driver's module can go.
///
/// # Errors
///
/// `ENODEV` for an unknown driver, `EBUSY` while it is drained already, `EINTR`
/// if the task was killed or the drain cancelled, `ENOSPC` if a region is at its
/// limit and no other driver takes its pages, `EIO` if a page cannot be read,
/// `EINVAL` from a driver to itself.
pub(crate) fn drain(name: &CStr, to: &CStr) -> Result {
    if name == to {
        return Err(code::EINVAL);
    }
    if !to.is_empty() {
        driver::find(to)?.put_module();
    }
    let driver = driver::find(name)?;
    let result = if driver.drain.begin() {
        let result = drain_regions(&driver, to);
        driver.drain.end();
        result
    } else {
        Err(code::EBUSY)
    };
    driver.put_module();
    result
}

/// Stops a drain of the driver called `name`.
///
/// # Errors
///
/// `ENODEV` for an unknown driver.
pub(crate) fn cancel(name: &CStr) -> Result {
    let driver = driver::find(name)?;
    driver.drain.cancel();
    driver.put_module();
    Ok(())
}

fn drain_regions(driver: &Arc<Registered>, to: &CStr) -> Result {
    while let Some((region, attached)) = next(driver) {
        if !to.is_empty() {
            add(&region, to)?;
        }
        attached.set_draining(true);
        swapper::leave(driver);
        let (pages, before) = (region.pages(), driver.drain.moved());
        report::drain_begin(region.id, pages, driver.name());
        let result = drain_region(&region, &attached);
        let moved = driver.drain.moved().wrapping_sub(before);
        report::drain_end(region.id, pages, moved, result);
        if result.is_err() {
            attached.set_draining(false);
            return result;
        }
        let place = attached.place();
        drop(attached);
        region.drivers.remove(place);
    }
    wait_for_detach(driver)
}

/// Waits for the tasks that still have a region's use of the driver in hand.
fn wait_for_detach(driver: &Registered) -> Result {
    lockdep::wait_for_detach();
    wait_until(driver, || driver.drain.have_all_left())
}

/// Returns a region that uses the driver. New ones are refused meanwhile.
fn next(driver: &Arc<Registered>) -> Option<(OpenRegion, Arc<Attached>)> {
    regions::each().find_map(|region| {
        let attached = region.drivers.find(driver)?;
        Some((region, attached))
    })
}

/// Gives a region another driver, unless it has it.
fn add(region: &OpenRegion, name: &CStr) -> Result {
    if region.drivers.has(name) {
        return Ok(());
    }
    let wanted = Wanted {
        driver: name,
        ..Wanted::DEFAULT
    };
    let attached = Attached::new(&wanted, region.pages(), region.share.owner().clone())?;
    let added = region.add_driver(&attached);
    attached.put();
    match added {
        Err(code::EEXIST) => Ok(()),
        result => result,
    }
}

/// Moves a region's pages until none is left. The region gives the driver no new
/// ones.
fn drain_region(region: &OpenRegion, attached: &Attached) -> Result {
    // Not only for batches: also for slots that the swapper yet has to discard.
    lockdep::wait_for_swapper();
    loop {
        // Whoever found the driver usable before may be about to give it a batch.
        wait_for_movers(region, attached)?;
        region.wait_flights(0..u64::MAX);
        let moved = drain_once(region, attached)?;
        // A slot that left its entry before may still be on its way to be
        // discarded.
        wait_for_movers(region, attached)?;
        if moved == 0 {
            return Ok(());
        }
    }
}

fn wait_for_movers(region: &OpenRegion, attached: &Attached) -> Result {
    wait_until(attached.driver(), || region.movers.load() == 0)
}

/// Waits for what takes no longer than a call of a driver.
fn wait_until(driver: &Registered, is_so: impl Fn() -> bool) -> Result {
    const LONGEST_MS: i64 = 64;
    let mut ms = 1;
    while !is_so() {
        check(driver)?;
        fsleep(Delta::from_millis(ms));
        ms = (2 * ms).min(LONGEST_MS);
    }
    Ok(())
}

/// Whether the drain goes on.
///
/// # Errors
///
/// `EINTR` if it was cancelled or the task killed; `ERESTARTNOINTR` if the system is
/// to sleep: whoever asked for the drain asks again, and it goes on where it was.
fn check(driver: &Registered) -> Result {
    if sleep::is_awaited() {
        return Err(code::ERESTARTNOINTR);
    }
    if driver.drain.is_cancelled() || fault::is_killed() {
        return Err(code::EINTR);
    }
    Ok(())
}

/// Walks the region once. Returns how many pages it moved.
fn drain_once(region: &OpenRegion, attached: &Attached) -> Result<u64> {
    let mut moved = 0;
    let mut index = 0;
    let mut first = 0;
    while let Some(at) = region.table.next(index) {
        check(attached.driver())?;
        if is_of(region, at, attached) {
            drain_page(region, at, attached)?;
            moved += 1;
            attached.driver().drain.count();
        }
        index = at + 1;
        if moved != 0 && moved % BATCH_PAGES as u64 == 0 && region.drivers.home().is_some() {
            swapper::request(region, Operation::Swapout, first..index, Signals::Kill)?;
            first = index;
        }
        kthread::cond_resched();
    }
    Ok(moved)
}

/// Whether the driver stores the page, in memory or not.
fn is_of(region: &OpenRegion, index: u64, attached: &Attached) -> bool {
    let is_its = |slot: Slot| slot.driver() == attached.place();
    if let Found::Reading(read) = region.find(index) {
        return is_its(read.source());
    }
    let Some(entry) = region.table.lock(index) else {
        return false;
    };
    match entry.get() {
        State::Swapped(Stored::Slot(slot)) => is_its(slot),
        State::Resident(_) | State::Writing(_) => Record::of(&entry)
            .and_then(Record::slot)
            .is_some_and(is_its),
        _ => false,
    }
}

/// Brings the page into memory and gives its copy up.
fn drain_page(region: &OpenRegion, index: u64, attached: &Attached) -> Result {
    let Some((page, _)) = populate::populate(region, index, Patience::Keep)? else {
        return Ok(());
    };
    let slot = {
        let Some(entry) = region.table.lock(index) else {
            return Ok(());
        };
        let record = Record::of(&entry);
        let slot = record.and_then(Record::slot);
        let slot = slot.filter(|slot| slot.driver() == attached.place());
        if let (Some(record), Some(_)) = (record, slot) {
            record.set_slot(None);
        }
        slot
    };
    if slot.is_some() {
        region.make_dirty(index, &page);
    }
    drop(page);
    if let Some(slot) = slot {
        attached.discard(slot);
    }
    Ok(())
}
