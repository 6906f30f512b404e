// SPDX-License-Identifier: GPL-2.0

//! Slot: a driver's name for one page that it stores.

use super::bindings;
use kernel::prelude::*;

/// A slot: any number below 2^[`Slot::BITS`] that the driver likes.
///
/// # Invariants
///
/// The number is below 2^[`Slot::BITS`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Slot(u64);

impl Slot {
    /// Bits of a slot.
    pub const BITS: u32 = bindings::SWAPVMA_SLOT_BITS;

    /// Makes a slot of a number; `None` if it has too many bits.
    #[inline]
    pub const fn new(slot: u64) -> Option<Self> {
        if slot >> Self::BITS == 0 {
            // INVARIANT: Just checked.
            Some(Self(slot))
        } else {
            None
        }
    }

    /// Takes a slot from the boundary, which gives back what it was given.
    #[inline]
    pub(super) const fn from_boundary(slot: u64) -> Self {
        // INVARIANT: The mask takes the other bits away.
        Self(slot & ((1 << Self::BITS) - 1))
    }

    /// Returns the number.
    #[inline]
    pub const fn get(self) -> u64 {
        self.0
    }

    /// Returns the number as an index into a table of the driver's; one that no
    /// table has if it has too many bits for that.
    #[inline]
    pub fn as_usize(self) -> usize {
        usize::try_from(self.0).unwrap_or(usize::MAX)
    }
}

impl TryFrom<u64> for Slot {
    type Error = Error;

    /// `EINVAL` if the number has too many bits.
    #[inline]
    fn try_from(slot: u64) -> Result<Self> {
        Self::new(slot).ok_or(EINVAL)
    }
}

impl TryFrom<usize> for Slot {
    type Error = Error;

    /// `EINVAL` if the number has too many bits.
    #[inline]
    fn try_from(slot: usize) -> Result<Self> {
        Self::try_from(slot as u64)
    }
}

impl From<u32> for Slot {
    #[inline]
    fn from(slot: u32) -> Self {
        // INVARIANT: 32 bits fit.
        Self(u64::from(slot))
    }
}
