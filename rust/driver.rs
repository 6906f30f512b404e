// SPDX-License-Identifier: GPL-2.0

//! Drivers: the code that stores cold pages, in this module or in another.
//!
//! `include/swapvma/driver.h` is the one boundary, for drivers in C and, through
//! `api/`, for those in Rust, the ones of this module included.

use crate::{
    atomic::Word,
    attached::Attached,
    batch::{
        self,
        Phase, //
    },
    bindings,
    drain::Drain,
    error::{
        code,
        Result, //
    },
    inflight::Ticket,
    kthread::Thread,
    lockdep,
    region::{
        OpenRegion,
        Region, //
    },
    swapper,
    wait::{
        Signals,
        WaitQueue, //
    },
};
use core::ptr::NonNull;
use kernel::{
    list::List,
    prelude::*,
    str::CStr,
    sync::{
        Arc,
        Mutex,
        SpinLock, //
    },
};

/// Milliseconds that a driver has to answer a batch unless it says otherwise.
const DEADLINE_MS: u64 = 30_000;

/// Milliseconds that an administrator may give a driver.
const DEADLINE_MAX_MS: u64 = 3_600_000;

/// Bytes of a name, with its NUL.
const NAME_MAX: usize = bindings::SWAPVMA_NAME_MAX as usize;

/// The batch that a driver has, and the region that it is of.
#[derive(Clone)]
pub(crate) struct Flight {
    pub(crate) region: OpenRegion,
    pub(crate) attached: Arc<Attached>,
    pub(crate) ticket: Ticket,
}

/// A registered driver with its swapper.
#[pin_data]
pub(crate) struct Registered {
    ops: NonNull<bindings::swapvma_driver_ops>,
    /// Bytes of the name, with its NUL.
    name_len: usize,
    /// The batch of this driver's swapper; one at a time.
    #[pin]
    pub(crate) batch: batch::Inner,
    /// When the swapper's batch began; 0 if it has none.
    pub(crate) batch_since: Word,
    /// The batch in flight or abandoned.
    #[pin]
    pub(crate) flight: SpinLock<Option<Flight>>,
    /// The regions that want something of the swapper.
    #[pin]
    pub(crate) queue: SpinLock<List<Region>>,
    #[pin]
    thread: Mutex<Option<Thread>>,
    /// Address of the swapper's task.
    swapper: Word,
    quarantined: Word,
    /// A batch is being abandoned.
    pub(crate) abandoning: Word,
    /// Milliseconds that the driver has to answer.
    deadline_ms: Word,
    /// Batches in a row that failed.
    failures: Word,
    pub(crate) drain: Drain,
    pub(crate) regions: Word,
    /// Who may call the driver: from `find` to `put_module`.
    users: Word,
    /// `unregister` waits here until there are none.
    #[pin]
    unused: WaitQueue,
    pub(crate) batches: Word,
    pub(crate) abandoned: Word,
}

// SAFETY: The ops table is constant and lives until the driver is unregistered.
unsafe impl Send for Registered {}
// SAFETY: As above; everything else is `Sync`.
unsafe impl Sync for Registered {}

kernel::sync::global_lock! {
    // Lockdep prints the name.
    #[allow(non_upper_case_globals)]
    // SAFETY: `init` initialises it before anything else runs.
    unsafe(uninit) static swapvma_drivers: Mutex<KVec<Arc<Registered>>> = KVec::new();
}

/// Initialises the list of drivers.
///
/// # Safety
///
/// Called once, at module load, before anything else of this file.
pub(crate) unsafe fn init() {
    // SAFETY: By the safety requirement.
    unsafe { swapvma_drivers.init() };
}

/// Calls `visit` for each driver. May sleep.
pub(crate) fn for_each(mut visit: impl FnMut(&Arc<Registered>)) {
    for driver in swapvma_drivers.lock().iter() {
        visit(driver);
    }
}

/// Takes the lock of the list of drivers once, for lockdep, and under it what the
/// deadline thread takes and `others`. May sleep.
pub(crate) fn prime(others: impl Fn()) {
    for_each(|driver| {
        drop(driver.flight.lock());
        others();
        driver.prime_queue();
    });
}

