//! The master key and what is derived from it; the sealing of one value.
//!
//! A sealed value is the ciphertext, as long as the value, then the 16-byte tag of XChaCha20-Poly1305 (Arciszewski,
//! draft-irtf-cfrg-xchacha-03, over RFC 8439), then the 24-byte nonce. Its space and key are authenticated with it.

use chacha20poly1305::aead::KeyInit;
use chacha20poly1305::{AeadInOut, Tag, XChaCha20Poly1305, XNonce};
use engrams_core::Gear;
use zeroize::Zeroizing;

use super::random;
use crate::index_keys::IndexKeys;
use crate::{Error, Result, Space};

const TAG_BYTES: usize = 16;
const NONCE_BYTES: usize = 24;
/// Bytes by which a sealed value is longer.
const SEALED_MORE: usize = TAG_BYTES + NONCE_BYTES;

/// What an unlocked store knows. Wiped from memory when dropped.
pub(crate) struct Secrets {
    master: Zeroizing<[u8; 32]>,
    cipher: XChaCha20Poly1305,
}

impl Secrets {
    pub(super) fn new(master: Zeroizing<[u8; 32]>) -> Self {
        let key = Zeroizing::new(blake3::derive_key("engrams 2026-11 records", &*master));
        Self { cipher: XChaCha20Poly1305::new(&(*key).into()), master }
    }

    pub(super) fn master(&self) -> &[u8; 32] {
        &self.master
    }

    /// The keyed function for keys of indexes.
    pub(crate) fn index_keys(&self) -> IndexKeys {
        IndexKeys::keyed(blake3::derive_key("engrams 2026-11 index keys", &*self.master))
    }

    /// The gear that cuts this store's streams and samples their features.
    pub(crate) fn gear(&self) -> Gear {
        let mut hasher = blake3::Hasher::new_derive_key("engrams 2026-11 gear");
        let mut words = [0; 12];
        let mut reader = hasher.update(&*self.master).finalize_xof();
        for word in &mut words {
            let mut bytes = [0; 8];
            reader.fill(&mut bytes);
            *word = u64::from_le_bytes(bytes);
        }
        Gear::from_random(&words)
    }

    /// Seals `value`, in place, as the value of `key` in `space`.
    pub(super) fn seal(&self, space: Space, key: &[u8], value: &mut Vec<u8>, nonce: [u8; 24]) -> Result<()> {
        let nonce = XNonce::from(nonce);
        value.reserve_exact(SEALED_MORE);
        let tag = self
            .cipher
            .encrypt_inout_detached(&nonce, &place(space, key), value.as_mut_slice().into())
            .map_err(|_| Error::invalid(format!("a value of {} bytes is too long to seal", value.len())))?;
        value.extend_from_slice(&tag);
        value.extend_from_slice(&nonce);
        Ok(())
    }

    /// Opens in place what [`seal`](Self::seal) made of the same space and key; `None`, and nothing left of it, when it
    /// is anything else.
    pub(super) fn open(&self, space: Space, key: &[u8], sealed: &mut Vec<u8>) -> Option<()> {
        let opened = self.try_open(space, key, sealed);
        if opened.is_none() {
            sealed.clear();
        }
        opened
    }

    fn try_open(&self, space: Space, key: &[u8], sealed: &mut Vec<u8>) -> Option<()> {
        let len = sealed.len().checked_sub(SEALED_MORE)?;
        let (value, rest) = sealed.split_at_mut(len);
        let (tag, nonce) = rest.split_at(TAG_BYTES);
        let tag = Tag::from(<[u8; TAG_BYTES]>::try_from(tag).ok()?);
        let nonce = XNonce::from(<[u8; NONCE_BYTES]>::try_from(nonce).ok()?);
        self.cipher.decrypt_inout_detached(&nonce, &place(space, key), value.into(), &tag).ok()?;
        sealed.truncate(len);
        Some(())
    }
}

/// What is authenticated with a value. A space is one byte, so no two places look alike.
fn place(space: Space, key: &[u8]) -> Vec<u8> {
    [&[space as u8], key].concat()
}

/// Nonces for the values of one batch: 20 random bytes, fresh for each batch, then the value's number in it.
///
/// Within a batch they differ by the number. Two batches share the random bytes with probability below 2^-80 after
/// 2^40 batches. Nothing is remembered, so a crash, a fork or a store that was put back to an older copy can't make one come
/// again; and that a batch's nonces begin alike lets the database compress them where records are small.
pub(super) struct Nonces {
    batch: [u8; 20],
    next: u32,
}

impl Nonces {
    pub(super) fn fresh() -> Result<Self> {
        Ok(Self { batch: random()?, next: 0 })
    }

    pub(super) fn next(&mut self) -> Result<[u8; NONCE_BYTES]> {
        let mut nonce = [0; NONCE_BYTES];
        nonce[..20].copy_from_slice(&self.batch);
        nonce[20..].copy_from_slice(&self.next.to_be_bytes());
        match self.next.checked_add(1) {
            Some(next) => self.next = next,
            None => *self = Self::fresh()?,
        }
        Ok(nonce)
    }
}
