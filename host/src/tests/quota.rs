// SPDX-License-Identifier: GPL-2.0

//! Quotas against plain sums.

use super::holds;
use crate::{
    limit::NONE,
    quota::{
        Meter,
        Quota, //
    },
    range::PAGE_BYTES, //
};
use proptest::{
    collection::vec,
    prelude::*, //
};
use std::sync::atomic::{
    AtomicU64,
    Ordering::SeqCst, //
};

/// Regions, the cgroup of each, and what they are in.
const REGIONS: usize = 3;

#[derive(Clone, Debug)]
enum Operation {
    /// A batch of so many pages, of each of which so many bytes are stored.
    Swapout(usize, u64, u64),
    /// Up to so many bytes are given up.
    Discard(usize, u64),
    /// All that there is.
    Close(usize),
    SetLimit(usize, u64),
}

fn any_operation() -> impl Strategy<Value = Operation> {
    let limit = prop_oneof![4 => 0..100 * PAGE_BYTES, 1 => Just(NONE)];
    prop_oneof![
        8 => (0..REGIONS, 0..64u64, 0..=PAGE_BYTES).prop_map(|(i, n, size)| Operation::Swapout(i, n, size)),
        4 => (0..REGIONS, 0..40 * PAGE_BYTES).prop_map(|(i, bytes)| Operation::Discard(i, bytes)),
        1 => (0..REGIONS).prop_map(Operation::Close),
        1 => (0..=REGIONS, limit).prop_map(|(i, bytes)| Operation::SetLimit(i, bytes)),
    ]
}

fn agrees(operations: Vec<Operation>) -> Result<(), TestCaseError> {
    // The last one is the parent of the others.
    let quotas: Vec<_> = (0..=REGIONS).map(|_| Quota::new()).collect();
    let meters: Vec<_> = (0..REGIONS).map(|_| Meter::new()).collect();
    let chain = |i: usize| [&quotas[i], &quotas[REGIONS]].into_iter();
    let (mut stored, mut limits) = ([0u64; REGIONS], [NONE; REGIONS + 1]);
    for operation in operations {
        match operation {
            Operation::Swapout(i, wanted, size) => {
                let sum: u64 = stored.iter().sum();
                let room = |limit: u64, used| limit.saturating_sub(used) / PAGE_BYTES;
                let most = room(limits[i], stored[i]).min(room(limits[REGIONS], sum));
                let refused = |i: usize| quotas[i].refused() + quotas[REGIONS].refused();
                let before = refused(i);
                let granted = meters[i].reserve(chain(i), wanted);
                prop_assert_eq!(granted, wanted.min(most));
                prop_assert_eq!(quotas[i].used(), stored[i] + granted * PAGE_BYTES);
                prop_assert_eq!(refused(i) - before, u64::from(granted < wanted));
                stored[i] += granted * size;
                meters[i].settle(chain(i), || stored[i]);
            }
            Operation::Discard(i, bytes) => {
                stored[i] -= bytes.min(stored[i]);
                meters[i].look(chain(i), || stored[i]);
            }
            Operation::Close(i) => {
                stored[i] = 0;
                meters[i].close(chain(i));
            }
            Operation::SetLimit(i, bytes) => {
                limits[i] = bytes;
                quotas[i].set_limit(bytes);
            }
        }
        for i in 0..REGIONS {
            prop_assert_eq!(quotas[i].used(), stored[i]);
            prop_assert_eq!(quotas[i].limit(), limits[i]);
        }
        prop_assert_eq!(quotas[REGIONS].used(), stored.iter().sum::<u64>());
    }
    Ok(())
}

#[test]
fn quotas_are_sums() {
    holds(vec(any_operation(), 1..128), agrees);
}

#[test]
fn what_is_stored_beside_a_batch_is_no_reason_to_give_back() {
    let (quota, meter) = (Quota::new(), Meter::new());
    let quotas = || [&quota].into_iter();
    quota.set_limit(4 * PAGE_BYTES);
    assert_eq!(meter.reserve(quotas(), 8), 4);
    // The driver is not done; somebody gave up a copy.
    meter.look(quotas(), || 10);
    assert_eq!(quota.used(), 4 * PAGE_BYTES);
    meter.settle(quotas(), || 70);
    assert_eq!(quota.used(), 70);
    // A driver that stores more than a page for a page.
    meter.look(quotas(), || 5 * PAGE_BYTES);
    assert_eq!(quota.used(), 5 * PAGE_BYTES);
    assert_eq!(meter.reserve(quotas(), 1), 0);
    meter.settle(quotas(), || 5 * PAGE_BYTES);
    meter.close(quotas());
    assert_eq!(quota.used(), 0);
    assert_eq!(quota.refused(), 2);
}

#[test]
fn real_threads_do_not_overshoot() {
    const LIMIT: u64 = 20 * PAGE_BYTES;
    let quota = Quota::new();
    quota.set_limit(LIMIT);
    let (meters, stored) = (
        [Meter::new(), Meter::new()],
        [AtomicU64::new(0), AtomicU64::new(0)],
    );
    let quotas = || [&quota].into_iter();
    let swap = |i: usize| {
        for turn in 0..20_000 {
            let granted = meters[i].reserve(quotas(), 1 + turn % 16);
            stored[i].fetch_add(granted * PAGE_BYTES, SeqCst);
            assert!(quota.used() <= LIMIT);
            meters[i].settle(quotas(), || stored[i].load(SeqCst));
        }
    };
    let discard = || {
        for turn in 0..40_000 {
            let i = turn % 2;
            let take = |bytes: u64| Some(bytes / 2 / PAGE_BYTES * PAGE_BYTES);
            let _ = stored[i].fetch_update(SeqCst, SeqCst, take);
            meters[i].look(quotas(), || stored[i].load(SeqCst));
        }
    };
    std::thread::scope(|scope| {
        scope.spawn(|| swap(0));
        scope.spawn(|| swap(1));
        scope.spawn(discard);
    });
    assert_eq!(
        quota.used(),
        stored[0].load(SeqCst) + stored[1].load(SeqCst)
    );
}
