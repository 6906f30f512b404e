// SPDX-License-Identifier: GPL-2.0

//! Errors, under one name in the module and on the host.

pub(crate) use kernel::error::{
    code,
    Error,
    Result, //
};

/// `EOPNOTSUPP`, which the kernel crate does not name.
pub(crate) fn eopnotsupp() -> Error {
    Error::from_errno(-(kernel::bindings::EOPNOTSUPP as kernel::ffi::c_int))
}
