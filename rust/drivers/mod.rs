// SPDX-License-Identifier: GPL-2.0

//! The drivers that the module brings along.

pub(crate) mod ram;
