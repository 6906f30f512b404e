// SPDX-License-Identifier: GPL-2.0

//! Slot of the `ram` driver: where an object is, and how long.
//!
//! ```text
//!  55                                    12 11        0
//! +----------------------------------------+-----------+
//! | offset of the handle in memory, / 8    | length - 1|
//! +----------------------------------------+-----------+
//! ```
//!
//! A handle is a multiple of 8. Its offset in the direct map of all memory is
//! below 2^47, or there is no slot for it. On x86-64 with four levels of page
//! tables the direct map is at most 2^46 bytes, so there always is; with five
//! levels (2^52) there is none for handles above 128 TiB of physical address.
//!
//! This file is pure logic: the same source runs on the host.

/// Bits of a slot.
pub(crate) const SLOT_BITS: u32 = 56;

const LEN_BITS: u32 = 12;
const LEN_MASK: u64 = (1 << LEN_BITS) - 1;
const ALIGN_BITS: u32 = 3;
const ALIGN_MASK: u64 = (1 << ALIGN_BITS) - 1;

/// Bytes of the longest object.
pub(crate) const LEN_MAX: usize = 1 << LEN_BITS;
/// Offsets are below this.
pub(crate) const OFFSET_END: u64 = 1 << (SLOT_BITS - LEN_BITS + ALIGN_BITS);

/// Returns the slot for an object; `None` unless `offset` is a multiple of 8
/// below [`OFFSET_END`], and `len` 1 to [`LEN_MAX`].
pub(crate) fn encode(offset: u64, len: usize) -> Option<u64> {
    if offset & ALIGN_MASK != 0 || offset >= OFFSET_END || len > LEN_MAX {
        return None;
    }
    let len = (len as u64).checked_sub(1)?;
    Some((offset >> ALIGN_BITS) << LEN_BITS | len)
}

/// Returns offset and length of the object in `slot`.
pub(crate) fn decode(slot: u64) -> (u64, usize) {
    let offset = (slot >> LEN_BITS) << ALIGN_BITS;
    let len = (slot & LEN_MASK) + 1;
    (offset, len as usize)
}
