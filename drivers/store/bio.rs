// SPDX-License-Identifier: GPL-2.0

//! Bios: requests to a block device, from sets that never run out.
//!
//! C header: [`include/linux/bio.h`](srctree/include/linux/bio.h)

use super::{
    bindings as ours,
    device::Device, //
};
use core::{
    marker::PhantomData,
    pin::Pin,
    ptr::NonNull, //
};
use kernel::{
    bindings,
    error::to_result,
    page::PAGE_SIZE,
    prelude::*,
    types::Opaque, //
};

/// Bios of a set that are always there.
const POOL: c_uint = 4;

/// What a request does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Op {
    Read,
    Write,
    /// Says that nobody needs so many sectors.
    Discard(u32),
}

impl Op {
    fn flags(self) -> bindings::blk_opf_t {
        match self {
            Op::Read => bindings::req_op_REQ_OP_READ | SWAP,
            Op::Write => bindings::req_op_REQ_OP_WRITE | SWAP,
            Op::Discard(_) => bindings::req_op_REQ_OP_DISCARD,
        }
    }
}

/// What `REQ_SWAP`, a macro, stands for.
const SWAP: bindings::blk_opf_t = 1 << bindings::req_flag_bits___REQ_SWAP;

/// What one bio transfers.
///
/// # Safety
///
/// Until a value is ended or dropped,
/// - its device and its set are the same, stay where they are, and stay alive;
/// - its pages are the same and stay valid; those that are read into are nobody
///   else's.
pub(crate) unsafe trait Transfer: Send + Sized + 'static {
    /// Returns the device.
    fn device(&self) -> &Device;

    /// Returns where the bio comes from.
    fn set(&self) -> &BioSet<Self>;

    /// Returns the number of pages, at most 64.
    fn len(&self) -> u16;

    /// Returns page `i`.
    fn page(&mut self, i: u16) -> Option<NonNull<bindings::page>>;

    /// The transfer is over. Any context, hard interrupts included.
    fn end(self, result: Result);
}

/// Where the bios for one kind of transfer come from. There is none that is not
/// pinned.
#[pin_data(PinnedDrop)]
pub(crate) struct BioSet<T: Transfer> {
    #[pin]
    set: Opaque<bindings::bio_set>,
    _transfers: PhantomData<fn(T)>,
}

// SAFETY: Any task may use a set, and destroy it.
unsafe impl<T: Transfer> Send for BioSet<T> {}
// SAFETY: As above, and any number of them at a time.
unsafe impl<T: Transfer> Sync for BioSet<T> {}

impl<T: Transfer> BioSet<T> {
    /// Bytes before each bio, where its transfer is. Both begin where their
    /// alignment allows, which is at most that of the block layer's slab caches.
    const FRONT: usize = size_of::<T>().next_multiple_of(align_of::<bindings::bio>());

    /// Creates a set. May sleep and allocate.
    ///
    /// # Errors
    ///
    /// `ENOMEM`.
    pub(crate) fn new() -> impl PinInit<Self, Error> {
        const { assert!(align_of::<T>() <= align_of::<u64>()) };
        try_pin_init!(Self {
            set <- Opaque::try_ffi_init(|set: *mut bindings::bio_set| {
                // SAFETY: `set` is where a set goes; zeroes are one that is not
                // initialised yet.
                unsafe { set.write_bytes(0, 1) };
                // CAST: A few words.
                // SAFETY: `set` is pinned, and not initialised.
                to_result(unsafe {
                    bindings::bioset_init(
                        set,
                        POOL,
                        Self::FRONT as c_uint,
                        bindings::BIOSET_NEED_BVECS as c_int,
                    )
                })
            }),
            _transfers: PhantomData,
        })
    }

    /// Returns where the transfer of a bio is.
    ///
    /// # Safety
    ///
    /// `bio` is of a set for transfers of type `T`.
    unsafe fn front(bio: NonNull<bindings::bio>) -> NonNull<T> {
        // SAFETY: By the safety requirement there are so many bytes before it.
        unsafe { bio.byte_sub(Self::FRONT) }.cast()
    }

    /// # Safety
    ///
    /// Called by the block layer once for a bio that [`submit`] submitted. Any
    /// context.
    unsafe extern "C" fn end_io(bio: *mut bindings::bio) {
        // SAFETY: By the safety requirement it is a bio.
        let bio = unsafe { NonNull::new_unchecked(bio) };
        // SAFETY: The bio is ours until it is put.
        let status = unsafe { (*bio.as_ptr()).bi_status };
        // SAFETY: No precondition.
        let result = to_result(unsafe { bindings::blk_status_to_errno(status) });
        // SAFETY: `submit` took it from a set of this type.
        let transfer = unsafe { Self::front(bio) };
        // SAFETY: `submit` wrote the transfer, which nobody else takes.
        let transfer = unsafe { transfer.read() };
        // SAFETY: This was the last use. The transfer keeps the set alive.
        unsafe { bindings::bio_put(bio.as_ptr()) };
        transfer.end(result);
    }
}

#[pinned_drop]
impl<T: Transfer> PinnedDrop for BioSet<T> {
    fn drop(self: Pin<&mut Self>) {
        // SAFETY: The set was initialised; a transfer keeps its set alive and
        // outlives its bio, so that no bio is left.
        unsafe { bindings::bioset_exit(self.set.get()) };
    }
}

/// Starts a transfer of whole pages at `sector`. It ends in its own time, maybe
/// before this returns. Process context, may sleep: until there is a bio, and
/// until the device has room for it.
///
/// A task that has a bio submits it before it asks the same set for the next
/// one, so that somebody's bio always comes back.
pub(crate) fn submit<T: Transfer>(op: Op, sector: u64, mut transfer: T) {
    let nr = transfer.len();
    // SAFETY: By the contract of `Transfer` device and set live.
    let bio = unsafe {
        bindings::bio_alloc_bioset(
            transfer.device().as_ptr(),
            nr,
            op.flags(),
            ours::STORE_GFP_NOIO,
            transfer.set().set.get(),
        )
    };
    // With GFP_NOIO it sleeps rather than fail.
    let Some(bio) = NonNull::new(bio) else {
        return transfer.end(Err(ENOMEM));
    };
    for i in 0..nr {
        let Some(page) = transfer.page(i) else {
            // SAFETY: The bio is ours and was not submitted.
            unsafe { bindings::bio_put(bio.as_ptr()) };
            return transfer.end(Err(EINVAL));
        };
        // CAST: A page.
        // SAFETY: The bio has room for `nr` pages; by the contract of
        // `Transfer` the page outlives the bio.
        unsafe { bindings::__bio_add_page(bio.as_ptr(), page.as_ptr(), PAGE_SIZE as c_uint, 0) };
    }
    // SAFETY: The bio is ours until it is submitted.
    let fields = unsafe { &mut *bio.as_ptr() };
    fields.bi_iter.bi_sector = sector;
    if let Op::Discard(sectors) = op {
        fields.bi_iter.bi_size = sectors.saturating_mul(512);
    }
    fields.bi_end_io = Some(BioSet::<T>::end_io);
    // SAFETY: The bio is of a set for this type.
    let front = unsafe { BioSet::<T>::front(bio) };
    // SAFETY: There is room for it before the bio.
    unsafe { front.write(transfer) };
    // SAFETY: The bio is complete, and is the block layer's from here on.
    unsafe { bindings::submit_bio(bio.as_ptr()) };
}
