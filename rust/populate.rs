// SPDX-License-Identifier: GPL-2.0

//! Populate: how a page comes into memory, for a fault or because somebody asks
//! for it, and what that waits for at the resident limit.

use crate::{
    clock,
    entry::{
        Slot,
        State,
        Stored, //
    },
    error::{
        code,
        Result, //
    },
    fault::is_killed,
    folio::{
        Effort,
        Locked,
        NewPage, //
    },
    limit::BATCH_PAGES,
    lockdep,
    memcg::Stall,
    read::{
        Read,
        Spare,
        Target, //
    },
    record,
    region::{
        Found,
        OpenRegion,
        Region, //
    },
    wait::Signals, //
};
use kernel::sync::Arc;

/// What to do at a limit that waiting does not help against.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Patience {
    /// Wait for the swapper, and go over the limit if that cannot help.
    Wait,
    /// Wait for the swapper, and fail if that cannot help.
    Keep,
}

/// Brings a page into memory and returns it locked; `None` if it is empty. No
/// lock held but the inode's; may sleep. Returns whether a driver was asked.
///
/// # Errors
///
/// `EIO` for a page that cannot be read, `ENOMEM`, `EINTR`, `ENOSPC` if the
/// limit is refused.
pub(crate) fn populate(
    region: &OpenRegion,
    index: u64,
    patience: Patience,
) -> Result<Option<(Locked, bool)>> {
    let mut came_in = false;
    lockdep::wait_for_page();
    loop {
        match region.find(index) {
            Found::Empty => return Ok(None),
            Found::Poisoned => return Err(code::EIO),
            Found::Page(folio) => {
                let page = folio.lock_killable()?;
                if region.owns(&page) {
                    return Ok(Some((page, came_in)));
                }
            }
            Found::Reading(read) if read.has_failed() => {
                read.reset(region);
                return Err(code::EIO);
            }
            Found::Reading(read) => {
                let waited = read.wait(region);
                if waited == Err(code::EINTR) {
                    return waited.map(|()| None);
                }
            }
            Found::Swapped(stored) => {
                reserve_patiently(region, patience)?;
                came_in = read_in(region, index, stored)?;
            }
        }
    }
}

/// As [`populate`], but an empty page becomes one of zeroes.
///
/// # Errors
///
/// Those of [`populate`]; `EINVAL` past the size.
pub(crate) fn obtain(region: &OpenRegion, index: u64) -> Result<Locked> {
    loop {
        if index >= region.pages() {
            return Err(code::EINVAL);
        }
        if let Some((page, _)) = populate(region, index, Patience::Wait)? {
            return Ok(page);
        }
        reserve_patiently(region, Patience::Wait)?;
        let made = make(region, index, State::Empty, effort(region));
        match made {
            Ok(Some(page)) => return Ok(page),
            Ok(None) => region.unreserve(1),
            Err(error) => {
                region.unreserve(1);
                return Err(error);
            }
        }
    }
}

/// Reserves residency for one page, and waits for the limit as long as that can
/// help. No lock held but the inode's.
///
/// # Errors
///
/// `EINTR` if the task was killed meanwhile; `ENOSPC`.
fn reserve_patiently(region: &OpenRegion, patience: Patience) -> Result {
    while !region.residency.try_reserve() {
        if region.is_stalled() {
            if patience == Patience::Keep {
                return Err(code::ENOSPC);
            }
            region.residency.force_reserve();
            region.counters.over_limit.count(1);
            return Ok(());
        }
        wait_for_limit(region, Signals::Kill);
        if is_killed() {
            return Err(code::EINTR);
        }
    }
    Ok(())
}

/// Reads a page for [`populate`]. Residency was reserved.
fn read_in(region: &OpenRegion, index: u64, stored: Stored) -> Result<bool> {
    let slot = match stored {
        Stored::Slot(slot) => slot,
        Stored::Fill(_) => {
            let was = State::Swapped(stored);
            let made =
                make(region, index, was, effort(region)).inspect_err(|_| region.unreserve(1))?;
            if made.is_none() {
                region.unreserve(1);
            }
            return Ok(made.is_some());
        }
    };
    let effort = effort(region);
    let started = start(region, index, slot, effort, None).inspect_err(|_| region.unreserve(1))?;
    match started {
        None => {
            region.unreserve(1);
            Ok(false)
        }
        Some((read, target)) => {
            read.run_in(region, target)
                .inspect_err(|_| read.reset(region))?;
            Ok(true)
        }
    }
}

/// Allocates a page and begins to read it; `None` if the entry changed meanwhile. As
/// [`Read::start`].
pub(crate) fn start(
    region: &Region,
    index: u64,
    slot: Slot,
    effort: Effort,
    spare: Option<Spare>,
) -> Result<Option<(Arc<Read>, Target)>> {
    let mut target = prepare(region, false, effort)?;
    if region.integrity.is_some() {
        let _charging = region.share.owner().charge();
        target.staging = Some(NewPage::new(false, effort)?);
    }
    Ok(Read::start(region, index, slot, spare)?.map(|read| (read, target)))
}

