// SPDX-License-Identifier: GPL-2.0

//! The batches in flight against a list of them.

use super::{
    counterexample,
    holds, //
};
use crate::inflight::{
    InFlight,
    Ticket,
    DEPTH,
    SEQ_BITS, //
};
use proptest::{
    collection::vec,
    prelude::*,
    sample::Index, //
};
use std::ops::Range;

/// What the properties need, so that they can be tried on wrong answers too.
trait Flights {
    fn new() -> Self;
    fn enter(&mut self, pages: Range<u64>) -> Option<Ticket>;
    fn leave(&mut self, ticket: Ticket) -> bool;
    fn horizon(&self) -> u64;
    fn overlaps(&self, pages: &Range<u64>, horizon: u64) -> bool;
}

/// The real thing, seen through `MISTAKE`.
struct Through<const MISTAKE: u8>(InFlight);

const NONE: u8 = 0;
const ENTERS_WITHOUT_END: u8 = 1;
const HORIZON_ONE_SHORT: u8 = 2;
const HORIZON_IGNORED: u8 = 3;
const TOUCHING_OVERLAPS: u8 = 4;
const ENCLOSING_MISSED: u8 = 5;
const LEAVES_AGAIN: u8 = 6;

impl<const MISTAKE: u8> Flights for Through<MISTAKE> {
    fn new() -> Self {
        Self(InFlight::new())
    }

    fn enter(&mut self, pages: Range<u64>) -> Option<Ticket> {
        let ticket = self.0.enter(pages.clone());
        if MISTAKE == ENTERS_WITHOUT_END && ticket.is_none() {
            self.0 = InFlight::new();
            return self.0.enter(pages);
        }
        ticket
    }

    fn leave(&mut self, ticket: Ticket) -> bool {
        self.0.leave(ticket) || MISTAKE == LEAVES_AGAIN
    }

    fn horizon(&self) -> u64 {
        self.0.horizon()
    }

    fn overlaps(&self, pages: &Range<u64>, horizon: u64) -> bool {
        match MISTAKE {
            HORIZON_ONE_SHORT => self.0.overlaps(pages, horizon.saturating_sub(1)),
            HORIZON_IGNORED => self.0.overlaps(pages, u64::MAX),
            TOUCHING_OVERLAPS => self.0.overlaps(&(pages.start..pages.end + 1), horizon),
            ENCLOSING_MISSED => {
                self.0.overlaps(&(pages.start..pages.start + 1), horizon)
                    || self.0.overlaps(&(pages.end - 1..pages.end), horizon)
            }
            _ => self.0.overlaps(pages, horizon),
        }
    }
}

#[derive(Clone, Debug)]
enum Operation {
    Enter(Range<u64>),
    Leave(Index),
    Note,
    Ask(Range<u64>, Index),
}

fn any_pages() -> impl Strategy<Value = Range<u64>> {
    let near = (0u64..24, 1u64..12).prop_map(|(first, pages)| first..first + pages);
    let far = (0u64..24, 1u64..12).prop_map(|(back, pages)| {
        let end = u64::MAX - 1 - back;
        end - pages..end
    });
    prop_oneof![8 => near, 1 => far]
}

fn any_operations() -> impl Strategy<Value = Vec<Operation>> {
    let operation = prop_oneof![
        3 => any_pages().prop_map(Operation::Enter),
        2 => any::<Index>().prop_map(Operation::Leave),
        1 => Just(Operation::Note),
        3 => (any_pages(), any::<Index>()).prop_map(|(pages, at)| Operation::Ask(pages, at)),
    ];
    vec(operation, 1..128)
}

fn share_a_page(one: &Range<u64>, other: &Range<u64>) -> bool {
    one.start.max(other.start) < one.end.min(other.end)
}

