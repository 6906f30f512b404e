// SPDX-License-Identifier: GPL-2.0

//! The flag and the wait (R2): after `close` returned, no batch that was in
//! flight when the mapping's PTEs were removed is in the driver, and no wake-up
//! is lost.
//!
//! At most 4 preemptions with 2 threads, 3 with 3.

use super::{
    explore,
    explore_with,
    join,
    spawn,
    step,
    wait::WaitQueue,
    Steps::Fine, //
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
    atomic::{
        fence,
        Ordering, //
    },
    Mutex, //
};
use std::{
    cell::RefCell,
    ops::Range,
    sync::Arc, //
};

/// What really goes on, for the assertions.
#[derive(Default)]
struct Truth {
    /// Batches that entered and did not leave.
    in_flight: Vec<(u64, Range<u64>)>,
    /// Batches whose answer was not applied.
    in_driver: Vec<u64>,
}

/// A region with one mapping, of [`MAPPED`].
struct Region {
    flights: Mutex<InFlight>,
    in_swapout: Word,
    wait: WaitQueue,
    truth: RefCell<Truth>,
}

// SAFETY: Loom runs one thread at a time, and the cells are not borrowed across
// a point where it switches.
unsafe impl Sync for Region {}
// SAFETY: As above.
unsafe impl Send for Region {}

const MAPPED: Range<u64> = 0..8;

impl Region {
    fn new() -> Arc<Self> {
        Arc::new(Self {
            flights: Mutex::new(InFlight::new()),
            in_swapout: Word::new(0),
            wait: WaitQueue::new(),
            truth: RefCell::default(),
        })
    }

    fn enter(&self, pages: Range<u64>) -> Ticket {
        // First, so that whoever sees none may rely on it.
        self.in_swapout.add(1);
        step();
        let mut flights = self.flights.lock().expect("no panic");
        let ticket = flights.enter(pages.clone()).expect("room");
        let mut truth = self.truth.borrow_mut();
        truth.in_flight.push((ticket.seq(), pages));
        truth.in_driver.push(ticket.seq());
        ticket
    }

    /// Takes the batch out. Returns whether it was there still.
    fn leave(&self, ticket: Ticket) -> bool {
        if flaw::is(Flaw::WakeBeforeLeave) {
            self.wait.wake_all();
        }
        step();
        let left = self.flights.lock().expect("no panic").leave(ticket);
        if left {
            self.in_swapout.sub(1);
        }
        let gone = |(seq, _): &(u64, _)| *seq != ticket.seq();
        self.truth.borrow_mut().in_flight.retain(gone);
        if !flaw::is(Flaw::WakeBeforeLeave) {
            self.wait.wake_all();
        }
        left || flaw::is(Flaw::LeavesTwice)
    }

    /// The driver answers, and the answer is applied.
    fn drive(&self, ticket: Ticket) {
        step();
        self.truth
            .borrow_mut()
            .in_driver
            .retain(|seq| *seq != ticket.seq());
    }

    /// One batch of `pages`, by the swapper.
    fn swapout(&self, pages: Range<u64>) {
        let ticket = self.enter(pages);
        step();
        if flaw::is(Flaw::LeaveBeforeApply) {
            self.leave(ticket);
            self.drive(ticket);
            return;
        }
        self.drive(ticket);
        assert!(self.leave(ticket));
    }

    /// munmap of `pages`: the PTEs go, then `close` waits.
    fn munmap(&self, pages: Range<u64>) {
        let early = self.flights.lock().expect("no panic").horizon();
        let concerned = self.remove_ptes(&pages);
        self.wait_flights(&pages, early);
        step();
        let truth = self.truth.borrow();
        let in_driver = concerned.iter().any(|seq| truth.in_driver.contains(seq));
        assert!(!in_driver, "close returned with a batch in the driver");
    }

    /// Removes the PTEs, flushes TLBs, which is a full barrier, and returns the
    /// batches that concern the PTEs: those that are in flight at that moment.
    fn remove_ptes(&self, pages: &Range<u64>) -> Vec<u64> {
        step();
        let concerned = overlapping(&self.truth.borrow(), pages);
        if !flaw::is(Flaw::NoBarrier) {
            fence(Ordering::SeqCst);
        }
        concerned
    }

    /// Waits for the batches in flight that overlap `pages`.
    fn wait_flights(&self, pages: &Range<u64>, early: u64) {
        if self.in_swapout.load() == 0 {
            return;
        }
        let flights = self.flights.lock().expect("no panic");
        if !flights.overlaps(pages, u64::MAX) {
            return;
        }
        let newest = flights.horizon();
        let horizon = match () {
            () if flaw::is(Flaw::EarlyHorizon) => early,
            () if flaw::is(Flaw::NoHorizon) => u64::MAX,
            () => newest,
        };
        drop(flights);
        self.wait.wait(|| {
            step();
            let flights = self.flights.lock().expect("no panic");
            let wait = flights.overlaps(pages, horizon);
            let late = wait && !flights.overlaps(pages, newest);
            assert!(!late, "close waits for a batch that came later");
            !wait
        });
    }
}

