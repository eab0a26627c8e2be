//! The store's default database: RocksDB, tuned for few large appends and a small footprint.
//!
//! Staged writes skip the write-ahead log; all column families flush as one, so what a crash leaves of them is a
//! prefix. Durable writes go through the log and sync it; settled ones, commits among them, skip it and flush. A clean close
//! leaves tables, a manifest and two small files, nothing else. The database itself, and with it the lock that keeps other
//! processes out, is let go when the value is dropped: open snapshots borrow it until then.

mod close;
mod compact;
mod copy;
mod direct;
mod failure;
mod guard;
mod hold;
mod log;
mod options;
mod salvage;
mod snapshot;

use std::error::Error as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};
use std::sync::{PoisonError, RwLock};
use std::time::Duration;

use ::rocksdb::properties::{self, PropName};
use ::rocksdb::{ColumnFamily, ColumnFamilyDescriptor, DB, FlushOptions, Options, WriteBatch, WriteOptions};

pub(crate) use failure::in_use;
pub(crate) use hold::Hold;
pub use options::RocksOptions;

use self::options::{FAMILIES, tuned};
use self::snapshot::{Prefix, RocksSnapshot};
use super::memory::unmet;
use super::{Backend, Batch, Durability, Snapshot};
use crate::{Error, ErrorKind, Result, Space};

/// Batches from this size on are allocated in multiples of it, in bytes.
const LARGE_BATCH: usize = 512 << 10;

/// How often it is looked whether a flush has ended: it takes tens of milliseconds.
const FLUSH_POLL: Duration = Duration::from_millis(1);

/// A [`Backend`] in a directory of its own.
///
/// One process at a time may write. Readers beside it open with [`RocksOptions::read_only`]: they see the
/// instant of opening, whole, and take no lock; a reader keeps the files of its instant alive, which costs a
/// file handle for each.
pub struct RocksBackend {
    path: PathBuf,
    read_only: bool,
    /// `None` only while dropping.
    database: Option<DB>,
    state: AtomicU8,
    flushes: AtomicU64,
    /// Bytes of the write buffers that are flushed as one.
    buffer_set: u64,
    /// Held shared by plain writes, alone by batches with preconditions and by close.
    gate: RwLock<()>,
    /// Of who writes. Let go when the database is: fields are dropped after it.
    _hold: Option<Hold>,
}

/// So many attempts, each with a file gone under it: then it is not a writer's doing.
const BELIEVED_AFTER: u64 = 5;

/// States of a backend, in the order in which they may follow each other.
const OPEN: u8 = 0;
/// A write failed, and it is unknown whether it was applied.
const FAILED: u8 = 1;
const CLOSED: u8 = 2;

/// A process that commits for long looks for small tables to merge once in so many flushes.
const FLUSHES_PER_MERGE: u64 = 64;

/// A close leaves fewer small tables than this side by side. To merge them each time takes a short ingest a twentieth of
/// its time, and saves 0.5 % of the typescript history at most.
const SMALL_TABLES_LEFT: usize = 4;

impl RocksBackend {
    /// Creates an empty store in the directory `path`, which is made if need be.
    ///
    /// # Errors
    /// `Conflict` when there is a store already, `Invalid` when `options` are read-only, `Io` when the
    /// directory can't be written.
    pub fn create(path: impl AsRef<Path>, options: &RocksOptions) -> Result<Self> {
        let path = path.as_ref();
        if options.read_only {
            return Err(Error::invalid(format!(
                "can't create a store at {} for reading only",
                path.display()
            )));
        }
        if is_store(path)? {
            return Err(Error::new(
                ErrorKind::Conflict,
                format!("there is a store at {} already", path.display()),
            ));
        }
        let io = |error| Error::io(format_args!("can't create the store at {}", path.display()), error);
        make_directory(path).map_err(io)?;
        Self::start(path, options, true)
    }

    /// Opens the store in the directory `path`.
    ///
    /// # Errors
    /// `NotFound` when there is none, `Unavailable` when another process or this one has it open for writing,
    /// `Corrupt` when it is damaged, `Io` when it can't be read.
    pub fn open(path: impl AsRef<Path>, options: &RocksOptions) -> Result<Self> {
        let path = path.as_ref();
        if !is_store(path)? {
            return Err(Error::not_found(format!("there is no store at {}", path.display())));
        }
        if options.read_only {
            Self::start_beside_writer(path, options)
        } else {
            Self::start(path, options, false)
        }
    }

    fn start(path: &Path, options: &RocksOptions, create: bool) -> Result<Self> {
        Self::start_tuned(path, options, tuned(options, create))
    }

