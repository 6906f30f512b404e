// SPDX-License-Identifier: GPL-2.0

//! Integrity: regions that tell whether a driver returns what it was given.
//!
//! What such a region hands out are copies, sealed before the driver sees them: a
//! checksum of the copy is taken, or the copy is compressed, encrypted and
//! authenticated. The [seal](crate::seal) is kept when the driver's answer is
//! applied, with the slot, under the entry bit; the next write replaces both. A
//! page that comes back is copied to a window and verified there. Only then does it
//! become what the entry stands for; otherwise the read has failed.

use crate::{
    acomp::Acomp,
    atomic::Word,
    batch,
    cipher::{
        self,
        Key, //
    },
    error::{
        code,
        Result, //
    },
    flaw::{
        self,
        Flaw, //
    },
    folio::{
        Folio,
        PageBytes,
        PAGE_SIZE, //
    },
    seal::{
        Chunk,
        Chunks,
        Mode,
        Seal,
        Seals,
        Words, //
    },
    window::{
        Pool,
        Reservation,
        Room,
        User,
        Window, //
    },
};
use kernel::{
    prelude::*,
    rbtree::{
        RBTree,
        RBTreeNode, //
    },
    sync::{
        Arc,
        SpinLock, //
    },
};

/// Windows for faults, each of which uses one.
const TASK_WINDOWS: usize = 6;

/// Windows that only swappers use, each [`TO_SEAL`].
const SWAPPER_WINDOWS: usize = 4;

/// Windows to seal pages with: the page, and what becomes of it.
const TO_SEAL: usize = 2;

/// Windows to open a page with.
const TO_OPEN: usize = 1;

/// The windows of all regions with integrity.
type Windows = Pin<KBox<Pool>>;

kernel::sync::global_lock! {
    // Lockdep prints the name.
    #[allow(non_upper_case_globals)]
    // SAFETY: `init` initialises it before anything else runs.
    unsafe(uninit) static swapvma_integrity: Mutex<Option<Arc<Windows>>> = None;
}

/// Initialises what the regions share.
///
/// # Safety
///
/// Called once, at module load, before anything else of this file.
pub(crate) unsafe fn init() {
    // SAFETY: By the safety requirement.
    unsafe { swapvma_integrity.init() };
}

/// Gives it back: no region is left. May sleep.
pub(crate) fn exit() {
    let windows = swapvma_integrity.lock().take();
    drop(windows);
}

/// Returns the windows, which the first region with integrity makes. May sleep and
/// allocate.
fn windows() -> Result<Arc<Windows>> {
    if let Some(windows) = &*swapvma_integrity.lock() {
        return Ok(windows.clone());
    }
    let new = Arc::new(Pool::new(TASK_WINDOWS, SWAPPER_WINDOWS)?, GFP_KERNEL)?;
    // Of two that get here, the second drops its windows again.
    let mut windows = swapvma_integrity.lock();
    Ok(windows.get_or_insert(new).clone())
}

// SAFETY: Integers, of which zero is a valid value.
unsafe impl pin_init::Zeroable for Chunk {}

impl Chunks for RBTree<u64, KBox<Chunk>> {
    type Taken = RBTreeNode<u64, KBox<Chunk>>;

    fn find(&mut self, number: u64) -> Option<&mut Chunk> {
        self.get_mut(&number).map(|chunk| &mut **chunk)
    }

    fn take(&mut self, number: u64) -> Option<Self::Taken> {
        self.remove_node(&number)
    }
}

/// How pages are sealed.
enum How {
    Checksum {
        /// So that not every region has the same pages of equal checksums.
        salt: u64,
    },
    Encrypt(Cipher),
}

/// What a region with integrity has.
#[pin_data]
pub(crate) struct Integrity {
    how: How,
    windows: Arc<Windows>,
    #[pin]
    seals: SpinLock<Seals<RBTree<u64, KBox<Chunk>>>>,
    /// Chunks of seals.
    chunks: Word,
}

impl Integrity {
    /// What a region of that mode needs. May sleep and allocate.
    ///
    /// # Errors
    ///
    /// `ENOMEM`; `ENOENT` if the kernel has no codec; those of [`cipher::random`].
    pub(crate) fn new(mode: Mode) -> Result<Pin<KBox<Self>>> {
        let how = match mode {
            Mode::Checksum => {
                let mut salt = [0; 8];
                cipher::random(&mut salt)?;
                How::Checksum {
                    salt: u64::from_le_bytes(salt),
                }
            }
            Mode::Encrypt => How::Encrypt(Cipher {
                key: Key::new()?,
                codec: Acomp::new(c"lz4")?,
                writes: Word::new(0),
            }),
        };
        let windows = windows()?;
        KBox::pin_init(
            pin_init!(Self {
                how,
                windows,
                seals <- kernel::new_spinlock!(Seals::new(mode, RBTree::new()), "swapvma_seals"),
                chunks: Word::new(0),
            }),
            GFP_KERNEL,
        )
    }

