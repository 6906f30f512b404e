// SPDX-License-Identifier: GPL-2.0

//! What user space hands over: ioctls by number, structures, names.

use crate::{
    bindings as ours,
    error::{
        code,
        Result, //
    },
};
use core::ffi::CStr;
use kernel::{
    ioctl,
    prelude::*,
    uaccess::{
        UserPtr,
        UserSlice, //
    },
};

pub(super) const CREATE: u32 = ours::SWAPVMA_CMD_CREATE;
pub(super) const SET_LIMIT: u32 = ours::SWAPVMA_CMD_SET_LIMIT;
pub(super) const PAGEOUT: u32 = ours::SWAPVMA_CMD_PAGEOUT;
pub(super) const PREFETCH: u32 = ours::SWAPVMA_CMD_PREFETCH;
pub(super) const STATS: u32 = ours::SWAPVMA_CMD_STATS;
pub(super) const ADD_DRIVER: u32 = ours::SWAPVMA_CMD_ADD_DRIVER;

/// An ioctl that is known, whatever the size of the caller's structure.
pub(super) struct Command {
    pub(super) number: u32,
    size: usize,
}

impl Command {
    pub(super) fn new(command: u32) -> Result<Self> {
        let parts = |command| {
            (
                ioctl::_IOC_DIR(command),
                ioctl::_IOC_TYPE(command),
                ioctl::_IOC_NR(command),
            )
        };
        let number = [CREATE, SET_LIMIT, PAGEOUT, PREFETCH, STATS, ADD_DRIVER]
            .into_iter()
            .find(|&known| parts(known) == parts(command))
            .ok_or(code::ENOTTY)?;
        Ok(Self {
            number,
            size: ioctl::_IOC_SIZE(command),
        })
    }
}

/// A structure of the UAPI.
///
/// # Safety
///
/// All bytes of the type are fields, and every value of them is valid.
pub(super) unsafe trait Plain: Default {}

// SAFETY: Integers and arrays of bytes, without padding.
unsafe impl Plain for ours::swapvma_create {}
// SAFETY: Integers and arrays of bytes, without padding.
unsafe impl Plain for ours::swapvma_add_driver {}
// SAFETY: Integers, without padding.
unsafe impl Plain for ours::swapvma_limit {}
// SAFETY: Integers, without padding.
unsafe impl Plain for ours::swapvma_range {}
// SAFETY: Integers, without padding.
unsafe impl Plain for ours::swapvma_stats {}

pub(super) fn bytes_of<T: Plain>(value: &T) -> &[u8] {
    // SAFETY: `Plain` types may be read as bytes.
    unsafe { core::slice::from_raw_parts(core::ptr::from_ref(value).cast(), size_of::<T>()) }
}

pub(super) fn bytes_of_mut<T: Plain>(value: &mut T) -> &mut [u8] {
    // SAFETY: `Plain` types may be written as bytes.
    unsafe { core::slice::from_raw_parts_mut(core::ptr::from_mut(value).cast(), size_of::<T>()) }
}

/// Reads a structure of the caller's size: `EINVAL` if it is too short, `E2BIG`
/// if it says something that this version does not know, `EFAULT`.
pub(super) fn read<T: Plain>(command: &Command, arg: usize) -> Result<T> {
    if command.size < size_of::<T>() {
        return Err(code::EINVAL);
    }
    let mut value = T::default();
    let mut reader = UserSlice::new(UserPtr::from_addr(arg), command.size).reader();
    reader.read_slice(bytes_of_mut(&mut value))?;
    while !reader.is_empty() {
        let mut byte = [0];
        reader.read_slice(&mut byte)?;
        if byte != [0] {
            return Err(code::E2BIG);
        }
    }
    Ok(value)
}

/// Writes the structure back.
pub(super) fn write<T: Plain>(arg: usize, value: &T) -> Result {
    UserSlice::new(UserPtr::from_addr(arg), size_of::<T>())
        .writer()
        .write_slice(bytes_of(value))
}

/// Checks what has to be zero.
pub(super) fn zero(fields: &[u64]) -> Result {
    if fields.iter().any(|&field| field != 0) {
        return Err(code::EINVAL);
    }
    Ok(())
}

/// Returns a NUL-terminated name of the UAPI.
pub(super) fn name(bytes: &[c_char; ours::SWAPVMA_NAME_MAX as usize]) -> Result<&CStr> {
    // SAFETY: `c_char` is `u8` in the kernel.
    let bytes =
        unsafe { &*core::ptr::from_ref(bytes).cast::<[u8; ours::SWAPVMA_NAME_MAX as usize]>() };
    CStr::from_bytes_until_nul(bytes).map_err(|_| code::EINVAL)
}
