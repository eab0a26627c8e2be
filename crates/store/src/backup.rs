//! A copy of a store in a directory while the store is in use.

use std::fs;
use std::path::Path;

use crate::encryption::spare;
use crate::mark::CommitMark;
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
        let failed =
            |error| Error::io(format_args!("can't copy the store to {}", directory.display()), error);
        let occupied = match fs::read_dir(directory) {
            Ok(mut entries) => entries.next().is_some(),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => false,
            Err(error) => return Err(failed(error)),
        };
        if occupied {
            let message = format!("{} is not empty: name another directory", directory.display());
            return Err(Error::invalid(message));
        }
        // Read before the copy is made: a mark may be behind its database, never ahead of it.
        let newest = self.0.head().as_ref().map_or(0, |head| head.number);
        self.0.backend.copy_to(&directory.join("database"))?;
        if let Some(record) = self.0.key_record()? {
            spare::keep(directory, &record)?;
        }
        if newest > 0 {
            CommitMark::read(directory)?.advance(newest)?;
        }
        fs::File::open(directory).and_then(|directory| directory.sync_all()).map_err(failed)?;
        Ok(newest)
    }
}
