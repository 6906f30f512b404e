// SPDX-License-Identifier: GPL-2.0

//! The pages of a region, and how each changes its state.
//!
//! Each transition is one critical section: entry and record under the entry bit,
//! page under the folio lock. The order is folio lock, entry bit, lock of the LRU
//! list.

use super::{
    Found,
    Region, //
};
use crate::{
    entry::{
        Locked as LockedEntry,
        Slot,
        State, //
    },
    error::Result,
    folio::{
        Folio,
        Frozen,
        Locked,
        NewPage, //
    },
    read::Read,
    record::{
        self,
        Age,
        Record, //
    },
};
use core::mem::take;

/// Pages that leave memory, one after the other. What counts them is told when the value
/// is dropped: until then they count against the limit.
pub(crate) struct Leaving<'a> {
    region: &'a Region,
    /// The node of their memory.
    nid: i32,
    /// Pages that counted against the limit.
    counted: u64,
    /// Pages that were freed to make room.
    freed: u64,
}

impl Leaving<'_> {
    /// The next page is on node `nid`.
    fn on(&mut self, nid: i32) -> &mut Self {
        if nid != self.nid {
            self.tell();
            self.nid = nid;
        }
        self
    }

    fn tell(&mut self) {
        let (counted, freed) = (take(&mut self.counted), take(&mut self.freed));
        if counted != 0 {
            self.region.residency.release(counted);
            self.region.share.sub(self.nid, counted);
        }
        if freed != 0 {
            self.region.share.note_freed(self.nid, freed);
        }
    }
}

impl Drop for Leaving<'_> {
    fn drop(&mut self) {
        self.tell();
    }
}

impl Region {
    /// Looks a page up.
    pub(crate) fn find(&self, index: u64) -> Found {
        self.look_up(index, |_| ())
    }

    /// As [`Region::find`], for a fault that is to map the page: the clock starts again
    /// for it.
    pub(crate) fn find_touched(&self, index: u64) -> Found {
        self.look_up(index, |record| {
            if self.touched(record) {
                self.counters.refaults.count(1);
            }
        })
    }

    fn look_up(&self, index: u64, visit: impl FnOnce(&Record)) -> Found {
        let Some(entry) = self.table.lock(index) else {
            return Found::Empty;
        };
        match entry.get() {
            State::Empty | State::Dead => Found::Empty,
            State::Swapped(stored) => Found::Swapped(stored),
            State::Reading(read) => Found::Reading(Read::get(&entry, read)),
            State::Poisoned => Found::Poisoned,
            State::Resident(_) | State::Writing(_) => {
                Record::of(&entry).map_or(Found::Empty, |record| {
                    visit(record);
                    Found::Page(record.folio())
                })
            }
        }
    }

    /// As [`Region::find`], but no page other than a resident one.
    pub(crate) fn find_resident(&self, index: u64) -> Option<Folio> {
        let entry = self.table.lock(index)?;
        match entry.get() {
            State::Resident(_) => Record::of(&entry).map(Record::folio),
            _ => None,
        }
    }

    /// Whether a locked page is still in the region's table.
    pub(crate) fn owns(&self, page: &Locked) -> bool {
        page.is_attached(self.mapping())
    }

    /// Locks resident pages that nobody has locked, to map them: page `first`, and
    /// those after it, for each bit of `wanted`, as far as `pages` has room. Cold ones
    /// are left out: mapped, they would look unused for as long as they are used. Does
    /// not sleep.
    pub(crate) fn lock_neighbours(
        &self,
        first: u64,
        wanted: u64,
        pages: &mut [Option<(u64, Locked)>],
    ) {
        let mut places = pages.iter_mut();
        self.table.lock_resident(first, wanted, |index, entry| {
            let Some(record) = Record::of(entry).filter(|record| !record.is_aged()) else {
                return;
            };
            // The page is in the table for as long as it is locked.
            let Ok(page) = record.folio().try_lock() else {
                return;
            };
            if let Some(place) = places.next() {
                *place = Some((index, page));
            }
        });
    }

    /// Puts a new page into the table if its entry is still `expected` and the
    /// region not shorter. The page comes back locked; residency was reserved.
    /// Does not sleep.
    ///
    /// The size is read under the entry bit, which a truncation takes for each
    /// entry after it changed the size: no page comes too late.
    ///
    /// # Errors
    ///
    /// Page and record, if something changed.
    pub(crate) fn install(
        &self,
        index: u64,
        expected: State,
        page: NewPage,
        record: record::Unused,
        slot: Option<Slot>,
    ) -> core::result::Result<Locked, (NewPage, record::Unused)> {
        let Some(mut entry) = self.table.lock(index) else {
            return Err((page, record));
        };
        let is_new = expected == State::Empty;
        if entry.get() != expected || index >= self.pages() || is_new && !self.hold(index) {
            drop(entry);
            return Err((page, record));
        }
        let locked = page.lock();
        self.install_locked(&mut entry, index, page, record, slot, !is_new);
        Ok(locked)
    }