    /// Returns what the region does with its pages.
    pub(crate) fn mode(&self) -> Mode {
        match &self.how {
            How::Checksum { .. } => Mode::Checksum,
            How::Encrypt(_) => Mode::Encrypt,
        }
    }

    /// Returns the bytes of the seals.
    pub(crate) fn seal_bytes(&self) -> u64 {
        self.chunks.load() * size_of::<Chunk>() as u64
    }

    /// Makes a place for the seal of page `index`. It may be gone again on return
    /// unless the page is in the table. May sleep and allocate: the caller holds no
    /// lock that reclaim can reach.
    ///
    /// # Errors
    ///
    /// `ENOMEM`.
    pub(crate) fn fill(&self, index: u64) -> Result {
        let Some(number) = self.seals.lock().missing(index) else {
            return Ok(());
        };
        let chunk = KBox::zeroed(GFP_KERNEL_ACCOUNT)?;
        let node = RBTreeNode::new(number, chunk, GFP_KERNEL_ACCOUNT)?;
        let mut seals = self.seals.lock();
        // Somebody else may have been faster; that is success, too.
        if seals.missing(index).is_some() {
            seals.chunks.insert(node);
            self.chunks.count(1);
        } else {
            drop(seals);
            drop(node);
        }
        Ok(())
    }

    /// The entry of page `index` is empty no more; `false` if it has to stay empty
    /// until [`Integrity::fill`]. Under the entry bit.
    #[must_use]
    pub(crate) fn hold(&self, index: u64) -> bool {
        self.seals.lock().hold(index)
    }

    /// The entry of page `index` is empty again. Under the entry bit.
    pub(crate) fn release(&self, index: u64) {
        let unused = self.seals.lock().release(index);
        if unused.is_some() {
            self.chunks.sub(1);
        }
    }

    /// Returns the seal of the copy that page `index` has. Under the entry bit.
    pub(crate) fn seal_of(&self, index: u64) -> Words {
        self.seals.lock().get(index)
    }

    /// Keeps the seal of the copy that page `index` gets. Under the entry bit.
    pub(crate) fn keep(&self, index: u64, seal: Words) {
        if !self.seals.lock().set(index, seal) {
            // Without a seal, the copy will not be taken for the page.
            kernel::pr_err_once!("no place for the seal of page {}\n", index);
        }
    }

    /// Returns the bytes that the driver has to return of a page with that seal.
    pub(crate) fn length(&self, seal: Words) -> usize {
        Seal::decode(self.mode(), seal).length()
    }

    /// Makes the sealed copies of a batch of region `region`, before the driver gets
    /// them. In the swapper, no lock held; may sleep for windows.
    pub(crate) fn seal_batch(&self, region: u64, batch: &batch::Inner) {
        // None of it fails: the pool has some for swappers. If it did, the pages
        // would stay in memory.
        let windows = self.windows.reserve(TO_SEAL, User::Swapper);
        let windows = windows.as_ref().ok();
        let mut plain = windows.and_then(|all| Wiped::take(all).ok());
        let mut sealed = windows.and_then(|all| Wiped::take(all).ok());
        batch.seal_pages(|index, page, copy| {
            let plain = plain.as_mut()?.0.first_chunk_mut()?;
            page.copy_to(plain).ok()?;
            self.seal_page(region, index, plain, &mut sealed.as_mut()?.0, copy)
        });
    }

    /// Seals page `index`, and writes what the driver is to store to `copy`, which
    /// the driver may have seen before, and may see now: nothing else gets there.
    fn seal_page(
        &self,
        region: u64,
        index: u64,
        plain: &PageBytes,
        room: &mut Room,
        copy: &mut PageBytes,
    ) -> Option<Seal> {
        match &self.how {
            How::Checksum { salt } => {
                copy.copy_from_slice(plain);
                Some(Seal::Checksum(checksum(plain, salt ^ index)))
            }
            How::Encrypt(cipher) => cipher.encrypt(region, index, plain, room, copy),
        }
    }

