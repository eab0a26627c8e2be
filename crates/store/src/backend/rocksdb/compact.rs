//! Giving space back: RocksDB keeps what was deleted or replaced until it rewrites the tables that hold it.
//!
//! What to rewrite is read from the tables themselves, not remembered, so a compaction that was interrupted is made up
//! for by the next.

use ::rocksdb::{BottommostLevelCompaction, CompactOptions, LiveFile};

use super::RocksBackend;
use super::options::FAMILIES;
use crate::Result;

/// A family up to this size is rewritten in a moment, whatever it gives.
const SMALL_FAMILY_BYTES: usize = 64 << 20;
/// A larger one is rewritten when one of so many entries is a deletion, or may have been replaced.
const WORTH_IT: u64 = 20;

/// Rewrites what holds deleted or replaced records.
pub(super) fn compact(backend: &RocksBackend) -> Result<()> {
    let database = backend.database()?;
    let tables = database.live_files().map_err(|error| backend.failure("list the tables of", error))?;
    for name in FAMILIES {
        let family = backend.family_named(name)?;
        let tables: Vec<_> = tables.iter().filter(|table| table.column_family_name == name).collect();
        let stale: Vec<_> = tables.iter().filter(|table| stale_entries(table, &tables) > 0).collect();
        let stale_count: u64 = stale.iter().map(|table| stale_entries(table, &tables)).sum();
        let count: u64 = tables.iter().map(|table| table.num_entries).sum();
        let bytes: usize = tables.iter().map(|table| table.size).sum();
        if stale.is_empty() || (bytes > SMALL_FAMILY_BYTES && stale_count < count / WORTH_IT) {
            continue;
        }
        let first = stale.iter().filter_map(|table| table.start_key.as_deref()).min();
        let last = stale.iter().filter_map(|table| table.end_key.as_deref()).max();
        let mut how = CompactOptions::default();
        how.set_exclusive_manual_compaction(false);
        how.set_bottommost_level_compaction(BottommostLevelCompaction::ForceOptimized);
        database.compact_range_cf_opt(family, first, last, &how);
    }
    Ok(())
}

/// Deletions in `table`, or all its entries where it lies over a table of a deeper level and may replace what is there.
fn stale_entries(table: &LiveFile, tables: &[&LiveFile]) -> u64 {
    let covers = |other: &&&LiveFile| {
        let deeper = other.level > table.level || (table.level == 0 && other.name < table.name);
        deeper && other.end_key >= table.start_key && other.start_key <= table.end_key
    };
    if tables.iter().any(|other| covers(&other)) { table.num_entries } else { table.num_deletions }
}
