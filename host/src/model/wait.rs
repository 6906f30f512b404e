// SPDX-License-Identifier: GPL-2.0

//! A kernel wait queue, and a turn.

use super::step;
use crate::flaw::{
    self,
    Flaw, //
};
use loom::sync::{
    Condvar,
    Mutex, //
};

/// A kernel wait queue: who has queued sleeps until it is woken, and does not
/// miss a wake-up between queueing and sleeping.
pub(super) struct WaitQueue {
    woken: Mutex<u64>,
    wake: Condvar,
}

impl WaitQueue {
    pub(super) fn new() -> Self {
        Self {
            woken: Mutex::new(0),
            wake: Condvar::new(),
        }
    }

    pub(super) fn wake_all(&self) {
        step();
        *self.woken.lock().expect("no panic") += 1;
        if flaw::is(Flaw::WakeOne) {
            self.wake.notify_one();
        } else {
            self.wake.notify_all();
        }
    }

    pub(super) fn wait(&self, done: impl FnMut() -> bool) {
        self.wait_unless(|| false, done);
    }

    /// Sleeps until `done`, or until somebody woke it and it is `killed`. Returns
    /// whether it is done.
    pub(super) fn wait_unless(
        &self,
        killed: impl Fn() -> bool,
        mut done: impl FnMut() -> bool,
    ) -> bool {
        if done() {
            return true;
        }
        loop {
            let queued = *self.woken.lock().expect("no panic");
            let dies_early = flaw::is(Flaw::DiesWithWindows) && killed();
            if !flaw::is(Flaw::LookBeforeQueue) && done() {
                return !dies_early;
            }
            if killed() {
                return false;
            }
            self.sleep(queued);
            if flaw::is(Flaw::LookBeforeQueue) && done() {
                return true;
            }
        }
    }

    fn sleep(&self, queued: u64) {
        let mut woken = self.woken.lock().expect("no panic");
        while *woken == queued {
            woken = self.wake.wait(woken).expect("no panic");
        }
    }
}

/// What one task has at a time.
pub(super) struct Turn {
    taken: Mutex<bool>,
    next: Condvar,
}

impl Turn {
    pub(super) fn new() -> Self {
        Self {
            taken: Mutex::new(false),
            next: Condvar::new(),
        }
    }

    /// Waits for the turn; `None` if it was `killed` meanwhile, and woken.
    pub(super) fn wait_unless(&self, killed: impl Fn() -> bool) -> Option<HasTurn<'_>> {
        let mut taken = self.taken.lock().expect("no panic");
        while *taken {
            if killed() {
                return None;
            }
            taken = self.next.wait(taken).expect("no panic");
        }
        *taken = true;
        Some(HasTurn(self))
    }

    /// Has those who wait look whether they were killed.
    pub(super) fn wake_all(&self) {
        let _taken = self.taken.lock().expect("no panic");
        self.next.notify_all();
    }
}

/// The thread has the turn.
pub(super) struct HasTurn<'a>(&'a Turn);

impl Drop for HasTurn<'_> {
    fn drop(&mut self) {
        *self.0.taken.lock().expect("no panic") = false;
        self.0.next.notify_all();
    }
}
