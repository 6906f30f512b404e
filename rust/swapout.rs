// SPDX-License-Identifier: GPL-2.0

//! Swapout: which pages leave memory, or become clean where they are, and what
//! has to happen to them before a driver gets them.
//!
//! All of it runs in a driver's swapper. Folios are locked by trylock, in any
//! order; a page whose reference count cannot be frozen is pinned, or a munmap
//! has yet to flush a TLB for it, and stays. Between unmapping and the driver's
//! answer nothing is locked: a fault may map the page again at any time, and a
//! store takes it out of the batch.

use crate::{
    attached::Attached,
    batch::{
        Inner,
        Operation,
        Phase, //
    },
    candidates::{
        for_each_run,
        Candidates, //
    },
    entry::{
        Locked as LockedEntry,
        Slot,
        State,
        Stored, //
    },
    flaw::{
        self,
        Flaw, //
    },
    folio::{
        Frozen,
        Locked, //
    },
    inflight::Ticket,
    limit::BATCH_PAGES,
    oom,
    record::Record,
    region::{
        OpenRegion,
        Region, //
    },
    report::{
        self,
        Answers, //
    },
    writeback, //
};
use core::ops::Range;
use kernel::sync::Arc;

/// What became of some pages.
#[derive(Default, Clone, Copy)]
pub(crate) struct Outcome {
    /// Pages that left memory, or became clean.
    pub(crate) done: u64,
    /// Pages that the driver did not take.
    pub(crate) refused: u64,
}

impl Outcome {
    /// Adds what became of others.
    pub(crate) fn add(&mut self, other: Outcome) {
        self.done += other.done;
        self.refused += other.refused;
    }
}

/// A page that a batch may take.
type Taken = Option<(u64, Locked)>;

/// Pages of a short run: to make arrays for a whole batch would cost more than what
/// is done to them.
const FEW: usize = 8;

/// Pages that leave memory at once where a driver is not called, on the stack of
/// somebody's allocation.
const SOME: usize = 16;

/// Slots of copies that nobody needs any more. The driver hears of them when no
/// folio is locked and no batch is in flight: it may sleep, and somebody waits
/// for either.
pub(crate) struct Stale<'a> {
    slots: &'a mut [Option<Slot>],
    len: usize,
}

impl<'a> Stale<'a> {
    /// None yet; there is room for two for each page.
    fn new(slots: &'a mut [Option<Slot>]) -> Self {
        Self { slots, len: 0 }
    }

    /// Adds a slot: at most one for each page before it is written, and one
    /// after.
    pub(crate) fn push(&mut self, slot: Option<Slot>) {
        if slot.is_none() {
            return;
        }
        if let Some(place) = self.slots.get_mut(self.len) {
            *place = slot;
            self.len += 1;
        }
    }

    fn discard(self, region: &Region) {
        for slot in self.slots.iter().take(self.len).flatten() {
            region.discard(*slot);
        }
    }
}

/// A batch that is being filled.
struct Filling<'a, 's> {
    batch: &'a Inner,
    ticket: Ticket,
    /// Pages that there is room for in the store.
    room: u64,
    stale: &'a mut Stale<'s>,
}

impl Filling<'_, '_> {
    fn has_room(&self) -> bool {
        (self.batch.len() as u64) < self.room
    }
}

/// As [`run_moving`], which takes slots out of the table.
pub(crate) fn run(
    region: &OpenRegion,
    attached: Option<&Arc<Attached>>,
    operation: Operation,
    candidates: &mut Candidates,
) -> Outcome {
    region.moving(|| run_moving(region, attached, operation, candidates))
}

/// Writes the candidates out, or launders them. In the swapper of `attached`;
/// without one, whatever needs no driver is done.
fn run_moving(
    region: &OpenRegion,
    attached: Option<&Arc<Attached>>,
    operation: Operation,
    candidates: &mut Candidates,
) -> Outcome {
    let is_usable = |attached: &&Arc<Attached>| {
        !attached.is_out() && attached.driver().batch.phase() == Phase::Idle
    };
    let Some(attached) = attached.filter(is_usable) else {
        return without_driver(region, operation, candidates);
    };
    let room = reserve(region, attached, candidates);
    let outcome = if room == 0 {
        without_driver(region, operation, candidates)
    } else {
        with_driver(region, attached, operation, candidates, room)
    };
    // Otherwise it is done when the driver gives the batch back; see `writeback::reap`.
    if attached.driver().batch.phase() == Phase::Idle {
        attached.settle();
    }
    outcome
}

