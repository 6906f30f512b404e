// SPDX-License-Identifier: GPL-2.0

//! Compression: the codecs of the kernel's crypto API, used synchronously.
//!
//! A call allocates nothing and does not sleep: the request is on the stack,
//! the codec works in a context per CPU, under a spinlock that also disables
//! softirqs. A CPU that has no context yet borrows that of the first CPU while
//! a work item allocates one.
//!
//! C header: [`include/crypto/acompress.h`](srctree/include/crypto/acompress.h)

use crate::{
    bindings as ours,
    error::{
        code,
        Error,
        Result, //
    },
    zsmalloc::Scatter, //
};
use core::ptr::NonNull;
use kernel::{
    error::from_err_ptr,
    prelude::*,
    str::CStr, //
};

/// A codec.
///
/// # Invariants
///
/// The pointer is a transformation that this value owns. Its algorithm is
/// synchronous and takes any kernel address.
pub(crate) struct Acomp(NonNull<ours::crypto_acomp>);

// SAFETY: A transformation belongs to no task.
unsafe impl Send for Acomp {}
// SAFETY: Requests only read the transformation; the codec locks its contexts.
unsafe impl Sync for Acomp {}

impl Acomp {
    /// Finds a codec by its name in `/proc/crypto`. May sleep and load a
    /// module.
    ///
    /// # Errors
    ///
    /// `ENOENT` if the kernel has no such codec, or only one that is
    /// asynchronous.
    pub(crate) fn new(name: &CStr) -> Result<Self> {
        // SAFETY: `name` is a C string, which is only read.
        let tfm = from_err_ptr(unsafe { ours::swapvma_acomp_alloc(name.as_char_ptr()) })?;
        // INVARIANT: The helper asks for those algorithms only.
        NonNull::new(tfm).map(Self).ok_or(code::ENOENT)
    }

    /// Compresses `from` into `to` and returns the bytes written. Any context
    /// but hard interrupt; does not sleep.
    ///
    /// # Errors
    ///
    /// Some error if the result does not fit; the content of `to` is undefined
    /// then.
    pub(crate) fn compress(&self, from: &[u8], to: &mut [u8]) -> Result<usize> {
        let from_len = u32::try_from(from.len())?;
        let to_len = u32::try_from(to.len())?;
        // SAFETY: By the type invariant the transformation is alive and the
        // call ends before it returns; both slices are valid for it.
        length(unsafe {
            ours::swapvma_acomp_compress(
                self.0.as_ptr(),
                from.as_ptr(),
                from_len,
                to.as_mut_ptr(),
                to_len,
            )
        })
    }

    /// Decompresses `from` into `to` and returns the bytes written. Any context
    /// but hard interrupt; does not sleep.
    ///
    /// # Errors
    ///
    /// Some error if `from` is not what [`Acomp::compress`] wrote, as far as
    /// the codec notices, or holds more than `to`; the content of `to` is
    /// undefined then.
    pub(crate) fn decompress(&self, from: &Scatter<'_>, to: &mut [u8]) -> Result<usize> {
        let from_len = u32::try_from(from.len())?;
        let to_len = u32::try_from(to.len())?;
        // SAFETY: By the type invariant the transformation is alive and the
        // call ends before it returns; `from` lists `from_len` bytes, which
        // are only read, and `to` is valid for writing.
        length(unsafe {
            ours::swapvma_acomp_decompress(
                self.0.as_ptr(),
                from.as_ptr(),
                from_len,
                to.as_mut_ptr(),
                to_len,
            )
        })
    }

    /// As [`Acomp::decompress`], from bytes that follow one another.
    ///
    /// # Errors
    ///
    /// Those of [`Acomp::decompress`].
    pub(crate) fn decompress_bytes(&self, from: &[u8], to: &mut [u8]) -> Result<usize> {
        let from_len = u32::try_from(from.len())?;
        let to_len = u32::try_from(to.len())?;
        // SAFETY: By the type invariant the transformation is alive and the
        // call ends before it returns; both slices are valid for it.
        length(unsafe {
            ours::swapvma_acomp_decompress_bytes(
                self.0.as_ptr(),
                from.as_ptr(),
                from_len,
                to.as_mut_ptr(),
                to_len,
            )
        })
    }
}

impl Drop for Acomp {
    /// May sleep.
    fn drop(&mut self) {
        // SAFETY: By the type invariant this value owns the transformation.
        unsafe { ours::swapvma_acomp_free(self.0.as_ptr()) };
    }
}

/// Splits what the helpers return into a length and an error.
#[inline]
fn length(result: c_int) -> Result<usize> {
    usize::try_from(result).map_err(|_| Error::from_errno(result))
}
