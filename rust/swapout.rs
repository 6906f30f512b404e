// SPDX-License-Identifier: GPL-2.0

//! Swapout: how pages leave memory, or become clean where they are.
//!
//! All of it runs in a driver's swapper. Folios are locked by trylock, in any
//! order; a page whose reference count cannot be frozen is pinned, or a munmap
//! has yet to flush a TLB for it, and stays. Between unmapping and the driver's
//! answer nothing is locked: a fault may map the page again at any time, and a
//! store takes it out of the batch.

use crate::{
    batch::{
        Answer,
        Inner,
        Operation,
        Phase, //
    },
    deadline,
    driver::{
        Flight,
        Registered, //
    },
    entry::{
        Locked as LockedEntry,
        Slot,
        State,
        Stored, //
    },
    folio::{
        Frozen,
        Locked, //
    },
    inflight::Ticket,
    limit::BATCH_PAGES,
    record::Record,
    region::{
        Found,
        OpenRegion,
        Region, //
    },
    shrinker,
    wait::Signals, //
};

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

/// Pages to look at in one batch, by index.
pub(crate) struct Candidates {
    indexes: [u64; BATCH_PAGES],
    len: usize,
}

impl Candidates {
    /// None.
    pub(crate) fn new() -> Self {
        Self {
            indexes: [0; BATCH_PAGES],
            len: 0,
        }
    }

    /// Adds a page; `false` if there are enough already.
    pub(crate) fn push(&mut self, index: u64) -> bool {
        match self.indexes.get_mut(self.len) {
            Some(slot) => {
                *slot = index;
                self.len += 1;
                true
            }
            None => false,
        }
    }

    /// Whether [`Candidates::push`] has no room left.
    pub(crate) fn is_full(&self) -> bool {
        self.len == BATCH_PAGES
    }

    /// Returns the pages in order, so that runs of them are seen as such.
    pub(crate) fn sorted(&mut self) -> &[u64] {
        let indexes = self.indexes.get_mut(..self.len).unwrap_or_default();
        indexes.sort_unstable();
        indexes
    }
}

/// Calls `unmap` for each run of consecutive pages.
pub(crate) fn for_each_run(indexes: impl Iterator<Item = u64>, mut unmap: impl FnMut(u64, u64)) {
    let mut run: Option<(u64, u64)> = None;
    for index in indexes {
        run = match run {
            Some((first, count)) if first + count == index => Some((first, count + 1)),
            Some((first, count)) => {
                unmap(first, count);
                Some((index, 1))
            }
            None => Some((index, 1)),
        };
    }
    if let Some((first, count)) = run {
        unmap(first, count);
    }
}

/// A page that a batch may take.
type Taken = Option<(u64, Locked)>;

/// Slots of copies that nobody needs any more. The driver hears of them when no
/// folio is locked and no batch is in flight: it may sleep, and somebody waits
/// for either.
struct Stale {
    slots: [Option<Slot>; 2 * BATCH_PAGES],
    len: usize,
}

impl Stale {
    fn new() -> Self {
        Self {
            slots: [None; 2 * BATCH_PAGES],
            len: 0,
        }
    }

    /// Adds a slot: at most one for each page before it is written, and one
    /// after.
    fn push(&mut self, slot: Option<Slot>) {
        if slot.is_none() {
            return;
        }
        if let Some(place) = self.slots.get_mut(self.len) {
            *place = slot;
            self.len += 1;
        }
    }

    fn discard(self, region: &Region) {
        for slot in self.slots.iter().flatten() {
            region.attached.discard(*slot);
        }
    }
}

