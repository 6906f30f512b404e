// SPDX-License-Identifier: GPL-2.0

//! The flag and the wait (R2): after `close` returned, no batch that was in
//! flight when the mapping's PTEs were removed is in the driver, and no wake-up
//! is lost.
//!
//! At most 3 preemptions, 2 or 3 threads.

use super::{
    explore,
    explore_with,
    join,
    spawn,
    step,
    Steps::Coarse, //
};
use crate::{
    flaw::{
        self,
        Flaw, //
    },
    inflight::{
        InFlight,
        Ticket, //
    },
};
use loom::{
    sync::{
        Condvar,
        Mutex, //
    },
    thread, //
};
use std::{
    cell::RefCell,
    ops::Range,
    sync::Arc, //
};

/// What really goes on, for the assertions; loom does not know about it.
#[derive(Default)]
struct Truth {
    /// Batches that entered and did not leave.
    in_flight: Vec<(u64, Range<u64>)>,
    /// Batches whose answer was not applied yet.
    in_driver: Vec<u64>,
}

/// A region with one mapping of `0..MAPPED`.
struct Region {
    flights: Mutex<InFlight>,
    left: Condvar,
    pte: Mutex<bool>,
    truth: RefCell<Truth>,
}

// SAFETY: The cell is never borrowed across a point where loom switches, and
// loom runs one thread at a time.
unsafe impl Sync for Region {}
// SAFETY: As above.
unsafe impl Send for Region {}

const MAPPED: u64 = 8;

impl Region {
    fn new() -> Arc<Self> {
        Arc::new(Self {
            flights: Mutex::new(InFlight::new()),
            left: Condvar::new(),
            pte: Mutex::new(true),
            truth: RefCell::default(),
        })
    }

    fn enter(&self, pages: &Range<u64>) -> Ticket {
        step();
        let mut flights = self.flights.lock().expect("no panic");
        let ticket = flights.enter(pages.clone()).expect("room");
        let mut truth = self.truth.borrow_mut();
        truth.in_flight.push((ticket.seq(), pages.clone()));
        truth.in_driver.push(ticket.seq());
        ticket
    }

    fn unmap(&self) {
        step();
        *self.pte.lock().expect("no panic") = false;
    }

    fn wake(&self) {
        step();
        if flaw::is(Flaw::WakeOne) {
            self.left.notify_one();
        } else {
            self.left.notify_all();
        }
    }

    /// Takes the batch out. Returns whether it was there still.
    fn leave(&self, ticket: Ticket) -> bool {
        if flaw::is(Flaw::WakeBeforeLeave) {
            self.wake();
        }
        step();
        let mut flights = self.flights.lock().expect("no panic");
        let left = flights.leave(ticket) || flaw::is(Flaw::LeavesTwice);
        let gone = |(seq, _): &(u64, _)| *seq != ticket.seq();
        self.truth.borrow_mut().in_flight.retain(gone);
        drop(flights);
        if !flaw::is(Flaw::WakeBeforeLeave) {
            self.wake();
        }
        left
    }

    /// The driver answers and the answer is applied.
    fn drive(&self, ticket: Ticket) {
        step();
        self.truth.borrow_mut().in_driver.retain(|seq| *seq != ticket.seq());
    }

    /// One batch of `pages`, by the swapper.
    fn swapout(&self, pages: Range<u64>) {
        if flaw::is(Flaw::EnterAfterUnmap) {
            self.unmap();
        }
        let ticket = self.enter(&pages);
        if !flaw::is(Flaw::EnterAfterUnmap) {
            self.unmap();
        }
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
        step();
        let mut flights = self.flights.lock().expect("no panic");
        let horizon = match () {
            () if flaw::is(Flaw::EarlyHorizon) => early,
            () if flaw::is(Flaw::NoHorizon) => u64::MAX,
            () => flights.horizon(),
        };
        let newest = flights.horizon();
        if flaw::is(Flaw::LookBeforeQueue) {
            let wait = flights.overlaps(&pages, horizon);
            drop(flights);
            flights = self.flights.lock().expect("no panic");
            if wait {
                flights = self.left.wait(flights).expect("no panic");
            }
        }
        while flights.overlaps(&pages, horizon) {
            self.assert_waits_for_old(&pages, newest);
            flights = self.left.wait(flights).expect("no panic");
        }
        drop(flights);
        step();
        let truth = self.truth.borrow();
        let in_driver = concerned.iter().any(|seq| truth.in_driver.contains(seq));
        assert!(!in_driver, "close returned with a batch in the driver");
    }

    /// Removes the PTEs and returns the batches that concern them: those that
    /// are in flight at that moment.
    fn remove_ptes(&self, pages: &Range<u64>) -> Vec<u64> {
        step();
        let mut pte = self.pte.lock().expect("no panic");
        *pte = false;
        overlapping(&self.truth.borrow(), pages).collect()
    }

