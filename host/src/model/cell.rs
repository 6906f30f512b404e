// SPDX-License-Identifier: GPL-2.0

//! The atomic behind a word of the pure logic in a model: loom's, or a plain one
//! where the model says itself where threads may switch.
//!
//! What the kernel calls full order is more than `SeqCst`, which loom takes for
//! `AcqRel`: a full barrier before and after.

use super::{
    explores_operations,
    step, //
};
use loom::sync::atomic::{
    fence,
    AtomicU64 as Loom, //
};
use std::sync::atomic::{
    AtomicU64 as Plain,
    Ordering, //
};

/// As `std::sync::atomic::AtomicU64`.
pub(crate) enum AtomicU64 {
    /// Each operation is a step, and loads see what memory order allows.
    Explored(Loom),
    /// No operation is a step.
    Plain(Plain),
}

/// Calls a method of either atomic; loom's is a step.
macro_rules! either {
    ($self:ident.$method:ident($($argument:expr),*), $order:expr) => {
        match $self {
            AtomicU64::Explored(atomic) => {
                step();
                barrier($order);
                let result = atomic.$method($($argument),*);
                barrier($order);
                result
            }
            AtomicU64::Plain(atomic) => atomic.$method($($argument),*),
        }
    };
}

fn barrier(order: Ordering) {
    if order == Ordering::SeqCst {
        fence(Ordering::SeqCst);
    }
}

impl AtomicU64 {
    pub(crate) fn new(value: u64) -> Self {
        if explores_operations() {
            Self::Explored(Loom::new(value))
        } else {
            Self::Plain(Plain::new(value))
        }
    }

    pub(crate) fn load(&self, order: Ordering) -> u64 {
        either!(self.load(order), order)
    }

    pub(crate) fn store(&self, value: u64, order: Ordering) {
        either!(self.store(value, order), order);
    }

    pub(crate) fn compare_exchange(
        &self,
        old: u64,
        new: u64,
        success: Ordering,
        failure: Ordering,
    ) -> Result<u64, u64> {
        either!(self.compare_exchange(old, new, success, failure), success)
    }

    pub(crate) fn fetch_add(&self, value: u64, order: Ordering) -> u64 {
        either!(self.fetch_add(value, order), order)
    }

    pub(crate) fn fetch_sub(&self, value: u64, order: Ordering) -> u64 {
        either!(self.fetch_sub(value, order), order)
    }
}
