//! Encryption at rest: every value sealed by an AEAD, every key that would tell content made by a keyed function.
//!
//! One **master key**, random and never changed, is in the [key record](record), locked by the user's [`StoreKey`]. From
//! it come three keys: one that seals values ([`Secrets::seal`]), one under which index keys are made
//! ([`IndexKeys`](crate::index_keys::IndexKeys)), and the words of the gear that cuts. `docs/encryption.md` says what
//! this hides and what it does not.

mod backend;
mod key;
mod record;
mod secrets;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use engrams_core::Gear;

pub use key::{PassphraseCost, StoreKey};

pub(crate) use backend::EncryptedBackend;
use record::KeyRecord;

use crate::backend::KeyRange;
use crate::format::Superblock;
use crate::mark::CommitMark;
use crate::{Backend, Batch, Durability, EngramStore, Error, ErrorKind, Result, Space};

impl EngramStore {
    /// The gear that cuts streams and samples features here: [`Gear::FROZEN`], or in an encrypted store one of its own,
    /// so that cut points, features and engrams of two encrypted stores have nothing to do with each other.
    #[must_use]
    pub fn gear(&self) -> &Gear {
        &self.0.gear
    }

    /// Whether what is stored is encrypted.
    #[must_use]
    pub fn is_encrypted(&self) -> bool {
        self.0.encryption.is_some()
    }

    /// Changes the key that opens this store; durable when it returns, and a crash leaves the old one or the new one.
    ///
    /// Only the lock on the store's own key changes, whatever the store's size. Who knew the old key and has a copy of the
    /// store as it was, or finds its remains on the medium, can read that copy and all that is stored later.
    ///
    /// # Errors
    /// `Invalid` when the store is not encrypted: only a new one can be. `Io` or `Unavailable`.
    pub fn rekey(&self, key: &StoreKey) -> Result<()> {
        match &self.0.encryption {
            Some(encrypted) => encrypted.rekey(key),
            None => Err(Error::invalid("the store is not encrypted: only a new store can be")),
        }
    }
}

/// What `backend` must be read through: `None` when the store is not encrypted and no key was given. A store that is
/// not there yet becomes an encrypted one when there is a key.
pub(crate) fn unlock(
    backend: &Arc<dyn Backend>,
    key: Option<&StoreKey>,
    mark: Option<&CommitMark>,
) -> Result<Option<Arc<EncryptedBackend>>> {
    let record = backend.get(Space::Meta, KeyRecord::KEY)?;
    let secrets = match (record, key) {
        (None, None) => return Ok(None),
        (Some(_), None) => return Err(denied("the store is encrypted, and no key was given")),
        (Some(record), Some(key)) => KeyRecord::decode(&record)?.unlock(key)?,
        (None, Some(key)) => {
            if backend.get(Space::Meta, Superblock::KEY)?.is_some() {
                return Err(denied("the store is not encrypted, and a key was given"));
            }
            refuse_remains(&**backend, mark)?;
            let (record, secrets) = KeyRecord::create(key)?;
            let mut batch = Batch::new();
            batch.expect(Space::Meta, KeyRecord::KEY, None);
            batch.put(Space::Meta, KeyRecord::KEY, record.encode());
            backend.write(batch, Durability::Durable)?;
            secrets
        }
    };
    Ok(Some(Arc::new(EncryptedBackend::new(Arc::clone(backend), secrets))))
}

/// Refuses to make a store where there are records of one already: a database that lost its superblock must not look
/// like a new one.
pub(crate) fn refuse_remains(backend: &dyn Backend, mark: Option<&CommitMark>) -> Result<()> {
    if let Some(mark) = mark {
        mark.check(0)?;
    }
    let snapshot = backend.snapshot()?;
    for space in Space::ALL {
        if snapshot.scan(space, KeyRange::default()).next().transpose()?.is_some() {
            return Err(Error::corrupt(format!(
                "the superblock is missing, but there are {space:?} records"
            )));
        }
    }
    Ok(())
}

fn denied(what: &str) -> Error {
    Error::new(ErrorKind::Denied, what)
}

/// Bytes from the operating system's generator.
fn random<const N: usize>() -> Result<[u8; N]> {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes).map_err(|error| {
        Error::new(ErrorKind::Unavailable, "the operating system gives no random bytes").with_source(error)
    })?;
    Ok(bytes)
}
