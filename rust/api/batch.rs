// SPDX-License-Identifier: GPL-2.0

//! Batch: up to 64 pages of one region, handed to a driver in one call.

use super::{
    bindings,
    Page,
    PageBytes,
    Slot, //
};
use core::ptr::NonNull;
use kernel::{
    error::to_result,
    page::PAGE_SIZE,
    prelude::*, //
};

/// The driver's answer for one page; see `enum swapvma_result`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    /// Stored in this slot, which is the driver's to keep until it is discarded.
    Stored(Slot),
    /// Storing it would cost more than it frees, or memory is short.
    Kept,
    /// Not now.
    Retry,
    /// The store is full.
    NoSpace,
    /// The write failed.
    Failed,
}

impl From<Result<Slot>> for Answer {
    /// `ENOMEM` is [`Answer::Kept`], `ENOSPC` [`Answer::NoSpace`], `EAGAIN`
    /// [`Answer::Retry`], any other error [`Answer::Failed`].
    #[inline]
    fn from(result: Result<Slot>) -> Self {
        match result {
            Ok(slot) => Answer::Stored(slot),
            Err(error) if error == ENOMEM => Answer::Kept,
            Err(error) if error == ENOSPC => Answer::NoSpace,
            Err(error) if error == EAGAIN => Answer::Retry,
            Err(_) => Answer::Failed,
        }
    }
}

/// A batch in the hands of its driver.
///
/// It owns its pages and is its own completion token: dropping it hands it back with
/// the answers it got. Pages without an answer count as [`Answer::Failed`]. A driver
/// that is not done when `swapout` returns keeps the value until it is; one that
/// forgets it meets its deadline.
///
/// Whatever is not stored stays in memory.
///
/// # Context of completion
///
/// A batch is answered and dropped, and a [`Read`](super::Read) completed or dropped,
/// in any context in which a [`SpinLock`](kernel::sync::SpinLock) may be locked with
/// interrupts off: in tasks, in soft interrupts, timers included, and in interrupt
/// handlers, threaded or not. Under PREEMPT_RT all of these may sleep for a spinlock.
/// Not where that takes a raw spinlock, of which lockdep says "Invalid wait context"
/// without PREEMPT_RT, too: in handlers of `smp_call_function()`, in interrupt
/// handlers with `IRQF_NO_THREAD`, `IRQF_PERCPU` or `IRQF_ONESHOT`, in hrtimers of a
/// `HRTIMER_MODE_*_HARD`, in irq_work with `IRQ_WORK_HARD_IRQ`, in NMIs, under a raw
/// spinlock; nor with interrupts or preemption turned off by other means than a
/// spinlock.
///
/// # Invariants
///
/// The pointer is what `swapout` was called with, and the batch was not
/// completed.
pub struct Batch(NonNull<bindings::swapvma_batch>);

// SAFETY: The boundary lets any task use and complete a batch.
unsafe impl Send for Batch {}
// SAFETY: What a shared batch offers only reads.
unsafe impl Sync for Batch {}

impl Batch {
    /// Wraps what `swapout` was called with.
    ///
    /// # Safety
    ///
    /// The batch is the caller's, who does not use it afterwards.
    #[inline]
    pub(super) unsafe fn from_raw(batch: NonNull<bindings::swapvma_batch>) -> Self {
        // INVARIANT: By the safety requirement.
        Self(batch)
    }

    /// Returns the number of pages, 1 to 64. Any context.
    #[allow(clippy::len_without_is_empty)]
    #[inline]
    pub fn len(&self) -> usize {
        // SAFETY: By the type invariant.
        unsafe { bindings::swapvma_batch_len(self.0.as_ptr()) as usize }
    }

    /// Returns the offset of page `i` in its region, in pages; `None` past the
    /// end. Any context.
    #[inline]
    pub fn index(&self, i: usize) -> Option<u64> {
        let i = self.check(i)?;
        // SAFETY: By the type invariant.
        Some(unsafe { bindings::swapvma_batch_index(self.0.as_ptr(), i) })
    }

    /// Returns page `i`, for a bio or a scatterlist; `None` past the end. It is
    /// valid until the batch is dropped. Its content may change while it is
    /// read unless the driver is [`STABLE`](super::Driver::STABLE). Any context.
    #[inline]
    pub fn page(&self, i: usize) -> Option<NonNull<kernel::bindings::page>> {
        let i = self.check(i)?;
        // SAFETY: By the type invariant.
        NonNull::new(unsafe { bindings::swapvma_batch_page(self.0.as_ptr(), i) })
    }

    /// Returns how many bytes of page `i` matter: a page, or less if it was
    /// compressed and encrypted. The rest is zeroes, which `swapin` need not
    /// return; see [`Read::length`](super::Read::length). 0 past the end. Any
    /// context.
    #[inline]
    pub fn length(&self, i: usize) -> usize {
        let Some(i) = self.check(i) else { return 0 };
        // SAFETY: By the type invariant.
        unsafe { bindings::swapvma_batch_length(self.0.as_ptr(), i) as usize }
    }

