// SPDX-License-Identifier: GPL-2.0

//! Files of shared memory, whose pages the kernel swaps as any other's.
//!
//! C header: [`include/linux/shmem_fs.h`](srctree/include/linux/shmem_fs.h)

use super::bindings as ours;
use core::ptr::NonNull;
use kernel::{
    bindings,
    error::from_err_ptr,
    page::PAGE_SIZE,
    prelude::*,
    str::CStr, //
};
use swapvma_driver::PageBytes;

/// A file of shared memory that nobody else can see.
///
/// # Invariants
///
/// The pointer is that of a file of shared memory, of which this value owns the
/// only reference.
pub(crate) struct SharedMemory(NonNull<bindings::file>);

// SAFETY: Any task may use and close a file.
unsafe impl Send for SharedMemory {}
// SAFETY: As above, and any number of them at a time.
unsafe impl Sync for SharedMemory {}

impl SharedMemory {
    /// Creates a file for `pages` pages, all of them holes. May sleep and
    /// allocate.
    ///
    /// # Errors
    ///
    /// `EFBIG` if it would be too large, `ENOMEM`.
    pub(crate) fn new(name: &CStr, pages: u64) -> Result<Self> {
        let bytes = pages.checked_mul(PAGE_SIZE as u64).ok_or(EFBIG)?;
        let bytes = i64::try_from(bytes).map_err(|_| EFBIG)?;
        // SAFETY: The name is valid during the call.
        let file = from_err_ptr(unsafe { ours::store_shmem_file(name.as_char_ptr(), bytes) })?;
        // INVARIANT: The call gave the only reference.
        NonNull::new(file).map(Self).ok_or(ENOMEM)
    }

    fn mapping(&self) -> *mut bindings::address_space {
        // SAFETY: By the type invariant; the field does not change.
        unsafe { self.0.as_ref() }.f_mapping
    }

    /// Returns a page, from where the kernel put it, or a new one of zeroes. May
    /// sleep, and allocates as `gfp` says.
    fn page(&self, index: u64, gfp: bindings::gfp_t) -> Result<Page> {
        // CAST: A kernel of 64 bits.
        // SAFETY: By the type invariant the mapping is one of shared memory.
        let page =
            unsafe { ours::shmem_read_mapping_page_gfp(self.mapping(), index as usize, gfp) };
        // INVARIANT: The call gave a reference.
        NonNull::new(from_err_ptr(page)?).map(Page).ok_or(ENOMEM)
    }

    /// Stores a page where none is: `copy` fills it. In a swapper; never waits
    /// for memory, nor takes any of the reserves.
    ///
    /// # Errors
    ///
    /// `ENOMEM`, `ENOSPC`; those of `copy`.
    pub(crate) fn store(&self, index: u64, copy: impl FnOnce(&mut PageBytes) -> Result) -> Result {
        let mut page = self.page(index, ours::STORE_GFP_SPARE)?;
        copy(page.bytes_mut())?;
        page.set_dirty();
        Ok(())
    }

    /// Reads a page back. May sleep, for I/O of the kernel's swap too.
    ///
    /// # Errors
    ///
    /// `ENOMEM`; `EIO` if the page was lost.
    pub(crate) fn load(&self, index: u64, to: &mut PageBytes) -> Result {
        let page = self.page(index, ours::STORE_GFP_NOIO)?;
        to.copy_from_slice(page.bytes());
        Ok(())
    }

    /// Frees a page. May sleep.
    pub(crate) fn punch(&self, index: u64) {
        // SAFETY: By the type invariant.
        let inode = unsafe { self.0.as_ref() }.f_inode;
        let Some(first) = index.checked_mul(PAGE_SIZE as u64) else {
            return;
        };
        let last = first | (PAGE_SIZE as u64 - 1);
        // CAST: Inside a file, whose size is an `i64`.
        // SAFETY: The inode is one of shared memory.
        unsafe { ours::shmem_truncate_range(inode, first as i64, last) };
    }
}

impl Drop for SharedMemory {
    fn drop(&mut self) {
        // SAFETY: By the type invariant there is a reference to give up.
        unsafe { bindings::fput(self.0.as_ptr()) };
    }
}

/// A page of such a file.
///
/// # Invariants
///
/// The pointer is that of a page, of which this value owns a reference. Nobody
/// else writes to it: only the driver has the file, stores a page once, and
/// frees none that it reads.
struct Page(NonNull<bindings::page>);

impl Page {
    fn address(&self) -> NonNull<PageBytes> {
        // SAFETY: By the type invariant. The crate swapvma_driver is for kernels
        // whose pages all have an address.
        let address = unsafe { bindings::kmap_local_page(self.0.as_ptr()) };
        // SAFETY: As above.
        unsafe { NonNull::new_unchecked(address.cast()) }
    }

    fn bytes(&self) -> &PageBytes {
        // SAFETY: By the type invariant nobody writes to it.
        unsafe { self.address().as_ref() }
    }

    fn bytes_mut(&mut self) -> &mut PageBytes {
        // SAFETY: By the type invariant nobody else writes to it; the kernel
        // reads none that is clean.
        unsafe { self.address().as_mut() }
    }

    fn set_dirty(&self) {
        // SAFETY: By the type invariant; the reference keeps it in its file.
        unsafe { bindings::set_page_dirty(self.0.as_ptr()) };
    }
}

impl Drop for Page {
    fn drop(&mut self) {
        // SAFETY: By the type invariant there is a reference to give up.
        unsafe { ours::store_put_page(self.0.as_ptr()) };
    }
}
