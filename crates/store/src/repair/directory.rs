//! Repairing a store in a directory: all work is done in a copy, which takes the damaged one's place when it is whole.
//!
//! The copy costs little where only records are damaged, since tables are shared; where tables are, all that can be read
//! is written once more, and that much room is needed. The damaged files are kept aside until the user removes them.

use std::fs::{self, File, OpenOptions as FileOptions};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustix::fs::FlockOperation;

use super::{Beside, OnLost, OnProgress, RepairOptions, RepairReport, repair};
use crate::backend::{Hold, RocksBackend, RocksOptions, in_use};
use crate::encryption::{key_record_of, spare};
use crate::mark::CommitMark;
use crate::store::DATABASE;
use crate::{Backend, EngramStore, Error, Result};

/// Where a repair works; what is left of an interrupted one means nothing.
const WORK: &str = "repair.work";
/// The whole new database, before it takes the damaged one's place.
const READY: &str = "repair.ready";
/// Damaged databases are kept under this name and a number.
const ASIDE: &str = "damaged-";

impl EngramStore {
    /// Repairs the store in directory `path`, which nobody may have open. Nothing is changed until a repaired copy is
    /// whole; the damaged files are then kept aside in a directory beside it, `damaged-1` the first time.
    ///
    /// # Errors
    /// `NotFound` when there is no store, `Unavailable` when somebody writes to it, in this process or another one, `Unsupported` when a newer release
    /// wrote it, `Corrupt` when nothing can be saved, `Io`. The store is then as it was.
    pub fn repair(
        path: impl AsRef<Path>,
        options: &RepairOptions,
        on_lost: &mut OnLost<'_>,
        on_progress: &mut OnProgress<'_>,
    ) -> Result<RepairReport> {
        let path = path.as_ref();
        let database = path.join(DATABASE);
        finish_interrupted(path)?;
        if !database.is_dir() {
            return Err(Error::not_found(format!("there is no store at {}", path.display())));
        }
        let _lock = lock(&database)?;
        let outcome = in_copy(path, &database, options, on_lost, on_progress);
        drop(fs::remove_dir_all(path.join(WORK)));
        outcome
    }
}

fn in_copy(
    path: &Path,
    database: &Path,
    options: &RepairOptions,
    on_lost: &mut OnLost<'_>,
    on_progress: &mut OnProgress<'_>,
) -> Result<RepairReport> {
    let mut report = RepairReport::default();
    let mark = CommitMark::read(path)?;
    let marked = report.unless_damaged(mark.marked())?.flatten();
    report.damage.extend(spare::damage(path)?);
    let beside = Beside { marked, key_record: spare::read(path)? };
    let (copy, rebuilt) = (path.join(WORK).join("copy"), path.join(WORK).join("rebuilt"));
    let rocks = RocksOptions { memory_bytes: options.open.database_bytes, ..RocksOptions::default() };
    let backend = RocksBackend::salvage(database, &copy, &rebuilt, &rocks, &mut report.damage)?;
    let place = backend.path().to_owned();
    let backend: Arc<dyn Backend> = Arc::new(backend);
    let (newest, mut report) = repair(&backend, &beside, report, options, on_lost, on_progress)?;
    if options.dry_run || report.was_sound() {
        return Ok(report);
    }
    let key_record = key_record_of(&*backend)?;
    backend.close()?;
    drop(backend);
    let io = |error| Error::io(format_args!("replacing the database in {}", path.display()), error);
    drop(fs::remove_dir_all(place.join("lost")));
    let aside = replace(path, &place).map_err(io)?;
    mark.set(newest)?;
    key_record.map_or(Ok(()), |record| spare::keep(path, &record))?;
    report.kept_aside = Some(aside);
    Ok(report)
}

/// Puts the database at `place` into that of the damaged one, which is kept aside.
fn replace(path: &Path, place: &Path) -> io::Result<PathBuf> {
    let sync = |directory: &Path| File::open(directory)?.sync_all();
    sync(place)?;
    // From here on there is a whole one, whatever happens; whoever repairs next goes on from there.
    fs::rename(place, path.join(READY))?;
    sync(path)?;
    let aside = unused_aside(path);
    fs::rename(path.join(DATABASE), &aside)?;
    fs::rename(path.join(READY), path.join(DATABASE))?;
    sync(path)?;
    Ok(aside)
}

/// A repair was interrupted between taking the damaged database away and putting the new one there.
fn finish_interrupted(path: &Path) -> Result<()> {
    let ready = path.join(READY);
    if !ready.is_dir() {
        return Ok(());
    }
    let finish = || {
        if path.join(DATABASE).is_dir() {
            // The damaged one is still there: this begins anew.
            fs::remove_dir_all(&ready)
        } else {
            fs::rename(&ready, path.join(DATABASE))?;
            File::open(path)?.sync_all()
        }
    };
    finish().map_err(|error| Error::io(format_args!("finishing the repair of {}", path.display()), error))
}

fn unused_aside(path: &Path) -> PathBuf {
    let mut number = 1;
    loop {
        let aside = path.join(format!("{ASIDE}{number}"));
        if !aside.exists() {
            return aside;
        }
        number += 1;
    }
}

/// Takes the lock of the database, so that nobody opens what is being replaced.
fn lock(database: &Path) -> Result<(File, Hold)> {
    let hold = Hold::take(database)?;
    let name = database.join("LOCK");
    let failed = |error| Error::io(format_args!("locking {}", name.display()), error);
    let file =
        FileOptions::new().read(true).write(true).create(true).truncate(false).open(&name).map_err(failed)?;
    match rustix::fs::fcntl_lock(&file, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => Ok((file, hold)),
        Err(rustix::io::Errno::AGAIN | rustix::io::Errno::ACCESS) => Err(in_use(database)),
        Err(error) => Err(failed(error.into())),
    }
}