/// Takes the locks of the drivers' queues once, for lockdep: those that whoever
/// wants something of a swapper takes.
pub(crate) fn prime_queues(region: &Region) {
    region
        .drivers
        .for_each(|attached| attached.driver().prime_queue());
}

/// Finds a driver by its name and takes a reference to its module; an empty
/// name stands for `ram`.
///
/// # Errors
///
/// `ENODEV`.
pub(crate) fn find(name: &CStr) -> Result<Arc<Registered>> {
    let name = if name.is_empty() { c"ram" } else { name };
    let drivers = swapvma_drivers.lock();
    let driver = drivers
        .iter()
        .find(|driver| driver.name() == name)
        .ok_or(code::ENODEV)?;
    // SAFETY: The owner is null or the module of a driver that is registered,
    // which the lock keeps so.
    if !unsafe { bindings::swapvma_try_module_get(driver.ops().owner) } {
        return Err(code::ENODEV);
    }
    // Under the lock, so that `unregister` sees it.
    driver.users.add(1);
    Ok(driver.clone())
}

/// Gives the quarantined driver called `name` batches again.
///
/// # Errors
///
/// `ENODEV`; `EBUSY` while it has a batch that it was to give back.
pub(crate) fn recover(name: &CStr) -> Result {
    let driver = find(name)?;
    let result = driver.recover();
    driver.put_module();
    result
}

/// Milliseconds that a driver wants to have to answer a batch.
fn own_deadline_ms(ops: &bindings::swapvma_driver_ops) -> u64 {
    match ops.deadline_ms {
        0 => DEADLINE_MS,
        ms => u64::from(ms),
    }
}

/// Gives the driver called `name` so many milliseconds to answer a batch, from the next
/// one on, or a read; 0 for what it wants itself. May sleep.
///
/// # Errors
///
/// `ENODEV` for an unknown driver, `ERANGE` for more than [`DEADLINE_MAX_MS`].
pub(crate) fn set_deadline(name: &CStr, ms: u64) -> Result {
    if ms > DEADLINE_MAX_MS {
        return Err(code::ERANGE);
    }
    let driver = find(name)?;
    let ms = match ms {
        0 => own_deadline_ms(driver.ops()),
        ms => ms,
    };
    driver.deadline_ms.store_release(ms);
    driver.put_module();
    Ok(())
}

/// Checks an ops table; a mismatch is named in the log.
///
/// # Safety
///
/// `ops` is a table of its own idea of the size, which it starts with.
unsafe fn check(ops: NonNull<bindings::swapvma_driver_ops>) -> Result {
    // SAFETY: Every version of the table starts with size and version.
    let [its_size, its_version] = unsafe { ops.cast::<[u32; 2]>().read() };
    let size = size_of::<bindings::swapvma_driver_ops>() as u32;
    if its_size != size || its_version != bindings::SWAPVMA_ABI_VERSION {
        pr_err!(
            "driver built for version {} ({} bytes), this is version {} ({} bytes)\n",
            its_version,
            its_size,
            bindings::SWAPVMA_ABI_VERSION,
            size
        );
        return Err(code::EINVAL);
    }
    // SAFETY: The size is that of the type.
    let ops = unsafe { ops.as_ref() };
    if ops.name.is_null()
        || ops.attach.is_none()
        || ops.detach.is_none()
        || ops.swapout.is_none()
        || ops.swapin.is_none()
        || ops.discard.is_none()
    {
        pr_err!("driver without a name or a mandatory callback\n");
        return Err(code::EINVAL);
    }
    // SAFETY: The boundary asks for a NUL-terminated name.
    let name = unsafe { CStr::from_char_ptr(ops.name) };
    let known = bindings::SWAPVMA_DRIVER_STABLE | bindings::SWAPVMA_DRIVER_FILLS;
    let unknown = ops.flags & !known;
    let plain = name.to_bytes().iter().all(u8::is_ascii_graphic);
    if name.is_empty() || name.count_bytes() >= NAME_MAX || !plain || unknown != 0 {
        pr_err!("driver with a bad name or an unknown flag\n");
        return Err(code::EINVAL);
    }
    Ok(())
}