fn overlapping(truth: &Truth, pages: &Range<u64>) -> Vec<u64> {
    let overlaps = |batch: &Range<u64>| batch.start < pages.end && pages.start < batch.end;
    let concerned = truth.in_flight.iter().filter(|(_, batch)| overlaps(batch));
    concerned.map(|(seq, _)| *seq).collect()
}

fn close_meets_a_batch() {
    let region = Region::new();
    let swapper = spawn(&region, |region| region.swapout(0..4));
    region.munmap(MAPPED);
    join([swapper]);
}

/// One batch after the other, so that `close` meets old and new ones.
fn close_meets_batches() {
    let region = Region::new();
    let swapper = spawn(&region, |region| {
        region.swapout(0..4);
        region.swapout(2..6);
    });
    region.munmap(MAPPED);
    join([swapper]);
}

fn close_meets_two_swappers() {
    let region = Region::new();
    let swappers = [
        spawn(&region, |region| region.swapout(0..4)),
        spawn(&region, |region| region.swapout(4..MAPPED.end)),
    ];
    region.munmap(MAPPED);
    join(swappers);
}

fn two_close() {
    let region = Region::new();
    let others = [
        spawn(&region, |region| region.swapout(MAPPED)),
        spawn(&region, |region| region.munmap(0..4)),
    ];
    region.munmap(4..MAPPED.end);
    join(others);
}

/// A batch elsewhere in the region never leaves; `close` does not care.
fn close_ignores_other_ranges() {
    let region = Region::new();
    region.enter(MAPPED.end..MAPPED.end + 1);
    let swapper = spawn(&region, |region| region.swapout(0..4));
    region.munmap(MAPPED);
    join([swapper]);
}

/// The deadline and the late completion both take the batch out: one of them
/// succeeds, and waiters are released either way.
fn deadline_meets_completion() {
    let region = Region::new();
    let ticket = region.enter(0..4);
    let left = Arc::new(Mutex::new(0));
    let leave = || {
        let left = left.clone();
        spawn(&region, move |region| {
            region.drive(ticket);
            *left.lock().expect("no panic") += u32::from(region.leave(ticket));
        })
    };
    let others = [leave(), leave()];
    region.munmap(MAPPED);
    join(others);
    let left = *left.lock().expect("no panic");
    assert_eq!(left, 1, "a batch leaves once");
}

#[test]
fn close_waits_for_a_batch() {
    explore(Fine, 4, close_meets_a_batch);
}

#[test]
fn close_waits_for_old_batches_only() {
    explore(Fine, 4, close_meets_batches);
}

#[test]
fn close_waits_for_every_swapper() {
    explore(Fine, 3, close_meets_two_swappers);
}

#[test]
fn everybody_who_closes_is_woken() {
    explore(Fine, 3, two_close);
}

#[test]
fn close_waits_for_what_overlaps() {
    explore(Fine, 4, close_ignores_other_ranges);
}

#[test]
fn an_abandoned_batch_leaves_once() {
    explore(Fine, 3, deadline_meets_completion);
}

#[test]
#[should_panic(expected = "close returned with a batch in the driver")]
fn an_early_horizon_is_noticed() {
    explore_with(&[Flaw::EarlyHorizon], Fine, 4, close_meets_a_batch);
}

#[test]
#[should_panic(expected = "close returned with a batch in the driver")]
fn looking_without_a_barrier_is_noticed() {
    explore_with(&[Flaw::NoBarrier], Fine, 4, close_meets_a_batch);
}

#[test]
#[should_panic(expected = "close returned with a batch in the driver")]
fn leaving_before_the_answer_is_applied_is_noticed() {
    explore_with(&[Flaw::LeaveBeforeApply], Fine, 4, close_meets_a_batch);
}

#[test]
#[should_panic(expected = "close waits for a batch that came later")]
fn waiting_without_a_horizon_is_noticed() {
    explore_with(&[Flaw::NoHorizon], Fine, 4, close_meets_batches);
}

#[test]
#[should_panic(expected = "deadlock")]
fn waking_before_leaving_is_noticed() {
    explore_with(&[Flaw::WakeBeforeLeave], Fine, 4, close_meets_a_batch);
}

#[test]
#[should_panic(expected = "deadlock")]
fn waking_one_waiter_is_noticed() {
    explore_with(&[Flaw::WakeOne], Fine, 3, two_close);
}

#[test]
#[should_panic(expected = "deadlock")]
fn looking_before_queueing_is_noticed() {
    explore_with(&[Flaw::LookBeforeQueue], Fine, 4, close_meets_a_batch);
}

#[test]
#[should_panic(expected = "a batch leaves once")]
fn leaving_twice_is_noticed() {
    explore_with(&[Flaw::LeavesTwice], Fine, 3, deadline_meets_completion);
}