    /// Makes room in the table for page `index`. It may be gone again on return.
    /// May sleep and allocate: the caller holds no lock that reclaim can reach.
    ///
    /// # Errors
    ///
    /// `ENOMEM`; `EFBIG` past what a table can address.
    pub(crate) fn fill(&self, index: u64) -> Result {
        if let Some(integrity) = &self.integrity {
            integrity.fill(index)?;
        }
        self.table.fill(index)
    }

    /// The entry is empty no more; `false` if it has to stay so until
    /// [`Region::fill`]. Under the entry bit.
    fn hold(&self, index: u64) -> bool {
        match &self.integrity {
            Some(integrity) => integrity.hold(index),
            None => true,
        }
    }

    /// Empties an entry that was not. Under the entry bit.
    pub(crate) fn vacate(&self, entry: &mut LockedEntry<'_>, index: u64) {
        entry.set(State::Empty);
        self.vacated(index);
    }

    /// The entry is empty and was not. Under the entry bit.
    pub(crate) fn vacated(&self, index: u64) {
        if let Some(integrity) = &self.integrity {
            integrity.release(index);
        }
    }

    /// As [`Region::install`], with the entry bit held. The page `was_out`, or is new.
    pub(crate) fn install_locked(
        &self,
        entry: &mut LockedEntry<'_>,
        index: u64,
        page: NewPage,
        record: record::Unused,
        slot: Option<Slot>,
        was_out: bool,
    ) {
        let nid = page.nid();
        let folio = page.attach(self.mapping(), index);
        let record = record.install(entry, folio, index, slot);
        // SAFETY: `take` removes it before the record is freed.
        unsafe { self.ages.add(record, nid) };
        if was_out {
            let resident = self.residency.resident();
            self.ages.note_back(record, index, resident);
        }
        self.share.add(nid);
    }

    /// Takes a page out of the table, whose entry becomes `then`. The page is
    /// locked and in no page table; if it is not frozen, whoever still has a
    /// reference keeps an orphan. Returns the slot of a stored copy. The caller
    /// wakes who waits for the limit.
    pub(crate) fn remove(&self, index: u64, page: &Locked, then: State) -> Option<Slot> {
        let nid = page.nid();
        let mut entry = self.table.lock(index)?;
        let slot = Record::of(&entry)?.slot();
        let taken = self.take(&mut entry, nid, then, &mut self.leaving());
        drop(entry);
        page.detach();
        // Not with the entry bit: this may be the last reference.
        drop(taken);
        slot
    }

    /// Takes record and reference of a resident page away from its entry, and
    /// its residency from the region.
    fn take(
        &self,
        entry: &mut LockedEntry<'_>,
        nid: i32,
        then: State,
        leaving: &mut Leaving<'_>,
    ) -> Option<(record::Unused, Folio)> {
        let record = Record::of(entry)?;
        self.ages.remove(record, nid);
        if record.is_exempt() {
            self.residency.release_unevictable();
        } else {
            leaving.on(nid).counted += 1;
        }
        let index = record.index();
        let taken = record::take(entry, then);
        if then == State::Empty {
            self.vacated(index);
        }
        taken
    }

