// SPDX-License-Identifier: GPL-2.0

//! Records: the reverse map from a resident page to its place in a region.
//!
//! A record says which page an entry stands for, links it into the region's
//! LRU lists and keeps the slot of a stored copy while the page is clean. It
//! changes only under the entry bit of its entry.
//!
//! Records come from whole pages with a bitmap, below the slab: the reverse
//! mapping of KOS was allocated from the slab under the lock that the slab
//! needed in turn. They are taken before any lock, and given back after.

mod front;
#[deny(unsafe_code)]
mod magazine;
mod pool;

pub(crate) use self::front::{
    alloc,
    empty_pages,
    init,
    shrink,
    shrink_idle,
    usage, //
};

use crate::{
    atomic::Word,
    entry::{
        Address,
        Locked,
        Slot,
        State, //
    },
    folio::Folio,
    inflight::SEQ_BITS,
    list_lru::Item, //
};
use core::{
    mem::offset_of,
    ptr::NonNull, //
};
use kernel::{
    bindings,
    prelude::*,
    types::Opaque, //
};

const NO_SLOT: u64 = u64::MAX;

/// Bits of the index of a page.
pub(crate) const INDEX_BITS: u32 = 37;

const INDEX_MASK: u64 = (1 << INDEX_BITS) - 1;
const UNEVICTABLE: u64 = 1 << INDEX_BITS;
const STAYED: u64 = 1 << (INDEX_BITS + 1);
const ACTIVE: u64 = 1 << (INDEX_BITS + 2);
const AHEAD: u64 = 1 << (INDEX_BITS + 3);
const WASTED: u64 = 1 << (INDEX_BITS + 4);
const AGE_SHIFT: u32 = INDEX_BITS + 5;
const AGE_MASK: u64 = 3 << AGE_SHIFT;
const SEQ_SHIFT: u32 = AGE_SHIFT + 2;
const SEQ_MASK: u64 = u64::MAX >> SEQ_SHIFT;

const _: () = assert!(u64::BITS - SEQ_SHIFT >= SEQ_BITS);

/// How long ago a page was used, as far as the clock knows: which of its region's
/// lists its record is on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Age {
    /// Since the clock came by.
    Young = 0,
    /// The clock unmapped it and nobody touched it since. It was written to.
    Cold = 1,
    /// The same, and it leaves without a write.
    Clean = 2,
}

/// The record of one resident page: 48 bytes.
#[repr(C, align(16))]
pub(crate) struct Record {
    lru: Opaque<bindings::list_head>,
    folio: NonNull<bindings::folio>,
    slot: Word,
    /// Index of the page, whether something keeps it in memory, whether it stayed
    /// when it was to leave, whether it is used again and again, whether it was
    /// written ahead, whether that was in vain, its age, sequence of the batch that
    /// writes it.
    meta: Word,
}

const _: () = assert!(size_of::<Record>() == 48);

impl Record {
    /// Returns the record that a locked entry stands for.
    pub(crate) fn of<'a>(entry: &'a Locked<'_>) -> Option<&'a Record> {
        match entry.get() {
            State::Resident(address) | State::Writing(address) => {
                // SAFETY: `Unused::install` alone makes such entries; the
                // record is not freed before `take` changed the entry, which
                // the entry bit excludes.
                Some(unsafe { &*(address.get() as *const Record) })
            }
            _ => None,
        }
    }

    /// Returns a reference to the page. Under the entry bit.
    pub(crate) fn folio(&self) -> Folio {
        // SAFETY: The table holds a reference for as long as the record exists.
        unsafe { Folio::get(self.folio) }
    }

    /// Returns the node of the page's memory. Under the entry bit.
    pub(crate) fn nid(&self) -> i32 {
        let folio = self.folio();
        folio.nid()
    }

    /// Returns the index of the page in its region.
    pub(crate) fn index(&self) -> u64 {
        self.meta.load() & INDEX_MASK
    }

    /// Returns the slot of the copy that the driver still has. It is valid
    /// while the page is clean and stale once it is dirty.
    pub(crate) fn slot(&self) -> Option<Slot> {
        Slot::from_word(self.slot.load())
    }

    /// Changes the slot. Under the entry bit.
    pub(crate) fn set_slot(&self, slot: Option<Slot>) {
        self.slot.store_release(slot.map_or(NO_SLOT, Slot::to_word));
    }

    /// Whether the clock unmapped the page and nobody touched it since.
    pub(crate) fn is_aged(&self) -> bool {
        self.meta.load() & AGE_MASK != 0
    }

