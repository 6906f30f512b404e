// SPDX-License-Identifier: GPL-2.0

//! What drivers call to look at a batch and to answer it; `include/swapvma/driver.h`
//! says what each does.

use super::Inner;
use crate::{
    bindings,
    error::code, //
};
use kernel::prelude::*;

/// Turns the boundary's opaque batch into ours.
///
/// # Safety
///
/// `batch` is what `swapout` was called with, not yet completed.
unsafe fn from_c<'a>(batch: *const bindings::swapvma_batch) -> &'a Inner {
    // SAFETY: By the safety requirement; `swapout` gets a pointer to `Inner`.
    unsafe { &*batch.cast::<Inner>() }
}

/// # Safety
///
/// As [`from_c`].
#[no_mangle]
unsafe extern "C" fn swapvma_batch_len(batch: *const bindings::swapvma_batch) -> u32 {
    // SAFETY: By the safety requirement.
    unsafe { from_c(batch) }.len() as u32
}

/// # Safety
///
/// As [`from_c`].
#[no_mangle]
unsafe extern "C" fn swapvma_batch_index(batch: *const bindings::swapvma_batch, i: u32) -> u64 {
    // SAFETY: By the safety requirement.
    unsafe { from_c(batch) }.index(i as usize).unwrap_or(0)
}

/// # Safety
///
/// As [`from_c`].
#[no_mangle]
unsafe extern "C" fn swapvma_batch_page(
    batch: *const bindings::swapvma_batch,
    i: u32,
) -> *mut kernel::bindings::page {
    // SAFETY: By the safety requirement.
    match unsafe { from_c(batch) }.folio(i as usize) {
        // SAFETY: The batch holds a reference to the folio.
        Some(folio) => unsafe { bindings::swapvma_folio_page(folio.as_ptr()) },
        None => core::ptr::null_mut(),
    }
}

/// # Safety
///
/// As [`from_c`]; `to` is valid for a page.
#[no_mangle]
unsafe extern "C" fn swapvma_batch_copy(
    batch: *const bindings::swapvma_batch,
    i: u32,
    to: *mut c_void,
) -> c_int {
    // SAFETY: By the safety requirement.
    let Some(folio) = unsafe { from_c(batch) }.folio(i as usize) else {
        return code::EINVAL.to_errno();
    };
    // SAFETY: The batch holds a reference to the folio; the rest by the safety
    // requirement.
    match unsafe { bindings::swapvma_folio_copy(to, folio.as_ptr()) } {
        0 => 0,
        _ => code::EIO.to_errno(),
    }
}

/// # Safety
///
/// As [`from_c`].
#[no_mangle]
unsafe extern "C" fn swapvma_batch_length(batch: *const bindings::swapvma_batch, i: u32) -> u32 {
    // SAFETY: By the safety requirement.
    unsafe { from_c(batch) }.length(i as usize) as u32
}

/// # Safety
///
/// As [`from_c`].
#[no_mangle]
unsafe extern "C" fn swapvma_batch_answer(
    batch: *mut bindings::swapvma_batch,
    i: u32,
    result: bindings::swapvma_result,
    slot: u64,
) {
    // SAFETY: By the safety requirement.
    unsafe { from_c(batch) }.set_answer(i as usize, result, slot);
}

/// # Safety
///
/// As [`from_c`]; the batch is not touched afterwards.
#[no_mangle]
unsafe extern "C" fn swapvma_batch_complete(batch: *mut bindings::swapvma_batch) {
    // SAFETY: By the safety requirement.
    unsafe { from_c(batch) }.complete();
}

/// # Safety
///
/// As [`from_c`].
#[no_mangle]
unsafe extern "C" fn swapvma_batch_frees(batch: *const bindings::swapvma_batch) -> bool {
    // SAFETY: By the safety requirement.
    unsafe { from_c(batch) }.frees()
}

/// # Safety
///
/// As [`from_c`].
#[no_mangle]
unsafe extern "C" fn swapvma_batch_alloc_page(
    batch: *mut bindings::swapvma_batch,
) -> *mut kernel::bindings::page {
    // SAFETY: By the safety requirement.
    let batch = unsafe { from_c(batch) };
    // SAFETY: No precondition.
    let page = unsafe { bindings::swapvma_spare_page(false) };
    if page.is_null() && batch.take_reserve() {
        // SAFETY: No precondition.
        return unsafe { bindings::swapvma_spare_page(true) };
    }
    page
}
