// SPDX-License-Identifier: GPL-2.0

//! How many pages are watched, and written ahead.

use super::holds;
use crate::{
    limit::BATCH_PAGES,
    policy::{
        is_tested,
        is_wanted_again,
        protects,
        to_watch,
        watch,
        Stock, //
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
            distance <= resident && 3 * (active + 1) <= 2 * resident
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

/// Writes ahead until the stock is as large as it is to be; returns the pages.
fn fill_up(ahead: &Stock, resident: u64, stock: &mut u64) -> u64 {
    let mut written = 0;
    loop {
        let pages = ahead.missing(resident, *stock);
        if pages == 0 {
            return written;
        }
        *stock += pages;
        written += pages;
    }
}

/// Of a stock, so many pages turn out to be wasted, and the others leave.
fn leave(ahead: &Stock, stock: u64, wasted: u64) {
    for _ in 0..wasted {
        ahead.note_wasted();
    }
    for _ in wasted..stock {
        ahead.note_used();
    }
    ahead.turn();
}

#[test]
fn the_stock_is_bounded() {
    holds(
        (0u64..1 << 20, prop::collection::vec(0u64..=100, 1..64)),
        |(resident, shares)| {
            let ahead = Stock::new();
            let mut stock = 0;
            for share in shares {
                fill_up(&ahead, resident, &mut stock);
                let goal = ahead.goal(resident);
                prop_assert!(goal <= resident / 8);
                prop_assert!(goal <= Stock::MOST);
                // It may have been larger when they were written.
                prop_assert!(stock <= (resident / 8).min(Stock::MOST));
                leave(&ahead, stock, stock * share / 100);
                stock = 0;
            }
            Ok(())
        },
    );
}

#[test]
fn without_waste_it_grows_as_large_as_it_may() {
    holds(1024u64..1 << 20, |resident| {
        let ahead = Stock::new();
        for _ in 0..64 {
            let pages = fill_up(&ahead, resident, &mut 0);
            leave(&ahead, pages, 0);
        }
        prop_assert_eq!(ahead.goal(resident), (resident / 8).min(Stock::MOST));
        Ok(())
    });
}

/// Of what is written ahead all is in vain: only a try now and then is left.
#[test]
fn with_waste_alone_hardly_anything_is_written() {
    const TURNS: u64 = 6500;
    holds(1024u64..1 << 20, |resident| {
        let ahead = Stock::new();
        let mut written = 0;
        for _ in 0..TURNS {
            let pages = fill_up(&ahead, resident, &mut 0);
            leave(&ahead, pages, pages);
            written += pages;
        }
        // What it was before it was judged, and then a small batch now and then.
        prop_assert!(written <= 2 * BATCH + TURNS / 4);
        Ok(())
    });
}

#[test]
fn a_driver_that_takes_nothing_is_left_alone() {
    let ahead = Stock::new();
    assert_ne!(ahead.missing(1 << 20, 0), 0);
    ahead.pause();
    let mut turns = 0;
    while ahead.missing(1 << 20, 0) == 0 {
        ahead.turn();
        turns += 1;
    }
    assert!(turns > 32);
    assert_eq!(ahead.missing(1 << 20, 0), Stock::LEAST);
}
