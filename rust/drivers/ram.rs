// SPDX-License-Identifier: GPL-2.0

//! Driver `ram`: keeps cold pages compressed in memory.
//!
//! Each cgroup has pools of its own, and pays for them. Of a page that comes
//! compressed, and encrypted, as many bytes are stored as matter. Swapout works on a
//! stable copy, since user space may write to a page of a batch, and codecs trust that
//! it does not: lz4 would read past the end of the page. What does not compress is
//! stored as it is. A page whose object would need memory that is not free stays
//! resident ("kept"); see [`Reserves`] for what swapout may use when memory runs out.

mod codec;
mod reserves;
mod slot;
mod stores;

pub(crate) use self::stores::init;

use self::{
    codec::{
        Algorithm,
        Codec,
        WINDOWS, //
    },
    reserves::Reserves,
    stores::Lease, //
};
use crate::{
    api::{
        Answer,
        Attach,
        Batch,
        Driver,
        Read,
        Slot, //
    },
    atomic::Word,
    error::{
        code,
        Result, //
    },
    flaw::{
        self,
        Flaw, //
    },
    window::{
        Bytes,
        Room,
        User, //
    },
    zsmalloc::{
        self,
        Effort,
        Object, //
    },
};
use core::mem::ManuallyDrop;
use kernel::{
    page::PAGE_SIZE,
    prelude::*,
    str::{
        CStr,
        CString, //
    },
    sync::Arc, //
};

/// Pages that are cheap to read along with another: to decompress them costs less than
/// their faults would.
const HINT: u32 = 32;

/// Where the pages of the regions are that have the same algorithm, and that the
/// same cgroup pays for. What the pool takes is charged to the cgroup, too: objects
/// of two cgroups share no page.
struct Store {
    codec: Arc<Codec>,
    pool: zsmalloc::Pool,
}

impl Store {
    /// Creates an empty store; `cgroup` names it in debugfs. May sleep and allocate.
    ///
    /// # Errors
    ///
    /// `ENOMEM`.
    fn new(codec: Arc<Codec>, algorithm: Algorithm, cgroup: u64) -> Result<Self> {
        let name = CString::try_from_fmt(fmt!("swapvma-{}-{}", algorithm.name(), cgroup))?;
        Ok(Self {
            codec,
            pool: zsmalloc::Pool::new(&name)?,
        })
    }

    /// Stores the first `length` bytes of a page; `packed` is where a whole one is
    /// compressed. Process context, does not sleep.
    fn put(
        &self,
        page: &Bytes,
        length: usize,
        packed: &mut Room,
        reserves: &mut Reserves<'_>,
    ) -> Answer {
        let compressed = match page.get(..length) {
            Some(part) if length < PAGE_SIZE => Some(part),
            _ => self.compress(page, packed),
        };
        let bytes = compressed.unwrap_or(page);
        let object = match self
            .pool
            .malloc(bytes.len(), Effort::Spare, zsmalloc::NO_NODE)
        {
            Ok(object) => Ok(object),
            // A page stored as it is would take as much as it frees.
            Err(error) if compressed.is_none() => Err(error),
            Err(_) => reserves.malloc(bytes.len()),
        };
        let Ok(mut object) = object else {
            return Answer::Kept;
        };
        let slot = slot::encode(object.offset(), object.len());
        let Some(slot) = slot.and_then(Slot::new) else {
            return Answer::Kept;
        };
        if object.write(bytes).is_err() {
            return Answer::Failed;
        }
        object.keep();
        Answer::Stored(slot)
    }

    /// Compresses `page` into `packed`; `None` if the result would take a page
    /// by itself anyway.
    fn compress<'a>(&self, page: &Bytes, packed: &'a mut Room) -> Option<&'a [u8]> {
        let len = self.codec.acomp.compress(page, packed).ok()?;
        if len >= self.pool.huge_size() {
            return None;
        }
        packed.get(..len)
    }

    /// Reads the first `length` bytes of a page back. Process context, does not
    /// sleep.
    ///
    /// # Errors
    ///
    /// `EIO` if what is stored is not so long; `page` is undefined then.
    fn get(&self, slot: Slot, length: usize, page: &mut Bytes) -> Result {
        let object = self.object(slot)?;
        if length < PAGE_SIZE {
            let part = page.get_mut(..length).ok_or(code::EIO)?;
            return object.copy_to(part).map_err(|_| code::EIO);
        }
        let len = if object.len() == PAGE_SIZE {
            object.copy_to(page).map(|()| PAGE_SIZE)
        } else {
            object.read(|bytes| self.codec.acomp.decompress(bytes, page))
        };
        match len {
            Ok(PAGE_SIZE) => Ok(()),
            _ => Err(code::EIO),
        }
    }

    /// Frees what is stored in `slot` and returns how many bytes that were.
    fn free(&self, slot: Slot) -> u64 {
        let Ok(object) = self.object(slot) else {
            return 0;
        };
        drop(ManuallyDrop::into_inner(object));
        stored_bytes(slot)
    }

    fn object(&self, slot: Slot) -> Result<ManuallyDrop<Object<'_>>> {
        let (offset, len) = slot::decode(slot.get());
        self.pool.find(offset, len).ok_or(code::EIO)
    }
}

