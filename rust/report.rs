// SPDX-License-Identifier: GPL-2.0

//! Reports: tracepoints, and log lines that may come in numbers.
//!
//! The tracepoints are in `helpers/trace.h`.

use crate::{
    batch::Operation,
    bindings as ours,
    error::Result,
    owner::Target, //
};
use core::ops::Range;
use kernel::{
    prelude::*,
    str::CStr, //
};

/// A driver returned something else than it was given. Any context.
pub(crate) fn corrupt(region: u64, index: u64, slot: u64, driver: &CStr) {
    // SAFETY: The name is a C string, which is only read.
    unsafe { ours::swapvma_report_corrupt(region, index, slot, driver.as_char_ptr()) };
}

fn length(pages: &Range<u64>) -> u64 {
    pages.end.saturating_sub(pages.start)
}

/// What the driver said about the pages of a batch.
#[derive(Default, Clone, Copy)]
pub(crate) struct Answers {
    /// Pages that it was given.
    pub(crate) written: u64,
    /// Pages that it stored.
    pub(crate) stored: u64,
    /// Pages that it did not want, now or at all.
    pub(crate) kept: u64,
    /// Pages that it failed to store.
    pub(crate) failed: u64,
}

impl Answers {
    /// None yet to `written` pages.
    pub(crate) fn none(written: usize) -> Self {
        Self {
            written: written as u64,
            ..Self::default()
        }
    }
}

/// A batch between its begin and its end.
pub(crate) struct Batch {
    operation: Operation,
    traced: ours::swapvma_traced_batch,
}

impl Batch {
    /// A batch enters flight. Any context.
    pub(crate) fn begin(
        operation: Operation,
        (region, seq): (u64, u64),
        pages: Range<u64>,
        candidates: usize,
        driver: &CStr,
    ) -> Self {
        let traced = ours::swapvma_traced_batch {
            region,
            seq,
            first: pages.start,
            pages: length(&pages),
            candidates: candidates as u64,
            ..Default::default()
        };
        let launder = operation != Operation::Swapout;
        // SAFETY: Values and the name are only read.
        unsafe { ours::swapvma_trace_batch_begin(launder, &traced, driver.as_char_ptr()) };
        Self { operation, traced }
    }

    /// What it did is done, with `done` pages gone or clean. Any context.
    pub(crate) fn end(mut self, done: u64, answers: Answers) {
        self.traced.done = done;
        self.traced.written = answers.written;
        self.traced.stored = answers.stored;
        self.traced.kept = answers.kept;
        self.traced.failed = answers.failed;
        let launder = self.operation != Operation::Swapout;
        // SAFETY: The values are only read.
        unsafe { ours::swapvma_trace_batch_end(launder, &self.traced) };
    }
}

/// A driver is to read a page. Any context.
pub(crate) fn swapin_begin(region: u64, index: u64, slot: u64, driver: &CStr) {
    // SAFETY: The name is a C string, which is only read.
    unsafe { ours::swapvma_trace_swapin_begin(region, index, slot, driver.as_char_ptr()) };
}

/// It read the page, or cannot. Before anybody else can read it again. Any
/// context.
pub(crate) fn swapin_end(region: u64, index: u64, slot: u64, result: Result) {
    // SAFETY: No precondition.
    unsafe { ours::swapvma_trace_swapin_end(region, index, slot, errno(result)) };
}

/// A mapping of `pages` has to wait. Any context.
pub(crate) fn munmap_wait_begin(region: u64, pages: &Range<u64>, in_swapout: u64) {
    let (first, pages) = (pages.start, length(pages));
    // SAFETY: No precondition.
    unsafe { ours::swapvma_trace_munmap_wait_begin(region, first, pages, in_swapout) };
}

/// It waited. Any context.
pub(crate) fn munmap_wait_end(region: u64, pages: &Range<u64>, waited_ns: u64) {
    let (first, pages) = (pages.start, length(pages));
    // SAFETY: No precondition.
    unsafe { ours::swapvma_trace_munmap_wait_end(region, first, pages, waited_ns) };
}

/// The shrinker is asked for `pages` of a node and a cgroup. Any context.
pub(crate) fn shrink_begin(target: Target, pages: u64, may_wait: bool) {
    // SAFETY: The cgroup is null, or whoever made the target holds it.
    unsafe { ours::swapvma_trace_shrink_begin(target.nid, target.cgroup, pages, may_wait) };
}

/// It looked at `scanned` of them and dropped some; with those that swappers freed
/// while it waited, `freed`. Any context.
pub(crate) fn shrink_end(target: Target, pages: u64, scanned: u64, dropped: u64, freed: u64) {
    let Target { nid, cgroup } = target;
    // SAFETY: The cgroup is null, or whoever made the target holds it.
    unsafe { ours::swapvma_trace_shrink_end(nid, cgroup, pages, scanned, dropped, freed) };
}

/// A region of `pages` is drained of what a driver stores. Any context.
pub(crate) fn drain_begin(region: u64, pages: u64, driver: &CStr) {
    // SAFETY: The name is a C string, which is only read.
    unsafe { ours::swapvma_trace_drain_begin(region, pages, driver.as_char_ptr()) };
}

/// That is over. Any context.
pub(crate) fn drain_end(region: u64, pages: u64, moved: u64, result: Result) {
    // SAFETY: No precondition.
    unsafe { ours::swapvma_trace_drain_end(region, pages, moved, errno(result)) };
}

fn errno(result: Result) -> i32 {
    result.err().map_or(0, |error| error.to_errno())
}
