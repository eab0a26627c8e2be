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
    /// `NotFound` when there is no store, `Unavailable` when somebody writes to it, in this process or another one,
    /// `Unsupported` when a newer release wrote it, `Corrupt` when nothing can be saved, `Io`. The store is then as it was,
    /// or the next repair goes on with it.
    pub fn repair(
        path: impl AsRef<Path>,
        options: &RepairOptions,
        on_lost: &mut OnLost<'_>,
        on_progress: &mut OnProgress<'_>,
    ) -> Result<RepairReport> {
        let path = path.as_ref();
        let database = path.join(DATABASE);
        let io = |error| Error::io(format_args!("finishing the repair of {}", path.display()), error);
        if was_interrupted(path) {
            fs::rename(path.join(READY), &database).and_then(|()| sync(path)).map_err(io)?;
        }
        if !database.is_dir() {
            return Err(Error::not_found(format!("there is no store at {}", path.display())));
        }
        let _lock = lock(&database)?;
        // The damaged one is still there: this begins anew.
        remove(&path.join(READY)).map_err(io)?;
        let outcome = in_copy(path, &database, options, on_lost, on_progress);
        drop(remove(&path.join(WORK)));
        outcome.map(|report| RepairReport { left_behind: left_behind(path), ..report })
    }
}

/// A repair was interrupted after it took the damaged database away, and before it put the new one there.
pub(crate) fn was_interrupted(path: &Path) -> bool {
    path.join(READY).is_dir() && !path.join(DATABASE).exists()
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
    let are_records_sound = report.was_sound();
    mark.missing(newest.as_ref()).into_iter().for_each(|line| report.found(line));
    let newest = newest.map_or(0, |newest| newest.number);
    if let Some(marked) = marked.filter(|marked| *marked > newest && !report.lost_versions.contains(marked)) {
        report.found(format!("version {marked} is lost, and the repair that found this was interrupted"));
        report.lost_versions.push(marked);
    }
    if options.dry_run || report.was_sound() {
        return Ok(report);
    }
    if are_records_sound {
        return mark.set(newest).map(|()| report);
    }
    let key_record = key_record_of(&*backend)?;
    backend.close()?;
    drop(backend);
    let replacing = |error| Error::io(format_args!("replacing the database in {}", path.display()), error);
    remove(&place.join("lost")).map_err(replacing)?;
    report.kept_aside = Some(replace(path, &place, &mut || {}).map_err(replacing)?);
    mark.set(newest)?;
    key_record.map_or(Ok(()), |record| spare::keep(path, &record))?;
    Ok(report)
}

/// Puts the database at `place` into that of the damaged one, which is kept aside.
///
/// Killed after any step, the store opens, or whoever opens it is told to repair it, and that goes on from there. So the
/// mark comes later: one that named what is left while the damaged database is there would hide what that one has lost.
fn replace(path: &Path, place: &Path, on_step: &mut dyn FnMut()) -> io::Result<PathBuf> {
    sync(place)?;
    fs::rename(place, path.join(READY))?;
    on_step();
    sync(path)?;
    let aside = unused_aside(path);
    fs::rename(path.join(DATABASE), &aside)?;
    on_step();
    fs::rename(path.join(READY), path.join(DATABASE))?;
    on_step();
    sync(path)?;
    Ok(aside)
}

/// What repairs left in the store's directory, oldest first.
fn left_behind(path: &Path) -> Vec<PathBuf> {
    let is_ours = |name: &str| {
        let number = name.strip_prefix(ASIDE);
        [WORK, READY].contains(&name) || number.is_some_and(|number| number.parse::<u64>().is_ok())
    };
    let entries = fs::read_dir(path).into_iter().flatten().flatten();
    let mut names: Vec<String> = entries.filter_map(|entry| entry.file_name().into_string().ok()).collect();
    names.retain(|name| is_ours(name));
    names.sort_by(|one, other| (one.len(), one).cmp(&(other.len(), other)));
    names.into_iter().map(|name| path.join(name)).collect()
}

fn sync(directory: &Path) -> io::Result<()> {
    File::open(directory)?.sync_all()
}

