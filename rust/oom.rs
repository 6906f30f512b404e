// SPDX-License-Identifier: GPL-2.0

//! Out of memory: nobody is killed while the swappers make room.
//!
//! The core gives up as soon as the free memory of a zone, and what it sees on
//! its own LRU lists, are below the watermark, whatever shrinkers freed
//! meanwhile: should_reclaim_retry() of mm/page_alloc.c. It asks once more before
//! it has a task killed, and goes back to reclaim if pages were freed "in the last
//! second". That is answered here, without a wait: reclaim waits for the swappers
//! when it comes by again, see [`crate::shrinker`].
//!
//! C header: [`include/linux/oom.h`](srctree/include/linux/oom.h)

use crate::{
    atomic::Word,
    bindings as ours,
    deadline::now_ns,
    notifier::Notifier,
    record, //
};
use kernel::{
    bindings,
    prelude::*, //
};

const SECOND_NS: u64 = 1_000_000_000;

/// How long a batch that is being written counts as memory to come.
const WRITE_NS: u64 = 5 * SECOND_NS;

/// How long pages may come and go before that is no progress any more.
const THRASH_NS: u64 = 10 * SECOND_NS;

/// Pages that the swappers freed since the module was loaded.
static FREED: Word = Word::new(0);
/// [`FREED`] when the core last asked.
static CREDITED: Word = Word::new(0);
/// When a swapper last freed pages.
static FREED_AT: Word = Word::new(0);
/// When the batch began that a swapper is busy with; 0 if it is not.
static BUSY_SINCE: Word = Word::new(0);
/// When the core last asked.
static ASKED_AT: Word = Word::new(0);
/// Fewest pages in memory since the core began to ask, and when that was.
static FEWEST: Word = Word::new(u64::MAX);
static FEWEST_AT: Word = Word::new(0);

/// A swapper pages out for as long as the value lives.
pub(crate) struct Paging<'a> {
    since: u64,
    /// When the swapper's batch began; 0 if it has none.
    batch_since: &'a Word,
}

impl<'a> Paging<'a> {
    /// Begins.
    pub(crate) fn begin(batch_since: &'a Word) -> Self {
        let since = now_ns();
        BUSY_SINCE.store_release(since);
        batch_since.store_release(since);
        Self { since, batch_since }
    }

    /// Some of the pages are free now.
    pub(crate) fn note_freed(&self, pages: u64) {
        if pages != 0 {
            FREED.count(pages);
            FREED_AT.store_release(now_ns());
        }
    }
}

impl Drop for Paging<'_> {
    fn drop(&mut self) {
        self.batch_since.store_release(0);
        // Unless another swapper began since.
        let _ = BUSY_SINCE.cmpxchg(self.since, 0);
    }
}

/// Whether a batch that began at `since`, or 0 for none, has been written for so long
/// that it is no memory to come any more.
pub(crate) fn is_hanging(since: &Word) -> bool {
    let since = since.load();
    since != 0 && now_ns().saturating_sub(since) > WRITE_NS
}

/// Returns the pages that the swappers freed since the module was loaded.
pub(crate) fn freed() -> u64 {
    FREED.load()
}

/// Returns the pages for the sake of which nobody should be killed now. Does not
/// sleep. For one caller at a time: the core holds its `oom_lock`.
fn credit(now: u64) -> u64 {
    let is_within = |time: u64, ns: u64| time != 0 && now.saturating_sub(time) < ns;
    let (resident, _) = record::usage();
    if !is_within(ASKED_AT.load(), SECOND_NS) || resident < FEWEST.load() {
        FEWEST.store_release(resident);
        FEWEST_AT.store_release(now);
    }
    ASKED_AT.store_release(now);
    let freed = FREED.load();
    let pages = freed.wrapping_sub(CREDITED.load());
    CREDITED.store_release(freed);
    if !is_within(FEWEST_AT.load(), THRASH_NS) {
        return 0;
    }
    if is_within(FREED_AT.load(), SECOND_NS) || is_within(BUSY_SINCE.load(), WRITE_NS) {
        return pages.max(1);
    }
    0
}

/// # Safety
///
/// Called by the core with `freed` as out_of_memory() passes it.
unsafe extern "C" fn notify(
    _block: *mut bindings::notifier_block,
    _event: c_ulong,
    freed: *mut c_void,
) -> c_int {
    let pages = credit(now_ns());
    // SAFETY: By the safety requirement.
    unsafe { *freed.cast::<c_ulong>() += pages as c_ulong };
    bindings::NOTIFY_OK as c_int
}

/// Has the core ask before it has a task killed. May sleep.
pub(crate) fn notifier() -> impl PinInit<Notifier, Error> {
    // SAFETY: Both are of the same chain, whose arguments `notify` expects.
    unsafe {
        Notifier::new(
            notify,
            ours::register_oom_notifier,
            ours::unregister_oom_notifier,
        )
    }
}
