// SPDX-License-Identifier: GPL-2.0

//! Ranges that user space names: bytes in, pages out, nothing unchecked.
//!
//! This file is pure logic: the same source runs on the host.

use crate::{
    error::{
        code,
        Result, //
    },
    limit, table,
};
use core::ops::Range;

/// Bytes of a page.
pub(crate) const PAGE_BYTES: u64 = 4096;

/// Pages that hold `bytes`, rounded up.
pub(crate) fn pages_of(bytes: u64) -> u64 {
    bytes.div_ceil(PAGE_BYTES)
}

/// Checks the size of a new region and returns it in pages.
///
/// # Errors
///
/// `EINVAL` for 0 or a size that is no multiple of the page size; `EFBIG` for
/// more than a table can address.
pub(crate) fn region_pages(bytes: u64) -> Result<u64> {
    if bytes == 0 || bytes % PAGE_BYTES != 0 {
        return Err(code::EINVAL);
    }
    let pages = bytes / PAGE_BYTES;
    if pages > table::MAX_PAGES {
        return Err(code::EFBIG);
    }
    Ok(pages)
}

/// Checks a range of a region of `size` bytes and returns its pages.
///
/// # Errors
///
/// `EINVAL` for a length of 0, an offset or a length that is no multiple of the
/// page size, and a range that overflows or ends past the size.
pub(crate) fn page_range(offset: u64, length: u64, size: u64) -> Result<Range<u64>> {
    if length == 0 || offset % PAGE_BYTES != 0 || length % PAGE_BYTES != 0 {
        return Err(code::EINVAL);
    }
    let end = offset.checked_add(length).ok_or(code::EINVAL)?;
    if end / PAGE_BYTES > pages_of(size) {
        return Err(code::EINVAL);
    }
    Ok(offset / PAGE_BYTES..end / PAGE_BYTES)
}

/// Returns `bytes` in pages.
///
/// # Errors
///
/// `EINVAL` unless it is a multiple of the page size.
pub(crate) fn whole_pages(bytes: u64) -> Result<u64> {
    if bytes % PAGE_BYTES != 0 {
        return Err(code::EINVAL);
    }
    Ok(bytes / PAGE_BYTES)
}

/// Checks a resident limit in bytes for a region of `size` bytes and returns it
/// in pages.
///
/// # Errors
///
/// `EINVAL` unless it is [`limit::NONE`] or a multiple of the page size between
/// one batch and the size.
pub(crate) fn limit_pages(bytes: u64, size: u64) -> Result<u64> {
    if bytes == limit::NONE {
        return Ok(limit::NONE);
    }
    let pages = bytes / PAGE_BYTES;
    if bytes % PAGE_BYTES != 0 || bytes > size || pages < limit::BATCH_PAGES as u64 {
        return Err(code::EINVAL);
    }
    Ok(pages)
}
