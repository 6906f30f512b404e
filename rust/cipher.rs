// SPDX-License-Identifier: GPL-2.0

//! Ciphers and checksums: the libraries of the kernel, called on bytes in memory.
//!
//! Nothing here allocates or sleeps but the making of a key.
//!
//! C header: [`include/crypto/chacha20poly1305.h`](srctree/include/crypto/chacha20poly1305.h)

use crate::{
    bindings as ours,
    error::{
        code,
        Result, //
    },
    window::Room, //
};
use kernel::{
    error::to_result,
    page::PAGE_SIZE,
    prelude::*, //
};

const KEY_SIZE: usize = ours::chacha20poly1305_lengths::CHACHA20POLY1305_KEY_SIZE.0 as usize;
const TAG_SIZE: usize = ours::chacha20poly1305_lengths::CHACHA20POLY1305_AUTHTAG_SIZE.0 as usize;

/// A page and its tag fit a window.
const _: () = assert!(PAGE_SIZE + TAG_SIZE <= size_of::<Room>());

/// What authenticates some bytes.
pub(crate) type Tag = [u64; TAG_SIZE / size_of::<u64>()];

/// Returns a checksum. It is no secret what it is made of: it tells accidents, not
/// attacks.
pub(crate) fn checksum(bytes: &[u8], seed: u64) -> u64 {
    // SAFETY: The bytes are only read.
    unsafe { ours::xxh64(bytes.as_ptr().cast(), bytes.len(), seed) }
}

/// Fills `bytes` with what nobody can guess. May sleep until there is such a thing,
/// early after boot.
///
/// # Errors
///
/// `ERESTARTSYS` if a signal came meanwhile.
pub(crate) fn random(bytes: &mut [u8]) -> Result {
    // SAFETY: The bytes are valid for writing.
    to_result(unsafe { ours::swapvma_random(bytes.as_mut_ptr().cast(), bytes.len()) })
}

/// A key of ChaCha20-Poly1305, which is wiped when it is dropped.
pub(crate) struct Key(KBox<[u8; KEY_SIZE]>);

impl Key {
    /// Makes a key. May sleep and allocate.
    ///
    /// # Errors
    ///
    /// `ENOMEM`; those of [`random`].
    pub(crate) fn new() -> Result<Self> {
        let mut key = Self(KBox::zeroed(GFP_KERNEL)?);
        random(&mut *key.0)?;
        Ok(key)
    }

    /// Encrypts the first `length` bytes of `room` where they are, and returns what
    /// authenticates them along with `associated`. A `nonce` is used once in the
    /// life of a key. Any context.
    ///
    /// # Errors
    ///
    /// `EINVAL` for more than a page.
    pub(crate) fn encrypt(
        &self,
        nonce: u64,
        associated: &[u8],
        room: &mut Room,
        length: usize,
    ) -> Result<Tag> {
        if length > PAGE_SIZE {
            return Err(code::EINVAL);
        }
        let bytes = room.as_mut_ptr();
        // SAFETY: The room is longer than a page and its tag; the cipher works in
        // place.
        unsafe {
            ours::chacha20poly1305_encrypt(
                bytes,
                bytes,
                length,
                associated.as_ptr(),
                associated.len(),
                nonce,
                self.0.as_ptr(),
            )
        };
        let mut tag = [0; 2];
        let after = room.get(length..).unwrap_or_default();
        for (word, bytes) in tag.iter_mut().zip(after.as_chunks().0) {
            *word = u64::from_le_bytes(*bytes);
        }
        Ok(tag)
    }

