// SPDX-License-Identifier: GPL-2.0

//! Read: one page that a driver is to read back.

use super::{
    bindings,
    page,
    PageBytes,
    Slot, //
};
use core::{
    mem::{
        self,
        ManuallyDrop, //
    },
    ptr::NonNull, //
};
use kernel::{
    page::PAGE_SIZE,
    prelude::*, //
};

/// A read in the hands of its driver.
///
/// It owns the page to fill, which nobody else sees before it is complete, also
/// after the deadline. A driver that is not done when `swapin` returns keeps the
/// value until it is. Dropping it without [`Read::complete`] fails the read with
/// `EIO`. Both are done in a
/// [context of completion](super::Batch#context-of-completion).
///
/// # Invariants
///
/// The pointer is what `swapin` was called with, and the read was not completed.
pub struct Read {
    read: NonNull<bindings::swapvma_read>,
    /// What is in the page is zeroes, or the driver's business.
    is_ready: bool,
}

// SAFETY: The boundary lets any task use and complete a read.
unsafe impl Send for Read {}
// SAFETY: What a shared read offers only reads.
unsafe impl Sync for Read {}

impl Read {
    /// Wraps what `swapin` was called with.
    ///
    /// # Safety
    ///
    /// The read is the caller's, who does not use it afterwards.
    #[inline]
    pub(super) unsafe fn from_raw(read: NonNull<bindings::swapvma_read>) -> Self {
        // INVARIANT: By the safety requirement.
        Self {
            read,
            is_ready: false,
        }
    }

    /// Makes sure that whoever fills the page partly shows nobody's memory.
    #[inline]
    fn prepare(&mut self) {
        if !mem::replace(&mut self.is_ready, true) {
            let page = self.raw_page();
            // SAFETY: By the type invariant the page is valid.
            let bytes = unsafe { page::address(page) };
            // SAFETY: By the boundary nobody else can see the page.
            unsafe { bytes.write_bytes(0, PAGE_SIZE) };
        }
    }

    #[inline]
    fn raw_page(&self) -> NonNull<kernel::bindings::page> {
        // SAFETY: By the type invariant.
        let page = unsafe { bindings::swapvma_read_page(self.read.as_ptr()) };
        // SAFETY: By the boundary, a read has a page until it is complete.
        unsafe { NonNull::new_unchecked(page) }
    }

    /// As [`Read::bytes`], but of any content: for a driver of this crate that writes
    /// all bytes that matter before it completes the read without an error.
    #[allow(dead_code, reason = "it is for the drivers of swapvma.ko")]
    #[inline]
    pub(crate) fn overwrite(&mut self) -> &mut PageBytes {
        self.is_ready = true;
        self.bytes()
    }

    /// Returns the offset of the page in its region, in pages. Any context.
    #[inline]
    pub fn index(&self) -> u64 {
        // SAFETY: By the type invariant.
        unsafe { bindings::swapvma_read_index(self.read.as_ptr()) }
    }

    /// Returns where the page is stored. Any context.
    #[inline]
    pub fn slot(&self) -> Slot {
        // SAFETY: By the type invariant.
        Slot::from_boundary(unsafe { bindings::swapvma_read_slot(self.read.as_ptr()) })
    }

    /// Returns how many bytes of the page matter: what
    /// [`Batch::length`](super::Batch::length) was when it was stored. Any context.
    #[inline]
    pub fn length(&self) -> usize {
        // SAFETY: By the type invariant.
        unsafe { bindings::swapvma_read_length(self.read.as_ptr()) as usize }
    }

    /// Returns the page to fill, for a bio or a scatterlist. It is valid until
    /// the read is complete. Any context.
    #[inline]
    pub fn page(&mut self) -> NonNull<kernel::bindings::page> {
        self.prepare();
        self.raw_page()
    }

    /// Fills the page with a copy of another. Any context.
    #[inline]
    pub fn fill(&mut self, from: &PageBytes) {
        self.is_ready = true;
        // SAFETY: By the type invariant; `from` is a page.
        unsafe { bindings::swapvma_read_fill(self.read.as_ptr(), from.as_ptr().cast()) };
    }

    /// Returns the bytes to fill, which are zeroes at first. Any context.
    #[inline]
    pub fn bytes(&mut self) -> &mut PageBytes {
        let page = self.page();
        // SAFETY: By the type invariant the page is valid.
        let bytes = unsafe { page::address(page) };
        // SAFETY: By the boundary nobody else can see the page, and `self` is
        // borrowed for as long as the reference lives.
        unsafe { &mut *bytes.cast::<PageBytes>() }
    }

    /// Hands the read back: the page is filled, or cannot be read, which is a
    /// SIGBUS for that page only. The slot stays in either case. In a
    /// [context of completion](super::Batch#context-of-completion).
    #[inline]
    pub fn complete(mut self, result: Result) {
        let error = match result {
            Ok(()) => {
                self.prepare();
                0
            }
            Err(error) => error.to_errno(),
        };
        let this = ManuallyDrop::new(self);
        // SAFETY: By the type invariant; nothing uses the read afterwards.
        unsafe { bindings::swapvma_read_complete(this.read.as_ptr(), error) };
    }
}

impl Drop for Read {
    #[inline]
    fn drop(&mut self) {
        // SAFETY: By the type invariant; nothing uses the read afterwards.
        unsafe { bindings::swapvma_read_complete(self.read.as_ptr(), EIO.to_errno()) };
    }
}
