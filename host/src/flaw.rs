// SPDX-License-Identifier: GPL-2.0

//! Flaws: bugs that tests put back, to show that they would be noticed.
//!
//! A flaw belongs to the thread of its test. Loom runs all threads of a model on
//! that one thread, so the whole model sees it.

use std::cell::Cell;

/// A bug put back on purpose.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Flaw {
    /// A word's cmpxchg is a load and a store.
    TornCmpxchg,
    /// A release store orders nothing.
    RelaxedStore,
    /// An array is published by a plain store: two fillers keep their own.
    PlainPublication,
    /// An array is published before its elements are visible.
    RelaxedPublication,
    /// Finding an array already present is an error: the bug of 2001.
    PresentIsError,
    /// The loser of a publication forgets its copy.
    LoserForgets,
    /// A level goes if everything in it looked empty.
    LooksInsteadOfKilling,
    /// A level goes while somebody may be reading it.
    NoGracePeriod,

    /// A fault maps the page that it found before it slept.
    StaleFault,
    /// A page is frozen without the entry bit, which finders take references
    /// under.
    FrozenWithoutBit,
    /// The swapper acts on a page that it found before it took the folio lock.
    StaleSwapout,
    /// An answer is applied whatever became of the entry.
    StaleApply,
    /// An answer is applied to a page that another batch is writing.
    AnyBatchApplies,
    /// A write leaves a swapout of its page alone.
    WriteDoesNotCancel,
    /// A page is submitted without a look at its references.
    NoFirstFreeze,
    /// A page is freed without a second look at its references.
    NoSecondFreeze,
    /// A page is freed without a second look at its dirty bit.
    NoSecondDirty,
    /// A page that was not stored is not marked dirty again.
    KeptClean,
    /// A page that is being laundered looks clean, with a copy from before.
    LaunderLeavesResident,
    /// A punch unmaps before it takes the folio lock, and only then.
    PunchUnmapsEarly,

    /// A read publishes its page whatever became of the entry.
    LatePublish,
    /// A read publishes into the entry of another read.
    AnyReadPublishes,
    /// A failed read gives its slot back whatever became of the entry.
    LateReset,
    /// A punch discards the slot that a read is reading.
    DiscardUnderRead,

    /// A waiter may look for batches before the PTEs are gone.
    NoBarrier,
    /// A batch leaves before the answer is applied.
    LeaveBeforeApply,
    /// A batch wakes before it leaves.
    WakeBeforeLeave,
    /// A batch wakes one waiter.
    WakeOne,
    /// A waiter looks before it queues, and sleeps without looking again.
    LookBeforeQueue,
    /// The horizon is taken before the PTEs are gone.
    EarlyHorizon,
    /// Waiters wait for every batch that overlaps.
    NoHorizon,
    /// Both the deadline and the completion believe that they took the batch out.
    LeavesTwice,
    /// The deadline looks at the batch, and takes it away later.
    DeadlineUnlocked,
    /// The driver is quarantined after its batch could be used again.
    QuarantineLate,
    /// An answer that came late is applied.
    LateApplies,

    /// A record is on the list for longer than its entry has it.
    ListedLonger,
    /// A record comes on the list after the entry bit was given up.
    ListedLater,
    /// The swapper acts on a record that it found without the entry bit.
    StaleRecord,

    /// A task uses the records of its processor without a lock.
    FrontUnlocked,
    /// A page of records goes that was empty when somebody looked.
    LooksAtPageEarly,
    /// Who finds no memory for a record gives all of them back, and their pages,
    /// before taking one.
    ShrinksForOne,

    /// What a batch did not need is given back before the driver is done with it.
    SettlesEarly,
    /// Who gives up stored bytes looks at how many are stored before that.
    LooksBeforeDiscard,

    /// An operation takes its windows one by one: the deadlock of 2002.
    OneByOne,
    /// Who comes later takes windows that others wait for.
    Barges,
    /// Who gives windows back does not look for waiters after that.
    LooksBeforeGiving,
    /// Who is killed while it waits for windows keeps the turn.
    DiesWithTurn,
    /// Who is killed when it has just taken windows does not give them back.
    DiesWithWindows,
}

thread_local! {
    static PRESENT: Cell<&'static [Flaw]> = const { Cell::new(&[]) };
}

/// Whether `flaw` is there.
pub(crate) fn is(flaw: Flaw) -> bool {
    PRESENT.get().contains(&flaw)
}

/// Flaws that stay until this is dropped.
#[must_use = "the flaws go when this is dropped"]
pub(crate) struct Present(());

/// Puts `flaws` back. There is more than one where either alone is harmless,
/// because each of two checks is enough.
pub(crate) fn put_back(flaws: &'static [Flaw]) -> Present {
    PRESENT.set(flaws);
    Present(())
}

impl Drop for Present {
    fn drop(&mut self) {
        PRESENT.set(&[]);
    }
}
