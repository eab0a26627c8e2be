//! Saving what can be read of a damaged database: a working copy is opened, if need be with a manifest made from its
//! tables, and where blocks of tables can't be read, the rest is copied into a new database.

use std::fs::{self, File};
use std::io;
use std::path::Path;

use ::rocksdb::DB;

use super::failure::failure;
use super::options::{self, FAMILIES, tuned};
use super::{RocksBackend, RocksOptions, guard, log};
use crate::backend::{Backend, Batch, Durability, KeyRange};
use crate::{Error, ErrorKind, Result, Space};

/// Bytes copied at once.
const COPIED_AT_ONCE: usize = 4 << 20;

impl RocksBackend {
    /// Opens a copy of the database in `damaged` that holds all of it that can be read. The copy is made at `copy`, or at
    /// `rebuilt` if it had to be written anew; `damaged` is not touched. Adds a line to `found` for each damage.
    ///
    /// # Errors
    /// `Io` when a copy can't be made or opened, `Unsupported` when another release is needed.
    pub(crate) fn salvage(
        damaged: &Path,
        copy: &Path,
        rebuilt: &Path,
        options: &RocksOptions,
        found: &mut Vec<String>,
    ) -> Result<Self> {
        found.extend(guard::damage(damaged)?);
        copy_of(damaged, copy)?;
        let mut is_to_be_rewritten = false;
        let opened = match Self::open_whole(copy, options) {
            Ok(opened) => opened,
            Err(error) if matches!(error.kind(), ErrorKind::Unavailable | ErrorKind::Unsupported) => {
                return Err(error);
            }
            Err(error) => {
                found.push(error.to_string());
                // As it was before the attempt.
                copy_of(damaged, copy)?;
                log::disarm(copy)?;
                let (database, _) = tuned(options, false);
                DB::repair(&database, copy).map_err(|error| failure("repair", copy, error))?;
                for entry in lost_tables(copy)? {
                    found.push(format!("a table that can't be read at all: {entry}"));
                }
                guard::forget(copy);
                match Self::start(copy, options, false) {
                    // Making a manifest does not look at filters, which opening reads.
                    Err(error) if error.kind() == ErrorKind::Corrupt => {
                        is_to_be_rewritten = true;
                        Self::start_tuned(copy, options, options::without_filters(options))?
                    }
                    started => started?,
                }
            }
        };
        let unreadable = opened.unreadable()?;
        if unreadable.is_empty() && !is_to_be_rewritten {
            return Ok(opened);
        }
        found.extend(unreadable);
        drop(fs::remove_dir_all(rebuilt));
        let new = Self::create(rebuilt, options)?;
        // Blocks with a wrong checksum are not looked into: the database does not bear every kind of damage there.
        opened.copy_into(&new)?;
        new.flush()?;
        Ok(new)
    }

    /// Opens it, if it has all its families: one that was cut short may have lost some, and opening makes them anew.
    fn open_whole(path: &Path, options: &RocksOptions) -> Result<Self> {
        guard::check(path)?;
        log::check_logs(path)?;
        let (database, _) = tuned(options, false);
        let names = DB::list_cf(&database, path).map_err(|error| failure("open", path, error))?;
        if let Some(missing) = FAMILIES.iter().find(|name| !names.iter().any(|found| found == *name)) {
            return Err(Error::corrupt(format!("the store at {} lacks `{missing}`", path.display())));
        }
        Self::open(path, options)
    }

    /// Reads everything; a line for each part that can't be.
    fn unreadable(&self) -> Result<Vec<String>> {
        let mut lines = Vec::new();
        for space in Space::ALL {
            for record in self.snapshot()?.scan(space, KeyRange::default()) {
                match record {
                    Err(error) if error.kind() == ErrorKind::Corrupt => {
                        lines.push(format!("{space:?} records: {error}"));
                    }
                    Err(error) => return Err(error),
                    Ok(_) => {}
                }
            }
        }
        Ok(lines)
    }

    fn copy_into(&self, new: &Self) -> Result<()> {
        let mut batch = Batch::new();
        for space in Space::ALL {
            for record in self.snapshot()?.scan(space, KeyRange::default()) {
                match record {
                    Err(error) if error.kind() == ErrorKind::Corrupt => {}
                    Err(error) => return Err(error),
                    Ok((key, value)) => {
                        batch.put(space, key, value);
                        if batch.bytes() >= COPIED_AT_ONCE {
                            new.write(std::mem::take(&mut batch), Durability::Staged)?;
                        }
                    }
                }
            }
        }
        new.write(batch, Durability::Staged)
    }
}

