// SPDX-License-Identifier: GPL-2.0

//! Faults: how the pages of a region come into page tables.
//!
//! A fault returns a locked page, or maps it itself where that is cheaper. It
//! waits for a driver or for the resident limit only after it gave up its lock,
//! unless it may not retry, and never for a write: a page in a batch in flight
//! is mapped again at once, and a store to it cancels its swapout.

use crate::{
    bindings as ours,
    entry::{
        State,
        Stored, //
    },
    error::{
        code,
        Result, //
    },
    folio::{
        Effort,
        Folio,
        Locked, //
    },
    fs,
    lockdep,
    memcg::Stall,
    oom,
    policy,
    populate::{
        bring_in,
        effort,
        headroom,
        make,
        read_ahead,
        start,
        wait_for_limit, //
    },
    read::{
        Read,
        Target, //
    },
    region::{
        Found,
        OpenRegion,
        Region, //
    },
    swapper,
    wait::Signals, //
};
use core::ptr::NonNull;
use kernel::{
    bindings,
    sync::Arc, //
};

type Outcome = bindings::vm_fault_t;

const LOCKED: Outcome = bindings::vm_fault_reason_VM_FAULT_LOCKED;
const NOPAGE: Outcome = bindings::vm_fault_reason_VM_FAULT_NOPAGE;
const RETRY: Outcome = bindings::vm_fault_reason_VM_FAULT_RETRY;
const MAJOR: Outcome = bindings::vm_fault_reason_VM_FAULT_MAJOR;
const OOM: Outcome = bindings::vm_fault_reason_VM_FAULT_OOM;
const SIGBUS: Outcome = bindings::vm_fault_reason_VM_FAULT_SIGBUS;
const HWPOISON: Outcome = bindings::vm_fault_reason_VM_FAULT_HWPOISON;

/// A fault under way, and the mmap_lock or VMA lock that it holds.
///
/// # Invariants
///
/// Points at a valid `vm_fault` of a VMA of ours, whose lock is held.
pub(crate) struct Vmf(NonNull<bindings::vm_fault>);

impl Vmf {
    /// Wraps a fault.
    ///
    /// # Safety
    ///
    /// The invariants hold, and nobody else uses `vmf` meanwhile.
    pub(crate) unsafe fn from_raw(vmf: NonNull<bindings::vm_fault>) -> Self {
        // INVARIANT: By the safety requirement.
        Self(vmf)
    }

    fn raw(&self) -> &bindings::vm_fault {
        // SAFETY: By the type invariant.
        unsafe { self.0.as_ref() }
    }

    fn file(&self) -> *mut bindings::file {
        // SAFETY: By the type invariant the VMA is there.
        unsafe { (*self.raw().__bindgen_anon_1.vma).vm_file }
    }

    fn region(&self) -> &Region {
        // SAFETY: The VMA holds the region's file while its lock is held.
        unsafe { fs::region_of(self.file()) }
    }

    fn open_region(&self) -> Option<OpenRegion> {
        // SAFETY: As in `region`.
        NonNull::new(self.file()).map(|file| unsafe { fs::open_region(file) })
    }

    fn index(&self) -> u64 {
        self.raw().__bindgen_anon_1.pgoff as u64
    }

    fn has_flag(&self, flag: bindings::fault_flag) -> bool {
        self.raw().flags & flag != 0
    }

    /// Whether the page may be mapped here: the mapping is shared, and nothing
    /// of the page table has to be kept, as after userfaultfd's write protection.
    fn may_insert(&self) -> bool {
        // SAFETY: By the type invariant.
        unsafe { ours::swapvma_vmf_may_insert(self.0.as_ptr()) }
    }

    /// Whether the fault may give up its lock and come again.
    fn may_retry(&self) -> bool {
        self.has_flag(bindings::fault_flag_FAULT_FLAG_ALLOW_RETRY)
    }

    /// What an allocation may do: no reclaim under a lock that can be given up.
    fn effort(&self) -> Effort {
        if self.may_retry() {
            Effort::Quick
        } else {
            effort(self.region())
        }
    }

