// SPDX-License-Identifier: GPL-2.0

//! The resident limit against plain counters.

use super::holds;
use crate::limit::{
    Residency,
    BATCH_PAGES,
    NONE, //
};
use proptest::{
    collection::vec,
    prelude::*, //
};

#[derive(Clone, Debug)]
enum Operation {
    TryReserve,
    ForceReserve,
    Release,
    Exempt,
    Charge,
    ReleaseUnevictable,
    SetLimit(u64),
    Excess(u64),
}

fn any_limit() -> impl Strategy<Value = u64> {
    prop_oneof![8 => 0u64..12, 1 => Just(NONE)]
}

fn any_operation(forced: bool) -> impl Strategy<Value = Operation> {
    prop_oneof![
        8 => Just(Operation::TryReserve),
        u32::from(forced) => Just(Operation::ForceReserve),
        4 => Just(Operation::Release),
        1 => Just(Operation::Exempt),
        u32::from(forced) => Just(Operation::Charge),
        1 => Just(Operation::ReleaseUnevictable),
        u32::from(forced) => any_limit().prop_map(Operation::SetLimit),
        2 => any_limit().prop_map(Operation::Excess),
    ]
}

/// Applies `operations` to a [`Residency`] and to counters.
fn agrees(mut limit: u64, operations: Vec<Operation>) -> Result<u64, TestCaseError> {
    let residency = Residency::new(limit);
    let (mut resident, mut unevictable, mut peak) = (0, 0, 0);
    for operation in operations {
        match operation {
            Operation::TryReserve => {
                let room = resident < limit;
                prop_assert_eq!(residency.try_reserve(), room);
                resident += u64::from(room);
            }
            Operation::ForceReserve => {
                residency.force_reserve();
                resident += 1;
            }
            Operation::Release if resident > 0 => {
                residency.release(1);
                resident -= 1;
            }
            Operation::Exempt if resident > 0 => {
                residency.exempt();
                resident -= 1;
                unevictable += 1;
            }
            Operation::Charge if unevictable > 0 => {
                residency.charge();
                resident += 1;
                unevictable -= 1;
            }
            Operation::ReleaseUnevictable if unevictable > 0 => {
                residency.release_unevictable();
                unevictable -= 1;
            }
            Operation::Release
            | Operation::Exempt
            | Operation::Charge
            | Operation::ReleaseUnevictable => (),
            Operation::SetLimit(pages) => {
                residency.set_limit(pages);
                limit = pages;
            }
            Operation::Excess(headroom) => {
                let over = i128::from(resident) - (i128::from(limit) - i128::from(headroom)).max(0);
                prop_assert_eq!(i128::from(residency.excess(headroom)), over.max(0));
            }
        }
        peak = peak.max(resident);
        prop_assert_eq!(residency.resident(), resident);
        prop_assert_eq!(residency.unevictable(), unevictable);
        prop_assert_eq!(residency.peak(), peak);
        prop_assert_eq!(residency.limit(), limit);
    }
    Ok(peak)
}

#[test]
fn a_residency_is_two_counters() {
    let strategy = (any_limit(), vec(any_operation(true), 1..256));
    holds(strategy, |(limit, operations)| {
        agrees(limit, operations).map(drop)
    });
}

#[test]
fn unforced_reservations_stay_under_the_limit() {
    let strategy = (any_limit(), vec(any_operation(false), 1..256));
    holds(strategy, |(limit, operations)| {
        let peak = agrees(limit, operations)?;
        prop_assert!(peak <= limit);
        Ok(())
    });
}

#[test]
fn a_lower_limit_leaves_an_excess() {
    let residency = Residency::new(NONE);
    for _ in 0..BATCH_PAGES + 10 {
        assert!(residency.try_reserve());
    }
    assert_eq!(residency.excess(0), 0);
    residency.set_limit(BATCH_PAGES as u64);
    assert!(!residency.try_reserve());
    assert_eq!(residency.excess(0), 10);
    assert_eq!(residency.excess(5), 15);
    assert_eq!(residency.excess(u64::MAX), BATCH_PAGES as u64 + 10);
    residency.force_reserve();
    assert_eq!(residency.excess(0), 11);
}

#[test]
fn real_threads_stay_under_the_limit() {
    const LIMIT: u64 = 5;
    let residency = Residency::new(LIMIT);
    let work = || {
        for _ in 0..20_000 {
            if residency.try_reserve() {
                assert!(residency.resident() <= LIMIT);
                residency.release(1);
            }
        }
    };
    std::thread::scope(|threads| {
        for _ in 0..8 {
            threads.spawn(work);
        }
    });
    assert_eq!(residency.resident(), 0);
    assert!(residency.peak() <= LIMIT);
}

#[test]
fn what_can_do_without_leaves_headroom() {
    let residency = Residency::new(100);
    let quarter = |limit| limit / 4;
    assert_eq!(residency.try_reserve_below(70, quarter), 70);
    assert_eq!(residency.try_reserve_below(10, quarter), 5);
    assert_eq!(residency.try_reserve_below(1, quarter), 0);
    assert_eq!((residency.resident(), residency.peak()), (75, 75));
    assert!(residency.try_reserve());
    residency.release(1);
    residency.release(1);
    assert_eq!(residency.try_reserve_below(1, quarter), 1);
    assert_eq!(residency.try_reserve_below(1, |limit| limit + 1), 0);
    assert_eq!(Residency::new(NONE).try_reserve_below(64, quarter), 64);
    assert_eq!(residency.try_reserve_below(0, quarter), 0);
}

#[test]
fn memory_pressure_leaves_what_is_low() {
    let residency = Residency::new(NONE);
    for _ in 0..10 {
        residency.force_reserve();
    }
    assert_eq!((residency.low(), residency.spare()), (0, 10));
    residency.set_low(7);
    assert_eq!((residency.low(), residency.spare()), (7, 3));
    residency.set_low(11);
    assert_eq!(residency.spare(), 0);
}
