// SPDX-License-Identifier: GPL-2.0

//! Unit tests and properties, over `std`.

mod ahead;
mod bitmap;
mod candidates;
mod entry;
mod extents;
mod fill;
mod ghosts;
mod inflight;
mod limit;
mod magazine;
mod options;
mod policy;
mod quota;
mod range;
mod seal;
mod slot;
mod slots;
mod table;
mod window;

use proptest::{
    strategy::Strategy,
    test_runner::{
        Config,
        RngAlgorithm,
        TestCaseError,
        TestRng,
        TestRunner, //
    },
};

/// Looks for a value of `strategy` for which `property` does not hold, and
/// describes the smallest one found. `PROPTEST_CASES` changes the number of
/// values; they are the same in every run.
fn counterexample<S: Strategy>(
    strategy: S,
    property: impl Fn(S::Value) -> Result<(), TestCaseError>,
) -> Option<String> {
    let mut config = Config::with_cases(2048);
    config.failure_persistence = None;
    if let Some(cases) = std::env::var("PROPTEST_CASES")
        .ok()
        .and_then(|n| n.parse().ok())
    {
        config.cases = cases;
    }
    let rng = TestRng::deterministic_rng(RngAlgorithm::XorShift);
    TestRunner::new_with_rng(config, rng)
        .run(&strategy, property)
        .err()
        .map(|found| found.to_string())
}

/// Asserts that `property` holds for the values of `strategy`.
#[track_caller]
fn holds<S: Strategy>(strategy: S, property: impl Fn(S::Value) -> Result<(), TestCaseError>) {
    if let Some(found) = counterexample(strategy, property) {
        panic!("{found}");
    }
}
