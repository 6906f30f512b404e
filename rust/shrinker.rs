// SPDX-License-Identifier: GPL-2.0

//! Shrinker: what memory pressure may do at once.
//!
//! It drops pages that need no write and wakes the swapper for the others. It
//! never calls a driver: it runs in somebody's allocation. A direct reclaimer
//! that may wait then waits for the swappers, at most 100 ms, and gets the credit
//! for what they freed. That the core does not lose patience all the same is the
//! business of [`crate::oom`].
//!
//! C header: [`include/linux/shrinker.h`](srctree/include/linux/shrinker.h)

use crate::{
    atomic::Word,
    bindings as ours,
    error::{
        code,
        Result, //
    },
    fault,
    limit::BATCH_PAGES,
    lockdep, oom, record, regions,
    swapout::{
        self,
        Candidates, //
    },
    swapper,
};
use core::ptr::NonNull;
use kernel::{
    bindings,
    prelude::*,
    time::{
        delay::fsleep,
        Delta, //
    },
};

/// A registered shrinker.
///
/// # Invariants
///
/// The shrinker is registered.
pub(crate) struct Shrinker(NonNull<bindings::shrinker>);

// SAFETY: A shrinker may be freed from any task.
unsafe impl Send for Shrinker {}
// SAFETY: As above.
unsafe impl Sync for Shrinker {}

impl Shrinker {
    /// Registers the shrinker. May sleep and allocate.
    pub(crate) fn new() -> Result<Self> {
        // SAFETY: The name is a format without arguments.
        let shrinker = unsafe {
            bindings::shrinker_alloc(ours::SWAPVMA_SHRINKER_FLAGS, c"swapvma".as_char_ptr())
        };
        let shrinker = NonNull::new(shrinker).ok_or(code::ENOMEM)?;
        // SAFETY: The shrinker is new and not yet registered.
        unsafe {
            (*shrinker.as_ptr()).count_objects = Some(count);
            (*shrinker.as_ptr()).scan_objects = Some(scan);
        }
        // SAFETY: The callbacks are set.
        unsafe { bindings::shrinker_register(shrinker.as_ptr()) };
        // INVARIANT: Just registered.
        Ok(Self(shrinker))
    }
}

impl Drop for Shrinker {
    fn drop(&mut self) {
        // For whoever still walks the list of shrinkers.
        lockdep::remote_wait();
        // SAFETY: By the type invariant.
        unsafe { bindings::shrinker_free(self.0.as_ptr()) };
    }
}

/// # Safety
///
/// Called by the core in an allocation, with a valid control.
unsafe extern "C" fn count(
    _shrinker: *mut bindings::shrinker,
    control: *mut bindings::shrink_control,
) -> c_ulong {
    // SAFETY: By the safety requirement.
    let nid = unsafe { (*control).nid };
    let mut pages = 0;
    for region in regions::each() {
        pages += region.lru.count(nid);
    }
    // On whatever nodes they are.
    pages + record::empty_pages() as c_ulong
}

/// Pages that a scan asks the swapper for: enough for it to be busy while
/// reclaimers wait.
pub(crate) const PRESS: u64 = 16 * BATCH_PAGES as u64;

/// # Safety
///
/// As [`count`].
unsafe extern "C" fn scan(
    _shrinker: *mut bindings::shrinker,
    control: *mut bindings::shrink_control,
) -> c_ulong {
    // SAFETY: By the safety requirement.
    let (nid, wanted) = unsafe { ((*control).nid, (*control).nr_to_scan) };
    // SAFETY: By the safety requirement.
    let may_wait = unsafe { ours::swapvma_reclaim_may_wait((*control).gfp_mask) };
    if may_wait {
        lockdep::wait_for_swapper();
    }
    let mut left = wanted as u64;
    let mut freed = record::shrink_idle();
    for region in regions::each_after(LAST_SCANNED.load()) {
        if left == 0 {
            break;
        }
        LAST_SCANNED.store_release(region.id);
        let mut candidates = Candidates::new();
        region
            .lru
            .walk(nid, left.min(BATCH_PAGES as u64), |record| {
                left -= 1;
                candidates.push(record.index());
            });
        let dropped = swapout::drop_clean(&region, &mut candidates);
        freed += dropped;
        swapper::press(&region, PRESS);
    }
    // SAFETY: By the safety requirement.
    unsafe { (*control).nr_scanned = (wanted as u64 - left) as c_ulong };
    if freed == 0 && may_wait {
        freed = wait_for_swapper();
    }
    if freed == 0 {
        // Nothing to drop: do not ask again at once.
        return c_ulong::MAX;
    }
    // SAFETY: No precondition.
    unsafe { ours::swapvma_account_reclaimed(freed as c_ulong) };
    freed as c_ulong
}

/// The region that was scanned last: the next scan goes on after it.
static LAST_SCANNED: Word = Word::new(0);

/// Waits until a swapper freed a batch, but no longer than a reclaimer may be
/// kept. Returns the pages that were freed meanwhile.
fn wait_for_swapper() -> u64 {
    const ROUND_MS: i64 = 10;
    const ROUNDS: u32 = 10;
    let before = oom::freed();
    let freed = || oom::freed().wrapping_sub(before);
    for _ in 0..ROUNDS {
        fsleep(Delta::from_millis(ROUND_MS));
        if freed() >= BATCH_PAGES as u64 || fault::is_killed() {
            break;
        }
    }
    freed()
}
