// SPDX-License-Identifier: GPL-2.0

//! Map: where each page of a region is, a byte per page, for debugfs.
//!
//! One sparse file for all regions: the offset says which region and which page
//! of it, so that nothing is created with a region, and a program reads what it
//! wants of one that is huge. Nothing is allocated, and nothing is locked but
//! the entry of a resident page, one at a time.

use crate::{
    entry::{
        State,
        Stored, //
    },
    fault,
    kthread,
    record::{
        Record,
        INDEX_BITS, //
    },
    region::Region,
    regions, //
};
use kernel::{
    debugfs::BinaryWriter,
    fs::file::Offset,
    prelude::*,
    uaccess::UserSliceWriter, //
};

/// Pages between two looks at whether somebody else wants to run.
const CHUNK: usize = 256;

/// The file `map`.
pub(crate) struct Map;

impl BinaryWriter for Map {
    /// Process context, no lock held. Ends with the region, or when the task is
    /// killed.
    ///
    /// # Errors
    ///
    /// `ENOENT` if there is no such region; `EFAULT`.
    fn write_to_slice(&self, writer: &mut UserSliceWriter, offset: &mut Offset) -> Result<usize> {
        let at = u64::try_from(*offset).map_err(|_| EINVAL)?;
        let region = regions::open(at >> INDEX_BITS).ok_or(ENOENT)?;
        let mut index = at & ((1 << INDEX_BITS) - 1);
        let end = region
            .pages()
            .min(index.saturating_add(writer.len() as u64));
        let mut written = 0;
        while index < end && !fault::is_killed() {
            let mut bytes = [0; CHUNK];
            let mut len = 0;
            for (byte, index) in bytes.iter_mut().zip(index..end) {
                *byte = look(&region, index);
                len += 1;
            }
            writer.write_slice(bytes.get(..len).unwrap_or_default())?;
            index += len as u64;
            written += len;
            kthread::cond_resched();
        }
        *offset = offset.saturating_add(written as Offset);
        Ok(written)
    }
}

/// Returns the letter of a page.
fn look(region: &Region, index: u64) -> u8 {
    let seen = region.table.peek(index);
    if !matches!(seen, State::Resident(_)) {
        return letter(seen);
    }
    let Some(entry) = region.table.lock(index) else {
        return letter(State::Empty);
    };
    let State::Resident(_) = entry.get() else {
        return letter(entry.get());
    };
    // The reference that is taken and dropped is not the last: the table has one.
    let of_record = |record: &Record| match (record.folio().is_dirty(), record.is_aged()) {
        (true, false) => b'D',
        (true, true) => b'd',
        (false, false) => b'C',
        (false, true) => b'c',
    };
    Record::of(&entry).map_or(b'C', of_record)
}

/// Returns the letter of a state, without what a record knows.
fn letter(state: State) -> u8 {
    match state {
        State::Empty | State::Dead => b'.',
        State::Resident(_) => b'C',
        State::Writing(_) => b'W',
        State::Swapped(Stored::Slot(_)) => b's',
        State::Swapped(Stored::Fill(_)) => b'=',
        State::Reading(_) => b'R',
        State::Poisoned => b'X',
    }
}