    fn start_tuned(
        path: &Path,
        options: &RocksOptions,
        (mut database, families): (Options, Vec<ColumnFamilyDescriptor>),
    ) -> Result<Self> {
        guard::check(path)?;
        log::check_logs(path)?;
        let hold = if options.read_only { None } else { Some(Hold::take(path)?) };
        let opened = if options.read_only {
            DB::open_cf_descriptors_read_only(&database, path, families, false)
        } else {
            database.set_use_direct_io_for_flush_and_compaction(direct::is_possible(path));
            DB::open_cf_descriptors(&database, path, families)
        };
        let opened = opened.map_err(|error| failure::failure("open", path, error))?;
        Ok(Self {
            path: path.to_owned(),
            read_only: options.read_only,
            database: Some(opened),
            state: AtomicU8::new(OPEN),
            flushes: AtomicU64::new(0),
            buffer_set: options.buffer_set() as u64,
            gate: RwLock::new(()),
            _hold: hold,
        })
    }

    /// Opening reads the manifest first and the log after it. A commit in between would show its head (in the
    /// log) without its records (named by the next line of the manifest), so an open counts only if the
    /// manifest did not change meanwhile. A writer that closes removes an empty log without a word in the manifest.
    fn start_beside_writer(path: &Path, options: &RocksOptions) -> Result<Self> {
        let mut last = None;
        for attempt in 0..50 {
            let before = manifest_stamp(path)?;
            let opened = Self::start(path, options, false);
            let vanished = attempt < BELIEVED_AFTER && opened.as_ref().is_err_and(names_a_lost_file);
            if manifest_stamp(path)? == before && !vanished {
                return opened;
            }
            last = opened.err();
            std::thread::sleep(Duration::from_millis(attempt));
        }
        let busy = format!("the store at {} changes faster than it can be opened", path.display());
        let busy = Error::new(ErrorKind::Unavailable, busy);
        Err(match last {
            Some(cause) => busy.with_source(cause),
            None => busy,
        })
    }

    /// The directory of the store.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    fn database(&self) -> Result<&DB> {
        let path = self.path.display();
        match (self.state.load(Ordering::Acquire), &self.database) {
            (OPEN, Some(database)) => Ok(database),
            (FAILED, _) => Err(Error::new(
                ErrorKind::Unavailable,
                format!("a write to the store at {path} failed: open it again"),
            )),
            _ => Err(Error::new(ErrorKind::Unavailable, format!("the store at {path} was closed"))),
        }
    }

    /// The column family of `space`, and what goes before its keys there.
    fn family(&self, space: Space) -> Result<(&ColumnFamily, Prefix)> {
        let (name, _) = options::placement(space);
        Ok((self.family_named(name)?, Prefix::of(space)))
    }

    fn family_named(&self, name: &str) -> Result<&ColumnFamily> {
        let missing = || Error::corrupt(format!("the store at {} lacks `{name}`", self.path.display()));
        self.database()?.cf_handle(name).ok_or_else(missing)
    }

    fn failure(&self, doing: &str, error: ::rocksdb::Error) -> Error {
        failure::failure(doing, &self.path, error)
    }

    fn writable(&self) -> Result<&DB> {
        if self.read_only {
            let path = self.path.display();
            return Err(Error::invalid(format!("the store at {path} was opened for reading only")));
        }
        self.database()
    }

    fn apply(&self, batch: &Batch, durability: Durability) -> Result<()> {
        let database = self.writable()?;
        for (space, key, expected) in &batch.preconditions {
            if self.get(*space, key)?.as_deref() != expected.as_deref() {
                return Err(unmet(*space, key));
            }
        }
        let bytes = batch.bytes() + 32 * batch.changes.len();
        // Large batches in few sizes, so that what one frees fits the next.
        let capacity = if bytes < LARGE_BATCH { bytes } else { bytes.next_multiple_of(LARGE_BATCH) };
        let mut changes = WriteBatch::with_capacity_bytes(capacity);
        let mut full_key = Vec::new();
        for (space, key, value) in &batch.changes {
            let (family, prefix) = self.family(*space)?;
            full_key.clear();
            full_key.extend_from_slice(prefix.as_slice());
            full_key.extend_from_slice(key);
            match value {
                Some(value) => changes.put_cf(family, &full_key, value),
                None => changes.delete_cf(family, &full_key),
            }
        }
        let mut how = WriteOptions::default();
        match durability {
            Durability::Staged | Durability::Settled => how.disable_wal(true),
            Durability::Durable => how.set_sync(true),
        }
        database.write_opt(changes, &how).map_err(|error| {
            // The log may hold it although the tables do not: only opening again can tell.
            self.state.fetch_max(FAILED, Ordering::AcqRel);
            self.failure("write to", error)
        })?;
        if durability == Durability::Staged { self.wait_for_room() } else { Ok(()) }
    }

    /// Waits while a set of write buffers is being flushed and half of the next one is filled: how much memory there is
    /// would otherwise depend on how fast the disk is at the moment, and be the more the longer an ingest takes.
    fn wait_for_room(&self) -> Result<()> {
        loop {
            let under_way = self.count("default", properties::NUM_RUNNING_FLUSHES)?;
            let unwritten = FAMILIES.iter().try_fold(0, |most, family| {
                Ok::<_, Error>(most.max(self.count(family, properties::NUM_IMMUTABLE_MEM_TABLE)?))
            })?;
            // A flush whose tables are in place first removes files that merges left, for some tenths of a second now and
            // then. So long it holds its buffers, and the database no longer counts them.
            let uncounted = under_way.saturating_sub(unwritten) * self.buffer_set;
            let bytes = self.sum(properties::CUR_SIZE_ALL_MEM_TABLES)? + uncounted;
            let is_behind = under_way.max(unwritten) > 0 && bytes > self.buffer_set / 2 * 3;
            // What can't be flushed is told by the next write.
            if !is_behind || self.sum(properties::BACKGROUND_ERRORS)? > 0 {
                return Ok(());
            }
            std::thread::sleep(FLUSH_POLL);
        }
    }

    /// What the database counts, of all families.
    fn sum(&self, property: &PropName) -> Result<u64> {
        FAMILIES.iter().try_fold(0, |sum, family| Ok(sum + self.count(family, property)?))
    }

    /// What the database counts, of one family.
    fn count(&self, family: &str, property: &PropName) -> Result<u64> {
        let value = self.database()?.property_int_value_cf(self.family_named(family)?, property);
        Ok(value.map_err(|error| self.failure("measure", error))?.unwrap_or(0))
    }

    fn flush_all(&self) -> Result<()> {
        let database = self.database()?;
        let families: Vec<_> = FAMILIES.iter().map(|name| self.family_named(name)).collect::<Result<_>>()?;
        let mut how = FlushOptions::default();
        how.set_wait(true);
        let families: Vec<&&ColumnFamily> = families.iter().collect();
        database.flush_cfs_opt(&families, &how).map_err(|error| self.failure("flush", error))
    }
}

