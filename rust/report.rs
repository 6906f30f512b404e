// SPDX-License-Identifier: GPL-2.0

//! Reports: tracepoints, and log lines that may come in numbers.
//!
//! The tracepoints are in `helpers/trace.h`.

use crate::bindings as ours;
use kernel::{
    prelude::*,
    str::CStr, //
};

/// A driver returned something else than it was given. Any context.
pub(crate) fn corrupt(region: u64, index: u64, slot: u64, driver: &CStr) {
    // SAFETY: The name is a C string, which is only read.
    unsafe { ours::swapvma_report_corrupt(region, index, slot, driver.as_char_ptr()) };
}
