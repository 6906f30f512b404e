// SPDX-License-Identifier: GPL-2.0

// error: E0277
// message: `*mut ()` cannot be sent between threads safely

//! Interrupts come on again where they were turned off.

use swapvma_driver::lockdep::IrqsOff;

fn send<T: Send>(_: T) {}

/// Gives the section to another task.
pub fn give_away() {
    send(IrqsOff::enter());
}