impl Backend for RocksBackend {
    fn get(&self, space: Space, key: &[u8]) -> Result<Option<Vec<u8>>> {
        let (family, prefix) = self.family(space)?;
        let found = match prefix.as_slice() {
            [] => self.database()?.get_cf(family, key),
            prefix => self.database()?.get_cf(family, [prefix, key].concat()),
        };
        found.map_err(|error| self.failure("read", error))
    }

    fn multi_get(&self, space: Space, keys: &[&[u8]]) -> Result<Vec<Option<Vec<u8>>>> {
        let (family, prefix) = self.family(space)?;
        let full_keys: Vec<Vec<u8>> = keys.iter().map(|key| [prefix.as_slice(), key].concat()).collect();
        let found = self.database()?.batched_multi_get_cf(family, &full_keys, false);
        found
            .into_iter()
            .map(|value| match value {
                Ok(value) => Ok(value.map(|bytes| bytes.to_vec())),
                Err(error) => Err(self.failure("read", error)),
            })
            .collect()
    }

    fn snapshot(&self) -> Result<Box<dyn Snapshot + '_>> {
        Ok(Box::new(RocksSnapshot::new(self)?))
    }

    fn write(&self, batch: Batch, durability: Durability) -> Result<()> {
        if batch.preconditions.is_empty() {
            let _shared = self.gate.read().unwrap_or_else(PoisonError::into_inner);
            self.apply(&batch, durability)?;
        } else {
            let _alone = self.gate.write().unwrap_or_else(PoisonError::into_inner);
            self.apply(&batch, durability)?;
        }
        if durability != Durability::Settled {
            return Ok(());
        }
        self.flush().inspect_err(|_| {
            // It can be read, and is on no medium: nobody may go on from that.
            self.state.fetch_max(FAILED, Ordering::AcqRel);
        })
    }

    fn flush(&self) -> Result<()> {
        if self.read_only {
            return self.database().map(drop);
        }
        self.flush_all()?;
        if self.flushes.fetch_add(1, Ordering::Relaxed) % FLUSHES_PER_MERGE == FLUSHES_PER_MERGE - 1 {
            // What was to be made durable is so: tidying up can't undo that.
            drop(close::merge_small_tables(self, FLUSHES_PER_MERGE as usize / 2));
        }
        guard::renew(&self.path);
        Ok(())
    }

    fn compact(&self) -> Result<u64> {
        if self.read_only {
            return self.database().map(|_| 0);
        }
        self.flush_all()?;
        compact::compact(self)
    }

    /// Writers wait until it is done: a moment on the same file system, as long as copying takes on another one.
    fn copy_to(&self, directory: &Path) -> Result<()> {
        copy::copy_to(self, directory)
    }

    fn damage(&self) -> Result<Vec<String>> {
        self.database()?;
        Ok(guard::damage(&self.path)?.into_iter().collect())
    }

    fn close(&self) -> Result<()> {
        let _alone = self.gate.write().unwrap_or_else(PoisonError::into_inner);
        if self.state.load(Ordering::Acquire) == CLOSED {
            return Ok(());
        }
        let mut outcome = Ok(());
        // After a failed write nothing in memory is to be trusted, and nothing of it is made durable.
        if !self.read_only && self.state.load(Ordering::Acquire) == OPEN {
            outcome = self.flush_all().and_then(|()| close::merge_small_tables(self, SMALL_TABLES_LEFT));
        }
        if let Ok(database) = self.database() {
            database.cancel_all_background_work(true);
        }
        self.state.store(CLOSED, Ordering::Release);
        if !self.read_only && outcome.is_ok() {
            outcome = close::remove_leftovers(&self.path);
        }
        outcome
    }

    /// The lengths of all files in the directory; what is still in memory is not counted.
    fn stored_bytes(&self) -> Result<u64> {
        self.database()?;
        close::bytes_in(&self.path)
    }
}

