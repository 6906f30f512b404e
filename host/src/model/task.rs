// SPDX-License-Identifier: GPL-2.0

//! What tasks do to the page: load, store, munmap, punch, and the fault behind
//! a load or a store. Steps and their order are those of the kernel module.

use super::{
    page::{
        Pte,
        Read,
        Region, //
    },
    step, //
};
use crate::{
    entry::{
        Slot,
        State,
        Stored, //
    },
    flaw::{
        self,
        Flaw, //
    },
};

/// The page could not be read.
#[derive(Debug)]
pub(super) struct SigBus;

#[derive(Clone, Copy, PartialEq, Eq)]
enum Access {
    Load,
    Store,
}

/// Where the page is, with a reference to it.
enum Found {
    Empty,
    Page(usize),
    Slot(Slot),
    Reading(Read),
}

impl Region {
    /// Loads from the mapping.
    pub(super) fn load(&self) -> Result<u64, SigBus> {
        let begin = self.number();
        loop {
            step();
            if let Some(frame) = self.pte.get().frame {
                let value = self.page(frame).data;
                self.assert_seen(begin, value);
                return Ok(value);
            }
            self.fault(Access::Load)?;
        }
    }

    /// Stores to the mapping.
    pub(super) fn store(&self, value: u64) {
        let event = self.begin(value);
        while !self.store_translated(value) {
            self.fault(Access::Store).expect("no SIGBUS");
        }
        self.end(event);
    }

    /// Stores to the mapping unless that faults: munmap may be going on.
    pub(super) fn store_if_mapped(&self, value: u64) {
        let event = self.begin(value);
        if self.store_translated(value) {
            self.end(event);
        } else {
            self.forget(event);
        }
    }

    fn store_translated(&self, value: u64) -> bool {
        step();
        let pte = self.pte.get();
        if pte.frame.is_some() && pte.writable {
            self.pte.set(Pte { dirty: true, ..pte });
        }
        // A CPU that knows the page as writable and dirty looks at no PTE until
        // it is told to.
        let frame = pte.frame.filter(|_| pte.writable).or(self.unflushed.get());
        if let Some(frame) = frame {
            self.change(frame, |page| page.data = value);
        }
        frame.is_some()
    }

    /// munmap: the PTE goes at once, what CPUs know of it with the flush, and
    /// the reference after that.
    pub(super) fn munmap(&self) {
        step();
        let pte = self.pte.take();
        let Some(frame) = pte.frame else { return };
        self.change(frame, |page| page.dirty |= pte.dirty);
        self.unflushed.set(Some(frame).filter(|_| pte.writable));
        step();
        self.unflushed.set(None);
        self.put(frame);
    }

    /// Punches a hole: the page is empty afterwards. Never waits for a driver.
    pub(super) fn punch(&self) {
        let event = self.begin(0);
        self.unmap();
        while !self.punch_once() {}
        self.end(event);
    }

    /// `false` if the page changed meanwhile.
    fn punch_once(&self) -> bool {
        match self.find() {
            Found::Empty => true,
            Found::Page(frame) => self.punch_page(frame),
            Found::Slot(slot) => self.punch_slot(slot),
            Found::Reading(read) => self.punch_read(read),
        }
    }

    fn punch_page(&self, frame: usize) -> bool {
        let folio = self.lock_folio(frame);
        let owned = self.page(frame).attached;
        if owned {
            if !flaw::is(Flaw::PunchUnmapsEarly) {
                self.unmap();
            }
            let slot = self.remove(frame, State::Empty);
            self.discard(slot);
        }
        drop(folio);
        self.put(frame);
        owned
    }

    fn punch_slot(&self, slot: Slot) -> bool {
        step();
        let mut locked = self.entry.lock_alone();
        let there = locked.get() == State::Swapped(Stored::Slot(slot));
        if there {
            locked.set(State::Empty);
            self.discard(Some(slot));
        }
        there
    }

    /// Looks the page up.
    fn find(&self) -> Found {
        step();
        let locked = self.entry.lock_alone();
        match locked.get() {
            State::Empty => Found::Empty,
            State::Swapped(Stored::Slot(slot)) => Found::Slot(slot),
            State::Reading(at) => Found::Reading(self.read_at(at)),
            State::Resident(_) | State::Writing(_) => {
                let frame = self.record(&locked).expect("a record").frame;
                self.get(frame);
                Found::Page(frame)
            }
            other => panic!("found {other:?}"),
        }
    }

    /// Returns the page if it is in memory, with a reference.
    pub(super) fn find_page(&self) -> Option<usize> {
        match self.find() {
            Found::Page(frame) => Some(frame),
            _ => None,
        }
    }

    fn fault(&self, access: Access) -> Result<(), SigBus> {
        loop {
            match self.find() {
                Found::Page(frame) => {
                    if self.map(frame, access) {
                        return Ok(());
                    }
                }
                Found::Empty => self.fault_empty(),
                Found::Slot(slot) => self.read(slot)?,
                Found::Reading(read) => self.wait_read(read)?,
            }
        }
    }

    fn fault_empty(&self) {
        let frame = self.allocate(0);
        step();
        let mut locked = self.entry.lock_alone();
        if locked.get() == State::Empty {
            self.install(&mut locked, frame, None);
        } else {
            drop(locked);
            self.put(frame);
        }
    }

    /// Maps a page that was found; `false` if it left the table meanwhile.
    fn map(&self, frame: usize, access: Access) -> bool {
        let folio = self.lock_folio(frame);
        let owned = self.page(frame).attached || flaw::is(Flaw::StaleFault);
        if owned {
            if access == Access::Store {
                self.make_dirty(frame);
            }
            self.set_pte(frame, access);
        }
        drop(folio);
        self.put(frame);
        owned
    }

    fn set_pte(&self, frame: usize, access: Access) {
        step();
        let before = self.pte.get();
        if before.frame != Some(frame) {
            assert_eq!(before.frame, None, "a PTE was overwritten");
            self.change(frame, |page| page.refs += 1);
        }
        self.pte.set(Pte {
            frame: Some(frame),
            writable: access == Access::Store || before.writable,
            dirty: before.dirty,
        });
    }

    /// A store to the page is about to be possible: it becomes dirty, and a
    /// batch that writes it is ignored. The page is locked.
    fn make_dirty(&self, frame: usize) {
        step();
        self.change(frame, |page| page.dirty = true);
        step();
        let mut locked = self.entry.lock_alone();
        if let (State::Writing(at), Some(record)) = (locked.get(), self.record(&locked)) {
            self.cancelled.borrow_mut().push(record.written_by);
            if !flaw::is(Flaw::WriteDoesNotCancel) {
                locked.set(State::Resident(at));
            }
        }
    }
}
