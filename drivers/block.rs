// SPDX-License-Identifier: GPL-2.0

//! Driver `block`: keeps cold pages on a partition or a whole device.
//!
//! ```text
//! # insmod swapvma.ko; insmod swapvma_block.ko
//! # modprobe null_blk nr_devices=1 memory_backed=1 gb=1
//! # grep block /sys/kernel/debug/swapvma/drivers
//! block state=running regions=0 ...
//! ```
//!
//! A region is created with the driver `block` and the options
//! `path=/dev/nullb0`; `Documentation/stores.rst` describes them, and
//! `selftests/stores.c` has programs that do it. The device is the region's alone
//! until the region is gone: `mkfs /dev/nullb0` says that it is in use.
//!
//! The driver is registered as one that needs stable pages. Whether a queue asks
//! for them can change while it is in use, as when a table of the device mapper
//! is loaded, and many that do not ask are the worse for changing data all the
//! same: mirrors differ, and a checksum further down does not match. A copy
//! costs little compared with a write.

mod store;

use crate::store::{
    device::Device,
    disk::Region,
    extents::{
        Extent,
        SLOT_SECTORS, //
    },
    options, //
};
use kernel::prelude::*;
use swapvma_driver::prelude::*;

struct Block;

swapvma_driver::module_swap_driver! {
    type: Block,
    name: "swapvma_block",
    description: "Swap driver that keeps cold pages on a block device",
    license: "GPL",
}

impl Driver for Block {
    const NAME: &'static CStr = c"block";
    const STABLE: bool = true;
    type Handle = KBox<Region>;

    fn attach(args: &Attach<'_>) -> Result<Self::Handle> {
        let keys: [&[u8]; 2] = [b"path", b"discard"];
        let [path, discard] = options::parse(args.options().to_bytes(), &keys).ok_or(EINVAL)?;
        let discard = options::switch(discard.unwrap_or(b"on")).ok_or(EINVAL)?;
        if !args.algorithm().is_empty() {
            return Err(EINVAL);
        }
        let device = Device::open(path.ok_or(EINVAL)?)?;
        let mut extents = KVVec::new();
        let whole = Extent {
            slot: 0,
            sector: 0,
            len: device.sectors() / SLOT_SECTORS,
        };
        extents.push(whole, GFP_KERNEL)?;
        Region::new(device, extents, discard)
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
