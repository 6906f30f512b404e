// SPDX-License-Identifier: GPL-2.0

//! Batch: up to 64 pages of one region, handed to a driver in one call.
//!
//! A batch belongs to its driver's swapper. It owns references to its pages and
//! to the region's file, which in turn holds the region and the driver's
//! module, so that memory safety never depends on anybody waiting. It is its
//! own completion token:
//!
//! ```text
//! Idle -> Running -> Done -> Applying -> Idle
//!            |         |
//!            +----+----+ deadline
//!                 v
//!             Abandoned -> Late -> Idle
//! ```
//!
//! The driver moves it from `Running` to `Done`, or from `Abandoned` to `Late`,
//! and does not touch it afterwards. Whoever moves it to `Applying` or to
//! `Abandoned` decides what becomes of the pages.

mod boundary;

use crate::{
    atomic::Word,
    bindings,
    entry::Slot,
    error::{
        Error,
        Result, //
    },
    folio::{
        Effort,
        Folio,
        NewPage,
        PageBytes,
        PAGE_SIZE, //
    },
    inflight::Ticket,
    limit::BATCH_PAGES,
    seal::{
        Seal,
        Words,
        SEAL_WORDS, //
    },
    wait::WaitQueue, //
};
use core::ptr::NonNull;
use kernel::{
    prelude::*,
    sync::SetOnce, //
};

/// The driver's answer for one page; see `enum swapvma_result`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Answer {
    /// Stored in this slot.
    Stored(Slot),
    /// Storing it would cost more than it frees.
    Kept,
    /// Not now.
    Retry,
    /// The store is full.
    NoSpace,
    /// The write failed, or there was no answer.
    Failed,
}

/// What a batch is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Operation {
    /// The pages were unmapped and leave memory once they are stored.
    Swapout,
    /// The pages stay mapped and become clean once they are stored.
    Launder,
    /// The same for cold pages, before somebody wants their memory. Nobody waits
    /// for it: a page that is used meanwhile is left alone.
    Ahead,
}

/// Where a batch is; see the module's diagram.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u64)]
pub(crate) enum Phase {
    /// No driver has it.
    Idle = 0,
    /// The driver has it.
    Running = 1,
    /// The driver gave it back.
    Done = 2,
    /// The swapper applies the answers.
    Applying = 3,
    /// The deadline passed; the driver still has it.
    Abandoned = 4,
    /// The driver gave it back after the deadline.
    Late = 5,
}

impl Phase {
    fn from_word(word: u64) -> Self {
        match word {
            1 => Phase::Running,
            2 => Phase::Done,
            3 => Phase::Applying,
            4 => Phase::Abandoned,
            5 => Phase::Late,
            _ => Phase::Idle,
        }
    }
}

/// One page of a batch.
struct Item {
    /// Address of the page, of which the batch owns a reference; 0 if none.
    folio: Word,
    index: Word,
    result: Word,
    slot: Word,
    /// The page could not be copied: whatever is stored is not it.
    broken: Word,
    /// Bytes that the driver has to store.
    length: Word,
    /// What tells the stored page from others.
    seal: [Word; SEAL_WORDS],
}

impl Item {
    /// Takes the page out, if the batch has it.
    fn take_folio(&self) -> Option<Folio> {
        let folio = NonNull::new(self.folio.load() as *mut kernel::bindings::folio)?;
        self.folio.store_release(0);
        // SAFETY: `push` put a reference there, and it is out now.
        Some(unsafe { Folio::from_raw(folio) })
    }

    /// Returns the driver's answer.
    fn answer(&self) -> Answer {
        match bindings::swapvma_result(self.result.load() as u32) {
            bindings::swapvma_result::SWAPVMA_STORED => {
                Slot::new(self.slot.load()).map_or(Answer::Failed, Answer::Stored)
            }
            bindings::swapvma_result::SWAPVMA_KEPT => Answer::Kept,
            bindings::swapvma_result::SWAPVMA_RETRY => Answer::Retry,
            bindings::swapvma_result::SWAPVMA_NO_SPACE => Answer::NoSpace,
            _ => Answer::Failed,
        }
    }

