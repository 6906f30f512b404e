// SPDX-License-Identifier: GPL-2.0

// error: E0596
// message: cannot borrow `*batch` as mutable

//! Who only looks at a batch does not answer it.

use swapvma_driver::{
    Answer,
    Batch, //
};

/// Answers a batch of somebody else.
pub fn look(batch: &Batch) {
    batch.answer(0, Answer::Kept);
}
