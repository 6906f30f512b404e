// SPDX-License-Identifier: GPL-2.0

//! The deadline against the swapper and the driver (R2): a batch is applied or
//! abandoned, never both, and leaves once either way. One that is not overdue
//! is not abandoned.
//!
//! At most 4 preemptions with 2 threads, 3 with 3.

use super::{
    explore,
    explore_with,
    join,
    spawn,
    step,
    turn,
    Steps::Coarse, //
};
use crate::{
    atomic::Word,
    flaw::{
        self,
        Flaw, //
    },
    inflight::{
        InFlight,
        Ticket, //
    },
};
use loom::sync::{
    Mutex,
    MutexGuard, //
};
use std::{cell::RefCell, sync::Arc};

#[derive(Clone, Copy, PartialEq, Eq)]
enum Phase {
    Idle,
    Running,
    Done,
    Applying,
    Abandoned,
    Late,
}

/// A driver and its only batch, which is used again and again.
struct Driver {
    phase: Word,
    seq: Word,
    overdue_at: Word,
    quarantined: Word,
    /// Keeps the batch in flight and its phase together.
    flight: Mutex<Option<Ticket>>,
    flights: RefCell<InFlight>,
    /// What became of each batch, by sequence number.
    applied: RefCell<Vec<u64>>,
    abandoned: RefCell<Vec<u64>>,
    left: RefCell<Vec<u64>>,
}

// SAFETY: Loom runs one thread at a time, and the cells are not borrowed across
// a point where it switches.
unsafe impl Sync for Driver {}
// SAFETY: As above.
unsafe impl Send for Driver {}

/// The time of the model.
const NOW: u64 = 1;

impl Driver {
    fn new() -> Arc<Self> {
        Arc::new(Self {
            phase: Word::new(Phase::Idle as u64),
            seq: Word::new(0),
            overdue_at: Word::new(0),
            quarantined: Word::new(0),
            flight: Mutex::new(None),
            flights: RefCell::new(InFlight::new()),
            applied: RefCell::default(),
            abandoned: RefCell::default(),
            left: RefCell::default(),
        })
    }

    fn flight(&self) -> MutexGuard<'_, Option<Ticket>> {
        step();
        self.flight.lock().expect("no panic")
    }

    /// Moves the batch from one phase to another; `false` if it was elsewhere.
    fn advance(&self, from: Phase, to: Phase) -> bool {
        step();
        self.phase.cmpxchg(from as u64, to as u64).is_ok()
    }

    fn is_in(&self, phase: Phase) -> bool {
        step();
        self.phase.load() == phase as u64
    }

    /// One batch, which is overdue at `overdue_at`. In the swapper.
    fn run(&self, overdue_at: u64, swapout: impl FnOnce(&Self)) {
        step();
        if self.quarantined.load() != 0 || !self.is_in(Phase::Idle) {
            return;
        }
        step();
        let ticket = self.flights.borrow_mut().enter(0..1).expect("room");
        step();
        self.seq.store_release(ticket.seq());
        let mut flight = self.flight();
        *flight = Some(ticket);
        self.overdue_at.store_release(overdue_at);
        assert!(self.advance(Phase::Idle, Phase::Running), "two batches");
        drop(flight);
        swapout(self);
        self.finish(ticket);
    }

    /// Waits for the answer and applies it.
    fn finish(&self, ticket: Ticket) {
        while !self.advance(Phase::Done, Phase::Applying) {
            if self.is_in(Phase::Late) {
                return self.reap();
            }
            if self.is_in(Phase::Abandoned) {
                return;
            }
            turn();
        }
        step();
        self.applied.borrow_mut().push(ticket.seq());
        self.advance(Phase::Applying, Phase::Idle);
        self.leave(ticket);
        self.flight().take();
    }

    /// Releases a batch that came back late. In the swapper.
    fn reap(&self) {
        if !self.is_in(Phase::Late) {
            return;
        }
        let late = self.flight().take();
        if flaw::is(Flaw::LateApplies) {
            self.applied.borrow_mut().extend(late.map(Ticket::seq));
        }
        self.advance(Phase::Late, Phase::Idle);
    }

    fn leave(&self, ticket: Ticket) {
        step();
        if self.flights.borrow_mut().leave(ticket) {
            self.left.borrow_mut().push(ticket.seq());
        }
    }

    /// The driver gives the batch back.
    fn complete(&self) {
        let back = self.advance(Phase::Running, Phase::Done)
            || self.advance(Phase::Abandoned, Phase::Late);
        assert!(back, "a batch came back twice");
    }

    /// Takes the batch away from a driver that missed its deadline.
    fn abandon(&self) {
        let mut flight = self.flight();
        let Some(ticket) = *flight else { return };
        if self.overdue_at.load() > NOW {
            return;
        }
        if flaw::is(Flaw::DeadlineUnlocked) {
            drop(flight);
            flight = self.flight();
        }
        let taken = self.advance(Phase::Running, Phase::Abandoned)
            || self.advance(Phase::Done, Phase::Late);
        if !taken {
            return;
        }
        if flaw::is(Flaw::QuarantineLate) {
            drop(flight);
            self.release(ticket);
            self.quarantined.store_release(1);
        } else {
            self.quarantined.store_release(1);
            drop(flight);
            self.release(ticket);
        }
        self.leave(ticket);
    }

    /// The pages of an abandoned batch stay.
    fn release(&self, ticket: Ticket) {
        step();
        let seq = self.seq.load();
        assert_eq!(
            seq,
            ticket.seq(),
            "the pages of another batch were released"
        );
        self.abandoned.borrow_mut().push(seq);
    }

    fn assert_settled(&self) {
        let flying = self.flights.borrow().overlaps(&(0..1), u64::MAX);
        assert!(!flying, "a batch did not leave");
        let applied = self.applied.borrow();
        let abandoned = self.abandoned.borrow();
        for seq in 1..=self.seq.load() {
            let outcomes = applied.iter().chain(&*abandoned);
            let outcomes = outcomes.filter(|&&other| other == seq).count();
            assert_eq!(outcomes, 1, "outcomes of batch {seq}");
            let left = self
                .left
                .borrow()
                .iter()
                .filter(|&&other| other == seq)
                .count();
            assert_eq!(left, 1, "departures of batch {seq}");
        }
    }
}