/// Applies `operations` to `F` and to a list of batches in order of entry.
fn agrees<F: Flights>(operations: Vec<Operation>) -> Result<(), TestCaseError> {
    let mut flights = F::new();
    let mut list: Vec<(Ticket, Range<u64>)> = Vec::new();
    let mut tickets: Vec<Ticket> = Vec::new();
    let mut horizons = vec![(flights.horizon(), 0)];
    for operation in operations {
        match operation {
            Operation::Enter(pages) => {
                let ticket = flights.enter(pages.clone());
                prop_assert_eq!(ticket.is_some(), list.len() < DEPTH);
                let Some(ticket) = ticket else { continue };
                let newest = tickets.last().map_or(0, |last| last.seq());
                prop_assert!(ticket.seq() > newest, "a sequence number came again");
                tickets.push(ticket);
                list.push((ticket, pages));
            }
            Operation::Leave(which) if !tickets.is_empty() => {
                let ticket = *which.get(&tickets);
                let there = list.iter().position(|(other, _)| *other == ticket);
                prop_assert_eq!(flights.leave(ticket), there.is_some());
                there.map(|at| list.remove(at));
            }
            Operation::Leave(_) => (),
            Operation::Note => horizons.push((flights.horizon(), tickets.len())),
            Operation::Ask(pages, which) => {
                let &(horizon, entered) = which.get(&horizons);
                let before = &tickets[..entered];
                let expected = list
                    .iter()
                    .any(|(ticket, range)| before.contains(ticket) && share_a_page(range, &pages));
                prop_assert_eq!(flights.overlaps(&pages, horizon), expected);
            }
        }
        let any = flights.overlaps(&(0..u64::MAX), u64::MAX);
        prop_assert_eq!(any, !list.is_empty());
    }
    Ok(())
}

#[test]
fn flights_are_a_list() {
    holds(any_operations(), agrees::<Through<NONE>>);
}

#[test]
fn the_property_notices_mistakes() {
    let mistakes = [
        agrees::<Through<ENTERS_WITHOUT_END>>,
        agrees::<Through<HORIZON_ONE_SHORT>>,
        agrees::<Through<HORIZON_IGNORED>>,
        agrees::<Through<TOUCHING_OVERLAPS>>,
        agrees::<Through<ENCLOSING_MISSED>>,
        agrees::<Through<LEAVES_AGAIN>>,
    ];
    for (i, agrees) in mistakes.into_iter().enumerate() {
        let found = counterexample(any_operations(), agrees);
        assert!(found.is_some(), "mistake {} went unnoticed", i + 1);
    }
}

#[test]
fn a_waiter_waits_for_what_was_there_only() {
    let mut flights = InFlight::new();
    let before = flights.enter(0..64).expect("room");
    let horizon = flights.horizon();
    let after = flights.enter(0..64).expect("room");
    assert!(flights.overlaps(&(10..11), horizon));
    assert!(flights.leave(before));
    assert!(!flights.overlaps(&(10..11), horizon));
    assert!(flights.overlaps(&(10..11), flights.horizon()));
    assert!(flights.leave(after));
    assert!(!flights.overlaps(&(0..u64::MAX), u64::MAX));
}

#[test]
fn an_abandoned_batch_does_not_leave_again() {
    let mut flights = InFlight::new();
    let abandoned = flights.enter(0..64).expect("room");
    assert!(flights.leave(abandoned));
    let other = flights.enter(0..64).expect("room");
    assert!(
        !flights.leave(abandoned),
        "the late completion took another batch out"
    );
    assert!(flights.overlaps(&(0..1), u64::MAX));
    assert!(flights.leave(other));
}

#[test]
fn batches_are_refused_when_all_places_are_taken() {
    let mut flights = InFlight::new();
    let tickets: Vec<Ticket> = (0..DEPTH as u64)
        .map(|i| flights.enter(i..i + 1).expect("room"))
        .collect();
    let horizon = flights.horizon();
    assert_eq!(flights.enter(0..1), None);
    assert_eq!(flights.horizon(), horizon, "a refused batch counts");
    assert!(flights.leave(tickets[3]));
    assert!(flights.enter(0..1).is_some());
}

#[test]
fn numbers_in_flight_differ_in_what_a_record_keeps() {
    let mut flights = InFlight::new();
    let slow = flights.enter(0..64).expect("room");
    for _ in 0..(1 << SEQ_BITS) + 1 {
        let other = flights.enter(0..64).expect("room");
        let differs = (other.seq() ^ slow.seq()) & ((1 << SEQ_BITS) - 1) != 0;
        assert!(differs, "{} is taken for {}", other.seq(), slow.seq());
        assert!(flights.leave(other));
    }
}
