// SPDX-License-Identifier: GPL-2.0

//! Attached: a region's drivers, in the order in which they get its pages.
//!
//! Pages go to the first driver that can take them, the region's home. A driver
//! that had no space or failed is passed over for a while; one that is
//! quarantined or being drained, until it is not. What a driver stored stays
//! there, whoever is home now: a slot names its driver.

use crate::{
    account::Payer,
    atomic::Word,
    batch,
    bindings,
    deadline::now_ns,
    driver::Registered,
    entry::Slot,
    error::{
        code,
        Result, //
    },
    handle::Handle,
    lockdep::{
        Callback,
        InCallback, //
    },
    read::Token, //
};
use core::mem::ManuallyDrop;
use kernel::{
    prelude::*,
    str::CStr,
    sync::{
        Arc,
        SpinLock, //
    },
};

/// Drivers in the list of a region.
pub(crate) const DRIVERS_MAX: usize = bindings::SWAPVMA_DRIVERS_MAX as usize;

/// Nanoseconds for which a driver that took nothing is passed over.
const PASS_OVER_NS: u64 = 1_000_000_000;

/// What a region asks its driver for.
#[derive(Clone, Copy)]
pub(crate) struct Wanted<'a> {
    /// Name of the driver, empty for `ram`.
    pub(crate) driver: &'a CStr,
    /// Name of the algorithm, empty for the driver's default.
    pub(crate) algorithm: &'a CStr,
    /// The driver's own options, empty for none.
    pub(crate) options: &'a CStr,
}

impl Wanted<'_> {
    /// What a region gets that asks for nothing.
    pub(crate) const DEFAULT: Wanted<'static> = Wanted {
        driver: c"",
        algorithm: c"",
        options: c"",
    };
}

/// A region's use of a driver.
pub(crate) struct Attached {
    handle: ManuallyDrop<Pin<KBox<Handle>>>,
    /// The last one detaches the handle itself.
    may_detach: bool,
    /// Place in the region's list.
    place: Word,
    /// Unlike the place, never used again.
    id: u64,
    /// Pages go to another driver until then.
    passed_over_until: Word,
    /// Pages go to another driver for good.
    draining: Word,
    /// It was drained: the place may be another one's.
    gone: Word,
}

static NEXT_ID: Word = Word::new(1);

impl Attached {
    /// As [`Handle::attach`].
    pub(crate) fn new(wanted: &Wanted<'_>, pages: u64, owner: Payer) -> Result<Arc<Self>> {
        let attached = Self {
            handle: ManuallyDrop::new(Handle::attach(wanted, pages, owner)?),
            may_detach: false,
            place: Word::new(0),
            id: NEXT_ID.add(1),
            passed_over_until: Word::new(0),
            draining: Word::new(0),
            gone: Word::new(0),
        };
        Ok(Arc::new(attached, GFP_KERNEL)?)
    }

    /// Gives a reference up, and detaches at once if it was the last one. No lock
    /// held; may sleep.
    pub(crate) fn put(self: Arc<Self>) {
        if let Some(mut last) = Arc::into_unique_or_drop(self) {
            last.may_detach = true;
        }
    }

    /// Returns the driver.
    pub(crate) fn driver(&self) -> &Arc<Registered> {
        self.handle.driver()
    }

    /// Returns the owner of the region.
    pub(crate) fn owner(&self) -> &Payer {
        self.handle.owner()
    }

    /// Returns the place in the region's list, which slots name.
    pub(crate) fn place(&self) -> usize {
        self.place.load() as usize
    }

    /// Returns a number that no other attachment ever has.
    pub(crate) fn id(&self) -> u64 {
        self.id
    }

    /// Whether the driver gets no pages until the administrator says so.
    pub(crate) fn is_out(&self) -> bool {
        self.draining.load() != 0 || self.driver().is_quarantined()
    }

    fn is_passed_over(&self) -> bool {
        let until = self.passed_over_until.load();
        until != 0 && until > now_ns()
    }

