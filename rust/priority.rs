// SPDX-License-Identifier: GPL-2.0

//! Priority: which regions of a cgroup memory pressure takes pages of first.
//!
//! Those of the lowest priority; of others, only when these have nothing to give. How
//! many regions of each priority there are is counted, so that reclaim looks for no
//! priority that none has.

use crate::{
    atomic::Word,
    bindings as ours,
    error::{
        code,
        Result, //
    }, //
};

const MIN: i64 = ours::SWAPVMA_PRIORITY_MIN as i64;
const MAX: i64 = ours::SWAPVMA_PRIORITY_MAX as i64;
const LEVELS: usize = (MAX - MIN + 1) as usize;

/// Regions of each priority, from the lowest one on.
static REGIONS: [Word; LEVELS] = [const { Word::new(0) }; LEVELS];

/// Whether the calling task may have more than others.
pub(crate) fn may_exceed() -> bool {
    // SAFETY: No precondition.
    unsafe { ours::swapvma_may_exceed_resources() }
}

/// The priority of a region.
pub(crate) struct Priority(Word);

impl Priority {
    /// That of a new region.
    pub(crate) fn new() -> Self {
        count(0, true);
        Self(Word::new(0))
    }

    /// Returns it.
    pub(crate) fn get(&self) -> i64 {
        self.0.load() as i64
    }

    /// Changes it.
    ///
    /// # Errors
    ///
    /// `EINVAL` for one that there is not; `EPERM` for one that is higher than it is and
    /// than that of a new region, if the calling task may not have more than others.
    pub(crate) fn set(&self, priority: i64) -> Result {
        if !(MIN..=MAX).contains(&priority) {
            return Err(code::EINVAL);
        }
        let mut was = self.get();
        loop {
            if priority > was.max(0) && !may_exceed() {
                return Err(code::EPERM);
            }
            match self.0.cmpxchg(was as u64, priority as u64) {
                Ok(_) => break,
                Err(now) => was = now as i64,
            }
        }
        count(priority, true);
        count(was, false);
        Ok(())
    }
}

impl Drop for Priority {
    fn drop(&mut self) {
        count(self.get(), false);
    }
}

fn regions_of(priority: i64) -> Option<&'static Word> {
    let level = priority.checked_sub(MIN)?;
    REGIONS.get(usize::try_from(level).ok()?)
}

/// A region has a priority, or does not have it any more.
fn count(priority: i64, has: bool) {
    match regions_of(priority) {
        Some(regions) if has => regions.add(1),
        Some(regions) => regions.sub(1),
        None => 0,
    };
}

/// Returns each priority that a region has, the lowest one first.
pub(crate) fn each() -> impl Iterator<Item = i64> {
    (MIN..=MAX).filter(|&priority| regions_of(priority).is_some_and(|regions| regions.load() != 0))
}
