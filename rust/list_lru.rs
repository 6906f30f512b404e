// SPDX-License-Identifier: GPL-2.0

//! LRU lists: those of a region's records, those of an owner's regions, and those
//! of a cgroup's owners.
//!
//! C header: [`include/linux/list_lru.h`](srctree/include/linux/list_lru.h)

use crate::bindings as ours;
use core::marker::{
    PhantomData,
    PhantomPinned, //
};
use kernel::{
    bindings,
    error::to_result,
    prelude::*,
    types::Opaque, //
};

/// What can be on a list.
///
/// # Safety
///
/// `link` returns the same link each time, initialised as an empty list and used
/// for one list alone, and `from_link` undoes that.
pub(crate) unsafe trait Item {
    /// Returns the link.
    fn link(&self) -> *mut bindings::list_head;

    /// Returns the item that a link belongs to.
    ///
    /// # Safety
    ///
    /// `link` is that of an item that stays on its list for `'a`.
    unsafe fn from_link<'a>(link: *mut bindings::list_head) -> &'a Self;
}

/// What becomes of an item that a walk showed.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Visited {
    /// It is the youngest of its list now.
    Rotate,
    /// It is off the list.
    Remove,
}

/// A cgroup that lists belong to, for as long as the value lives: null for the
/// root, or without cgroups.
pub(crate) type Cgroup = *mut bindings::mem_cgroup;

/// Items, oldest first, a list for each node, and for each cgroup if it was made
/// with [`ListLru::new_memcg`].
#[pin_data(PinnedDrop)]
pub(crate) struct ListLru<T: Item> {
    #[pin]
    lru: Opaque<bindings::list_lru>,
    _items: PhantomData<fn(&T)>,
    #[pin]
    _pin: PhantomPinned,
}

// SAFETY: A list_lru has its own locks; it may be used from any task.
unsafe impl<T: Item> Send for ListLru<T> {}
// SAFETY: As above.
unsafe impl<T: Item> Sync for ListLru<T> {}

impl<T: Item> ListLru<T> {
    /// Creates empty lists. May sleep and allocate.
    pub(crate) fn new(class: ours::swapvma_lru) -> impl PinInit<Self, Error> {
        try_pin_init!(Self {
            lru <- Opaque::try_ffi_init(move |lru: *mut bindings::list_lru| {
                // SAFETY: `lru` is valid for writing.
                unsafe { lru.write_bytes(0, 1) };
                // SAFETY: `lru` is zeroed and not yet in use; no cgroup, no shrinker.
                to_result(unsafe {
                    bindings::__list_lru_init(lru, false, core::ptr::null_mut())
                })?;
                // SAFETY: The lists were just initialised and are not yet in use.
                unsafe { ours::swapvma_list_lru_set_class(lru, class) };
                Ok::<(), Error>(())
            }),
            _items: PhantomData,
            _pin: PhantomPinned,
        })
    }

    /// Creates empty lists for each cgroup, which `shrinker` is asked to shrink for
    /// as long as they are not empty. May sleep and allocate.
    ///
    /// # Safety
    ///
    /// `shrinker` is valid.
    pub(crate) unsafe fn new_memcg(shrinker: *mut bindings::shrinker) -> impl PinInit<Self, Error> {
        try_pin_init!(Self {
            lru <- Opaque::try_ffi_init(move |lru: *mut bindings::list_lru| {
                // SAFETY: `lru` is valid for writing.
                unsafe { lru.write_bytes(0, 1) };
                // SAFETY: `lru` is zeroed and not yet in use; the shrinker is valid by
                // the safety requirement.
                to_result(unsafe { ours::swapvma_list_lru_init(lru, shrinker) })
            }),
            _items: PhantomData,
            _pin: PhantomPinned,
        })
    }

    /// Returns the lists, to allocate those of a cgroup.
    pub(crate) fn as_ptr(&self) -> *mut bindings::list_lru {
        self.lru.get()
    }