/// A driver that answers before `swapout` returns.
fn synchronous() {
    let driver = Driver::new();
    let watch = spawn(&driver, Driver::abandon);
    driver.run(NOW, Driver::complete);
    join([watch]);
    driver.assert_settled();
}

/// A driver that answers from another thread, while the swapper waits.
fn asynchronous() {
    let driver = Driver::new();
    let watch = spawn(&driver, Driver::abandon);
    let mut answers = None;
    driver.run(NOW, |_| {
        answers = Some(spawn(&driver, Driver::complete));
    });
    join([watch].into_iter().chain(answers));
    driver.reap();
    driver.assert_settled();
}

/// The next batch uses the same memory, and has time left.
fn next_batch() {
    let driver = Driver::new();
    let watch = spawn(&driver, Driver::abandon);
    driver.run(NOW, Driver::complete);
    driver.reap();
    driver.run(NOW + 1, Driver::complete);
    join([watch]);
    driver.assert_settled();
}

/// The swapper and the watch both find the batch overdue.
fn two_abandon() {
    let driver = Driver::new();
    let others = [
        spawn(&driver, Driver::abandon),
        spawn(&driver, Driver::abandon),
    ];
    driver.run(NOW, Driver::complete);
    join(others);
    driver.assert_settled();
}

#[test]
fn a_batch_is_applied_or_abandoned() {
    explore(Coarse, 4, synchronous);
    explore(Coarse, 3, asynchronous);
}

#[test]
fn the_next_batch_is_left_alone() {
    explore(Coarse, 4, next_batch);
}

#[test]
fn a_batch_is_abandoned_once() {
    explore(Coarse, 3, two_abandon);
}

#[test]
#[should_panic(expected = "the pages of another batch were released")]
fn a_deadline_without_the_lock_is_noticed() {
    explore_with(&[Flaw::DeadlineUnlocked], Coarse, 4, next_batch);
}

#[test]
#[should_panic(expected = "the pages of another batch were released")]
fn a_late_quarantine_is_noticed() {
    explore_with(&[Flaw::QuarantineLate], Coarse, 4, next_batch);
}

#[test]
#[should_panic(expected = "outcomes of batch 1")]
fn applying_a_late_answer_is_noticed() {
    explore_with(&[Flaw::LateApplies], Coarse, 4, synchronous);
}
