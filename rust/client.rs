// SPDX-License-Identifier: GPL-2.0

//! Regions for other modules: what `include/swapvma/region.h` offers.
//!
//! To another module a region is a reference to its file. Pins keep pages in
//! memory as those of GUP do, and are told apart from other references the same
//! way, so that the swapper leaves them alone.

use crate::{
    account::Payer,
    attached::{
        Attached,
        Wanted, //
    },
    bindings as ours,
    device,
    error::{
        code,
        Error,
        Result, //
    },
    folio::Folio,
    fs::{
        self,
        OpenFile, //
    },
    populate,
    range::{
        limit_pages,
        region_pages, //
    },
    region::OpenRegion,
    vma, //
};
use core::ptr::{
    self,
    NonNull, //
};
use kernel::{
    bindings,
    prelude::*,
    str::CStr, //
};

/// Returns a string of the caller, or an empty one for null.
///
/// # Safety
///
/// `string` is null or a NUL-terminated string that lives for `'a`.
unsafe fn string<'a>(string: *const c_char) -> &'a CStr {
    if string.is_null() {
        return c"";
    }
    // SAFETY: By the safety requirement.
    unsafe { CStr::from_char_ptr(string) }
}

fn create(params: &ours::swapvma_region_params) -> Result<OpenFile> {
    if params.size as usize != size_of::<ours::swapvma_region_params>()
        || params.version != ours::SWAPVMA_ABI_VERSION
    {
        pr_err!(
            "region of version {} ({} bytes), this is version {} ({} bytes)\n",
            params.version,
            params.size,
            ours::SWAPVMA_ABI_VERSION,
            size_of::<ours::swapvma_region_params>()
        );
        return Err(code::EINVAL);
    }
    let mode = device::mode(params.flags)?;
    let pages = region_pages(params.bytes)?;
    let limit = limit_pages(params.limit, params.bytes)?;
    // SAFETY: By the boundary, these are null or strings.
    let (driver, algorithm, options) = unsafe {
        (
            string(params.driver),
            string(params.algorithm),
            string(params.options),
        )
    };
    let wanted = Wanted {
        driver,
        algorithm,
        options,
    };
    // SAFETY: By the boundary, the owner is the calling module.
    let owner = unsafe { fs::Owner::take(params.owner) }.ok_or(code::ENODEV)?;
    let attached = Attached::new(&wanted, pages, Payer::of_current()?)?;
    let file = fs::create(attached, params.bytes, limit, mode)?;
    file.region().file.set_owner(owner);
    Ok(file)
}

/// Borrows a region that another module has.
///
/// # Safety
///
/// `region` is what [`swapvma_region_create`] returned, not yet given back.
unsafe fn open(region: *mut ours::swapvma_region) -> Option<OpenRegion> {
    let file = NonNull::new(region.cast::<bindings::file>())?;
    // SAFETY: By the safety requirement.
    Some(unsafe { fs::open_region(file) })
}

/// Checks that a region has `count` pages from `first`.
fn check(region: &OpenRegion, first: u64, count: u64) -> Result {
    let end = first.checked_add(count).ok_or(code::EINVAL)?;
    if end > region.pages() {
        return Err(code::EINVAL);
    }
    Ok(())
}

/// Pins pages; on an error none.
fn pin(region: &OpenRegion, first: u64, pages: &mut [*mut bindings::page]) -> Result {
    check(region, first, pages.len() as u64)?;
    for i in 0..pages.len() {
        match pin_one(region, first + i as u64) {
            Ok(page) => {
                if let Some(place) = pages.get_mut(i) {
                    *place = page;
                }
            }
            Err(error) => {
                unpin(region, pages.get(..i).unwrap_or_default(), false);
                return Err(error);
            }
        }
    }
    Ok(())
}

/// Brings a page into memory and pins it there, out of any batch in flight.
fn pin_one(region: &OpenRegion, index: u64) -> Result<*mut bindings::page> {
    let page = populate::obtain(region, index)?;
    // From here on it is not evicted; a batch that has it must not store what
    // a device is about to change.
    page.pin();
    region.make_dirty(index, &page);
    // SAFETY: The folio is valid.
    Ok(unsafe { ours::swapvma_folio_page(page.as_ptr()) })
}

