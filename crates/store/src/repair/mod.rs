//! Repair: heals what is damaged from whatever still has the bytes, drops only what can't be saved, and names that.
//!
//! It goes from what all else hangs on to what can be computed: the few records of the store itself
//! ([`meta`]), pages and trees ([`trees`]), chunks ([`chunks`]), engrams, and the indexes ([`indexes`]). A store in a
//! directory is worked on in a copy that takes the damaged one's place when it is whole ([`directory`]).
//!
//! Three fates, each named in the report:
//! - a chunk that nothing has the bytes of is *lost*: files that need it stay listed, reading them says why they can't
//!   be read, and whoever stores the same bytes again mends them;
//! - what a damaged page of a tree or list said is *dropped*: nobody knows any more what was there;
//! - a version whose record is damaged is dropped with its number.

mod chunks;
#[cfg(feature = "rocksdb")]
mod directory;
mod engrams;
mod indexes;
mod meta;
mod trees;

#[cfg(feature = "rocksdb")]
pub(crate) use directory::was_interrupted;

use std::path::PathBuf;
use std::sync::Arc;

use crate::backend::MemoryBackend;
use crate::encryption::{denied, restore, unlock};
use crate::id_set::IdSet;
use crate::index_keys::IndexKeys;
use crate::store::Inner;
use crate::{Backend, DependentFile, EngramStore, ErrorKind, OpenOptions, Result, Version};

/// How to repair.
#[derive(Clone, Default)]
pub struct RepairOptions {
    /// Other stores that may have what is damaged here: chunks of the same name, which what comes from them is checked
    /// against, and, where they are copies of this store (nothing that both have under the same id or number differs),
    /// pages and records of versions.
    pub sources: Vec<EngramStore>,
    /// Change nothing, only report. Works on a copy: in memory, or for a store in a directory beside it.
    pub dry_run: bool,
    /// How to open the store. Its superblock is used when the store's own is lost, and no source has one.
    pub open: OpenOptions,
}

impl std::fmt::Debug for RepairOptions {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("RepairOptions")
            .field("sources", &self.sources.len())
            .field("dry_run", &self.dry_run)
            .field("open", &self.open)
            .finish()
    }
}

/// How far a repair is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct RepairProgress {
    /// Chunks and versions looked at.
    pub done: u64,
    /// Chunks and versions to look at.
    pub total: u64,
}

/// What a repair found and did, or would do.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RepairReport {
    /// One line for each thing that was damaged.
    pub damage: Vec<String>,
    /// Chunks whose bytes were found elsewhere and are stored again.
    pub mended_chunks: u64,
    /// Pages of trees and lists that were taken from a source.
    pub mended_pages: u64,
    /// Index entries and engrams that were computed anew.
    pub rebuilt: u64,
    /// Chunks that are lost; that a chunk leans on one counts it too.
    pub lost_chunks: u64,
    /// Files that stay listed and can't be read until their bytes are stored again.
    pub lost_files: Vec<DependentFile>,
    /// One line for each part of a version that is not listed any more.
    pub dropped: Vec<String>,
    /// Versions that are gone.
    pub lost_versions: Vec<u64>,
    /// Where the damaged files were put, if they were replaced.
    pub kept_aside: Option<PathBuf>,
    /// All that this repair and earlier ones left in the store's directory, oldest first: damaged databases that were kept
    /// aside, and what of their work could not be removed. Nothing needs it.
    pub left_behind: Vec<PathBuf>,
}

impl RepairReport {
    /// Nothing was damaged.
    #[must_use]
    pub fn was_sound(&self) -> bool {
        self.damage.is_empty()
            && self.mended_chunks + self.mended_pages + self.rebuilt + self.lost_chunks == 0
            && self.dropped.is_empty()
            && self.lost_versions.is_empty()
    }

    /// Every byte of every version can be read.
    #[must_use]
    pub fn is_whole(&self) -> bool {
        self.lost_chunks == 0 && self.dropped.is_empty() && self.lost_versions.is_empty()
    }
}

/// Whom to tell how far it is.
type OnProgress<'a> = dyn FnMut(RepairProgress) + 'a;

/// Whom to ask for the bytes of lost chunks: called once, if there are any, with the store that is being repaired. What
/// is staged there under the names of lost chunks ([`Staging::mend`](crate::Staging::mend)) mends them.
pub type OnLost<'a> = dyn FnMut(&EngramStore) -> Result<()> + 'a;

impl EngramStore {
    /// Repairs the store in `backend`, which no other store may use meanwhile.
    ///
    /// Reads and decodes everything, as a deep verification does. What it changes it changes in place, in an order that
    /// lets it be run again when it was interrupted.
    ///
    /// # Errors
    /// `NotFound` when there is no store, `Unsupported` when a newer release wrote it, `Io` or `Unavailable`.
    pub fn repair_backend(
        backend: Arc<dyn Backend>,
        options: &RepairOptions,
        on_lost: &mut OnLost<'_>,
        on_progress: &mut OnProgress<'_>,
    ) -> Result<RepairReport> {
        let backend = if options.dry_run {
            Arc::new(MemoryBackend::copy_of(&*backend)?) as Arc<dyn Backend>
        } else {
            backend
        };
        Ok(repair(&backend, &Beside::default(), RepairReport::default(), options, on_lost, on_progress)?.1)
    }
}

