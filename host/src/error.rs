// SPDX-License-Identifier: GPL-2.0

//! Errors, under the names of the `kernel` crate.

/// An errno.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Error(i32);

/// The result of what can fail.
pub(crate) type Result<T = (), E = Error> = core::result::Result<T, E>;

/// The errors by name.
pub(crate) mod code {
    use super::Error;

    pub(crate) const ENOMEM: Error = Error(-12);
    pub(crate) const EINVAL: Error = Error(-22);
    pub(crate) const EFBIG: Error = Error(-27);
}
