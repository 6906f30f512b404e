// SPDX-License-Identifier: GPL-2.0

//! Pages: how this crate gets at their bytes.
//!
//! C header: [`include/linux/highmem.h`](srctree/include/linux/highmem.h)

use core::ptr::NonNull;
use kernel::{
    bindings,
    page::PAGE_SIZE,
    prelude::*, //
};

/// The bytes of one page.
pub type PageBytes = [u8; PAGE_SIZE];

/// A page of the driver's own, to store something in; from
/// [`Batch::alloc_page`](super::Batch::alloc_page). Dropping it frees it, in any
/// context.
///
/// # Invariants
///
/// The pointer is that of an allocated page, which only this value uses and
/// whose bytes are initialised.
pub struct Page(NonNull<bindings::page>);

// SAFETY: A page is owned memory, which any task may use and free.
unsafe impl Send for Page {}
// SAFETY: A shared page can only be read.
unsafe impl Sync for Page {}

impl Page {
    /// Takes over a page, and frees it if it cannot be filled.
    ///
    /// # Errors
    ///
    /// Those of `fill`.
    ///
    /// # Safety
    ///
    /// The caller owns `page`, a page of order 0, and gives it up. `fill` initialises
    /// its bytes, or returns an error.
    #[inline]
    pub(super) unsafe fn new(
        page: NonNull<bindings::page>,
        fill: impl FnOnce(*mut u8) -> Result,
    ) -> Result<Self> {
        // INVARIANT: By the safety requirement, if the value is returned.
        let this = Self(page);
        // SAFETY: By the safety requirement.
        fill(unsafe { address(page) })?;
        Ok(this)
    }

    /// Returns the content.
    #[inline]
    pub fn bytes(&self) -> &PageBytes {
        // SAFETY: By the type invariant the page is valid.
        let bytes = unsafe { address(self.0) };
        // SAFETY: By the type invariant only `self` uses the page.
        unsafe { &*bytes.cast::<PageBytes>() }
    }

    /// Returns the content for writing.
    #[inline]
    pub fn bytes_mut(&mut self) -> &mut PageBytes {
        // SAFETY: By the type invariant the page is valid.
        let bytes = unsafe { address(self.0) };
        // SAFETY: By the type invariant only `self` uses the page.
        unsafe { &mut *bytes.cast::<PageBytes>() }
    }
}

impl Drop for Page {
    #[inline]
    fn drop(&mut self) {
        // SAFETY: By the type invariant this value owns the page.
        unsafe { bindings::__free_pages(self.0.as_ptr(), 0) };
    }
}

/// Returns where the bytes of a page are, for as long as the page is allocated:
/// without CONFIG_HIGHMEM a local mapping is the page's permanent address and is
/// not given back.
///
/// # Safety
///
/// `page` is valid.
#[inline]
pub(super) unsafe fn address(page: NonNull<bindings::page>) -> *mut u8 {
    // SAFETY: By the safety requirement.
    unsafe { bindings::kmap_local_page(page.as_ptr()) }.cast()
}

/// Copies bytes of a page that others may write to meanwhile.
///
/// # Errors
///
/// `EINVAL` unless the bytes are inside the page; `EIO` if a memory error hit
/// them.
///
/// # Safety
///
/// `page` is valid.
#[inline]
pub(super) unsafe fn copy_out(
    page: NonNull<bindings::page>,
    offset: usize,
    to: &mut [u8],
) -> Result {
    check(offset, to.len())?;
    // SAFETY: By the safety requirement.
    let page = unsafe { address(page) };
    // SAFETY: `check` found the offset inside the page.
    let from = unsafe { page.add(offset) };
    // SAFETY: `check` found `to.len()` bytes from there inside the page, and
    // `to` is nobody else's. The copy is the kernel's, for which what others
    // write meanwhile is no more than old or new bytes.
    let left = unsafe { copy(to.as_mut_ptr().cast(), from.cast(), to.len()) };
    if left == 0 {
        Ok(())
    } else {
        Err(EIO)
    }
}

/// Copies bytes into a page that others may use meanwhile.
///
/// # Errors
///
/// `EINVAL` unless the bytes are inside the page.
///
/// # Safety
///
/// `page` is valid, and may be written to.
#[inline]
pub(super) unsafe fn copy_in(page: NonNull<bindings::page>, offset: usize, from: &[u8]) -> Result {
    check(offset, from.len())?;
    // SAFETY: By the safety requirement.
    let page = unsafe { address(page) };
    // SAFETY: `check` found the offset inside the page.
    let to = unsafe { page.add(offset) };
    // SAFETY: `check` found `from.len()` bytes from there inside the page; the
    // copy is the kernel's, as in `copy_out`.
    unsafe { bindings::memcpy(to.cast(), from.as_ptr().cast(), from.len()) };
    Ok(())
}

/// Checks that bytes are inside a page.
#[inline]
fn check(offset: usize, len: usize) -> Result {
    match offset.checked_add(len) {
        Some(end) if end <= PAGE_SIZE => Ok(()),
        _ => Err(EINVAL),
    }
}

/// Copies a part of a page without a machine check for a memory error in the
/// source; returns the bytes that are left.
///
/// # Safety
///
/// `from` and `to` are valid for `len` bytes and do not overlap.
#[inline]
unsafe fn copy(to: *mut c_void, from: *const c_void, len: usize) -> usize {
    #[cfg(CONFIG_ARCH_HAS_COPY_MC)]
    {
        // CAST: A part of a page.
        // SAFETY: By the safety requirement.
        unsafe { bindings::copy_mc_to_kernel(to, from, len as u32) }
    }
    #[cfg(not(CONFIG_ARCH_HAS_COPY_MC))]
    {
        // SAFETY: By the safety requirement.
        unsafe { bindings::memcpy(to, from, len) };
        0
    }
}
