// SPDX-License-Identifier: GPL-2.0

//! Candidates against a list, and the runs of a list of pages.

use super::holds;
use crate::{
    candidates::{
        for_each_run,
        Candidates, //
    },
    limit::BATCH_PAGES, //
};
use proptest::{
    collection::{
        btree_set,
        vec, //
    },
    prelude::*, //
};

/// Pages from `first` on, by bit.
fn listed(first: u64, pages: u64) -> impl Iterator<Item = u64> {
    let bits = (0..64).filter(move |bit| pages & (1 << bit) != 0);
    bits.map(move |bit| first + bit)
}

#[test]
fn the_first_ones_are_kept_and_come_in_order() {
    let any_word = prop_oneof![Just(0), Just(u64::MAX), any::<u64>()];
    let pushes = vec((0u64..1 << 37, any_word), 0..6);
    holds(pushes, |pushes| {
        let mut candidates = Candidates::new();
        let mut list = Vec::new();
        for (first, pages) in pushes {
            candidates.push_each(first, pages);
            list.extend(listed(first, pages));
            list.truncate(BATCH_PAGES);
            prop_assert_eq!(candidates.len(), list.len() as u64);
            prop_assert_eq!(candidates.room(), (BATCH_PAGES - list.len()) as u64);
        }
        prop_assert_eq!(candidates.push(7), list.len() < BATCH_PAGES);
        if list.len() < BATCH_PAGES {
            list.push(7);
        }
        list.sort_unstable();
        prop_assert_eq!(candidates.sorted(), list);
        candidates.clear();
        prop_assert_eq!(candidates.len(), 0);
        Ok(())
    });
}

#[test]
fn runs_are_whole_and_as_long_as_they_can_be() {
    holds(btree_set(0u64..64, 0..40), |pages| {
        let mut runs = Vec::new();
        for_each_run(pages.iter().copied(), |first, count| {
            runs.push((first, count))
        });
        let again: Vec<u64> = runs
            .iter()
            .flat_map(|&(first, count)| first..first + count)
            .collect();
        prop_assert_eq!(again, pages.into_iter().collect::<Vec<_>>());
        let ends = runs.windows(2).all(|two| two[0].0 + two[0].1 < two[1].0);
        prop_assert!(ends, "two runs are one: {runs:?}");
        Ok(())
    });
}
