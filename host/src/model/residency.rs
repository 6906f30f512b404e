// SPDX-License-Identifier: GPL-2.0

//! Reservations never overshoot the limit.
//!
//! At most 4 preemptions with 2 threads, 3 with 3.

use super::{
    explore,
    explore_with,
    Steps::Fine, //
};
use crate::{
    flaw::Flaw,
    limit::Residency, //
};
use loom::thread;
use std::sync::Arc;

/// Each of `threads` threads reserves a page and keeps it, with room for one.
fn compete(threads: usize) {
    let residency = Arc::new(Residency::new(2));
    assert!(residency.try_reserve());
    let others: Vec<_> = (1..threads)
        .map(|_| {
            let residency = residency.clone();
            thread::spawn(move || residency.try_reserve())
        })
        .collect();
    let mut granted = usize::from(residency.try_reserve());
    for other in others {
        granted += usize::from(other.join().expect("no panic"));
    }
    assert_eq!(granted, 1, "overshot the limit");
    assert_eq!(residency.resident(), 2);
    assert_eq!(residency.peak(), 2);
}

fn two_compete() {
    compete(2);
}

fn three_compete() {
    compete(3);
}

/// A page that is given back can be had again, and is counted once.
fn reserve_and_release() {
    let residency = Arc::new(Residency::new(1));
    let turn = |residency: &Residency| {
        let granted = residency.try_reserve();
        if granted {
            assert!(residency.resident() <= 1, "overshot the limit");
            residency.release(1);
        }
        granted
    };
    let other = thread::spawn({
        let residency = residency.clone();
        move || turn(&residency)
    });
    let granted = turn(&residency) | other.join().expect("no panic");
    assert!(granted, "the limit refused everybody");
    assert_eq!(residency.resident(), 0);
    assert_eq!(residency.peak(), 1);
    assert!(residency.try_reserve());
}

/// The peak is the highest number, whoever notes it last.
fn peak_of_two() {
    let residency = Arc::new(Residency::new(0));
    let other = thread::spawn({
        let residency = residency.clone();
        move || residency.force_reserve()
    });
    residency.force_reserve();
    other.join().expect("no panic");
    assert_eq!(residency.resident(), 2);
    assert_eq!(residency.peak(), 2, "lost the peak");
}

#[test]
fn two_threads_do_not_overshoot() {
    explore(Fine, 4, two_compete);
}

#[test]
fn three_threads_do_not_overshoot() {
    explore(Fine, 3, three_compete);
}

#[test]
fn released_pages_can_be_reserved() {
    explore(Fine, 4, reserve_and_release);
}

#[test]
fn the_peak_is_the_highest() {
    explore(Fine, 4, peak_of_two);
}

#[test]
#[should_panic(expected = "overshot the limit")]
fn a_load_and_a_store_are_noticed() {
    explore_with(&[Flaw::TornCmpxchg], Fine, 4, two_compete);
}

#[test]
#[should_panic(expected = "lost the peak")]
fn a_torn_peak_is_noticed() {
    explore_with(&[Flaw::TornCmpxchg], Fine, 4, peak_of_two);
}
