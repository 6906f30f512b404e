// SPDX-License-Identifier: GPL-2.0

//! Ages: the lists of a region's records.
//!
//! A record is on one of three lists, oldest first: of the pages that were used
//! since the clock came by, of those that it unmapped and that wait to be touched,
//! and of those among them that leave without a write. [`crate::clock`] moves them.

use crate::{
    atomic::Word,
    bindings::swapvma_lru,
    ghosts::{
        self,
        BUCKETS, //
    },
    list_lru::{
        ListLru,
        Visited, //
    },
    policy::{
        self,
        Stock, //
    },
    record::{
        Age,
        Record, //
    },
};
use kernel::{
    prelude::*,
    sync::SetOnce, //
};

/// The records of a region by age.
#[pin_data]
pub(crate) struct Ages {
    #[pin]
    young: ListLru<Record>,
    #[pin]
    cold: ListLru<Record>,
    #[pin]
    clean: ListLru<Record>,
    /// Pages that are used again and again.
    active: Word,
    /// Of these, those that the clock passed over, ever.
    passed: Word,
    /// Pages that left memory and are stored, ever.
    left: Word,
    ghosts: SetOnce<KVVec<Word>>,
    /// How often they were asked for, while there was none.
    tries: Word,
    /// Refaults by distance.
    distances: [Word; BUCKETS],
    /// Those of which it is not known.
    unknown: Word,
    /// How many clean ones there should be.
    pub(crate) stock: Stock,
}

impl Ages {
    /// Creates empty lists. May sleep and allocate.
    pub(crate) fn new() -> impl PinInit<Self, Error> {
        try_pin_init!(Self {
            young <- ListLru::new(swapvma_lru::SWAPVMA_LRU_RECORDS),
            cold <- ListLru::new(swapvma_lru::SWAPVMA_LRU_RECORDS),
            clean <- ListLru::new(swapvma_lru::SWAPVMA_LRU_RECORDS),
            active: Word::new(0),
            passed: Word::new(0),
            left: Word::new(0),
            ghosts: SetOnce::new(),
            tries: Word::new(0),
            distances: [const { Word::new(0) }; BUCKETS],
            unknown: Word::new(0),
            stock: Stock::new(),
        }? Error)
    }

    fn list(&self, age: Age) -> &ListLru<Record> {
        match age {
            Age::Young => &self.young,
            Age::Cold => &self.cold,
            Age::Clean => &self.clean,
        }
    }

    /// Returns how many pages are of an age (stale). Any context.
    pub(crate) fn count(&self, age: Age) -> u64 {
        self.list(age).count()
    }

    /// The same for those on node `nid`.
    pub(crate) fn count_node(&self, age: Age, nid: i32) -> u64 {
        self.list(age).count_node(nid)
    }

    /// Returns how many pages wait to be touched (stale). Any context.
    pub(crate) fn watched(&self) -> u64 {
        self.count(Age::Cold) + self.count(Age::Clean)
    }

    /// Returns how many pages are used again and again (stale). Any context.
    pub(crate) fn active(&self) -> u64 {
        self.active.load()
    }

    /// Makes room to tell the distance of refaults, if pages leave and there is none.
    /// Without memory to spare nothing is told for now. Allocates, and does not sleep
    /// for it; no lock held.
    pub(crate) fn watch_refaults(&self, resident: u64) {
        if self.ghosts.as_ref().is_some() || self.tries.add(1) % TRY_EACH != 0 {
            return;
        }
        let flags = GFP_NOWAIT | __GFP_NOWARN;
        let size = ghosts::table_size(resident);
        let Ok(mut table) = KVVec::with_capacity(size, flags) else {
            return;
        };
        for _ in 0..size {
            if table.push(Word::new(0), flags).is_err() {
                return;
            }
        }
        // Another one may have been faster.
        self.ghosts.populate(table);
    }

    fn ghosts(&self) -> &[Word] {
        self.ghosts.as_ref().map_or(&[], |table| table)
    }

    /// A page left memory and is stored. Any context.
    pub(crate) fn note_left(&self, index: u64) {
        ghosts::remember(self.ghosts(), index, self.left.add(1));
    }

    /// Page `index` came back, of which so many are in memory. Under the entry bit.
    pub(crate) fn note_back(&self, record: &Record, index: u64, resident: u64) {
        let distance = ghosts::distance(self.ghosts(), index, self.left.load());
        let Some(distance) = distance else {
            self.unknown.count(1);
            return;
        };
        if let Some(count) = self.distances.get(ghosts::bucket(distance)) {
            count.count(1);
        }
        if policy::is_wanted_again(resident, self.active.load(), distance) {
            self.set_active(record, true);
        }
    }

    /// Whether the clock passes over an active page. One that does not count against
    /// the limit is looked at: that may be over. Under the lock of its list.
    pub(crate) fn passes_over(&self, record: &Record) -> bool {
        record.is_active() && !record.is_exempt() && !policy::is_tested(self.passed.add(1) + 1)
    }

    /// Calls `show` with the smallest distance of each range of them, and how many
    /// refaults were in it. Returns of how many the distance is not known.
    pub(crate) fn for_each_distance(&self, mut show: impl FnMut(u64, u64)) -> u64 {
        for (i, count) in self.distances.iter().enumerate() {
            show(ghosts::least(i), count.load());
        }
        self.unknown.load()
    }

    /// Appends the record of a page that comes into memory. Under the entry bit.
    ///
    /// # Safety
    ///
    /// [`Ages::remove`] is called before the record is freed.
    pub(crate) unsafe fn add(&self, record: &Record, nid: i32) {
        // SAFETY: By the safety requirement; no cgroup.
        unsafe { self.young.add(record, nid, NO_CGROUP) };
    }

    /// Takes a record off its list. Under the entry bit.
    pub(crate) fn remove(&self, record: &Record, nid: i32) {
        // SAFETY: If it is on a list it was added with these.
        unsafe { self.list(record.age()).del(record, nid, NO_CGROUP) };
        self.set_active(record, false);
    }

    /// Notes whether a page is used again and again. Under the entry bit.
    pub(crate) fn set_active(&self, record: &Record, active: bool) {
        match (record.is_active(), active) {
            (false, true) => self.active.add(1),
            (true, false) => self.active.sub(1),
            _ => return,
        };
        record.set_active(active);
    }

    /// Changes the age of a page, which becomes the youngest of it. Under the entry
    /// bit.
    pub(crate) fn set(&self, record: &Record, age: Age) {
        let nid = record.nid();
        // SAFETY: If it is on a list it was added with these.
        unsafe { self.list(record.age()).del(record, nid, NO_CGROUP) };
        record.set_age(age);
        // SAFETY: It was on a list, so `remove` takes it off this one before it is
        // freed.
        unsafe { self.list(age).add(record, nid, NO_CGROUP) };
    }

    /// Shows the `max` oldest of an age to `visit`, which become the youngest of it. As
    /// [`ListLru::walk`].
    pub(crate) fn walk(&self, age: Age, max: u64, mut visit: impl FnMut(&Record)) {
        self.list(age).walk_all(max, |record| {
            visit(record);
            Visited::Rotate
        });
    }

    /// The same for those on node `nid`.
    pub(crate) fn walk_node(&self, age: Age, nid: i32, max: u64, mut visit: impl FnMut(&Record)) {
        self.list(age).walk(nid, NO_CGROUP, max, |record| {
            visit(record);
            Visited::Rotate
        });
    }
}

/// Refaults after which memory for ghosts is looked for again.
const TRY_EACH: u64 = 64;

const NO_CGROUP: crate::list_lru::Cgroup = core::ptr::null_mut();
