// SPDX-License-Identifier: GPL-2.0

//! Quota: how many bytes may be stored, of a region, of a cgroup, of a user.
//!
//! How much a driver makes of a page is known when it has stored it. So room for the
//! whole page is charged before, to all that the region's bytes count for, and what
//! was not needed is given back when the batch is done: what is stored never exceeds
//! a limit, whatever is written at the same time.
//!
//! A [`Meter`] has what one driver stores of one region charged. The driver says how
//! much that is, and nobody else does: no lock is held when it is asked.
//!
//! This file is pure logic: the same source runs on the host.

use crate::{
    atomic::Word,
    limit::NONE,
    range::PAGE_BYTES, //
};

/// Counts bytes against a limit.
pub(crate) struct Quota {
    limit: Word,
    used: Word,
    refused: Word,
}

impl Quota {
    /// Nothing used, no limit.
    pub(crate) fn new() -> Self {
        Self {
            limit: Word::new(NONE),
            used: Word::new(0),
            refused: Word::new(0),
        }
    }

    /// Returns the limit in bytes.
    pub(crate) fn limit(&self) -> u64 {
        self.limit.load()
    }

    /// Changes the limit. What is stored already stays.
    pub(crate) fn set_limit(&self, bytes: u64) {
        self.limit.store_release(bytes);
    }

    /// Returns the bytes that are stored, or are reserved for a batch in flight.
    pub(crate) fn used(&self) -> u64 {
        self.used.load()
    }

    /// Returns how many batches were given less room than they wanted.
    pub(crate) fn refused(&self) -> u64 {
        self.refused.load()
    }

    /// Returns the bytes that still fit. They may be somebody else's a moment later.
    pub(crate) fn room(&self) -> u64 {
        self.limit.load().saturating_sub(self.used.load())
    }

    /// Charges `bytes`; `false` if they do not fit. Any context.
    fn try_charge(&self, bytes: u64) -> bool {
        let mut used = self.used.load();
        while bytes <= self.limit.load().saturating_sub(used) {
            match self.used.cmpxchg(used, used + bytes) {
                Ok(_) => return true,
                Err(now) => used = now,
            }
        }
        false
    }

    fn charge(&self, bytes: u64) {
        self.used.add(bytes);
    }

    fn uncharge(&self, bytes: u64) {
        self.used.sub(bytes);
    }
}

/// Charges `bytes` to all of `quotas` or to none.
fn charge_all<'a>(quotas: impl Iterator<Item = &'a Quota> + Clone, bytes: u64) -> bool {
    let refusing = quotas.clone().position(|quota| !quota.try_charge(bytes));
    if let Some(charged) = refusing {
        quotas.take(charged).for_each(|quota| quota.uncharge(bytes));
    }
    refusing.is_none()
}

/// Charges room for up to `wanted` pages to all of `quotas`. Returns for how many.
fn charge_most<'a>(quotas: impl Iterator<Item = &'a Quota> + Clone, wanted: u64) -> u64 {
    let Some(tightest) = quotas.clone().min_by_key(|quota| quota.room()) else {
        return wanted;
    };
    let mut pages = wanted.min(tightest.room() / PAGE_BYTES);
    // Who is refused although there was room is late: with less it may be in time.
    while pages != 0 && !charge_all(quotas.clone(), pages * PAGE_BYTES) {
        pages /= 2;
    }
    if pages < wanted {
        tightest.refused.add(1);
    }
    pages
}

/// Has charged what one driver stores of one region.
pub(crate) struct Meter {
    /// Bytes that are charged.
    held: Word,
    /// Of these, for the batch in flight, of which there is one at most.
    reserved: Word,
    /// Reservations so far.
    turns: Word,
    /// Changes since somebody last looked. Whoever makes the first one looks.
    changes: Word,
}

impl Meter {
    /// Nothing charged.
    pub(crate) fn new() -> Self {
        Self {
            held: Word::new(0),
            reserved: Word::new(0),
            turns: Word::new(0),
            changes: Word::new(0),
        }
    }

    /// Charges room for up to `wanted` pages of a batch to all of `quotas`. Returns for
    /// how many; [`Meter::settle`] follows, however many these are. Any context.
    pub(crate) fn reserve<'a>(
        &self,
        quotas: impl Iterator<Item = &'a Quota> + Clone,
        wanted: u64,
    ) -> u64 {
        let pages = charge_most(quotas, wanted);
        // In this order: who looks meanwhile notices, and leaves it to `settle`.
        self.reserved.store_release(pages * PAGE_BYTES);
        self.turns.add(1);
        self.held.add(pages * PAGE_BYTES);
        pages
    }

    /// The batch is done, or there was none: what it did not need is given back. As
    /// [`Meter::look`].
    pub(crate) fn settle<'a>(
        &self,
        quotas: impl Iterator<Item = &'a Quota> + Clone,
        stored: impl Fn() -> u64,
    ) {
        self.reserved.store_release(0);
        self.look(quotas, stored);
    }

    /// Charges what is stored now, which `stored` returns: something was given up.
    /// Should somebody be at it, he does it once more. Any context that `stored` may be
    /// called in.
    pub(crate) fn look<'a>(
        &self,
        quotas: impl Iterator<Item = &'a Quota> + Clone,
        stored: impl Fn() -> u64,
    ) {
        if self.changes.add(1) != 0 {
            return;
        }
        loop {
            let seen = self.changes.load();
            self.adjust(quotas.clone(), &stored);
            if self.changes.cmpxchg(seen, 0).is_ok() {
                return;
            }
        }
    }

    /// For one caller at a time.
    fn adjust<'a>(&self, quotas: impl Iterator<Item = &'a Quota>, stored: impl Fn() -> u64) {
        let turn = self.turns.load();
        if self.reserved.load() != 0 {
            // Which part of it is stored nobody can tell: `settle` follows.
            return;
        }
        let held = self.held.load();
        let now = stored();
        if self.turns.load() != turn {
            return;
        }
        // A reservation that comes now adds to what is held, and to the quotas.
        if now > held {
            // Before it counts as held: what is stored is never more than that.
            quotas.for_each(|quota| quota.charge(now - held));
            self.held.add(now - held);
        } else {
            self.held.sub(held - now);
            quotas.for_each(|quota| quota.uncharge(held - now));
        }
    }

    /// Gives everything back: nothing is stored any more. Nobody else uses it.
    pub(crate) fn close<'a>(&self, quotas: impl Iterator<Item = &'a Quota>) {
        let held = self.held.load();
        self.held.store_release(0);
        quotas.for_each(|quota| quota.uncharge(held));
    }
}
