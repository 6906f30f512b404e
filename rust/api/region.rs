// SPDX-License-Identifier: GPL-2.0

//! Regions for other modules: a character device makes the memory that it maps
//! swappable by keeping it in a region and delegating its mmap to it.
//!
//! ```text
//! fn mmap(device: ..., file: &File, vma: &VmaNew) -> Result {
//!     device.region.mmap(vma, 0)
//! }
//! ```

use super::{
    bindings,
    page, //
};
use core::ptr::NonNull;
use kernel::{
    error::{
        from_err_ptr,
        to_result, //
    },
    mm::virt::VmaNew,
    prelude::*,
    str::CStr, //
};

/// How a region tells whether its driver returns what it was given. What it does
/// not return is SIGBUS.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Integrity {
    /// Not at all.
    None,
    /// By a checksum of each page.
    Checksum,
    /// Pages are encrypted and authenticated, with a key that exists as long as the
    /// region.
    Encrypt,
}

/// What a new region is like.
#[derive(Clone, Copy)]
pub struct Params<'a> {
    /// Bytes, a multiple of the page size.
    pub bytes: u64,
    /// Bytes that may be resident, as in `struct swapvma_create`; [`NO_LIMIT`]
    /// for a region that only memory pressure shrinks.
    ///
    /// [`NO_LIMIT`]: Params::NO_LIMIT
    pub limit: u64,
    /// How stored pages are verified.
    pub integrity: Integrity,
    /// Name of its driver, empty for `ram`.
    pub driver: &'a CStr,
    /// Name of the driver's algorithm, empty for its default.
    pub algorithm: &'a CStr,
    /// Options for the driver, empty for none.
    pub options: &'a CStr,
}

impl Params<'static> {
    /// The limit of a region that only memory pressure shrinks.
    pub const NO_LIMIT: u64 = u64::MAX;

    /// A region of `bytes` bytes of the driver `ram`, without a limit.
    #[inline]
    pub const fn new(bytes: u64) -> Self {
        Self {
            bytes,
            limit: Self::NO_LIMIT,
            integrity: Integrity::None,
            driver: c"",
            algorithm: c"",
            options: c"",
        }
    }
}

/// A region. It lives on after this value while mappings of it and pins do, and
/// holds its driver's module for as long.
///
/// A region is the unit of access: who may map one page of it can reach all of it,
/// with mremap or remap_file_pages, whatever offset the device allowed, and can remove
/// pages of it with `MADV_REMOVE`. What is not for the same user space, or not for user
/// space at all, is another region.
///
/// # Invariants
///
/// The pointer is that of a region, of which this value owns a reference.
pub struct Region(NonNull<bindings::swapvma_region>);

// SAFETY: The boundary lets any task use a region.
unsafe impl Send for Region {}
// SAFETY: As above, and any number of them at a time.
unsafe impl Sync for Region {}

impl Region {
    /// Creates a region, which holds the module `owner` until it is gone.
    ///
    /// - `Some(&THIS_MODULE)` for a region that is made when somebody opens a
    ///   device: the module cannot be unloaded while the device's file, which has
    ///   the `Region`, is open, or a mapping is left.
    /// - `None` for a region that is made when the module is loaded, and dropped
    ///   when it is unloaded: one that held the module would not let it be
    ///   unloaded. Mappings may be left then, and work: nothing of the module is
    ///   called through a region, whose file, operations and pages are those of
    ///   swapvma. `None` does not hold the module for an open file of a device,
    ///   and a [`MiscDevice`](kernel::miscdevice::MiscDevice) by itself does not
    ///   either.
    ///
    /// A region of the module's own driver holds the module in either case.
    ///
    /// Context: process context, may sleep and allocate; no lock is held that
    /// the driver's `attach` takes.
    ///
    /// # Errors
    ///
    /// - `EINVAL`: the size or the limit is not allowed;
    /// - `EFBIG`: the region is too large;
    /// - `ENODEV`: there is no such driver, or it or `owner` is going away;
    /// - `EBUSY`: the driver is being drained;
    /// - `ENOENT`: [`Integrity::Encrypt`], and the kernel has no lz4;
    /// - `ENFILE`: too many files are open;
    /// - `ERESTARTSYS`: [`Integrity`], and a signal came while the kernel had no
    ///   random numbers yet;
    /// - `ENOMEM`;
    /// - what the driver answers.
    #[inline]
    pub fn new(owner: Option<&'static ThisModule>, params: &Params<'_>) -> Result<Self> {
        let params = bindings::swapvma_region_params {
            size: size_of::<bindings::swapvma_region_params>() as u32,
            version: bindings::SWAPVMA_ABI_VERSION,
            bytes: params.bytes,
            limit: params.limit,
            flags: match params.integrity {
                Integrity::None => 0,
                Integrity::Checksum => bindings::SWAPVMA_REGION_CHECKSUM.into(),
                Integrity::Encrypt => bindings::SWAPVMA_REGION_ENCRYPT.into(),
            },
            driver: params.driver.as_char_ptr(),
            algorithm: params.algorithm.as_char_ptr(),
            options: params.options.as_char_ptr(),
            owner: owner.map_or(core::ptr::null_mut(), ThisModule::as_ptr),
        };
        // SAFETY: The parameters and the strings live through the call.
        let region = from_err_ptr(unsafe { bindings::swapvma_region_create(&params) })?;
        // INVARIANT: The call gave a reference.
        NonNull::new(region).map(Self).ok_or(ENOMEM)
    }

