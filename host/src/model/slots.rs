// SPDX-License-Identifier: GPL-2.0

//! Slots of the drivers `block` and `file`: no two pages get the same one, a
//! cluster that is being discarded is nobody's, and none is lost.
//!
//! At most 4 preemptions.

use super::{
    explore,
    explore_with,
    join,
    spawn,
    Steps::Fine, //
};
use crate::{
    atomic::Word,
    flaw::Flaw,
    slots::{
        blank,
        Slots, //
    },
};
use loom::cell::UnsafeCell;
use std::sync::Arc;

/// Two slots, in one cluster.
const LEN: u64 = 2;

struct Disk {
    slots: Slots<Vec<Word>>,
    pages: [UnsafeCell<u64>; LEN as usize],
}

// SAFETY: Loom checks every access to the pages; that is what the model is for.
unsafe impl Sync for Disk {}
// SAFETY: As above.
unsafe impl Send for Disk {}

impl Disk {
    fn new() -> Arc<Self> {
        Arc::new(Self {
            slots: Slots::new(vec![Word::new(blank(0, LEN))], LEN),
            pages: Default::default(),
        })
    }

    fn write(&self, slot: u64) {
        // SAFETY: The slot was taken, or is in a cluster that was.
        self.pages[slot as usize].with_mut(|page| unsafe { *page += 1 });
    }

    /// Stores a page, and forgets it.
    fn store(&self) {
        // Another one may have the cluster, but nobody else has the other slot.
        if let Some(run) = self.slots.take(1) {
            self.write(run.start);
            assert!(self.slots.give(run.start), "slots were lost");
        }
    }

    /// Discards the cluster, if nothing is stored there.
    fn discard(&self) {
        if let Some(cluster) = self.slots.claim(0) {
            cluster.clone().for_each(|slot| self.write(slot));
            self.slots.release(cluster.start);
        }
    }

    fn assert_free(&self) {
        assert_eq!(self.slots.used(), 0, "slots were lost");
        assert_eq!(self.slots.claim(0), Some(0..LEN), "slots were lost");
    }
}

fn two_store() {
    let disk = Disk::new();
    let other = spawn(&disk, Disk::store);
    disk.store();
    join([other]);
    disk.assert_free();
}

fn store_and_discard() {
    let disk = Disk::new();
    let other = spawn(&disk, Disk::discard);
    disk.store();
    join([other]);
    disk.assert_free();
}

#[test]
fn pages_share_no_slot() {
    explore(Fine, 4, two_store);
}

#[test]
fn a_cluster_is_discarded_by_itself() {
    explore(Fine, 4, store_and_discard);
}

#[test]
#[should_panic]
fn a_torn_take_of_a_slot_is_noticed() {
    explore_with(&[Flaw::TornCmpxchg], Fine, 4, two_store);
}

#[test]
#[should_panic]
fn a_torn_claim_is_noticed() {
    explore_with(&[Flaw::TornCmpxchg], Fine, 4, store_and_discard);
}