    /// Returns what counts pages that leave memory. The caller wakes who waits for the
    /// limit when it is dropped.
    pub(crate) fn leaving(&self) -> Leaving<'_> {
        Leaving {
            region: self,
            nid: 0,
            counted: 0,
            freed: 0,
        }
    }

    /// Takes a page that nobody else uses out of memory, if `decide` says what
    /// its entry becomes. The page is locked and in no page table. Its count is
    /// frozen, and thus its content final, for as long as `decide` runs; the
    /// entry bit hides that from everybody. Returns the slot of a stored copy.
    ///
    /// # Errors
    ///
    /// The page, if somebody uses it or `decide` lets it stay.
    pub(crate) fn evict(
        &self,
        index: u64,
        page: Locked,
        leaving: &mut Leaving<'_>,
        decide: impl FnOnce(&mut LockedEntry<'_>, &Frozen) -> Option<State>,
    ) -> core::result::Result<Option<Slot>, Locked> {
        let nid = page.nid();
        let Some(mut entry) = self.table.lock(index) else {
            return Err(page);
        };
        let frozen = match page.freeze() {
            Ok(frozen) => frozen,
            Err(page) => {
                if Record::of(&entry).is_some_and(Record::stayed) {
                    self.exempt(nid);
                }
                return Err(page);
            }
        };
        let then = decide(&mut entry, &frozen);
        let slot = Record::of(&entry).and_then(Record::slot);
        let page = frozen.thaw();
        let Some(then) = then else {
            return Err(page);
        };
        if Record::of(&entry).is_some_and(Record::is_ahead) {
            self.ages.stock.note_used();
        }
        if matches!(then, State::Swapped(_)) {
            self.ages.note_left(index);
        }
        let taken = self.take(&mut entry, nid, then, leaving);
        drop(entry);
        page.detach();
        // Record and reference are given back without the entry bit.
        drop(taken);
        drop(page);
        leaving.on(nid).freed += 1;
        Ok(slot)
    }

    /// A store to the page is about to be possible: it becomes dirty, and a
    /// batch that writes it is ignored. The page is locked.
    pub(crate) fn make_dirty(&self, index: u64, page: &Locked) {
        let was_clean = !page.is_dirty();
        page.set_dirty();
        let is_writing = matches!(self.table.peek(index), State::Writing(_));
        let may_waste = was_clean && self.counters.launders_ahead.load() != 0;
        if !is_writing && !may_waste {
            return;
        }
        let Some(mut entry) = self.table.lock(index) else {
            return;
        };
        if Record::of(&entry).is_some_and(Record::take_ahead) {
            self.waste();
        }
        if let State::Writing(record) = entry.get() {
            entry.set(State::Resident(record));
            self.counters.cancelled.count(1);
        }
    }

    /// A page is written to that had been written ahead. Under the entry bit.
    pub(crate) fn waste(&self) {
        self.ages.stock.note_wasted();
        self.counters.launders_wasted.count(1);
    }

    /// A fault maps the page: the clock starts again for it.
    pub(crate) fn touch(&self, index: u64) {
        let Some(entry) = self.table.lock(index) else {
            return;
        };
        if let Some(record) = Record::of(&entry) {
            self.touched(record);
        }
    }

    /// The same, under the entry bit. Returns whether the clock had unmapped the page:
    /// then it is active.
    fn touched(&self, record: &Record) -> bool {
        let was_aged = record.is_aged();
        record.forget_stay();
        if was_aged {
            self.ages.set_active(record, true);
            self.ages.set(record, Age::Young);
        }
        was_aged
    }

    /// The driver does not want the page: it comes by again when others have twice.
    pub(crate) fn keep(&self, index: u64) {
        let Some(entry) = self.table.lock(index) else {
            return;
        };
        if let Some(record) = Record::of(&entry) {
            self.ages.set_active(record, true);
            self.ages.set(record, Age::Young);
        }
    }

    /// A cold page that is clean leaves before others. Returns whether it is such a
    /// page.
    pub(crate) fn stock(&self, index: u64) -> bool {
        let Some(entry) = self.table.lock(index) else {
            return false;
        };
        if let (State::Resident(_), Some(record)) = (entry.get(), Record::of(&entry)) {
            if record.age() == Age::Cold && !record.folio().is_dirty() {
                self.ages.set(record, Age::Clean);
                return true;
            }
        }
        false
    }

    /// The page was to leave memory. If it cannot, it comes by again after the
    /// others.
    pub(crate) fn stay(&self, index: u64) {
        let seen = self.table.peek(index);
        if !matches!(seen, State::Resident(_) | State::Writing(_)) {
            return;
        }
        let Some(entry) = self.table.lock(index) else {
            return;
        };
        if let Some(record) = Record::of(&entry).filter(|record| record.is_aged()) {
            self.ages.set(record, Age::Young);
        }
    }

    /// Whether an mlock keeps a page in memory. May sleep.
    pub(crate) fn is_mlocked(&self, index: u64) -> bool {
        self.has_mlocked(index, index)
    }

    /// Whether an mlock keeps some of the pages from `first` to `last` in memory. May
    /// sleep.
    pub(crate) fn has_mlocked(&self, first: u64, last: u64) -> bool {
        self.mappings.load() != 0 && self.mapping().has_locked(first, last)
    }

    /// Whether something keeps the page of a locked entry in memory: an mlock, a
    /// pin, or who was found to hold it in [`Region::evict`]. If so, it does not
    /// count against the limit from here on; if not any more, it does.
    pub(crate) fn is_unevictable(&self, entry: &LockedEntry<'_>, mlocked: bool) -> bool {
        let Some(record) = Record::of(entry) else {
            return false;
        };
        match record.look_unevictable(mlocked) {
            (true, true) => self.exempt(record.nid()),
            (false, true) => {
                self.residency.charge();
                self.share.add(record.nid());
            }
            _ => {}
        }
        record.is_exempt()
    }

    /// Something keeps a page on node `nid` in memory. Under the entry bit.
    fn exempt(&self, nid: i32) {
        self.residency.exempt();
        self.share.sub(nid, 1);
    }

    /// Gives reserved residency back.
    pub(crate) fn unreserve(&self, pages: u64) {
        self.residency.release(pages);
        self.wait.wake_all();
    }
}