/// Writes the candidates out, or launders them. In the region's swapper.
pub(crate) fn run(
    region: &OpenRegion,
    operation: Operation,
    candidates: &mut Candidates,
) -> Outcome {
    let driver = region.attached.driver();
    if driver.is_quarantined() || driver.batch.phase() != Phase::Idle {
        return without_driver(region, operation, candidates);
    }
    let mut pages: [Taken; BATCH_PAGES] = [const { None }; BATCH_PAGES];
    let indexes = candidates.sorted();
    let (Some(&first), Some(&last)) = (indexes.first(), indexes.last()) else {
        return Outcome::default();
    };
    for (page, &index) in pages.iter_mut().zip(indexes) {
        *page = grab(region, operation, index).map(|locked| (index, locked));
    }
    let Some(ticket) = region.enter_flight(first..last + 1) else {
        return Outcome::default();
    };
    driver.batch.start(operation, ticket);
    let mut stale = Stale::new();
    let mut outcome = match operation {
        Operation::Swapout => evict(
            region,
            Some((&driver.batch, ticket)),
            &mut pages,
            &mut stale,
        ),
        Operation::Launder => launder(region, &driver.batch, ticket, &mut pages, &mut stale),
    };
    drop(pages);
    if driver.batch.len() == 0 {
        region.leave_flight(ticket);
    } else {
        outcome.add(submit(region, ticket, &mut stale));
    }
    if operation == Operation::Swapout {
        shrinker::note_freed(outcome.done);
    }
    region.wait.wake_all();
    stale.discard(region);
    outcome
}

/// What is left to do while a quarantined driver gets no batch.
fn without_driver(
    region: &OpenRegion,
    operation: Operation,
    candidates: &mut Candidates,
) -> Outcome {
    match operation {
        Operation::Swapout => Outcome {
            done: drop_clean(region, candidates),
            refused: 0,
        },
        Operation::Launder => {
            let dirty = candidates.sorted().iter().filter(|&&index| {
                grab(region, operation, index).is_some_and(|page| page.is_dirty())
            });
            Outcome {
                done: 0,
                refused: dirty.count() as u64,
            }
        }
    }
}

/// Locks a resident page. A page that leaves memory must not be kept there by
/// anything, and is not waited for.
fn grab(region: &Region, operation: Operation, index: u64) -> Option<Locked> {
    let entry = region.table.find(index)?;
    if !matches!(entry.peek(), State::Resident(_)) {
        return None;
    }
    let Found::Page(folio) = region.find(entry) else {
        return None;
    };
    let page = match operation {
        Operation::Swapout if folio.is_unevictable() => return None,
        Operation::Swapout => folio.try_lock().ok()?,
        Operation::Launder => folio.lock(),
    };
    (region.owns(&page) && matches!(entry.peek(), State::Resident(_))).then_some(page)
}

/// Drops those of the candidates that need no write. Returns how many. For the
/// shrinker: no driver is called.
pub(crate) fn drop_clean(region: &OpenRegion, candidates: &mut Candidates) -> u64 {
    let mut pages: [Taken; BATCH_PAGES] = [const { None }; BATCH_PAGES];
    for (page, &index) in pages.iter_mut().zip(candidates.sorted()) {
        *page = grab(region, Operation::Swapout, index)
            .filter(|page| !page.is_dirty())
            .map(|locked| (index, locked));
    }
    let outcome = evict(region, None, &mut pages, &mut Stale::new());
    region.wait.wake_all();
    outcome.done
}