    /// Maps the region from page `first` on, from the mmap hook of a device.
    /// Afterwards `vma` is a mapping of the region and not of the device's file. This
    /// is the last thing that the hook does, with its result as its own: if the hook
    /// fails afterwards, the region's drivers hear of a mapping that never goes away,
    /// and memory for it is lost.
    ///
    /// # Errors
    ///
    /// `EINVAL` for a range that ends past the end of the region; `ENOMEM`.
    #[inline]
    pub fn mmap(&self, vma: &VmaNew, first: u64) -> Result {
        // SAFETY: By the type invariants of both; a `VmaNew` is under
        // construction in the mmap hook, where mmap_lock is held for write.
        to_result(unsafe { bindings::swapvma_region_mmap(self.0.as_ptr(), vma.as_ptr(), first) })
    }

    /// Pins `nr` pages from page `first` on: they are resident and stay so until
    /// the value is dropped. What the region never held is zeroes. The value holds
    /// the region, and may be kept beside it, or longer.
    ///
    /// `MADV_REMOVE` of a mapping removes pinned pages from the region, too: what was
    /// pinned stays valid memory until the value is dropped, but is the region's no
    /// more, which has zeroes there.
    ///
    /// Context: process context, may sleep, allocate and wait for the driver;
    /// no lock is held that a driver's callback takes.
    ///
    /// # Errors
    ///
    /// - `EINVAL`: the range ends past the end of the region;
    /// - `EIO`: a page cannot be read;
    /// - `EINTR`: the task was killed;
    /// - `ENOMEM`.
    #[inline]
    pub fn pin(&self, first: u64, nr: u32) -> Result<Pinned> {
        // Whether there are that many pages is yet to be seen.
        let flags = GFP_KERNEL | __GFP_NOWARN;
        let mut pages = KVVec::from_elem(core::ptr::null_mut(), nr as usize, flags)?;
        // SAFETY: By the type invariant; there is room for `nr` pages.
        to_result(unsafe {
            bindings::swapvma_region_pin(self.0.as_ptr(), first, nr, pages.as_mut_ptr())
        })?;
        // INVARIANT: The call pinned all of them.
        Ok(Pinned {
            region: self.0,
            pages,
            dirty: false,
        })
    }
}

impl Drop for Region {
    #[inline]
    fn drop(&mut self) {
        // SAFETY: By the type invariant there is a reference to give up.
        unsafe { bindings::swapvma_region_put(self.0.as_ptr()) };
    }
}

/// Pages of a region that stay in memory. User space may use them meanwhile.
/// Dropping it may sleep. It holds the region, and with it what that holds.
///
/// # Invariants
///
/// `pages` were pinned in `region`, which each of these pins holds: if there are
/// none, the pointer may dangle.
pub struct Pinned {
    region: NonNull<bindings::swapvma_region>,
    pages: KVVec<*mut kernel::bindings::page>,
    dirty: bool,
}

// SAFETY: Any task may use and give back pinned pages.
unsafe impl Send for Pinned {}
// SAFETY: What a shared value offers only reads.
unsafe impl Sync for Pinned {}

impl Pinned {
    /// Returns the number of pages.
    #[allow(clippy::len_without_is_empty)]
    #[inline]
    pub fn len(&self) -> usize {
        self.pages.len()
    }

    /// Returns page `i`, for a bio or a scatterlist; `None` past the end. It is
    /// valid until the value is dropped. A device that writes to it is to be
    /// followed by [`Pinned::mark_dirty`].
    #[inline]
    pub fn page(&self, i: usize) -> Option<NonNull<kernel::bindings::page>> {
        NonNull::new(*self.pages.get(i)?)
    }

    /// Copies bytes of page `i` from `offset` on to `to`. What user space
    /// writes meanwhile may be among them or not.
    ///
    /// # Errors
    ///
    /// `EINVAL` past the last page or past the end of the page; `EIO` if a
    /// memory error hit the page.
    #[inline]
    pub fn copy_to(&self, i: usize, offset: usize, to: &mut [u8]) -> Result {
        let page = self.page(i).ok_or(EINVAL)?;
        // SAFETY: By the type invariant the page is pinned.
        unsafe { page::copy_out(page, offset, to) }
    }

    /// Copies `from` to page `i` at `offset`.
    ///
    /// # Errors
    ///
    /// `EINVAL` past the last page or past the end of the page.
    #[inline]
    pub fn copy_from(&mut self, i: usize, offset: usize, from: &[u8]) -> Result {
        let page = self.page(i).ok_or(EINVAL)?;
        self.dirty = true;
        // SAFETY: By the type invariant the page is pinned, for writing too.
        unsafe { page::copy_in(page, offset, from) }
    }

    /// Says that the pages were written to by other means than
    /// [`Pinned::copy_from`].
    #[inline]
    pub fn mark_dirty(&mut self) {
        self.dirty = true;
    }
}

impl Drop for Pinned {
    #[inline]
    fn drop(&mut self) {
        // CAST: `Region::pin` was asked for a `u32` of them.
        let nr = self.pages.len() as u32;
        // SAFETY: By the type invariant the pages are pinned and hold the region; for
        // none of them the call looks at neither.
        unsafe {
            bindings::swapvma_region_unpin(
                self.region.as_ptr(),
                self.pages.as_mut_ptr(),
                nr,
                self.dirty,
            )
        };
    }
}
