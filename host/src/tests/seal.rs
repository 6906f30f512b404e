// SPDX-License-Identifier: GPL-2.0

//! Seals against a map of words by page index.

use super::{
    counterexample,
    holds, //
};
use crate::seal::{
    Chunk,
    Chunks,
    Mode,
    Seal,
    Seals,
    Words, //
};
use proptest::{
    collection::vec,
    prelude::*, //
};
use std::collections::{
    BTreeMap,
    BTreeSet, //
};

type Map = BTreeMap<u64, Box<Chunk>>;

impl Chunks for Map {
    type Taken = Box<Chunk>;

    fn find(&mut self, number: u64) -> Option<&mut Chunk> {
        self.get_mut(&number).map(|chunk| &mut **chunk)
    }

    fn take(&mut self, number: u64) -> Option<Box<Chunk>> {
        self.remove(&number)
    }
}

/// What a page goes through.
#[derive(Clone, Debug)]
enum Operation {
    /// Its entry is empty no more.
    Come(u64),
    /// A copy of it is stored.
    Store(u64, u64),
    /// Its entry is empty again.
    Go(u64),
}

/// What whoever uses seals could do wrong.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Slip {
    /// Nothing.
    None,
    /// A page that comes twice holds its chunk twice.
    HoldsTwice,
    /// A page that goes holds its chunk still.
    ForgetsToRelease,
    /// A page that is empty already is released.
    ReleasesTwice,
    /// A chunk is added where there is one.
    AddsAnyway,
}

fn any_mode() -> impl Strategy<Value = Mode> {
    prop_oneof![Just(Mode::Checksum), Just(Mode::Encrypt)]
}

fn any_operations() -> impl Strategy<Value = Vec<Operation>> {
    // The first and last pages of chunks, and far away.
    let index = || {
        prop_oneof![
            0u64..4,
            125u64..131,
            509u64..515,
            (1u64 << 36) - 2..1u64 << 36
        ]
    };
    let operation = prop_oneof![
        3 => index().prop_map(Operation::Come),
        2 => (index(), 1u64..u64::MAX).prop_map(|(index, word)| Operation::Store(index, word)),
        2 => index().prop_map(Operation::Go),
    ];
    vec(operation, 1..60)
}

fn words(mode: Mode, word: u64) -> Words {
    match mode {
        Mode::Checksum => [word, 0, 0, 0],
        Mode::Encrypt => [word, !word, word ^ 5, word << 7],
    }
}

fn run(mode: Mode, operations: Vec<Operation>, slip: Slip) -> Result<(), TestCaseError> {
    let mut seals = Seals::new(mode, Map::new());
    let mut pages = BTreeMap::<u64, Words>::new();
    for operation in operations {
        match operation {
            Operation::Come(index) => {
                if pages.contains_key(&index) && slip != Slip::HoldsTwice {
                    continue;
                }
                let missing = seals.missing(index);
                prop_assert!(missing.is_none() || !seals.hold(index));
                let number = match slip {
                    Slip::AddsAnyway => Some(index / mode.per_chunk()),
                    _ => missing,
                };
                if let Some(number) = number {
                    seals.chunks.insert(number, Box::new(Chunk::new()));
                }
                prop_assert!(seals.hold(index));
                pages.entry(index).or_insert([0; 4]);
            }
            Operation::Store(index, word) => {
                if let Some(kept) = pages.get_mut(&index) {
                    *kept = words(mode, word);
                    prop_assert!(seals.set(index, *kept));
                }
            }
            Operation::Go(index) => {
                let was_there = pages.remove(&index).is_some();
                if (was_there || slip == Slip::ReleasesTwice) && slip != Slip::ForgetsToRelease {
                    seals.release(index);
                }
            }
        }
        for (index, kept) in &pages {
            prop_assert_eq!(seals.get(*index), *kept);
        }
        let number = |index: &u64| index / mode.per_chunk();
        let numbers: BTreeSet<u64> = pages.keys().map(number).collect();
        prop_assert!(seals.chunks.keys().eq(&numbers));
    }
    for index in pages.into_keys() {
        seals.release(index);
        prop_assert_eq!(seals.get(index), [0; 4]);
    }
    prop_assert!(seals.chunks.is_empty());
    Ok(())
}

fn any_run() -> impl Strategy<Value = (Mode, Vec<Operation>)> {
    (any_mode(), any_operations())
}

#[test]
fn seals_are_a_map() {
    holds(any_run(), |(mode, operations)| {
        run(mode, operations, Slip::None)
    });
}

#[test]
fn slips_are_noticed() {
    for slip in [
        Slip::HoldsTwice,
        Slip::ForgetsToRelease,
        Slip::ReleasesTwice,
        Slip::AddsAnyway,
    ] {
        let found = counterexample(any_run(), |(mode, operations)| run(mode, operations, slip));
        assert!(found.is_some());
    }
}

fn any_seal() -> impl Strategy<Value = (Mode, Seal)> {
    let checksum = (1u64..=u64::MAX).prop_map(|sum| (Mode::Checksum, Seal::Checksum(sum)));
    let encrypted = (
        any::<u64>(),
        any::<[u64; 2]>(),
        0usize..=4096,
        any::<bool>(),
    )
        .prop_map(|(nonce, tag, length, packed)| {
            let seal = Seal::Encrypted {
                nonce,
                tag,
                length,
                packed,
            };
            (Mode::Encrypt, seal)
        });
    let none = any_mode().prop_map(|mode| (mode, Seal::None));
    prop_oneof![checksum, encrypted, none]
}

#[test]
fn seals_are_words() {
    holds(any_seal(), |(mode, seal)| {
        let words = seal.encode();
        prop_assert_eq!(Seal::decode(mode, words), seal);
        prop_assert!(mode == Mode::Encrypt || words[1..] == [0; 3]);
        prop_assert!(seal.length() <= 4096);
        Ok(())
    });
}

#[test]
fn seals_are_as_small_as_said() {
    assert_eq!(Mode::Checksum.per_chunk(), 511);
    assert_eq!(Mode::Encrypt.per_chunk(), 127);
}
