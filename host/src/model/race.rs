// SPDX-License-Identifier: GPL-2.0

//! The swapper against tasks and against a deadline: no write is lost, a batch
//! that a store cancelled is not applied, and no page comes back that was
//! unmapped (R6, R10).
//!
//! At most 4 preemptions with 2 threads, 3 with 3.

use super::{
    explore,
    explore_with,
    join,
    page::{
        Region,
        INITIAL, //
    },
    spawn,
    swapout::Operation,
    Steps::Coarse, //
};
use crate::flaw::Flaw;

fn load(region: &Region) {
    region.load().expect("no SIGBUS");
}

fn store_and_swapout() {
    let region = Region::resident();
    let swapper = spawn(&region, Region::swapout);
    region.store(1);
    join([swapper]);
    region.assert_quiet();
}

/// Two stores, the second of which may find the mapping still writable.
fn stores_and_swapouts() {
    let region = Region::mapped();
    let swapper = spawn(&region, |region| {
        region.swapout();
        region.swapout();
    });
    region.store(1);
    region.store(2);
    join([swapper]);
    region.assert_quiet();
}

fn store_swapout_and_punch() {
    let region = Region::resident();
    let others = [
        spawn(&region, Region::swapout),
        spawn(&region, Region::punch),
    ];
    region.store(1);
    join(others);
    region.assert_quiet();
}

/// The page is another one after the punch.
fn load_swapout_and_replace() {
    let region = Region::resident();
    let others = [spawn(&region, Region::swapout), spawn(&region, load)];
    region.punch();
    region.store(1);
    join(others);
    region.assert_quiet();
}

/// A load maps the page again while it is written.
fn load_and_swapout() {
    let region = Region::resident();
    let swapper = spawn(&region, Region::swapout);
    load(&region);
    join([swapper]);
    region.assert_quiet();
}

/// As before, and the mapping goes away.
fn load_swapout_and_munmap() {
    let region = Region::resident();
    let swapper = spawn(&region, Region::swapout);
    load(&region);
    region.munmap();
    join([swapper]);
    region.assert_quiet();
}

/// A store cancels the swapout; munmap then leaves the page alone.
fn store_munmap_and_swapout() {
    let region = Region::mapped();
    let swapper = spawn(&region, Region::swapout);
    region.store(1);
    region.munmap();
    join([swapper]);
    region.assert_quiet();
}

/// Another CPU stores while munmap flushes.
fn munmap_store_and_swapout() {
    let region = Region::mapped();
    let others = [
        spawn(&region, Region::swapout),
        spawn(&region, |region| region.store_if_mapped(1)),
    ];
    region.munmap();
    join(others);
    region.assert_quiet();
}

/// The driver keeps the page; the next one stores it.
fn kept_and_swapout() {
    let region = Region::mapped();
    let swapper = spawn(&region, |region| {
        region.swapout_kept();
        region.swapout();
    });
    region.store(1);
    join([swapper]);
    region.assert_quiet();
}

fn launder_store_and_swapout() {
    let region = Region::mapped();
    let others = [
        spawn(&region, Region::launder),
        spawn(&region, Region::swapout),
    ];
    region.store(1);
    join(others);
    region.assert_quiet();
}

/// Reclaim drops what swapin left clean, unless a store is first.
fn load_drop_and_store() {
    let region = Region::swapped();
    let others = [
        spawn(&region, |region| {
            load(region);
            region.drop_clean();
        }),
        spawn(&region, Region::swapout),
    ];
    region.store(1);
    join(others);
    region.assert_quiet();
}

/// The driver answers after the deadline, when another batch may be writing
/// the page.
fn late_answer() {
    let region = Region::mapped();
    let batch = region.submit(Operation::Swapout).expect("nobody uses it");
    let slot = region.drive(&batch);
    let late = spawn(&region, {
        move |region| {
            region.release(&batch);
            region.swapout();
            region.reap(batch, Some(slot));
        }
    });
    region.store(1);
    join([late]);
    region.assert_quiet();
}

/// An answer meets the page in the hands of another batch. The reference of the
/// first keeps swapout off the page, but not laundering.
fn answer_meets_another_batch() {
    let region = Region::mapped();
    let batch = region.submit(Operation::Swapout).expect("nobody uses it");
    let slot = region.drive(&batch);
    region.release(&batch);
    let late = spawn(&region, move |region| region.apply(batch, Some(slot)));
    region.store(1);
    region.launder();
    join([late]);
    region.assert_quiet();
    assert_eq!(region.load().expect("no SIGBUS"), 1);
}

fn nobody_else() {
    let region = Region::mapped();
    region.store(1);
    region.swapout();
    region.assert_quiet();
    assert_eq!(region.load().expect("no SIGBUS"), 1);
    region.swapout();
    region.assert_quiet();
    region.store(INITIAL);
    region.launder();
    region.swapout();
    region.punch();
    region.assert_quiet();
    assert_eq!(region.load().expect("no SIGBUS"), 0);
}

