// SPDX-License-Identifier: GPL-2.0

//! LRU lists of records, one set of `list_lru` per region.
//!
//! C header: [`include/linux/list_lru.h`](srctree/include/linux/list_lru.h)

use crate::{
    bindings as ours,
    record::Record, //
};
use core::marker::PhantomPinned;
use kernel::{
    bindings,
    error::to_result,
    prelude::*,
    types::Opaque, //
};

/// The records of a region's resident pages, oldest first, a list a node.
#[pin_data(PinnedDrop)]
pub(crate) struct ListLru {
    #[pin]
    lru: Opaque<bindings::list_lru>,
    #[pin]
    _pin: PhantomPinned,
}

// SAFETY: A list_lru has its own locks; it may be used from any task.
unsafe impl Send for ListLru {}
// SAFETY: As above.
unsafe impl Sync for ListLru {}

impl ListLru {
    /// Creates empty lists. May sleep and allocate.
    pub(crate) fn new() -> impl PinInit<Self, Error> {
        try_pin_init!(Self {
            lru <- Opaque::try_ffi_init(|lru: *mut bindings::list_lru| {
                // SAFETY: `lru` is valid for writing.
                unsafe { lru.write_bytes(0, 1) };
                // SAFETY: `lru` is zeroed and not yet in use; no cgroup, no shrinker.
                to_result(unsafe {
                    bindings::__list_lru_init(lru, false, core::ptr::null_mut())
                })?;
                // SAFETY: The lists were just initialised and are not yet in use.
                unsafe { ours::swapvma_list_lru_set_class(lru) };
                Ok::<(), Error>(())
            }),
            _pin: PhantomPinned,
        })
    }

    /// Appends the record of a page on node `nid`. Under the entry bit.
    pub(crate) fn add(&self, record: &Record, nid: i32) {
        // SAFETY: The record stays valid until `del`, before which it is not
        // freed; the lists are initialised.
        unsafe { bindings::list_lru_add(self.lru.get(), record.lru(), nid, core::ptr::null_mut()) };
    }

    /// Removes a record. Under the entry bit.
    pub(crate) fn del(&self, record: &Record, nid: i32) {
        // SAFETY: The record is on the list of `nid` of these lists.
        unsafe { bindings::list_lru_del(self.lru.get(), record.lru(), nid, core::ptr::null_mut()) };
    }

    /// Counts the records of node `nid`. Any context.
    pub(crate) fn count(&self, nid: i32) -> usize {
        // SAFETY: The lists are initialised.
        unsafe { bindings::list_lru_count_node(self.lru.get(), nid) }
    }

    /// Shows the `max` oldest records of node `nid` to `visit` and makes them
    /// the youngest. `visit` runs under the list's lock: it neither sleeps nor
    /// takes an entry bit, and what it learned may be stale on return.
    pub(crate) fn walk<F: FnMut(&Record)>(&self, nid: i32, max: u64, mut visit: F) {
        let mut left = max as c_ulong;
        // SAFETY: The lists are initialised; `visit_item` gets `visit` back as
        // the type that it was instantiated for.
        unsafe {
            bindings::list_lru_walk_node(
                self.lru.get(),
                nid,
                Some(visit_item::<F>),
                (&raw mut visit).cast(),
                &mut left,
            )
        };
    }
}

#[pinned_drop]
impl PinnedDrop for ListLru {
    fn drop(self: Pin<&mut Self>) {
        // SAFETY: The lists are initialised and empty: a region that goes away
        // has no resident page.
        unsafe { bindings::list_lru_destroy(self.lru.get()) };
    }
}

/// # Safety
///
/// Called by `list_lru_walk_node` under the list's lock with a record's link
/// and the `F` that `walk` passed.
unsafe extern "C" fn visit_item<F: FnMut(&Record)>(
    item: *mut bindings::list_head,
    _list: *mut bindings::list_lru_one,
    visit: *mut c_void,
) -> bindings::lru_status {
    // SAFETY: By the safety requirement; records leave the list before they are
    // freed, and removal takes the list's lock.
    let record = unsafe { Record::from_lru(item) };
    // SAFETY: By the safety requirement.
    let visit = unsafe { &mut *visit.cast::<F>() };
    visit(record);
    bindings::lru_status::LRU_ROTATE
}