    /// Reserves what [`Integrity::open`] needs. No lock held; may sleep.
    ///
    /// # Errors
    ///
    /// `EINTR` if the task was killed meanwhile.
    pub(crate) fn reserve_to_open(&self) -> Result<Reservation<'_>> {
        self.windows.reserve(TO_OPEN, User::Task)
    }

    /// Turns what a driver returned as page `index` of region `region` into `page`,
    /// if it is what the seal was made of. Returns whether it is; if not, the content
    /// of `page` is undefined. No lock held; may sleep.
    ///
    /// # Errors
    ///
    /// Some error if that cannot be told.
    pub(crate) fn open(
        &self,
        windows: &Reservation<'_>,
        region: u64,
        index: u64,
        seal: Words,
        returned: &Folio,
        page: &mut PageBytes,
    ) -> Result<bool> {
        let mut window = Wiped::take(windows)?;
        flaw::hold(Flaw::HoldWindow);
        let room: &mut Room = &mut window.0;
        let copy: &mut PageBytes = room.first_chunk_mut().ok_or(code::EINVAL)?;
        // What was verified is what is used, whatever a driver still does.
        returned.copy_to(copy)?;
        match (&self.how, Seal::decode(self.mode(), seal)) {
            (How::Checksum { salt }, Seal::Checksum(sum))
                if sum == checksum(copy, salt ^ index) =>
            {
                page.copy_from_slice(copy);
                Ok(true)
            }
            (How::Encrypt(cipher), seal) => cipher.decrypt(region, index, seal, page, room),
            _ => Ok(false),
        }
    }
}

/// A window that is wiped when it is given back: it is not the place for somebody's
/// secrets.
struct Wiped<'a>(Window<'a>);

impl<'a> Wiped<'a> {
    /// As [`Reservation::take`].
    fn take(windows: &'a Reservation<'_>) -> Result<Self> {
        windows.take().map(Self)
    }
}

impl Drop for Wiped<'_> {
    fn drop(&mut self) {
        self.0.fill(0);
    }
}

/// A checksum that is not 0, which stands for none.
fn checksum(page: &PageBytes, seed: u64) -> u64 {
    cipher::checksum(page, seed).max(1)
}

/// What encrypts a region's pages.
struct Cipher {
    key: Key,
    codec: Acomp,
    /// Pages encrypted so far: the next nonce.
    writes: Word,
}

impl Cipher {
    /// Compresses a page, if that makes it shorter, and encrypts it in `room`. It
    /// becomes `copy`, with zeroes after it.
    fn encrypt(
        &self,
        region: u64,
        index: u64,
        plain: &PageBytes,
        room: &mut Room,
        copy: &mut PageBytes,
    ) -> Option<Seal> {
        let shorter = self.codec.compress(plain, room).ok();
        let shorter = shorter.filter(|&length| length < PAGE_SIZE);
        if shorter.is_none() {
            room.get_mut(..PAGE_SIZE)?.copy_from_slice(plain);
        }
        let (length, packed) = (shorter.unwrap_or(PAGE_SIZE), shorter.is_some());
        let nonce = self.writes.add(1);
        let associated = associated(region, index, length, packed);
        let tag = self.key.encrypt(nonce, &associated, room, length).ok()?;
        let (bytes, rest) = copy.split_at_mut_checked(length)?;
        bytes.copy_from_slice(room.get(..length)?);
        rest.fill(0);
        Some(Seal::Encrypted {
            nonce,
            tag,
            length,
            packed,
        })
    }

    /// Undoes it with what is in `room`. Returns whether that is genuine.
    fn decrypt(
        &self,
        region: u64,
        index: u64,
        seal: Seal,
        page: &mut PageBytes,
        room: &mut Room,
    ) -> Result<bool> {
        let Seal::Encrypted {
            nonce,
            tag,
            length,
            packed,
        } = seal
        else {
            return Ok(false);
        };
        let associated = associated(region, index, length, packed);
        match self.key.decrypt(nonce, &associated, room, length, tag) {
            Err(error) if error == code::EIO => return Ok(false),
            result => result?,
        }
        let plain = room.get(..length).ok_or(code::EINVAL)?;
        let written = if packed {
            self.codec.decompress_bytes(plain, page)?
        } else {
            let whole: &PageBytes = plain.first_chunk().ok_or(code::EIO)?;
            page.copy_from_slice(whole);
            length
        };
        if written != PAGE_SIZE {
            return Err(code::EIO);
        }
        Ok(true)
    }
}

/// What is authenticated along with a page.
fn associated(region: u64, index: u64, length: usize, packed: bool) -> [u8; 32] {
    let mut bytes = [0; 32];
    let words = [region, index, length as u64, u64::from(packed)];
    for (place, word) in bytes.as_chunks_mut().0.iter_mut().zip(words) {
        *place = word.to_le_bytes();
    }
    bytes
}

#[kunit_tests(swapvma_integrity)]
mod tests {
    use super::*;
    use crate::folio::{
        Effort,
        NewPage, //
    };

    const REGION: u64 = 3;
    const INDEX: u64 = 1 << 33;

