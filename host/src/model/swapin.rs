// SPDX-License-Identifier: GPL-2.0

//! Swapin: a read that faults share, that a punch overtakes, that fails.
//!
//! At most 4 preemptions with 2 threads, 3 with 3.

use super::{
    explore,
    explore_with,
    join,
    page::{
        Read,
        Region,
        Status,
        INITIAL, //
    },
    spawn,
    step,
    task::SigBus,
    turn,
    Steps::Coarse, //
};
use crate::{
    entry::{
        Address,
        Slot,
        State,
        Stored, //
    },
    flaw::{
        self,
        Flaw, //
    },
};

const READS: u64 = 0x1000;

impl Region {
    /// Reads the page from `slot`, unless the entry changed meanwhile.
    pub(super) fn read(&self, slot: Slot) -> Result<(), SigBus> {
        match self.start_read(slot) {
            Some(read) => self.run_read(read),
            None => Ok(()),
        }
    }

    fn start_read(&self, slot: Slot) -> Option<Read> {
        step();
        let mut locked = self.entry.lock_alone();
        if locked.get() != State::Swapped(Stored::Slot(slot)) {
            return None;
        }
        let at = Address::new(READS + self.number() * 16).expect("aligned");
        let read = Read { at, slot };
        self.set_status(read, Status::Pending);
        locked.set(State::Reading(at));
        Some(read)
    }

    fn set_status(&self, read: Read, status: Status) {
        self.reads
            .borrow_mut()
            .insert(read.at.get(), (read, status));
    }

    /// Returns the read that an entry refers to.
    pub(super) fn read_at(&self, at: Address) -> Read {
        self.reads.borrow()[&at.get()].0
    }

    fn status(&self, read: Read) -> Status {
        self.reads.borrow()[&read.at.get()].1
    }

    /// Reads, and publishes or fails.
    fn run_read(&self, read: Read) -> Result<(), SigBus> {
        step();
        let data = self.read_copy(read.slot);
        let frame = self.allocate(data);
        let result = if self.failing.get() {
            self.put(frame);
            Err(SigBus)
        } else {
            Ok(frame)
        };
        step();
        let owned = match result {
            Ok(frame) => self.publish(read, frame),
            Err(_) => self.fail(read),
        };
        if !owned {
            // Punched meanwhile: nobody else knows the slot any more.
            self.discard(Some(read.slot));
        }
        if result.is_err() {
            self.reset(read);
        }
        result.map(drop)
    }

    fn publish(&self, read: Read, frame: usize) -> bool {
        let mut locked = self.entry.lock_alone();
        self.set_status(read, Status::Done);
        let owned = is_of(locked.get(), read) || flaw::is(Flaw::LatePublish);
        if owned {
            self.install(&mut locked, frame, Some(read.slot));
        } else {
            drop(locked);
            self.put(frame);
        }
        owned
    }

    fn fail(&self, read: Read) -> bool {
        let locked = self.entry.lock_alone();
        self.set_status(read, Status::Failed);
        is_of(locked.get(), read)
    }

    /// Sets the entry of a failed read back, so that the next fault reads again.
    fn reset(&self, read: Read) {
        step();
        let mut locked = self.entry.lock_alone();
        if is_of(locked.get(), read) || flaw::is(Flaw::LateReset) {
            locked.set(State::Swapped(Stored::Slot(read.slot)));
        }
    }

    /// Waits for a read that somebody else does.
    pub(super) fn wait_read(&self, read: Read) -> Result<(), SigBus> {
        while self.status(read) == Status::Pending {
            turn();
        }
        if self.status(read) == Status::Failed {
            self.reset(read);
            return Err(SigBus);
        }
        Ok(())
    }

    /// The page is punched while it is read; `false` if the entry changed
    /// meanwhile.
    pub(super) fn punch_read(&self, read: Read) -> bool {
        step();
        let mut locked = self.entry.lock_alone();
        let there = locked.get() == State::Reading(read.at);
        if there {
            locked.set(State::Empty);
            // Decided under the entry bit, as in `fail`.
            if self.status(read) == Status::Failed || flaw::is(Flaw::DiscardUnderRead) {
                self.discard(Some(read.slot));
            }
        }
        there
    }
}

