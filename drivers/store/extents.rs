// SPDX-License-Identifier: GPL-2.0

//! Extents: where the slots of a store are on its device.
//!
//! This file is pure logic: the same source runs on the host.

/// Sectors of 512 bytes in a slot, which is a page.
pub(crate) const SLOT_SECTORS: u64 = 8;

/// Slots side by side on the device.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Extent {
    /// The first slot.
    pub(crate) slot: u64,
    /// Where it is on the device, in sectors.
    pub(crate) sector: u64,
    /// Slots.
    pub(crate) len: u64,
}

impl Extent {
    /// Adds the next slot, which is at `sector`, if it is the next one on the
    /// device as well. Otherwise returns the extent that it begins.
    pub(crate) fn append(last: Option<&mut Self>, sector: u64) -> Option<Self> {
        let Some(last) = last else {
            return Some(Self {
                slot: 0,
                sector,
                len: 1,
            });
        };
        if last.sector + last.len * SLOT_SECTORS == sector {
            last.len += 1;
            return None;
        }
        Some(Self {
            slot: last.slot + last.len,
            sector,
            len: 1,
        })
    }
}

/// Returns where `slot` is, and how many slots from there on, at most `max`, are
/// side by side. `extents` are in the order of their slots. `None` for a slot
/// that none of them has.
pub(crate) fn locate(extents: &[Extent], slot: u64, max: u64) -> Option<(u64, u64)> {
    let after = extents.partition_point(|extent| extent.slot <= slot);
    let extent = extents.get(after.checked_sub(1)?)?;
    let skip = slot - extent.slot;
    let left = extent.len.checked_sub(skip).filter(|left| *left != 0)?;
    Some((extent.sector + skip * SLOT_SECTORS, left.min(max)))
}
