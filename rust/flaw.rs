// SPDX-License-Identifier: GPL-2.0

//! Flaws: bugs that a test puts back into the running module, to show that they
//! would be noticed, and a place where it holds a task up.
//!
//! Written to the file `flaw` in debugfs. Only kernels for testing have it, those
//! with `CONFIG_FAULT_INJECTION_DEBUG_FS`; in others none of this costs anything.
//! The host tests have flaws of the same kind.

#![cfg_attr(
    not(CONFIG_FAULT_INJECTION_DEBUG_FS),
    allow(dead_code, reason = "nothing is put back there")
)]

use crate::{
    atomic::Word,
    error::{
        code,
        Result, //
    }, //
};
use kernel::{
    prelude::*,
    time::{
        delay::fsleep,
        Delta, //
    }, //
};

/// A bug put back on purpose.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Flaw {
    /// The driver `ram` takes its windows one by one: the deadlock of 2002.
    SecondReservation,
    /// Whoever found a page acts on it whatever became of its entry meanwhile.
    StaleRecord,
    /// Who brings a level of a table that is there already fails: the bug of 2001.
    PresentIsError,
    /// No page is written before it has to leave.
    NothingAhead,
    /// Who is to store pages looks whether there is room, and charges it afterwards.
    LateCharge,
    /// None: the swapper stops between finding a page and looking again.
    HoldSwapper,
    /// A swapper that starts from now on goes on while the system sleeps.
    Sleepless,
    /// None: whoever has a window to open a sealed page keeps it.
    HoldWindow,
}

impl Flaw {
    const ALL: [Self; 8] = [
        Self::SecondReservation,
        Self::StaleRecord,
        Self::PresentIsError,
        Self::NothingAhead,
        Self::LateCharge,
        Self::HoldSwapper,
        Self::Sleepless,
        Self::HoldWindow,
    ];

    fn name(self) -> &'static str {
        match self {
            Self::SecondReservation => "second_reservation",
            Self::StaleRecord => "stale_record",
            Self::PresentIsError => "present_is_error",
            Self::NothingAhead => "nothing_ahead",
            Self::LateCharge => "late_charge",
            Self::HoldSwapper => "hold_swapper",
            Self::Sleepless => "sleepless",
            Self::HoldWindow => "hold_window",
        }
    }

    fn bit(self) -> u64 {
        1 << self as u64
    }
}

/// Which flaws are there, a bit each.
static PRESENT: Word = Word::new(0);

/// Tasks that are held up.
static HELD: Word = Word::new(0);

/// Whether `flaw` is there. Any context.
#[inline]
pub(crate) fn is(flaw: Flaw) -> bool {
    cfg!(CONFIG_FAULT_INJECTION_DEBUG_FS) && PRESENT.load() & flaw.bit() != 0
}

/// Sleeps for as long as `flaw` is there. No lock held. With `HoldSwapper`, whoever
/// else takes pages out of memory is held up as well.
#[inline]
pub(crate) fn hold(flaw: Flaw) {
    if !is(flaw) {
        return;
    }
    HELD.add(1);
    while is(flaw) {
        fsleep(Delta::from_millis(1));
    }
    HELD.sub(1);
}

/// Puts the flaws back that `line` names, and takes all others out.
///
/// # Errors
///
/// `EINVAL` for a name that none has; nothing changes.
pub(crate) fn put_back(line: &[u8]) -> Result {
    let mut present = 0;
    for name in line.split(u8::is_ascii_whitespace) {
        if name.is_empty() {
            continue;
        }
        let flaw = Flaw::ALL
            .into_iter()
            .find(|flaw| flaw.name().as_bytes() == name);
        present |= flaw.ok_or(code::EINVAL)?.bit();
    }
    PRESENT.store_release(present);
    if present != 0 {
        pr_warn!("flaws {present:#x} were put back for a test: data may be lost\n");
    }
    Ok(())
}

/// Calls `show` with the name of each flaw that is there, and returns how many
/// tasks are held up.
pub(crate) fn for_each(mut show: impl FnMut(&'static str)) -> u64 {
    Flaw::ALL
        .into_iter()
        .filter(|flaw| is(*flaw))
        .for_each(|flaw| show(flaw.name()));
    HELD.load()
}