/// What lies beside the database of a store in a directory.
#[derive(Default)]
struct Beside {
    /// The version that the commit mark names.
    marked: Option<u64>,
    /// The copy of the key record.
    key_record: Option<Vec<u8>>,
}

/// Repairs the records. Also returns the newest version.
fn repair(
    backend: &Arc<dyn Backend>,
    beside: &Beside,
    mut report: RepairReport,
    options: &RepairOptions,
    on_lost: &mut OnLost<'_>,
    on_progress: &mut OnProgress<'_>,
) -> Result<(Option<Version>, RepairReport)> {
    match &options.open.key {
        Some(key) => {
            let mut records = Vec::from_iter(beside.key_record.clone());
            for source in &options.sources {
                records.extend(source.0.key_record()?);
            }
            if restore(&**backend, key, &records)? {
                report.found("the key record was damaged or missing, and is taken from a copy");
            }
        }
        // Unread, all would look damaged.
        None if beside.key_record.is_some() => {
            return Err(denied("the store is encrypted, and no key was given"));
        }
        None => {}
    }
    let encrypted = unlock(backend, options.open.key.as_ref(), None, false)?;
    let keys = encrypted.as_ref().map_or_else(IndexKeys::plain, |backend| backend.secrets().index_keys());
    let records: Arc<dyn Backend> = match encrypted {
        Some(encrypted) => encrypted,
        None => Arc::clone(backend),
    };
    let report = meta::set_right(&records, &keys, beside.marked, options, report)?;
    let handle = EngramStore::assemble(Arc::clone(backend), &options.open, None)?;
    let newest = handle.head()?;
    let mut report = pass(&handle, report, options, on_progress)?;
    let lost = report.lost_chunks;
    if lost > 0 {
        on_lost(&handle)?;
        report = pass(&handle, report, options, on_progress)?;
        report.mended_chunks += lost.saturating_sub(report.lost_chunks);
    }
    if report.lost_chunks > 0 {
        report.lost_files = handle.files_of(&handle.0.lost.ids())?;
    }
    handle.0.backend.flush()?;
    Ok((newest, report))
}

/// Goes through everything once.
fn pass(
    handle: &EngramStore,
    report: RepairReport,
    options: &RepairOptions,
    on_progress: &mut OnProgress<'_>,
) -> Result<RepairReport> {
    let store = Arc::clone(&handle.0);
    let _alone = store.collect_alone();
    let newest = handle.head()?.map_or(0, |head| head.number);
    let progress = RepairProgress { done: 0, total: newest.saturating_add(store.ids().next) };
    let (sources, rebuilt_trees) = (&*options.sources, IdSet::default());
    let mut repair = Repair {
        handle,
        store: &store,
        sources,
        report,
        rebuilt_trees,
        has_revived: false,
        progress,
        on_progress,
    };
    repair.pages_from_sources()?;
    let needed = repair.trees()?;
    let lost = repair.chunks(&needed)?;
    repair.indexes(&lost)?;
    repair.engrams()?;
    Ok(repair.report)
}

/// One repair under way.
struct Repair<'r, 'p> {
    handle: &'r EngramStore,
    store: &'r Arc<Inner>,
    sources: &'r [EngramStore],
    report: RepairReport,
    /// Versions whose trees were written anew.
    rebuilt_trees: IdSet,
    /// Chunks that were lost can be read again: no index has them.
    has_revived: bool,
    progress: RepairProgress,
    on_progress: &'r mut OnProgress<'p>,
}

/// More lines than this help no one.
const MAX_LINES: usize = 10_000;

impl RepairReport {
    fn found(&mut self, damage: impl ToString) {
        if self.damage.len() < MAX_LINES {
            self.damage.push(damage.to_string());
        }
    }

    fn drop(&mut self, line: String) {
        if self.dropped.len() < MAX_LINES {
            self.dropped.push(line);
        }
    }

    /// What is damaged is named and passed over.
    fn unless_damaged<T>(&mut self, result: Result<T>) -> Result<Option<T>> {
        match result {
            Ok(value) => Ok(Some(value)),
            Err(error) if error.kind() == ErrorKind::Corrupt => {
                self.found(error);
                Ok(None)
            }
            Err(error) => Err(error),
        }
    }
}

impl Repair<'_, '_> {
    fn step(&mut self) {
        self.progress.done += 1;
        if self.progress.done.is_multiple_of(64) {
            (self.on_progress)(self.progress);
        }
    }

    /// The versions, oldest first.
    fn versions(&self) -> Result<Vec<Version>> {
        let mut versions = self.handle.versions()?;
        versions.reverse();
        Ok(versions)
    }
}
