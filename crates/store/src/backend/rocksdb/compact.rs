//! Giving space back: RocksDB keeps what was deleted or replaced until it rewrites the tables that hold it.
//!
//! What to rewrite is read from the tables themselves, not remembered, so a compaction that was interrupted is made up
//! for by the next. The database does not say how a compaction went, so that is looked for: in its state, in the tables
//! that are still in use, and in the directory.

use std::time::Duration;

use ::rocksdb::properties::BACKGROUND_ERRORS;
use ::rocksdb::{
    BottommostLevelCompaction, CompactOptions, ErrorKind as RocksKind, LiveFile, WaitForCompactOptions,
};

use super::RocksBackend;
use super::options::FAMILIES;
use crate::{Error, ErrorKind, Result};

/// A family up to this size is rewritten in a moment, whatever it gives.
const SMALL_FAMILY_BYTES: usize = 64 << 20;
/// A larger one is rewritten when one of so many entries is a deletion, or may have been replaced.
const WORTH_IT: u64 = 20;
/// Merges that others began, and the removal of files, are waited for so long.
const PATIENCE: Duration = Duration::from_secs(20);

/// Rewrites what holds deleted or replaced records. Returns the bytes of the tables that should be gone and are not.
pub(super) fn compact(backend: &RocksBackend) -> Result<u64> {
    // Merges that began by themselves: what they leave is to be seen, and what they replace to be gone.
    settle(backend)?;
    let tables = tables(backend)?;
    let mut families: Vec<_> = FAMILIES
        .iter()
        .map(|name| {
            tables.iter().filter(|table| table.column_family_name == *name).collect::<Vec<&LiveFile>>()
        })
        .collect();
    // What needs the least room comes first: it makes room for the others.
    families.sort_by_key(|tables| bytes_of(tables));
    let mut rewritten = Vec::new();
    for tables in families {
        let stale: Vec<_> =
            tables.iter().copied().filter(|table| stale_entries(table, &tables) > 0).collect();
        let stale_count: u64 = stale.iter().map(|table| stale_entries(table, &tables)).sum();
        let count: u64 = tables.iter().map(|table| table.num_entries).sum();
        if stale.is_empty() || (bytes_of(&tables) > SMALL_FAMILY_BYTES && stale_count < count / WORTH_IT) {
            continue;
        }
        rewrite(backend, &stale)?;
        rewritten.extend(stale);
    }
    left(backend, &rewritten)
}

fn tables(backend: &RocksBackend) -> Result<Vec<LiveFile>> {
    backend.database()?.live_files().map_err(|error| backend.failure("list the tables of", error))
}

fn bytes_of(tables: &[&LiveFile]) -> usize {
    tables.iter().map(|table| table.size).sum()
}

/// Rewrites these tables of one family, and what lies between and under them.
fn rewrite(backend: &RocksBackend, stale: &[&LiveFile]) -> Result<()> {
    let Some(table) = stale.first() else { return Ok(()) };
    let family = backend.family_named(&table.column_family_name)?;
    let first = stale.iter().filter_map(|table| table.start_key.as_deref()).min();
    let last = stale.iter().filter_map(|table| table.end_key.as_deref()).max();
    let mut how = CompactOptions::default();
    how.set_exclusive_manual_compaction(false);
    how.set_bottommost_level_compaction(BottommostLevelCompaction::ForceOptimized);
    let failed_before = backend.sum(BACKGROUND_ERRORS)?;
    backend.database()?.compact_range_cf_opt(family, first, last, &how);
    settle(backend)?;
    if backend.sum(BACKGROUND_ERRORS)? > failed_before {
        // It went on since, so that the cause is not known any more.
        let path = backend.path.display();
        return Err(Error::new(ErrorKind::Io, format!("can't rewrite tables of the store at {path}")));
    }
    Ok(())
}

/// Waits until files that are not needed are removed. Tells what stopped the database in the background.
fn settle(backend: &RocksBackend) -> Result<()> {
    let mut how = WaitForCompactOptions::default();
    how.set_timeout(PATIENCE.as_micros() as u64);
    match backend.database()?.wait_for_compact(&how) {
        Err(error) if error.kind() != RocksKind::TimedOut => {
            Err(backend.failure("give back space of", error))
        }
        _ => Ok(()),
    }
}

/// The bytes of tables that hold what was removed all the same, as for a reader of an older instant, or that are no
/// longer in use and still there.
fn left(backend: &RocksBackend, rewritten: &[&LiveFile]) -> Result<u64> {
    let now = tables(backend)?;
    let was_before = |table: &LiveFile| rewritten.iter().any(|before| before.name == table.name);
    // What others have just written lies at the top, and is none of it.
    let is_stale = |table: &&LiveFile| {
        table.num_deletions > 0
            && (table.level > 0 || was_before(table))
            && rewritten.iter().any(|before| before.column_family_name == table.column_family_name)
    };
    let is_unremoved = |table: &&&LiveFile| {
        let file = backend.path.join(table.name.trim_start_matches('/'));
        now.iter().all(|other| other.name != table.name) && file.exists()
    };
    let stale = now.iter().filter(is_stale).map(|table| table.size as u64);
    let unremoved = rewritten.iter().filter(is_unremoved).map(|table| table.size as u64);
    Ok(stale.chain(unremoved).sum())
}

/// Deletions in `table`, or all its entries where it lies over a table of a deeper level and may replace what is there.
fn stale_entries(table: &LiveFile, tables: &[&LiveFile]) -> u64 {
    let covers = |other: &&&LiveFile| {
        let deeper = other.level > table.level || (table.level == 0 && other.name < table.name);
        deeper && other.end_key >= table.start_key && other.start_key <= table.end_key
    };
    if tables.iter().any(|other| covers(&other)) { table.num_entries } else { table.num_deletions }
}