/// Reserves room in the store for the candidates, as far as limits let it. Returns for
/// how many.
fn reserve(region: &Region, attached: &Attached, candidates: &mut Candidates) -> u64 {
    let wanted = candidates.len();
    let room = attached.reserve(wanted);
    if room == wanted {
        return room;
    }
    attached.settle();
    discard_stale(region, candidates);
    attached.reserve(wanted)
}

/// As [`run_moving`], with a driver that takes a batch, of up to `room` pages.
fn with_driver(
    region: &OpenRegion,
    attached: &Arc<Attached>,
    operation: Operation,
    candidates: &mut Candidates,
    room: u64,
) -> Outcome {
    let indexes = candidates.sorted();
    if indexes.len() <= FEW {
        let (pages, slots) = (&mut [const { None }; FEW], &mut [None; 2 * FEW]);
        return run_on(region, attached, operation, indexes, pages, slots, room);
    }
    let pages = &mut [const { None }; BATCH_PAGES];
    let slots = &mut [None; 2 * BATCH_PAGES];
    run_on(region, attached, operation, indexes, pages, slots, room)
}

/// As [`run_moving`], in what has room for all candidates.
fn run_on(
    region: &OpenRegion,
    attached: &Arc<Attached>,
    operation: Operation,
    indexes: &[u64],
    pages: &mut [Taken],
    slots: &mut [Option<Slot>],
    room: u64,
) -> Outcome {
    let driver = attached.driver();
    let (Some(&first), Some(&last)) = (indexes.first(), indexes.last()) else {
        return Outcome::default();
    };
    let pages = grab_all(region, operation, indexes, pages);
    let Some(ticket) = region.enter_flight(first..last + 1) else {
        return Outcome::default();
    };
    driver.batch.start(operation, ticket);
    let traced = report::Batch::begin(
        operation,
        (region.id, ticket.seq()),
        first..last + 1,
        indexes.len(),
        driver.name(),
    );
    let paging = oom::Paging::begin(&driver.batch_since);
    let mut stale = Stale::new(slots);
    let filling = Filling {
        batch: &driver.batch,
        ticket,
        room,
        stale: &mut stale,
    };
    let mut outcome = match operation {
        Operation::Swapout => evict(region, Some(filling), pages),
        Operation::Launder | Operation::Ahead => launder(region, filling, pages),
    };
    let tell = |step: Outcome| {
        if operation == Operation::Swapout {
            paging.note_freed(step.done);
        }
        region.wait.wake_all();
    };
    let mut answers = Answers::default();
    // Nobody waits for the driver who waits for what left without it.
    tell(outcome);
    if driver.batch.len() == 0 {
        region.leave_flight(ticket);
    } else {
        let written = writeback::submit(region, attached, ticket, &mut stale);
        tell(written.0);
        outcome.add(written.0);
        answers = written.1;
    }
    traced.end(outcome.done, answers);
    stale.discard(region);
    outcome
}

/// What is left to do while there is no driver that takes a batch.
fn without_driver(
    region: &OpenRegion,
    operation: Operation,
    candidates: &mut Candidates,
) -> Outcome {
    match operation {
        Operation::Swapout => Outcome {
            done: evict_those(region, candidates, is_simple),
            refused: 0,
        },
        Operation::Ahead => Outcome::default(),
        Operation::Launder => {
            let dirty = candidates.sorted().iter().filter(|&&index| {
                grab(region, operation, index, false).is_some_and(|page| page.is_dirty())
            });
            Outcome {
                done: 0,
                refused: dirty.count() as u64,
            }
        }
    }
}

/// Makes room in the store: gives up the copies of pages that were written to since.
fn discard_stale(region: &Region, candidates: &mut Candidates) {
    for &index in candidates.sorted() {
        if let Some(slot) = take_stale(region, index) {
            region.discard(slot);
        }
    }
}

fn take_stale(region: &Region, index: u64) -> Option<Slot> {
    let page = region.find_resident(index)?.try_lock().ok()?;
    if !region.owns(&page) || !page.is_dirty() {
        return None;
    }
    let entry = region.table.lock(index)?;
    let State::Resident(_) = entry.get() else {
        return None;
    };
    let record = Record::of(&entry)?;
    let slot = record.slot();
    record.set_slot(None);
    slot
}

/// Locks the pages, in order, that [`grab`] can get.
fn grab_all<'a>(
    region: &Region,
    operation: Operation,
    indexes: &[u64],
    pages: &'a mut [Taken],
) -> &'a mut [Taken] {
    let mlocks = match (operation, indexes.first(), indexes.last()) {
        (Operation::Swapout | Operation::Ahead, Some(&first), Some(&last)) => {
            region.has_mlocked(first, last)
        }
        _ => false,
    };
    for (page, &index) in pages.iter_mut().zip(indexes) {
        *page = grab(region, operation, index, mlocks).map(|locked| (index, locked));
    }
    pages.get_mut(..indexes.len()).unwrap_or_default()
}