/// Does for a fault, without its lock, what that found no memory for. Whatever else
/// is in the way is left to the fault, which comes again.
///
/// # Errors
///
/// `ENOMEM`.
pub(crate) fn bring_in(region: &OpenRegion, index: u64, effort: Effort) -> Result {
    let was = match region.find(index) {
        Found::Empty => State::Empty,
        Found::Swapped(stored) => State::Swapped(stored),
        _ => return Ok(()),
    };
    if !region.residency.try_reserve() {
        return Ok(());
    }
    let came_in = match was {
        State::Swapped(Stored::Slot(slot)) => match start(region, index, slot, effort, None) {
            Ok(Some((read, target))) => {
                // As for a fault that reads: it meets the outcome in the entry.
                if read.run_in(region, target).is_err() && is_killed() {
                    read.reset(region);
                }
                return Ok(());
            }
            Ok(None) => Ok(false),
            Err(error) => Err(error),
        },
        was => make(region, index, was, effort).map(|page| page.is_some()),
    };
    if came_in != Ok(true) {
        region.unreserve(1);
    }
    came_in.map(|_| ())
}

/// Returns what an allocation for the region may do that is made without the fault
/// lock.
pub(crate) fn effort(region: &Region) -> Effort {
    if region.starved.load() == 0 {
        Effort::Patient
    } else {
        Effort::Firm
    }
}

/// Allocates what a page that comes into memory needs. The region's owner pays for
/// the page.
pub(crate) fn prepare(region: &Region, zero: bool, effort: Effort) -> Result<Target> {
    let page = {
        let _charging = region.share.owner().charge();
        NewPage::new(zero, effort)?
    };
    let record = record::alloc()?;
    if region.starved.load() != 0 {
        region.starved.store_release(0);
    }
    Ok(Target {
        page,
        staging: None,
        record,
    })
}

/// Puts a page of zeroes or of a fill word into the table, if the entry still
/// is `was`. Residency was reserved.
pub(crate) fn make(
    region: &Region,
    index: u64,
    was: State,
    effort: Effort,
) -> Result<Option<Locked>> {
    {
        let _charging = region.share.owner().charge();
        region.fill(index)?;
    }
    let fill = match was {
        State::Swapped(Stored::Fill(fill)) => Some(fill.word()),
        _ => None,
    };
    let is_zero = !matches!(fill, Some(word) if word != 0);
    let mut target = prepare(region, is_zero, effort)?;
    if let Some(word) = fill.filter(|&word| word != 0) {
        target.page.fill(word);
    }
    let Ok(page) = region.install(index, was, target.page, target.record, None) else {
        return Ok(None);
    };
    if fill.is_some() {
        // The word is not stored any more: what is in memory is all there is.
        page.set_dirty();
        region.counters.swapped.sub(1);
        region.counters.swapins.count(1);
    }
    Ok(Some(page))
}

/// Brings in up to `wanted` of the pages that follow, as far as the driver says that
/// these are cheap to read along. Waits for none of them, but calls the driver. No
/// lock held.
pub(crate) fn read_ahead(region: &OpenRegion, index: u64, slot: Slot, wanted: u64) {
    region.ages.watch_refaults(region.residency.resident());
    let mut next = index + 1;
    if wanted != 0 && !is_killed() {
        let attached = region.drivers.get(slot.driver());
        let hint = attached.map_or(0, |attached| attached.range_hint(index, slot));
        let end = (next + wanted.min(hint)).min(region.pages());
        let pages = end.saturating_sub(next);
        let mut room = region.residency.try_reserve_below(pages, headroom_below);
        let mut spare = None;
        while next < end && read_one_ahead(region, next, &mut room, &mut spare) {
            next += 1;
        }
        if room != 0 {
            region.unreserve(room);
        }
    }
    region.ahead.expect(next);
}

/// Brings in a page, or begins to, if there is room for it, which was reserved. Returns
/// whether the next one may be of use.
fn read_one_ahead(
    region: &OpenRegion,
    index: u64,
    room: &mut u64,
    spare: &mut Option<Spare>,
) -> bool {
    let was = region.table.peek(index);
    let stored = match was {
        State::Swapped(stored) => stored,
        State::Resident(_) | State::Writing(_) | State::Reading(_) => return true,
        State::Empty | State::Poisoned | State::Dead => return false,
    };
    if *room == 0 {
        return false;
    }
    let came_in = match stored {
        Stored::Slot(slot) => {
            let started = start(region, index, slot, Effort::Quick, spare.take());
            started.map(|started| match started {
                Some((read, target)) => {
                    if read.begin(region, target) {
                        *spare = Arc::into_unique_or_drop(read);
                    }
                    true
                }
                None => false,
            })
        }
        Stored::Fill(_) => make(region, index, was, Effort::Quick).map(|page| page.is_some()),
    };
    let came_in = came_in == Ok(true);
    *room -= u64::from(came_in);
    came_in
}

/// Pages that the swapper keeps free below the limit.
pub(crate) fn headroom(region: &Region) -> u64 {
    headroom_below(region.residency.limit())
}

fn headroom_below(limit: u64) -> u64 {
    const MOST: u64 = 2 * BATCH_PAGES as u64;
    (limit / 4).min(MOST)
}

/// Drops a few clean pages, or waits until the region is below its limit or cannot
/// get there, as `signals` says. No lock held.
pub(crate) fn wait_for_limit(region: &OpenRegion, signals: Signals) {
    if clock::make_room(region) != 0 && region.residency.excess(1) == 0 {
        region.kick();
        return;
    }
    region.counters.limit_waits.count(1);
    region.limit_waiters.add(1);
    region.kick();
    lockdep::wait_for_swapper();
    let _stall = Stall::enter();
    // A killed task takes its retry and goes away.
    let _ = region.wait.wait(signals, || {
        region.residency.excess(1) == 0 || region.is_stalled()
    });
    region.limit_waiters.sub(1);
}
