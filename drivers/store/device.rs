// SPDX-License-Identifier: GPL-2.0

//! Files that a driver opens by their path, and the block devices beneath.
//!
//! C header: [`include/linux/blkdev.h`](srctree/include/linux/blkdev.h)

use super::bindings as ours;
use core::ptr::NonNull;
use kernel::{
    bindings,
    error::from_err_ptr,
    page::PAGE_SIZE,
    prelude::*,
    str::{
        CStr,
        CString, //
    }, //
};

/// An open file. Dropping it closes it.
///
/// # Invariants
///
/// The pointer is that of a file, of which this value owns a reference.
pub(crate) struct File(NonNull<bindings::file>);

// SAFETY: Any task may use and close a file.
unsafe impl Send for File {}
// SAFETY: What a shared value offers does not change the file.
unsafe impl Sync for File {}

impl File {
    /// Opens what `path` names, with `flags` and with the rights of the caller.
    /// May sleep.
    ///
    /// It is looked at before it is opened, which for a device that is none of
    /// ours might start something.
    ///
    /// # Errors
    ///
    /// `wrong` unless it is of the type `kind`; what opening it fails with;
    /// `EINVAL` for a path that is relative or has a zero; `ENOMEM`.
    pub(crate) fn open(path: &[u8], kind: u32, flags: u32, wrong: Error) -> Result<Self> {
        let path = to_path(path)?;
        let open = |flags| {
            let found = Self::open_any(&path, flags)?;
            if found.mode() & bindings::S_IFMT == kind {
                Ok(found)
            } else {
                Err(wrong)
            }
        };
        let _looked_at = open(bindings::O_PATH)?;
        open(flags | bindings::O_LARGEFILE)
    }

    fn open_any(path: &CStr, flags: u32) -> Result<Self> {
        // CAST: Flags are below the sign.
        // SAFETY: The path is valid during the call.
        let file = unsafe { bindings::filp_open(path.as_char_ptr(), flags as c_int, 0) };
        // INVARIANT: The call gave a reference.
        NonNull::new(from_err_ptr(file)?).map(Self).ok_or(ENOENT)
    }

    /// Returns the file.
    pub(crate) fn as_ptr(&self) -> *mut bindings::file {
        self.0.as_ptr()
    }

    /// Returns the inode, which the file holds.
    pub(crate) fn inode(&self) -> *mut bindings::inode {
        // SAFETY: By the type invariant; the field does not change.
        unsafe { self.0.as_ref() }.f_inode
    }

    fn mode(&self) -> u32 {
        // SAFETY: The file holds its inode; the type in the mode does not change.
        u32::from(unsafe { (*self.inode()).i_mode })
    }
}

impl Drop for File {
    fn drop(&mut self) {
        // SAFETY: By the type invariant there is a reference to give up.
        unsafe { bindings::fput(self.0.as_ptr()) };
    }
}

/// Returns an absolute path as C wants it.
fn to_path(path: &[u8]) -> Result<CString> {
    if path.first() != Some(&b'/') || path.contains(&0) {
        return Err(EINVAL);
    }
    let mut bytes = KVec::with_capacity(path.len() + 1, GFP_KERNEL)?;
    bytes.extend_from_slice(path, GFP_KERNEL)?;
    bytes.push(0, GFP_KERNEL)?;
    let path = CStr::from_bytes_with_nul(&bytes).map_err(|_| EINVAL)?;
    Ok(CString::try_from(path)?)
}

/// A block device, open for as long as the value lives.
///
/// # Invariants
///
/// `bdev` stays open until `close` was called with `file`.
pub(crate) struct Device {
    bdev: NonNull<bindings::block_device>,
    file: Option<File>,
    close: fn(File),
}

// SAFETY: Any task may use a block device, and close it.
unsafe impl Send for Device {}
// SAFETY: As above, and any number of them at a time.
unsafe impl Sync for Device {}

impl Device {
    /// Opens the block device at `path` for this driver alone. May sleep.
    ///
    /// # Errors
    ///
    /// `ENOTBLK` for anything else, `EBUSY` if it is mounted or another one uses
    /// it alone, `EROFS` if it cannot be written to, `EINVAL` if it is
    /// zoned or a block is larger than a page; what opening it fails with.
    pub(crate) fn open(path: &[u8]) -> Result<Self> {
        let flags = bindings::O_RDWR | bindings::O_EXCL;
        let enotblk = Error::from_errno(-(bindings::ENOTBLK as c_int));
        let file = File::open(path, bindings::S_IFBLK, flags, enotblk)?;
        // SAFETY: The file is that of a block device, and open.
        let bdev = unsafe { bindings::file_bdev(file.as_ptr()) };
        // INVARIANT: The device is open as long as its file is.
        let device = Self {
            bdev: NonNull::new(bdev).ok_or(ENXIO)?,
            file: Some(file),
            close: Self::close,
        };
        device.check()?;
        Ok(device)
    }

    fn close(file: File) {
        let file = core::mem::ManuallyDrop::new(file);
        // Closing may be put off; the device is free at once.
        // SAFETY: The file is that of a block device; its reference is given up.
        unsafe { bindings::bdev_fput(file.as_ptr()) };
    }

    /// Takes over the device that holds the blocks of `file`.
    ///
    /// # Errors
    ///
    /// As [`Device::open`].
    ///
    /// # Safety
    ///
    /// `bdev` stays open until `close` was called with `file`.
    pub(crate) unsafe fn beneath(
        file: File,
        bdev: NonNull<bindings::block_device>,
        close: fn(File),
    ) -> Result<Self> {
        // INVARIANT: By the safety requirement.
        let device = Self {
            bdev,
            file: Some(file),
            close,
        };
        device.check()?;
        Ok(device)
    }

    /// Checks that the device takes pages.
    fn check(&self) -> Result {
        // SAFETY: By the type invariant.
        if unsafe { ours::store_bdev_read_only(self.as_ptr()) } {
            return Err(EROFS);
        }
        // SAFETY: By the type invariant.
        let block = unsafe { ours::store_bdev_block_size(self.as_ptr()) };
        // SAFETY: By the type invariant.
        let is_zoned = unsafe { ours::store_bdev_is_zoned(self.as_ptr()) };
        if block as usize > PAGE_SIZE || is_zoned {
            return Err(EINVAL);
        }
        Ok(())
    }

    /// Returns the device.
    pub(crate) fn as_ptr(&self) -> *mut bindings::block_device {
        self.bdev.as_ptr()
    }

    /// Returns the file that was opened.
    pub(crate) fn file(&self) -> Option<&File> {
        self.file.as_ref()
    }

    /// Returns the number of sectors.
    pub(crate) fn sectors(&self) -> u64 {
        // SAFETY: By the type invariant.
        let bdev = unsafe { self.as_ptr().as_ref() };
        bdev.map_or(0, |bdev| bdev.bd_nr_sectors)
    }

    /// Whether the device can be told which sectors nobody needs.
    pub(crate) fn can_discard(&self) -> bool {
        // SAFETY: By the type invariant.
        unsafe { ours::store_bdev_can_discard(self.as_ptr()) }
    }
}

impl Drop for Device {
    fn drop(&mut self) {
        if let Some(file) = self.file.take() {
            (self.close)(file);
        }
    }
}
