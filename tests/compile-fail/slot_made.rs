// SPDX-License-Identifier: GPL-2.0

// error: E0423
// message: cannot initialize a tuple struct which contains private fields

//! A slot is checked when it is made.

use swapvma_driver::Slot;

/// Makes a slot that does not fit an entry.
pub fn make() -> Slot {
    Slot(u64::MAX)
}
