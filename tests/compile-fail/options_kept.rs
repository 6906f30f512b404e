// SPDX-License-Identifier: GPL-2.0

// error: E0521
// message: borrowed data escapes outside of function

//! What `attach` is told is valid during the call.

use kernel::prelude::*;
use swapvma_driver::Attach;

/// Would be what the driver keeps.
fn keep(_options: &'static CStr) {}

/// Keeps the options without a copy.
pub fn attach(args: &Attach<'_>) {
    keep(args.options());
}