    /// Passes the driver over for a while, if there is another one.
    pub(crate) fn pass_over(&self) {
        self.passed_over_until
            .store_release(now_ns() + PASS_OVER_NS);
    }

    /// Whether the region uses the driver no more: a slot that names its place, in an
    /// entry that is locked since, is not one of this driver's.
    pub(crate) fn is_gone(&self) -> bool {
        self.gone.load() != 0
    }

    /// Begins or ends to move pages away from the driver. Fully ordered: who
    /// looks for movers afterwards sees those that did not see this.
    pub(crate) fn set_draining(&self, draining: bool) {
        let (was, now) = (u64::from(!draining), u64::from(draining));
        // It may be what it is to be already.
        let _ = self.draining.cmpxchg(was, now);
    }

    /// Hands the driver a batch. In a swapper, no lock held.
    pub(crate) fn swapout(&self, batch: &batch::Inner) {
        let _in_swapout = InCallback::enter(Callback::Swapout);
        let _charging = self.owner().charge();
        let batch = core::ptr::from_ref(batch).cast_mut();
        if let Some(swapout) = self.driver().ops().swapout {
            // SAFETY: The handle is attached; the batch is in phase `Running`
            // and stays valid until the driver completes it.
            unsafe { swapout(self.handle.value(), batch.cast()) };
        }
    }

    /// Hands the driver a read. Without the fault lock.
    pub(crate) fn swapin(&self, read: Token) {
        let Some(swapin) = self.driver().ops().swapin else {
            return;
        };
        let _in_swapin = InCallback::enter(Callback::Swapin);
        let _charging = self.owner().charge();
        // SAFETY: The handle is attached; the driver completes the read, of
        // which the token is a reference.
        unsafe { swapin(self.handle.value(), read.into_raw()) };
    }

    /// Forgets `slot`, which no entry and no record has any more. May sleep: no
    /// folio lock, and no batch in flight, waits for it.
    pub(crate) fn discard(&self, slot: Slot) {
        if let Some(discard) = self.driver().ops().discard {
            let _in_discard = InCallback::enter(Callback::Discard);
            // SAFETY: The handle is attached.
            unsafe { discard(self.handle.value(), slot.get()) };
        }
        self.handle.look();
    }

    /// As [`Handle::reserve`].
    pub(crate) fn reserve(&self, wanted: u64) -> u64 {
        self.handle.reserve(wanted)
    }

    /// As [`Handle::settle`].
    pub(crate) fn settle(&self) {
        self.handle.settle();
    }

    /// Returns how many pages after `index`, stored in `slot`, are cheap to read
    /// along with it.
    pub(crate) fn range_hint(&self, index: u64, slot: Slot) -> u64 {
        match self.driver().ops().range_hint {
            Some(range_hint) => {
                // SAFETY: The handle is attached.
                u64::from(unsafe { range_hint(self.handle.value(), index, slot.get()) })
            }
            None => 0,
        }
    }

    /// Returns the bytes stored for the region.
    pub(crate) fn stored_bytes(&self) -> u64 {
        self.handle.stored_bytes()
    }

    /// Tells the driver of a new mapping.
    pub(crate) fn vma_open(&self, first: u64, count: u64) {
        if let Some(vma_open) = self.driver().ops().vma_open {
            // SAFETY: The handle is attached.
            unsafe { vma_open(self.handle.value(), first, count) };
        }
    }

    /// Tells the driver that a mapping is gone.
    pub(crate) fn vma_close(&self, first: u64, count: u64) {
        if let Some(vma_close) = self.driver().ops().vma_close {
            // SAFETY: The handle is attached.
            unsafe { vma_close(self.handle.value(), first, count) };
        }
    }
}

impl Drop for Attached {
    fn drop(&mut self) {
        // SAFETY: Nothing uses it after this.
        let handle = unsafe { ManuallyDrop::take(&mut self.handle) };
        if self.may_detach {
            handle.detach();
        } else {
            handle.detach_elsewhere();
        }
    }
}

