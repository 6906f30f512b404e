// SPDX-License-Identifier: GPL-2.0

//! The stores of the `ram` driver: one for all regions with the same algorithm whose
//! pages the same cgroup pays for, from the first of them to the last.
//!
//! `swapvma_stores` is a leaf: nothing is allocated or freed under it.

use super::{
    codec::{
        Algorithm,
        Codec, //
    },
    Store, //
};
use crate::{
    error::Result,
    memcg::Memcg, //
};
use core::ops::Deref;
use kernel::{
    prelude::*,
    rbtree::{
        RBTree,
        RBTreeNode, //
    },
    sync::Arc, //
};

/// Algorithm and cgroup.
type Key = (usize, usize);

/// The store of one algorithm and cgroup.
struct Shared {
    regions: usize,
    store: Arc<Store>,
    /// Keeps the key from meaning another cgroup.
    _memcg: Memcg,
}

kernel::sync::global_lock! {
    // Lockdep prints the name.
    #[allow(non_upper_case_globals)]
    // SAFETY: `init` runs at module load, before any driver is registered.
    unsafe(uninit) static swapvma_stores: Mutex<Option<RBTree<Key, Shared>>> = None;
}

/// Prepares the lock. At module load, before the driver is registered.
pub(crate) fn init() {
    kernel::do_once_lite! {
        // SAFETY: This runs once.
        unsafe { swapvma_stores.init() }
    };
}

/// A region's use of a store. Dropping the last one frees the store.
pub(super) struct Lease {
    key: Key,
    store: Arc<Store>,
}

impl Lease {
    /// Uses the store of `algorithm` for the cgroup that is charged, creating it if
    /// there is none. May sleep and allocate.
    ///
    /// # Errors
    ///
    /// Those of [`Codec::new`] and [`Store::new`].
    pub(super) fn take(algorithm: Algorithm) -> Result<Self> {
        let memcg = Memcg::charged();
        let key = (algorithm as usize, memcg.key());
        let codec = {
            let mut stores = swapvma_stores.lock();
            if let Some(lease) = Self::find(&mut stores, key) {
                return Ok(lease);
            }
            codec_of(&stores, algorithm)
        };
        let codec = match codec {
            Some(codec) => codec,
            None => Arc::new(Codec::new(algorithm)?, GFP_KERNEL)?,
        };
        let shared = Shared {
            regions: 0,
            store: Arc::new(Store::new(codec, algorithm, memcg.id())?, GFP_KERNEL)?,
            _memcg: memcg,
        };
        let node = RBTreeNode::new(key, shared, GFP_KERNEL)?;
        let mut stores = swapvma_stores.lock();
        // Of two that get here, the second drops its store again.
        if let Some(lease) = Self::find(&mut stores, key) {
            drop(stores);
            drop(node);
            return Ok(lease);
        }
        stores.get_or_insert_with(RBTree::new).insert(node);
        Self::find(&mut stores, key).ok_or(ENOMEM)
    }

    fn find(stores: &mut Option<RBTree<Key, Shared>>, key: Key) -> Option<Self> {
        let shared = stores.as_mut()?.get_mut(&key)?;
        shared.regions += 1;
        let store = shared.store.clone();
        Some(Self { key, store })
    }
}

/// Returns the codec that the stores of `algorithm` share, if there are any.
fn codec_of(stores: &Option<RBTree<Key, Shared>>, algorithm: Algorithm) -> Option<Arc<Codec>> {
    let first = (algorithm as usize, 0);
    let cursor = stores.as_ref()?.cursor_lower_bound(&first)?;
    let (key, shared) = cursor.current();
    (key.0 == first.0).then(|| shared.store.codec.clone())
}

/// Whether a region uses a store of `algorithm`.
#[cfg(CONFIG_KUNIT = "y")]
pub(super) fn in_use(algorithm: Algorithm) -> bool {
    codec_of(&swapvma_stores.lock(), algorithm).is_some()
}

impl Deref for Lease {
    type Target = Store;

    fn deref(&self) -> &Store {
        &self.store
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        let mut stores = swapvma_stores.lock();
        let mut last = None;
        if let Some(by_key) = stores.as_mut() {
            let regions = by_key.get_mut(&self.key).map_or(1, |shared| {
                shared.regions = shared.regions.saturating_sub(1);
                shared.regions
            });
            if regions == 0 {
                last = by_key.remove_node(&self.key);
            }
        }
        drop(stores);
        // Only now: freeing a store sleeps.
        drop(last);
    }
}