fn unpin(region: &OpenRegion, pages: &[*mut bindings::page], dirty: bool) {
    for &page in pages {
        // SAFETY: By the boundary, the page is pinned.
        let folio = unsafe { ours::swapvma_page_folio(page) };
        let Some(folio) = NonNull::new(folio) else {
            continue;
        };
        // SAFETY: The pin is a reference.
        let folio = unsafe { Folio::get(folio) };
        if dirty {
            let page = folio.lock();
            if region.owns(&page) {
                region.make_dirty(page.index(), &page);
            }
            page.unpin();
        } else {
            folio.unpin();
        }
    }
    region.wait.wake_all();
}

/// # Safety
///
/// `params` is valid; see the header.
#[no_mangle]
unsafe extern "C" fn swapvma_region_create(
    params: *const ours::swapvma_region_params,
) -> *mut ours::swapvma_region {
    // SAFETY: By the safety requirement.
    let result = match unsafe { params.as_ref() } {
        Some(params) => create(params),
        None => {
            pr_err!("a region without parameters\n");
            Err(code::EINVAL)
        }
    };
    match result {
        Ok(file) => file.into_raw().cast(),
        Err(error) => Error::to_ptr(error),
    }
}

/// # Safety
///
/// `region` is what [`swapvma_region_create`] returned, and not used afterwards.
#[no_mangle]
unsafe extern "C" fn swapvma_region_put(region: *mut ours::swapvma_region) {
    let file: Result<*mut ours::swapvma_region> = kernel::error::from_err_ptr(region);
    if let Some(file) = file.ok().and_then(NonNull::new) {
        // SAFETY: By the safety requirement the caller gives up its reference.
        unsafe { bindings::fput(file.as_ptr().cast()) };
    }
}

/// # Safety
///
/// Called from `->mmap` with the VMA that is being set up.
#[no_mangle]
unsafe extern "C" fn swapvma_region_mmap(
    region: *mut ours::swapvma_region,
    area: *mut bindings::vm_area_struct,
    first: u64,
) -> c_int {
    // SAFETY: By the safety requirement.
    let Some(open) = (unsafe { open(region) }) else {
        return code::EINVAL.to_errno();
    };
    // SAFETY: As above.
    let count = unsafe { ours::swapvma_vma_pages(area) };
    if let Err(error) = check(&open, first, count) {
        return error.to_errno();
    }
    // SAFETY: As above.
    if unsafe { vma::is_mapped(area) } {
        return code::EINVAL.to_errno();
    }
    // SAFETY: As above.
    unsafe { bindings::vma_set_file(area, region.cast()) };
    // SAFETY: As above; nobody else sees the VMA yet.
    unsafe { (*area).vm_pgoff = first as usize };
    // SAFETY: As above.
    match unsafe { vma::map(&open, area) } {
        Ok(()) => 0,
        Err(error) => error.to_errno(),
    }
}

/// # Safety
///
/// `pages` has room for `count` pages; see the header.
#[no_mangle]
unsafe extern "C" fn swapvma_region_pin(
    region: *mut ours::swapvma_region,
    first: u64,
    count: u32,
    pages: *mut *mut bindings::page,
) -> c_int {
    // SAFETY: By the safety requirement.
    let Some(open) = (unsafe { open(region) }) else {
        return code::EINVAL.to_errno();
    };
    if count == 0 {
        // There need not be a place for pages.
        return 0;
    }
    // SAFETY: As above.
    unsafe { ptr::write_bytes(pages, 0, count as usize) };
    // SAFETY: As above; the pages are null now.
    let pages = unsafe { core::slice::from_raw_parts_mut(pages, count as usize) };
    if let Err(error) = pin(&open, first, pages) {
        return error.to_errno();
    }
    for _ in 0..count {
        // SAFETY: The region is a file; `swapvma_region_unpin` gives this back.
        unsafe { ours::swapvma_get_file(region.cast()) };
    }
    0
}

/// # Safety
///
/// `pages` are pages of the region that are pinned and not used afterwards; see the
/// header.
#[no_mangle]
unsafe extern "C" fn swapvma_region_unpin(
    region: *mut ours::swapvma_region,
    pages: *mut *mut bindings::page,
    count: u32,
    dirty: bool,
) {
    if count == 0 {
        // Nor pins that hold the region.
        return;
    }
    // SAFETY: By the safety requirement.
    if let Some(open) = unsafe { open(region) } {
        // SAFETY: As above.
        let pages = unsafe { core::slice::from_raw_parts(pages.cast_const(), count as usize) };
        unpin(&open, pages, dirty);
        for _ in 0..count {
            // SAFETY: `swapvma_region_pin` took a reference for each page.
            unsafe { bindings::fput(region.cast()) };
        }
    }
}