/// The drivers of a region.
#[pin_data]
pub(crate) struct Drivers {
    #[pin]
    list: SpinLock<[Option<Arc<Attached>>; DRIVERS_MAX]>,
}

impl Drivers {
    /// A list of one.
    pub(crate) fn new(first: Arc<Attached>) -> impl PinInit<Self> {
        let mut list = [const { None }; DRIVERS_MAX];
        if let Some(place) = list.first_mut() {
            *place = Some(first);
        }
        pin_init!(Self {
            list <- kernel::new_spinlock!(list, "swapvma_attached"),
        })
    }

    /// Returns the driver at `place`. Any context but hard interrupt.
    pub(crate) fn get(&self, place: usize) -> Option<Arc<Attached>> {
        self.list.lock().get(place)?.clone()
    }

    /// Returns the driver that gets the next pages; `None` if none may.
    pub(crate) fn home(&self) -> Option<Arc<Attached>> {
        let list = self.list.lock();
        list.iter()
            .flatten()
            .filter(|attached| !attached.is_out())
            .min_by_key(|attached| (attached.is_passed_over(), attached.id))
            .cloned()
    }

    /// Whether `driver` is the one that [`Drivers::home`] returns.
    pub(crate) fn is_home(&self, driver: &Registered) -> bool {
        self.home()
            .is_some_and(|home| core::ptr::eq(&**home.driver(), driver))
    }

    /// Adds a driver to the end of the list.
    ///
    /// # Errors
    ///
    /// `EEXIST` if it is there; `ENOSPC` for too many.
    pub(crate) fn add(&self, attached: &Arc<Attached>) -> Result {
        let mut list = self.list.lock();
        let is_same = |other: &Arc<Attached>| Arc::ptr_eq(other.driver(), attached.driver());
        if list.iter().flatten().any(is_same) {
            return Err(code::EEXIST);
        }
        let (i, place) = list
            .iter_mut()
            .enumerate()
            .find(|(_, place)| place.is_none())
            .ok_or(code::ENOSPC)?;
        attached.place.store_release(i as u64);
        *place = Some(attached.clone());
        Ok(())
    }

    /// Takes a driver that was drained off the list. No slot of it is in use. No lock
    /// held; may sleep: this may detach it.
    pub(crate) fn remove(&self, place: usize) {
        let removed = {
            let mut list = self.list.lock();
            let removed = list.get_mut(place).and_then(Option::take);
            if let Some(attached) = &removed {
                // Before another one has the place.
                attached.gone.store_release(1);
                attached.handle.is_drained.store_release(1);
                attached.driver().drain.leave();
            }
            removed
        };
        if let Some(attached) = removed {
            attached.put();
        }
    }

    /// Takes all drivers off the list: the region is being released. As
    /// [`Drivers::remove`].
    pub(crate) fn remove_all(&self) {
        for place in 0..DRIVERS_MAX {
            let removed = self.list.lock().get_mut(place).and_then(Option::take);
            if let Some(attached) = removed {
                attached.put();
            }
        }
    }

    /// Returns what the region uses `driver` with.
    pub(crate) fn find(&self, driver: &Registered) -> Option<Arc<Attached>> {
        let list = self.list.lock();
        list.iter()
            .flatten()
            .find(|attached| core::ptr::eq(&**attached.driver(), driver))
            .cloned()
    }

    /// Whether the driver called `name` is in the list.
    pub(crate) fn has(&self, name: &CStr) -> bool {
        let list = self.list.lock();
        let mut attached = list.iter().flatten();
        attached.any(|attached| attached.driver().name() == name)
    }

    /// Calls `visit` for each driver. May sleep.
    pub(crate) fn for_each(&self, mut visit: impl FnMut(&Attached)) {
        for place in 0..DRIVERS_MAX {
            if let Some(attached) = self.get(place) {
                visit(&attached);
            }
        }
    }

    /// Whether the calling task is the swapper of one of the drivers.
    pub(crate) fn is_swapper(&self) -> bool {
        let list = self.list.lock();
        list.iter()
            .flatten()
            .any(|attached| attached.driver().is_swapper())
    }
}
