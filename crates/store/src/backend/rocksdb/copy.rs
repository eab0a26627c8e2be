//! A copy of the database while it is in use.
//!
//! Beside its own writer a checkpoint: tables are linked where the file system can, and nothing is rewritten. A reader
//! beside another process can't keep that one from removing files, so it copies the records it sees.

use std::fs::{self, File};
use std::path::Path;
use std::sync::PoisonError;

use ::rocksdb::checkpoint::Checkpoint;

use super::{RocksBackend, RocksOptions, close, make_directory};
use crate::backend::{Backend, copy_records};
use crate::{Error, Result};

pub(super) fn copy_to(backend: &RocksBackend, directory: &Path) -> Result<()> {
    let failed = |error| Error::io(format_args!("can't copy the store to {}", directory.display()), error);
    if let Some(above) = directory.parent() {
        make_directory(above).map_err(failed)?;
    }
    let copy = || {
        if backend.read_only { copy_all(backend, directory) } else { check_point(backend, directory) }?;
        close::remove_leftovers(directory)?;
        sync(directory).map_err(failed)
    };
    copy().inspect_err(|_| {
        // Whole or not at all.
        drop(fs::remove_dir_all(directory));
    })
}

fn check_point(backend: &RocksBackend, directory: &Path) -> Result<()> {
    // A commit between the tables and the log would be copied without what it refers to: writers wait.
    let _alone = backend.gate.write().unwrap_or_else(PoisonError::into_inner);
    let database = backend.database()?;
    let made = Checkpoint::new(database).and_then(|checkpoint| checkpoint.create_checkpoint(directory));
    made.map_err(|error| backend.failure("copy", error))
}

fn copy_all(backend: &RocksBackend, directory: &Path) -> Result<()> {
    let copy = RocksBackend::create(directory, &RocksOptions::default())?;
    copy_records(backend, &copy)?;
    copy.close()
}

fn sync(directory: &Path) -> std::io::Result<()> {
    for entry in fs::read_dir(directory)? {
        File::open(entry?.path())?.sync_all()?;
    }
    File::open(directory)?.sync_all()
}
