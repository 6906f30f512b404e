// SPDX-License-Identifier: GPL-2.0

//! Extents against a list with the sector of each slot.

use super::holds;
use crate::extents::{
    locate,
    Extent,
    SLOT_SECTORS, //
};
use proptest::{
    collection::vec,
    prelude::*, //
};

/// Sectors of slots, as the blocks of a file in pieces are.
fn any_sectors() -> impl Strategy<Value = Vec<u64>> {
    vec((0u64..1 << 50, 1usize..8), 0..20).prop_map(|pieces| {
        pieces
            .into_iter()
            .flat_map(|(start, len)| (0..len).map(move |i| start + i as u64 * SLOT_SECTORS))
            .collect()
    })
}

fn extents(sectors: &[u64]) -> Vec<Extent> {
    let mut extents: Vec<Extent> = Vec::new();
    for &sector in sectors {
        if let Some(extent) = Extent::append(extents.last_mut(), sector) {
            extents.push(extent);
        }
    }
    extents
}

/// How many slots from `slot` on are side by side.
fn side_by_side(sectors: &[u64], slot: usize) -> u64 {
    let rest = &sectors[slot..];
    let follows = |pair: &&[u64]| pair[0] + SLOT_SECTORS == pair[1];
    1 + rest.windows(2).take_while(follows).count() as u64
}

#[test]
fn every_slot_is_where_it_was_put() {
    holds((any_sectors(), 1u64..70), |(sectors, max)| {
        let extents = extents(&sectors);
        for (slot, &sector) in sectors.iter().enumerate() {
            let len = side_by_side(&sectors, slot).min(max);
            prop_assert_eq!(locate(&extents, slot as u64, max), Some((sector, len)));
        }
        Ok(())
    });
}

#[test]
fn there_is_nothing_past_the_end() {
    holds((any_sectors(), any::<u64>()), |(sectors, past)| {
        let extents = extents(&sectors);
        let slot = past.saturating_add(sectors.len() as u64);
        prop_assert_eq!(locate(&extents, slot, 1), None);
        Ok(())
    });
}

#[test]
fn slots_side_by_side_are_one_extent() {
    let whole: Vec<u64> = (0..100).map(|slot| 7 + slot * SLOT_SECTORS).collect();
    assert_eq!(
        extents(&whole),
        [Extent {
            slot: 0,
            sector: 7,
            len: 100,
        }]
    );
}
