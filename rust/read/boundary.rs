// SPDX-License-Identifier: GPL-2.0

//! What a driver calls for a read, across the boundary.
//!
//! C header: `include/swapvma/driver.h`

use super::Read;
use crate::bindings as ours;
use core::ffi::c_void;
use kernel::{
    ffi::c_int,
    sync::Arc, //
};

/// Turns the boundary's opaque read into ours.
///
/// # Safety
///
/// `read` is what `swapin` was called with, not yet completed.
unsafe fn from_c<'a>(read: *const ours::swapvma_read) -> &'a Read {
    // SAFETY: By the safety requirement; the token is a reference to a `Read`.
    unsafe { &*read.cast::<Read>() }
}

/// # Safety
///
/// As [`from_c`].
#[no_mangle]
unsafe extern "C" fn swapvma_read_index(read: *const ours::swapvma_read) -> u64 {
    // SAFETY: By the safety requirement.
    unsafe { from_c(read) }.index
}

/// # Safety
///
/// As [`from_c`].
#[no_mangle]
unsafe extern "C" fn swapvma_read_slot(read: *const ours::swapvma_read) -> u64 {
    // SAFETY: By the safety requirement.
    unsafe { from_c(read) }.source.get()
}

/// # Safety
///
/// As [`from_c`].
#[no_mangle]
unsafe extern "C" fn swapvma_read_length(read: *const ours::swapvma_read) -> u32 {
    // SAFETY: By the safety requirement.
    unsafe { from_c(read) }.length.load() as u32
}

/// # Safety
///
/// As [`from_c`].
#[no_mangle]
unsafe extern "C" fn swapvma_read_page(
    read: *const ours::swapvma_read,
) -> *mut kernel::bindings::page {
    // SAFETY: By the safety requirement.
    unsafe { from_c(read) }.page.load() as *mut kernel::bindings::page
}

/// # Safety
///
/// As [`from_c`]; `from` is valid for a page.
#[no_mangle]
unsafe extern "C" fn swapvma_read_fill(read: *mut ours::swapvma_read, from: *const c_void) {
    // SAFETY: By the safety requirement.
    let page = unsafe { swapvma_read_page(read) };
    // SAFETY: The page is this read's, and nobody else's; the rest by the safety
    // requirement.
    unsafe { ours::swapvma_page_fill(page, from) };
}

/// # Safety
///
/// As [`from_c`]; the read is not touched afterwards.
#[no_mangle]
unsafe extern "C" fn swapvma_read_complete(read: *mut ours::swapvma_read, error: c_int) {
    // SAFETY: By the safety requirement the token's reference is given back.
    let read = unsafe { Arc::from_raw(read.cast::<Read>().cast_const()) };
    read.complete(error);
}
