// SPDX-License-Identifier: GPL-2.0

//! Generated bindings: what the kernel crate's bindings lack, and the drivers'
//! helpers in C. Only the wrappers use them.

#![allow(
    clippy::all,
    clippy::undocumented_unsafe_blocks,
    dead_code,
    improper_ctypes,
    missing_docs,
    non_camel_case_types,
    non_snake_case,
    non_upper_case_globals,
    rustdoc::all,
    unreachable_pub,
    unsafe_op_in_unsafe_fn,
    unused_imports
)]

use kernel::{
    bindings::*,
    ffi, //
};

include!(env!("SWAPVMA_STORE_BINDINGS"));
