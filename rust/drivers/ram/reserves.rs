// SPDX-License-Identifier: GPL-2.0

//! The memory reserves, of which a batch may take some.

use super::Store;
use crate::{
    error::{
        code,
        Result, //
    },
    zsmalloc::{
        self,
        Effort,
        Object, //
    },
};

/// Pages by which one batch may grow the pool from the memory reserves. An
/// object may add up to eight, so a full batch frees more than it takes.
pub(super) const RESERVE_PAGES: u64 = 32;

/// What one batch may take of the memory reserves.
///
/// Swapout has to go on when no memory is free, or none ever will be. So
/// objects smaller than a page may come from the reserves, which the swapper may
/// use, and exceed the limit of the cgroup: of one batch at a time, and no more than
/// that batch frees.
pub(super) struct Reserves<'a> {
    store: &'a Store,
    /// Pages by which the batch may grow the pool.
    most: u64,
    /// Pages of the pool when the batch began to use the reserves.
    began: Option<u64>,
}

impl<'a> Reserves<'a> {
    pub(super) fn new(store: &'a Store) -> Self {
        Self {
            store,
            most: RESERVE_PAGES,
            began: None,
        }
    }

    /// Nothing: for a batch that frees no memory.
    pub(super) fn none(store: &'a Store) -> Self {
        Self {
            most: 0,
            ..Self::new(store)
        }
    }

    /// Allocates an object, from the reserves if need be.
    ///
    /// # Errors
    ///
    /// `ENOMEM` if the batch has used up its share, or another one uses the
    /// reserves; those of [`zsmalloc::Pool::malloc`].
    pub(super) fn malloc(&mut self, len: usize) -> Result<Object<'a>> {
        let store = self.store;
        let now = store.pool.total_pages();
        let began = match self.began {
            Some(began) => began,
            None => {
                if store.codec.reserves_busy.cmpxchg(0, 1).is_err() {
                    return Err(code::ENOMEM);
                }
                *self.began.insert(now)
            }
        };
        if now.saturating_sub(began) >= self.most {
            return Err(code::ENOMEM);
        }
        store.pool.malloc(len, Effort::Reserves, zsmalloc::NO_NODE)
    }
}

impl Drop for Reserves<'_> {
    fn drop(&mut self) {
        if self.began.is_some() {
            self.store.codec.reserves_busy.store_release(0);
        }
    }
}
