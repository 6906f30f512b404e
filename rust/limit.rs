// SPDX-License-Identifier: GPL-2.0

//! Resident limit: how many pages of a region may be in memory.
//!
//! Residency is reserved before a page is allocated, so that concurrent faults
//! never overshoot. A reservation is given back when the page leaves memory, or
//! when the swapper finds that an mlock, a pin or somebody's reference keeps it
//! there: such a page is counted, but not against the limit.
//!
//! This file is pure logic: the same source runs on the host.

use crate::atomic::Word;

/// Pages of the largest batch, and the smallest limit.
pub(crate) const BATCH_PAGES: usize = 64;

/// No limit.
pub(crate) const NONE: u64 = u64::MAX;

/// Counts resident pages against a limit.
pub(crate) struct Residency {
    limit: Word,
    resident: Word,
    unevictable: Word,
    peak: Word,
    low: Word,
}

impl Residency {
    /// Nothing resident, at most `limit` pages.
    pub(crate) fn new(limit: u64) -> Self {
        Self {
            limit: Word::new(limit),
            resident: Word::new(0),
            unevictable: Word::new(0),
            peak: Word::new(0),
            low: Word::new(0),
        }
    }

    /// Returns the limit in pages.
    pub(crate) fn limit(&self) -> u64 {
        self.limit.load()
    }

    /// Changes the limit. Pages over it stay until somebody pages them out.
    pub(crate) fn set_limit(&self, pages: u64) {
        self.limit.store_release(pages);
    }

    /// Returns the pages that memory pressure leaves.
    pub(crate) fn low(&self) -> u64 {
        self.low.load()
    }

    /// Changes what memory pressure leaves.
    pub(crate) fn set_low(&self, pages: u64) {
        self.low.store_release(pages);
    }

    /// Returns the pages that memory pressure may take before it looks elsewhere.
    pub(crate) fn spare(&self) -> u64 {
        self.resident.load().saturating_sub(self.low.load())
    }

    /// Returns the pages in memory or reserved that count against the limit.
    pub(crate) fn resident(&self) -> u64 {
        self.resident.load()
    }

    /// Returns the pages in memory that do not.
    pub(crate) fn unevictable(&self) -> u64 {
        self.unevictable.load()
    }

    /// Returns the highest number of pages that counted against the limit.
    pub(crate) fn peak(&self) -> u64 {
        self.peak.load()
    }

    /// Reserves one page; `false` at the limit. Any context.
    #[inline]
    pub(crate) fn try_reserve(&self) -> bool {
        let mut resident = self.resident.load();
        loop {
            if resident >= self.limit.load() {
                return false;
            }
            match self.resident.cmpxchg(resident, resident + 1) {
                Ok(_) => {
                    self.note(resident + 1);
                    return true;
                }
                Err(now) => resident = now,
            }
        }
    }

    /// Reserves up to `wanted` pages, of which `headroom` pages, given the limit, stay
    /// free. Returns how many. Any context.
    pub(crate) fn try_reserve_below(&self, wanted: u64, headroom: impl Fn(u64) -> u64) -> u64 {
        let limit = self.limit.load();
        let most = limit.saturating_sub(headroom(limit));
        let resident = self.resident.load();
        let pages = wanted.min(most.saturating_sub(resident));
        // Somebody else's reservation in between is as good as a full house: the
        // caller can do without.
        if pages == 0 || self.resident.cmpxchg(resident, resident + pages).is_err() {
            return 0;
        }
        self.note(resident + pages);
        pages
    }

    /// Reserves one page whatever the limit says, for a fault that cannot wait.
    pub(crate) fn force_reserve(&self) {
        self.note(self.resident.add(1) + 1);
    }

    /// Gives pages back that count against the limit.
    #[inline]
    pub(crate) fn release(&self, pages: u64) {
        self.resident.sub(pages);
    }

    /// Gives one page back that does not.
    pub(crate) fn release_unevictable(&self) {
        self.unevictable.sub(1);
    }

    /// Something keeps a page in memory: it does not count against the limit.
    pub(crate) fn exempt(&self) {
        self.unevictable.add(1);
        self.resident.sub(1);
    }

    /// Nothing keeps the page any more: it counts, even over the limit.
    pub(crate) fn charge(&self) {
        self.note(self.resident.add(1) + 1);
        self.unevictable.sub(1);
    }

    /// Pages that have to leave so that `headroom` pages fit under the limit.
    pub(crate) fn excess(&self, headroom: u64) -> u64 {
        let target = self.limit.load().saturating_sub(headroom);
        self.resident.load().saturating_sub(target)
    }

    fn note(&self, resident: u64) {
        let mut peak = self.peak.load();
        while peak < resident {
            match self.peak.cmpxchg(peak, resident) {
                Ok(_) => return,
                Err(now) => peak = now,
            }
        }
    }
}
