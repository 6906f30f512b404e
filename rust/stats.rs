// SPDX-License-Identifier: GPL-2.0

//! Counters of a region, one line of meaning each in
//! `include/uapi/linux/swapvma.h`.

use crate::{
    atomic::Word,
    bindings::swapvma_stats,
    range::PAGE_BYTES,
    region::Region, //
};

macro_rules! statistics {
    (gauges: $($gauge:ident),*; counters: $($name:ident),* $(,)?) => {
        /// What happened to a region. All in pages unless named otherwise.
        pub(crate) struct Counters {
            $(#[allow(missing_docs)] pub(crate) $name: Word,)*
        }

        impl Counters {
            /// All zero.
            pub(crate) fn new() -> Self {
                Self { $($name: Word::new(0),)* }
            }

            fn fill(&self, stats: &mut swapvma_stats) {
                $(stats.$name = self.$name.load();)*
            }
        }

        /// Calls `show` with the name and the value of each statistic.
        pub(crate) fn for_each(stats: &swapvma_stats, mut show: impl FnMut(&str, u64)) {
            $(show(stringify!($gauge), stats.$gauge);)*
            $(show(stringify!($name), stats.$name);)*
        }
    };
}

statistics!(
    gauges: size, limit, resident, unevictable, resident_peak, stored_bytes, table_bytes, seal_bytes, stored_limit,
        low, in_swapout;
    counters: swapped,
    writing,
    batches,
    swapouts,
    swapins,
    clean_drops,
    same_filled,
    refaults,
    launders,
    cancelled,
    kept,
    retried,
    no_space,
    write_failures,
    read_failures,
    limit_waits,
    over_limit,
    munmap_waits,
    munmap_wait_ns,
    abandoned,
    corrupt_pages,
    launders_ahead,
    launders_wasted,
    direct_drops,
);

/// Reads a region's statistics. Any context.
pub(crate) fn read(region: &Region) -> swapvma_stats {
    let mut stats = swapvma_stats::default();
    region.counters.fill(&mut stats);
    stats.size = region.size();
    stats.limit = region.residency.limit().saturating_mul(PAGE_BYTES);
    stats.unevictable = region.residency.unevictable();
    stats.resident = region.residency.resident() + stats.unevictable;
    stats.resident_peak = region.residency.peak();
    stats.stored_bytes = region.stored_bytes();
    stats.table_bytes = region.table.levels() * PAGE_BYTES;
    stats.seal_bytes = region.seal_bytes();
    stats.stored_limit = region.stored_quota().limit();
    stats.priority = region.priority.get();
    stats.low = region.residency.low() * PAGE_BYTES;
    stats.in_swapout = region.in_swapout();
    stats
}
