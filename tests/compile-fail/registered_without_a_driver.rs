// SPDX-License-Identifier: GPL-2.0

// error: E0277
// message: the trait bound `Nothing: Driver` is not satisfied

//! Only a driver can be registered.

use swapvma_driver::Registration;

/// Implements nothing.
pub struct Nothing;

/// Is registered all the same.
pub struct Module {
    /// For as long as this lives.
    pub registration: Registration<Nothing>,
}
