// SPDX-License-Identifier: GPL-2.0

//! What has pages is on its list, and the list has nothing twice, whoever adds pages
//! while somebody walks the list.
//!
//! At most 3 preemptions with 3 threads.

use super::{
    explore,
    explore_with,
    join,
    spawn,
    Steps::Fine, //
};
use crate::{
    flaw::Flaw,
    listed::Listed, //
};
use loom::sync::Mutex;
use std::sync::Arc;

/// Something, and how often its list has it.
struct Item {
    listed: Listed,
    list: Mutex<u32>,
}

impl Item {
    fn new() -> Arc<Self> {
        Arc::new(Self {
            listed: Listed::new(),
            list: Mutex::new(0),
        })
    }

    fn add(&self) {
        if self.listed.add() {
            *self.list.lock().expect("no panic") += 1;
        }
    }

    fn walk(&self) {
        let mut list = self.list.lock().expect("no panic");
        if *list != 0 && !self.listed.stays() {
            *list -= 1;
        }
    }

    fn assert_listed(&self, pages: u64) {
        assert_eq!(self.listed.pages(), pages, "pages were lost");
        let times = *self.list.lock().expect("no panic");
        assert!(times <= 1, "listed twice");
        assert!(pages == 0 || times == 1, "not listed");
    }
}

/// The last page goes and others come while two walk.
fn pages_come_and_go() {
    let item = Item::new();
    item.add();
    let others = [
        spawn(&item, |item| {
            item.walk();
            item.walk();
        }),
        spawn(&item, |item| item.add()),
    ];
    item.listed.sub(1);
    item.add();
    join(others);
    item.assert_listed(2);
    item.listed.sub(1);
    item.listed.sub(1);
    item.walk();
    item.walk();
    item.assert_listed(0);
    assert_eq!(*item.list.lock().expect("no panic"), 0, "left on the list");
}

#[test]
fn what_has_pages_is_listed() {
    explore(Fine, 3, pages_come_and_go);
}

#[test]
#[should_panic]
fn a_torn_removal_is_noticed() {
    explore_with(&[Flaw::TornCmpxchg], Fine, 3, pages_come_and_go);
}
