// SPDX-License-Identifier: GPL-2.0

//! A region of one page, with what the kernel keeps about it: folio, PTE,
//! record, the driver's copies, and the history that the end has to agree with.
//!
//! The entry, its bit and the bitmap of the record pool are the module's code.
//! Threads switch at a [`step`] and at the folio lock: what happens under the
//! entry bit, or under a lock of the core kernel (PTE, references, dirty bit),
//! is one step. That the bit protects a record is shown in `bit.rs`.

use super::step;
use crate::{
    atomic::Blank,
    bitmap::Bitmap,
    entry::{
        Address,
        Entry,
        Locked,
        Slot,
        State,
        Stored, //
    },
};
use loom::sync::{
    Mutex,
    MutexGuard, //
};
use std::{
    cell::{
        Cell,
        RefCell, //
    },
    collections::BTreeMap,
    sync::Arc, //
};

/// Contents of the page before anybody writes.
pub(super) const INITIAL: u64 = 7;
/// Contents of a copy that the page has outlived.
const OUTLIVED: u64 = 1000;

const FRAMES: usize = 8;
const RECORDS: usize = 3;
/// References of a page that nobody else uses: the table's and the caller's.
const UNUSED: u32 = 2;
const NEVER: u64 = u64::MAX;

/// A page of memory.
#[derive(Clone, Copy, Default)]
pub(super) struct Page {
    pub(super) refs: u32,
    pub(super) dirty: bool,
    pub(super) data: u64,
    /// Whether `folio->mapping` is set. Under the folio lock.
    pub(super) attached: bool,
    freed: bool,
}

struct Frame {
    lock: Mutex<()>,
    page: Cell<Page>,
}

/// The record of a resident page. Under the entry bit.
#[derive(Clone, Copy, Default)]
pub(super) struct Record {
    pub(super) frame: usize,
    /// Sequence of the batch that writes the page.
    pub(super) written_by: u64,
    /// The driver's copy, valid while the page is clean.
    pub(super) slot: Option<Slot>,
}

/// The page table entry of the only mapping.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Pte {
    pub(super) frame: Option<usize>,
    pub(super) writable: bool,
    pub(super) dirty: bool,
}

/// What became of a read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Status {
    Pending,
    Done,
    Failed,
}

/// A read, in flight or over.
#[derive(Clone, Copy)]
pub(super) struct Read {
    pub(super) at: Address,
    pub(super) slot: Slot,
}

/// Something that gave the page its contents, from its begin to its end.
struct Event {
    begin: u64,
    end: u64,
    value: u64,
}

/// A region of one page.
pub(super) struct Region {
    pub(super) entry: Entry,
    pub(super) pte: Cell<Pte>,
    /// A translation that a munmap has not flushed.
    pub(super) unflushed: Cell<Option<usize>>,
    /// Whether the driver fails to read.
    pub(super) failing: Cell<bool>,
    pub(super) reads: RefCell<BTreeMap<u64, (Read, Status)>>,
    /// Batches that a store took the page out of.
    pub(super) cancelled: RefCell<Vec<u64>>,
    frames: Vec<Frame>,
    used: Cell<usize>,
    records: [Cell<Record>; RECORDS],
    pool: RefCell<Bitmap>,
    copies: RefCell<BTreeMap<u64, u64>>,
    last: Cell<u64>,
    history: RefCell<Vec<Event>>,
}

// SAFETY: Loom runs one thread at a time, and the cells are not borrowed across
// a point where it switches.
unsafe impl Sync for Region {}
// SAFETY: As above.
unsafe impl Send for Region {}

fn index_of(at: Address) -> usize {
    (at.get() / 16) as usize - 1
}

impl Region {
    fn new() -> Self {
        let frame = || Frame {
            lock: Mutex::new(()),
            page: Cell::default(),
        };
        let initial = Event {
            begin: 0,
            end: 0,
            value: INITIAL,
        };
        Self {
            entry: Entry::blank(),
            pte: Cell::default(),
            unflushed: Cell::default(),
            failing: Cell::new(false),
            reads: RefCell::default(),
            cancelled: RefCell::default(),
            frames: (0..FRAMES).map(|_| frame()).collect(),
            used: Cell::new(0),
            records: Default::default(),
            pool: RefCell::new(Bitmap::new()),
            copies: RefCell::default(),
            last: Cell::new(0),
            history: RefCell::new(vec![initial]),
        }
    }

