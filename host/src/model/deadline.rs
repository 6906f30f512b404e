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
use std::{
    cell::{
        Cell,
        RefCell, //
    },
    sync::Arc,
};

#[derive(Clone, Copy, PartialEq, Eq)]
enum Phase {
    Idle,
    Running,
    Done,
    Applying,
    Abandoned,
    Late,
}

const PHASE_BITS: u32 = 3;

/// A driver and its only batch, which is used again and again.
struct Driver {
    /// The phase, and whose it is: the sequence number of the batch.
    phase: Word,
    seq: Word,
    overdue_at: Word,
    quarantined: Word,
    flight: Cell<Option<Ticket>>,
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

/// When the first batch is overdue, and the time of the model.
const NOW: u64 = 1;

impl Driver {
    fn new() -> Arc<Self> {
        Arc::new(Self {
            phase: Word::new(Phase::Idle as u64),
            seq: Word::new(0),
            overdue_at: Word::new(NOW),
            quarantined: Word::new(0),
            flight: Cell::new(None),
            flights: RefCell::new(InFlight::new()),
            applied: RefCell::default(),
            abandoned: RefCell::default(),
            left: RefCell::default(),
        })
    }

    /// Moves batch `seq` from one phase to another; `false` if it was
    /// elsewhere, or is another batch by now.
    fn advance(&self, seq: u64, from: Phase, to: Phase) -> bool {
        step();
        let owner = if flaw::is(Flaw::AnyBatchAbandoned) {
            self.phase.load() >> PHASE_BITS
        } else {
            seq
        };
        let word = |phase| owner << PHASE_BITS | phase as u64;
        self.phase.cmpxchg(word(from), word(to)).is_ok()
    }

    fn is_in(&self, phase: Phase) -> bool {
        step();
        self.phase.load() & ((1 << PHASE_BITS) - 1) == phase as u64
    }

    /// One batch, which is overdue at `overdue_at`. In the swapper.
    fn run(&self, overdue_at: u64, answer: impl FnOnce(&Self, u64)) {
        step();
        if self.quarantined.load() != 0 || !self.is_in(Phase::Idle) {
            return;
        }
        step();
        let ticket = self.flights.borrow_mut().enter(0..1).expect("room");
        let seq = ticket.seq();
        self.seq.store_release(seq);
        step();
        self.flight.set(Some(ticket));
        self.overdue_at.store_release(overdue_at);
        step();
        self.phase
            .store_release(seq << PHASE_BITS | Phase::Running as u64);
        answer(self, seq);
        self.finish(ticket);
    }

    /// Waits for the answer and applies it.
    fn finish(&self, ticket: Ticket) {
        let seq = ticket.seq();
        while !self.advance(seq, Phase::Done, Phase::Applying) {
            if self.is_in(Phase::Late) {
                self.reap(seq);
                return;
            }
            if self.is_in(Phase::Abandoned) {
                return;
            }
            turn();
        }
        step();
        self.applied.borrow_mut().push(seq);
        self.advance(seq, Phase::Applying, Phase::Idle);
        self.leave(ticket);
        step();
        self.flight.set(None);
    }

    /// Releases a batch that came back late.
    fn reap(&self, seq: u64) {
        step();
        if flaw::is(Flaw::LateApplies) {
            self.applied.borrow_mut().push(seq);
        }
        self.flight.set(None);
        self.advance(seq, Phase::Late, Phase::Idle);
    }

    fn leave(&self, ticket: Ticket) {
        step();
        if self.flights.borrow_mut().leave(ticket) {
            self.left.borrow_mut().push(ticket.seq());
        }
    }

    /// The driver gives batch `seq` back.
    fn complete(&self, seq: u64) {
        let back = self.advance(seq, Phase::Running, Phase::Done)
            || self.advance(seq, Phase::Abandoned, Phase::Late);
        assert!(back, "a batch came back twice");
    }

    /// Takes the batch away from a driver that missed its deadline.
    fn abandon(&self) {
        step();
        let Some(ticket) = self.flight.get() else {
            return;
        };
        step();
        let seq = ticket.seq();
        if self.seq.load() != seq || self.overdue_at.load() > NOW {
            return;
        }
        step();
        self.quarantined.store_release(1);
        let taken = self.advance(seq, Phase::Running, Phase::Abandoned)
            || self.advance(seq, Phase::Done, Phase::Late);
        if taken {
            self.abandoned.borrow_mut().push(seq);
            self.leave(ticket);
        }
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
    driver.run(NOW, |_, seq| {
        answers = Some(spawn(&driver, move |driver| driver.complete(seq)));
    });
    join([watch].into_iter().chain(answers));
    if driver.is_in(Phase::Late) {
        driver.reap(1);
    }
    driver.assert_settled();
}

/// The next batch uses the same memory, and has time left.
fn next_batch() {
    let driver = Driver::new();
    let watch = spawn(&driver, Driver::abandon);
    driver.run(NOW, Driver::complete);
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
#[should_panic(expected = "a batch did not leave")]
fn abandoning_another_batch_is_noticed() {
    explore_with(&[Flaw::AnyBatchAbandoned], Coarse, 4, next_batch);
}

#[test]
#[should_panic(expected = "outcomes of batch 1")]
fn applying_a_late_answer_is_noticed() {
    explore_with(&[Flaw::LateApplies], Coarse, 4, synchronous);
}
