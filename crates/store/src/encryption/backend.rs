//! A backend whose values are sealed on their way to another one.
//!
//! Keys pass as they are: those that would tell content are made by a keyed function before they come here, and ids
//! must keep their order.
//!
//! A value that is not what was sealed in its place reads as an **empty** one, and not as an error. Every record has a
//! check at its end, payloads and indexes are checked against heads, so no reader takes an empty value for anything but
//! a damaged record; and each knows what to do about that one (name it and go on, do without, count anew), where an
//! error in the middle of a scan would stop a verification or a collection at the first.

use std::path::Path;
use std::sync::Arc;

use super::key::StoreKey;
use super::record::KeyRecord;
use super::secrets::{Nonces, Secrets};
use crate::backend::{KeyRange, KeyValue, Snapshot, unmet};
use crate::{Backend, Batch, Durability, Error, ErrorKind, Result, Space};

/// How often a batch is tried whose preconditions hold but were written anew meanwhile.
const TRIES: u32 = 64;

pub(crate) struct EncryptedBackend {
    inner: Arc<dyn Backend>,
    secrets: Secrets,
}

impl EncryptedBackend {
    pub(super) fn new(inner: Arc<dyn Backend>, secrets: Secrets) -> Self {
        Self { inner, secrets }
    }

    pub(crate) fn secrets(&self) -> &Secrets {
        &self.secrets
    }

    /// The key record as it is stored.
    pub(crate) fn record(&self) -> Result<Option<Vec<u8>>> {
        self.inner.get(Space::Meta, KeyRecord::KEY)
    }

    /// Locks the master key with `key` instead of the one it is locked with. Durable when it returns.
    pub(crate) fn rekey(&self, key: &StoreKey) -> Result<()> {
        let old = self.inner.get(Space::Meta, KeyRecord::KEY)?;
        let new = KeyRecord::lock(&self.secrets, key)?;
        let mut batch = Batch::new();
        batch.expect(Space::Meta, KeyRecord::KEY, old);
        batch.put(Space::Meta, KeyRecord::KEY, new.encode());
        self.inner.write(batch, Durability::Settled)
    }

    fn opened(&self, space: Space, key: &[u8], value: Option<Vec<u8>>) -> Option<Vec<u8>> {
        let mut value = value.filter(|_| !is_key_record(space, key))?;
        // Emptied if it is not what was sealed here: see above.
        let _ = self.secrets.open(space, key, &mut value);
        Some(value)
    }

    fn sealed(&self, batch: Batch) -> Result<Batch> {
        let mut nonces = Nonces::fresh()?;
        let mut sealed =
            Batch { preconditions: Vec::new(), changes: Vec::with_capacity(batch.changes.len()) };
        for (space, key, value) in batch.changes {
            if is_key_record(space, &key) {
                return Err(Error::invalid("the key record is not written as other records are"));
            }
            let value = match value {
                Some(mut value) => {
                    self.secrets.seal(space, &key, &mut value, nonces.next()?)?;
                    Some(value)
                }
                None => None,
            };
            sealed.changes.push((space, key, value));
        }
        Ok(sealed)
    }

    /// The same preconditions on sealed values. No two sealings of a value are alike, so what is there now is opened and
    /// compared, and then required to be there still.
    fn sealed_preconditions(&self, expected: &[Expected]) -> Result<Vec<Expected>> {
        let mut sealed = Vec::with_capacity(expected.len());
        for (space, key, expected) in expected {
            let found = self.inner.get(*space, key)?;
            let mut value = found.clone().filter(|_| !is_key_record(*space, key));
            let damaged = value.as_mut().is_some_and(|value| self.secrets.open(*space, key, value).is_none());
            if damaged || value != *expected {
                return Err(unmet(*space, key));
            }
            sealed.push((*space, key.clone(), found));
        }
        Ok(sealed)
    }
}

type Expected = (Space, Vec<u8>, Option<Vec<u8>>);

fn is_key_record(space: Space, key: &[u8]) -> bool {
    space == Space::Meta && key == KeyRecord::KEY
}

impl Backend for EncryptedBackend {
    fn get(&self, space: Space, key: &[u8]) -> Result<Option<Vec<u8>>> {
        Ok(self.opened(space, key, self.inner.get(space, key)?))
    }

    fn multi_get(&self, space: Space, keys: &[&[u8]]) -> Result<Vec<Option<Vec<u8>>>> {
        let found = self.inner.multi_get(space, keys)?;
        Ok(keys.iter().zip(found).map(|(key, value)| self.opened(space, key, value)).collect())
    }

    fn snapshot(&self) -> Result<Box<dyn Snapshot + '_>> {
        Ok(Box::new(EncryptedSnapshot { inner: self.inner.snapshot()?, backend: self }))
    }

    fn write(&self, mut batch: Batch, durability: Durability) -> Result<()> {
        let expected = std::mem::take(&mut batch.preconditions);
        let mut sealed = self.sealed(batch)?;
        // What must be absent needs no opening, and the batches that only say so are the large ones.
        if expected.iter().all(|(.., value)| value.is_none()) {
            sealed.preconditions = expected;
            return self.inner.write(sealed, durability);
        }
        let mut tries = 0;
        loop {
            sealed.preconditions = self.sealed_preconditions(&expected)?;
            match self.inner.write(sealed.clone(), durability) {
                Err(error) if error.kind() == ErrorKind::Conflict && tries < TRIES => tries += 1,
                other => return other,
            }
        }
    }

    fn flush(&self) -> Result<()> {
        self.inner.flush()
    }

    fn compact(&self) -> Result<u64> {
        self.inner.compact()
    }

    /// What is inside is copied, sealed as it is.
    fn copy_to(&self, directory: &Path) -> Result<()> {
        self.inner.copy_to(directory)
    }

    fn damage(&self) -> Result<Vec<String>> {
        self.inner.damage()
    }

    fn close(&self) -> Result<()> {
        self.inner.close()
    }

    fn stored_bytes(&self) -> Result<u64> {
        self.inner.stored_bytes()
    }
}

struct EncryptedSnapshot<'b> {
    inner: Box<dyn Snapshot + 'b>,
    backend: &'b EncryptedBackend,
}

impl Snapshot for EncryptedSnapshot<'_> {
    fn get(&self, space: Space, key: &[u8]) -> Result<Option<Vec<u8>>> {
        Ok(self.backend.opened(space, key, self.inner.get(space, key)?))
    }

    fn scan<'a>(
        &'a self,
        space: Space,
        range: KeyRange<'a>,
    ) -> Box<dyn Iterator<Item = Result<KeyValue>> + 'a> {
        let records = self.inner.scan(space, range);
        Box::new(records.filter_map(move |record| match record {
            Ok((key, value)) => {
                let value = self.backend.opened(space, &key, Some(value))?;
                Some(Ok((key, value)))
            }
            Err(error) => Some(Err(error)),
        }))
    }
}
