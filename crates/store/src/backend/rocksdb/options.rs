//! How a store lies in RocksDB: which space in which column family, and how each is tuned.
//!
//! Four column families: every one more costs a file per flush (1-2 KB each in a small store) and every one
//! less mixes records that want different treatment.
//!
//! | family | spaces | why apart |
//! |---|---|---|
//! | `default` | Meta, Version, Page, Seen | small, compressible, read in order |
//! | `heads` | Head | by ascending id, read without their payloads |
//! | `payloads` | Payload | nearly all bytes; coded already, so never compressed nor rewritten |
//! | `index` | Name, Recall, Search | random keys, mostly missed: the only family with filters |

use ::rocksdb::{
    BlockBasedIndexType, BlockBasedOptions, Cache, ColumnFamilyDescriptor, DBCompactionStyle,
    DBCompressionType, DBRecoveryMode, InfoLogger, LogLevel, LruCacheOptions, Options,
};

use crate::Space;
use crate::store::DEFAULT_DATABASE_BYTES;

/// How to open a [`RocksBackend`](super::RocksBackend).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RocksOptions {
    /// Bytes for caches and write buffers together; at least 6 MiB are used. Default: 48 MiB.
    ///
    /// 2 MiB cache blocks, indexes and filters included, the rest buffers writes. Of what is more than the default the
    /// cache gets half: it serves stores that are larger than the system's own cache.
    pub memory_bytes: usize,
    /// Open for reading alone, at the instant of opening; a writer may be at work beside it. Default: no.
    pub read_only: bool,
}

impl Default for RocksOptions {
    fn default() -> Self {
        Self { memory_bytes: DEFAULT_DATABASE_BYTES, read_only: false }
    }
}

impl RocksOptions {
    fn budget(&self) -> usize {
        self.memory_bytes.max(6 * MIB)
    }

    /// Bytes of the cache.
    fn cache(&self) -> usize {
        LEAST_CACHE + self.budget().saturating_sub(DEFAULT_DATABASE_BYTES) / 2
    }

    /// Bytes of all write buffers.
    fn buffers(&self) -> usize {
        self.budget() - self.cache()
    }

    /// Bytes of the write buffers that are flushed as one: nearly all of them are payloads, whose buffer fills first.
    pub(super) fn buffer_set(&self) -> usize {
        self.buffers() / 8 * 3
    }
}

/// The column families, each with the spaces it holds.
pub(super) const FAMILIES: [&str; 4] = ["default", "heads", "payloads", "index"];

/// The column family of `space`, and the byte before each of its keys where it shares the family.
pub(super) fn placement(space: Space) -> (&'static str, Option<u8>) {
    match space {
        Space::Meta | Space::Version | Space::Page | Space::Seen => ("default", Some(space as u8)),
        Space::Head => ("heads", None),
        Space::Payload => ("payloads", None),
        Space::Name | Space::Recall | Space::Search => ("index", Some(space as u8)),
    }
}

const MIB: usize = 1 << 20;

/// Blocks come from the system's cache when they are not here.
const LEAST_CACHE: usize = 2 * MIB;

/// Tables kept open at once: their readers are memory outside the caches, about 10 KiB each.
const OPEN_FILES: i32 = 128;

/// The options of the database and of each column family.
pub(super) fn tuned(options: &RocksOptions, create: bool) -> (Options, Vec<ColumnFamilyDescriptor>) {
    with_filters(options, create, true)
}

/// The same, such that filters of tables are neither read nor made: a damaged one would keep a database shut.
pub(super) fn without_filters(options: &RocksOptions) -> (Options, Vec<ColumnFamilyDescriptor>) {
    with_filters(options, false, false)
}

fn with_filters(
    options: &RocksOptions,
    create: bool,
    filters: bool,
) -> (Options, Vec<ColumnFamilyDescriptor>) {
    let mut cache_options = LruCacheOptions::default();
    cache_options.set_capacity(options.cache());
    cache_options.set_num_shard_bits(2);
    let cache = Cache::new_lru_cache_opts(&cache_options);
    let families =
        FAMILIES.map(|name| ColumnFamilyDescriptor::new(name, family(name, &cache, options, filters))).into();
    (database(options, create), families)
}

/// Options of the database that the binding has no setter for.
///
/// No `IDENTITY` file: the manifest holds the identity. No preallocation: a crash would leave megabytes
/// behind. The manifest is rewritten when half of it is history. Two flushes at a time: each waits for its syncs half of
/// the time. One merge at a time: what several hold together is memory that only a long ingest would take. No flush by the
/// database itself when it ends: a commit whose flush failed was told to have failed. No table names the machine that wrote it.
const DATABASE_BY_NAME: &str = "write_identity_file=false;allow_fallocate=false;max_manifest_space_amp_pct=100;\
     max_background_flushes=2;max_background_compactions=1;avoid_flush_during_shutdown=true;db_host_id=";