/// Returns the bytes of the object in `slot`.
fn stored_bytes(slot: Slot) -> u64 {
    slot::decode(slot.get()).1 as u64
}

/// What the driver knows of a region.
pub(crate) struct Region {
    store: Lease,
    /// Bytes of the region's objects.
    stored: Word,
}

impl Region {
    /// What a region needs that has its pages compressed with `algorithm`. May
    /// sleep and allocate.
    ///
    /// # Errors
    ///
    /// `EINVAL` for an unknown algorithm or any options, `ENOMEM`.
    fn new(algorithm: &CStr, options: &CStr) -> Result<KBox<Self>> {
        let algorithm = Algorithm::find(algorithm).ok_or(code::EINVAL)?;
        if !options.is_empty() {
            return Err(code::EINVAL);
        }
        let region = Self {
            store: Lease::take(algorithm)?,
            stored: Word::new(0),
        };
        Ok(KBox::new(region, GFP_KERNEL)?)
    }

    /// Stores page `i` of a batch.
    fn swapout_page(
        &self,
        batch: &Batch,
        i: usize,
        page: &mut Bytes,
        packed: &mut Room,
        reserves: &mut Reserves<'_>,
    ) -> Answer {
        if batch.copy_page(i, page).is_err() {
            return Answer::Failed;
        }
        let answer = self.store.put(page, batch.length(i), packed, reserves);
        if let Answer::Stored(slot) = answer {
            self.stored.count(stored_bytes(slot));
        }
        answer
    }
}

/// The driver.
pub(crate) struct Ram;

impl Driver for Ram {
    const NAME: &'static CStr = c"ram";

    type Handle = KBox<Region>;

    fn attach(args: &Attach<'_>) -> Result<KBox<Region>> {
        Region::new(args.algorithm(), args.options())
    }

    fn swapout(region: &Region, mut batch: Batch) {
        let store = &region.store;
        // Neither fails: the pool has as many for the swapper. If one did, the
        // pages would stay in memory.
        let one_by_one = flaw::is(Flaw::SecondReservation);
        let count = if one_by_one { 1 } else { WINDOWS };
        let Ok(windows) = store.codec.windows.reserve(count, User::Swapper) else {
            return;
        };
        let second = one_by_one.then(|| store.codec.windows.reserve(1, User::Swapper));
        let others = match &second {
            Some(Ok(others)) => others,
            _ => &windows,
        };
        let (Ok(mut page), Ok(mut packed)) = (windows.take(), others.take()) else {
            return;
        };
        let Some(page) = page.first_chunk_mut::<PAGE_SIZE>() else {
            return;
        };
        let mut reserves = if batch.frees() {
            Reserves::new(store)
        } else {
            Reserves::none(store)
        };
        for i in 0..batch.len() {
            let answer = region.swapout_page(&batch, i, page, &mut packed, &mut reserves);
            batch.answer(i, answer);
        }
    }

    fn swapin(region: &Region, mut read: Read) {
        let (slot, length) = (read.slot(), read.length());
        // What decompresses to less than a page is an error.
        let result = region.store.get(slot, length, read.overwrite());
        read.complete(result);
    }

    fn discard(region: &Region, slot: Slot) {
        region.stored.sub(region.store.free(slot));
    }

    fn range_hint(_region: &Region, _index: u64, _slot: Slot) -> u32 {
        HINT
    }

    fn stored_bytes(region: &Region) -> u64 {
        region.stored.load()
    }
}

#[kunit_tests(swapvma_ram)]
mod tests {
    use super::{
        reserves::RESERVE_PAGES,
        *, //
    };

    /// A page to store, where it is compressed, and where it is read back to.
    struct Buffers {
        page: KBox<Bytes>,
        packed: KBox<Room>,
        back: KBox<Bytes>,
    }

    fn new_store(algorithm: Algorithm) -> Result<Store> {
        let codec = Arc::new(Codec::new(algorithm)?, GFP_KERNEL)?;
        Store::new(codec, algorithm, 0)
    }

