// SPDX-License-Identifier: GPL-2.0

//! Drivers: what one implements, and how it is made known.
//!
//! [`Table`] turns an implementation of [`Driver`] into the ops table that a
//! driver in C fills in by hand.

use super::{
    bindings,
    Batch,
    Read,
    Slot, //
};
use core::{
    marker::PhantomData,
    ptr::NonNull, //
};
use kernel::{
    error::to_result,
    prelude::*,
    str::CStr,
    types::ForeignOwnable, //
};

/// What a region tells its driver.
pub struct Attach<'a> {
    pages: u64,
    algorithm: &'a CStr,
    options: &'a CStr,
}

impl<'a> Attach<'a> {
    /// Returns the size of the region in pages, which may change later.
    #[inline]
    pub fn pages(&self) -> u64 {
        self.pages
    }

    /// Returns the name of the algorithm, empty for the driver's default.
    #[inline]
    pub fn algorithm(&self) -> &'a CStr {
        self.algorithm
    }

    /// Returns the options, `key=value,...` as the driver documents, empty for
    /// none.
    #[inline]
    pub fn options(&self) -> &'a CStr {
        self.options
    }
}

/// How a driver shows its handle to a callback: `&T` for a `KBox<T>`,
/// `Pin<&T>` for a `Pin<KBox<T>>`, `ArcBorrow<'_, T>` for an `Arc<T>`.
pub type Borrowed<'a, T> = <<T as Driver>::Handle as ForeignOwnable>::Borrowed<'a>;

