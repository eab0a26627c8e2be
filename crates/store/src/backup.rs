//! A copy of a store in a directory while the store is in use.

use std::path::Path;
use std::{fs, io};

use crate::encryption::spare;
use crate::mark::{self, CommitMark};
use crate::store::DATABASE;
use crate::{EngramStore, Error, Result};

impl EngramStore {
    /// Copies the store, as it is at one instant, to `directory`, which is made and must not have anything in it. The copy is
    /// a store like any other, durable when this returns. Readers, writers and a collection go on meanwhile; a write waits while
    /// the database's files are linked or copied. Returns the number of the newest version when it began (0: none): the copy
    /// has that version, and perhaps later ones.
    ///
    /// On the same file system the files of the database are *linked*, not copied: that takes a moment and no space, and a
    /// damaged sector damages both. To survive the loss of a disk, name a directory on another one. A store that is
    /// [open for reading](Self::open_read_only) copies every record, also beside a writer in another process.
    ///
    /// # Errors
    /// `Invalid` when there is something in the directory; `Unsupported` when the store is not in a directory: copy its
    /// records with [`copy_records`](crate::backend::copy_records). `Io` when it can't be written: what was written is
    /// removed. `Corrupt` when a record can't be read.
    pub fn backup_to(&self, directory: impl AsRef<Path>) -> Result<u64> {
        let directory = directory.as_ref();
        let there = match fs::read_dir(directory) {
            Ok(entries) => Some(entries),
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            Err(error) => return Err(failed(directory, error)),
        };
        let is_new = there.is_none();
        if there.is_some_and(|mut entries| entries.next().is_some()) {
            let message = format!("{} is not empty: name another directory", directory.display());
            return Err(Error::invalid(message));
        }
        let copied = self.copy_into(directory);
        if copied.is_err() {
            // Nothing was there before. What is not ours, somebody else has put there meanwhile.
            drop(fs::remove_dir_all(directory.join(DATABASE)));
            mark::remove(directory);
            spare::remove(directory);
            if is_new {
                drop(fs::remove_dir(directory));
            }
        }
        copied
    }

    fn copy_into(&self, directory: &Path) -> Result<u64> {
        // Read before the copy is made: a mark may be behind its database, never ahead of it.
        let newest = self.0.head().as_ref().map_or(0, |head| head.number);
        self.0.backend.copy_to(&directory.join(DATABASE))?;
        if let Some(record) = self.0.key_record()? {
            spare::keep(directory, &record)?;
        }
        if newest > 0 {
            CommitMark::read(directory)?.advance(newest)?;
        }
        let synced = fs::File::open(directory).and_then(|directory| directory.sync_all());
        synced.map_err(|error| failed(directory, error))?;
        Ok(newest)
    }
}

fn failed(directory: &Path, error: io::Error) -> Error {
    Error::io(format_args!("can't copy the store to {}", directory.display()), error)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::backend::{MemoryBackend, Snapshot};
    use crate::{Backend, Batch, Durability, OpenOptions, Space, StoreKey};

    /// Makes a copy, in a place where no commit mark can be written.
    struct Spoiling(MemoryBackend);

    impl Backend for Spoiling {
        fn get(&self, space: Space, key: &[u8]) -> Result<Option<Vec<u8>>> {
            self.0.get(space, key)
        }

        fn snapshot(&self) -> Result<Box<dyn Snapshot + '_>> {
            self.0.snapshot()
        }

        fn write(&self, batch: Batch, durability: Durability) -> Result<()> {
            self.0.write(batch, durability)
        }

        fn flush(&self) -> Result<()> {
            self.0.flush()
        }

        fn copy_to(&self, directory: &Path) -> Result<()> {
            fs::create_dir_all(directory).unwrap();
            fs::write(directory.join("table"), "records").unwrap();
            let above = directory.parent().unwrap();
            std::os::unix::fs::symlink(above.join("no/place"), above.join("COMMIT.new")).unwrap();
            Ok(())
        }

        fn close(&self) -> Result<()> {
            self.0.close()
        }

        fn stored_bytes(&self) -> Result<u64> {
            self.0.stored_bytes()
        }
    }

    /// Found: the database stayed, so the same again was refused because the directory was not empty.
    #[test]
    fn a_copy_that_fails_after_its_database_was_copied_leaves_nothing() {
        let place = tempfile::tempdir().unwrap();
        let options = OpenOptions { key: Some(StoreKey::from_bytes([7; 32])), ..OpenOptions::default() };
        let backend = Arc::new(Spoiling(MemoryBackend::new()));
        let store = EngramStore::with_backend(backend, &options).unwrap();
        store.draft().unwrap().commit("").unwrap();
        let (new, empty) = (place.path().join("new"), place.path().join("empty"));
        fs::create_dir(&empty).unwrap();
        for _ in 0..2 {
            for directory in [&new, &empty] {
                let error = store.backup_to(directory).unwrap_err();
                assert!(error.to_string().contains("COMMIT"), "{error}");
            }
            assert!(!new.exists());
            assert_eq!(fs::read_dir(&empty).unwrap().count(), 0);
        }
    }
}
