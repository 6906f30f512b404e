// SPDX-License-Identifier: GPL-2.0

//! swapvma: memory that a driver maps and the kernel swaps out through it.
//!
//! This file is the table of contents and the order of loading; each module
//! holds one concept. `Documentation/` has the overview.

#![crate_name = "swapvma"]

// Pure logic: no unsafe code, also built on the host.
#[deny(unsafe_code)]
mod ahead;
#[deny(unsafe_code)]
mod bitmap;
#[deny(unsafe_code)]
mod candidates;
#[deny(unsafe_code)]
mod entry;
#[deny(unsafe_code)]
mod fill;
#[deny(unsafe_code)]
mod ghosts;
#[deny(unsafe_code)]
mod inflight;
#[deny(unsafe_code)]
mod limit;
#[deny(unsafe_code)]
mod listed;
#[deny(unsafe_code)]
mod policy;
#[deny(unsafe_code)]
mod quota;
#[deny(unsafe_code)]
mod range;
#[deny(unsafe_code)]
mod seal;
#[deny(unsafe_code)]
mod table;

// Wrappers of what the kernel offers.
mod acomp;
mod ages;
mod atomic;
mod bindings;
mod cipher;
mod error;
mod folio;
mod fs;
mod kthread;
mod list_lru;
mod lockdep;
mod memcg;
mod notifier;
mod oom;
mod report;
mod shrinker;
mod sleep;
mod wait;
mod window;
mod workqueue;
mod zsmalloc;

// What drivers see, here as in other modules.
#[path = "api/lib.rs"]
#[allow(dead_code, unreachable_pub, unused_imports)]
mod api;

// The subsystem.
mod account;
mod attached;
mod batch;
mod client;
#[deny(unsafe_code)]
mod clock;
mod deadline;
mod debugfs;
mod device;
mod drain;
mod driver;
mod drivers;
mod fault;
mod flaw;
mod handle;
mod integrity;
mod map;
mod owner;
mod populate;
mod prime;
mod priority;
mod punch;
mod read;
mod reader;
mod record;
mod region;
mod regions;
mod stats;
#[cfg(CONFIG_KUNIT = "y")]
#[path = "table/stress.rs"]
mod stress;
mod swapout;
mod swapper;
mod vma;
mod writeback;

use crate::notifier::Notifier;
use kernel::prelude::*;

module! {
    type: Swapvma,
    name: "swapvma",
    authors: ["The swapvma maintainers"],
    description: "Memory that a driver maps and the kernel swaps out through it",
    license: "GPL",
}

/// The loaded module. Fields are dropped from the first to the last.
#[pin_data(PinnedDrop)]
struct Swapvma {
    _device: device::Registration,
    #[pin]
    _debugfs: debugfs::Debugfs,
    #[pin]
    _oom: Notifier,
    #[pin]
    _sleep: Notifier,
    _ram: api::Registration<drivers::ram::Ram>,
    _deadline: deadline::Running,
    _readers: workqueue::Running,
    _detaching: workqueue::Running,
    _shrinker: shrinker::Shrinker,
    _accounts: account::All,
}

impl kernel::InPlaceModule for Swapvma {
    fn init(_module: &'static ThisModule) -> impl PinInit<Self, Error> {
        // SAFETY: The module is being loaded: nothing else of it runs.
        unsafe {
            record::init();
            regions::init();
            owner::init();
            account::init();
            driver::init();
            integrity::init();
            deadline::init();
        }
        drivers::ram::init();
        try_pin_init!(Self {
            _accounts: account::All,
            // Regions are on its lists.
            _shrinker: shrinker::Shrinker::new()?,
            _readers: reader::run()?,
            _detaching: handle::run()?,
            _deadline: deadline::Running::new()?,
            // SAFETY: No region is left when this module is unloaded.
            _ram: unsafe { api::Registration::of_owner(core::ptr::null_mut()) }?,
            _: { prime::run()? },
            _oom <- oom::notifier(),
            _sleep <- sleep::notifier(),
            _debugfs <- debugfs::Debugfs::new(),
            // Last: from here on, others come in.
            _device: device::Registration::new()?,
        })
    }
}

#[pinned_drop]
impl PinnedDrop for Swapvma {
    fn drop(self: Pin<&mut Self>) {
        integrity::exit();
        record::shrink();
        let (records, pages) = record::usage();
        let regions = regions::count();
        if records != 0 || pages != 0 || regions != 0 {
            pr_err!("leaked {regions} regions, {records} records, {pages} pages of them\n");
        }
    }
}