    /// Gives up the lock, runs `f`, and has the fault come again. Where the
    /// fault wants no wait, it comes again at once.
    fn retry(self, f: impl FnOnce(&OpenRegion)) -> Outcome {
        if self.has_flag(bindings::fault_flag_FAULT_FLAG_RETRY_NOWAIT) {
            return RETRY;
        }
        let Some(region) = self.open_region() else {
            return SIGBUS;
        };
        // SAFETY: By the type invariant the lock is held; `self` ends here.
        unsafe { ours::swapvma_vmf_release_lock(self.0.as_ptr()) };
        f(&region);
        RETRY
    }

    /// Maps a locked page at `index` of the VMA.
    fn insert(&self, index: u64, page: &Locked, write: bool) -> Outcome {
        // SAFETY: By the type invariant; the folio is valid.
        unsafe {
            let page = ours::swapvma_folio_page(page.as_ptr());
            ours::swapvma_vmf_insert_at(self.0.as_ptr(), page, index as usize, write)
        }
    }

    /// Maps another locked page of the VMA's region for loads. Returns whether it was
    /// mapped.
    fn insert_neighbour(&self, page: &Locked) -> bool {
        // SAFETY: By the type invariant; the folio is valid.
        unsafe { ours::swapvma_vmf_insert_neighbour(self.0.as_ptr(), page.as_ptr()) }
    }

    /// Returns which pages `around` the fault, if they are wanted, and of `following`
    /// ones are in no page table of the VMA. May be stale on return.
    fn near(&self, around: bool, following: u64) -> ours::swapvma_near {
        // CAST: No more than a window.
        // SAFETY: By the type invariant.
        unsafe { ours::swapvma_vmf_near(self.0.as_ptr(), around, following as u32) }
    }

    /// Whether the fault came before, and gave up its lock.
    fn comes_again(&self) -> bool {
        self.has_flag(bindings::fault_flag_FAULT_FLAG_TRIED)
    }

    /// Returns a locked page from `->fault`.
    fn hand_out(mut self, page: Locked) -> Outcome {
        let folio = page.leave_locked().into_raw();
        // SAFETY: The reference moves into the fault.
        unsafe { self.0.as_mut().page = ours::swapvma_folio_page(folio.as_ptr()) };
        LOCKED
    }
}

/// What a look at the entry asks the fault to do.
enum Step {
    /// Map this page, which was there.
    Map(Locked),
    /// Map this page, which was made.
    MapNew(Locked),
    /// Look again.
    Again,
    /// End like this.
    End(Outcome),
    /// Wait for the resident limit.
    Limit,
    /// Wait for memory.
    Memory,
    /// Wait for a folio lock.
    Lock(Folio),
    /// Read the page.
    Read(Arc<Read>, Target),
    /// Wait for a read under way.
    Wait(Arc<Read>),
}

/// `->fault`. May sleep.
pub(crate) fn fault(vmf: Vmf) -> Outcome {
    let index = vmf.index();
    if !vmf.has_flag(bindings::fault_flag_FAULT_FLAG_RETRY_NOWAIT) {
        lockdep::wait_for_page();
    }
    loop {
        if index >= vmf.region().pages() {
            return SIGBUS;
        }
        match look(&vmf, index) {
            Step::Map(page) => return map(vmf, page, index, true),
            Step::MapNew(page) => return map(vmf, page, index, false),
            Step::Again => {}
            Step::End(outcome) => return outcome,
            Step::Limit => return vmf.retry(|region| wait_for_limit(region, Signals::Kill)),
            Step::Memory => return vmf.retry(|region| find_memory(region, index)),
            Step::Lock(folio) => {
                return vmf.retry(|_| drop(folio.lock_killable()));
            }
            Step::Read(read, target) if vmf.may_retry() => {
                return MAJOR
                    | vmf.retry(|region| {
                        let following = region.ahead.note(index);
                        let is_over = read.begin(region, target);
                        read_ahead(region, index, read.source(), following);
                        // The retry meets the outcome in the entry, unless the
                        // task dies and another one should read again.
                        if read.end(is_over, region).is_err() && is_killed() {
                            read.reset(region);
                        }
                    });
            }
            Step::Read(read, target) => {
                let Some(region) = vmf.open_region() else {
                    return SIGBUS;
                };
                read.run_elsewhere(region, target);
                if let Err(outcome) = unless_killed(read.wait(vmf.region())) {
                    return outcome;
                }
            }
            Step::Wait(read) if vmf.may_retry() => {
                return vmf.retry(|region| {
                    let _ = read.wait(region);
                });
            }
            Step::Wait(read) => {
                if let Err(outcome) = unless_killed(read.wait(vmf.region())) {
                    return outcome;
                }
            }
        }
    }
}