    /// Returns the page, if the batch has it, with a reference of the caller's.
    fn folio(&self) -> Option<Folio> {
        let folio = NonNull::new(self.folio.load() as *mut kernel::bindings::folio)?;
        // SAFETY: The batch holds a reference to its pages, which its swapper alone
        // takes out, who is the caller.
        Some(unsafe { Folio::get(folio) })
    }
}

/// The pages that a driver works on. One per driver, allocated with it, so that
/// a swapout allocates nothing.
#[pin_data]
pub(crate) struct Inner {
    phase: Word,
    len: Word,
    seq: Word,
    deadline_ns: Word,
    operation: Word,
    /// Pages that the driver may still take from the memory reserves.
    reserves: Word,
    /// The driver needs pages which do not change.
    stable: bool,
    /// It gets copies of the pages.
    staged: Word,
    /// The copies, from when the driver or a region first needs them. They are no
    /// windows: the driver has them until it answers, which may be never.
    copies: SetOnce<KVec<Folio>>,
    /// The swapper waits here for the driver, and for work.
    #[pin]
    pub(crate) wait: WaitQueue,
    items: [Item; BATCH_PAGES],
}

impl Inner {
    /// An idle batch; a `stable` one is always of copies, for which there is room
    /// after [`Inner::stage`].
    pub(crate) fn new(stable: bool) -> impl PinInit<Self, Error> {
        try_pin_init!(Self {
            phase: Word::new(Phase::Idle as u64),
            len: Word::new(0),
            seq: Word::new(0),
            deadline_ns: Word::new(0),
            operation: Word::new(0),
            reserves: Word::new(0),
            stable,
            staged: Word::new(0),
            copies: SetOnce::new(),
            wait <- WaitQueue::new(c"swapvma_swapper_wait", kernel::static_lock_class!()),
            items: [const {
                Item {
                    folio: Word::new(0),
                    index: Word::new(0),
                    result: Word::new(0),
                    slot: Word::new(0),
                    broken: Word::new(0),
                    length: Word::new(0),
                    seal: [const { Word::new(0) }; SEAL_WORDS],
                }
            }; BATCH_PAGES],
        }? Error)
    }

    /// Makes room for copies of the pages, unless there is. The caller excludes
    /// others that do. May sleep and allocate.
    ///
    /// # Errors
    ///
    /// `ENOMEM`.
    pub(crate) fn stage(&self) -> Result {
        if self.copies.as_ref().is_none() {
            self.copies.populate(copies(BATCH_PAGES)?);
        }
        Ok(())
    }

    fn copies(&self) -> &[Folio] {
        self.copies.as_ref().map_or(&[], |copies| copies)
    }

    /// Returns where the batch is.
    pub(crate) fn phase(&self) -> Phase {
        Phase::from_word(self.phase.load())
    }

    /// Moves the batch from one phase to another; `false` if it was elsewhere.
    pub(crate) fn advance(&self, from: Phase, to: Phase) -> bool {
        self.phase.cmpxchg(from as u64, to as u64).is_ok()
    }

    /// Returns the number of pages.
    pub(crate) fn len(&self) -> usize {
        self.len.load() as usize
    }

    /// Returns the sequence number in the region.
    pub(crate) fn seq(&self) -> u64 {
        self.seq.load()
    }

    /// Returns what the batch is for.
    pub(crate) fn operation(&self) -> Operation {
        match self.operation.load() {
            0 => Operation::Swapout,
            1 => Operation::Launder,
            _ => Operation::Ahead,
        }
    }

    /// Whether storing the batch is worth the memory reserves: pages leave for it,
    /// or somebody waits.
    pub(crate) fn frees(&self) -> bool {
        self.operation() != Operation::Ahead
    }

    /// Whether the deadline passed at time `now_ns`.
    pub(crate) fn is_overdue(&self, now_ns: u64) -> bool {
        now_ns >= self.deadline_ns.load()
    }

