// SPDX-License-Identifier: GPL-2.0

//! Writeback: a batch is with its driver, and what its answers do to the pages.
//!
//! Submitting and applying run in the driver's swapper, no lock held. Answers
//! come to pages that meanwhile may have been rescued by a fault, changed by a
//! store, pinned, or punched; each is looked at again under its folio lock and
//! its entry bit, and leaves memory only if nothing of that happened.

use crate::{
    attached::Attached,
    batch::{
        Answer,
        Operation,
        Phase, //
    },
    deadline,
    driver::{
        Flight,
        Registered, //
    },
    entry::{
        Slot,
        State,
        Stored, //
    },
    folio::Locked,
    inflight::Ticket,
    record::Record,
    region::{
        Leaving,
        OpenRegion,
        Region, //
    },
    report::Answers,
    seal::Words,
    swapout::{
        Outcome,
        Stale, //
    },
    wait::Signals, //
};
use kernel::sync::Arc;

/// Hands the batch to the driver, waits for the answer and applies it. Returns
/// what became of the pages, and what the driver said.
pub(crate) fn submit(
    region: &OpenRegion,
    attached: &Arc<Attached>,
    ticket: Ticket,
    stale: &mut Stale<'_>,
) -> (Outcome, Answers) {
    let driver = attached.driver();
    let batch = &driver.batch;
    region.counters.batches.count(1);
    driver.batches.count(1);
    let flight = Flight {
        region: region.clone(),
        attached: attached.clone(),
        ticket,
    };
    match &region.integrity {
        Some(integrity) => integrity.seal_batch(region.id, batch),
        None => batch.copy_pages(),
    }
    {
        let mut current = driver.flight.lock();
        *current = Some(flight);
        batch.submit(deadline::now_ns() + driver.deadline_ms() * 1_000_000);
    }
    deadline::arm();
    attached.swapout(batch);
    let len = batch.len();
    let none_of = |len: usize| {
        let outcome = Outcome {
            done: 0,
            refused: len as u64,
        };
        (outcome, Answers::none(len))
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
    let outcome = apply(region, attached, stale);
    batch.advance(Phase::Applying, Phase::Idle);
    region.leave_flight(ticket);
    let flight = driver.flight.lock().take();
    drop(flight);
    outcome
}

/// Applies the driver's answers.
fn apply(region: &Region, attached: &Attached, stale: &mut Stale<'_>) -> (Outcome, Answers) {
    let batch = &attached.driver().batch;
    let mut outcome = Outcome::default();
    let mut answers = Answers::none(batch.len());
    let (mut any_stored, mut any_failed, mut any_full) = (false, false, false);
    let (operation, seq, place) = (batch.operation(), batch.seq(), attached.place());
    let mut leaving = region.leaving();
    batch.take_all(|i, folio, index, answer, is_broken| {
        region.counters.writing.sub(1);
        let mut answer = of_driver(answer, place);
        if is_broken {
            if let Answer::Stored(slot) = answer {
                stale.push(Some(slot));
            }
            // Which is not the driver's failure.
            answer = Answer::Kept;
        }
        match answer {
            Answer::Stored(_) => any_stored = true,
            Answer::Failed => {
                any_failed = true;
                region.counters.write_failures.count(1);
            }
            Answer::NoSpace => {
                any_full = true;
                region.counters.no_space.count(1);
            }
            Answer::Kept => {
                // Not before the clock has come by twice; what is to be retried is
                // offered the next time.
                if operation == Operation::Swapout {
                    region.keep(index);
                }
                region.counters.kept.count(1);
            }
            Answer::Retry => region.counters.retried.count(1),
        }
        *match answer {
            Answer::Stored(_) => &mut answers.stored,
            Answer::Failed => &mut answers.failed,
            Answer::NoSpace | Answer::Kept | Answer::Retry => &mut answers.kept,
        } += 1;
        let page = match operation {
            Operation::Swapout | Operation::Ahead => folio.try_lock(),
            // Nobody holds it for long, and fsync wants an answer.
            Operation::Launder => Ok(folio.lock()),
        };
        match (answer, page) {
            (Answer::Stored(slot), Ok(page)) => {
                let seal = region.integrity.as_ref().map(|_| batch.seal(i));
                let copy = Copy { slot, seal };
                let (done, unused) = match operation {
                    Operation::Swapout => stored(region, seq, index, page, copy, &mut leaving),
                    Operation::Launder => (true, laundered(region, seq, index, &page, copy)),
                    Operation::Ahead => {
                        let unused = laundered(region, seq, index, &page, copy);
                        note_ahead(region, index, &page);
                        (true, unused)
                    }
                };
                outcome.done += u64::from(done);
                stale.push(unused);
            }
            // A fault has the page: it is wanted again.
            (Answer::Stored(slot), Err(_)) => {
                release(region, seq, index);
                stale.push(Some(slot));
            }
            (_, page) => {
                drop(page);
                release(region, seq, index);
                outcome.refused += 1;
            }
        }
    });
    if any_failed || any_full {
        attached.pass_over();
    }
    if any_stored || any_failed {
        attached.driver().note(!any_stored);
    }
    (outcome, answers)
}

/// Returns the answer with a slot that names the driver, which is at `place`.
fn of_driver(answer: Answer, place: usize) -> Answer {
    match answer {
        Answer::Stored(slot) => slot.of_driver(place).map_or(Answer::Failed, Answer::Stored),
        other => other,
    }
}

/// The page stays: it was not stored, or is wanted again. If the batch still
/// had it, it is dirty as it was.
pub(crate) fn release(region: &Region, seq: u64, index: u64) {
    let folio = {
        let Some(mut entry) = region.table.lock(index) else {
            return;
        };
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

/// What a driver stored, and how to know it again.
#[derive(Clone, Copy)]
struct Copy {
    slot: Slot,
    seal: Option<Words>,
}

impl Copy {
    /// The page has this copy from here on. Under the entry bit.
    fn keep(self, region: &Region, index: u64, record: &Record) {
        record.set_slot(Some(self.slot));
        if let (Some(integrity), Some(seal)) = (&region.integrity, self.seal) {
            integrity.keep(index, seal);
        }
    }
}

/// Whether a locked page is still being written by batch `seq`; if so it becomes
/// resident again, with `copy`.
fn take_back(region: &Region, seq: u64, index: u64, page: &Locked, copy: Copy) -> bool {
    if !region.owns(page) {
        return false;
    }
    let Some(mut entry) = region.table.lock(index) else {
        return false;
    };
    let Some(address) = Region::written_by(&entry, seq) else {
        return false;
    };
    if let Some(record) = Record::of(&entry) {
        copy.keep(region, index, record);
    }
    entry.set(State::Resident(address));
    true
}

/// The driver stored a page of a swapout. Returns whether it left memory, and
/// the slot if nobody needs it.
fn stored(
    region: &Region,
    seq: u64,
    index: u64,
    page: Locked,
    copy: Copy,
    leaving: &mut Leaving<'_>,
) -> (bool, Option<Slot>) {
    let slot = copy.slot;
    let page = match leave(region, seq, index, page, copy, leaving) {
        Ok(()) => return (true, None),
        Err(page) => page,
    };
    // Rescued by a load, or pinned: the copy is valid for as long as it is clean. If
    // it is dirty, written through a pin, the next swapout discards the copy.
    let is_ours = take_back(region, seq, index, &page, copy);
    // A store cancelled it, or it was punched.
    (false, (!is_ours).then_some(slot))
}

/// Takes a page that batch `seq` still writes out of memory, if nobody uses it and it
/// is clean.
///
/// # Errors
///
/// The page, as it was.
fn leave(
    region: &Region,
    seq: u64,
    index: u64,
    page: Locked,
    copy: Copy,
    leaving: &mut Leaving<'_>,
) -> core::result::Result<(), Locked> {
    if page.is_mapped() || !region.owns(&page) {
        return Err(page);
    }
    let evicted = region.evict(index, page, leaving, |entry, page| {
        Region::written_by(entry, seq)?;
        if page.is_dirty() {
            return None;
        }
        copy.keep(region, index, Record::of(entry)?);
        region.counters.swapped.add(1);
        region.counters.swapouts.count(1);
        Some(State::Swapped(Stored::Slot(copy.slot)))
    });
    evicted.map(|_| ())
}

/// The driver stored a page of a laundering. Returns the slot if nobody needs it.
///
/// A store meanwhile took the page out of the batch. What was there when the
/// laundering began is in the slot all the same, which stays with the record as
/// that of any dirty page, until the next write.
fn laundered(region: &Region, seq: u64, index: u64, page: &Locked, copy: Copy) -> Option<Slot> {
    let slot = copy.slot;
    if !take_back(region, seq, index, page, copy) {
        if !region.owns(page) {
            return Some(slot);
        }
        let Some(entry) = region.table.lock(index) else {
            return Some(slot);
        };
        // While another driver writes the page, its answer is what counts.
        let is_resident = matches!(entry.get(), State::Resident(_));
        match Record::of(&entry) {
            Some(record) if is_resident && record.slot().is_none() => {
                copy.keep(region, index, record);
            }
            _ => return Some(slot),
        }
    }
    region.counters.launders.count(1);
    None
}

/// A page was stored before somebody wanted its memory. It is clean now, or written
/// to already.
fn note_ahead(region: &Region, index: u64, page: &Locked) {
    region.counters.launders_ahead.count(1);
    if !region.owns(page) {
        return;
    }
    let Some(entry) = region.table.lock(index) else {
        return;
    };
    let Some(record) = Record::of(&entry) else {
        return;
    };
    record.set_ahead();
    if page.is_dirty() {
        record.take_ahead();
        region.waste();
    }
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
        batch.take_all(|_, folio, _, answer, _| {
            drop(folio);
            if let Answer::Stored(slot) = answer {
                flight.attached.discard(slot);
            }
        });
        flight.attached.settle();
    }
    batch.advance(Phase::Late, Phase::Idle);
    drop(flight);
}
