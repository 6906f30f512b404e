// SPDX-License-Identifier: GPL-2.0

//! Handle: a driver's own value for one region, which its callbacks get.
//!
//! Whoever is about to call the driver for a region keeps the handle attached. The
//! last one may be anywhere: in a munmap with mmap_lock held, in reclaim, in the
//! interrupt in which a driver completes a read. `detach` may sleep and take locks,
//! so it is a thread of our own that detaches, unless the last one says that it may.

use crate::{
    account::Payer,
    atomic::Word,
    attached::Wanted,
    bindings,
    driver::{
        self,
        Registered, //
    },
    error::{
        code,
        Result, //
    },
    flaw::{
        self,
        Flaw, //
    },
    lockdep::{
        Callback,
        InCallback, //
    },
    quota::{
        Meter,
        Quota, //
    },
    range::PAGE_BYTES,
    workqueue::{
        Running,
        Workqueue, //
    }, //
};
use kernel::{
    error::to_result,
    impl_has_work, new_work,
    prelude::*,
    sync::Arc,
    workqueue::{
        Work,
        WorkItem, //
    },
};

static DETACHING: Workqueue = Workqueue::new();

/// Starts the thread that detaches; it ends when the value is dropped. May sleep and
/// allocate.
pub(crate) fn run() -> Result<Running> {
    DETACHING.run(c"swapvma_detach")
}

/// Detaches a handle elsewhere once, for lockdep. No lock held; may sleep and allocate.
pub(crate) fn prime() -> Result {
    Handle::attach(&Wanted::DEFAULT, 1, Payer::of_current()?)?.detach_elsewhere();
    DETACHING.flush();
    Ok(())
}

/// A handle that is attached. To be given to [`Handle::detach`] or
/// [`Handle::detach_elsewhere`]: nothing else detaches it.
///
/// # Invariants
///
/// `value` is what `attach` gave and has not been detached. The driver's module is
/// held.
#[pin_data]
pub(crate) struct Handle {
    driver: Arc<Registered>,
    /// Pays for what the driver allocates with `__GFP_ACCOUNT`, and for what it stores.
    owner: Payer,
    /// Has that charged.
    meter: Meter,
    value: *mut c_void,
    /// The driver was drained.
    pub(crate) is_drained: Word,
    #[pin]
    work: Work<Handle>,
}

// SAFETY: The boundary lets every task use a handle.
unsafe impl Send for Handle {}
// SAFETY: As above.
unsafe impl Sync for Handle {}

impl_has_work! {
    impl HasWork<Self> for Handle { self.work }
}

impl WorkItem for Handle {
    type Pointer = Pin<KBox<Handle>>;

    fn run(this: Pin<KBox<Handle>>) {
        this.detach();
    }
}

impl Handle {
    /// Attaches a region of `pages` pages, and of `owner`, to a driver. May sleep and
    /// allocate.
    ///
    /// # Errors
    ///
    /// `ENODEV` for an unknown driver, `EBUSY` for one that is being drained;
    /// what the driver answers otherwise; `ENOMEM`.
    pub(crate) fn attach(wanted: &Wanted<'_>, pages: u64, owner: Payer) -> Result<Pin<KBox<Self>>> {
        let driver = driver::find(wanted.driver).inspect_err(|_| {
            pr_err!(
                "a region asks for the driver {}, which is not there\n",
                wanted.driver
            );
        })?;
        let handle = Self::attach_to(&driver, wanted, pages, owner);
        if handle.is_err() {
            driver.put_module();
        }
        handle
    }