/// Unmaps the pages, frees those that need no write and fills the batch, if
/// there is one, with the others.
fn evict(
    region: &OpenRegion,
    batch: Option<(&Inner, Ticket)>,
    pages: &mut [Taken; BATCH_PAGES],
    stale: &mut Stale,
) -> Outcome {
    let mut outcome = Outcome::default();
    let mapped = pages
        .iter()
        .flatten()
        .filter(|(_, page)| page.is_mapped())
        .map(|(index, _)| *index);
    for_each_run(mapped, |first, count| {
        region.mapping().unmap(first, count, false);
    });
    for taken in pages.iter_mut() {
        let Some((index, page)) = taken.take() else {
            continue;
        };
        let Some(entry) = region.table.find(index) else {
            continue;
        };
        let mut fate = Fate::Stay;
        let evicted = region.evict(entry, page, |entry, page| {
            fate = settle(entry, page, batch.is_some());
            match fate {
                Fate::Leave(then) => {
                    count_eviction(region, then);
                    Some(then)
                }
                Fate::Stay | Fate::Write => None,
            }
        });
        match (evicted, fate, batch) {
            (Ok(slot), Fate::Leave(then), _) => {
                outcome.done += 1;
                if !then.is_stored_in(slot) {
                    stale.push(slot);
                }
            }
            (Err(page), Fate::Write, Some((batch, ticket))) => {
                stale.push(enter(region, batch, ticket, index, page));
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
    /// It has to be written first.
    Write,
}

/// Decides it. Under the entry bit.
fn settle(entry: &LockedEntry<'_>, page: &Frozen, may_write: bool) -> Fate {
    let Some(slot) = Record::of(entry).map(Record::slot) else {
        return Fate::Stay;
    };
    if !page.is_dirty() {
        // Without a copy, it was never written since it was made of zeroes.
        return Fate::Leave(slot.map_or(State::Empty, |slot| State::Swapped(Stored::Slot(slot))));
    }
    if slot.is_some() && !may_write {
        // The driver has to hear that its copy is stale, not in an allocation.
        return Fate::Stay;
    }
    if page.is_poisoned() {
        return Fate::Leave(State::Poisoned);
    }
    match page.same_filled() {
        Some(fill) => Fate::Leave(State::Swapped(Stored::Fill(fill))),
        None if may_write => Fate::Write,
        None => Fate::Stay,
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
fn launder(
    region: &OpenRegion,
    batch: &Inner,
    ticket: Ticket,
    pages: &mut [Taken; BATCH_PAGES],
    stale: &mut Stale,
) -> Outcome {
    let mut outcome = Outcome::default();
    for taken in pages.iter_mut() {
        let Some((index, page)) = taken.take() else {
            continue;
        };
        // Before the dirty bit is read: the page table's goes with it, and
        // page_mkwrite has set the folio's.
        region.mapping().write_protect(index, &page);
        if !page.is_dirty() {
            continue;
        }
        if page.is_poisoned() || page.is_pinned() {
            outcome.refused += 1;
        } else {
            stale.push(enter(region, batch, ticket, index, page));
        }
    }
    outcome
}

/// Puts a dirty page into the batch: it is being written from here on. Returns
/// the slot of the copy that is stale.
fn enter(region: &Region, batch: &Inner, ticket: Ticket, index: u64, page: Locked) -> Option<Slot> {
    let entry = region.table.find(index)?;
    let stale = {
        let mut entry = entry.lock();
        let State::Resident(address) = entry.get() else {
            return None;
        };
        let record = Record::of(&entry)?;
        let stale = record.slot();
        record.set_slot(None);
        record.set_written_by(ticket.seq());
        page.clear_dirty();
        entry.set(State::Writing(address));
        stale
    };
    region.counters.writing.add(1);
    if batch.push(page.unlock(), index).is_err() {
        kernel::pr_err_once!("batch of more than {} pages\n", BATCH_PAGES);
    }
    stale
}

/// Hands the batch to the driver, waits for the answer and applies it.
fn submit(region: &OpenRegion, ticket: Ticket, stale: &mut Stale) -> Outcome {
    let driver = region.attached.driver();
    let batch = &driver.batch;
    region.counters.batches.count(1);
    driver.batches.count(1);
    let flight = Flight {
        region: region.clone(),
        ticket,
    };
    {
        let mut current = driver.flight.lock();
        *current = Some(flight);
        batch.submit(deadline::now_ns() + driver.deadline_ms() * 1_000_000);
    }
    deadline::arm();
    region.attached.swapout();
    let len = batch.len();
    let none_of = |len: usize| Outcome {
        done: 0,
        refused: len as u64,
    };
    loop {
        if batch.advance(Phase::Done, Phase::Applying) {
            break;
        }
        match batch.phase() {
            Phase::Running => {}
            // Answered at the same moment.
            Phase::Done => continue,
            Phase::Late => {
                reap(driver);
                return none_of(len);
            }
            _ => return none_of(len),
        }
        let now = deadline::now_ns();
        if batch.is_overdue(now) {
            deadline::abandon(driver);
            continue;
        }
        let _ = batch
            .wait
            .wait_timeout(Signals::Idle, Some(batch.left_ms(now)), || {
                batch.phase() != Phase::Running
            });
    }
    let outcome = apply(region, batch, stale);
    batch.advance(Phase::Applying, Phase::Idle);
    region.leave_flight(ticket);
    let flight = driver.flight.lock().take();
    drop(flight);
    outcome
}

/// Applies the driver's answers.
fn apply(region: &Region, batch: &Inner, stale: &mut Stale) -> Outcome {
    let mut outcome = Outcome::default();
    for i in 0..batch.len() {
        let (Some(folio), Some(index)) = (batch.take_folio(i), batch.index(i)) else {
            continue;
        };
        region.counters.writing.sub(1);
        let answer = batch.answer(i);
        match answer {
            Answer::Stored(_) => {}
            Answer::Failed => region.counters.write_failures.count(1),
            Answer::Kept | Answer::Retry | Answer::NoSpace => region.counters.kept.count(1),
        }
        match (answer, folio.try_lock()) {
            (Answer::Stored(slot), Ok(page)) => {
                let (done, unused) = match batch.operation() {
                    Operation::Swapout => stored(region, batch.seq(), index, page, slot),
                    Operation::Launder => laundered(region, batch.seq(), index, page, slot),
                };
                outcome.done += u64::from(done);
                outcome.refused += u64::from(!done && batch.operation() == Operation::Launder);
                stale.push(unused);
            }
            // A fault has the page: it is wanted again.
            (Answer::Stored(slot), Err(_)) => {
                release(region, batch.seq(), index);
                outcome.refused += u64::from(batch.operation() == Operation::Launder);
                stale.push(Some(slot));
            }
            (_, page) => {
                drop(page);
                release(region, batch.seq(), index);
                outcome.refused += 1;
            }
        }
    }
    outcome
}

/// The page stays: it was not stored, or is wanted again. If the batch still
/// had it, it is dirty as it was.
pub(crate) fn release(region: &Region, seq: u64, index: u64) {
    let Some(entry) = region.table.find(index) else {
        return;
    };
    let folio = {
        let mut entry = entry.lock();
        let Some(address) = Region::written_by(&entry, seq) else {
            return;
        };
        let Some(folio) = Record::of(&entry).map(Record::folio) else {
            return;
        };
        folio.set_dirty();
        entry.set(State::Resident(address));
        folio
    };
    drop(folio);
}

/// Whether a locked page is still being written by batch `seq`; if so it becomes
/// resident again, with `slot` for its copy.
fn take_back(region: &Region, seq: u64, index: u64, page: &Locked, slot: Slot) -> bool {
    if !region.owns(page) {
        return false;
    }
    let Some(entry) = region.table.find(index) else {
        return false;
    };
    let mut entry = entry.lock();
    let Some(address) = Region::written_by(&entry, seq) else {
        return false;
    };
    if let Some(record) = Record::of(&entry) {
        record.set_slot(Some(slot));
    }
    entry.set(State::Resident(address));
    true
}

/// The driver stored a page of a swapout. Returns whether it left memory, and
/// the slot if nobody needs it.
fn stored(region: &Region, seq: u64, index: u64, page: Locked, slot: Slot) -> (bool, Option<Slot>) {
    if !take_back(region, seq, index, &page, slot) {
        // A store cancelled it, or it was punched.
        return (false, Some(slot));
    }
    if page.is_mapped() {
        // Rescued by a load: the copy is valid for as long as it is clean.
        return (false, None);
    }
    let Some(entry) = region.table.find(index) else {
        return (false, None);
    };
    let evicted = region.evict(entry, page, |_, page| {
        // Dirty: written through a pin meanwhile. The next swapout discards
        // the copy.
        (!page.is_dirty()).then(|| {
            region.counters.swapped.add(1);
            region.counters.swapouts.count(1);
            State::Swapped(Stored::Slot(slot))
        })
    });
    (evicted.is_ok(), None)
}

/// The driver stored a page of a laundering. Returns whether it is clean, and
/// the slot if nobody needs it.
fn laundered(
    region: &Region,
    seq: u64,
    index: u64,
    page: Locked,
    slot: Slot,
) -> (bool, Option<Slot>) {
    if !take_back(region, seq, index, &page, slot) {
        // A page that was punched needs no write any more.
        return (!region.owns(&page), Some(slot));
    }
    region.counters.launders.count(1);
    (!page.is_dirty(), None)
}

/// Releases a batch that the driver gave back after its deadline. In the
/// driver's swapper.
pub(crate) fn reap(driver: &Registered) {
    let batch = &driver.batch;
    if batch.phase() != Phase::Late {
        return;
    }
    let flight = driver.flight.lock().take();
    if let Some(flight) = &flight {
        for i in 0..batch.len() {
            drop(batch.take_folio(i));
            if let Answer::Stored(slot) = batch.answer(i) {
                flight.region.attached.discard(slot);
            }
        }
    }
    batch.advance(Phase::Late, Phase::Idle);
    drop(flight);
}