    /// Returns the age of the page.
    pub(crate) fn age(&self) -> Age {
        match (self.meta.load() & AGE_MASK) >> AGE_SHIFT {
            0 => Age::Young,
            1 => Age::Cold,
            _ => Age::Clean,
        }
    }

    /// Notes the age. Under the entry bit, with the record on no list.
    pub(crate) fn set_age(&self, age: Age) {
        let meta = self.meta.load() & !AGE_MASK;
        self.meta.store_release(meta | (age as u64) << AGE_SHIFT);
    }

    /// Somebody touched the page: that it stayed before says nothing any more. Under
    /// the entry bit.
    pub(crate) fn forget_stay(&self) {
        self.set_flag(STAYED, false);
    }

    /// Whether the page is used again and again.
    pub(crate) fn is_active(&self) -> bool {
        self.meta.load() & ACTIVE != 0
    }

    /// Notes whether it is. Under the entry bit.
    pub(crate) fn set_active(&self, active: bool) {
        self.set_flag(ACTIVE, active);
    }

    /// Notes that the page was written ahead. Under the entry bit.
    pub(crate) fn set_ahead(&self) {
        self.set_flag(AHEAD, true);
    }

    /// Whether the page was written ahead, and not written to since.
    pub(crate) fn is_ahead(&self) -> bool {
        self.meta.load() & AHEAD != 0
    }

    /// The page is written to. Under the entry bit. Returns whether it had been
    /// written ahead, which was in vain, and is not done again.
    pub(crate) fn take_ahead(&self) -> bool {
        let ahead = self.is_ahead();
        if ahead {
            self.set_flag(AHEAD, false);
            self.set_flag(WASTED, true);
        }
        ahead
    }

    /// Whether the page was written ahead in vain since it came into memory.
    pub(crate) fn is_wasted(&self) -> bool {
        self.meta.load() & WASTED != 0
    }

    /// Whether something was found to keep the page in memory: it does not count
    /// against the limit.
    pub(crate) fn is_exempt(&self) -> bool {
        self.meta.load() & UNEVICTABLE != 0
    }

    /// The page stayed because somebody has a reference to it. Under the entry
    /// bit. If that is so for the second time since it was touched, it is kept,
    /// and the answer is whether that is news; once may be a munmap that has
    /// yet to flush a TLB, or a fault on its way.
    pub(crate) fn stayed(&self) -> bool {
        let again = self.meta.load() & STAYED != 0;
        let news = again && !self.is_exempt();
        self.set_flag(STAYED | if again { UNEVICTABLE } else { 0 }, true);
        news
    }

    /// Notes whether something keeps the page in memory. Under the entry bit.
    /// Returns that, and whether it is news.
    pub(crate) fn look_unevictable(&self, mlocked: bool) -> (bool, bool) {
        let (folio, was) = (self.folio(), self.is_exempt());
        let unevictable = mlocked || folio.is_unevictable() || was && folio.is_held();
        // The table's reference remains.
        drop(folio);
        self.set_flag(UNEVICTABLE, unevictable);
        (unevictable, unevictable != was)
    }

    fn set_flag(&self, flag: u64, on: bool) {
        let meta = self.meta.load();
        let new = if on { meta | flag } else { meta & !flag };
        if new != meta {
            self.meta.store_release(new);
        }
    }

    /// Whether the batch `seq` is the one that writes the page.
    pub(crate) fn is_written_by(&self, seq: u64) -> bool {
        self.meta.load() >> SEQ_SHIFT == seq & SEQ_MASK
    }

    /// Notes which batch writes the page. Under the entry bit.
    pub(crate) fn set_written_by(&self, seq: u64) {
        let meta = self.meta.load() & !(SEQ_MASK << SEQ_SHIFT);
        self.meta
            .store_release(meta | (seq & SEQ_MASK) << SEQ_SHIFT);
    }
}

// SAFETY: The link is initialised in `Unused::install`, and nothing else uses it.
unsafe impl Item for Record {
    fn link(&self) -> *mut bindings::list_head {
        self.lru.get()
    }

    unsafe fn from_link<'a>(link: *mut bindings::list_head) -> &'a Self {
        // SAFETY: By the safety requirement.
        let record = unsafe { link.byte_sub(offset_of!(Record, lru)) };
        // SAFETY: By the safety requirement.
        unsafe { &*record.cast::<Record>() }
    }
}

