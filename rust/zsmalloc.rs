// SPDX-License-Identifier: GPL-2.0

//! zsmalloc: memory for objects of up to a page that waste little of it.
//!
//! The kernel may move an object whenever nobody reads or writes it, so an
//! object has a handle instead of an address. A handle is itself an address: of
//! a word of slab memory in the kernel's direct map of all memory. What a slot
//! keeps of it is the offset there, see [`Object::offset`].
//!
//! C header: [`include/linux/zsmalloc.h`](srctree/include/linux/zsmalloc.h)

use crate::{
    bindings as ours,
    error::{
        code,
        Error,
        Result, //
    },
    lockdep::NoException, //
};
use core::{
    marker::PhantomData,
    mem::{
        self,
        ManuallyDrop,
        MaybeUninit, //
    },
    ptr::{
        self,
        NonNull, //
    },
};
use kernel::{
    bindings,
    prelude::*,
    str::CStr, //
};

/// No preference for a memory node: that of the current CPU.
pub(crate) const NO_NODE: i32 = bindings::NUMA_NO_NODE;

/// What an allocation may use. None sleeps, none logs its failure.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Effort {
    /// Free memory only, above the watermarks and within the limit of the cgroup that
    /// pays for it, even in a task that reclaims.
    Spare,
    /// Also the reserves, if the task is allowed to use them (`PF_MEMALLOC`).
    Reserves,
}

impl Effort {
    /// Not movable: what zsmalloc migrates a page to is charged to nobody.
    fn gfp(self) -> bindings::gfp_t {
        let gfp = bindings::GFP_NOWAIT
            | bindings::__GFP_HIGHMEM
            | 1 << bindings::___GFP_ACCOUNT_BIT
            | 1 << bindings::___GFP_NORETRY_BIT;
        match self {
            Effort::Spare => gfp | 1 << bindings::___GFP_NOMEMALLOC_BIT,
            Effort::Reserves => gfp,
        }
    }
}

/// A pool of objects.
///
/// Dropping it with objects still in it leaks them: the kernel logs an error.
///
/// # Invariants
///
/// `pool` is a pool that this value owns; `base` is where the direct map
/// begins.
pub(crate) struct Pool {
    pool: NonNull<ours::zs_pool>,
    base: usize,
}

// SAFETY: A pool belongs to no task.
unsafe impl Send for Pool {}
// SAFETY: A pool has its own locks.
unsafe impl Sync for Pool {}

impl Pool {
    /// Creates an empty pool; `name` is for debugfs. May sleep and allocate.
    ///
    /// # Errors
    ///
    /// `ENOMEM`.
    pub(crate) fn new(name: &CStr) -> Result<Self> {
        // SAFETY: `name` is a C string, which the function copies.
        let pool = unsafe { ours::zs_create_pool(name.as_char_ptr()) };
        // SAFETY: No precondition.
        let base = unsafe { ours::swapvma_direct_map() };
        // INVARIANT: The pool was just created.
        NonNull::new(pool)
            .map(|pool| Self { pool, base })
            .ok_or(code::ENOMEM)
    }

    /// Allocates an object of `len` bytes, 1 to a page. The cgroup that is charged
    /// pays for it, or for the page that it begins. Process context, does not sleep.
    ///
    /// # Errors
    ///
    /// `ENOMEM`; `EINVAL` or `ENOSPC` for a length out of range.
    pub(crate) fn malloc(&self, len: usize, effort: Effort, nid: i32) -> Result<Object<'_>> {
        let _no_exception = (effort == Effort::Spare).then(NoException::enter);
        // SAFETY: By the type invariant the pool is alive.
        let handle = unsafe { ours::zs_malloc(self.pool.as_ptr(), len, effort.gfp(), nid) };
        // CAST: An error is a negative errno in the place of the handle.
        match handle as isize {
            error @ -4095..=-1 => Err(Error::from_errno(error as i32)),
            // INVARIANT: The object is new and nobody else knows it.
            _ => Ok(Object {
                pool: self,
                handle,
                len,
            }),
        }
    }

    /// Returns an object that [`Object::keep`] left in the pool; it stays there
    /// unless it is taken out of the [`ManuallyDrop`].
    ///
    /// This is where a slot becomes an address. It relies on what
    /// `include/swapvma/driver.h` promises a driver: it is given those slots
    /// only that it answered with, and none after its discard. `None` if no
    /// address has that offset.
    pub(crate) fn find(&self, offset: u64, len: usize) -> Option<ManuallyDrop<Object<'_>>> {
        let handle = self.base.checked_add(usize::try_from(offset).ok()?)?;
        // INVARIANT: The object was kept, and is not used after its discard.
        Some(ManuallyDrop::new(Object {
            pool: self,
            handle,
            len,
        }))
    }

    /// Returns the size of the smallest object that takes a page by itself.
    pub(crate) fn huge_size(&self) -> usize {
        // SAFETY: By the type invariant the pool is alive.
        unsafe { ours::zs_huge_class_size(self.pool.as_ptr()) }
    }

    /// Returns the pages that the pool takes. Any context.
    pub(crate) fn total_pages(&self) -> u64 {
        // SAFETY: By the type invariant the pool is alive.
        unsafe { ours::zs_get_total_pages(self.pool.as_ptr()) as u64 }
    }
}

