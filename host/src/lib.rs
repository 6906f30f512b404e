// SPDX-License-Identifier: GPL-2.0

//! Host tests of the pure logic of swapvma.
//!
//! The modules below are the very files that the kernel module is built from;
//! only what they stand on, [`atomic`] and [`error`], is written again here.
//!
//! ```text
//! cargo test                                      unit tests and proptest
//! RUSTFLAGS="--cfg loom" cargo test --release     loom models
//! ```
//!
//! Each claim is tested twice: once on the code as it is, and once with a bug
//! put back by a [`flaw`], which the same test has to notice.

#![cfg(test)]
#![cfg_attr(
    loom,
    allow(dead_code, reason = "the loom models use a part of the logic")
)]

mod atomic;
mod error;
#[cfg_attr(not(loom), allow(dead_code, reason = "loom models put flaws back"))]
mod flaw;

#[deny(unsafe_code)]
#[path = "../../rust/ahead.rs"]
mod ahead;
#[deny(unsafe_code)]
#[path = "../../rust/bitmap.rs"]
mod bitmap;
#[cfg_attr(loom, allow(dead_code, reason = "nothing of it is shared"))]
#[deny(unsafe_code)]
#[path = "../../rust/candidates.rs"]
mod candidates;
#[deny(unsafe_code)]
#[path = "../../rust/entry.rs"]
mod entry;
#[deny(unsafe_code)]
#[path = "../../drivers/store/extents.rs"]
mod extents;
#[deny(unsafe_code)]
#[path = "../../rust/fill.rs"]
mod fill;
#[deny(unsafe_code)]
#[path = "../../rust/ghosts.rs"]
mod ghosts;
#[deny(unsafe_code)]
#[path = "../../rust/inflight.rs"]
mod inflight;
#[deny(unsafe_code)]
#[path = "../../rust/limit.rs"]
mod limit;
#[cfg_attr(not(loom), allow(dead_code, reason = "its tests are loom models"))]
#[deny(unsafe_code)]
#[path = "../../rust/listed.rs"]
mod listed;
#[deny(unsafe_code)]
#[path = "../../rust/record/magazine.rs"]
mod magazine;
#[deny(unsafe_code)]
#[path = "../../drivers/store/options.rs"]
mod options;
#[deny(unsafe_code)]
#[path = "../../rust/policy.rs"]
mod policy;
#[deny(unsafe_code)]
#[path = "../../rust/quota.rs"]
mod quota;
#[deny(unsafe_code)]
#[path = "../../rust/range.rs"]
mod range;
#[deny(unsafe_code)]
#[path = "../../rust/seal.rs"]
mod seal;
#[deny(unsafe_code)]
#[path = "../../rust/drivers/ram/slot.rs"]
mod slot;
#[deny(unsafe_code)]
#[path = "../../drivers/store/slots.rs"]
mod slots;
#[deny(unsafe_code)]
#[path = "../../rust/table.rs"]
mod table;
#[deny(unsafe_code)]
#[path = "../../rust/window/set.rs"]
mod window;

#[cfg(loom)]
mod model;
#[cfg(not(loom))]
mod tests;

impl entry::Entry {
    /// Takes the entry bit of an entry that is in no table.
    pub(crate) fn lock_alone(&self) -> entry::Locked<'_> {
        let found = atomic::SpinScope::enter().guard(self, |entry, _| Some(entry));
        found
            .and_then(Self::lock)
            .expect("it is not in a level that goes")
    }
}
