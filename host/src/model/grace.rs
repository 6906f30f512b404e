// SPDX-License-Identifier: GPL-2.0

//! Grace periods in a model: the sections that are under way are counted, and
//! whoever frees waits until there is none.

use super::turn;
use loom::sync::atomic::{
    AtomicUsize,
    Ordering, //
};
use std::{
    cell::RefCell,
    rc::Rc, //
};

thread_local! {
    static READERS: RefCell<Option<Rc<AtomicUsize>>> = const { RefCell::new(None) };
}

fn readers() -> Option<Rc<AtomicUsize>> {
    READERS.with_borrow(Option::clone)
}

/// Counts sections from here on; models in which nothing is freed do without.
pub(super) fn start() {
    READERS.set(Some(Rc::new(AtomicUsize::new(0))));
}

/// The end of a model.
pub(super) fn end() {
    READERS.set(None);
}

/// A section begins.
pub(crate) fn enter() {
    if let Some(readers) = readers() {
        readers.fetch_add(1, Ordering::AcqRel);
    }
}

/// A section ends.
pub(crate) fn leave() {
    if let Some(readers) = readers() {
        readers.fetch_sub(1, Ordering::AcqRel);
    }
}

/// Waits until no section is under way.
pub(crate) fn wait() {
    if let Some(readers) = readers() {
        while readers.load(Ordering::Acquire) != 0 {
            turn();
        }
    }
}