/// Makes `copy` a copy of the database in `from`: tables, which are never written to, as links where that works.
fn copy_of(from: &Path, copy: &Path) -> Result<()> {
    let make = || -> io::Result<()> {
        match fs::remove_dir_all(copy) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        fs::create_dir_all(copy)?;
        for entry in fs::read_dir(from)? {
            let entry = entry?;
            let name = entry.file_name();
            if !entry.file_type()?.is_file() || name == "LOCK" {
                continue;
            }
            let to = copy.join(&name);
            let is_table = Path::new(&name).extension().is_some_and(|end| end == "sst");
            if !is_table || fs::hard_link(entry.path(), &to).is_err() {
                fs::copy(entry.path(), &to)?;
                File::open(&to)?.sync_all()?;
            }
        }
        File::open(copy)?.sync_all()
    };
    make().map_err(|error| Error::io(format_args!("copying {} to {}", from.display(), copy.display()), error))
}

/// What making a manifest from the tables has put away.
fn lost_tables(path: &Path) -> Result<Vec<String>> {
    let Ok(entries) = fs::read_dir(path.join("lost")) else { return Ok(Vec::new()) };
    let mut names = Vec::new();
    for entry in entries {
        let entry = entry.map_err(|error| Error::io(format_args!("reading {}", path.display()), error))?;
        let name = entry.file_name().to_string_lossy().into_owned();
        if name.ends_with(".sst") {
            names.push(name);
        }
    }
    Ok(names)
}

#[cfg(test)]
mod tests {
    use std::error::Error as _;

    use super::*;

    fn all(backend: &RocksBackend) -> Vec<crate::backend::KeyValue> {
        let snapshot = backend.snapshot().unwrap();
        let spaces = Space::ALL.into_iter();
        spaces.flat_map(|space| snapshot.scan(space, KeyRange::default()).map(Result::unwrap)).collect()
    }

    /// Found: where a filter was damaged in a table that had not been merged yet, making a manifest anew changed nothing, and
    /// a store of which every record could be read could not be repaired.
    #[test]
    fn what_a_damaged_filter_keeps_shut_is_saved_whole() {
        let place = tempfile::tempdir().unwrap();
        let path = |name: &str| place.path().join(name);
        let options = RocksOptions::default();
        let store = RocksBackend::create(path("whole"), &options).unwrap();
        let mut batch = Batch::new();
        for space in Space::ALL {
            for at in 0..50_u8 {
                batch.put(space, [at; 8], [at; 20]);
            }
        }
        store.write(batch, Durability::Staged).unwrap();
        let expected = all(&store);
        store.close().unwrap();
        drop(store);
        let mut kept_shut = 0;
        for table in fs::read_dir(path("whole")).unwrap().map(|entry| entry.unwrap().path()) {
            if table.extension().is_none_or(|end| end != "sst") {
                continue;
            }
            let bytes = fs::read(&table).unwrap();
            for at in (0..bytes.len()).step_by(48) {
                copy_of(&path("whole"), &path("damaged")).unwrap();
                let mut damaged = bytes.clone();
                damaged[at] ^= 1;
                let file = path("damaged").join(table.file_name().unwrap());
                // It is a link.
                fs::remove_file(&file).unwrap();
                fs::write(&file, damaged).unwrap();
                let Err(error) = RocksBackend::open(path("damaged"), &options) else { continue };
                if !error.source().is_some_and(|cause| cause.to_string().contains("block_type = Filter")) {
                    continue;
                }
                kept_shut += 1;
                let mut found = Vec::new();
                let saved = RocksBackend::salvage(
                    &path("damaged"),
                    &path("copy"),
                    &path("rebuilt"),
                    &options,
                    &mut found,
                );
                let saved = saved.unwrap();
                assert!(all(&saved) == expected && !found.is_empty(), "{at} of {}", table.display());
                assert_eq!(saved.path(), path("rebuilt"), "its filters are whole");
            }
        }
        assert!(kept_shut > 0);
    }
}