/// Options of a family that the binding has no setter for.
///
/// A block is kept compressed even if that saves little: vectors and hashes do not shrink, but what the database
/// puts around each of them does (4,000 heads of 90 bytes: 385 instead of 413 KB).
///
/// A table that lies at the bottom is not written again for the 12 bytes that its sequence numbers then save: opening a
/// store anew would copy all that was ever added to it.
const FAMILY_BY_NAME: &str =
    "compression_opts={max_compressed_bytes_per_kb=1000};bottommost_file_compaction_delay=4294967295";

fn database(options: &RocksOptions, create: bool) -> Options {
    // The string is a constant; should a release not know one of its names, the defaults are only larger.
    let mut database = Options::default().get_options_from_string(DATABASE_BY_NAME).unwrap_or_default();
    database.create_if_missing(create);
    database.set_error_if_exists(create);
    // Also on open: a crash during creation leaves some of them out.
    database.create_missing_column_families(!options.read_only);
    database.set_paranoid_checks(true);
    database.set_atomic_flush(true);
    // Everything but a record cut off at the end is an error. `AbsoluteConsistency` would refuse that too, and
    // it is what a power cut during a commit leaves: no promise was given for it yet.
    database.set_wal_recovery_mode(DBRecoveryMode::TolerateCorruptedTailRecords);
    database.set_max_total_wal_size(4 * MIB as u64);
    database.set_db_write_buffer_size(options.buffers());
    // A reader must hold every table open, lest a writer's compaction removes one it still needs.
    database.set_max_open_files(if options.read_only { -1 } else { OPEN_FILES });
    database.set_table_cache_num_shard_bits(2);
    database.set_max_file_opening_threads(1);
    database.set_max_subcompactions(1);
    database.set_bytes_per_sync(MIB as u64);
    // Per file being merged: with the default of 2 MiB a merge of the index takes more memory than all caches.
    database.set_compaction_readahead_size(128 << 10);
    // What is read in order is read ahead by the system then; it sees by itself where that is of no use.
    database.set_advise_random_on_open(false);
    // Per file being written, at most: what goes past the system's cache goes in pieces of this, and each is waited for.
    database.set_writable_file_max_buffer_size(MIB as u64);
    database.set_max_manifest_file_size(16 << 10);
    database.set_skip_stats_update_on_db_open(true);
    database.set_stats_dump_period_sec(0);
    database.set_stats_persist_period_sec(0);
    database.set_keep_log_file_num(1);
    // No LOG files: what goes wrong is returned.
    database.set_info_logger(InfoLogger::new_callback_logger(LogLevel::Fatal, |_, _| ()));
    database
}

fn family(name: &str, cache: &Cache, options: &RocksOptions, filters: bool) -> Options {
    let buffers = options.buffers();
    let mut table = BlockBasedOptions::default();
    table.set_block_cache(cache);
    // Partitioned, and in the cache: at 100 GB the indexes alone would not fit into the budget.
    table.set_index_type(BlockBasedIndexType::TwoLevelIndexSearch);
    table.set_cache_index_and_filter_blocks(true);
    table.set_cache_index_and_filter_blocks_with_high_priority(true);
    table.set_pin_top_level_index_and_filter(false);
    table.set_index_block_restart_interval(8);
    let mut family = Options::default().get_options_from_string(FAMILY_BY_NAME).unwrap_or_default();
    family.set_level_compaction_dynamic_level_bytes(true);
    // One being filled and two being flushed; writers of much are held back sooner (`RocksBackend::wait_for_room`).
    family.set_max_write_buffer_number(4);
    family.set_target_file_size_base(64 * MIB as u64);
    family.set_max_bytes_for_level_base(256 * MIB as u64);
    // Each of these merges rewrites what lies below; closing merges what is worth it.
    family.set_level_zero_file_num_compaction_trigger(12);
    family.set_level_zero_slowdown_writes_trigger(40);
    family.set_level_zero_stop_writes_trigger(64);
    match name {
        "payloads" => {
            table.set_block_size(16 << 10);
            family.set_write_buffer_size(options.buffer_set());
            family.set_compression_type(DBCompressionType::None);
            family.add_compact_on_deletion_collector_factory(4096, 2048, 0.5);
        }
        "heads" => {
            table.set_block_size(8 << 10);
            family.set_write_buffer_size(buffers / 8);
            family.set_compression_type(DBCompressionType::Zstd);
            family.add_compact_on_deletion_collector_factory(4096, 2048, 0.5);
        }
        "index" => {
            table.set_block_size(8 << 10);
            if filters {
                // With 10 bits one of 100 names that are not there is looked for all the same, in each table: a long stream
                // of new chunks then fills the cache with blocks that nobody needs again.
                table.set_bloom_filter(20.0, false);
                table.set_partition_filters(true);
                table.set_optimize_filters_for_memory(true);
            }
            family.set_write_buffer_size(buffers / 4);
            family.set_compression_type(DBCompressionType::Zstd);
            // Names lie anywhere, so a merge into the lowest level would write all of the index again, each time.
            family.set_compaction_style(DBCompactionStyle::Universal);
        }
        _ => {
            table.set_block_size(16 << 10);
            family.set_write_buffer_size(buffers / 8);
            family.set_compression_type(DBCompressionType::Zstd);
        }
    }
    family.set_block_based_table_factory(&table);
    family
}
