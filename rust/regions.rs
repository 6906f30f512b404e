// SPDX-License-Identifier: GPL-2.0

//! Regions: all of them that there are, by their ids.

use crate::{
    error::Result,
    region::{
        OpenRegion,
        Region, //
    },
};
use kernel::{
    prelude::*,
    rbtree::{
        RBTree,
        RBTreeNode, //
    },
    sync::Arc, //
};

kernel::sync::global_lock! {
    // Lockdep prints the name.
    #[allow(non_upper_case_globals)]
    // SAFETY: `init` initialises it before anything else runs.
    unsafe(uninit) static swapvma_regions: SpinLock<Regions> = Regions {
        by_id: None,
        count: 0,
        next_id: 1,
    };
}

struct Regions {
    by_id: Option<RBTree<u64, Arc<Region>>>,
    count: u64,
    next_id: u64,
}

/// Initialises the tree of regions.
///
/// # Safety
///
/// Called once, at module load, before anything else of this file.
pub(crate) unsafe fn init() {
    // SAFETY: By the safety requirement.
    unsafe { swapvma_regions.init() };
}

/// Returns the number of regions. Any context but hard interrupt.
pub(crate) fn count() -> u64 {
    swapvma_regions.lock().count
}

/// Regions in the order in which they were created.
pub(crate) struct Each {
    after: u64,
}

/// Returns each region that is open: those that are open all the time exactly
/// once, whoever else looks.
pub(crate) fn each() -> Each {
    Each { after: 0 }
}

impl Iterator for Each {
    type Item = OpenRegion;

    /// Does not sleep.
    fn next(&mut self) -> Option<OpenRegion> {
        let regions = swapvma_regions.lock();
        loop {
            let next = self.after.checked_add(1)?;
            let cursor = regions.by_id.as_ref()?.cursor_lower_bound(&next)?;
            let (&id, region) = cursor.current();
            self.after = id;
            // The file is taken before the region: should it be closing, then the
            // tree, which is still locked, does not hold the last reference.
            if let Some(file) = region.file.open() {
                return Some(OpenRegion::new(region.clone(), file));
            }
        }
    }
}

/// Returns the region that `id` names, if it is open. Does not sleep.
pub(crate) fn open(id: u64) -> Option<OpenRegion> {
    let regions = swapvma_regions.lock();
    let region = regions.by_id.as_ref()?.get(&id)?;
    // As in `Each`.
    let file = region.file.open()?;
    Some(OpenRegion::new(region.clone(), file))
}

/// Returns an id for a region to be created.
pub(crate) fn next_id() -> u64 {
    let mut regions = swapvma_regions.lock();
    let id = regions.next_id;
    regions.next_id += 1;
    id
}

/// Makes a new region known. May sleep and allocate.
///
/// # Errors
///
/// `ENOMEM`.
pub(crate) fn insert(region: &Arc<Region>) -> Result {
    let node = RBTreeNode::new(region.id, region.clone(), GFP_KERNEL)?;
    let mut regions = swapvma_regions.lock();
    let replaced = regions.by_id.get_or_insert_with(RBTree::new).insert(node);
    regions.count += 1;
    drop(regions);
    drop(replaced);
    Ok(())
}

/// Forgets a region, of which the caller has a reference.
pub(crate) fn remove(region: &Region) {
    let known = {
        let mut regions = swapvma_regions.lock();
        regions.count -= 1;
        let by_id = regions.by_id.as_mut();
        by_id.and_then(|by_id| by_id.remove_node(&region.id))
    };
    drop(known);
}