/// After a wait under the fault lock: a failed read is met in the entry, a
/// killed task goes away.
fn unless_killed(result: Result) -> core::result::Result<(), Outcome> {
    match result {
        Err(error) if error == code::EINTR => Err(SIGBUS),
        _ => Ok(()),
    }
}

fn look(vmf: &Vmf, index: u64) -> Step {
    let region = vmf.region();
    match region.find_touched(index) {
        Found::Page(folio) => match folio.try_lock() {
            Ok(page) if region.owns(&page) => Step::Map(page),
            Ok(_) => Step::Again,
            Err(folio) if vmf.may_retry() => Step::Lock(folio),
            Err(folio) => {
                drop(folio.lock());
                Step::Again
            }
        },
        Found::Empty => create(vmf, index, State::Empty),
        Found::Swapped(Stored::Fill(fill)) => {
            create(vmf, index, State::Swapped(Stored::Fill(fill)))
        }
        Found::Swapped(Stored::Slot(slot)) => {
            if vmf.has_flag(bindings::fault_flag_FAULT_FLAG_RETRY_NOWAIT) {
                return Step::End(RETRY);
            }
            if let Err(step) = reserve(vmf) {
                return step;
            }
            let step = start(region, index, slot, vmf.effort(), None);
            finish(
                vmf,
                step.map(|read| read.map(|(read, target)| Step::Read(read, target))),
            )
        }
        Found::Reading(read) if read.has_failed() => {
            read.reset(region);
            Step::End(SIGBUS)
        }
        Found::Reading(read) => Step::Wait(read),
        Found::Poisoned => Step::End(HWPOISON),
    }
}

/// Makes a page that no driver has to read.
fn create(vmf: &Vmf, index: u64, was: State) -> Step {
    if let Err(step) = reserve(vmf) {
        return step;
    }
    let region = vmf.region();
    let step = make(region, index, was, vmf.effort()).map(|page| page.map(Step::MapNew));
    finish(vmf, step)
}

/// Gives the reservation back unless the step uses it.
fn finish(vmf: &Vmf, step: Result<Option<Step>>) -> Step {
    let region = vmf.region();
    match step {
        Ok(Some(step)) => step,
        Ok(None) => {
            region.unreserve(1);
            Step::Again
        }
        Err(error) if error != code::ENOMEM => {
            region.unreserve(1);
            Step::End(SIGBUS)
        }
        Err(_) => {
            region.unreserve(1);
            if !vmf.may_retry() {
                Step::End(OOM)
            } else if region.starved.load() < GIVE_UP {
                Step::Memory
            } else {
                // Whoever comes next tries again.
                region.starved.store_release(1);
                Step::End(SIGBUS)
            }
        }
    }
}

/// Reserves residency for one page, or says what to do first.
fn reserve(vmf: &Vmf) -> core::result::Result<(), Step> {
    let region = vmf.region();
    if region.residency.try_reserve() {
        if region.residency.excess(headroom(region)) != 0 && region.kicked.load() == 0 {
            if let Some(region) = vmf.open_region() {
                region.kick();
            }
        }
        return Ok(());
    }
    if vmf.may_retry() && !region.is_stalled() {
        return Err(Step::Limit);
    }
    region.residency.force_reserve();
    region.counters.over_limit.count(1);
    if let Some(region) = vmf.open_region() {
        region.kick();
    }
    Ok(())
}

/// Vain attempts after which no memory is to be had, not even by having a task killed:
/// there is none in the cgroup that pays, for instance. Then the fault fails, as it
/// would come again for ever otherwise.
const GIVE_UP: u64 = 2;

/// Brings the page in, after an allocation under the fault lock, which reclaims
/// nothing, found no memory. No lock held.
fn find_memory(region: &OpenRegion, index: u64) {
    let effort = effort(region);
    if bring_in(region, index, effort) != Err(code::ENOMEM) || is_killed() {
        return;
    }
    match effort {
        Effort::Firm => {
            region.starved.add(1);
        }
        _ => wait_for_memory(region),
    }
}

