// SPDX-License-Identifier: GPL-2.0

//! A character device whose memory is swappable, in Rust.
//!
//! Each open file of `/dev/rust_buffer` has a buffer of 4 MiB, of which 256 KiB
//! are in memory at most; it can be read, written and mapped.
//!
//! ```text
//! # insmod swapvma.ko; insmod rust_buffer.ko
//! # exec 3<>/dev/rust_buffer
//! # head -c 2M /dev/urandom >&3
//! # grep -o 'limit=[0-9]* resident=[0-9]*' /sys/kernel/debug/swapvma/regions
//! limit=262144 resident=64
//! # exec 3>&-
//! ```
//!
//! The buffer is a region. It holds this module for as long as the file is open
//! or a mapping is left, which the kernel's `MiscDevice` by itself does not.

use kernel::{
    fs::{
        File,
        Kiocb, //
    },
    iov::{
        IovIterDest,
        IovIterSource, //
    },
    miscdevice::{
        MiscDevice,
        MiscDeviceOptions,
        MiscDeviceRegistration, //
    },
    mm::virt::VmaNew,
    page::PAGE_SIZE,
    prelude::*, //
};
use swapvma_driver::{
    Params,
    Region, //
};

module! {
    type: Module,
    name: "rust_buffer",
    authors: ["The swapvma maintainers"],
    description: "A character device whose memory is swappable",
    license: "GPL",
}

const BYTES: usize = 4 << 20;
const LIMIT: u64 = 256 << 10;

#[pin_data]
struct Module {
    #[pin]
    _device: MiscDeviceRegistration<Buffer>,
}

impl kernel::InPlaceModule for Module {
    fn init(_module: &'static ThisModule) -> impl PinInit<Self, Error> {
        let options = MiscDeviceOptions {
            name: c"rust_buffer",
        };
        try_pin_init!(Self {
            _device <- MiscDeviceRegistration::register(options),
        })
    }
}

/// The buffer of one open file.
struct Buffer(Region);

impl Buffer {
    /// Calls `transfer` for each page of the buffer that `len` bytes at `pos` lie
    /// in: with the page, the offset in it, and the bytes. Returns how many were
    /// transferred until it did fewer than that.
    fn each_page(
        pos: i64,
        len: usize,
        mut transfer: impl FnMut(u64, usize, usize) -> Result<usize>,
    ) -> Result<usize> {
        let start = usize::try_from(pos)?.min(BYTES);
        let end = start.saturating_add(len).min(BYTES);
        let mut at = start;
        while at < end {
            let step = (PAGE_SIZE - at % PAGE_SIZE).min(end - at);
            let done = match transfer((at / PAGE_SIZE) as u64, at % PAGE_SIZE, step) {
                // What was transferred before counts.
                Err(_) if at != start => break,
                done => done?,
            };
            at += done;
            if done < step {
                break;
            }
        }
        Ok(at - start)
    }
}

/// Room for the bytes of a page between user space and the region, where the
/// page is not pinned while user space is touched.
fn room() -> Result<KVec<u8>> {
    Ok(KVec::from_elem(0, PAGE_SIZE, GFP_KERNEL)?)
}

/// User space that takes or gives nothing is not there.
fn some(len: usize) -> Result<usize> {
    match len {
        0 => Err(EFAULT),
        len => Ok(len),
    }
}

#[vtable]
impl MiscDevice for Buffer {
    type Ptr = KBox<Self>;

    fn open(_file: &File, _misc: &MiscDeviceRegistration<Self>) -> Result<KBox<Self>> {
        let params = Params {
            limit: LIMIT,
            ..Params::new(BYTES as u64)
        };
        let region = Region::new(Some(&THIS_MODULE), &params)?;
        Ok(KBox::new(Self(region), GFP_KERNEL)?)
    }

    fn mmap(buffer: &Self, _file: &File, vma: &VmaNew) -> Result {
        buffer.0.mmap(vma, 0)
    }

    fn read_iter(mut kiocb: Kiocb<'_, KBox<Self>>, iov: &mut IovIterDest<'_>) -> Result<usize> {
        let buffer = kiocb.file();
        let mut room = room()?;
        let done = Self::each_page(kiocb.ki_pos(), iov.len(), |page, offset, len| {
            let bytes = room.get_mut(..len).ok_or(EINVAL)?;
            buffer.0.pin(page, 1)?.copy_to(0, offset, bytes)?;
            some(iov.copy_to_iter(bytes))
        })?;
        *kiocb.ki_pos_mut() += done as i64;
        Ok(done)
    }

    fn write_iter(mut kiocb: Kiocb<'_, KBox<Self>>, iov: &mut IovIterSource<'_>) -> Result<usize> {
        let buffer = kiocb.file();
        let mut room = room()?;
        let done = Self::each_page(kiocb.ki_pos(), iov.len(), |page, offset, len| {
            let bytes = room.get_mut(..len).ok_or(EINVAL)?;
            let len = some(iov.copy_from_iter(bytes))?;
            let bytes = bytes.get(..len).ok_or(EINVAL)?;
            buffer.0.pin(page, 1)?.copy_from(0, offset, bytes)?;
            Ok(len)
        })?;
        if done == 0 && !iov.is_empty() {
            return Err(ENOSPC);
        }
        *kiocb.ki_pos_mut() += done as i64;
        Ok(done)
    }
}