    /// Milliseconds from `now_ns` to the deadline.
    pub(crate) fn left_ms(&self, now_ns: u64) -> u64 {
        self.deadline_ns.load().saturating_sub(now_ns) / 1_000_000 + 1
    }

    /// Begins to fill the batch.
    pub(crate) fn start(&self, operation: Operation, ticket: Ticket) {
        self.len.store_release(0);
        self.seq.store_release(ticket.seq());
        self.operation.store_release(operation as u64);
    }

    /// Appends a page. Gives it back when the batch is full.
    pub(crate) fn push(&self, folio: Folio, index: u64) -> core::result::Result<(), Folio> {
        let len = self.len.load();
        let Some(item) = self.items.get(len as usize) else {
            return Err(folio);
        };
        item.index.store_release(index);
        item.result
            .store_release(u64::from(bindings::swapvma_result::SWAPVMA_FAILED.0));
        item.broken.store_release(0);
        item.length.store_release(PAGE_SIZE as u64);
        item.folio.store_release(folio.into_raw().as_ptr() as u64);
        self.len.store_release(len + 1);
        Ok(())
    }

    /// Copies the pages if the driver needs them not to change. No lock held.
    pub(crate) fn copy_pages(&self) {
        self.staged.store_release(u64::from(self.stable));
        if !self.stable {
            return;
        }
        for (item, copy) in self.items.iter().zip(self.copies()).take(self.len()) {
            let copied = item.folio().map(|folio| copy.copy_from(&folio));
            if copied.is_some_and(|copied| copied.is_err()) {
                item.broken.store_release(1);
            }
        }
    }

    /// Has `seal` make what the driver stores, from the index and the page, which may
    /// change meanwhile. The driver had the copy before, in another batch, and may
    /// look at it: nothing is put there but what it is to store. A page for which
    /// `seal` returns nothing stays in memory, and the driver gets zeroes. In the
    /// swapper, before the batch is submitted; no lock held.
    pub(crate) fn seal_pages(
        &self,
        mut seal: impl FnMut(u64, &Folio, &mut PageBytes) -> Option<Seal>,
    ) {
        self.staged.store_release(1);
        // Until they are sealed.
        for item in self.items.iter().take(self.len()) {
            item.broken.store_release(1);
        }
        if self.phase() != Phase::Idle {
            return;
        }
        for (item, copy) in self.items.iter().zip(self.copies()).take(self.len()) {
            // SAFETY: The copies are the batch's own, which its swapper alone uses
            // while it is idle.
            let bytes = unsafe { copy.bytes_mut() };
            let folio = item.folio();
            let Some(sealed) = folio.and_then(|folio| seal(item.index.load(), &folio, bytes))
            else {
                bytes.fill(0);
                continue;
            };
            item.broken.store_release(0);
            item.length.store_release(sealed.length() as u64);
            for (kept, word) in item.seal.iter().zip(sealed.encode()) {
                kept.store_release(word);
            }
        }
    }

    /// Hands the batch to the driver until `deadline_ns`.
    pub(crate) fn submit(&self, deadline_ns: u64) {
        self.deadline_ns.store_release(deadline_ns);
        let reserves = if self.frees() { self.len.load() / 2 } else { 0 };
        self.reserves.store_release(reserves);
        self.advance(Phase::Idle, Phase::Running);
    }

    /// Returns the index of page `i`.
    pub(crate) fn index(&self, i: usize) -> Option<u64> {
        self.item(i).map(|item| item.index.load())
    }

    /// Returns what the driver stores as page `i`, borrowed from the batch.
    pub(crate) fn folio(&self, i: usize) -> Option<NonNull<kernel::bindings::folio>> {
        let folio = self.item(i)?.folio.load();
        match self.staged.load() {
            0 => NonNull::new(folio as *mut kernel::bindings::folio),
            _ => NonNull::new(self.copies().get(i)?.as_ptr()),
        }
    }

    /// Returns how many bytes of page `i` the driver has to store.
    pub(crate) fn length(&self, i: usize) -> usize {
        self.item(i).map_or(0, |item| item.length.load() as usize)
    }