#[test]
fn one_after_the_other() {
    explore(Coarse, 0, nobody_else);
}

#[test]
fn a_store_meets_a_swapout() {
    explore(Coarse, 4, store_and_swapout);
}

#[test]
fn stores_meet_swapouts() {
    explore(Coarse, 4, stores_and_swapouts);
}

#[test]
fn a_store_a_swapout_and_a_punch() {
    explore(Coarse, 3, store_swapout_and_punch);
}

#[test]
fn a_load_a_swapout_and_a_new_page() {
    explore(Coarse, 3, load_swapout_and_replace);
}

#[test]
fn a_load_rescues_the_page() {
    explore(Coarse, 4, load_and_swapout);
    explore(Coarse, 4, load_swapout_and_munmap);
}

#[test]
fn a_store_rescues_the_page() {
    explore(Coarse, 4, store_munmap_and_swapout);
}

#[test]
fn a_store_meets_a_flush() {
    explore(Coarse, 3, munmap_store_and_swapout);
}

#[test]
fn a_page_that_is_kept_is_dirty() {
    explore(Coarse, 4, kept_and_swapout);
}

#[test]
fn a_laundered_page_is_clean() {
    explore(Coarse, 3, launder_store_and_swapout);
}

#[test]
fn reclaim_drops_clean_pages_only() {
    explore(Coarse, 3, load_drop_and_store);
}

#[test]
fn an_abandoned_page_is_not_touched() {
    explore(Coarse, 4, late_answer);
}

#[test]
fn an_answer_knows_its_batch() {
    explore(Coarse, 4, answer_meets_another_batch);
}

#[test]
#[should_panic(expected = "an unmapped page came back")]
fn a_stale_fault_is_noticed() {
    explore_with(&[Flaw::StaleFault], Coarse, 4, store_swapout_and_punch);
}

#[test]
#[should_panic(expected = "the page is left as Writing")]
fn a_stale_swapout_is_noticed() {
    explore_with(&[Flaw::StaleSwapout], Coarse, 4, load_swapout_and_replace);
}

#[test]
#[should_panic(expected = "a freed page was used")]
fn a_stale_apply_is_noticed() {
    explore_with(&[Flaw::StaleApply], Coarse, 4, store_swapout_and_punch);
}

#[test]
#[should_panic(expected = "lost write: an old copy is valid")]
fn an_answer_to_another_batch_is_noticed() {
    explore_with(
        &[Flaw::AnyBatchApplies],
        Coarse,
        4,
        answer_meets_another_batch,
    );
}

#[test]
#[should_panic(expected = "a reference to a frozen page was taken")]
fn freezing_without_the_bit_is_noticed() {
    explore_with(&[Flaw::FrozenWithoutBit], Coarse, 4, store_and_swapout);
}

#[test]
#[should_panic(expected = "lost write: an old copy is valid")]
fn submitting_what_is_in_use_is_noticed() {
    explore_with(&[Flaw::NoFirstFreeze], Coarse, 4, munmap_store_and_swapout);
}

#[test]
#[should_panic(expected = "an unmapped page came back")]
fn freeing_what_is_in_use_is_noticed() {
    explore_with(&[Flaw::NoSecondFreeze], Coarse, 4, load_and_swapout);
}

#[test]
#[should_panic(expected = "a cancelled swapout was applied")]
fn a_store_that_cancels_nothing_is_noticed() {
    const FLAWS: &[Flaw] = &[Flaw::WriteDoesNotCancel, Flaw::NoSecondDirty];
    explore_with(FLAWS, Coarse, 4, store_munmap_and_swapout);
}

#[test]
fn either_check_alone_is_enough() {
    explore_with(
        &[Flaw::WriteDoesNotCancel],
        Coarse,
        4,
        store_munmap_and_swapout,
    );
    explore_with(&[Flaw::NoSecondDirty], Coarse, 4, store_munmap_and_swapout);
}

#[test]
#[should_panic(expected = "lost write")]
fn a_page_kept_clean_is_noticed() {
    explore_with(&[Flaw::KeptClean], Coarse, 4, kept_and_swapout);
}

#[test]
#[should_panic(expected = "lost write")]
fn laundering_a_resident_page_is_noticed() {
    explore_with(
        &[Flaw::LaunderLeavesResident],
        Coarse,
        4,
        launder_store_and_swapout,
    );
}

#[test]
#[should_panic(expected = "an unmapped page came back")]
fn a_punch_that_unmaps_early_is_noticed() {
    explore_with(
        &[Flaw::PunchUnmapsEarly],
        Coarse,
        4,
        store_swapout_and_punch,
    );
}
