// SPDX-License-Identifier: GPL-2.0

//! Seal: what a region with integrity keeps of each stored page, to tell later
//! whether it got back what it stored last.
//!
//! Seals are kept by page index, in chunks that come and go with the pages in
//! them: a page holds its chunk from when its entry stops being empty until it is
//! empty again. So there is a place for the seal of each page that is being
//! written, and what applies a driver's answer allocates nothing.
//!
//! This file is pure logic: the same source runs on the host.

use crate::range::PAGE_BYTES;

/// Words of the longest seal.
pub(crate) const SEAL_WORDS: usize = 4;

/// A seal as it is kept; [`Seal`] says what it means. Zeroes are no seal.
pub(crate) type Words = [u64; SEAL_WORDS];

/// Words of the seals in a chunk, which is a page with its count.
const CHUNK_WORDS: usize = 511;

const _: () = assert!(size_of::<Chunk>() == 4096);

/// What a region does with the pages that it stores.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mode {
    /// It remembers a checksum of each.
    Checksum,
    /// It encrypts and authenticates them.
    Encrypt,
}

impl Mode {
    /// Words of a seal.
    const fn width(self) -> usize {
        match self {
            Mode::Checksum => 1,
            Mode::Encrypt => SEAL_WORDS,
        }
    }

    /// Seals in a chunk.
    pub(crate) const fn per_chunk(self) -> u64 {
        (CHUNK_WORDS / self.width()) as u64
    }

    /// Returns the chunk that the seal of page `index` is in, and its first word
    /// there.
    fn place(self, index: u64) -> (u64, usize) {
        let at = (index % self.per_chunk()) as usize * self.width();
        (index / self.per_chunk(), at)
    }
}

const USED: u64 = 1 << 63;
const PACKED: u64 = 1 << 62;
const LENGTH_MASK: u64 = (1 << 13) - 1;

/// What is known of a stored page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Seal {
    /// Nothing: whatever comes back is not it.
    None,
    /// A checksum, never 0.
    Checksum(u64),
    /// It was encrypted.
    Encrypted {
        /// The number of the write, never used twice with one key.
        nonce: u64,
        /// What authenticates the bytes.
        tag: [u64; 2],
        /// Bytes that were encrypted, at most a page.
        length: usize,
        /// Whether these are a compressed page.
        packed: bool,
    },
}

impl Seal {
    /// Returns how many bytes of the page the driver has to return.
    pub(crate) fn length(self) -> usize {
        match self {
            Seal::Encrypted { length, .. } => length,
            _ => PAGE_BYTES as usize,
        }
    }

    /// Returns the words to keep.
    pub(crate) fn encode(self) -> Words {
        match self {
            Seal::None => [0; SEAL_WORDS],
            Seal::Checksum(sum) => [sum, 0, 0, 0],
            Seal::Encrypted {
                nonce,
                tag: [low, high],
                length,
                packed,
            } => {
                let flags = USED | if packed { PACKED } else { 0 };
                [flags | length as u64 & LENGTH_MASK, nonce, low, high]
            }
        }
    }

    /// Undoes [`Seal::encode`].
    pub(crate) fn decode(mode: Mode, words: Words) -> Self {
        let [first, nonce, low, high] = words;
        match mode {
            Mode::Checksum if first != 0 => Seal::Checksum(first),
            Mode::Encrypt if first & USED != 0 => Seal::Encrypted {
                nonce,
                tag: [low, high],
                length: (first & LENGTH_MASK) as usize,
                packed: first & PACKED != 0,
            },
            _ => Seal::None,
        }
    }
}

/// The seals of some consecutive pages.
pub(crate) struct Chunk {
    /// Pages that hold it.
    held: u64,
    words: [u64; CHUNK_WORDS],
}

impl Chunk {
    /// A chunk that nobody holds, with no seal in it.
    #[allow(dead_code, reason = "the module allocates zeroes")]
    pub(crate) const fn new() -> Self {
        Self {
            held: 0,
            words: [0; CHUNK_WORDS],
        }
    }

    fn seal(&mut self, mode: Mode, at: usize) -> Option<&mut [u64]> {
        self.words.get_mut(at..at + mode.width())
    }
}

/// Chunks by their numbers.
pub(crate) trait Chunks {
    /// What is left of a chunk that was taken out.
    type Taken;

    /// Returns chunk `number` if it is there.
    fn find(&mut self, number: u64) -> Option<&mut Chunk>;

    /// Takes chunk `number` out.
    fn take(&mut self, number: u64) -> Option<Self::Taken>;
}

/// The seals of a region.
pub(crate) struct Seals<C> {
    mode: Mode,
    /// The chunks.
    pub(crate) chunks: C,
}

impl<C: Chunks> Seals<C> {
    /// None, in `chunks`, which has none.
    pub(crate) fn new(mode: Mode, chunks: C) -> Self {
        Self { mode, chunks }
    }

    /// Returns the number of the chunk to add for page `index`, unless it is there.
    pub(crate) fn missing(&mut self, index: u64) -> Option<u64> {
        let (number, _) = self.mode.place(index);
        self.chunks.find(number).is_none().then_some(number)
    }

    /// Page `index` holds its chunk from here on; `false` if that is not there.
    #[must_use]
    pub(crate) fn hold(&mut self, index: u64) -> bool {
        let (number, _) = self.mode.place(index);
        match self.chunks.find(number) {
            Some(chunk) => {
                chunk.held += 1;
                true
            }
            None => false,
        }
    }

    /// Page `index` holds its chunk no more, and its seal is forgotten. Returns the
    /// chunk if nobody holds it.
    pub(crate) fn release(&mut self, index: u64) -> Option<C::Taken> {
        let (number, at) = self.mode.place(index);
        let chunk = self.chunks.find(number)?;
        chunk.seal(self.mode, at)?.fill(0);
        chunk.held = chunk.held.saturating_sub(1);
        if chunk.held != 0 {
            return None;
        }
        self.chunks.take(number)
    }

    /// Returns the seal of page `index`.
    pub(crate) fn get(&mut self, index: u64) -> Words {
        let mut words = [0; SEAL_WORDS];
        if let Some(kept) = self.seal(index) {
            for (word, kept) in words.iter_mut().zip(kept) {
                *word = *kept;
            }
        }
        words
    }

    /// Replaces the seal of page `index`; `false` if its chunk is not there, which
    /// does not happen while the page holds it.
    #[must_use]
    pub(crate) fn set(&mut self, index: u64, words: Words) -> bool {
        let Some(kept) = self.seal(index) else {
            return false;
        };
        for (kept, word) in kept.iter_mut().zip(words) {
            *kept = word;
        }
        true
    }

    fn seal(&mut self, index: u64) -> Option<&mut [u64]> {
        let mode = self.mode;
        let (number, at) = mode.place(index);
        self.chunks.find(number)?.seal(mode, at)
    }
}