    /// Appends an item to the list of node `nid`, if it is on none. Any context but
    /// interrupts.
    ///
    /// # Safety
    ///
    /// The item stays valid until it is off the list. `cgroup` is referenced, and
    /// its lists are allocated.
    pub(crate) unsafe fn add(&self, item: &T, nid: i32, cgroup: Cgroup) {
        // SAFETY: The lists are initialised; the rest by the safety requirement.
        unsafe { bindings::list_lru_add(self.lru.get(), item.link(), nid, cgroup) };
    }

    /// Removes an item, if it is on a list. As [`ListLru::add`].
    ///
    /// # Safety
    ///
    /// `nid` and `cgroup` are those that the item was added with.
    pub(crate) unsafe fn del(&self, item: &T, nid: i32, cgroup: Cgroup) {
        // SAFETY: By the safety requirement.
        unsafe { bindings::list_lru_del(self.lru.get(), item.link(), nid, cgroup) };
    }

    /// Returns the number of items on all lists without a cgroup (stale). Any
    /// context.
    pub(crate) fn count(&self) -> u64 {
        // SAFETY: No precondition.
        let nodes = unsafe { ours::swapvma_nr_nodes() };
        (0..nodes).map(|nid| self.count_node(nid)).sum()
    }

    /// The same for one node that there is.
    pub(crate) fn count_node(&self, nid: i32) -> u64 {
        // SAFETY: The lists are initialised; the node is one that there is.
        unsafe { bindings::list_lru_count_node(self.lru.get(), nid) as u64 }
    }

    /// Shows the `max` oldest items of node `nid` and of `cgroup` to `visit`, each of
    /// them once. It runs under the list's lock: it neither sleeps nor takes an entry
    /// bit, and what it learned may be stale on return.
    pub(crate) fn walk<F: FnMut(&T) -> Visited>(
        &self,
        nid: i32,
        cgroup: Cgroup,
        max: u64,
        visit: F,
    ) {
        let mut left = max as c_ulong;
        let mut walk = Walk {
            visit,
            rotated: core::ptr::null_mut(),
            is_around: false,
        };
        // SAFETY: The lists are initialised; `visit_item` gets `walk` back as
        // the type that it was instantiated for.
        unsafe {
            bindings::list_lru_walk_one(
                self.lru.get(),
                nid,
                cgroup,
                Some(visit_item::<T, F>),
                (&raw mut walk).cast(),
                &mut left,
            )
        };
    }

    /// The same for all nodes, one after the other, without a cgroup.
    pub(crate) fn walk_all<F: FnMut(&T) -> Visited>(&self, max: u64, mut visit: F) {
        let mut left = max;
        // SAFETY: No precondition.
        for nid in 0..unsafe { ours::swapvma_nr_nodes() } {
            self.walk(nid, core::ptr::null_mut(), left, |item| {
                left = left.saturating_sub(1);
                visit(item)
            });
        }
    }
}

#[pinned_drop]
impl<T: Item> PinnedDrop for ListLru<T> {
    fn drop(self: Pin<&mut Self>) {
        // SAFETY: The lists are initialised and empty: whoever has an item on them
        // keeps them.
        unsafe { bindings::list_lru_destroy(self.lru.get()) };
    }
}

/// A walk over a list. To the core, what goes to the end of the list is still to come:
/// it would show a list of two items for as long as it is told to walk.
struct Walk<F> {
    visit: F,
    /// The first item that became the youngest.
    rotated: *mut bindings::list_head,
    /// That one came again: it and those after it had their turn.
    is_around: bool,
}