    /// Takes over the reference to the driver's module if it succeeds.
    fn attach_to(
        driver: &Arc<Registered>,
        wanted: &Wanted<'_>,
        pages: u64,
        owner: Payer,
    ) -> Result<Pin<KBox<Self>>> {
        if driver.drain.is_running() {
            pr_err!(
                "driver {} is being drained: no new regions\n",
                driver.name()
            );
            return Err(code::EBUSY);
        }
        // INVARIANT: The value is what `attach` gave; the module is held.
        let handle = KBox::pin_init(
            try_pin_init!(Self {
                value: Self::call_attach(driver, wanted, pages, &owner)?,
                driver: driver.clone(),
                owner,
                meter: Meter::new(),
                is_drained: Word::new(0),
                work <- new_work!("swapvma_detach_work"),
            }? Error),
            GFP_KERNEL,
        )?;
        driver.regions.add(1);
        Ok(handle)
    }

    fn call_attach(
        driver: &Registered,
        wanted: &Wanted<'_>,
        pages: u64,
        owner: &Payer,
    ) -> Result<*mut c_void> {
        let args = bindings::swapvma_attach {
            pages,
            algorithm: wanted.algorithm.as_char_ptr(),
            options: wanted.options.as_char_ptr(),
        };
        let mut value = core::ptr::null_mut();
        let attach = driver.ops().attach.ok_or(code::EINVAL)?;
        let _charging = owner.charge();
        // SAFETY: The arguments live through the call.
        to_result(unsafe { attach(driver.ops(), &args, &mut value) }).inspect_err(|error| {
            pr_err!(
                "driver {} refuses a region with algorithm \"{}\" and options \"{}\": error {}\n",
                driver.name(),
                wanted.algorithm,
                wanted.options,
                error.to_errno()
            );
        })?;
        Ok(value)
    }

    /// Returns the driver.
    pub(crate) fn driver(&self) -> &Arc<Registered> {
        &self.driver
    }

    /// Returns the owner of the region.
    pub(crate) fn owner(&self) -> &Payer {
        &self.owner
    }

    /// Returns what callbacks get. It is attached as long as `self` is there.
    pub(crate) fn value(&self) -> *mut c_void {
        self.value
    }

    /// Returns the bytes that the driver stores.
    pub(crate) fn stored_bytes(&self) -> u64 {
        match self.driver.ops().stored_bytes {
            // SAFETY: By the type invariant the handle is attached.
            Some(stored_bytes) => unsafe { stored_bytes(self.value) },
            None => 0,
        }
    }

    /// Charges room for up to `wanted` pages of a batch. Returns for how many;
    /// [`Handle::settle`] follows when the driver is done with the batch, or does not
    /// get it. Any context.
    pub(crate) fn reserve(&self, wanted: u64) -> u64 {
        let accounts = self.owner.accounts();
        accounts.lift_removed();
        if flaw::is(Flaw::LateCharge) {
            let room = accounts.quotas().map(Quota::room).min();
            return room.map_or(0, |bytes| wanted.min(bytes / PAGE_BYTES));
        }
        self.meter.reserve(accounts.quotas(), wanted)
    }

    /// Gives back what the batch did not need. Any context.
    pub(crate) fn settle(&self) {
        let quotas = self.owner.accounts().quotas();
        self.meter.settle(quotas, || self.stored_bytes());
    }

    /// The driver gave something up. Any context.
    pub(crate) fn look(&self) {
        let quotas = self.owner.accounts().quotas();
        self.meter.look(quotas, || self.stored_bytes());
    }

    /// Detaches the handle. No lock held; may sleep.
    pub(crate) fn detach(self: Pin<KBox<Self>>) {
        let driver = self.driver.clone();
        let is_drained = self.is_drained.load() != 0;
        if let Some(detach) = driver.ops().detach {
            let _callback = InCallback::enter(Callback::Detach);
            // SAFETY: By the type invariant the handle is attached; nobody has it.
            unsafe { detach(self.value) };
        }
        self.meter.close(self.owner.accounts().quotas());
        drop(self);
        driver.regions.sub(1);
        // By the type invariant the module is held.
        driver.put_module();
        if is_drained {
            driver.drain.left();
        }
    }

    /// Has a thread detach the handle. Any context.
    pub(crate) fn detach_elsewhere(self: Pin<KBox<Self>>) {
        DETACHING.enqueue(self);
    }
}
