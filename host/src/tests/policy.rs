// SPDX-License-Identifier: GPL-2.0

//! Which pages are watched.

use super::holds;
use crate::{
    limit::BATCH_PAGES,
    policy::{
        is_tested,
        is_wanted_again,
        protects,
        to_watch,
        watch, //
    },
};
use proptest::prelude::*;

const BATCH: u64 = BATCH_PAGES as u64;

#[test]
fn a_third_comes_to_be_watched() {
    holds((0u64..1 << 20, 0u64..=BATCH), |(resident, wanted)| {
        let mut watched = 0;
        loop {
            let pages = to_watch(resident, watched, wanted);
            prop_assert!(pages <= BATCH);
            if pages == 0 {
                break;
            }
            watched += pages;
        }
        prop_assert_eq!(watched, watch(resident) + wanted);
        prop_assert!(watch(resident) <= resident / 2);
        Ok(())
    });
}

#[test]
fn what_is_protected_leaves_room_for_others() {
    holds((0u64..1 << 40, 0u64..1 << 40), |(resident, active)| {
        if protects(resident, active) {
            // More than are watched, so that there is something to watch.
            prop_assert!(resident - active >= watch(resident));
        }
        Ok(())
    });
}

/// What comes back is active if twice the memory would have kept it, and only while
/// there is room among the active ones.
#[test]
fn what_comes_back_soon_is_wanted_again() {
    let counts = (1u64..1 << 40, 0u64..1 << 40, 0u64..1 << 41);
    holds(counts, |(resident, active, distance)| {
        let is_wanted = is_wanted_again(resident, active, distance);
        prop_assert_eq!(
            is_wanted,
            distance <= resident && 2 * (active + 1) <= resident
        );
        Ok(())
    });
}

#[test]
fn one_in_a_batch_is_tested() {
    holds(any::<u32>(), |first| {
        let tested = (0..BATCH).filter(|i| is_tested(u64::from(first) + i));
        prop_assert_eq!(tested.count(), 1);
        Ok(())
    });
}