/// Locks a resident page. A page that leaves memory must not be kept there by
/// anything, which may be an mlock if there are `mlocks`, and is not waited for.
fn grab(region: &Region, operation: Operation, index: u64, mlocks: bool) -> Option<Locked> {
    let folio = region.find_resident(index)?;
    // From here on, what was found may be another page's, or none.
    flaw::hold(Flaw::HoldSwapper);
    let page = match operation {
        Operation::Swapout | Operation::Ahead => {
            let mlocked = mlocks && region.is_mlocked(index);
            if mlocked || folio.is_unevictable() {
                region.is_unevictable(&region.table.lock(index)?, mlocked);
                return None;
            }
            folio.try_lock().ok()?
        }
        Operation::Launder => folio.lock(),
    };
    let is_resident = || matches!(region.table.peek(index), State::Resident(_));
    let is_current = region.owns(&page) && is_resident();
    (is_current || flaw::is(Flaw::StaleRecord)).then_some(page)
}

/// Drops those of the candidates that need no write. Returns how many. For the
/// shrinker: no driver is called.
pub(crate) fn drop_clean(region: &OpenRegion, candidates: &mut Candidates) -> u64 {
    evict_those(region, candidates, |page| !page.is_dirty())
}

/// Takes those of the candidates out of memory that `may_leave`, and for which no
/// driver is needed after all. Returns how many.
fn evict_those(
    region: &OpenRegion,
    candidates: &mut Candidates,
    may_leave: impl Fn(&Locked) -> bool,
) -> u64 {
    let mut dropped = 0;
    for indexes in candidates.sorted().chunks(SOME) {
        let mut pages = [const { None }; SOME];
        let pages = grab_all(region, Operation::Swapout, indexes, &mut pages);
        for page in pages.iter_mut() {
            *page = page.take().filter(|(_, page)| may_leave(page));
        }
        dropped += evict(region, None, pages).done;
    }
    region.wait.wake_all();
    dropped
}

/// Pages out, in the calling task, pages from the start of a range on, up to the first
/// one that the swapper has to see. Returns how many there were, and the rest of the
/// range. May sleep.
pub(crate) fn evict_simple(region: &OpenRegion, mut range: Range<u64>) -> (u64, Range<u64>) {
    let mut done = 0;
    while !range.is_empty() {
        let some = range.start..range.end.min(range.start + SOME as u64);
        let mlocks = region.has_mlocked(some.start, some.end - 1);
        let mut pages = [const { None }; SOME];
        let len = (some.end - some.start) as usize;
        let pages = pages.get_mut(..len).unwrap_or_default();
        let (mut left, mut taken) = (some.end, 0);
        for (page, index) in pages.iter_mut().zip(some.clone()) {
            let grabbed = grab(region, Operation::Swapout, index, mlocks).filter(is_simple);
            if let Some(locked) = grabbed {
                *page = Some((index, locked));
                taken += 1;
            } else if is_in_memory(region, index) {
                left = index;
                break;
            }
        }
        let evicted = evict(region, None, pages).done;
        done += evicted;
        range.start = if evicted == taken { left } else { some.start };
        if range.start != some.end {
            break;
        }
    }
    region.wait.wake_all();
    (done, range)
}

/// Whether a page is in memory, in a batch in flight or not.
fn is_in_memory(region: &Region, index: u64) -> bool {
    let state = region.table.peek(index);
    matches!(state, State::Resident(_) | State::Writing(_))
}

/// Whether a page needs no driver to leave memory, as far as can be seen.
fn is_simple(page: &Locked) -> bool {
    !page.is_held() && (!page.is_dirty() || page.may_repeat())
}

/// Unmaps the pages, frees those that need no write and fills the batch, if
/// there is one, with the others.
fn evict(region: &OpenRegion, mut batch: Option<Filling<'_, '_>>, pages: &mut [Taken]) -> Outcome {
    let mut outcome = Outcome::default();
    let mapped = pages
        .iter()
        .flatten()
        .filter(|(_, page)| page.is_mapped())
        .map(|(index, _)| *index);
    for_each_run(mapped, |first, count| {
        region.mapping().unmap(first, count, false);
    });
    let mut leaving = region.leaving();
    for taken in pages.iter_mut() {
        let Some((index, page)) = taken.take() else {
            continue;
        };
        let mut fate = Fate::Stay;
        let filling = batch.as_ref().filter(|filling| filling.has_room());
        let ticket = filling.map(|filling| filling.ticket);
        let evicted = region.evict(index, page, &mut leaving, |entry, page| {
            fate = settle(entry, page, ticket);
            match fate {
                Fate::Leave(then) => {
                    count_eviction(region, then);
                    Some(then)
                }
                Fate::Stay | Fate::Write(_) => None,
            }
        });
        match (evicted, fate, &mut batch) {
            (Ok(slot), Fate::Leave(then), batch) => {
                outcome.done += 1;
                if let (Some(filling), false) = (batch, then.is_stored_in(slot)) {
                    filling.stale.push(slot);
                }
            }
            (Err(page), Fate::Write(slot), Some(filling)) => {
                push(region, filling.batch, index, page);
                filling.stale.push(slot);
            }
            // Pinned, or a munmap has yet to flush a TLB: another time.
            _ => {}
        }
    }
    outcome
}

