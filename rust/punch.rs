// SPDX-License-Identifier: GPL-2.0

//! Punch and truncate: pages that go away for good.
//!
//! Neither waits for a driver's answer about a page that goes. A page that is
//! being written loses its entry, so that the answer finds nothing to apply; a
//! page that is being read likewise, and the late read discards its slot itself.
//! Only a page of which a part stays is read in, to be zeroed.

use crate::{
    entry::{
        State,
        Stored, //
    },
    error::{
        code,
        Result, //
    },
    kthread,
    lockdep::{
        self,
        Callback,
        InCallback, //
    },
    populate::{
        self,
        Patience, //
    },
    range::{
        pages_of,
        PAGE_BYTES, //
    },
    region::{
        Found,
        OpenRegion,
        Region, //
    },
    table::MAX_PAGES, //
};
use core::ops::Range;

/// Removes the pages of a range from memory, from page tables and from the
/// driver. May sleep, for folio locks only.
pub(crate) fn remove(region: &Region, pages: Range<u64>) {
    let mut index = pages.start;
    lockdep::wait_for_folio();
    // Should a page be with a driver.
    drop(InCallback::enter(Callback::Discard));
    while let Some(at) = region.table.next(index).filter(|&at| at < pages.end) {
        while !region.moving(|| remove_one(region, at)) {}
        kthread::cond_resched();
        index = at + 1;
    }
    region.table.trim(pages);
    region.wait.wake_all();
}

/// Removes one page. Returns whether its entry was empty at one time.
fn remove_one(region: &Region, index: u64) -> bool {
    match region.find(index) {
        Found::Empty => true,
        Found::Page(folio) => {
            let page = folio.lock();
            if !region.owns(&page) {
                return false;
            }
            if page.is_mapped() {
                region.mapping().unmap(index, 1, false);
            }
            let slot = region.remove(index, &page, State::Empty);
            drop(page);
            if let Some(slot) = slot {
                region.discard(slot);
            }
            true
        }
        Found::Swapped(stored) => {
            if !clear(region, index, State::Swapped(stored)) {
                return false;
            }
            region.counters.swapped.sub(1);
            if let Stored::Slot(slot) = stored {
                region.discard(slot);
            }
            true
        }
        Found::Reading(read) => {
            let punched = read.punch(region);
            if punched.is_some() {
                region.counters.swapped.sub(1);
            }
            if let Some(Some(slot)) = punched {
                region.discard(slot);
            }
            punched.is_some()
        }
        Found::Poisoned => clear(region, index, State::Poisoned),
    }
}

/// Empties an entry if it still is `was`.
fn clear(region: &Region, index: u64, was: State) -> bool {
    let Some(mut entry) = region.table.lock(index) else {
        return false;
    };
    if entry.get() != was {
        return false;
    }
    region.vacate(&mut entry, index);
    true
}

/// Changes the size. Under the inode lock.
///
/// # Errors
///
/// `EFBIG` for more than a table can address; `EIO` if the page that the new
/// size cuts cannot be read: the size is then as before.
pub(crate) fn truncate(region: &Region, bytes: u64) -> Result {
    if pages_of(bytes) > MAX_PAGES {
        return Err(code::EFBIG);
    }
    let old = region.size();
    // The end of the last page that stays reads as zeroes: after it was cut, and
    // before what somebody stored past the end becomes part of the region.
    let end = bytes.min(old);
    let cut = end % PAGE_BYTES;
    if cut != 0 && bytes != old {
        let file = region.file.open().ok_or(code::EIO)?;
        let region = file.open_region();
        zero(&region, end / PAGE_BYTES, cut..PAGE_BYTES)?;
    }
    if bytes >= old {
        region.resize(bytes);
        return Ok(());
    }
    let first = pages_of(bytes);
    region.resize(bytes);
    // Private copies go as well: they were of the file.
    region.mapping().unmap(first, 0, true);
    remove(region, first..u64::MAX);
    region.mapping().unmap(first, 0, true);
    Ok(())
}

/// Punches a hole: whole pages go, the bytes of others become zero. Takes the
/// inode lock; private copies stay.
///
/// # Errors
///
/// `EIO` if a page of which a part stays cannot be read.
pub(crate) fn hole(region: &OpenRegion, offset: u64, length: u64) -> Result {
    let end = offset.saturating_add(length);
    region.file.locked(|| {
        let end = end.min(pages_of(region.size()) * PAGE_BYTES);
        if offset >= end {
            return Ok(());
        }
        let first = pages_of(offset);
        let last = end / PAGE_BYTES;
        if first > last {
            return zero(region, last, offset % PAGE_BYTES..end % PAGE_BYTES);
        }
        if offset % PAGE_BYTES != 0 {
            zero(region, first - 1, offset % PAGE_BYTES..PAGE_BYTES)?;
        }
        if end % PAGE_BYTES != 0 {
            zero(region, last, 0..end % PAGE_BYTES)?;
        }
        if first < last {
            region.mapping().unmap(first, last - first, false);
            remove(region, first..last);
        }
        Ok(())
    })
}

/// Zeroes some bytes of a page, which is brought into memory unless it is empty.
fn zero(region: &OpenRegion, index: u64, bytes: Range<u64>) -> Result {
    let Some((page, _)) = populate::populate(region, index, Patience::Wait)? else {
        return Ok(());
    };
    page.zero(bytes.start as usize, bytes.end as usize);
    region.make_dirty(index, &page);
    Ok(())
}