    fn zeroed() -> Result<KBox<Bytes>> {
        KBox::init(pin_init::init_zeroed(), GFP_KERNEL)
    }

    fn buffers() -> Result<Buffers> {
        Ok(Buffers {
            page: zeroed()?,
            packed: KBox::init(pin_init::init_zeroed(), GFP_KERNEL)?,
            back: zeroed()?,
        })
    }

    fn fill_text(page: &mut Bytes) {
        let text = b"static int zero(struct page *page) { return page_is(page, 0); } ";
        for (i, byte) in page.iter_mut().enumerate() {
            *byte = text.get((i + i / 97) % text.len()).copied().unwrap_or(b'?');
        }
    }

    fn fill_random(page: &mut Bytes) {
        let mut state = 88_172_645_463_325_252u64;
        for byte in page {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            *byte = (state >> 32) as u8;
        }
    }

    /// Stores `b.page` and returns its slot.
    fn put(store: &Store, b: &mut Buffers) -> Result<Slot> {
        match store.put(&b.page, PAGE_SIZE, &mut b.packed, &mut Reserves::new(store)) {
            Answer::Stored(slot) => Ok(slot),
            _ => Err(ENOMEM),
        }
    }

    /// Stores `b.page`, reads it back over rubbish, compares, and frees it.
    /// Returns the bytes stored.
    fn round_trip(store: &Store, b: &mut Buffers) -> Result<u64> {
        let slot = put(store, b)?;
        b.back.fill(0xa5);
        store.get(slot, PAGE_SIZE, &mut b.back)?;
        let equal = *b.page == *b.back;
        let len = store.free(slot);
        if equal {
            Ok(len)
        } else {
            Err(EIO)
        }
    }

    #[test]
    fn every_algorithm_returns_what_it_got() -> Result {
        for algorithm in Algorithm::ALL {
            let store = new_store(algorithm)?;
            let mut b = buffers()?;
            assert!(round_trip(&store, &mut b)? < 128);
            fill_text(&mut b.page);
            assert!(round_trip(&store, &mut b)? < 2048);
            fill_random(&mut b.page);
            assert!(round_trip(&store, &mut b)? == PAGE_SIZE as u64);
            // Half and half: objects that lie across two pages.
            if let Some(half) = b.page.get_mut(2048..) {
                half.fill(0);
            }
            let mut slots = KVec::new();
            for _ in 0..64 {
                slots.push(put(&store, &mut b)?, GFP_KERNEL)?;
            }
            for slot in slots {
                b.back.fill(0xa5);
                store.get(slot, PAGE_SIZE, &mut b.back)?;
                assert!(*b.page == *b.back);
                assert!((2048..3000).contains(&store.free(slot)));
            }
            assert_eq!(store.pool.total_pages(), 0);
        }
        Ok(())
    }

    #[test]
    fn what_matters_of_a_page_is_stored_as_it_is() -> Result {
        let store = new_store(Algorithm::Lz4)?;
        let mut b = buffers()?;
        fill_text(&mut b.page);
        for length in [1, 100, 3000, PAGE_SIZE - 1] {
            let mut reserves = Reserves::new(&store);
            let Answer::Stored(slot) = store.put(&b.page, length, &mut b.packed, &mut reserves)
            else {
                return Err(ENOMEM);
            };
            b.back.fill(0xa5);
            assert_eq!(store.get(slot, length + 1, &mut b.back), Err(EIO));
            b.back.fill(0xa5);
            store.get(slot, length, &mut b.back)?;
            assert!(b.back[..length] == b.page[..length]);
            assert!(b.back[length..].iter().all(|&byte| byte == 0xa5));
            assert_eq!(store.free(slot), length as u64);
        }
        assert_eq!(store.pool.total_pages(), 0);
        Ok(())
    }