    /// Returns the seal of page `i`.
    pub(crate) fn seal(&self, i: usize) -> Words {
        let mut words = [0; SEAL_WORDS];
        if let Some(item) = self.item(i) {
            for (word, kept) in words.iter_mut().zip(&item.seal) {
                *word = kept.load();
            }
        }
        words
    }

    /// Takes one of the pages that the driver may have from the reserves.
    fn take_reserve(&self) -> bool {
        let mut left = self.reserves.load();
        while left != 0 {
            match self.reserves.cmpxchg(left, left - 1) {
                Ok(_) => return true,
                Err(now) => left = now,
            }
        }
        false
    }

    /// Takes the pages out of the batch: calls `apply` with the number of each, the
    /// page, its index, the driver's answer, and whether what the driver stores is not
    /// the page.
    pub(crate) fn take_all(&self, mut apply: impl FnMut(usize, Folio, u64, Answer, bool)) {
        for (i, item) in self.items.iter().take(self.len()).enumerate() {
            if let Some(folio) = item.take_folio() {
                let (index, is_broken) = (item.index.load(), item.broken.load() != 0);
                apply(i, folio, index, item.answer(), is_broken);
            }
        }
    }

    fn set_answer(&self, i: usize, result: bindings::swapvma_result, slot: u64) {
        if let Some(item) = self.item(i) {
            item.slot.store_release(slot);
            item.result.store_release(u64::from(result.0));
        }
    }

    /// The driver gives the batch back. Any context in which a spinlock may be locked.
    fn complete(&self) {
        // Unregistration waits for this section, not for the caller's context.
        let _rcu = kernel::sync::rcu::read_lock();
        if !self.advance(Phase::Running, Phase::Done)
            && !self.advance(Phase::Abandoned, Phase::Late)
        {
            kernel::pr_err_once!("a driver completed a batch that it did not have\n");
            return;
        }
        // The swapper may use the batch again by now: that is a wake-up too many.
        self.wait.wake_all();
    }

    fn item(&self, i: usize) -> Option<&Item> {
        self.items.get(..self.len())?.get(i)
    }
}

/// Allocates pages to copy to. May sleep.
fn copies(count: usize) -> Result<KVec<Folio>> {
    let mut copies = KVec::with_capacity(count, GFP_KERNEL)?;
    for _ in 0..count {
        copies.push(NewPage::new(false, Effort::Firm)?.into_folio(), GFP_KERNEL)?;
    }
    Ok(copies)
}

#[kunit_tests(swapvma_batch)]
mod tests {
    use super::*;
    use crate::inflight::InFlight;

    /// A batch of `count` pages, each of which holds its index as a word.
    fn batch(stable: bool, count: u64) -> Result<Pin<KBox<Inner>>> {
        let batch = KBox::pin_init(Inner::new(stable), GFP_KERNEL)?;
        if stable {
            batch.stage()?;
        }
        let ticket = InFlight::new().enter(0..count).ok_or(EBUSY)?;
        batch.start(Operation::Swapout, ticket);
        for index in 0..count {
            let mut page = NewPage::new(false, Effort::Firm)?;
            page.fill(index);
            if batch.push(page.into_folio(), index).is_err() {
                return Err(ENOSPC);
            }
        }
        Ok(batch)
    }

    fn empty(batch: &Inner) {
        batch.take_all(|_, folio, _, _, _| drop(folio));
    }

    fn is_broken(batch: &Inner, i: usize) -> bool {
        batch.item(i).is_none_or(|item| item.broken.load() != 0)
    }

    fn answer(batch: &Inner, i: usize) -> Option<Answer> {
        batch.item(i).map(Item::answer)
    }

    #[test]
    fn storing_a_batch_frees_more_than_it_takes() -> Result {
        let batch = batch(false, 5)?;
        assert!(!batch.take_reserve());
        batch.submit(u64::MAX);
        assert!(batch.take_reserve());
        assert!(batch.take_reserve());
        assert!(!batch.take_reserve());
        empty(&batch);
        Ok(())
    }