/// Whether an entry is that of `read`.
fn is_of(state: State, read: Read) -> bool {
    match state {
        State::Reading(at) => at == read.at || flaw::is(Flaw::AnyReadPublishes),
        _ => false,
    }
}

/// Two faults share a read, or do one each.
fn two_load() {
    let region = Region::swapped();
    let other = spawn(&region, |region| {
        assert_eq!(region.load().expect("no SIGBUS"), INITIAL);
    });
    assert_eq!(region.load().expect("no SIGBUS"), INITIAL);
    join([other]);
    region.assert_quiet();
}

fn load_and_punch() {
    let region = Region::swapped();
    let load = spawn(&region, |region| {
        region.load().expect("no SIGBUS");
    });
    region.punch();
    join([load]);
    region.assert_quiet();
}

fn load_store_and_punch() {
    let region = Region::swapped();
    let others = [
        spawn(&region, |region| {
            region.load().expect("no SIGBUS");
        }),
        spawn(&region, Region::punch),
    ];
    region.store(1);
    join(others);
    region.assert_quiet();
}

/// While a read is late the page is punched, written, stored again, and read
/// by somebody else.
fn late_read_meets_another() {
    let region = Region::swapped();
    let late = spawn(&region, |region| {
        region.load().expect("no SIGBUS");
    });
    region.punch();
    region.store(1);
    region.swapout();
    region.load().expect("no SIGBUS");
    join([late]);
    region.assert_quiet();
}

/// The driver fails; the copy stays, and can be read later.
fn two_fail() {
    let region = Region::swapped();
    region.failing.set(true);
    let other = spawn(&region, |region| {
        region.load().expect_err("SIGBUS");
    });
    region.load().expect_err("SIGBUS");
    join([other]);
    region.assert_quiet();
    region.failing.set(false);
    assert_eq!(region.load().expect("no SIGBUS"), INITIAL);
}

/// The driver fails while the page is punched and written.
fn fail_and_punch() {
    let region = Region::swapped();
    region.failing.set(true);
    let load = spawn(&region, |region| {
        let _ = region.load();
    });
    region.punch();
    region.store(1);
    join([load]);
    region.assert_quiet();
}

#[test]
fn faults_share_a_read() {
    explore(Coarse, 4, two_load);
}

#[test]
fn a_read_that_was_punched_publishes_nothing() {
    explore(Coarse, 4, load_and_punch);
}

#[test]
fn a_read_a_store_and_a_punch() {
    explore(Coarse, 3, load_store_and_punch);
}

#[test]
fn a_late_read_leaves_another_alone() {
    explore(Coarse, 4, late_read_meets_another);
}

#[test]
fn a_failed_read_is_sigbus_and_loses_nothing() {
    explore(Coarse, 4, two_fail);
}

#[test]
fn a_failed_read_that_was_punched_brings_nothing_back() {
    explore(Coarse, 4, fail_and_punch);
}

#[test]
#[should_panic(expected = "lost write")]
fn a_late_publish_is_noticed() {
    explore_with(&[Flaw::LatePublish], Coarse, 4, load_and_punch);
}

#[test]
#[should_panic(expected = "lost write")]
fn a_publish_into_another_read_is_noticed() {
    explore_with(
        &[Flaw::AnyReadPublishes],
        Coarse,
        4,
        late_read_meets_another,
    );
}

#[test]
#[should_panic(expected = "a discarded copy was read")]
fn a_late_reset_is_noticed() {
    explore_with(&[Flaw::LateReset], Coarse, 4, fail_and_punch);
}

#[test]
#[should_panic(expected = "a copy was discarded twice")]
fn discarding_what_is_read_is_noticed() {
    explore_with(&[Flaw::DiscardUnderRead], Coarse, 4, load_and_punch);
}