/// # Safety
///
/// Called by `list_lru_walk_one` under the list's lock with an item's link and the
/// `Walk<F>` that `walk` passed.
unsafe extern "C" fn visit_item<T: Item, F: FnMut(&T) -> Visited>(
    link: *mut bindings::list_head,
    list: *mut bindings::list_lru_one,
    walk: *mut c_void,
) -> bindings::lru_status {
    // SAFETY: By the safety requirement.
    let walk = unsafe { &mut *walk.cast::<Walk<F>>() };
    walk.is_around = walk.is_around || link == walk.rotated;
    if walk.is_around {
        return bindings::lru_status::LRU_SKIP;
    }
    // SAFETY: By the safety requirement; items leave the list before they are
    // freed, and removal takes the list's lock.
    let item = unsafe { T::from_link(link) };
    match (walk.visit)(item) {
        Visited::Rotate => {
            if walk.rotated.is_null() {
                walk.rotated = link;
            }
            bindings::lru_status::LRU_ROTATE
        }
        Visited::Remove => {
            // SAFETY: The item is on the list, whose lock is held.
            unsafe { bindings::list_lru_isolate(list, link) };
            bindings::lru_status::LRU_REMOVED
        }
    }
}

#[kunit_tests(swapvma_list_lru)]
mod tests {
    use super::*;

    /// An item; the link is its first field.
    #[repr(C)]
    struct Numbered {
        link: Opaque<bindings::list_head>,
        number: usize,
    }

    // SAFETY: The link is initialised by `numbered`, and nothing else uses it.
    unsafe impl Item for Numbered {
        fn link(&self) -> *mut bindings::list_head {
            self.link.get()
        }

        unsafe fn from_link<'a>(link: *mut bindings::list_head) -> &'a Self {
            // SAFETY: By the safety requirement; the link is the first field.
            unsafe { &*link.cast::<Self>() }
        }
    }

    /// Calls `test` with a list of so many items.
    fn with_items(count: usize, test: impl FnOnce(&ListLru<Numbered>)) -> Result {
        let lru = KBox::pin_init(
            ListLru::new(ours::swapvma_lru::SWAPVMA_LRU_RECORDS),
            GFP_KERNEL,
        )?;
        let mut items = KVec::with_capacity(count, GFP_KERNEL)?;
        for number in 0..count {
            let link = Opaque::uninit();
            items.push(Numbered { link, number }, GFP_KERNEL)?;
        }
        for item in items.iter() {
            // SAFETY: The link is valid, and the vector does not grow any more.
            unsafe { bindings::INIT_LIST_HEAD(item.link()) };
            // SAFETY: It is off the list before the vector is dropped; no cgroup.
            unsafe { lru.add(item, 0, core::ptr::null_mut()) };
        }
        test(&lru);
        for item in items.iter() {
            // SAFETY: If it is on the list it was added with these.
            unsafe { lru.del(item, 0, core::ptr::null_mut()) };
        }
        Ok(())
    }

    /// Numbers of the items that a walk shows, as digits, of which it removes some.
    fn walk(lru: &ListLru<Numbered>, max: u64, removed: &[usize]) -> usize {
        let mut seen = 0;
        // A walk that goes round and round ends, and is seen to be wrong.
        lru.walk(0, core::ptr::null_mut(), max, |item| {
            seen = 10 * seen + item.number + 1;
            if removed.contains(&item.number) {
                Visited::Remove
            } else {
                Visited::Rotate
            }
        });
        seen
    }

    #[test]
    fn a_walk_shows_each_item_once() -> Result {
        with_items(1, |lru| assert_eq!(walk(lru, 7, &[]), 1))?;
        with_items(2, |lru| assert_eq!(walk(lru, 7, &[]), 12))?;
        with_items(3, |lru| {
            assert_eq!(walk(lru, 7, &[]), 123);
            assert_eq!(walk(lru, 3, &[]), 123);
        })
    }

    #[test]
    fn a_walk_goes_on_where_the_last_one_ended() -> Result {
        with_items(3, |lru| {
            assert_eq!(walk(lru, 2, &[]), 12);
            assert_eq!(walk(lru, 2, &[]), 31);
            assert_eq!(walk(lru, 7, &[]), 231);
        })
    }

    #[test]
    fn what_is_removed_is_not_shown_again() -> Result {
        with_items(3, |lru| {
            assert_eq!(walk(lru, 7, &[0]), 123);
            assert_eq!(walk(lru, 7, &[2]), 23);
            assert_eq!(walk(lru, 7, &[1]), 2);
            assert_eq!(walk(lru, 7, &[]), 0);
        })
    }
}