    #[test]
    fn corrupted_objects_are_errors() -> Result {
        for algorithm in Algorithm::ALL {
            let store = new_store(algorithm)?;
            let mut b = buffers()?;
            fill_text(&mut b.page);
            let slot = put(&store, &mut b)?;
            let (offset, len) = slot::decode(slot.get());

            // Shorter than it was written.
            let shorter = slot::encode(offset, len / 2)
                .and_then(Slot::new)
                .ok_or(EINVAL)?;
            assert_eq!(store.get(shorter, PAGE_SIZE, &mut b.back), Err(EIO));

            // Overwritten.
            let rubbish = KVec::from_elem(0xffu8, len, GFP_KERNEL)?;
            let mut object = store.object(slot)?;
            object.write(&rubbish)?;
            assert_eq!(store.get(slot, PAGE_SIZE, &mut b.back), Err(EIO));

            // Of a page that is shorter, and of one that is longer.
            for size in [PAGE_SIZE / 2, 2 * PAGE_SIZE] {
                let plain = KVec::from_elem(7u8, size, GFP_KERNEL)?;
                let mut packed = KVec::from_elem(0u8, PAGE_SIZE, GFP_KERNEL)?;
                let len = store.codec.acomp.compress(&plain, &mut packed)?;
                let packed = packed.get(..len).ok_or(EINVAL)?;
                let mut other = store.pool.malloc(len, Effort::Spare, zsmalloc::NO_NODE)?;
                other.write(packed)?;
                let slot = slot::encode(other.offset(), len)
                    .and_then(Slot::new)
                    .ok_or(EINVAL)?;
                assert_eq!(store.get(slot, PAGE_SIZE, &mut b.back), Err(EIO));
            }
            store.free(slot);
            assert_eq!(store.pool.total_pages(), 0);
        }
        Ok(())
    }

    #[test]
    fn lengths_are_checked() -> Result {
        let store = new_store(Algorithm::Lz4)?;
        let mut object = store.pool.malloc(100, Effort::Spare, zsmalloc::NO_NODE)?;
        assert_eq!(object.write(&[0; 101]), Err(EINVAL));
        assert_eq!(object.write(&[0; 99]), Err(EINVAL));
        assert_eq!(object.copy_to(&mut [0; 99]), Err(EINVAL));
        assert!(store
            .pool
            .malloc(0, Effort::Spare, zsmalloc::NO_NODE)
            .is_err());
        assert!(store
            .pool
            .malloc(PAGE_SIZE + 1, Effort::Spare, zsmalloc::NO_NODE)
            .is_err());
        Ok(())
    }

    #[test]
    fn one_batch_at_a_time_uses_the_reserves() -> Result {
        let store = new_store(Algorithm::Lz4)?;
        let mut first = Reserves::new(&store);
        let mut second = Reserves::new(&store);
        let mut objects = KVec::new();
        objects.push(first.malloc(2000)?, GFP_KERNEL)?;
        assert!(second.malloc(2000).is_err());
        // The first one ends at its share.
        while let Ok(object) = first.malloc(2000) {
            objects.push(object, GFP_KERNEL)?;
        }
        assert!(store.pool.total_pages() >= RESERVE_PAGES);
        assert!(store.pool.total_pages() < RESERVE_PAGES + 8);
        drop(first);
        assert!(second.malloc(2000).is_ok());
        Ok(())
    }

    #[test]
    fn what_frees_nothing_uses_no_reserves() -> Result {
        let store = new_store(Algorithm::Lz4)?;
        let mut none = Reserves::none(&store);
        assert_eq!(none.malloc(2000).err(), Some(code::ENOMEM));
        drop(none);
        assert_eq!(store.pool.total_pages(), 0);
        assert!(Reserves::new(&store).malloc(2000).is_ok());
        Ok(())
    }

    #[test]
    fn slots_are_exact() {
        for len in [1, 2, 4095, slot::LEN_MAX] {
            for offset in [0, 8, 1 << 46, slot::OFFSET_END - 8] {
                assert_eq!(
                    slot::encode(offset, len).map(slot::decode),
                    Some((offset, len))
                );
            }
        }
        assert!(slot::encode(8, 0).is_none());
        assert!(slot::encode(8, slot::LEN_MAX + 1).is_none());
        assert!(slot::encode(4, 1).is_none());
        assert!(slot::encode(slot::OFFSET_END, 1).is_none());
        assert!(slot::encode(!7, 1).is_none());
    }

    #[test]
    fn algorithms_have_names() {
        for algorithm in Algorithm::ALL {
            assert_eq!(Algorithm::find(algorithm.name()), Some(algorithm));
        }
        assert_eq!(Algorithm::find(c""), Some(Algorithm::Lz4));
        assert_eq!(Algorithm::find(c"lz"), None);
        assert_eq!(Algorithm::find(c"LZ4"), None);
    }

    #[test]
    fn regions_share_a_store_and_free_it() -> Result {
        let algorithm = c"lzo";
        let a = Region::new(algorithm, c"")?;
        let b = Region::new(algorithm, c"")?;
        let store: *const Store = &*a.store;
        assert!(core::ptr::eq(store, &*b.store));
        drop(a);
        assert_eq!(Ram::stored_bytes(&b), 0);
        drop(b);
        assert!(!stores::in_use(Algorithm::Lzo));
        assert_eq!(Region::new(c"none", c"").err(), Some(EINVAL));
        assert_eq!(Region::new(algorithm, c"size=1").err(), Some(EINVAL));
        Ok(())
    }
}
