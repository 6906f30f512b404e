// SPDX-License-Identifier: GPL-2.0

// error: E0624
// message: associated function `of_owner` is private

//! A driver in a module is registered with the module, which regions hold.

use kernel::prelude::*;
use swapvma_driver::{
    Driver,
    Registration, //
};

/// Registers code that may go away.
pub fn init<T: Driver>() -> Result<Registration<T>> {
    // SAFETY: It is not.
    unsafe { Registration::of_owner(core::ptr::null_mut()) }
}