/// Waits until something was freed where it is missing: in the region's cgroup if
/// that is at its limit, or anywhere. If nothing is, the next allocation may have a
/// task killed. No lock held.
fn wait_for_memory(region: &OpenRegion) {
    const PATIENCE_MS: u64 = 1000;
    let owner = region.share.owner();
    let is_short = owner.is_short();
    let freed = || {
        if is_short {
            owner.freed()
        } else {
            oom::freed()
        }
    };
    let before = freed();
    swapper::press(region, policy::pressure(region.residency.resident()));
    lockdep::wait_for_swapper();
    let _stall = Stall::enter();
    let progress = region
        .wait
        .wait_timeout(Signals::Kill, Some(PATIENCE_MS), || freed() != before);
    region
        .starved
        .store_release(u64::from(progress == Ok(false)));
}

/// Maps a page that is locked and in the table, where it was before if `was_there`.
fn map(vmf: Vmf, page: Locked, index: u64, was_there: bool) -> Outcome {
    let region = vmf.region();
    if index >= region.pages() {
        // Truncated since; the truncation is on its way to the page.
        return SIGBUS;
    }
    if page.is_poisoned() {
        // The swapper finds out whether a stored copy can stand in for it.
        return HWPOISON;
    }
    let write = vmf.has_flag(bindings::fault_flag_FAULT_FLAG_WRITE);
    if !vmf.may_insert() {
        return vmf.hand_out(page);
    }
    if write {
        region.make_dirty(index, &page);
    }
    match vmf.insert(index, &page, write) {
        // Without memory for a page table, or with one that just went away.
        OOM => vmf.hand_out(page),
        outcome => {
            drop(page);
            if !write {
                map_neighbours(&vmf, index, was_there);
            }
            outcome
        }
    }
}

/// Pages to lock at a time.
const NEIGHBOURS: usize = 16;

/// Maps resident pages near a load that are not mapped yet, so that touching them
/// costs no fault: those around it, and those that follow it if faults go forward.
/// When it had to be read, those that were read along with it. May sleep for a page
/// table.
fn map_neighbours(vmf: &Vmf, index: u64, was_there: bool) {
    let region = vmf.region();
    let comes_again = vmf.comes_again();
    let following = match (comes_again, was_there) {
        (true, _) => region.ahead.brought(index),
        (false, true) => region.ahead.note_resident(index),
        (false, false) => 0,
    };
    if comes_again && following == 0 {
        return;
    }
    let near = vmf.near(!comes_again, following);
    let (first, mut left) = (near.first as u64, near.unmapped);
    let mut unmapped = left;
    while left != 0 {
        let group = left & (u64::from(u16::MAX) << left.trailing_zeros());
        left &= !group;
        let mut pages = [const { None }; NEIGHBOURS];
        region.lock_neighbours(first, group, &mut pages);
        let size = region.pages();
        for (index, page) in pages.iter_mut().map_while(Option::take) {
            if index < size && vmf.insert_neighbour(&page) {
                unmapped &= !(1 << (index - first));
            }
        }
    }
    if was_there && !comes_again {
        // The page itself is mapped; those before it do not matter.
        let seen = (index + 1).saturating_sub(first);
        let next = (unmapped.checked_shr(seen as u32).unwrap_or(0)).trailing_zeros();
        let next = (seen + u64::from(next)).min(u64::from(near.count));
        region.ahead.expect(first + next);
    }
}

/// `->page_mkwrite`: a page that is mapped read-only becomes writable. Returns
/// it locked and dirty. May sleep; may not retry.
pub(crate) fn page_mkwrite(vmf: Vmf) -> Outcome {
    let index = vmf.index();
    // SAFETY: The core passes the page, and holds a reference.
    let folio = unsafe { ours::swapvma_page_folio(vmf.raw().page) };
    let Some(folio) = NonNull::new(folio) else {
        return SIGBUS;
    };
    // SAFETY: As above.
    let page = unsafe { Folio::get(folio) }.lock();
    let region = vmf.region();
    if !region.owns(&page) || index >= region.pages() {
        return NOPAGE;
    }
    if page.is_poisoned() {
        return HWPOISON;
    }
    region.make_dirty(index, &page);
    region.touch(index);
    drop(page.leave_locked());
    LOCKED
}

/// Whether the task is about to die.
pub(crate) fn is_killed() -> bool {
    // SAFETY: No precondition.
    unsafe { ours::swapvma_killed() }
}
