// SPDX-License-Identifier: GPL-2.0

//! Clock: which pages of a region leave memory next, and which become clean before
//! somebody wants them to.
//!
//! The hand goes over the young pages from the oldest on and unmaps them. Touching
//! one again costs a minor fault and makes it active; what nobody touches comes to
//! the end of the list of the cold ones. There dirty pages are written ahead, so
//! that those that leave first are clean: they need no driver, so whoever is short
//! of memory or of room below the limit drops them itself.

use crate::{
    attached::Attached,
    batch::Operation,
    candidates::{
        self,
        Candidates, //
    },
    flaw::{
        self,
        Flaw, //
    },
    limit::BATCH_PAGES,
    policy,
    record::{
        Age,
        Record, //
    },
    region::{
        OpenRegion,
        Region, //
    },
    swapout::{
        self,
        Outcome, //
    },
};
use kernel::sync::Arc;

const BATCH: u64 = BATCH_PAGES as u64;

/// Pages that somebody who waits for the limit drops at a time.
const FEW: u64 = 16;

/// Most pages that are watched before one leaves under memory pressure.
const SOON: u64 = 16 * BATCH;

/// Why pages have to leave.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Haste {
    /// The region is at its limit: what is used stays.
    Limit,
    /// The cgroup or the machine is short of memory: the same, as far as that can be
    /// told soon.
    Pressure,
    /// All are in use: the oldest leave.
    Oldest,
}

/// Has at most a batch leave memory, of which `excess` pages are wanted: clean ones
/// first, then the coldest, and unmaps as many in their place. At the limit, none
/// leaves before enough are watched. Returns the pages looked at. In the swapper of
/// `home`.
pub(crate) fn turn(
    region: &OpenRegion,
    home: &Arc<Attached>,
    haste: Haste,
    excess: u64,
) -> (u64, Outcome) {
    let wanted = excess.clamp(BATCH / 8, BATCH);
    let mut scanned = watch(region, wanted);
    let resident = region.residency.resident();
    let enough = match haste {
        Haste::Limit => policy::watch(resident),
        Haste::Pressure => policy::watch(resident).min(SOON),
        Haste::Oldest => 0,
    };
    if scanned != 0 && region.ages.watched() < enough {
        return (scanned, Outcome::default());
    }
    let mut old = Candidates::new();
    for age in [Age::Clean, Age::Cold] {
        let left = wanted.saturating_sub(old.len());
        region.ages.walk(age, left, |record| {
            scanned += 1;
            old.push(record.index());
        });
    }
    let outcome = swapout::run(region, Some(home), Operation::Swapout, &mut old);
    for &index in old.sorted() {
        region.stay(index);
    }
    (scanned, outcome)
}

/// Unmaps young pages, before `wanted` watched ones leave. Returns how many it looked
/// at.
fn watch(region: &Region, wanted: u64) -> u64 {
    let resident = region.residency.resident();
    let watched = region.ages.watched();
    let most = policy::to_watch(resident, watched, wanted);
    // If there is nothing else, those that are active leave as well.
    let protects = watched >= wanted && policy::protects(resident, region.ages.active());
    let mut scanned = 0;
    let mut young = Candidates::new();
    region.ages.walk(Age::Young, most, |record| {
        scanned += 1;
        if !(protects && region.ages.passes_over(record)) {
            young.push(record.index());
        }
    });
    age(region, young.sorted());
    scanned
}

/// Unmaps pages that stay in memory for now.
fn age(region: &Region, indexes: &[u64]) {
    let aged = indexes.iter().copied().filter(|&index| {
        let mlocked = region.is_mlocked(index);
        let Some(entry) = region.table.lock(index) else {
            return false;
        };
        if region.is_unevictable(&entry, mlocked) {
            return false;
        }
        let Some(record) = Record::of(&entry) else {
            return false;
        };
        if record.is_aged() {
            return false;
        }
        region.ages.set_active(record, false);
        region.ages.set(record, Age::Cold);
        true
    });
    candidates::for_each_run(aged, |first, count| {
        region.mapping().unmap(first, count, false);
    });
}

/// Writes the dirty ones of the coldest pages, at most a batch, unless there are
/// enough clean ones. Returns how many it looked at if there is more to do. In the
/// swapper of `home`.
pub(crate) fn write_ahead(region: &OpenRegion, home: &Arc<Attached>) -> Option<u64> {
    let ages = &region.ages;
    let stock = ages.count(Age::Clean);
    let missing = ages.stock.missing(region.residency.resident(), stock);
    if missing == 0 || flaw::is(Flaw::NothingAhead) {
        return None;
    }
    let scanned = watch(region, 0);
    if scanned != 0 {
        // None that may yet be touched.
        return Some(scanned);
    }
    let mut cold = Candidates::new();
    ages.walk(Age::Cold, missing, |record| {
        if !record.is_wasted() {
            cold.push(record.index());
        }
    });
    // Those that are clean already are not locked for it: somebody may want them.
    let mut dirty = Candidates::new();
    for &index in cold.sorted() {
        if !region.stock(index) {
            dirty.push(index);
        }
    }
    let outcome = swapout::run(region, Some(home), Operation::Ahead, &mut dirty);
    for &index in dirty.sorted() {
        region.stock(index);
    }
    if outcome.refused != 0 {
        ages.stock.pause();
    }
    (ages.count(Age::Clean) > stock).then_some(missing)
}

/// Drops a few pages that need no write, for somebody who waits for the limit and
/// holds no lock. Returns how many.
pub(crate) fn make_room(region: &OpenRegion) -> u64 {
    let mut clean = Candidates::new();
    region.ages.walk(Age::Clean, FEW, |record| {
        clean.push(record.index());
    });
    let dropped = swapout::drop_clean(region, &mut clean);
    region.counters.direct_drops.count(dropped);
    dropped
}