    /// A page that compresses, or one that does not.
    fn page(random: bool) -> Result<KBox<PageBytes>> {
        let mut page: KBox<PageBytes> = KBox::zeroed(GFP_KERNEL)?;
        match random {
            true => cipher::random(&mut *page)?,
            false => {
                for (i, byte) in page.iter_mut().enumerate() {
                    *byte = (i % 77) as u8;
                }
            }
        }
        Ok(page)
    }

    /// Seals a page as [`Integrity::seal_batch`] does.
    fn seal(integrity: &Integrity, index: u64, page: &mut PageBytes) -> Result<Words> {
        let windows = integrity.windows.reserve(TO_SEAL, User::Swapper)?;
        let (mut plain, mut room) = (Wiped::take(&windows)?, Wiped::take(&windows)?);
        let plain = plain.0.first_chunk_mut().ok_or(EINVAL)?;
        plain.copy_from_slice(page);
        let seal = integrity.seal_page(REGION, index, plain, &mut room.0, page);
        Ok(seal.ok_or(EINVAL)?.encode())
    }

    #[test]
    fn only_what_was_sealed_is_opened() -> Result {
        for mode in [Mode::Checksum, Mode::Encrypt] {
            let integrity = Integrity::new(mode)?;
            for random in [false, true] {
                let plain = page(random)?;
                let mut stored = page(random)?;
                stored.copy_from_slice(&*plain);
                let words = seal(&integrity, INDEX, &mut stored)?;
                let length = integrity.length(words);
                let is_short = mode == Mode::Encrypt && !random;
                assert!((length < 1000) == is_short);
                let opens = |region, index, words, flip: Option<usize>| {
                    let mut returned = NewPage::new(false, Effort::Firm)?;
                    returned.bytes().copy_from_slice(&*stored);
                    if let Some(bit) = flip {
                        returned.bytes()[bit / 8] ^= 1 << (bit % 8);
                    }
                    let mut back = page(false)?;
                    let returned = returned.into_folio();
                    let windows = integrity.reserve_to_open()?;
                    let opened =
                        integrity.open(&windows, region, index, words, &returned, &mut back);
                    assert!(opened != Ok(true) || *back == *plain);
                    opened
                };
                assert!(opens(REGION, INDEX, words, None)?);
                for bit in (0..8 * length).step_by(101) {
                    assert!(!opens(REGION, INDEX, words, Some(bit))?);
                }
                assert!(!opens(REGION, INDEX + 1, words, None)?);
                assert!(!opens(REGION, INDEX, Seal::None.encode(), None)?);
                if mode == Mode::Encrypt {
                    assert!(!opens(REGION + 1, INDEX, words, None)?);
                    let later = seal(&integrity, INDEX, &mut *page(random)?)?;
                    assert!(!opens(REGION, INDEX, later, None)?);
                }
            }
        }
        Ok(())
    }

    #[test]
    fn windows_are_wiped() -> Result {
        let pool = Pool::new(1, 0)?;
        let windows = pool.reserve(1, User::Task)?;
        Wiped::take(&windows)?.0.fill(7);
        assert!(windows.take()?.iter().all(|&byte| byte == 0));
        Ok(())
    }

    #[test]
    fn no_nonce_is_used_twice() -> Result {
        let integrity = Integrity::new(Mode::Encrypt)?;
        let mut last = None;
        for _ in 0..100 {
            let words = seal(&integrity, INDEX, &mut *page(false)?)?;
            let Seal::Encrypted { nonce, .. } = Seal::decode(Mode::Encrypt, words) else {
                return Err(EINVAL);
            };
            assert!(last.is_none_or(|last| nonce > last));
            last = Some(nonce);
        }
        Ok(())
    }

    #[test]
    fn seals_come_and_go_with_pages() -> Result {
        for mode in [Mode::Checksum, Mode::Encrypt] {
            let integrity = Integrity::new(mode)?;
            let far = mode.per_chunk() * 1000;
            assert!(!integrity.hold(0));
            for index in [0, 0, 1, far] {
                integrity.fill(index)?;
            }
            assert!(integrity.hold(0) && integrity.hold(1) && integrity.hold(far));
            assert_eq!(integrity.seal_bytes(), 2 * 4096);
            integrity.keep(1, [7, 0, 0, 0]);
            assert_eq!(integrity.seal_of(1), [7, 0, 0, 0]);
            assert_eq!(integrity.seal_of(0), [0; 4]);
            integrity.release(1);
            assert_eq!(integrity.seal_of(1), [0; 4]);
            integrity.release(far);
            assert_eq!(integrity.seal_bytes(), 4096);
            integrity.release(0);
            assert_eq!(integrity.seal_bytes(), 0);
        }
        Ok(())
    }
}