    /// The page is in memory, dirty, and the driver has an old copy.
    pub(super) fn resident() -> Arc<Self> {
        let region = Self::new();
        let old = region.keep_copy(OUTLIVED);
        let frame = region.allocate(INITIAL);
        region.install(&mut region.entry.lock_alone(), frame, Some(old));
        region.change(frame, |page| page.dirty = true);
        Arc::new(region)
    }

    /// As [`Region::resident`], and mapped writable.
    pub(super) fn mapped() -> Arc<Self> {
        let region = Self::resident();
        region.change(0, |page| page.refs += 1);
        region.pte.set(Pte {
            frame: Some(0),
            writable: true,
            dirty: false,
        });
        region
    }

    /// The page is with the driver.
    pub(super) fn swapped() -> Arc<Self> {
        let region = Self::new();
        let slot = region.keep_copy(INITIAL);
        region
            .entry
            .lock_alone()
            .set(State::Swapped(Stored::Slot(slot)));
        Arc::new(region)
    }

    /// Returns a number that was not there before: a slot, a batch, a time.
    pub(super) fn number(&self) -> u64 {
        self.last.set(self.last.get() + 1);
        self.last.get()
    }

    // Pages.

    /// Returns a new page with one reference.
    pub(super) fn allocate(&self, data: u64) -> usize {
        let frame = self.used.replace(self.used.get() + 1);
        self.frames[frame].page.set(Page {
            refs: 1,
            data,
            ..Page::default()
        });
        frame
    }