/// Makes a driver available and starts its swapper.
///
/// # Safety
///
/// `ops` lives until [`unregister`].
unsafe fn register(ops: NonNull<bindings::swapvma_driver_ops>) -> Result {
    // SAFETY: By the safety requirement.
    unsafe { check(ops) }?;
    // SAFETY: `check` saw the whole table, and a name.
    let name = unsafe { CStr::from_char_ptr(ops.as_ref().name) };
    let name_len = name.to_bytes_with_nul().len();
    // SAFETY: `check` saw the whole table.
    let stable = unsafe { ops.as_ref() }.flags & bindings::SWAPVMA_DRIVER_STABLE != 0;
    let driver = Arc::pin_init(
        try_pin_init!(Registered {
            ops,
            name_len,
            batch <- batch::Inner::new(stable),
            batch_since: Word::new(0),
            flight <- kernel::new_spinlock!(None, "swapvma_flight"),
            queue <- kernel::new_spinlock!(List::new(), "swapvma_queue"),
            thread <- kernel::new_mutex!(None, "swapvma_thread"),
            swapper: Word::new(0),
            quarantined: Word::new(0),
            abandoning: Word::new(0),
            // SAFETY: As above.
            deadline_ms: Word::new(own_deadline_ms(unsafe { ops.as_ref() })),
            failures: Word::new(0),
            drain: Drain::new(),
            regions: Word::new(0),
            users: Word::new(0),
            unused <- WaitQueue::new(c"swapvma_driver_unused", kernel::static_lock_class!()),
            batches: Word::new(0),
            abandoned: Word::new(0),
        }? Error),
        GFP_KERNEL,
    )?;
    if stable {
        driver.batch.stage()?;
    }
    let mut drivers = swapvma_drivers.lock();
    if drivers.iter().any(|other| other.name() == driver.name()) {
        pr_err!("there is a driver {} already\n", driver.name());
        return Err(code::EEXIST);
    }
    drivers.reserve(1, GFP_KERNEL)?;
    *driver.thread.lock() = Some(Thread::spawn(driver.name(), driver.clone())?);
    drivers.push(driver, GFP_KERNEL)?;
    Ok(())
}

/// Withdraws a driver, waits until no region uses it, and stops its swapper.
///
/// Regions hold the driver's module, so there is nothing to wait for when that
/// is unloaded. There may be if it goes away because loading it failed, or if it
/// withdraws the driver for reasons of its own.
fn unregister(ops: *const bindings::swapvma_driver_ops) {
    let driver = {
        let mut drivers = swapvma_drivers.lock();
        let Some(i) = drivers
            .iter()
            .position(|driver| driver.ops.as_ptr().cast_const() == ops)
        else {
            return;
        };
        drivers.remove(i)
    };
    let Ok(driver) = driver else { return };
    // For the regions to go, and for the swapper to end.
    lockdep::wait_for_swapper();
    lockdep::wait_for_detach();
    if driver.users.load() != 0 {
        pr_info!(
            "driver {} goes away when its regions are gone\n",
            driver.name()
        );
    }
    // No signal ends this wait.
    let _ = driver
        .unused
        .wait(Signals::Idle, || driver.users.load() == 0);
    let thread = driver.thread.lock().take();
    drop(thread);
    // The last completion may still be on its way out of the batch.
    lockdep::remote_wait();
    // SAFETY: Process context.
    unsafe { kernel::bindings::synchronize_rcu() };
}

impl Registered {
    pub(crate) fn ops(&self) -> &bindings::swapvma_driver_ops {
        // SAFETY: The table lives until the driver is unregistered, before
        // which every region that could call it is gone.
        unsafe { self.ops.as_ref() }
    }

    /// Gives back the reference that [`find`] took; the caller does not call
    /// the driver any more.
    pub(crate) fn put_module(&self) {
        // SAFETY: The caller has a reference to the module.
        unsafe { bindings::swapvma_module_put(self.ops().owner) };
        // From here on the table may be gone.
        if self.users.sub(1) == 1 {
            self.unused.wake_all();
        }
    }