    /// Copies page `i`. User space may write to it meanwhile, which cancels its
    /// swapout: the copy is then of no use, and nobody asks for it. Any context.
    ///
    /// # Errors
    ///
    /// `EINVAL` past the end; `EIO` if a memory error hit the page.
    #[inline]
    pub fn copy_page(&self, i: usize, to: &mut PageBytes) -> Result {
        // SAFETY: By the type invariant; `to` is a page of the caller's.
        unsafe { self.copy(i, to.as_mut_ptr()) }
    }

    /// # Safety
    ///
    /// `to` is valid for a page that nobody else uses.
    #[inline]
    unsafe fn copy(&self, i: usize, to: *mut u8) -> Result {
        let i = self.check(i).ok_or(EINVAL)?;
        // SAFETY: By the type invariant and the safety requirement.
        to_result(unsafe { bindings::swapvma_batch_copy(self.0.as_ptr(), i, to.cast()) })
    }

    /// Whether storing the batch is worth the memory reserves. If not, it is written
    /// before anybody wants its memory: who stores in memory takes what is free, or
    /// answers [`Answer::Kept`]. Any context.
    #[inline]
    pub fn frees(&self) -> bool {
        // SAFETY: By the type invariant.
        unsafe { bindings::swapvma_batch_frees(self.0.as_ptr()) }
    }

    /// Allocates a page of zeroes to store something in: from free memory, or
    /// else from the reserves, at most half as many as the batch has pages.
    ///
    /// Only in `swapout` itself. Nothing else may be allocated there.
    ///
    /// # Errors
    ///
    /// `ENOMEM`; the answer is [`Answer::Kept`] then.
    #[inline]
    pub fn alloc_page(&mut self) -> Result<Page> {
        self.alloc(|bytes| {
            // SAFETY: `bytes` is valid for a page.
            unsafe { bytes.write_bytes(0, PAGE_SIZE) };
            Ok(())
        })
    }

    /// As [`Batch::alloc_page`], but the page is a copy of page `i`, as
    /// [`Batch::copy_page`] makes it.
    ///
    /// # Errors
    ///
    /// Those of both.
    #[inline]
    pub fn copy_to_new(&mut self, i: usize) -> Result<Page> {
        // SAFETY: `bytes` is valid for a page, and nobody else's.
        self.alloc(|bytes| unsafe { self.copy(i, bytes) })
    }

    /// Allocates a page, the bytes of which `fill` initialises if it returns no error.
    #[inline]
    fn alloc(&self, fill: impl FnOnce(*mut u8) -> Result) -> Result<Page> {
        // SAFETY: By the type invariant.
        let page = unsafe { bindings::swapvma_batch_alloc_page(self.0.as_ptr()) };
        let page = NonNull::new(page).ok_or(ENOMEM)?;
        // SAFETY: The page was just allocated for the caller.
        unsafe { Page::new(page, fill) }
    }

    /// Answers page `i`; past the end it does nothing. A later answer replaces
    /// an earlier one. In a [context of completion](Batch#context-of-completion).
    #[inline]
    pub fn answer(&mut self, i: usize, answer: impl Into<Answer>) {
        let Some(i) = self.check(i) else { return };
        let (result, slot) = match answer.into() {
            Answer::Stored(slot) => (bindings::swapvma_result::SWAPVMA_STORED, slot.get()),
            Answer::Kept => (bindings::swapvma_result::SWAPVMA_KEPT, 0),
            Answer::Retry => (bindings::swapvma_result::SWAPVMA_RETRY, 0),
            Answer::NoSpace => (bindings::swapvma_result::SWAPVMA_NO_SPACE, 0),
            Answer::Failed => (bindings::swapvma_result::SWAPVMA_FAILED, 0),
        };
        // SAFETY: By the type invariant.
        unsafe { bindings::swapvma_batch_answer(self.0.as_ptr(), i, result, slot) };
    }

    /// Stores page after page with `store`, answers with what that returns, and
    /// hands the batch back.
    #[inline]
    pub fn store_each(mut self, mut store: impl FnMut(&mut Self, usize) -> Result<Slot>) {
        for i in 0..self.len() {
            let result = store(&mut self, i);
            self.answer(i, result);
        }
    }

    /// Returns `i` as the boundary wants it; `None` past the end.
    #[inline]
    fn check(&self, i: usize) -> Option<u32> {
        if i < self.len() {
            u32::try_from(i).ok()
        } else {
            None
        }
    }
}

impl Drop for Batch {
    #[inline]
    fn drop(&mut self) {
        // SAFETY: By the type invariant; nothing uses the batch afterwards.
        unsafe { bindings::swapvma_batch_complete(self.0.as_ptr()) };
    }
}
