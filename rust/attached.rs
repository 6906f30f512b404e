// SPDX-License-Identifier: GPL-2.0

//! Attached: a region's drivers, in the order in which they get its pages.
//!
//! Pages go to the first driver that can take them, the region's home. A driver
//! that had no space or failed is passed over for a while; one that is
//! quarantined or being drained, until it is not. What a driver stored stays
//! there, whoever is home now: a slot names its driver.

use crate::{
    atomic::Word,
    batch,
    bindings,
    deadline::now_ns,
    driver::{
        self,
        Registered, //
    },
    entry::Slot,
    error::{
        code,
        Result, //
    },
    lockdep::{
        Callback,
        InCallback, //
    },
    owner::Lease,
    read::Token, //
};
use kernel::{
    error::to_result,
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
///
/// # Invariants
///
/// `handle` is what `attach` gave and has not been detached. The driver's
/// module is held.
pub(crate) struct Attached {
    driver: Arc<Registered>,
    /// Pays for what the driver allocates with `__GFP_ACCOUNT`.
    owner: Lease,
    handle: *mut c_void,
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

// SAFETY: The boundary lets every task use a handle.
unsafe impl Send for Attached {}
// SAFETY: As above.
unsafe impl Sync for Attached {}

static NEXT_ID: Word = Word::new(1);

impl Attached {
    /// Attaches a region of `pages` pages, and of `owner`, to a driver. May sleep and
    /// allocate.
    ///
    /// # Errors
    ///
    /// `ENODEV` for an unknown driver, `EBUSY` for one that is being drained;
    /// what the driver answers otherwise.
    pub(crate) fn new(wanted: &Wanted<'_>, pages: u64, owner: Lease) -> Result<Arc<Self>> {
        let driver = driver::find(wanted.driver).inspect_err(|_| {
            pr_err!(
                "a region asks for the driver {}, which is not there\n",
                wanted.driver
            );
        })?;
        if driver.drain.is_running() {
            pr_err!(
                "driver {} is being drained: no new regions\n",
                driver.name()
            );
            driver.put_module();
            return Err(code::EBUSY);
        }
        let args = bindings::swapvma_attach {
            pages,
            algorithm: wanted.algorithm.as_char_ptr(),
            options: wanted.options.as_char_ptr(),
        };
        let mut handle = core::ptr::null_mut();
        let attach = driver.ops().attach.ok_or(code::EINVAL)?;
        let result = {
            let _charging = owner.charge();
            // SAFETY: The arguments live through the call.
            to_result(unsafe { attach(driver.ops(), &args, &mut handle) })
        };
        if let Err(error) = result {
            pr_err!(
                "driver {} refuses a region with algorithm \"{}\" and options \"{}\": error {}\n",
                driver.name(),
                wanted.algorithm,
                wanted.options,
                error.to_errno()
            );
            driver.put_module();
            return Err(error);
        }
        driver.regions.add(1);
        // INVARIANT: Module and handle were just taken.
        let attached = Self {
            driver,
            owner,
            handle,
            place: Word::new(0),
            id: NEXT_ID.add(1),
            passed_over_until: Word::new(0),
            draining: Word::new(0),
            gone: Word::new(0),
        };
        Ok(Arc::new(attached, GFP_KERNEL)?)
    }

    /// Returns the driver.
    pub(crate) fn driver(&self) -> &Arc<Registered> {
        &self.driver
    }

    /// Returns the owner of the region.
    pub(crate) fn owner(&self) -> &Lease {
        &self.owner
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
        self.draining.load() != 0 || self.driver.is_quarantined()
    }

    fn is_passed_over(&self) -> bool {
        self.passed_over_until.load() > now_ns()
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
        let _charging = self.owner.charge();
        let batch = core::ptr::from_ref(batch).cast_mut();
        if let Some(swapout) = self.driver.ops().swapout {
            // SAFETY: The handle is attached; the batch is in phase `Running`
            // and stays valid until the driver completes it.
            unsafe { swapout(self.handle, batch.cast()) };
        }
    }

    /// Hands the driver a read. Without the fault lock.
    pub(crate) fn swapin(&self, read: Token) {
        let Some(swapin) = self.driver.ops().swapin else {
            return;
        };
        let _in_swapin = InCallback::enter(Callback::Swapin);
        let _charging = self.owner.charge();
        // SAFETY: The handle is attached; the driver completes the read, of
        // which the token is a reference.
        unsafe { swapin(self.handle, read.into_raw()) };
    }

    /// Forgets `slot`, which no entry and no record has any more. May sleep: no
    /// folio lock, and no batch in flight, waits for it.
    pub(crate) fn discard(&self, slot: Slot) {
        if let Some(discard) = self.driver.ops().discard {
            let _in_discard = InCallback::enter(Callback::Discard);
            // SAFETY: The handle is attached.
            unsafe { discard(self.handle, slot.get()) };
        }
    }

    /// Returns how many pages after `index`, stored in `slot`, are cheap to read
    /// along with it.
    pub(crate) fn range_hint(&self, index: u64, slot: Slot) -> u64 {
        match self.driver.ops().range_hint {
            // SAFETY: The handle is attached.
            Some(range_hint) => u64::from(unsafe { range_hint(self.handle, index, slot.get()) }),
            None => 0,
        }
    }

    /// Returns the bytes stored for the region.
    pub(crate) fn stored_bytes(&self) -> u64 {
        match self.driver.ops().stored_bytes {
            // SAFETY: The handle is attached.
            Some(stored_bytes) => unsafe { stored_bytes(self.handle) },
            None => 0,
        }
    }

    /// Tells the driver of a new mapping.
    pub(crate) fn vma_open(&self, first: u64, count: u64) {
        if let Some(vma_open) = self.driver.ops().vma_open {
            // SAFETY: The handle is attached.
            unsafe { vma_open(self.handle, first, count) };
        }
    }

    /// Tells the driver that a mapping is gone.
    pub(crate) fn vma_close(&self, first: u64, count: u64) {
        if let Some(vma_close) = self.driver.ops().vma_close {
            // SAFETY: The handle is attached.
            unsafe { vma_close(self.handle, first, count) };
        }
    }
}

impl Drop for Attached {
    fn drop(&mut self) {
        if let Some(detach) = self.driver.ops().detach {
            let _callback = InCallback::enter(Callback::Detach);
            // SAFETY: By the type invariant the handle is attached.
            unsafe { detach(self.handle) };
        }
        self.driver.regions.sub(1);
        // By the type invariant the module is held.
        self.driver.put_module();
        if self.is_gone() {
            self.driver.drain.left();
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

    /// Takes a driver off the list. No slot of it is in use. May sleep: this
    /// may detach it.
    pub(crate) fn remove(&self, place: usize) {
        let removed = {
            let mut list = self.list.lock();
            let removed = list.get_mut(place).and_then(Option::take);
            if let Some(attached) = &removed {
                // Before another one has the place.
                attached.gone.store_release(1);
                attached.driver.drain.leave();
            }
            removed
        };
        drop(removed);
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
