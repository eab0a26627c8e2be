//! Keeping few files: every table costs 1-2 KB beside its records, every open an `OPTIONS` file that nothing
//! reads and an empty log.
//!
//! RocksDB merges tables whose keys overlap. Ascending ids never overlap, so it only moves such tables down a
//! level, which is what makes ingest cheap, and what would leave a table per commit forever: those we merge.

use std::fs;
use std::path::Path;

use ::rocksdb::{BottommostLevelCompaction, ColumnFamily, CompactOptions, DB, LiveFile};

use super::RocksBackend;
use super::options::FAMILIES;
use crate::{Error, Result};

/// A table below this size is worth merging with small neighbours: alone it wastes about 0.2 % and a file handle.
const SMALL_TABLE_BYTES: usize = 1 << 20;

/// Whatever a merge would rewrite up to this size is rewritten in 30 ms or so.
const CHEAP_MERGE_BYTES: usize = 1 << 20;
/// More than that is rewritten when it is no more than so many times what is to be merged: a commit of one file must not
/// rewrite the records of a million others.
const MOST_REWRITTEN: usize = 8;

/// Merges every run of at least `least` small tables, neighbours in the order of their keys, unless large
/// tables lie across it. A failure loses nothing: the tables stay as they are.
pub(super) fn merge_small_tables(backend: &RocksBackend, least: usize) -> Result<()> {
    let database = backend.database()?;
    let tables = database.live_files().map_err(|error| backend.failure("list the tables of", error))?;
    let families: Vec<_> =
        FAMILIES.iter().map(|name| Ok((*name, backend.family_named(name)?))).collect::<Result<_>>()?;
    // Side by side: a merge waits for its syncs most of the time.
    std::thread::scope(|threads| {
        for (name, family) in families {
            let tables = tables.iter().filter(|table| table.column_family_name == name).collect();
            threads.spawn(move || merge_in_family(database, family, tables, least));
        }
    });
    Ok(())
}

fn merge_in_family(database: &DB, family: &ColumnFamily, mut tables: Vec<&LiveFile>, least: usize) {
    tables.sort_by(|a, b| a.start_key.cmp(&b.start_key));
    for run in tables.chunk_by(|a, b| is_small(a) && is_small(b)) {
        if run.len() >= least && rewritten_bytes(&tables, run) <= limit(run) {
            let mut how = CompactOptions::default();
            how.set_exclusive_manual_compaction(false);
            how.set_bottommost_level_compaction(BottommostLevelCompaction::ForceOptimized);
            let (first, last) = span(run);
            database.compact_range_cf_opt(family, first, last, &how);
        }
    }
}

fn is_small(table: &LiveFile) -> bool {
    table.size < SMALL_TABLE_BYTES
}

fn span<'a>(run: &[&'a LiveFile]) -> (Option<&'a [u8]>, Option<&'a [u8]>) {
    let first = run.iter().filter_map(|table| table.start_key.as_deref()).min();
    let last = run.iter().filter_map(|table| table.end_key.as_deref()).max();
    (first, last)
}

/// The bytes of all tables that overlap `run`.
fn rewritten_bytes(tables: &[&LiveFile], run: &[&LiveFile]) -> usize {
    let (first, last) = span(run);
    let overlaps =
        |table: &&&LiveFile| table.end_key.as_deref() >= first && table.start_key.as_deref() <= last;
    tables.iter().filter(overlaps).map(|table| table.size).sum()
}

fn limit(run: &[&LiveFile]) -> usize {
    CHEAP_MERGE_BYTES.max(MOST_REWRITTEN * run.iter().map(|table| table.size).sum::<usize>())
}

/// Removes what no later open reads. The lock file stays: another process may be waiting on it.
pub(super) fn remove_leftovers(path: &Path) -> Result<()> {
    let failed = |error| Error::io(format_args!("can't tidy the store at {}", path.display()), error);
    for entry in fs::read_dir(path).map_err(failed)? {
        let entry = entry.map_err(failed)?;
        let name = entry.file_name();
        let Some(name) = name.to_str() else { continue };
        let empty = || entry.metadata().is_ok_and(|data| data.len() == 0);
        let left_over = name.starts_with("OPTIONS-")
            || name == "LOG"
            || name.starts_with("LOG.old.")
            || (name.ends_with(".log") && empty());
        if left_over {
            match fs::remove_file(entry.path()) {
                Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(failed(error)),
                _ => {}
            }
        }
    }
    Ok(())
}

/// The lengths of all files in `path`.
pub(super) fn bytes_in(path: &Path) -> Result<u64> {
    let failed = |error| Error::io(format_args!("can't measure the store at {}", path.display()), error);
    let mut bytes = 0;
    for entry in fs::read_dir(path).map_err(failed)? {
        match entry.map_err(failed)?.metadata() {
            Ok(data) if data.is_file() => bytes += data.len(),
            // Gone since it was listed, as tables are when they were merged.
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(failed(error)),
            _ => {}
        }
    }
    Ok(bytes)
}