    #[test]
    fn stable_pages_are_copies() -> Result {
        for stable in [false, true] {
            let batch = batch(stable, 3)?;
            batch.copy_pages();
            let taken = batch.item(1).and_then(Item::take_folio).ok_or(EIO)?;
            let shown = batch.folio(1);
            assert_eq!(shown.is_some(), stable);
            if let Some(shown) = shown {
                assert!(!core::ptr::eq(shown.as_ptr(), taken.as_ptr()));
            }
            empty(&batch);
        }
        Ok(())
    }

    #[test]
    fn a_page_that_is_not_sealed_is_not_handed_out() -> Result {
        let batch = batch(false, 3)?;
        batch.stage()?;
        batch.seal_pages(|index, _, copy| {
            copy.fill(0xa5);
            (index != 1).then_some(Seal::Checksum(index + 1))
        });
        for i in 0..3 {
            assert_eq!(is_broken(&batch, i), i == 1);
            assert_eq!(batch.length(i), PAGE_SIZE);
            let copy = batch.copies().get(i).ok_or(EIO)?;
            // SAFETY: Nobody else uses the batch.
            let bytes = unsafe { copy.bytes_mut() };
            assert!(bytes
                .iter()
                .all(|&byte| byte == if i == 1 { 0 } else { 0xa5 }));
        }
        assert_eq!(batch.seal(2), Seal::Checksum(3).encode());
        empty(&batch);
        Ok(())
    }

    #[test]
    fn a_copy_gets_what_is_sealed_alone() -> Result {
        let batch = batch(true, 3)?;
        batch.stage()?;
        for copy in batch.copies() {
            // SAFETY: Nobody else uses the batch.
            unsafe { copy.bytes_mut() }.fill(0xee);
        }
        let mut plain: KBox<PageBytes> = KBox::zeroed(GFP_KERNEL)?;
        let mut seen = 0;
        batch.seal_pages(|index, page, copy| {
            page.copy_to(&mut plain).ok()?;
            let is_page = plain.first_chunk() == Some(&index.to_ne_bytes());
            let is_old = copy.iter().all(|&byte| byte == 0xee);
            seen += u64::from(is_page && is_old);
            Some(Seal::Checksum(1))
        });
        assert_eq!(seen, 3);
        assert!(!is_broken(&batch, 0) && !is_broken(&batch, 2));
        empty(&batch);
        Ok(())
    }

    #[test]
    fn what_a_driver_has_is_not_sealed() -> Result {
        let batch = batch(true, 2)?;
        batch.submit(u64::MAX);
        batch.seal_pages(|_, _, _| Some(Seal::Checksum(1)));
        assert!(is_broken(&batch, 0) && is_broken(&batch, 1));
        empty(&batch);
        Ok(())
    }

    #[test]
    fn a_batch_is_completed_once() -> Result {
        let batch = batch(false, 1)?;
        batch.submit(u64::MAX);
        batch.complete();
        assert!(batch.phase() == Phase::Done);
        batch.complete();
        assert!(batch.phase() == Phase::Done);
        assert_eq!(answer(&batch, 0), Some(Answer::Failed));
        empty(&batch);
        Ok(())
    }

    #[test]
    fn answers_say_what_they_say() -> Result {
        use bindings::swapvma_result as said;
        let batch = batch(false, 1)?;
        let slot = Slot::new(7).ok_or(EINVAL)?;
        let rows = [
            (said::SWAPVMA_STORED, 7, Answer::Stored(slot)),
            (said::SWAPVMA_STORED, 1 << 56, Answer::Failed),
            (said::SWAPVMA_KEPT, 7, Answer::Kept),
            (said::SWAPVMA_RETRY, 7, Answer::Retry),
            (said::SWAPVMA_NO_SPACE, 7, Answer::NoSpace),
            (said::SWAPVMA_FAILED, 7, Answer::Failed),
            (said(5), 7, Answer::Failed),
        ];
        for (result, slot, meant) in rows {
            batch.set_answer(0, result, slot);
            assert_eq!(answer(&batch, 0), Some(meant));
            batch.set_answer(1, result, slot);
        }
        empty(&batch);
        Ok(())
    }
}
