// SPDX-License-Identifier: GPL-2.0

//! In flight: which batches of a region are with its driver.
//!
//! This is the flag of the 1999 proposal. A batch enters before it unmaps
//! anything and leaves after the driver's answer was applied; `close` waits for
//! the batches that were in flight when it came and that overlap the mapping.
//! Batches that enter later cannot concern it, hence the sequence number.
//!
//! This file is pure logic: the same source runs on the host. The caller
//! provides the lock and the wait queue.

use core::ops::Range;

/// Batches of one region that can be in flight at one time.
pub(crate) const DEPTH: usize = 8;

/// Lower bits of a sequence number that tell the batches in flight from each other.
pub(crate) const SEQ_BITS: u32 = 20;

const SEQ_MASK: u64 = (1 << SEQ_BITS) - 1;

#[derive(Clone, Copy)]
struct Flight {
    seq: u64,
    first: u64,
    end: u64,
}

/// Names a batch in flight.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Ticket(u64);

impl Ticket {
    /// Returns the sequence number, unique in the region. Its lower [`SEQ_BITS`] are
    /// unique among the batches in flight.
    pub(crate) fn seq(self) -> u64 {
        self.0
    }
}

/// The batches of one region that are in flight.
pub(crate) struct InFlight {
    flights: [Option<Flight>; DEPTH],
    last: u64,
}

impl InFlight {
    /// Nothing in flight.
    pub(crate) const fn new() -> Self {
        Self {
            flights: [None; DEPTH],
            last: 0,
        }
    }

    /// Whether the number of a batch in flight has the lower bits of `seq`.
    fn has_like(&self, seq: u64) -> bool {
        let mut flights = self.flights.iter().flatten();
        flights.any(|flight| (flight.seq ^ seq) & SEQ_MASK == 0)
    }

    /// Enters a batch of `pages`; `None` if [`DEPTH`] batches are in flight.
    pub(crate) fn enter(&mut self, pages: Range<u64>) -> Option<Ticket> {
        let mut seq = self.last + 1;
        while self.has_like(seq) {
            seq += 1;
        }
        let free = self.flights.iter_mut().find(|flight| flight.is_none())?;
        self.last = seq;
        *free = Some(Flight {
            seq: self.last,
            first: pages.start,
            end: pages.end,
        });
        Some(Ticket(self.last))
    }

    /// Removes a batch. Returns whether it was still there: a batch leaves once.
    pub(crate) fn leave(&mut self, ticket: Ticket) -> bool {
        for flight in &mut self.flights {
            if flight.is_some_and(|flight| flight.seq == ticket.0) {
                *flight = None;
                return true;
            }
        }
        false
    }

    /// Returns the sequence number up to which a waiter that comes now waits.
    pub(crate) fn horizon(&self) -> u64 {
        self.last
    }

    /// Whether a batch that entered no later than `horizon` overlaps `pages`.
    pub(crate) fn overlaps(&self, pages: &Range<u64>, horizon: u64) -> bool {
        self.flights.iter().flatten().any(|flight| {
            flight.seq <= horizon && flight.first < pages.end && pages.start < flight.end
        })
    }
}
