// SPDX-License-Identifier: GPL-2.0

//! Policy: how many pages the clock watches, and how many are written ahead.
//!
//! This file is pure logic: the same source runs on the host.

use crate::{
    atomic::Word,
    limit::BATCH_PAGES, //
};

const BATCH: u64 = BATCH_PAGES as u64;

/// Pages of `resident` that wait to be touched before one leaves, unless the machine
/// is short of memory: a third. That is long enough to tell what is used from what is
/// not, and few enough that using them does not cost a minor fault all the time.
pub(crate) fn watch(resident: u64) -> u64 {
    resident / 3
}

/// Pages to unmap while `watched` wait and `wanted` are to leave.
pub(crate) fn to_watch(resident: u64, watched: u64, wanted: u64) -> u64 {
    (watch(resident) + wanted)
        .saturating_sub(watched)
        .min(BATCH)
}

/// Pages of `resident` that memory pressure asks a swapper for at a time: so many that
/// it is busy while reclaimers wait, and a small share of those in memory.
pub(crate) fn pressure(resident: u64) -> u64 {
    (resident / 16).clamp(BATCH, PRESS_MOST)
}

/// The most.
pub(crate) const PRESS_MOST: u64 = 16 * BATCH;

/// Pages that one task's reclaim takes of a cgroup that has `pages`, and room.
pub(crate) fn share(pages: u64) -> u64 {
    (pages / 256).clamp(BATCH, PRESS_MOST)
}

/// Whether the clock leaves pages alone that are used again and again. Up to two
/// thirds of those in memory: a scan, however long, takes turns with itself in the rest.
pub(crate) fn protects(resident: u64, active: u64) -> bool {
    3 * active <= 2 * resident
}

/// Whether a page that comes back is active at once: it would still be there if as
/// many pages more were in memory, so it is used more often than what it comes back
/// in place of. Not more than are protected: of a loop over more than fits, some stay,
/// and the others take turns.
pub(crate) fn is_wanted_again(resident: u64, active: u64, distance: u64) -> bool {
    distance <= resident && protects(resident, active + 1)
}

/// One of so many active pages that the clock passes over is unmapped all the same, so
/// that what is not used any more does not stay for ever.
const TESTED: u64 = 64;

/// Whether that is the one of number `count`.
pub(crate) fn is_tested(count: u64) -> bool {
    count % TESTED == 0
}

/// How many pages are written ahead.
///
/// A page that was written ahead leaves without a write, unless it is written to
/// before, which makes the write a waste. Which of them it was is known later. So the
/// stock is small at first, grows while less than an eighth is wasted, and shrinks
/// while more than a quarter is.
pub(crate) struct Stock {
    window: Word,
    used: Word,
    wasted: Word,
    /// Turns left until it is tried again.
    rest: Word,
}

impl Stock {
    /// Largest stock.
    pub(crate) const MOST: u64 = 16 * BATCH;
    /// Smallest.
    pub(crate) const LEAST: u64 = BATCH / 8;
    /// Pages after which the stock is judged, or fewer if it is smaller.
    const EPOCH: u64 = BATCH;
    /// Turns of the swapper without a stock, after too much was wasted.
    const REST: u64 = 64;

    /// Nothing written yet.
    pub(crate) fn new() -> Self {
        Self {
            window: Word::new(BATCH),
            used: Word::new(0),
            wasted: Word::new(0),
            rest: Word::new(0),
        }
    }

    /// Returns how many pages are to be in stock: at most an eighth of those in
    /// memory.
    pub(crate) fn goal(&self, resident: u64) -> u64 {
        self.window.load().min(resident / 8)
    }

    /// A page that was written ahead leaves. Any context.
    pub(crate) fn note_used(&self) {
        self.used.add(1);
    }

    /// One is written to before it left. Any context.
    pub(crate) fn note_wasted(&self) {
        self.wasted.add(1);
    }

    /// Returns how many pages to write now, with `stock` of them in stock: none until
    /// that makes a batch.
    pub(crate) fn missing(&self, resident: u64, stock: u64) -> u64 {
        let goal = self.goal(resident);
        let missing = goal.saturating_sub(stock);
        if missing < (goal / 2).clamp(1, BATCH) {
            0
        } else {
            missing.min(BATCH)
        }
    }

    fn judge(&self, window: u64) {
        let (used, wasted) = (self.used.load(), self.wasted.load());
        if used + wasted < window.min(Self::EPOCH) {
            return;
        }
        // Another one judged them: the swapper that was the region's home before.
        if self.used.cmpxchg(used, 0).is_err() || self.wasted.cmpxchg(wasted, 0).is_err() {
            return;
        }
        if 4 * wasted > used + wasted {
            let less = window / 2;
            if less < Self::LEAST {
                self.pause();
            } else {
                self.window.store_release(less);
            }
        } else if 8 * wasted < used + wasted {
            self.window.store_release((2 * window).min(Self::MOST));
        }
    }

    /// The driver takes nothing: no stock for a while, and then a small one.
    pub(crate) fn pause(&self) {
        self.rest.store_release(Self::REST);
        self.window.store_release(0);
    }

    /// Pages leave memory: judges the stock. Without one, it is tried again after a
    /// while.
    pub(crate) fn turn(&self) {
        match (self.window.load(), self.rest.load()) {
            (0, 0) => self.window.store_release(Self::LEAST),
            (0, rest) => self.rest.store_release(rest - 1),
            (window, _) => self.judge(window),
        }
    }
}