    /// Returns the name.
    pub(crate) fn name(&self) -> &CStr {
        // SAFETY: `check` saw a name, of which `name_len` are the bytes; it lives as
        // long as the table.
        let bytes = unsafe { core::slice::from_raw_parts(self.ops().name.cast(), self.name_len) };
        // SAFETY: The last byte is the NUL, and no other is.
        unsafe { CStr::from_bytes_with_nul_unchecked(bytes) }
    }

    /// Prepares the driver for regions that hand out copies. May sleep and
    /// allocate.
    ///
    /// # Errors
    ///
    /// `ENOMEM`.
    pub(crate) fn stage(&self) -> Result {
        let _drivers = swapvma_drivers.lock();
        self.batch.stage()
    }

    /// Whether the driver fills each page that it says it has read.
    pub(crate) fn fills(&self) -> bool {
        self.ops().flags & bindings::SWAPVMA_DRIVER_FILLS != 0
    }

    /// Milliseconds that the driver has to answer a batch.
    pub(crate) fn deadline_ms(&self) -> u64 {
        self.deadline_ms.load()
    }

    /// Whether the driver missed a deadline: it gets no more batches.
    pub(crate) fn is_quarantined(&self) -> bool {
        self.quarantined.load() != 0
    }

    /// Gives the driver no more batches. Its regions turn to another driver if
    /// they have one. No lock held but that of the list of drivers.
    /// Returns whether it had them until now.
    pub(crate) fn quarantine(&self) -> bool {
        let had = self.set_quarantined();
        swapper::leave(self);
        had
    }

    /// As [`Registered::quarantine`], under a lock: the regions have yet to be
    /// told.
    pub(crate) fn set_quarantined(&self) -> bool {
        self.quarantined.cmpxchg(0, 1).is_ok()
    }

    /// Gives the driver batches again.
    ///
    /// # Errors
    ///
    /// `EBUSY` while it has one that it was to give back.
    pub(crate) fn recover(&self) -> Result {
        if self.abandoning.load() != 0 || !matches!(self.batch.phase(), Phase::Idle) {
            return Err(code::EBUSY);
        }
        self.failures.store_release(0);
        self.quarantined.store_release(0);
        Ok(())
    }

    /// A batch failed, or did not. Quarantines a driver that always fails.
    pub(crate) fn note(&self, failed: bool) {
        if !failed {
            self.failures.store_release(0);
        } else if self.failures.add(1) + 1 == u64::from(bindings::SWAPVMA_FAILURES_MAX) {
            pr_err!(
                "driver {} failed {} batches in a row: quarantined\n",
                self.name(),
                bindings::SWAPVMA_FAILURES_MAX
            );
            self.quarantine();
        }
    }

    /// Whether the caller is this driver's swapper.
    pub(crate) fn is_swapper(&self) -> bool {
        self.swapper.load() == kernel::current!().as_ptr() as u64
    }

    /// Whether the swapper goes on. Before the system sleeps, nobody else is to wait
    /// for it; user space is frozen by then. Does not sleep.
    pub(crate) fn is_awake(&self) -> bool {
        let swapper = self.swapper.load() as *mut kernel::bindings::task_struct;
        // SAFETY: The thread is there for as long as the driver may be called.
        swapper.is_null() || !unsafe { bindings::swapvma_task_freezing(swapper) }
    }

    fn prime_queue(&self) {
        drop(self.queue.lock());
        self.batch.wait.wake_all();
    }

    /// Asks the swapper to look after a region. Any context but hard interrupt.
    pub(crate) fn enqueue(&self, region: &Arc<Region>) {
        if let Ok(item) = kernel::list::ListArc::try_from_arc(region.clone()) {
            let mut queue = self.queue.lock();
            region
                .queued
                .store_release(core::ptr::from_ref(self) as u64);
            queue.push_back(item);
        }
        self.batch.wait.wake_all();
    }

    /// Takes the next region off the queue.
    pub(crate) fn dequeue(&self) -> Option<OpenRegion> {
        loop {
            let (region, file) = {
                let mut queue = self.queue.lock();
                let region = queue.pop_front()?;
                region.queued.store_release(0);
                let file = region.file.open();
                (region.into_arc(), file)
            };
            if let Some(file) = file {
                return Some(OpenRegion::new(region, file));
            }
        }
    }

