// SPDX-License-Identifier: GPL-2.0

// error: E0382
// message: borrow of moved value: `batch`

//! No answer after completion.

use swapvma_driver::{
    Answer,
    Batch, //
};

/// Answers after `store_each` handed the batch back.
pub fn swapout(mut batch: Batch) {
    batch.store_each(|_, _| Err(kernel::error::code::EAGAIN));
    batch.answer(0, Answer::Kept);
}
