//! The contract between the store and the database underneath it.
//!
//! A backend keeps ordered byte keys with byte values in a few [`Space`]s. What it must promise:
//!
//! - **Atomic batches.** A [`Batch`] is applied whole or not at all, also across spaces and across a crash.
//!   Its preconditions are checked and its changes applied as one step, with no write in between.
//! - **Read your writes.** What `write` returned `Ok` for, every later `get` and new snapshot sees.
//! - **Snapshots.** A [`Snapshot`] shows one instant; later writes never show through, and it never blocks
//!   writers.
//! - **Order.** `scan` yields keys in ascending (or descending) order of unsigned bytes.
//! - **Durability.** [`Durability::Staged`] may be lost by a crash, but only as a suffix: if one staged batch
//!   survives, all batches written before it survive. After [`flush`](Backend::flush) returns, everything
//!   written before it survives power loss. [`Durability::Durable`] survives power loss when `write` returns;
//!   it promises nothing about staged batches before it (flush them first). [`Durability::Settled`] is a write and a flush in
//!   one: the batch survives power loss, and so does everything staged before it, which never is lost where the batch is kept.
//!   It survives damage to the end of a log as well, which looks like a crash before the write.
//! - **One store.** A backend belongs to one [`EngramStore`](crate::EngramStore) and its clones at a time, which gives
//!   out the ids. A second store over it gets `Conflict` from the first id that both gave out.
//! - **Errors.** A failed `write` has applied nothing, or the backend refuses every later call with
//!   `Unavailable` until it is opened again. Damage is `Corrupt`, never another value.
//!
//! [`crate::conformance`] checks all of it that a process can check of itself; run it on your backend.

mod faulty;
mod memory;
mod read_only;
#[cfg(feature = "rocksdb")]
mod rocksdb;

pub use faulty::{Fault, FaultyBackend};
pub use memory::MemoryBackend;
pub(crate) use memory::unmet;
pub(crate) use read_only::{ReadOnly, read_only};
#[cfg(feature = "rocksdb")]
pub(crate) use rocksdb::{Hold, in_use};
#[cfg(feature = "rocksdb")]
pub use rocksdb::{RocksBackend, RocksOptions};

use std::path::Path;

use crate::{Error, ErrorKind, Result, Space};

/// A key with its value.
pub type KeyValue = (Vec<u8>, Vec<u8>);

/// An ordered key-value database; see the [module](self) for what it must promise.
pub trait Backend: Send + Sync + 'static {
    /// The value of `key` now.
    ///
    /// # Errors
    /// `Corrupt` for damage, `Io` or `Unavailable` when it can't be read.
    fn get(&self, space: Space, key: &[u8]) -> Result<Option<Vec<u8>>>;

    /// The values of `keys` now, in their order.
    ///
    /// # Errors
    /// As [`get`](Self::get).
    fn multi_get(&self, space: Space, keys: &[&[u8]]) -> Result<Vec<Option<Vec<u8>>>> {
        keys.iter().map(|key| self.get(space, key)).collect()
    }

    /// The whole content at this instant.
    ///
    /// # Errors
    /// `Unavailable` when closed.
    fn snapshot(&self) -> Result<Box<dyn Snapshot + '_>>;

    /// Applies `batch` whole, if all its preconditions hold.
    ///
    /// # Errors
    /// `Conflict` when a precondition does not hold (nothing was applied); `Io` or `Unavailable` otherwise.
    fn write(&self, batch: Batch, durability: Durability) -> Result<()>;

    /// Makes everything written so far durable.
    ///
    /// # Errors
    /// `Io` or `Unavailable`; what was staged may then be lost.
    fn flush(&self) -> Result<()>;

    /// Gives back to the medium what deleted and replaced records took, as far as it is worth the work; nothing that can
    /// be read changes. A backend that keeps no such space does nothing. Returns the bytes of what it could have given back
    /// and could not yet, because something still uses it or the medium did not let it go.
    ///
    /// # Errors
    /// `Io` or `Unavailable` when space is not given back because that failed; no record is lost.
    fn compact(&self) -> Result<u64> {
        Ok(0)
    }

    /// Makes a copy of everything that is there at one instant, while others read and write: a directory that the same
    /// kind of backend opens. `directory` does not exist yet; its files are durable when this returns, its name need not be.
    /// A backend over another one hands it on, so that nothing is copied that it only shows.
    ///
    /// # Errors
    /// `Unsupported` when it keeps no directory: [`copy_records`] then copies what a snapshot shows. `Io` when the directory
    /// can't be written.
    fn copy_to(&self, directory: &Path) -> Result<()> {
        let directory = directory.display();
        Err(Error::new(
            ErrorKind::Unsupported,
            format!("this database can't be copied to {directory}: copy its records"),
        ))
    }

    /// What is damaged of what it keeps beside its records, a line for each. Records tell of themselves when they are read.
    ///
    /// # Errors
    /// `Io` or `Unavailable` when it can't be looked at.
    fn damage(&self) -> Result<Vec<String>> {
        Ok(Vec::new())
    }

    /// Flushes, leaves nothing temporary behind, and refuses every later call with `Unavailable`. Twice is fine.
    ///
    /// # Errors
    /// `Io`; the backend is closed all the same.
    fn close(&self) -> Result<()>;

    /// Bytes on the medium, everything counted; 0 when there is no medium.
    ///
    /// # Errors
    /// `Io` when it can't be told.
    fn stored_bytes(&self) -> Result<u64>;
}