    /// Takes a region off the queue. It is not queued meanwhile. Returns whether it
    /// was there.
    pub(crate) fn forget(&self, region: &Region) -> bool {
        let this = core::ptr::from_ref(self) as u64;
        let mut queue = self.queue.lock();
        if region.queued.load() != this {
            return false;
        }
        // SAFETY: `queued` says so: the region is in this queue.
        let item = unsafe { queue.remove(region) };
        drop(queue);
        drop(item);
        true
    }
}

impl crate::kthread::Main for Registered {
    fn main(self: Arc<Self>) {
        self.swapper
            .store_release(kernel::current!().as_ptr() as u64);
        swapper::run(&self);
    }
}

/// # Safety
///
/// `ops` is null or lives until it is unregistered; see the header.
#[no_mangle]
unsafe extern "C" fn swapvma_register_driver(ops: *const bindings::swapvma_driver_ops) -> c_int {
    let Some(ops) = NonNull::new(ops.cast_mut()) else {
        pr_err!("driver without a table of callbacks\n");
        return code::EINVAL.to_errno();
    };
    // SAFETY: By the safety requirement.
    match unsafe { register(ops) } {
        Ok(()) => 0,
        Err(error) => error.to_errno(),
    }
}

/// # Safety
///
/// See the header.
#[no_mangle]
unsafe extern "C" fn swapvma_unregister_driver(ops: *const bindings::swapvma_driver_ops) {
    unregister(ops);
}

#[kunit_tests(swapvma_driver)]
mod tests {
    use super::*;

    /// Registers the table of the driver `ram`, with a change.
    fn try_with(change: impl FnOnce(&mut bindings::swapvma_driver_ops)) -> Result<c_int> {
        let ram = find(c"ram")?;
        let ops = core::ptr::from_ref(ram.ops());
        ram.put_module();
        // SAFETY: The module registered it, and a table is but numbers and pointers.
        let mut ops = unsafe { ops.read() };
        change(&mut ops);
        // SAFETY: The table is refused, and not used afterwards.
        let result = unsafe { swapvma_register_driver(&ops) };
        if result == 0 {
            // SAFETY: It was just registered.
            unsafe { swapvma_unregister_driver(&ops) };
        }
        Ok(result)
    }

    #[test]
    fn what_is_no_driver_is_refused() -> Result {
        let einval = code::EINVAL.to_errno();
        // SAFETY: A null pointer is allowed.
        let result = unsafe { swapvma_register_driver(core::ptr::null()) };
        assert_eq!(result, einval);
        assert_eq!(try_with(|ops| ops.size -= 8)?, einval);
        assert_eq!(try_with(|ops| ops.size += 8)?, einval);
        assert_eq!(try_with(|ops| ops.version += 1)?, einval);
        assert_eq!(try_with(|ops| ops.version = 0)?, einval);
        assert_eq!(try_with(|ops| ops.attach = None)?, einval);
        assert_eq!(try_with(|ops| ops.detach = None)?, einval);
        assert_eq!(try_with(|ops| ops.swapout = None)?, einval);
        assert_eq!(try_with(|ops| ops.swapin = None)?, einval);
        assert_eq!(try_with(|ops| ops.discard = None)?, einval);
        assert_eq!(try_with(|ops| ops.flags = !0)?, einval);
        for name in [c"", c"two words", c"a_name_of_more_than_thirty_one_bytes"] {
            assert_eq!(try_with(|ops| ops.name = name.as_char_ptr())?, einval);
        }
        assert_eq!(try_with(|ops| ops.name = core::ptr::null())?, einval);
        Ok(())
    }

    #[test]
    fn a_name_is_one_driver_s() -> Result {
        assert_eq!(try_with(|_| ())?, code::EEXIST.to_errno());
        assert_eq!(try_with(|ops| ops.name = c"kunit".as_char_ptr())?, 0);
        assert!(find(c"kunit").is_err());
        Ok(())
    }
}
