// SPDX-License-Identifier: GPL-2.0

//! The stores of the `ram` driver: one for all regions with the same algorithm,
//! from the first of them to the last.
//!
//! `swapvma_stores` is a leaf: nothing is allocated or freed under it.

use super::{
    Algorithm,
    Store, //
};
use crate::error::Result;
use core::ops::Deref;
use kernel::{
    prelude::*,
    sync::Arc, //
};

/// The store of one algorithm.
struct Shared {
    regions: usize,
    store: Option<Arc<Store>>,
}

kernel::sync::global_lock! {
    // Lockdep prints the name.
    #[allow(non_upper_case_globals)]
    // SAFETY: `init` runs at module load, before any driver is registered.
    unsafe(uninit) static swapvma_stores: Mutex<[Shared; Algorithm::COUNT]> = [const {
        Shared {
            regions: 0,
            store: None,
        }
    }; Algorithm::COUNT];
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
    algorithm: Algorithm,
    store: Arc<Store>,
}

impl Lease {
    /// Uses the store of `algorithm`, creating it if there is none. May sleep
    /// and allocate.
    ///
    /// # Errors
    ///
    /// Those of [`Store::new`].
    pub(super) fn take(algorithm: Algorithm) -> Result<Self> {
        if let Some(lease) = Self::take_or_offer(algorithm, None) {
            return Ok(lease);
        }
        // Of two that get here, the second drops its store again.
        let store = Arc::new(Store::new(algorithm)?, GFP_KERNEL)?;
        Self::take_or_offer(algorithm, Some(store)).ok_or(ENOMEM)
    }

    /// Uses the store of `algorithm`, or `offer` if there is none.
    fn take_or_offer(algorithm: Algorithm, offer: Option<Arc<Store>>) -> Option<Self> {
        let mut stores = swapvma_stores.lock();
        let shared = stores.get_mut(algorithm as usize)?;
        if shared.store.is_none() {
            shared.store = offer.clone();
        }
        let store = shared.store.clone()?;
        shared.regions += 1;
        drop(stores);
        Some(Self { algorithm, store })
    }
}

/// Whether a region uses the store of `algorithm`.
#[cfg(CONFIG_KUNIT = "y")]
pub(super) fn in_use(algorithm: Algorithm) -> bool {
    let stores = swapvma_stores.lock();
    stores
        .get(algorithm as usize)
        .is_some_and(|shared| shared.store.is_some())
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
        if let Some(shared) = stores.get_mut(self.algorithm as usize) {
            shared.regions = shared.regions.saturating_sub(1);
            if shared.regions == 0 {
                last = shared.store.take();
            }
        }
        drop(stores);
        // Only now: freeing a store sleeps.
        drop(last);
    }
}
