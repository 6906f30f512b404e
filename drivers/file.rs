// SPDX-License-Identifier: GPL-2.0

//! Driver `file`: keeps cold pages in a file, as a swap file does.
//!
//! ```text
//! # insmod swapvma.ko; insmod swapvma_file.ko
//! # dd if=/dev/zero of=/var/cold bs=1M count=64
//! # grep file /sys/kernel/debug/swapvma/drivers
//! file state=running regions=0 ...
//! ```
//!
//! A region is created with the driver `file` and the options `path=/var/cold`;
//! `Documentation/stores.rst` describes them. Until the region is gone, `dd`,
//! `truncate` and the like say "Text file busy".

mod store;

use crate::store::{
    disk::Region,
    options,
    swap_file, //
};
use kernel::prelude::*;
use swapvma_driver::prelude::*;

struct File;

swapvma_driver::module_swap_driver! {
    type: File,
    name: "swapvma_file",
    description: "Swap driver that keeps cold pages in a file",
    license: "GPL",
}

impl Driver for File {
    const NAME: &'static CStr = c"file";
    // As the driver `block`, which says why.
    const STABLE: bool = true;
    type Handle = KBox<Region>;

    fn attach(args: &Attach<'_>) -> Result<Self::Handle> {
        let [path] = options::parse(args.options().to_bytes(), &[b"path"]).ok_or(EINVAL)?;
        if !args.algorithm().is_empty() {
            return Err(EINVAL);
        }
        let (device, extents) = swap_file::open(path.ok_or(EINVAL)?)?;
        // A freed slot is still the file's: there is nothing to discard.
        Region::new(device, extents, false)
    }

    fn swapout(region: &Region, batch: Batch) {
        region.swapout(batch);
    }

    fn swapin(region: &Region, read: Read) {
        region.swapin(read);
    }

    fn discard(region: &Region, slot: Slot) {
        region.discard(slot);
    }

    fn range_hint(region: &Region, _index: u64, slot: Slot) -> u32 {
        region.range_hint(slot)
    }

    fn stored_bytes(region: &Region) -> u64 {
        region.stored_bytes()
    }
}