/// A swap driver.
///
/// No callback gets a VMA, and none but [`vma_open`](Driver::vma_open) and
/// [`vma_close`](Driver::vma_close) runs under a lock of swapvma, under mmap_lock
/// or under a VMA lock. A callback may wait only for locks that nobody holds
/// over a user access, GUP or a page fault, nor over an allocation that may
/// reclaim. Callbacks of one region run at the same time as each other.
pub trait Driver: Sized + 'static {
    /// What `struct swapvma_create` asks for; at most 31 bytes.
    const NAME: &'static CStr;

    /// Milliseconds that a batch or a read may take; 0 stands for 30 seconds.
    /// See [`Batch`] and [`Read`] for what becomes of one that takes longer.
    const DEADLINE_MS: u32 = 0;

    /// Whether the driver needs pages that do not change while it reads them,
    /// to compute a checksum of them for instance: it then gets copies.
    const STABLE: bool = false;

    /// What the driver keeps for a region. Dropped when the region is gone,
    /// after every slot was discarded, in process context, where it may sleep.
    type Handle: ForeignOwnable + Send + Sync;

    /// A region was created.
    ///
    /// Context: process context, may sleep and allocate; the open lock of the
    /// device may be held.
    ///
    /// # Errors
    ///
    /// An error refuses the region; its creator gets it.
    fn attach(args: &Attach<'_>) -> Result<Self::Handle>;

    /// Stores the pages of a batch: answers each, and drops the batch now or
    /// later, in a [context of completion](Batch#context-of-completion).
    ///
    /// Context: process context of the driver's swapper, may sleep. Allocates
    /// with [`Batch::alloc_page`] and in no other way: all flags of the
    /// kernel crate take from the reserves there.
    fn swapout(handle: Borrowed<'_, Self>, batch: Batch);

    /// Reads a page back from its slot: fills the read and completes it, now or
    /// later, in a [context of completion](Batch#context-of-completion).
    ///
    /// Context: process context of whoever faults, of a reader thread, or of a
    /// request, which may hold the region's inode lock. May sleep, and allocate
    /// with `GFP_NOWAIT`, which does not wait for reclaim, and thus for a swapper. It
    /// fails when nothing is free at once: what each read needs is allocated in
    /// `attach`.
    fn swapin(handle: Borrowed<'_, Self>, read: Read);

    /// Forgets a page. Never runs while a read of the same slot does.
    ///
    /// Context: process context of the swapper, of a reader or of a request,
    /// which may hold the region's inode lock. May sleep. Allocates nothing.
    fn discard(handle: Borrowed<'_, Self>, slot: Slot);

    /// Returns how many pages after the one at `index`, which is in `slot`, are
    /// cheap to read along with it.
    ///
    /// Context: any, does not sleep.
    #[inline]
    fn range_hint(handle: Borrowed<'_, Self>, index: u64, slot: Slot) -> u32 {
        let _ = (handle, index, slot);
        0
    }

    /// Returns the bytes stored for the region.
    ///
    /// Context: any, does not sleep.
    #[inline]
    fn stored_bytes(handle: Borrowed<'_, Self>) -> u64 {
        let _ = handle;
        0
    }

    /// A mapping of `nr` pages from page `first` appeared: mmap, fork, split or mremap.
    ///
    /// A driver that the region gets later hears of what is mapped from then on, and
    /// not of the mappings that are there nor of their copies.
    ///
    /// Context: under mmap_lock; does not sleep for long, does not fault.
    #[inline]
    fn vma_open(handle: Borrowed<'_, Self>, first: u64, nr: u64) {
        let _ = (handle, first, nr);
    }

    /// A mapping that [`vma_open`](Driver::vma_open) told of went away; once for each
    /// VMA, after every batch that was in flight for it.
    ///
    /// Not for mappings that are left when the region's pages were drained away from
    /// the driver: the handle is dropped instead. Nor for one of a device whose mmap
    /// hook failed after [`Region::mmap`](super::Region::mmap).
    ///
    /// Context: under mmap_lock; does not sleep for long, does not fault.
    #[inline]
    fn vma_close(handle: Borrowed<'_, Self>, first: u64, nr: u64) {
        let _ = (handle, first, nr);
    }
}

/// A driver that is known by its name, for as long as the value lives.
///
/// Each region that uses the driver holds the driver's module, so that there is
/// none when the module is unloaded. Dropping the value at another time, because
/// loading the module failed for instance, withdraws the name, and then waits for
/// the regions that use the driver. May sleep.
///
/// It belongs into the value of the module, which is dropped when the module is
/// unloaded. One that is leaked stays known when the code of the driver is gone, as
/// any registration of the kernel crate does.
///
/// # Invariants
///
/// `ops` was registered, and stays where it is until it is unregistered.
pub struct Registration<T: Driver> {
    ops: KBox<bindings::swapvma_driver_ops>,
    _driver: PhantomData<fn() -> T>,
}

// SAFETY: The table is constant, and any task may unregister it.
unsafe impl<T: Driver> Send for Registration<T> {}
// SAFETY: A shared registration offers nothing.
unsafe impl<T: Driver> Sync for Registration<T> {}

impl<T: Driver> Registration<T> {
    /// Makes a driver of `module` known. May sleep and allocate.
    ///
    /// Regions may use it from then on: this is what a module does last when it
    /// is loaded.
    ///
    /// # Errors
    ///
    /// - `EINVAL`: the name is empty or too long, or `swapvma.ko` is of another
    ///   version, which the log says;
    /// - `EEXIST`: there is a driver of that name;
    /// - `ENOMEM`.
    #[inline]
    pub fn new(module: &'static ThisModule) -> Result<Self> {
        // SAFETY: The callbacks are in the module that calls this.
        unsafe { Self::of_owner(module.as_ptr()) }
    }

    /// As [`Registration::new`].
    ///
    /// # Safety
    ///
    /// `owner` is the module that has the callbacks, or null if they cannot go
    /// away as long as a region uses them.
    #[inline]
    pub(crate) unsafe fn of_owner(owner: *mut kernel::bindings::module) -> Result<Self> {
        let ops = KBox::new(Table::<T>::ops(owner), GFP_KERNEL)?;
        // SAFETY: The table is complete, and lives until `drop` unregisters it.
        to_result(unsafe { bindings::swapvma_register_driver(&*ops) })?;
        // INVARIANT: It was just registered; what a box holds does not move.
        Ok(Self {
            ops,
            _driver: PhantomData,
        })
    }
}

impl<T: Driver> Drop for Registration<T> {
    #[inline]
    fn drop(&mut self) {
        // SAFETY: By the type invariant the table is registered.
        unsafe { bindings::swapvma_unregister_driver(&*self.ops) };
    }
}

/// The ops table of a driver.
struct Table<T: Driver>(PhantomData<T>);

impl<T: Driver> Table<T> {
    #[inline]
    fn ops(owner: *mut kernel::bindings::module) -> bindings::swapvma_driver_ops {
        bindings::swapvma_driver_ops {
            size: size_of::<bindings::swapvma_driver_ops>() as u32,
            version: bindings::SWAPVMA_ABI_VERSION,
            name: T::NAME.as_char_ptr(),
            owner,
            deadline_ms: T::DEADLINE_MS,
            // Which is what `Read` is for.
            flags: bindings::SWAPVMA_DRIVER_FILLS
                | if T::STABLE {
                    bindings::SWAPVMA_DRIVER_STABLE
                } else {
                    0
                },
            attach: Some(Self::attach),
            detach: Some(Self::detach),
            swapout: Some(Self::swapout),
            swapin: Some(Self::swapin),
            discard: Some(Self::discard),
            range_hint: Some(Self::range_hint),
            stored_bytes: Some(Self::stored_bytes),
            vma_open: Some(Self::vma_open),
            vma_close: Some(Self::vma_close),
        }
    }

    /// Borrows a handle, as every callback but `detach` does, from any number
    /// of tasks at a time: `Driver::Handle` is `Sync`, and a borrow is what a
    /// shared reference to it offers.
    ///
    /// # Safety
    ///
    /// `handle` is what `attach` stored, and is not detached during `'a`.
    #[inline]
    unsafe fn borrow<'a>(handle: *mut c_void) -> Borrowed<'a, T> {
        // SAFETY: By the safety requirement.
        unsafe { T::Handle::borrow(handle) }
    }

    /// # Safety
    ///
    /// Called by swapvma: `args` and `handle` are valid for the call. Process
    /// context.
    unsafe extern "C" fn attach(
        _ops: *const bindings::swapvma_driver_ops,
        args: *const bindings::swapvma_attach,
        handle: *mut *mut c_void,
    ) -> c_int {
        // SAFETY: By the safety requirement.
        let args = unsafe { &*args };
        let args = Attach {
            pages: args.pages,
            // SAFETY: By the boundary it is NUL-terminated, and valid during
            // the call.
            algorithm: unsafe { CStr::from_char_ptr(args.algorithm) },
            // SAFETY: As above.
            options: unsafe { CStr::from_char_ptr(args.options) },
        };
        match T::attach(&args) {
            Ok(new) => {
                // SAFETY: By the safety requirement.
                unsafe { handle.write(new.into_foreign()) };
                0
            }
            Err(error) => error.to_errno(),
        }
    }

    /// # Safety
    ///
    /// Called by swapvma once for a handle, as its last use. Process context.
    unsafe extern "C" fn detach(handle: *mut c_void) {
        // SAFETY: `attach` stored the handle; no borrow is left of it.
        drop(unsafe { T::Handle::from_foreign(handle) });
    }

    /// # Safety
    ///
    /// Called by swapvma: `handle` is attached, and `batch` is this function's
    /// to complete. Process context.
    unsafe extern "C" fn swapout(handle: *mut c_void, batch: *mut bindings::swapvma_batch) {
        // SAFETY: By the safety requirement.
        let batch = unsafe { Batch::from_raw(NonNull::new_unchecked(batch)) };
        // SAFETY: By the safety requirement.
        T::swapout(unsafe { Self::borrow(handle) }, batch);
    }

    /// # Safety
    ///
    /// Called by swapvma: `handle` is attached, and `read` is this function's
    /// to complete. Process context.
    unsafe extern "C" fn swapin(handle: *mut c_void, read: *mut bindings::swapvma_read) {
        // SAFETY: By the safety requirement.
        let read = unsafe { Read::from_raw(NonNull::new_unchecked(read)) };
        // SAFETY: By the safety requirement.
        T::swapin(unsafe { Self::borrow(handle) }, read);
    }

    /// # Safety
    ///
    /// Called by swapvma: `handle` is attached. Process context.
    unsafe extern "C" fn discard(handle: *mut c_void, slot: u64) {
        // SAFETY: By the safety requirement.
        T::discard(unsafe { Self::borrow(handle) }, Slot::from_boundary(slot));
    }

    /// # Safety
    ///
    /// Called by swapvma: `handle` is attached. Any context.
    unsafe extern "C" fn range_hint(handle: *mut c_void, index: u64, slot: u64) -> u32 {
        // SAFETY: By the safety requirement.
        let handle = unsafe { Self::borrow(handle) };
        T::range_hint(handle, index, Slot::from_boundary(slot))
    }

    /// # Safety
    ///
    /// Called by swapvma: `handle` is attached. Any context.
    unsafe extern "C" fn stored_bytes(handle: *mut c_void) -> u64 {
        // SAFETY: By the safety requirement.
        T::stored_bytes(unsafe { Self::borrow(handle) })
    }

    /// # Safety
    ///
    /// Called by swapvma: `handle` is attached. Under mmap_lock.
    unsafe extern "C" fn vma_open(handle: *mut c_void, first: u64, nr: u64) {
        // SAFETY: By the safety requirement.
        T::vma_open(unsafe { Self::borrow(handle) }, first, nr);
    }

    /// # Safety
    ///
    /// Called by swapvma: `handle` is attached. Under mmap_lock.
    unsafe extern "C" fn vma_close(handle: *mut c_void, first: u64, nr: u64) {
        // SAFETY: By the safety requirement.
        T::vma_close(unsafe { Self::borrow(handle) }, first, nr);
    }
}
