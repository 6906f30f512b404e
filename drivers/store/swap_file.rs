// SPDX-License-Identifier: GPL-2.0

//! Regular files whose blocks are read and written beneath their filesystem, as
//! the kernel does with a swap file.
//!
//! A write through the filesystem takes locks that are held over user accesses
//! and over allocations, and allocates itself. So the blocks are looked up once,
//! and the filesystem is kept from moving them: the inode is marked as that of a
//! swap file, which is refused truncation, writes, unlinking and the like.
//!
//! C header: [`include/linux/fs.h`](srctree/include/linux/fs.h)

use super::{
    device::{
        Device,
        File, //
    },
    extents::{
        Extent,
        SLOT_SECTORS, //
    },
};
use core::ptr::NonNull;
use kernel::{
    bindings,
    error::to_result,
    page::PAGE_SIZE,
    prelude::*, //
};

/// Filesystems on one device that do not move the blocks of a swap file.
const KNOWN: [u32; 2] = [bindings::EXT4_SUPER_MAGIC, bindings::XFS_SUPER_MAGIC];

/// Inodes whose blocks are not what the file reads as.
const OTHER_CONTENT: u32 = bindings::S_DAX | bindings::S_ENCRYPTED | bindings::S_VERITY;

/// Opens the file at `path` as a swap file, until the device is dropped, and
/// returns where its pages are. May sleep.
///
/// # Errors
///
/// - `EPERM` without CAP_SYS_ADMIN;
/// - `EOPNOTSUPP` on a filesystem that may move the file's blocks, or has none;
/// - `EINVAL` for a file that is not regular, or has holes or blocks that were
///   never written;
/// - `EBUSY` if it is a swap file already, `ETXTBSY` if it is open for writing
///   or executed;
/// - what opening and writing it back fails with; `ENOMEM`.
pub(crate) fn open(path: &[u8]) -> Result<(Device, KVVec<Extent>)> {
    // SAFETY: No precondition.
    if !unsafe { bindings::capable(bindings::CAP_SYS_ADMIN as c_int) } {
        return Err(EPERM);
    }
    let file = File::open(path, bindings::S_IFREG, bindings::O_RDWR, EINVAL)?;
    let bdev = device_of(&file)?;
    mark(&file)?;
    // SAFETY: The filesystem, which the file holds, has its device open.
    let device = unsafe { Device::beneath(file, bdev, unmark) }?;
    let file = device.file().ok_or(EINVAL)?;
    // What is not on the device yet would overwrite what we write there. Whoever
    // has the file mapped cannot write to it any more once its pages are clean.
    // SAFETY: The file is open.
    to_result(unsafe { bindings::vfs_fsync(file.as_ptr(), 0) })?;
    let extents = map(file, device.sectors())?;
    Ok((device, extents))
}

/// Returns the device of a filesystem that is known.
fn device_of(file: &File) -> Result<NonNull<bindings::block_device>> {
    let inode = file.inode();
    // SAFETY: The file holds its inode.
    let flags = unsafe { (&raw const (*inode).i_flags).read_volatile() };
    // SAFETY: As above; the superblock of an inode does not change.
    let superblock = unsafe { (*inode).i_sb };
    // SAFETY: An inode holds its superblock, whose kind does not change.
    let magic = unsafe { (*superblock).s_magic };
    // SAFETY: As above; nor does its device.
    let bdev = unsafe { (*superblock).s_bdev };
    let eopnotsupp = Error::from_errno(-(bindings::EOPNOTSUPP as c_int));
    if !KNOWN.iter().any(|known| *known as c_ulong == magic) {
        pr_err!("swap files work on ext2, ext3, ext4 and XFS, and not here\n");
        return Err(eopnotsupp);
    }
    if flags & OTHER_CONTENT != 0 {
        pr_err!("a swap file cannot be encrypted, or have verity or DAX\n");
        return Err(eopnotsupp);
    }
    NonNull::new(bdev).ok_or(eopnotsupp)
}

/// Replaces the flags of the inode by what `change` makes of them and of the
/// number of those who write to it, under its lock.
fn with_flags(file: &File, change: impl FnOnce(c_uint, c_int) -> Result<c_uint>) -> Result {
    let inode = file.inode();
    // SAFETY: The file holds its inode.
    let lock = unsafe { &raw mut (*inode).i_rwsem };
    // SAFETY: As above.
    let flags = unsafe { &raw mut (*inode).i_flags };
    // SAFETY: As above.
    let writers = unsafe { &raw const (*inode).i_writecount.counter };
    // SAFETY: The lock is that of the inode; process context.
    unsafe { bindings::down_write(lock) };
    // SAFETY: The inode is held. The count is atomic.
    let writers = unsafe { writers.read_volatile() };
    // SAFETY: The inode is held. Others read the flags meanwhile.
    let old = unsafe { flags.read_volatile() };
    let result = change(old, writers).map(|new| {
        // SAFETY: As above; the lock keeps others from writing.
        unsafe { flags.write_volatile(new) }
    });
    // SAFETY: The lock is held.
    unsafe { bindings::up_write(lock) };
    result
}

/// Marks the inode as that of a swap file, unless others use it.
fn mark(file: &File) -> Result {
    with_flags(file, |flags, writers| {
        if flags & bindings::S_SWAPFILE != 0 {
            return Err(EBUSY);
        }
        // One of them is `file`.
        if writers != 1 {
            return Err(Error::from_errno(-(bindings::ETXTBSY as c_int)));
        }
        Ok(flags | bindings::S_SWAPFILE)
    })
}

fn unmark(file: File) {
    // The change cannot fail.
    let _ = with_flags(&file, |flags, _| Ok(flags & !bindings::S_SWAPFILE));
}

/// Looks up where the pages of the file are on its device.
fn map(file: &File, sectors: u64) -> Result<KVVec<Extent>> {
    // SAFETY: The file holds its inode, of which nobody changes the size now.
    let size = unsafe { (*file.inode()).i_size };
    // SAFETY: The file holds its inode.
    let bits = u32::from(unsafe { (*file.inode()).i_blkbits });
    let per_page = (PAGE_SIZE as u64).checked_shr(bits).unwrap_or(0);
    if per_page == 0 {
        return Err(EINVAL);
    }
    let blocks = u64::try_from(size)? >> bits;
    let mut extents: KVVec<Extent> = KVVec::new();
    let mut block = 0;
    while block + per_page <= blocks {
        let first = find(file, block)?;
        let mut side_by_side = 1;
        while side_by_side < per_page
            && first.checked_add(side_by_side) == Some(find(file, block + side_by_side)?)
        {
            side_by_side += 1;
        }
        block += side_by_side;
        // A page has to be in one piece; what is left of it is not used.
        if side_by_side == per_page {
            let sector = first.checked_shl(bits - 9).ok_or(EINVAL)?;
            if sector
                .checked_add(SLOT_SECTORS)
                .is_none_or(|end| end > sectors)
            {
                return Err(EINVAL);
            }
            if let Some(extent) = Extent::append(extents.last_mut(), sector) {
                extents.push(extent, GFP_KERNEL)?;
            }
        }
        if kernel::current!().signal_pending() {
            return Err(EINTR);
        }
    }
    Ok(extents)
}

/// Returns where a block of the file is on its device.
fn find(file: &File, block: u64) -> Result<u64> {
    let mut at = block;
    // SAFETY: The file holds its inode.
    to_result(unsafe { bindings::bmap(file.inode(), &mut at) })?;
    if at == 0 {
        pr_err!("a swap file has a hole, or a block that was never written\n");
        return Err(EINVAL);
    }
    Ok(at)
}
