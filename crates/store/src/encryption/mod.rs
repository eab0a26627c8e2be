//! Encryption at rest: every value sealed by an AEAD, every key that would tell content made by a keyed function.
//!
//! One **master key**, random and never changed, is in the key record ([`KeyRecord`]), locked by the user's [`StoreKey`]. From
//! it come three keys: one that seals values ([`Secrets::seal`]), one under which index keys are made
//! ([`IndexKeys`](crate::index_keys::IndexKeys)), and the words of the gear that cuts. `docs/encryption.md` says what
//! this hides and what it does not.

mod backend;
mod key;
mod record;
mod secrets;
pub(crate) mod spare;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use engrams_core::Gear;

pub use key::{PassphraseCost, StoreKey};

pub(crate) use backend::EncryptedBackend;
use record::KeyRecord;

use crate::backend::KeyRange;
use crate::error::unless_corrupt;
use crate::format::Superblock;
use crate::mark::CommitMark;
use crate::store::Inner;
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
            Some(encrypted) => {
                encrypted.rekey(key)?;
                self.0.keep_spare()?;
                // The old lock is a replaced record now, which a table keeps until it is rewritten. The key is changed even
                // where that fails.
                drop(self.0.backend.compact());
                Ok(())
            }
            None => Err(Error::invalid("the store is not encrypted: only a new store can be")),
        }
    }
}

impl Inner {
    /// The key record of an encrypted store.
    pub(crate) fn key_record(&self) -> Result<Option<Vec<u8>>> {
        self.encryption.as_ref().map_or(Ok(None), |encrypted| encrypted.record())
    }

    /// Brings the copy of the key record up to date, for a store in a directory.
    pub(crate) fn keep_spare(&self) -> Result<()> {
        match (&self.mark, self.key_record()?) {
            (Some(mark), Some(record)) if !self.read_only => spare::keep(mark.directory(), &record),
            _ => Ok(()),
        }
    }
}

/// The key record, of a backend that is not read through its key.
pub(crate) fn key_record_of(backend: &dyn Backend) -> Result<Option<Vec<u8>>> {
    backend.get(Space::Meta, KeyRecord::KEY)
}

/// What `backend` must be read through: `None` when the store is not encrypted and no key was given. A store that is
/// not there yet becomes an encrypted one when there is a key, unless it is only to be read.
pub(crate) fn unlock(
    backend: &Arc<dyn Backend>,
    key: Option<&StoreKey>,
    mark: Option<&CommitMark>,
    read_only: bool,
) -> Result<Option<Arc<EncryptedBackend>>> {
    let record = key_record_of(&**backend)?;
    let secrets = match (record, key) {
        (None, None) => return Ok(None),
        (Some(_), None) => return Err(denied("the store is encrypted, and no key was given")),
        (Some(record), Some(key)) => KeyRecord::decode(&record)?.unlock(key)?,
        (None, Some(key)) => {
            if backend.get(Space::Meta, Superblock::KEY)?.is_some() {
                return Err(denied("the store is not encrypted, and a key was given"));
            }
            refuse_remains(&**backend, mark)?;
            if read_only {
                return Err(no_store_yet());
            }
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

/// There is a database, and nothing in it: a process was killed while it made the store.
pub(crate) fn no_store_yet() -> Error {
    Error::not_found("there is no store yet: ingest something first")
}

/// Puts back the key record that damage took: the one of `candidates` that `key` unlocks and that opens what is stored.
/// Says whether it did; a store that has its key record, or needs none, is left alone.
///
/// # Errors
/// `Corrupt` when there is none, `Denied` when there is one and `key` does not unlock it; `NotFound` when nothing is stored.
pub(crate) fn restore(backend: &dyn Backend, key: &StoreKey, candidates: &[Vec<u8>]) -> Result<bool> {
    let record = unless_corrupt(key_record_of(backend))?.flatten();
    let is_sound = match record.map(|record| KeyRecord::decode(&record)) {
        None => false,
        Some(decoded) => unless_corrupt(decoded)?.is_some(),
    };
    let superblock = unless_corrupt(backend.get(Space::Meta, Superblock::KEY))?.flatten();
    if is_sound || superblock.is_some_and(|record| Superblock::decode(&record).is_ok()) {
        return Ok(false);
    }
    if !holds(backend, |_, _, _| true)? {
        return Err(Error::not_found("there is no store to repair"));
    }
    let mut refused = None;
    for candidate in candidates {
        let Some(record) = unless_corrupt(KeyRecord::decode(candidate))? else { continue };
        match record.unlock(key) {
            Err(error) if error.kind() == ErrorKind::Denied => refused = Some(error),
            Err(error) => return Err(error),
            Ok(secrets) if holds(backend, |space, key, value| secrets.open(space, key, value).is_some())? => {
                let mut batch = Batch::new();
                batch.put(Space::Meta, KeyRecord::KEY, candidate.as_slice());
                return backend.write(batch, Durability::Durable).map(|()| true);
            }
            Ok(_) => {}
        }
    }
    Err(refused.unwrap_or_else(|| {
        Error::corrupt(
            "the key record is damaged or missing, and so is its copy LOCKED-KEY: without one of them nothing in an \
             encrypted store can be read; a copy of this store has it",
        )
    }))
}

/// There is a record, as far as they can be read, that `wanted` says yes to.
fn holds(backend: &dyn Backend, wanted: impl Fn(Space, &[u8], &mut Vec<u8>) -> bool) -> Result<bool> {
    let snapshot = backend.snapshot()?;
    for space in Space::ALL {
        for record in snapshot.scan(space, KeyRange::default()) {
            if let Some((key, mut value)) = unless_corrupt(record)?
                && wanted(space, &key, &mut value)
            {
                return Ok(true);
            }
        }
    }
    Ok(false)
}

pub(crate) fn denied(what: &str) -> Error {
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