impl Drop for Pool {
    /// May sleep.
    fn drop(&mut self) {
        // SAFETY: By the type invariant this value owns the pool.
        unsafe { ours::zs_destroy_pool(self.pool.as_ptr()) };
    }
}

/// An object of a [`Pool`]. Dropping it frees it.
///
/// # Invariants
///
/// `handle` is an object of `pool` with room for `len` bytes, which this value
/// owns.
pub(crate) struct Object<'a> {
    pool: &'a Pool,
    handle: usize,
    len: usize,
}

impl Object<'_> {
    /// Returns its length in bytes.
    pub(crate) fn len(&self) -> usize {
        self.len
    }

    /// Returns where its handle is in the direct map, a multiple of 8; together
    /// with the length it finds the object again.
    pub(crate) fn offset(&self) -> u64 {
        self.handle.wrapping_sub(self.pool.base) as u64
    }

    /// Leaves the object in the pool, for [`Pool::find`].
    pub(crate) fn keep(self) {
        mem::forget(self);
    }

    /// Fills the object. Process context, does not sleep.
    ///
    /// # Errors
    ///
    /// `EINVAL` unless `bytes` is as long as the object.
    pub(crate) fn write(&mut self, bytes: &[u8]) -> Result {
        if bytes.len() != self.len {
            return Err(code::EINVAL);
        }
        // SAFETY: By the type invariant the object has room for `bytes`, which
        // the function only reads.
        unsafe {
            ours::zs_obj_write(
                self.pool.pool.as_ptr(),
                self.handle,
                bytes.as_ptr().cast_mut().cast(),
                bytes.len(),
            )
        };
        Ok(())
    }

    /// Copies the object. Process context, does not sleep.
    ///
    /// # Errors
    ///
    /// `EINVAL` unless `to` is as long as the object.
    pub(crate) fn copy_to(&self, to: &mut [u8]) -> Result {
        if to.len() != self.len {
            return Err(code::EINVAL);
        }
        let pool = self.pool.pool.as_ptr();
        let to = to.as_mut_ptr();
        // SAFETY: By the type invariant the object has `len` bytes; so has
        // `to`, which the function fills if the object is in two pages.
        let bytes = unsafe { ours::zs_obj_read_begin(pool, self.handle, self.len, to.cast()) };
        if bytes.cast() != to {
            // SAFETY: `bytes` is the object in its page, until the call below.
            unsafe { ptr::copy_nonoverlapping(bytes.cast::<u8>(), to, self.len) };
        }
        // SAFETY: Ends what the function above began, with its arguments.
        unsafe { ours::zs_obj_read_end(pool, self.handle, self.len, bytes) };
        Ok(())
    }

    /// Calls `reader` with the object where it is. The object does not move
    /// meanwhile. Process context; `reader` may sleep.
    pub(crate) fn read<R>(&self, reader: impl FnOnce(&Scatter<'_>) -> R) -> R {
        let mut list = MaybeUninit::<[bindings::scatterlist; 2]>::uninit();
        let first: *mut bindings::scatterlist = list.as_mut_ptr().cast();
        let pool = self.pool.pool.as_ptr();
        // SAFETY: By the type invariant the object has `len` bytes, which are
        // in two pages at most.
        unsafe { ours::zs_obj_read_sg_begin(pool, self.handle, first, self.len) };
        // INVARIANT: The list was just filled, and `list` outlives the call.
        let result = reader(&Scatter {
            first,
            len: self.len,
            object: PhantomData,
        });
        // SAFETY: Ends what the function above began.
        unsafe { ours::zs_obj_read_sg_end(pool, self.handle) };
        result
    }
}

impl Drop for Object<'_> {
    /// Process context, does not sleep.
    fn drop(&mut self) {
        // SAFETY: By the type invariant this value owns the object.
        unsafe { ours::zs_free(self.pool.pool.as_ptr(), self.handle) };
    }
}

/// The bytes of an object, where they are in memory.
///
/// # Invariants
///
/// `first` is a scatterlist of `len` bytes that nobody changes for `'a`.
pub(crate) struct Scatter<'a> {
    first: *mut bindings::scatterlist,
    len: usize,
    object: PhantomData<&'a ()>,
}

impl Scatter<'_> {
    /// Returns the length in bytes.
    pub(crate) fn len(&self) -> usize {
        self.len
    }

    /// Returns the list, for the wrappers of functions that only read it.
    pub(crate) fn as_ptr(&self) -> *mut bindings::scatterlist {
        self.first
    }
}
