// SPDX-License-Identifier: GPL-2.0

//! What the swapper does to the page: unmap, submit, apply, launder, abandon.
//! Steps and their order are those of the kernel module.

use super::{
    page::Region,
    step, //
};
use crate::{
    entry::{
        Address,
        Locked,
        Slot,
        State,
        Stored, //
    },
    flaw::{
        self,
        Flaw, //
    },
};

/// What the page is locked for.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Operation {
    /// To leave memory, after a write if need be.
    Swapout,
    /// To become clean.
    Launder,
    /// To leave memory if it is clean: reclaim never calls a driver.
    Drop,
}

/// What becomes of a page.
enum Fate {
    /// Somebody uses it: it stays as it is.
    Stay,
    Leave(State),
    Write,
}

/// A page with a driver, and the reference that goes with it.
pub(super) struct Batch {
    frame: usize,
    seq: u64,
    operation: Operation,
}

impl Region {
    /// One swapout of the page, by a driver that stores it.
    pub(super) fn swapout(&self) {
        if let Some(batch) = self.submit(Operation::Swapout) {
            let slot = self.drive(&batch);
            self.apply(batch, Some(slot));
        }
    }

    /// One swapout of the page, by a driver that keeps it.
    pub(super) fn swapout_kept(&self) {
        if let Some(batch) = self.submit(Operation::Swapout) {
            self.drive_nothing();
            self.apply(batch, None);
        }
    }

    /// One laundering of the page.
    pub(super) fn launder(&self) {
        if let Some(batch) = self.submit(Operation::Launder) {
            let slot = self.drive(&batch);
            self.apply(batch, Some(slot));
        }
    }

    /// What reclaim does: the page goes if it is clean.
    pub(super) fn drop_clean(&self) {
        let batch = self.submit(Operation::Drop);
        assert!(batch.is_none());
    }

    /// Locks the page; drops it if it needs no write, or else makes a batch.
    pub(super) fn submit(&self, operation: Operation) -> Option<Batch> {
        let frame = self.find_page()?;
        let folio = self.try_lock_folio(frame);
        let grabbed = folio.is_some() && self.is_grabbed(frame);
        let batch = match operation {
            _ if !grabbed => None,
            Operation::Launder => self.clean(frame),
            Operation::Drop if self.page(frame).dirty => None,
            Operation::Swapout | Operation::Drop => self.evict(frame, operation),
        };
        drop(folio);
        if batch.is_none() {
            self.put(frame);
        }
        batch
    }

    fn is_grabbed(&self, frame: usize) -> bool {
        let owned = self.page(frame).attached || flaw::is(Flaw::StaleSwapout);
        owned && matches!(self.entry.peek(), State::Resident(_))
    }

    fn evict(&self, frame: usize, operation: Operation) -> Option<Batch> {
        self.unmap();
        match self.settle(frame) {
            Fate::Stay => None,
            Fate::Leave(then) => {
                self.remove(frame, then);
                None
            }
            Fate::Write if operation == Operation::Drop => None,
            Fate::Write => self.enter(frame, operation),
        }
    }

    /// Decides what becomes of a page that nobody uses. That holds while the
    /// page stays locked: it is in no page table, so whoever finds it has to
    /// lock it first.
    fn settle(&self, frame: usize) -> Fate {
        let without_bit = flaw::is(Flaw::FrozenWithoutBit);
        step();
        let mut locked = Some(self.entry.lock_alone()).filter(|_| !without_bit);
        let frozen = self.freeze(frame);
        if !frozen && !flaw::is(Flaw::NoFirstFreeze) {
            return Fate::Stay;
        }
        if without_bit {
            step();
        }
        let locked = locked.get_or_insert_with(|| self.entry.lock_alone());
        let slot = self.record(locked).and_then(|record| record.slot);
        let dirty = self.page(frame).dirty;
        if frozen {
            self.thaw(frame);
        }
        match slot {
            _ if dirty => Fate::Write,
            Some(slot) => Fate::Leave(State::Swapped(Stored::Slot(slot))),
            // Never written since it was made of zeroes.
            None => Fate::Leave(State::Empty),
        }
    }

    fn clean(&self, frame: usize) -> Option<Batch> {
        step();
        let mut pte = self.pte.get();
        pte.writable = false;
        pte.dirty = false;
        self.pte.set(pte);
        if !self.page(frame).dirty {
            return None;
        }
        self.enter(frame, Operation::Launder)
    }