    fn assert_waits_for_old(&self, pages: &Range<u64>, newest: u64) {
        let truth = self.truth.borrow();
        let old = overlapping(&truth, pages).any(|seq| seq <= newest);
        assert!(old, "close waits for a batch that came later");
    }
}

fn overlapping<'a>(truth: &'a Truth, pages: &'a Range<u64>) -> impl Iterator<Item = u64> + 'a {
    let overlaps = |batch: &Range<u64>| batch.start < pages.end && pages.start < batch.end;
    let concerned = truth.in_flight.iter().filter(move |(_, batch)| overlaps(batch));
    concerned.map(|(seq, _)| *seq)
}

fn close_meets_a_batch() {
    let region = Region::new();
    let swapper = spawn(&region, |region| region.swapout(0..4));
    region.munmap(0..MAPPED);
    join([swapper]);
}

/// One batch after the other, so that `close` meets old and new ones.
fn close_meets_batches() {
    let region = Region::new();
    let swapper = spawn(&region, |region| {
        region.swapout(0..4);
        region.swapout(2..6);
    });
    region.munmap(0..MAPPED);
    join([swapper]);
}

fn close_meets_two_swappers() {
    let region = Region::new();
    let swappers = [
        spawn(&region, |region| region.swapout(0..4)),
        spawn(&region, |region| region.swapout(4..MAPPED)),
    ];
    region.munmap(0..MAPPED);
    join(swappers);
}

fn two_close() {
    let region = Region::new();
    let others = [
        spawn(&region, |region| region.swapout(0..MAPPED)),
        spawn(&region, |region| region.munmap(0..4)),
    ];
    region.munmap(4..MAPPED);
    join(others);
}

/// A batch elsewhere in the region never leaves; `close` does not care.
fn close_ignores_other_ranges() {
    let region = Region::new();
    region.enter(&(MAPPED..MAPPED + 1));
    let swapper = spawn(&region, |region| region.swapout(0..4));
    region.munmap(0..MAPPED);
    join([swapper]);
}

/// The deadline and the late completion both take the batch out: one of them
/// succeeds, and waiters are released either way.
fn deadline_meets_completion() {
    let region = Region::new();
    let ticket = region.enter(&(0..4));
    let leave = |region: &Arc<Region>| {
        let region = region.clone();
        thread::spawn(move || {
            step();
            region.truth.borrow_mut().in_driver.clear();
            u32::from(region.leave(ticket))
        })
    };
    let (deadline, completion) = (leave(&region), leave(&region));
    region.munmap(0..MAPPED);
    let left = deadline.join().expect("no panic") + completion.join().expect("no panic");
    assert_eq!(left, 1, "a batch leaves once");
}

#[test]
fn close_waits_for_a_batch() {
    explore(Coarse, 3, close_meets_a_batch);
}

#[test]
fn close_waits_for_old_batches_only() {
    explore(Coarse, 3, close_meets_batches);
}

#[test]
fn close_waits_for_every_swapper() {
    explore(Coarse, 3, close_meets_two_swappers);
}

#[test]
fn everybody_who_closes_is_woken() {
    explore(Coarse, 3, two_close);
}

#[test]
fn close_waits_for_what_overlaps() {
    explore(Coarse, 3, close_ignores_other_ranges);
}

#[test]
fn an_abandoned_batch_leaves_once() {
    explore(Coarse, 3, deadline_meets_completion);
}

#[test]
#[should_panic(expected = "close returned with a batch in the driver")]
fn an_early_horizon_is_noticed() {
    explore_with(&[Flaw::EarlyHorizon], Coarse, 3, close_meets_a_batch);
}

#[test]
#[should_panic(expected = "close returned with a batch in the driver")]
fn leaving_before_the_answer_is_applied_is_noticed() {
    explore_with(&[Flaw::LeaveBeforeApply], Coarse, 3, close_meets_a_batch);
}

#[test]
#[should_panic(expected = "close waits for a batch that came later")]
fn waiting_without_a_horizon_is_noticed() {
    explore_with(&[Flaw::NoHorizon], Coarse, 3, close_meets_batches);
}

#[test]
#[should_panic(expected = "deadlock")]
fn waking_before_leaving_is_noticed() {
    explore_with(&[Flaw::WakeBeforeLeave], Coarse, 3, close_meets_a_batch);
}

#[test]
#[should_panic(expected = "deadlock")]
fn waking_one_waiter_is_noticed() {
    explore_with(&[Flaw::WakeOne], Coarse, 3, two_close);
}

#[test]
#[should_panic(expected = "deadlock")]
fn looking_before_queueing_is_noticed() {
    explore_with(&[Flaw::LookBeforeQueue], Coarse, 3, close_meets_a_batch);
}

#[test]
#[should_panic(expected = "a batch leaves once")]
fn leaving_twice_is_noticed() {
    explore_with(&[Flaw::LeavesTwice], Coarse, 3, deadline_meets_completion);
}