/// A record that no entry stands for.
///
/// # Invariants
///
/// Points at a record of the pool whose bit is taken; its other fields are
/// unused.
pub(crate) struct Unused(NonNull<Record>, Address);

// SAFETY: A record may be passed between tasks.
unsafe impl Send for Unused {}

impl Unused {
    /// Makes `entry` resident: entry and record change in one critical section.
    /// The table's reference to the page moves into the record.
    pub(crate) fn install<'a>(
        self,
        entry: &'a mut Locked<'_>,
        folio: Folio,
        index: u64,
        slot: Option<Slot>,
    ) -> &'a Record {
        let address = self.1;
        // SAFETY: By the type invariant the record is this caller's alone.
        unsafe {
            self.0.write(Record {
                lru: Opaque::uninit(),
                folio: folio.into_raw(),
                slot: Word::new(slot.map_or(NO_SLOT, Slot::to_word)),
                meta: Word::new(index & INDEX_MASK),
            })
        };
        // SAFETY: As above.
        let record = unsafe { self.0.as_ref() };
        // SAFETY: The link is not on a list; an empty one points at itself.
        unsafe { bindings::INIT_LIST_HEAD(record.link()) };
        core::mem::forget(self);
        entry.set(State::Resident(address));
        record
    }
}

/// Takes the record away from a locked entry, which gets the state `then`.
/// Returns the record and the table's reference to the page. The caller has
/// taken the record off its LRU list.
pub(crate) fn take(entry: &mut Locked<'_>, then: State) -> Option<(Unused, Folio)> {
    let (State::Resident(address) | State::Writing(address)) = entry.get() else {
        return None;
    };
    let record = Record::of(entry)?;
    let folio = record.folio;
    let record = NonNull::from(record);
    entry.set(then);
    // SAFETY: The reference was the table's; the record is gone from it.
    let folio = unsafe { Folio::from_raw(folio) };
    // INVARIANT: No entry stands for the record any more, and its bit is taken.
    Some((Unused(record, address), folio))
}

impl Drop for Unused {
    fn drop(&mut self) {
        front::free(self.0);
    }
}

#[kunit_tests(swapvma_record)]
mod tests {
    use super::*;
    use crate::folio::PAGE_SIZE;

    /// Pages and bits are counted exactly when no record waits in a front.
    fn settled() -> (u64, u64) {
        shrink();
        usage()
    }

    #[test]
    fn pages_come_and_go_with_their_records() -> Result {
        const COUNT: usize = 3 * crate::bitmap::CAPACITY + 1;
        let (in_use, pages) = settled();
        let mut records = KVec::with_capacity(COUNT, GFP_KERNEL)?;
        for _ in 0..COUNT {
            records.push(alloc()?, GFP_KERNEL)?;
        }
        let (now, now_pages) = usage();
        assert_eq!(now, in_use + COUNT as u64);
        assert!(now_pages >= pages + 3);
        let mut addresses = KVec::with_capacity(COUNT, GFP_KERNEL)?;
        for record in records.iter() {
            addresses.push(record.1.get(), GFP_KERNEL)?;
        }
        addresses.sort_unstable();
        for pair in addresses.windows(2) {
            assert!(pair[1] - pair[0] >= size_of::<Record>() as u64);
        }
        drop(records);
        assert_eq!(usage().0, in_use);
        assert_eq!(settled(), (in_use, pages));
        Ok(())
    }

    #[test]
    fn what_nobody_uses_goes_on_the_second_look() -> Result {
        let look = || {
            (0..kernel::cpu::nr_cpu_ids())
                .map(|_| shrink_idle())
                .sum::<u64>()
        };
        let before = settled();
        drop(alloc()?);
        // Used since the last look, and then no more.
        assert_eq!(look(), 0);
        assert!(usage().1 > before.1);
        assert!(look() > 0);
        assert_eq!(usage(), before);
        Ok(())
    }

    #[test]
    fn empty_pages_go_at_once() -> Result {
        let before = settled();
        pool::grow()?;
        assert_eq!(empty_pages(), 1);
        let held = alloc()?;
        assert_eq!(empty_pages(), 0);
        pool::grow()?;
        assert!(shrink_idle() > 0);
        drop(held);
        assert_eq!(settled(), before);
        Ok(())
    }

    #[test]
    fn records_are_small() {
        // With the eight bytes of its entry, a page costs less than 64.
        assert!(PAGE_SIZE / crate::bitmap::CAPACITY + 8 <= 64);
    }
}