/// What becomes of a page that nobody uses.
#[derive(Clone, Copy)]
enum Fate {
    /// It stays as it is.
    Stay,
    /// It leaves memory at once.
    Leave(State),
    /// It has to be written first, and is being written from here on. The slot is
    /// that of a stale copy.
    Write(Option<Slot>),
}

/// Decides it, and begins to write it if there is a batch for that, of which `ticket`
/// is. Under the entry bit.
fn settle(entry: &mut LockedEntry<'_>, page: &Frozen, ticket: Option<Ticket>) -> Fate {
    let Some(slot) = Record::of(entry).map(Record::slot) else {
        return Fate::Stay;
    };
    if !page.is_dirty() {
        // Without a copy, it was never written since it was made of zeroes.
        return Fate::Leave(slot.map_or(State::Empty, |slot| State::Swapped(Stored::Slot(slot))));
    }
    if slot.is_some() && ticket.is_none() {
        // The driver has to hear that its copy is stale, not in an allocation.
        return Fate::Stay;
    }
    if page.is_poisoned() {
        return Fate::Leave(State::Poisoned);
    }
    match page.same_filled() {
        Some(fill) => Fate::Leave(State::Swapped(Stored::Fill(fill))),
        None => ticket
            .and_then(|ticket| begin_write(entry, page, ticket))
            .map_or(Fate::Stay, Fate::Write),
    }
}

/// Under the entry bit: a fault that undoes it comes later.
fn count_eviction(region: &Region, then: State) {
    match then {
        State::Swapped(stored) => {
            region.counters.swapped.add(1);
            match stored {
                Stored::Fill(_) => region.counters.same_filled.count(1),
                Stored::Slot(_) => region.counters.clean_drops.count(1),
            }
        }
        State::Empty => region.counters.clean_drops.count(1),
        _ => {}
    }
}

/// Write-protects the dirty pages and fills the batch with them. A page that is
/// pinned may change without a fault: it stays dirty.
fn launder(region: &OpenRegion, filling: Filling<'_, '_>, pages: &mut [Taken]) -> Outcome {
    let mut outcome = Outcome::default();
    for taken in pages.iter_mut() {
        let Some((index, page)) = taken.take() else {
            continue;
        };
        // Before the dirty bit is read: the page table's goes with it, and
        // page_mkwrite has set the folio's.
        if page.is_mapped() {
            region.mapping().write_protect(index, &page);
        }
        if !page.is_dirty() {
            continue;
        }
        if page.is_poisoned() || page.is_pinned() || !filling.has_room() {
            outcome.refused += 1;
        } else {
            let Filling { batch, ticket, .. } = filling;
            filling
                .stale
                .push(enter(region, batch, ticket, index, page));
        }
    }
    outcome
}

/// Puts a dirty page into the batch: it is being written from here on. Returns
/// the slot of the copy that is stale.
fn enter(region: &Region, batch: &Inner, ticket: Ticket, index: u64, page: Locked) -> Option<Slot> {
    let stale = begin_write(&mut region.table.lock(index)?, &page, ticket)?;
    push(region, batch, index, page);
    stale
}

/// A dirty page is being written from here on. Returns the slot of the copy that is
/// stale; `None` if the page is not resident. Under the entry bit.
fn begin_write(entry: &mut LockedEntry<'_>, page: &Locked, ticket: Ticket) -> Option<Option<Slot>> {
    let State::Resident(address) = entry.get() else {
        return None;
    };
    let record = Record::of(entry)?;
    let stale = record.slot();
    record.set_slot(None);
    record.set_written_by(ticket.seq());
    page.clear_dirty();
    entry.set(State::Writing(address));
    Some(stale)
}

/// Puts a page that is being written into the batch.
fn push(region: &Region, batch: &Inner, index: u64, page: Locked) {
    region.counters.writing.add(1);
    if batch.push(page.unlock(), index).is_err() {
        kernel::pr_err_once!("batch of more than {} pages\n", BATCH_PAGES);
    }
}
