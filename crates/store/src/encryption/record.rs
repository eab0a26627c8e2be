//! The key record: the master key, locked by the user's key. The only value of an encrypted store that is not sealed.

use chacha20poly1305::aead::KeyInit;
use chacha20poly1305::{AeadInOut, Tag, XChaCha20Poly1305, XNonce};
use zeroize::Zeroizing;

use super::key::{PassphraseCost, StoreKey};
use super::secrets::Secrets;
use super::{denied, random};
use crate::format::{Reader, put_varint, seal, unseal};
use crate::{Error, ErrorKind, Result, Space};

const MAGIC: &[u8; 8] = b"engrams\x1a";
/// The encryption this release writes, and the newest it reads.
const ENCRYPTION_VERSION: u8 = 1;
/// The lock is for 32 random bytes.
const RANDOM: u8 = 0;
/// The lock is for a passphrase.
const PASSPHRASE: u8 = 1;

/// A locked master key.
pub(super) struct KeyRecord {
    cost: Option<PassphraseCost>,
    salt: [u8; 32],
    nonce: [u8; 24],
    locked: [u8; 32],
    tag: [u8; 16],
}

impl KeyRecord {
    /// Its key in [`Space::Meta`].
    pub(super) const KEY: &'static [u8] = b"encryption";

    /// A new master key, locked by `key`.
    pub(super) fn create(key: &StoreKey) -> Result<(Self, Secrets)> {
        let secrets = Secrets::new(Zeroizing::new(random()?));
        Ok((Self::lock(&secrets, key)?, secrets))
    }

    /// The same master key, locked by `key`.
    pub(super) fn lock(secrets: &Secrets, key: &StoreKey) -> Result<Self> {
        let mut record = Self {
            cost: key.cost(),
            salt: random()?,
            nonce: random()?,
            locked: *secrets.master(),
            tag: [0; 16],
        };
        let cipher = XChaCha20Poly1305::new(&(*key.stretch(&record.salt, record.cost)?).into());
        let (header, nonce) = (record.header(), XNonce::from(record.nonce));
        let tag = cipher.encrypt_inout_detached(&nonce, &header, record.locked.as_mut_slice().into());
        record.tag = tag.map_err(|_| Error::invalid("the master key can't be locked"))?.into();
        Ok(record)
    }

    /// The secrets of the store.
    ///
    /// # Errors
    /// `Denied` when `key` is not the one, `Unavailable` when there is not enough memory to try it.
    pub(super) fn unlock(&self, key: &StoreKey) -> Result<Secrets> {
        match (self.cost, key.cost()) {
            (Some(_), None) => {
                return Err(denied("the store is locked with a passphrase, not with a key file"));
            }
            (None, Some(_)) => {
                return Err(denied("the store is locked with a key file, not with a passphrase"));
            }
            _ => {}
        }
        let cipher = XChaCha20Poly1305::new(&(*key.stretch(&self.salt, self.cost)?).into());
        let mut master = Zeroizing::new(self.locked);
        cipher
            .decrypt_inout_detached(
                &XNonce::from(self.nonce),
                &self.header(),
                master.as_mut_slice().into(),
                &Tag::from(self.tag),
            )
            .map_err(|_| {
                denied(match self.cost {
                    Some(_) => "the passphrase is not the one of this store",
                    None => "the key is not the one of this store",
                })
            })?;
        Ok(Secrets::new(master))
    }

    /// All that comes before the nonce; it is authenticated with the master key.
    fn header(&self) -> Vec<u8> {
        let mut out = MAGIC.to_vec();
        out.extend_from_slice(&[ENCRYPTION_VERSION, if self.cost.is_some() { PASSPHRASE } else { RANDOM }]);
        if let Some(PassphraseCost { memory_kib, passes }) = self.cost {
            put_varint(&mut out, memory_kib.into());
            put_varint(&mut out, passes.into());
        }
        out.extend_from_slice(&self.salt);
        out
    }

    pub(super) fn encode(&self) -> Vec<u8> {
        let mut out = self.header();
        out.extend_from_slice(&self.nonce);
        out.extend_from_slice(&self.locked);
        out.extend_from_slice(&self.tag);
        seal(Space::Meta, Self::KEY, out)
    }

    /// # Errors
    /// `Corrupt` when it is damaged, `Unsupported` when a newer release wrote it. A damaged record is told from a
    /// wrong key by its check alone, which says nothing against forgery; a forged one does not unlock.
    pub(super) fn decode(record: &[u8]) -> Result<Self> {
        let mut reader = Reader::new(unseal(Space::Meta, Self::KEY, record)?, "key record");
        if &reader.array::<8>()? != MAGIC {
            return Err(reader.error("it does not begin as one"));
        }
        let version = reader.u8()?;
        if version != ENCRYPTION_VERSION {
            let what = format!(
                "the store's encryption has version {version}, this release reads 1: use a newer one"
            );
            return Err(Error::new(ErrorKind::Unsupported, what));
        }
        let cost = match reader.u8()? {
            RANDOM => None,
            PASSPHRASE => {
                let cost = PassphraseCost { memory_kib: reader.u32()?, passes: reader.u32()? };
                Some(cost.check().map_err(|error| Error::corrupt(format!("key record: {error}")))?)
            }
            _ => return Err(reader.error("it is locked in an unknown way")),
        };
        let found = Self {
            cost,
            salt: reader.array()?,
            nonce: reader.array()?,
            locked: reader.array()?,
            tag: reader.array()?,
        };
        reader.finish()?;
        Ok(found)
    }
}