    pub(super) fn lock_folio(&self, frame: usize) -> MutexGuard<'_, ()> {
        step();
        self.frames[frame].lock.lock().expect("no panic")
    }

    pub(super) fn try_lock_folio(&self, frame: usize) -> Option<MutexGuard<'_, ()>> {
        step();
        self.frames[frame].lock.try_lock().ok()
    }

    pub(super) fn page(&self, frame: usize) -> Page {
        self.frames[frame].page.get()
    }

    /// Changes a page that somebody has a reference to, or froze.
    pub(super) fn change(&self, frame: usize, change: impl FnOnce(&mut Page)) {
        let mut page = self.page(frame);
        assert!(!page.freed, "a freed page was used");
        change(&mut page);
        self.frames[frame].page.set(page);
    }

    /// Gives a reference back, and the page with the last one.
    pub(super) fn put(&self, frame: usize) {
        step();
        let mapped = [self.pte.get().frame, self.unflushed.get()].contains(&Some(frame));
        self.change(frame, |page| {
            page.refs = page
                .refs
                .checked_sub(1)
                .expect("a reference too many was put");
            page.freed = page.refs == 0;
            assert!(!(page.freed && mapped), "a mapped page was freed");
        });
    }

    /// Takes a reference to a page of which somebody has one.
    pub(super) fn get(&self, frame: usize) {
        assert_ne!(
            self.page(frame).refs,
            0,
            "a reference to a frozen page was taken"
        );
        self.change(frame, |page| page.refs += 1);
    }

    /// Freezes a page that only the table and the caller use.
    pub(super) fn freeze(&self, frame: usize) -> bool {
        let unused = self.page(frame).refs == UNUSED;
        if unused {
            self.change(frame, |page| page.refs = 0);
        }
        unused
    }

    /// Lets others use a frozen page again.
    pub(super) fn thaw(&self, frame: usize) {
        self.change(frame, |page| page.refs = UNUSED);
    }

    // The entry and the record, which change together.

    /// Returns the record that the entry stands for.
    pub(super) fn record(&self, locked: &Locked<'_>) -> Option<Record> {
        let (State::Resident(at) | State::Writing(at)) = locked.get() else {
            return None;
        };
        Some(self.records[index_of(at)].get())
    }

    pub(super) fn change_record(&self, locked: &mut Locked<'_>, change: impl FnOnce(&mut Record)) {
        let (State::Resident(at) | State::Writing(at)) = locked.get() else {
            panic!("no record to change");
        };
        let cell = &self.records[index_of(at)];
        let mut record = cell.get();
        change(&mut record);
        cell.set(record);
    }

    /// Makes `frame` the page of the region, whose reference the table gets.
    pub(super) fn install(&self, locked: &mut Locked<'_>, frame: usize, slot: Option<Slot>) {
        let at = self.pool.borrow_mut().take().expect("a record") as u64;
        let at = Address::new((at + 1) * 16).expect("aligned");
        self.change(frame, |page| page.attached = true);
        locked.set(State::Resident(at));
        self.change_record(locked, |record| {
            *record = Record {
                frame,
                written_by: 0,
                slot,
            };
        });
    }

    /// Takes the page out of the table. It is locked. Returns the slot of a
    /// stored copy.
    pub(super) fn remove(&self, frame: usize, then: State) -> Option<Slot> {
        step();
        let mut locked = self.entry.lock_alone();
        let (State::Resident(at) | State::Writing(at)) = locked.get() else {
            panic!("a page was removed that is not there");
        };
        let slot = self.record(&locked)?.slot;
        locked.set(then);
        drop(locked);
        self.change(frame, |page| page.attached = false);
        let freed = self.pool.borrow_mut().give(index_of(at));
        assert!(freed, "a record was freed twice");
        self.put(frame);
        slot
    }

    /// Removes the PTE, as `unmap_mapping_pages` does.
    pub(super) fn unmap(&self) {
        step();
        let pte = self.pte.take();
        if let Some(frame) = pte.frame {
            self.change(frame, |page| page.dirty |= pte.dirty);
            self.put(frame);
        }
    }

    // The driver.

    /// Stores a copy.
    pub(super) fn keep_copy(&self, data: u64) -> Slot {
        let slot = Slot::new(self.number()).expect("a small number");
        self.copies.borrow_mut().insert(slot.get(), data);
        slot
    }

    pub(super) fn read_copy(&self, slot: Slot) -> u64 {
        let copy = self.copies.borrow().get(&slot.get()).copied();
        copy.expect("a discarded copy was read")
    }

    pub(super) fn discard(&self, slot: Option<Slot>) {
        if let Some(slot) = slot {
            let copy = self.copies.borrow_mut().remove(&slot.get());
            assert!(copy.is_some(), "a copy was discarded twice");
        }
    }

    // The history.

    /// Notes that something begins to give the page `value`.
    pub(super) fn begin(&self, value: u64) -> usize {
        let begin = self.number();
        let mut history = self.history.borrow_mut();
        history.push(Event {
            begin,
            end: NEVER,
            value,
        });
        history.len() - 1
    }

    /// Notes that the last event to begin, `event`, did not take place.
    pub(super) fn forget(&self, event: usize) {
        self.history.borrow_mut()[event].value = NEVER;
    }

    /// Notes that `event` has ended.
    pub(super) fn end(&self, event: usize) {
        self.history.borrow_mut()[event].end = self.number();
    }

    /// Asserts that who began to look at `begin` and saw `value` saw something
    /// that was not overwritten by then.
    pub(super) fn assert_seen(&self, begin: u64, value: u64) {
        let history = self.history.borrow();
        let overwritten = |event: &Event| {
            let by = |other: &Event| other.begin > event.end && other.end < begin;
            history.iter().any(by)
        };
        let mut sources = history.iter().filter(|event| event.value == value);
        let seen = sources.any(|event| !overwritten(event));
        assert!(seen, "lost write: {value} was seen");
    }

    /// Asserts what holds when nothing is going on: the contents are the last
    /// ones, nothing is in flight, mapped or kept that should not be.
    pub(super) fn assert_quiet(&self) {
        let state = self.entry.peek();
        let record = self.record(&self.entry.lock_alone());
        let mapped = self.pte.get().frame;
        let (data, slot) = match (state, record) {
            (State::Empty, None) => (0, None),
            (State::Swapped(Stored::Slot(slot)), None) => (self.read_copy(slot), Some(slot)),
            (State::Resident(_), Some(record)) => (self.page(record.frame).data, record.slot),
            other => panic!("the page is left as {:?}", other.0),
        };
        let frame = record.map(|record| record.frame);
        assert!(
            mapped.is_none() || mapped == frame,
            "an unmapped page came back"
        );
        self.assert_seen(self.number(), data);
        if let (Some(frame), Some(slot)) = (frame, slot) {
            let valid = self.page(frame).dirty || self.pte.get().dirty;
            assert!(
                valid || self.read_copy(slot) == data,
                "lost write: an old copy is valid"
            );
        }
        for other in 0..self.used.get() {
            let page = self.page(other);
            let refs = u32::from(frame == Some(other)) + u32::from(mapped == Some(other));
            assert_eq!(page.refs, refs, "references to page {other}");
        }
        assert_eq!(
            self.copies.borrow().len(),
            usize::from(slot.is_some()),
            "copies"
        );
        assert_eq!(self.pool.borrow().is_empty(), frame.is_none(), "records");
    }
}