    /// Puts a dirty page into a batch: it is being written from here on.
    fn enter(&self, frame: usize, operation: Operation) -> Option<Batch> {
        step();
        let mut locked = self.entry.lock_alone();
        let State::Resident(at) = locked.get() else {
            return None;
        };
        self.change(frame, |page| page.dirty = false);
        let seq = self.number();
        let resident = operation == Operation::Launder && flaw::is(Flaw::LaunderLeavesResident);
        let mut stale = None;
        if !resident {
            locked.set(State::Writing(at));
            self.change_record(&mut locked, |record| {
                stale = record.slot.take();
                record.written_by = seq;
            });
        }
        drop(locked);
        self.discard(stale);
        Some(Batch {
            frame,
            seq,
            operation,
        })
    }

    /// The driver copies the page, which may change meanwhile.
    pub(super) fn drive(&self, batch: &Batch) -> Slot {
        step();
        self.keep_copy(self.page(batch.frame).data)
    }

    /// The driver does not take the page.
    pub(super) fn drive_nothing(&self) {
        step();
    }

    /// Applies the driver's answer.
    pub(super) fn apply(&self, batch: Batch, answer: Option<Slot>) {
        let folio = self.try_lock_folio(batch.frame);
        match answer {
            Some(slot) if folio.is_some() => self.stored(&batch, slot),
            // Not stored, or a fault has the page: it is wanted again.
            _ => {
                self.release(&batch);
                self.discard(answer);
            }
        }
        drop(folio);
        self.put(batch.frame);
    }

    fn stored(&self, batch: &Batch, slot: Slot) {
        if !self.take_back(batch, slot) {
            // A store cancelled it, or it was punched.
            self.discard(Some(slot));
            return;
        }
        if batch.operation == Operation::Launder {
            return;
        }
        if self.is_unused(batch.frame) {
            let cancelled = self.cancelled.borrow().contains(&batch.seq);
            assert!(!cancelled, "a cancelled swapout was applied");
            self.remove(batch.frame, State::Swapped(Stored::Slot(slot)));
        }
    }

    /// Whether the batch still writes the page, which is then resident again
    /// and has `slot` for its copy.
    fn take_back(&self, batch: &Batch, slot: Slot) -> bool {
        if !self.page(batch.frame).attached && !flaw::is(Flaw::StaleApply) {
            return false;
        }
        step();
        let mut locked = self.entry.lock_alone();
        let Some(at) = self.written_by(&locked, batch.seq) else {
            return false;
        };
        self.change_record(&mut locked, |record| record.slot = Some(slot));
        locked.set(State::Resident(at));
        true
    }

    /// Returns the record of a page that batch `seq` is writing.
    fn written_by(&self, locked: &Locked<'_>, seq: u64) -> Option<Address> {
        match locked.get() {
            State::Writing(at) | State::Resident(at) if flaw::is(Flaw::StaleApply) => Some(at),
            State::Writing(at) => {
                let mine = self.record(locked)?.written_by == seq;
                (mine || flaw::is(Flaw::AnyBatchApplies)).then_some(at)
            }
            _ => None,
        }
    }

    /// Whether a page that was stored can be freed: nobody mapped it, holds it
    /// or changed it meanwhile.
    fn is_unused(&self, frame: usize) -> bool {
        let without_bit = flaw::is(Flaw::FrozenWithoutBit);
        step();
        let locked = Some(self.entry.lock_alone()).filter(|_| !without_bit);
        let frozen = self.freeze(frame);
        if !frozen && !flaw::is(Flaw::NoSecondFreeze) {
            return false;
        }
        if without_bit {
            step();
        }
        let dirty = self.page(frame).dirty && !flaw::is(Flaw::NoSecondDirty);
        if frozen {
            self.thaw(frame);
        }
        drop(locked);
        !dirty
    }

    /// The page stays: it was not stored, or is wanted again. If the batch
    /// still had it, it is dirty as it was. Any number of times, by the swapper
    /// or by the deadline.
    pub(super) fn release(&self, batch: &Batch) {
        step();
        let mut locked = self.entry.lock_alone();
        if let Some(at) = self.written_by(&locked, batch.seq) {
            if !flaw::is(Flaw::KeptClean) {
                self.change(batch.frame, |page| page.dirty = true);
            }
            locked.set(State::Resident(at));
        }
    }

    /// The driver gives back a batch that was abandoned.
    pub(super) fn reap(&self, batch: Batch, answer: Option<Slot>) {
        self.put(batch.frame);
        self.discard(answer);
    }
}
