// SPDX-License-Identifier: GPL-2.0

//! Magazine: the few records that a processor has at hand.
//!
//! This file is pure logic: the same source runs on the host.

/// Records of a magazine: room for two batches of pages.
pub(crate) const CAPACITY: usize = 128;

/// What moves at once between a magazine and the pool. After that, neither who
/// takes the records of a batch nor who gives them back has to go there.
pub(crate) const HALF: usize = CAPACITY / 2;

/// A stack of records, and whether it was in use lately.
pub(crate) struct Magazine<T> {
    items: [Option<T>; CAPACITY],
    len: usize,
    idle: bool,
}

impl<T> Magazine<T> {
    /// Empty.
    pub(crate) const fn new() -> Self {
        Self {
            items: [const { None }; CAPACITY],
            len: 0,
            idle: true,
        }
    }

    /// Returns the number of records.
    pub(crate) fn len(&self) -> usize {
        self.len
    }

    /// Takes the record that was given back last.
    pub(crate) fn pop(&mut self) -> Option<T> {
        self.idle = false;
        let len = self.len.checked_sub(1)?;
        let item = self.items.get_mut(len)?.take();
        self.len = len;
        item
    }

    /// Gives a record back; `Err` has it if there is no room.
    pub(crate) fn push(&mut self, item: T) -> Result<(), T> {
        self.idle = false;
        let Some(place) = self.items.get_mut(self.len) else {
            return Err(item);
        };
        *place = Some(item);
        self.len += 1;
        Ok(())
    }

    /// Whether nobody used the magazine since this was last asked.
    pub(crate) fn look_idle(&mut self) -> bool {
        core::mem::replace(&mut self.idle, true)
    }
}