/// Removes a directory with all that is in it, if it is there.
fn remove(directory: &Path) -> io::Result<()> {
    match fs::remove_dir_all(directory) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::backend::KeyRange;
    use crate::{Batch, Durability, ErrorKind, OpenOptions, Space, StoreKey, VerifyOptions};

    fn copy(from: &Path, to: &Path) {
        fs::create_dir(to).unwrap();
        for entry in fs::read_dir(from).unwrap() {
            let (from, to) = (entry.as_ref().unwrap().path(), to.join(entry.unwrap().file_name()));
            if from.is_dir() {
                copy(&from, &to);
            } else {
                fs::copy(from, to).unwrap();
            }
        }
    }

    fn open(path: &Path, options: &RepairOptions, read_only: bool) -> Result<EngramStore> {
        EngramStore::open_with(path, &OpenOptions { read_only, ..options.open.clone() }, false)
    }

    fn repaired(path: &Path, options: &RepairOptions) -> RepairReport {
        EngramStore::repair(path, options, &mut |_| Ok(()), &mut |_| {}).unwrap()
    }

    /// Three versions, whose records from that of `first_lost` on are gone.
    fn damaged(path: &Path, options: &RepairOptions, first_lost: u64) {
        let store = EngramStore::open_with(path, &options.open, true).unwrap();
        for _ in 0..3 {
            store.draft().unwrap().commit("").unwrap();
        }
        drop(store);
        let database = RocksBackend::open(path.join(DATABASE), &RocksOptions::default()).unwrap();
        let range = KeyRange { from: &crate::format::id_key(first_lost), ..KeyRange::default() };
        let mut batch = Batch::new();
        for record in database.snapshot().unwrap().scan(Space::Version, range) {
            batch.delete(Space::Version, record.unwrap().0);
        }
        database.write(batch, Durability::Durable).unwrap();
    }

    /// Found: killed before the last steps, the next repair said that nothing is damaged, and no open believed it; or
    /// whoever opened it was told that it is no store.
    #[test]
    fn a_repair_that_is_killed_after_any_step_is_finished_by_the_next() {
        let key = Some(StoreKey::from_bytes([7; 32]));
        for (first_lost, key) in [(3, None), (1, None), (3, key)] {
            let options = RepairOptions {
                open: OpenOptions { key, ..OpenOptions::default() },
                ..RepairOptions::default()
            };
            let around = tempfile::tempdir().unwrap();
            let path = |name: &str| around.path().join(name);
            let (store, whole) = (path("store"), path("whole"));
            damaged(&store, &options, first_lost);
            copy(&store, &whole);
            assert_eq!(repaired(&whole, &options).lost_versions, Vec::from_iter(first_lost..=3));
            let mark = CommitMark::read(&store).unwrap();
            let place = store.join(WORK).join("copy");
            fs::create_dir(store.join(WORK)).unwrap();
            copy(&whole.join(DATABASE), &place);
            // What a kill leaves after each step.
            let mut states = 0;
            let mut killed = || {
                copy(&store, &path(&format!("state{states}")));
                states += 1;
            };
            killed();
            replace(&store, &place, &mut killed).unwrap();
            killed();
            if first_lost > 1 {
                mark.prepare(first_lost - 1).unwrap();
                killed();
            }
            for state in 0..states {
                let what = format!("{first_lost} {state}");
                let store = path(&format!("state{state}"));
                for read_only in [true, false] {
                    assert_eq!(open(&store, &options, read_only).err().unwrap().kind(), ErrorKind::Corrupt);
                }
                let report = repaired(&store, &options);
                assert!(report.lost_versions.contains(&3), "{what}: {report:?}");
                let opened = open(&store, &options, false).unwrap();
                let left = opened.versions().unwrap().len() as u64;
                assert_eq!(left, first_lost - 1, "{what}");
                assert!(opened.verify(VerifyOptions { deep: true }, &mut |_| {}).unwrap().is_ok(), "{what}");
                assert_eq!(opened.draft().unwrap().commit("").unwrap().number, 4, "{what}");
                drop(opened);
                assert!(repaired(&store, &options).was_sound(), "{what}");
            }
        }
    }

    #[test]
    fn what_repairs_leave_behind_is_in_the_report_oldest_first() {
        let place = tempfile::tempdir().unwrap();
        let options = RepairOptions::default();
        damaged(place.path(), &options, 3);
        for name in ["damaged-2", "damaged-10", "damaged-x", "mine"] {
            fs::create_dir(place.path().join(name)).unwrap();
        }
        let report = repaired(place.path(), &options);
        let path = |name: &str| place.path().join(name);
        assert_eq!(report.kept_aside, Some(path("damaged-1")));
        assert_eq!(report.left_behind, ["damaged-1", "damaged-2", "damaged-10"].map(path));
        fs::remove_dir_all(path("damaged-1")).unwrap();
        let report = repaired(place.path(), &options);
        assert!(report.was_sound() && report.kept_aside.is_none());
        assert_eq!(report.left_behind, ["damaged-2", "damaged-10"].map(path));
    }

    #[test]
    fn a_mark_that_is_gone_is_named_and_made_again() {
        let place = tempfile::tempdir().unwrap();
        let options = RepairOptions::default();
        damaged(place.path(), &options, 4);
        fs::remove_file(place.path().join("COMMIT")).unwrap();
        let dry = RepairOptions { dry_run: true, ..options.clone() };
        assert_eq!(repaired(place.path(), &dry).damage.len(), 1);
        let report = repaired(place.path(), &options);
        assert!(report.damage[0].contains("COMMIT") && report.is_whole(), "{report:?}");
        assert_eq!(report.kept_aside, None, "the database is sound");
        assert_eq!(CommitMark::read(place.path()).unwrap().marked().unwrap(), Some(3));
        assert!(repaired(place.path(), &options).was_sound());
    }
}