/// Copies every record that is in `from` at this instant to `to`, an empty backend, and makes them durable there.
///
/// What makes a store of them comes last: a copy that was cut short is refused when it is opened.
///
/// # Errors
/// As reading `from` and writing `to`.
pub fn copy_records(from: &dyn Backend, to: &dyn Backend) -> Result<()> {
    let snapshot = from.snapshot()?;
    let (meta, others): (Vec<Space>, _) = Space::ALL.into_iter().partition(|space| *space == Space::Meta);
    for spaces in [others, meta] {
        for space in spaces {
            let mut batch = Batch::new();
            for record in snapshot.scan(space, KeyRange::default()) {
                let (key, value) = record?;
                batch.put(space, key, value);
                if batch.bytes() >= COPIED_AT_ONCE {
                    to.write(std::mem::take(&mut batch), Durability::Staged)?;
                }
            }
            to.write(batch, Durability::Staged)?;
        }
        to.flush()?;
    }
    Ok(())
}

/// Bytes of records in one batch of a copy.
const COPIED_AT_ONCE: usize = 1 << 20;

/// One instant of a backend.
pub trait Snapshot: Send {
    /// The value of `key` at this instant.
    ///
    /// # Errors
    /// As [`Backend::get`].
    fn get(&self, space: Space, key: &[u8]) -> Result<Option<Vec<u8>>>;

    /// Keys from `range.from` (inclusive; empty: the first) to `range.to` (exclusive; `None`: the last). In the place of
    /// neighbours that can't be read there is one `Corrupt` error; the scan then goes on behind them.
    fn scan<'a>(
        &'a self,
        space: Space,
        range: KeyRange<'a>,
    ) -> Box<dyn Iterator<Item = Result<KeyValue>> + 'a>;
}

/// Which keys to scan, and in which order.
#[derive(Debug, Clone, Copy, Default)]
pub struct KeyRange<'a> {
    /// First key, inclusive; empty: from the beginning.
    pub from: &'a [u8],
    /// First key not wanted; `None`: to the end.
    pub to: Option<&'a [u8]>,
    /// Largest key first.
    pub descending: bool,
}

/// How lasting a write is when it returns.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Durability {
    /// Visible at once, durable after the next flush; a crash before loses a suffix of staged writes.
    Staged,
    /// Durable when `write` returns.
    Durable,
    /// The same, with everything staged before it, and kept where damage to it is noticed: in no log whose end can be lost
    /// without a word.
    Settled,
}

/// Changes applied as one step.
#[derive(Debug, Clone, Default)]
pub struct Batch {
    /// Each must hold when the batch is applied: space, key, expected value (`None`: absent).
    pub preconditions: Vec<(Space, Vec<u8>, Option<Vec<u8>>)>,
    /// In order; a later change of the same key wins. `None` deletes.
    pub changes: Vec<(Space, Vec<u8>, Option<Vec<u8>>)>,
}

impl Batch {
    /// No changes, no preconditions.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Requires that `key` has `value` (`None`: is absent) when the batch is applied.
    pub fn expect(&mut self, space: Space, key: impl Into<Vec<u8>>, value: Option<Vec<u8>>) -> &mut Self {
        self.preconditions.push((space, key.into(), value));
        self
    }

    /// Sets `key`.
    pub fn put(&mut self, space: Space, key: impl Into<Vec<u8>>, value: impl Into<Vec<u8>>) -> &mut Self {
        self.changes.push((space, key.into(), Some(value.into())));
        self
    }

    /// Removes `key`; removing what is absent is fine.
    pub fn delete(&mut self, space: Space, key: impl Into<Vec<u8>>) -> &mut Self {
        self.changes.push((space, key.into(), None));
        self
    }

    /// Nothing to change.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.changes.is_empty()
    }

    /// Bytes of keys and values to be written.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.changes.iter().map(|(_, k, v)| k.len() + v.as_ref().map_or(0, Vec::len)).sum()
    }
}
