// SPDX-License-Identifier: GPL-2.0

//! Listed: what is on a list for as long as it has pages, without a lock on the way
//! of each page.
//!
//! Whoever adds the first page puts it on the list. Whoever walks the list takes it
//! off when it finds that there is no page. One word has both the pages and whether
//! it is listed, so that a page that comes at that moment finds the one or the other.
//!
//! This file is pure logic: the same source runs on the host.

use crate::atomic::Word;

const LISTED: u64 = 1;
const PAGE: u64 = 2;

/// Counts pages, and knows whether it is on its list.
pub(crate) struct Listed(Word);

impl Listed {
    /// No pages, on no list.
    pub(crate) fn new() -> Self {
        Self(Word::new(0))
    }

    /// Returns the pages. Any context.
    pub(crate) fn pages(&self) -> u64 {
        self.0.load() / PAGE
    }

    /// Counts a page. Any context. Returns whether the caller has to put this on the
    /// list.
    #[must_use]
    #[inline]
    pub(crate) fn add(&self) -> bool {
        let mut word = self.0.add(PAGE);
        if word & LISTED != 0 {
            return false;
        }
        word += PAGE;
        while word & LISTED == 0 {
            match self.0.cmpxchg(word, word | LISTED) {
                Ok(_) => return true,
                Err(now) => word = now,
            }
        }
        false
    }

    /// Pages are gone. Any context.
    #[inline]
    pub(crate) fn sub(&self, pages: u64) {
        self.0.sub(pages * PAGE);
    }

    /// Decides, under the lock of the list, whether this stays on it. If not, the
    /// caller takes it off before it gives up the lock.
    #[must_use]
    pub(crate) fn stays(&self) -> bool {
        self.0.cmpxchg(LISTED, 0).is_err()
    }
}
