// SPDX-License-Identifier: GPL-2.0

//! Priming: the order of the locks is on record before anything runs.
//!
//! Lockdep knows an order from when it was taken, and reports the wrong one as
//! soon as both were. So when the module is loaded, each lock that is held over an
//! allocation, and each that reclaim can reach, is taken once in its place, on a
//! region that exists for nothing else, as `drivers/dma-buf/dma-resv.c` does.
//! Whoever takes one of them in the wrong order later is the second. What is taken
//! nowhere near an allocation is taken, too, so that `/proc/lockdep` has every lock
//! from then on.
//!
//! `Documentation/locking.rst` has the order.

use crate::{
    batch::Operation,
    candidates::Candidates,
    deadline,
    device,
    driver,
    entry::{
        State,
        Stored, //
    },
    error::Result,
    folio::{
        Effort,
        NewPage, //
    },
    fs::OpenFile,
    handle,
    integrity::{
        self,
        Integrity, //
    },
    lockdep::{
        self,
        FaultLock,
        FaultLockKind,
        FolioLock,
        Reclaim, //
    },
    owner::Target,
    populate,
    record::Age,
    region::OpenRegion,
    regions,
    seal::Mode,
    swapout,
    swapper,
    wait::Signals,
    window, //
};

/// A region whose release does not outlast the load of the module.
struct Probe(Option<OpenFile>);

impl Drop for Probe {
    fn drop(&mut self) {
        if let Some(file) = self.0.take() {
            file.release_now();
        }
    }
}

/// Takes the locks. At module load, when the driver `ram` is there and nobody else
/// can come in. May sleep and allocate.
pub(crate) fn run() -> Result {
    if !cfg!(CONFIG_PROVE_LOCKING) {
        return Ok(());
    }
    let probe = {
        let _fault = FaultLock::enter(FaultLockKind::Mm);
        Probe(Some(device::prime()?))
    };
    let Some(file) = &probe.0 else { return Ok(()) };
    let region = file.open_region();
    drop(populate::obtain(&region, 0)?);
    held_over_allocations(&region);
    reached_from_reclaim(&region);
    // A driver may allocate while its caller has windows.
    window::prime(|| drop(Reclaim::enter()))?;
    with_integrity(&region)?;
    handle::prime()?;
    out_and_in(&region)
}

/// The first list: an allocation may enter reclaim under these, so that none of
/// them is taken there.
fn held_over_allocations(region: &OpenRegion) {
    for kind in [FaultLockKind::Mm, FaultLockKind::Vma] {
        let _fault = FaultLock::enter(kind);
        drop(Reclaim::enter());
        lockdep::wait_for_page();
        // As munmap does.
        region.wait_flights(0..u64::MAX);
        region.prime();
    }
    region.file.locked(|| {
        drop(Reclaim::enter());
        lockdep::wait_for_page();
        region.prime();
        region.mapping().unmap(0, 1, false);
    });
    {
        // Mapping a page allocates a page table; taking it out of memory unmaps.
        let _folio = FolioLock::enter();
        drop(Reclaim::enter());
        region.mapping().unmap(0, 1, false);
        region.prime();
    }
    driver::prime(|| {
        drop(Reclaim::enter());
        region.prime();
        regions::count();
        deadline::arm();
    });
}

/// The second list: what the shrinker takes, in its order. No allocation that may
/// reclaim is made under any of these.
fn reached_from_reclaim(region: &OpenRegion) {
    let _reclaim = Reclaim::enter();
    regions::count();
    // What a driver allocates in swapout is hidden from lockdep by PF_MEMALLOC.
    // With this order on record, a lock that swapout waits for, and that somebody
    // holds over an allocation, is a cycle all the same.
    lockdep::wait_for_swapper();
    region.mapping().unmap(0, 1, false);
    let mut candidates = Candidates::new();
    candidates.push(0);
    region.ages.walk(Age::Young, 1, |_| ());
    let target = Target {
        nid: 0,
        cgroup: core::ptr::null_mut(),
    };
    target.pages();
    drop(target.next_regions());
    swapout::drop_clean(region, &mut candidates);
    region.prime();
    driver::prime_queues(region);
}

/// What only regions with checksums or encryption take.
fn with_integrity(region: &OpenRegion) -> Result {
    let integrity = Integrity::new(Mode::Checksum)?;
    let locked = region.table.lock(0);
    integrity.seal_of(0);
    drop(locked);
    drop(integrity);
    // Its windows are for regions that somebody made.
    integrity::exit();
    Ok(())
}

/// What a swapper and a reader take: the driver `ram` stores a page, and one reads it
/// for another.
fn out_and_in(region: &OpenRegion) -> Result {
    let mut content = NewPage::new(true, Effort::Firm)?;
    // A page of zeroes would not get to the driver.
    content
        .bytes()
        .last_mut()
        .into_iter()
        .for_each(|byte| *byte = 1);
    let page = populate::obtain(region, 0)?;
    page.copy_from(&content.into_folio())?;
    page.set_dirty();
    drop(page);
    swapper::request(region, Operation::Swapout, 0..1, Signals::Kill)?;
    if let State::Swapped(Stored::Slot(slot)) = region.table.peek(0) {
        region.residency.force_reserve();
        if let Some((read, target)) = populate::start(region, 0, slot, Effort::Firm, None)? {
            read.run_elsewhere(region.clone(), target);
        }
    }
    drop(populate::obtain(region, 0)?);
    Ok(())
}
