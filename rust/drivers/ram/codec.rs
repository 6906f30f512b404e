// SPDX-License-Identifier: GPL-2.0

//! What compresses pages.

use crate::{
    acomp::Acomp,
    atomic::Word,
    error::{
        code,
        Result, //
    },
    window, //
};
use kernel::{
    prelude::*,
    str::CStr, //
};

/// Windows that storing pages needs: the stable copy, and what compression
/// makes of it.
pub(super) const WINDOWS: usize = 2;

/// The algorithms by name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Algorithm {
    Lz4,
    Zstd,
    Lzo,
    LzoRle,
}

impl Algorithm {
    pub(super) const ALL: [Self; 4] = [Self::Lz4, Self::Zstd, Self::Lzo, Self::LzoRle];

    /// Returns the name, which is also that of the codec.
    pub(super) fn name(self) -> &'static CStr {
        match self {
            Self::Lz4 => c"lz4",
            Self::Zstd => c"zstd",
            Self::Lzo => c"lzo",
            Self::LzoRle => c"lzo-rle",
        }
    }

    /// Returns the algorithm called `name`; "" is the default.
    pub(super) fn find(name: &CStr) -> Option<Self> {
        if name.is_empty() {
            return Some(Self::Lz4);
        }
        Self::ALL.into_iter().find(|all| all.name() == name)
    }
}

/// What compresses pages, and where.
pub(super) struct Codec {
    pub(super) acomp: Acomp,
    pub(super) windows: Pin<KBox<window::Pool>>,
    /// Whether a batch uses the memory reserves: 0 or 1.
    pub(super) reserves_busy: Word,
}

impl Codec {
    /// May sleep, allocate and load a module.
    ///
    /// # Errors
    ///
    /// `EINVAL` if the kernel does not have the codec, `ENOMEM`.
    pub(super) fn new(algorithm: Algorithm) -> Result<Self> {
        let acomp = Acomp::new(algorithm.name()).map_err(|error| match error {
            code::ENOENT => code::EINVAL,
            other => other,
        })?;
        Ok(Self {
            acomp,
            windows: window::Pool::of_ram(0, WINDOWS)?,
            reserves_busy: Word::new(0),
        })
    }
}
