//! Opening a store for reading alone, beside whoever writes it.

#[cfg(feature = "rocksdb")]
use std::path::Path;

#[cfg(feature = "rocksdb")]
use crate::OpenOptions;
use crate::backend::read_only;
use crate::store::Inner;
use crate::{EngramStore, Result};

impl EngramStore {
    /// Opens the store in directory `path`, which must exist, for reading alone: as it is at this moment, whole, with
    /// every version that was committed, also by a process that was killed since.
    ///
    /// It takes no lock and writes nothing, so it works beside a process that writes or collects, on a full disk and in a
    /// directory that is read-only. What others commit, forget or collect afterwards does not show: open it again. While
    /// it is open it keeps the space of what others remove, and a file handle for each of the database's files: about 16
    /// for each GB stored. Whatever would change the store is `Invalid`.
    ///
    /// # Errors
    /// `NotFound` when there is no store; `Unavailable` when others change it faster than it can be opened; otherwise as
    /// [`open`](Self::open), except that a store in use is none.
    #[cfg(feature = "rocksdb")]
    pub fn open_read_only(path: impl AsRef<Path>) -> Result<Self> {
        Self::open_with(path, &OpenOptions { read_only: true, ..OpenOptions::default() }, false)
    }

    /// Nothing can be changed through this handle.
    #[must_use]
    pub fn is_read_only(&self) -> bool {
        self.0.read_only
    }
}

impl Inner {
    /// Refuses what would only fail at its first write.
    pub(crate) fn check_writable(&self) -> Result<()> {
        if self.read_only { Err(read_only()) } else { Ok(()) }
    }
}
