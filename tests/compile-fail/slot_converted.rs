// SPDX-License-Identifier: GPL-2.0

// error: E0277
// message: the trait bound `Slot: From<u64>` is not satisfied

//! 64 bits may be too many for a slot.

use swapvma_driver::Slot;

/// Makes a slot that does not fit an entry.
pub fn make() -> Slot {
    u64::MAX.into()
}
