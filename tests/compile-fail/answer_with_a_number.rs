// SPDX-License-Identifier: GPL-2.0

// error: E0308
// message: expected `Slot`, found

//! An answer takes a slot, which is checked, and no number.

use swapvma_driver::Answer;

/// Answers with a number.
pub fn answer() -> Answer {
    Answer::Stored(1 << 60)
}
