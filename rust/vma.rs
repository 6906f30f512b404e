// SPDX-License-Identifier: GPL-2.0

//! VMAs: mappings of a region.
//!
//! A VMA record is the subsystem's own object behind `vm_private_data`, shared
//! by the copies that split and fork make. It does not know its range, because
//! adjacent mappings merge, grow and shrink without a callback: the range is the
//! VMA's when `close` comes.
//!
//! C header: [`include/linux/mm.h`](srctree/include/linux/mm.h)

use crate::{
    attached::{
        Attached,
        DRIVERS_MAX, //
    },
    bindings as ours,
    error::Result,
    fault::{
        self,
        Vmf, //
    },
    fs::{
        region_of,
        Operations, //
    },
    region::Region,
    report, //
};
use core::{
    cell::UnsafeCell,
    ops::Range,
    ptr::NonNull, //
};
use kernel::{
    bindings,
    prelude::*,
    sync::{
        Arc,
        ArcBorrow, //
    },
    time::{
        Instant,
        Monotonic, //
    },
};

/// What a VMA and its copies share.
pub(crate) struct VmaRecord {
    waits: crate::atomic::Word,
    /// The drivers that know of the mapping, by [`Attached::id`].
    told: [u64; DRIVERS_MAX],
}

impl VmaRecord {
    fn new(region: &Region) -> Self {
        let mut told = [0; DRIVERS_MAX];
        let mut places = told.iter_mut();
        region.drivers.for_each(|attached| {
            if let Some(place) = places.next() {
                *place = attached.id();
            }
        });
        Self {
            waits: crate::atomic::Word::new(0),
            told,
        }
    }

    /// Calls `tell` for each driver that knows of the mapping: one that joined
    /// the region later does not.
    fn for_each(&self, region: &Region, tell: impl Fn(&Attached)) {
        region.drivers.for_each(|attached| {
            if self.told.contains(&attached.id()) {
                tell(attached);
            }
        });
    }
}

static VM_OPERATIONS: Operations<bindings::vm_operations_struct> =
    Operations(UnsafeCell::new(bindings::vm_operations_struct {
        open: Some(open),
        close: Some(close),
        fault: Some(fault_thunk),
        map_pages: Some(map_pages),
        page_mkwrite: Some(page_mkwrite),
        ..pin_init::zeroed()
    }));

/// Maps `region` into a new VMA, whose file is the region's.
///
/// # Safety
///
/// Called from `->mmap` with the VMA that is being set up.
pub(crate) unsafe fn map(region: &Region, vma: *mut bindings::vm_area_struct) -> Result {
    let record = Arc::new(VmaRecord::new(region), GFP_KERNEL_ACCOUNT)?;
    // SAFETY: By the safety requirement.
    unsafe {
        (*vma).vm_ops = VM_OPERATIONS.get();
        (*vma).vm_private_data = Arc::into_raw(record.clone()).cast_mut().cast();
    }
    region.mappings.add(1);
    // SAFETY: By the safety requirement.
    let pages = unsafe { range(vma) };
    record.for_each(region, |attached| {
        attached.vma_open(pages.start, pages.end - pages.start);
    });
    Ok(())
}

/// Whether a VMA is a mapping of a region already.
///
/// # Safety
///
/// `vma` is valid and its lock is held.
pub(crate) unsafe fn is_mapped(vma: *mut bindings::vm_area_struct) -> bool {
    // SAFETY: By the safety requirement.
    unsafe { (*vma).vm_ops == VM_OPERATIONS.get().cast_const() }
}

/// Returns the pages that a VMA maps.
///
/// # Safety
///
/// `vma` is valid and its lock is held.
unsafe fn range(vma: *mut bindings::vm_area_struct) -> Range<u64> {
    // SAFETY: By the safety requirement.
    let (first, count) = unsafe { ((*vma).vm_pgoff, ours::swapvma_vma_pages(vma)) };
    first as u64..(first as u64).saturating_add(count)
}

/// # Safety
///
/// Called by the core for a copy of a VMA of ours, with mmap_lock held for
/// write.
unsafe extern "C" fn open(vma: *mut bindings::vm_area_struct) {
    // SAFETY: The copy's `vm_private_data` is that of the original, which
    // holds a reference.
    let record: Arc<VmaRecord> =
        unsafe { ArcBorrow::from_raw((*vma).vm_private_data as *const VmaRecord) }.into();
    // SAFETY: The VMA's file is a region's.
    let (region, pages) = unsafe { (region_of((*vma).vm_file), range(vma)) };
    region.mappings.add(1);
    record.for_each(region, |attached| {
        attached.vma_open(pages.start, pages.end - pages.start);
    });
    // The copy owns what was taken above.
    let _ = Arc::into_raw(record);
}

/// Waits until no batch that was in flight for the VMA is with the driver: what
/// `do_munmap` was to do in the 1999 proposal. The page tables of the range are
/// empty by now and `i_mmap` has forgotten the VMA.
///
/// # Safety
///
/// Called by the core, once for each VMA of ours, with mmap_lock held.
unsafe extern "C" fn close(vma: *mut bindings::vm_area_struct) {
    // SAFETY: By the safety requirement; `map` and `open` stored a reference.
    let record = unsafe { Arc::from_raw((*vma).vm_private_data as *const VmaRecord) };
    // SAFETY: The VMA's file is a region's.
    let (region, pages) = unsafe { (region_of((*vma).vm_file), range(vma)) };
    if region.drivers.is_swapper() {
        // A callback dropped the last reference to an mm or a file. It would
        // wait for itself.
        kernel::pr_err_once!("a driver unmaps from its swapout: use mmput_async()\n");
    } else {
        let start = Instant::<Monotonic>::now();
        let begin = || report::munmap_wait_begin(region.id, &pages, region.in_swapout());
        if region.wait_flights_after(pages.clone(), begin) {
            record.waits.count(1);
            region.counters.munmap_waits.count(1);
            let waited = u64::try_from(start.elapsed().as_nanos()).unwrap_or(0);
            region.counters.munmap_wait_ns.count(waited);
            report::munmap_wait_end(region.id, &pages, waited);
        }
    }
    record.for_each(region, |attached| {
        attached.vma_close(pages.start, pages.end - pages.start);
    });
    region.mappings.sub(1);
}

/// # Safety
///
/// Called by the core with a valid `vmf`, under mmap_lock or the VMA lock.
unsafe extern "C" fn fault_thunk(vmf: *mut bindings::vm_fault) -> bindings::vm_fault_t {
    match NonNull::new(vmf) {
        // SAFETY: By the safety requirement.
        Some(vmf) => fault::fault(unsafe { Vmf::from_raw(vmf) }),
        None => bindings::vm_fault_reason_VM_FAULT_SIGBUS,
    }
}

/// # Safety
///
/// As [`fault_thunk`].
unsafe extern "C" fn page_mkwrite(vmf: *mut bindings::vm_fault) -> bindings::vm_fault_t {
    match NonNull::new(vmf) {
        // SAFETY: By the safety requirement.
        Some(vmf) => fault::page_mkwrite(unsafe { Vmf::from_raw(vmf) }),
        None => bindings::vm_fault_reason_VM_FAULT_SIGBUS,
    }
}

/// The core asks for it before it calls `->fault` under the VMA lock. It may not
/// sleep, and thus not map: `->fault` maps the neighbours itself.
///
/// # Safety
///
/// None.
unsafe extern "C" fn map_pages(
    _vmf: *mut bindings::vm_fault,
    _first: c_ulong,
    _last: c_ulong,
) -> bindings::vm_fault_t {
    0
}