impl Drop for RocksBackend {
    fn drop(&mut self) {
        // Nobody is left to hear of a failure; what was promised as durable is so already.
        let closed = self.close().is_ok();
        drop(self.database.take());
        if closed && !self.read_only {
            drop(close::remove_leftovers(&self.path));
            guard::renew(&self.path);
        }
    }
}

impl std::fmt::Debug for RocksBackend {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("RocksBackend")
            .field("path", &self.path)
            .field("read_only", &self.read_only)
            .field("state", &self.state)
            .finish_non_exhaustive()
    }
}

/// Whether `path` holds a store.
fn is_store(path: &Path) -> Result<bool> {
    let unreadable = |error| Error::io(format_args!("can't look for a store at {}", path.display()), error);
    if path.join("CURRENT").try_exists().or_else(absent_as_false).map_err(unreadable)? {
        return Ok(true);
    }
    // Tables without the file that says which of them count: creating anew would remove them.
    let Ok(entries) = fs::read_dir(path) else { return Ok(false) };
    for entry in entries {
        if Path::new(&entry.map_err(unreadable)?.file_name()).extension().is_some_and(|end| end == "sst") {
            return Err(Error::corrupt(format!("the store at {} lacks its file `CURRENT`", path.display())));
        }
    }
    Ok(false)
}

/// Makes the directory `path` and those above it that are missing, so that their names outlast a power cut.
///
/// Before there is anything in it: whoever finds a store in it need not ask whether its name will last.
fn make_directory(path: &Path) -> std::io::Result<()> {
    let path = std::path::absolute(path)?;
    let missing = path.ancestors().take_while(|ancestor| !ancestor.exists()).count();
    fs::create_dir_all(&path)?;
    for (above, parent) in path.ancestors().skip(1).enumerate() {
        let synced = fs::File::open(parent).and_then(|parent| parent.sync_all());
        // Names that were there before may be those of an attempt that was killed. What others made is theirs to
        // sync, and perhaps not ours to open.
        if above < missing {
            synced?;
        }
    }
    Ok(())
}

/// Below a plain file there is nothing, which is no failure.
fn absent_as_false(error: std::io::Error) -> std::io::Result<bool> {
    if error.kind() == std::io::ErrorKind::NotADirectory { Ok(false) } else { Err(error) }
}

/// The failure is that a file was not there.
fn names_a_lost_file(error: &Error) -> bool {
    error.source().is_some_and(|cause| cause.to_string().contains("No such file"))
}

/// Changes whenever the manifest does.
fn manifest_stamp(path: &Path) -> Result<(String, u64)> {
    let unreadable = |error| Error::io(format_args!("can't read the store at {}", path.display()), error);
    loop {
        let current = fs::read_to_string(path.join("CURRENT")).map_err(unreadable)?;
        match fs::metadata(path.join(current.trim())) {
            Ok(manifest) => return Ok((current, manifest.len())),
            // Replaced between the two calls, unless the name stays.
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                if fs::read_to_string(path.join("CURRENT")).map_err(unreadable)? == current {
                    return Err(Error::corrupt(format!(
                        "the store at {} lacks its manifest",
                        path.display()
                    )));
                }
            }
            Err(error) => return Err(unreadable(error)),
        }
    }
}
