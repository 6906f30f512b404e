// SPDX-License-Identifier: GPL-2.0

//! A kernel wait queue, and a turn.

use super::step;
use crate::flaw::{
    self,
    Flaw, //
};
use loom::sync::{
    Condvar,
    Mutex,
    MutexGuard, //
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

    pub(super) fn wait(&self, mut done: impl FnMut() -> bool) {
        if done() {
            return;
        }
        loop {
            let queued = *self.woken.lock().expect("no panic");
            if !flaw::is(Flaw::LookBeforeQueue) && done() {
                return;
            }
            self.sleep(queued);
            if flaw::is(Flaw::LookBeforeQueue) && done() {
                return;
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
pub(super) struct Turn(Mutex<()>);

impl Turn {
    pub(super) fn new() -> Self {
        Self(Mutex::new(()))
    }

    pub(super) fn wait(&self) -> MutexGuard<'_, ()> {
        self.0.lock().expect("no panic")
    }
}