#[kunit_tests(swapvma_client)]
mod tests {
    use super::*;
    use crate::{
        api,
        folio::PAGE_SIZE,
        regions, //
    };
    use kernel::time::{
        delay::fsleep,
        Delta, //
    };

    fn region_of(pages: u64) -> Result<*mut ours::swapvma_region> {
        let params = ours::swapvma_region_params {
            size: size_of::<ours::swapvma_region_params>() as u32,
            version: ours::SWAPVMA_ABI_VERSION,
            bytes: pages * PAGE_SIZE as u64,
            limit: u64::MAX,
            flags: 0,
            driver: ptr::null(),
            algorithm: ptr::null(),
            options: ptr::null(),
            owner: ptr::null_mut(),
        };
        // SAFETY: The parameters are valid.
        kernel::error::from_err_ptr(unsafe { swapvma_region_create(&params) })
    }

    /// Waits until there are `count` regions: the last one may be put later.
    fn are_left(count: u64) -> bool {
        (0..1000).any(|_| {
            fsleep(Delta::from_millis(10));
            regions::count() == count
        })
    }

    #[test]
    fn a_pin_outlives_the_region() -> Result {
        let before = regions::count();
        let region = region_of(2)?;
        let mut page = ptr::null_mut();
        // SAFETY: The region was just created; there is room for one page.
        let result = unsafe { swapvma_region_pin(region, 1, 1, &mut page) };
        assert_eq!(result, 0);
        // SAFETY: As above; it is used through its pin alone from here on.
        unsafe { swapvma_region_put(region) };
        assert_eq!(regions::count(), before + 1);
        // SAFETY: The page is pinned.
        let data = unsafe { ours::swapvma_folio_address(ours::swapvma_page_folio(page)) };
        // SAFETY: As above, and nobody else has the region.
        unsafe { data.cast::<u8>().write_bytes(1, PAGE_SIZE) };
        fsleep(Delta::from_millis(100));
        assert_eq!(regions::count(), before + 1);
        // SAFETY: The page is pinned.
        unsafe { swapvma_region_unpin(region, &mut page, 1, true) };
        assert!(are_left(before));
        Ok(())
    }

    #[test]
    fn pinned_pages_are_kept_without_the_region() -> Result {
        let before = regions::count();
        let region = api::Region::new(None, &api::Params::new(2 * PAGE_SIZE as u64))?;
        let (mut one, none) = (region.pin(1, 1)?, region.pin(1, 0)?);
        drop(region);
        let mut byte = [0];
        one.copy_from(0, 7, &[1])?;
        fsleep(Delta::from_millis(100));
        assert_eq!(regions::count(), before + 1);
        one.copy_to(0, 7, &mut byte)?;
        assert_eq!(byte, [1]);
        drop(one);
        assert!(are_left(before));
        drop(none);
        Ok(())
    }

    #[test]
    fn what_cannot_be_pinned_changes_nothing() -> Result {
        let before = regions::count();
        let region = region_of(1)?;
        let mut pages = [ptr::null_mut(); 2];
        // SAFETY: The region was just created; there is room for two pages.
        let result = unsafe { swapvma_region_pin(region, 0, 2, pages.as_mut_ptr()) };
        assert_eq!(result, code::EINVAL.to_errno());
        assert!(pages.iter().all(|page| page.is_null()));
        // SAFETY: As above; it is not used afterwards.
        unsafe { swapvma_region_put(region) };
        assert!(are_left(before));
        Ok(())
    }

    #[test]
    fn no_pages_are_pinned() -> Result {
        let before = regions::count();
        let region = region_of(1)?;
        for first in [0, 1, 2, u64::MAX] {
            // SAFETY: The region was just created; no page needs room.
            let result = unsafe { swapvma_region_pin(region, first, 0, ptr::null_mut()) };
            assert_eq!(result, 0);
            // SAFETY: As above; no page is given back.
            unsafe { swapvma_region_unpin(region, ptr::null_mut(), 0, true) };
        }
        // SAFETY: As above; it is not used afterwards.
        unsafe { swapvma_region_put(region) };
        assert!(are_left(before));
        // SAFETY: Nothing holds the region, and nothing asks for it.
        unsafe { swapvma_region_unpin(region, ptr::null_mut(), 0, true) };
        Ok(())
    }
}
