// SPDX-License-Identifier: GPL-2.0

//! What lockdep cannot see by itself; see `<swapvma/lockdep.h>`.
//!
//! In a kernel without lockdep nothing here does anything, except that interrupts are
//! turned off.

use super::bindings;
use kernel::{
    prelude::*,
    types::NotThreadSafe, //
};

/// What of a driver somebody may wait for.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Callback {
    /// [`swapout`](super::Driver::swapout), and what follows until the batch is
    /// complete.
    Swapout,
    /// [`swapin`](super::Driver::swapin), and what follows until the read is
    /// complete.
    Swapin,
    /// [`discard`](super::Driver::discard).
    Discard,
    /// The end of a handle, for which the end of the
    /// [`Registration`](super::Registration) waits.
    Detach,
}

impl Callback {
    /// Returns the number that the boundary has for it.
    #[cfg(CONFIG_LOCKDEP)]
    #[inline]
    pub(crate) fn number(self) -> bindings::swapvma_callback {
        match self {
            Callback::Swapout => bindings::swapvma_callback::SWAPVMA_IN_SWAPOUT,
            Callback::Swapin => bindings::swapvma_callback::SWAPVMA_IN_SWAPIN,
            Callback::Discard => bindings::swapvma_callback::SWAPVMA_IN_DISCARD,
            Callback::Detach => bindings::swapvma_callback::SWAPVMA_IN_DETACH,
        }
    }
}

/// A section that belongs to a callback: whoever waits for that waits for it.
///
/// swapvma says so of the callbacks that it calls. A driver says so of what runs
/// elsewhere, in a work item for instance, until a batch or a read is complete.
#[must_use = "the section ends immediately when the guard is unused"]
pub struct InCallback {
    _callback: Callback,
    _not_send: NotThreadSafe,
}

impl InCallback {
    /// Enters the section. Process context.
    #[inline]
    pub fn enter(callback: Callback) -> Self {
        #[cfg(CONFIG_LOCKDEP)]
        // SAFETY: No precondition; `Drop` leaves the section in the same task.
        unsafe {
            bindings::swapvma_callback_begin(callback.number())
        };
        Self {
            _callback: callback,
            _not_send: NotThreadSafe,
        }
    }
}

impl Drop for InCallback {
    #[inline]
    fn drop(&mut self) {
        #[cfg(CONFIG_LOCKDEP)]
        // SAFETY: `enter` entered the section, and the type is not `Send`.
        unsafe {
            bindings::swapvma_callback_end(self._callback.number())
        };
    }
}

/// Tells lockdep that the caller is about to wait for other CPUs: for whatever
/// does not end before each of them took an interrupt or came by a quiescent
/// state.
///
/// Called with the locks held that are held over the wait, whether or not it
/// comes to one. A lock that is held here, and that somebody takes in an
/// [`IrqsOff`] section, is reported when each of the two ran once. Any context but
/// hard interrupt.
#[inline]
pub fn remote_wait() {
    #[cfg(CONFIG_LOCKDEP)]
    // SAFETY: No precondition.
    unsafe {
        bindings::swapvma_remote_wait()
    };
}

/// Interrupts are off, in order to take spinning locks: while it spins, the CPU
/// answers no other CPU. Sections nest, and end in the reverse order.
#[must_use = "interrupts are on again immediately when the guard is unused"]
pub struct IrqsOff {
    flags: c_ulong,
    _not_send: NotThreadSafe,
}

impl IrqsOff {
    /// Turns interrupts off, before the first of these locks is taken. Any context.
    #[inline]
    pub fn enter() -> Self {
        Self {
            // SAFETY: No precondition; `Drop` restores the flags on the same CPU.
            flags: unsafe { bindings::swapvma_irqs_off_save() },
            _not_send: NotThreadSafe,
        }
    }
}

impl Drop for IrqsOff {
    #[inline]
    fn drop(&mut self) {
        // SAFETY: The flags are those that `enter` saved, and the type is not `Send`.
        unsafe { bindings::swapvma_irqs_off_restore(self.flags) };
    }
}