    /// Decrypts the first `length` bytes of `room` where they are, if they and
    /// `associated` are those that [`Key::encrypt`] returned `tag` for; otherwise
    /// decrypts nothing. Any context.
    ///
    /// # Errors
    ///
    /// `EIO`; `EINVAL` for more than a page.
    pub(crate) fn decrypt(
        &self,
        nonce: u64,
        associated: &[u8],
        room: &mut Room,
        length: usize,
        tag: Tag,
    ) -> Result {
        if length > PAGE_SIZE {
            return Err(code::EINVAL);
        }
        let after = room.get_mut(length..).unwrap_or_default();
        for (bytes, word) in after.as_chunks_mut().0.iter_mut().zip(tag) {
            *bytes = word.to_le_bytes();
        }
        let bytes = room.as_mut_ptr();
        // SAFETY: As in `encrypt`.
        let genuine = unsafe {
            ours::chacha20poly1305_decrypt(
                bytes,
                bytes,
                length + TAG_SIZE,
                associated.as_ptr(),
                associated.len(),
                nonce,
                self.0.as_ptr(),
            )
        };
        genuine.then_some(()).ok_or(code::EIO)
    }
}

impl Drop for Key {
    fn drop(&mut self) {
        // SAFETY: The bytes are valid for writing.
        unsafe { ours::swapvma_wipe(self.0.as_mut_ptr().cast(), KEY_SIZE) };
    }
}

#[kunit_tests(swapvma_cipher)]
mod tests {
    use super::*;

    fn room() -> Result<KBox<Room>> {
        let mut room: KBox<Room> = KBox::zeroed(GFP_KERNEL)?;
        for (i, byte) in room.iter_mut().enumerate() {
            *byte = (i * 7 + i / 256) as u8;
        }
        Ok(room)
    }

    #[test]
    fn what_was_encrypted_comes_back() -> Result {
        let key = Key::new()?;
        for length in [0, 1, 63, 2000, PAGE_SIZE] {
            let plain = room()?;
            let mut bytes = room()?;
            let tag = key.encrypt(1, b"index", &mut bytes, length)?;
            assert!(length < 63 || bytes[..length] != plain[..length]);
            key.decrypt(1, b"index", &mut bytes, length, tag)?;
            assert!(bytes[..length] == plain[..length]);
        }
        assert_eq!(
            key.encrypt(1, b"", &mut *room()?, PAGE_SIZE + 1),
            Err(EINVAL)
        );
        Ok(())
    }

    #[test]
    fn what_was_changed_is_not_decrypted() -> Result {
        const LENGTH: usize = 100;
        let (key, other) = (Key::new()?, Key::new()?);
        let mut bytes = room()?;
        let tag = key.encrypt(7, b"page 3", &mut bytes, LENGTH)?;
        let refused = |key: &Key, nonce, associated: &[u8], length, tag: Tag| {
            let mut copy = room()?;
            copy.copy_from_slice(&*bytes);
            let result = key.decrypt(nonce, associated, &mut copy, length, tag);
            Ok::<_, Error>(result == Err(EIO))
        };
        assert!(refused(&other, 7, b"page 3", LENGTH, tag)?);
        assert!(refused(&key, 6, b"page 3", LENGTH, tag)?);
        assert!(refused(&key, 7, b"page 4", LENGTH, tag)?);
        assert!(refused(&key, 7, b"page 3", LENGTH - 1, tag)?);
        assert!(refused(&key, 7, b"page 3", LENGTH, [tag[0], tag[1] ^ 1])?);
        for bit in 0..8 * LENGTH {
            bytes[bit / 8] ^= 1 << (bit % 8);
            let result = key.decrypt(7, b"page 3", &mut bytes, LENGTH, tag);
            assert_eq!(result, Err(EIO));
            bytes[bit / 8] ^= 1 << (bit % 8);
        }
        key.decrypt(7, b"page 3", &mut bytes, LENGTH, tag)
    }

    #[test]
    fn checksums_are_those_of_the_library() {
        // From the description of XXH64.
        assert_eq!(checksum(b"", 0), 0xef46_db37_51d8_e999);
        assert_eq!(checksum(b"abc", 0), 0x44bc_2cf5_ad77_0999);
        assert!(checksum(b"abc", 1) != checksum(b"abc", 2));
    }
}
