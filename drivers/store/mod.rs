// SPDX-License-Identifier: GPL-2.0

//! What the drivers are made of. Each of them uses a part of it.
//!
//! - Pure logic, which also runs on the host: `options`, `slots`, `extents`.
//! - Safe wrappers, where all of the unsafe code is: `mempool`, `idle`, `bio`,
//!   `device`, `swap_file`, `shared_memory`, `transfer`.
//! - `disk`: what `block` and `file` have in common.

#![allow(dead_code, reason = "each driver uses a part")]

pub(crate) mod atomic;
mod bindings;
mod bio;
pub(crate) mod device;
#[deny(unsafe_code)]
pub(crate) mod disk;
#[deny(unsafe_code)]
pub(crate) mod extents;
mod idle;
mod mempool;
#[deny(unsafe_code)]
pub(crate) mod options;
pub(crate) mod shared_memory;
#[deny(unsafe_code)]
pub(crate) mod slots;
pub(crate) mod swap_file;
mod transfer;
