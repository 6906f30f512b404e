// SPDX-License-Identifier: GPL-2.0

//! Policy: which pages the clock watches.
//!
//! This file is pure logic: the same source runs on the host.

use crate::limit::BATCH_PAGES;

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

/// Whether the clock leaves pages alone that are used again and again. Up to half of
/// those in memory: a scan, however long, takes turns with itself in the other half.
pub(crate) fn protects(resident: u64, active: u64) -> bool {
    2 * active <= resident
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
